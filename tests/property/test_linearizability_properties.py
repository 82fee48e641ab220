"""Laws of the checker of histories: it agrees with trying every order, and passes what a register really did."""

from __future__ import annotations

import itertools
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cluster.histories.history import FAIL, OK, UNKNOWN, UNSAID, Operation
from tests.cluster.histories.linear import check
from tests.cluster.histories.shrink import shrink

KINDS = ("read", "write", "cas", "add")


def effect(operation: Operation, held: Any) -> tuple[bool, Any]:
    """Whether a register that holds `held` can answer like this, and what it holds then."""
    if operation.kind == "read":
        return held == operation.result, held
    if operation.kind == "write":
        return True, operation.value
    if operation.kind == "add":
        after = (held or 0) + operation.value
        return operation.outcome == UNKNOWN or after == operation.result, after
    if operation.outcome == FAIL:
        if held == operation.expected:
            return False, held
        return operation.result in (UNSAID, held), held
    return held == operation.expected, operation.value


def explained(operations: list[Operation]) -> bool:
    """Try every order that keeps to the times, with every choice of unknown operations."""
    known = [each for each in operations if each.outcome != UNKNOWN]
    unknown = [each for each in operations if each.outcome == UNKNOWN and each.kind != "read"]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            if _order_exists([*known, *chosen], None):
                return True
    return False


def _order_exists(left: list[Operation], held: Any) -> bool:
    if not left:
        return True
    first_end = min(each.end for each in left)
    for each in left:
        if each.start > first_end:
            continue
        possible, after = effect(each, held)
        if possible and _order_exists([other for other in left if other is not each], after):
            return True
    return False


@st.composite
def any_history(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS, values: int = 3) -> list[Operation]:
    """A few operations with times and answers drawn at random, right or wrong."""
    operations = []
    some = st.one_of(st.none(), st.integers(1, values))
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(kinds))
        start = draw(st.integers(0, 8))
        operation = Operation(number, number, "k", kind, float(start))
        operation.end = float(start + draw(st.integers(1, 5)))
        operation.outcome = draw(st.sampled_from((OK, OK, OK, UNKNOWN, FAIL)))
        if operation.outcome == FAIL and kind != "cas":
            operation.outcome = OK
        if kind == "read":
            operation.result = draw(some)
        elif kind == "add":
            operation.value = draw(st.sampled_from((1, 1, 2, -1)))
            operation.result = draw(st.integers(-1, 4))
        else:
            operation.value = draw(some)
        if kind == "cas":
            operation.expected = draw(some)
            operation.result = draw(st.one_of(st.just(UNSAID), some))
        if operation.outcome == UNKNOWN:
            operation.end = math.inf
        operations.append(operation)
    return sorted(operations, key=lambda each: each.start)


@st.composite
def register_history(draw: st.DrawFn, counter: bool = False) -> list[Operation]:
    """What several clients see of a correct register: an instant within each operation, answers by those."""
    clients = draw(st.integers(1, 5))
    free_at = [0.0] * clients
    operations, instants = [], []
    for number in range(draw(st.integers(1, 25))):
        process = draw(st.integers(0, clients - 1))
        start = free_at[process] + draw(st.floats(0, 2))
        end = start + draw(st.floats(0.01, 3))
        free_at[process] = end + 0.001
        kind = draw(st.sampled_from(("read", "add") if counter else ("read", "write", "cas")))
        operation = Operation(number, process, "k", kind, start, end=end)
        instants.append((draw(st.floats(start, end)), number))
        operations.append(operation)
    held: Any = None
    for _, number in sorted(instants):
        operation = operations[number]
        operation.outcome = OK
        if operation.kind == "read":
            operation.result = held
        elif operation.kind == "add":
            operation.value = 1
            held = operation.result = (held or 0) + 1
        elif operation.kind == "write":
            held = operation.value = number + 1
        else:
            operation.value = number + 1
            operation.expected = held if draw(st.booleans()) else -1
            if operation.expected == held:
                held = operation.value
            else:
                operation.outcome = FAIL
                operation.result = held if draw(st.booleans()) else UNSAID
        if operation.kind != "read" and draw(st.integers(0, 5)) == 0:
            operation.outcome, operation.end, operation.result = UNKNOWN, math.inf, None
    return sorted(operations, key=lambda each: each.start)


@settings(max_examples=1500, deadline=None)
@given(any_history())
def test_the_checker_agrees_with_trying_every_order(operations: list[Operation]) -> None:
    assert check(operations).linearizable == explained(operations)


@settings(max_examples=1000, deadline=None)
@given(any_history(kinds=("read", "write", "cas"), values=6))
def test_it_agrees_when_values_are_mostly_unique(operations: list[Operation]) -> None:
    for number, each in enumerate(operations):
        if each.kind != "read" and each.value is not None:
            each.value = number + 1
    assert check(operations).linearizable == explained(operations)


@settings(max_examples=400, deadline=None)
@given(st.one_of(register_history(), register_history(counter=True)))
def test_what_a_register_did_passes(operations: list[Operation]) -> None:
    assert check(operations).linearizable


@settings(max_examples=400, deadline=None)
@given(register_history(), st.data())
def test_a_read_of_a_value_never_written_fails(operations: list[Operation], data: st.DataObject) -> None:
    reads = [each for each in operations if each.kind == "read"]
    if reads:
        data.draw(st.sampled_from(reads)).result = 10_000
        assert not check(operations).linearizable


@settings(max_examples=400, deadline=None)
@given(register_history(), st.floats(0.001, 1))
def test_a_final_read_of_anything_but_the_last_value_fails(operations: list[Operation], gap: float) -> None:
    """A lost write, at the end: one certain last write, then a read of what was before."""
    last = max((each.end for each in operations if each.end < math.inf), default=0.0)
    last = max([last, *(each.start for each in operations)]) + gap
    write = Operation(900, 90, "k", "write", last, value=900, end=last + 1, outcome=OK)
    late = Operation(901, 91, "k", "read", last + 2, end=last + 3, outcome=OK)
    # Unknown operations may take effect late: only known ones are kept.
    settled = [each for each in operations if each.outcome != UNKNOWN or each.kind == "read"]
    if not check(settled).linearizable:
        return
    for earlier in [None, *(each.value for each in settled if each.value is not None)]:
        late.result = earlier
        assert not check([*settled, write, late]).linearizable
    late.result = 900
    assert check([*settled, write, late]).linearizable


@settings(max_examples=300, deadline=None)
@given(any_history())
def test_what_is_left_of_a_wrong_history_is_wrong_by_every_order(operations: list[Operation]) -> None:
    if check(operations).linearizable:
        return
    smallest = shrink(operations)
    assert not explained(smallest)
    assert {each.id for each in smallest} <= {each.id for each in operations}
