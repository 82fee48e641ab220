"""Making a counterexample small: the fewest operations found that still cannot be explained.

Only operations are taken out whose absence cannot break a history that was right, so that what is left
accuses the server and not the cutting:

- everything after an instant (what was under way then becomes unknown): every beginning of a linearizable
  history is linearizable;
- a read, or a failed compare-and-set: it changed nothing;
- of a counter, everything before an instant at which nothing was under way: what it held then is certain, if
  what came before is in order;
- a value altogether: whoever wrote it, saw it, or made another value out of it. What the others saw stays in
  order without it.
"""

from __future__ import annotations

from typing import Any

from tests.cluster.histories.history import (
    ADD,
    CAS,
    FAIL,
    OK,
    READ,
    REFUSED,
    UNKNOWN,
    UNSAID,
    Operation,
)
from tests.cluster.histories.linear import BudgetExceededError, check

SHRINK_BUDGET = 200_000


def shrink(operations: list[Operation], initial: Any = None) -> list[Operation]:
    """The smallest part found of a key's history that is still not linearizable."""
    current = _shortest_beginning(operations, initial)
    current = _without(current, [{each.id} for each in current if _changes_nothing(each)], initial)
    if not any(each.kind == ADD or each.result == UNSAID for each in current):
        values = {each.value for each in current if each.kind != READ} - {initial}
        current = _without(current, [_trace(value, current) for value in sorted(values, key=str)], initial)
        current = _without(current, [{each.id} for each in current if _changes_nothing(each)], initial)
    return current


def _fails(operations: list[Operation], initial: Any) -> bool:
    try:
        return not check(operations, initial, SHRINK_BUDGET).linearizable
    except BudgetExceededError:
        return False


def _changes_nothing(operation: Operation) -> bool:
    return operation.kind == READ or operation.outcome in (FAIL, REFUSED)


def _until(operations: list[Operation], instant: float) -> list[Operation]:
    """What was known at an instant."""
    kept = []
    for each in operations:
        if each.start > instant:
            continue
        if each.end > instant and each.outcome != UNKNOWN:
            if each.kind == READ:
                continue
            each = each.copy()
            each.end, each.outcome, each.result = float("inf"), UNKNOWN, None
            each.note = "under way"
        kept.append(each)
    return kept


def _shortest_beginning(operations: list[Operation], initial: Any) -> list[Operation]:
    """The history up to the first answer that makes it wrong."""
    ends = sorted(each.end for each in operations if each.outcome != UNKNOWN)
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if _fails(_until(operations, ends[middle]), initial):
            high = middle
        else:
            low = middle + 1
    shortest = _until(operations, ends[low]) if ends else operations
    return shortest if _fails(shortest, initial) else operations


def _trace(value: Any, operations: list[Operation]) -> set[int]:
    """Ids of all that wrote a value, saw it, or put another value in its place on seeing it."""
    gone: set[int] = set()
    values, looked_at = [value], {value}
    while values:
        current = values.pop()
        for each in operations:
            writes = each.kind != READ and each.outcome not in (FAIL, REFUSED) and each.value == current
            if each.kind == CAS and each.outcome not in (FAIL, REFUSED) and each.expected == current:
                if each.value not in looked_at:
                    looked_at.add(each.value)
                    values.append(each.value)
                gone.add(each.id)
            elif writes or (each.outcome in (OK, FAIL) and each.kind != ADD and _saw(each, current)):
                gone.add(each.id)
    return gone


def _saw(operation: Operation, value: Any) -> bool:
    if operation.kind == READ:
        return bool(operation.result == value)
    return operation.kind == CAS and operation.outcome == FAIL and bool(operation.result == value)


def _without(current: list[Operation], groups: list[set[int]], initial: Any) -> list[Operation]:
    """Take out as many groups of operations as possible, many at a time first."""
    size = max(1, len(groups) // 2)
    while groups:
        left: list[set[int]] = []
        for place in range(0, len(groups), size):
            part = groups[place : place + size]
            gone = set().union(*part)
            rest = [each for each in current if each.id not in gone]
            if len(rest) < len(current) and _fails(rest, initial):
                current = rest
            else:
                left.extend(part)
        groups = left
        if size == 1:
            break
        size = max(1, size // 2)
    return current


def start_late(operations: list[Operation]) -> tuple[list[Operation], Any]:
    """Of a counter's wrong history, the shortest end found that is wrong, and what the counter held before it."""
    growing = all(each.kind == READ or (each.kind == ADD and each.value > 0) for each in operations)
    if not growing or not any(each.kind == ADD for each in operations):
        return operations, None
    ordered = sorted(operations, key=lambda each: each.start)
    best, held = ordered, None
    ended, sum_so_far = float("-inf"), None
    for place, each in enumerate(ordered):
        if each.start > ended and place:
            rest = ordered[place:]
            if _fails(rest, sum_so_far) and not _fails(ordered[:place], None):
                best, held = rest, sum_so_far
        ended = max(ended, each.end)
        if each.kind == ADD and each.outcome == OK:
            sum_so_far = max(sum_so_far or 0, each.result)
    return best, held
