"""The checker of histories, on histories made by hand: each kind of wrong answer is found, right ones pass.

A history is written as lines `client start end operation`; times are in any unit, an end of `-` is unknown.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.cluster.histories.__main__ import main
from tests.cluster.histories.history import (
    FAIL,
    OK,
    REFUSED,
    UNSAID,
    History,
    Operation,
    parse_history,
    read_history,
)
from tests.cluster.histories.linear import BudgetExceededError, check, check_history
from tests.cluster.histories.shrink import shrink


def value_of(text: str) -> int | None:
    return None if text == "none" else int(text)


def written(text: str) -> list[Operation]:
    """`1 0 5 write 3`, `1 0 5 read 3`, `1 0 5 cas 3 4 ok`, `1 0 5 cas 3 4 was 7`, `1 0 5 add 1 = 4`."""
    operations = []
    for number, line in enumerate(line for line in text.splitlines() if line.strip()):
        process, start, end, kind, *rest = line.split()
        operation = Operation(number, int(process), "k", kind, float(start))
        if end != "-":
            operation.end = float(end)
            operation.outcome = OK
        if kind == "read":
            operation.result = value_of(rest[0]) if rest else None
        elif kind == "write":
            operation.value = value_of(rest[0])
            if rest[1:] == ["refused"]:
                operation.outcome = REFUSED
        elif kind == "cas":
            operation.expected, operation.value = value_of(rest[0]), value_of(rest[1])
            if rest[2:3] == ["was"]:
                operation.outcome, operation.result = FAIL, value_of(rest[3])
            elif rest[2:3] == ["failed"]:
                operation.outcome, operation.result = FAIL, UNSAID
        else:
            operation.value = int(rest[0])
            operation.result = int(rest[2]) if len(rest) > 2 else None
        operations.append(operation)
    return operations


BAD = {
    "stale read": """
        1 0 1 write 1
        1 2 3 write 2
        2 4 5 read 1""",
    "lost write": """
        1 0 1 write 1
        2 2 3 read none""",
    "lost write behind a later one": """
        1 0 1 write 1
        1 2 3 cas 1 2 ok
        2 4 5 read 1""",
    "conditional put applied twice": """
        1 0 1 cas none 1 ok
        2 2 3 cas 1 2 ok
        1 4 5 write 1
        3 6 7 cas 1 3 ok
        3 8 9 cas 1 4 ok""",
    "conditional put that succeeded is answered with its own value": """
        1 0 1 write 1
        2 2 3 cas 1 2 was 2
        3 4 5 read 2""",
    "two conditional puts on one value": """
        1 0 1 write 1
        2 2 5 cas 1 2 ok
        3 2 5 cas 1 3 ok""",
    "put applied again after another": """
        1 0 1 write 1
        2 2 3 write 2
        3 4 5 read 2
        3 6 7 read 1""",
    "write seen after a failed compare-and-set": """
        1 0 1 write 1
        2 2 3 cas 9 5 was 1
        3 4 5 read 5""",
    "compare-and-set that fails on what it expected": """
        1 0 1 write 1
        2 2 3 cas 1 2 was 1""",
    "compare-and-set that fails for no reason": """
        1 0 1 write 1
        2 2 3 cas 1 2 failed""",
    "value never written": """
        1 0 1 write 1
        2 2 3 read 7""",
    "value from the future": """
        2 0 1 read 1
        1 2 3 write 1""",
    "reads going back in time": """
        1 0 9 write 1
        2 1 2 read 1
        3 3 4 read none""",
    "two readers see two orders": """
        1 0 9 write 1
        2 0 9 write 2
        3 1 2 read 1
        3 3 4 read 2
        4 5 6 read 1""",
    "unknown write seen, then gone": """
        1 0 1 write 1
        2 2 - write 2
        3 3 4 read 2
        3 5 6 read 1""",
    "a write that was refused, and seen": """
        1 0 1 write 1
        2 2 3 write 2 refused
        3 4 5 read 2""",
    "a counter that counts one addition twice": """
        1 0 1 add 1 = 1
        2 2 3 add 1 = 3""",
    "a counter that forgets": """
        1 0 1 add 1 = 1
        1 2 3 add 1 = 2
        2 4 5 read 1""",
    "a counter that counts an unknown addition twice": """
        1 0 - add 1
        2 1 2 add 1 = 2
        2 3 4 add 1 = 4""",
}

GOOD = {
    "nothing": "",
    "one after the other": """
        1 0 1 write 1
        2 2 3 read 1
        2 4 5 cas 1 2 ok
        1 6 7 cas 1 3 was 2
        1 8 9 read 2""",
    "a read during a write may see either": """
        1 0 9 write 1
        2 1 2 read none
        3 3 4 read 1""",
    "a write nobody saw": """
        1 0 5 write 1
        2 1 4 write 2
        3 6 7 read 1
        3 8 9 read 1""",
    "an unknown write that takes effect late": """
        1 0 - write 1
        2 1 2 write 2
        3 3 4 read 2
        3 5 6 read 1""",
    "an unknown write that never happened": """
        1 0 - write 1
        2 1 2 read none
        2 3 4 read none""",
    "an unknown compare-and-set that happened": """
        1 0 1 write 1
        2 2 - cas 1 2
        3 3 4 cas 1 3 was 2""",
    "an unknown compare-and-set that did not": """
        1 0 1 write 1
        2 2 - cas 1 2
        3 3 4 cas 1 3 ok
        3 5 6 read 3""",
    "an unknown compare-and-set that came too late": """
        1 0 1 write 1
        1 2 3 write 2
        2 4 - cas 1 2
        3 5 6 read 2""",
    "a failed compare-and-set explained by an unknown write": """
        1 0 1 write 1
        1 2 - write 2
        2 3 4 cas 1 5 failed""",
    "a write that was refused": """
        1 0 1 write 1
        2 2 3 write 2 refused
        3 4 5 read 1""",
    "the same value twice": """
        1 0 1 write 1
        1 2 3 write 2
        1 4 5 write 1
        2 6 7 read 1""",
    "deleted and made again": """
        1 0 1 write 1
        1 2 3 write none
        2 4 5 read none
        2 6 7 cas none 4 ok
        1 8 9 read 4""",
    "a counter with unknown additions": """
        1 0 - add 1
        2 0 - add 1
        3 1 2 add 1 = 2
        3 3 4 read 2
        3 5 6 read 3""",
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_histories_are_refused(name: str) -> None:
    operations = written(BAD[name])
    assert not check(operations).linearizable
    (violation,) = check_history(operations)
    text = violation.text()
    assert "key k" in text
    assert len(text.splitlines()) >= 3, text


@pytest.mark.parametrize("name", GOOD)
def test_right_histories_pass(name: str) -> None:
    assert check(written(GOOD[name])).linearizable


def correct_history(count: int, keys: int, clients: int, seed: int, unknown: float = 0.01) -> list[Operation]:
    """What `clients` see of correct registers: effects take place at an instant within each operation."""
    rng = random.Random(seed)
    values: dict[str, int | None] = {}
    waiting: list[tuple[float, Operation]] = []
    operations: list[Operation] = []
    free_at = [0.0] * clients
    for number in range(count):
        process = min(range(clients), key=free_at.__getitem__)
        start = free_at[process]
        end = start + rng.uniform(0.5, 1.5)
        free_at[process] = end + 0.01
        kind = rng.choice(("read", "read", "write", "cas"))
        operation = Operation(number, process, f"k{rng.randrange(keys)}", kind, start, end=end)
        operation.value = number + 1 if kind != "read" else None
        waiting.append((rng.uniform(start, end), operation))
        operations.append(operation)
    for _, operation in sorted(waiting, key=lambda each: each[0]):
        held = values.get(operation.key)
        operation.outcome = OK
        if operation.kind == "read":
            operation.result = held
        elif operation.kind == "write":
            values[operation.key] = operation.value
        else:
            operation.expected = held if rng.random() < 0.6 else -1
            if operation.expected == held:
                values[operation.key] = operation.value
            else:
                operation.outcome, operation.result = FAIL, held
        if operation.kind != "read" and rng.random() < unknown:
            operation.outcome, operation.end, operation.result = "unknown", float("inf"), None
    return operations


def test_many_operations_are_checked_in_few_steps() -> None:
    for keys in (1, 300):
        operations = correct_history(20_000, keys, 16, seed=keys)
        steps = 0
        for key in {each.key for each in operations}:
            verdict = check([each for each in operations if each.key == key])
            assert verdict.linearizable
            steps += verdict.steps
        assert steps < 40 * len(operations)


def test_one_stale_read_among_many_operations_is_found_and_made_small() -> None:
    operations = correct_history(3000, 1, 8, seed=5)
    reads = [each for each in operations if each.kind == "read" and each.result and each.start > 200]
    reads[40].result = next(each.result for each in reads if each.result != reads[40].result)
    (violation,) = check_history(operations)
    assert 2 <= len(violation.operations) <= 8, violation.text()


def test_a_counterexample_of_a_counter_starts_shortly_before_the_fault() -> None:
    lines = [f"{n % 3} {10 * n} {10 * n + 5} add 1 = {n + 1}" for n in range(200)]
    (violation,) = check_history(written("\n".join([*lines, "7 2001 2002 read 190"])))
    assert violation.initial is not None and violation.initial >= 189
    assert len(violation.operations) <= 12
    assert "before them the register held" in violation.text()


def test_a_small_counterexample_is_still_one() -> None:
    for name, text in BAD.items():
        if "for no reason" in name or "on what it expected" in name:
            continue
        smallest = shrink(written(text))
        assert not check(smallest).linearizable, name


def test_giving_up_is_no_pass() -> None:
    clients = 14
    lines = [f"{n} 0 9 write {n % 2 + 1}" for n in range(clients)]
    lines += [f"{n + clients} 0 9 cas {n % 2 + 1} {(n + 1) % 2 + 1} ok" for n in range(clients)]
    operations = written("\n".join([*lines, "1 10 11 read 3"]))
    with pytest.raises(BudgetExceededError):
        check(operations, budget=1000)
    (violation,) = check_history(operations, budget=1000)
    assert "given up" in violation.text()


def test_a_history_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    clock = iter(range(100))
    history = History(path, lambda: float(next(clock)))
    first = history.invoke(1, "a", "write", 5)
    second = history.invoke(2, "a", "cas", 6, expected=5)
    history.ok(first)
    history.fail(second, 5)
    history.unknown(history.invoke(1, "b", "add", 1), "timeout")
    history.ok(history.invoke(3, "a", "read"), 5)
    history.close()
    again = read_history(path)
    assert [each.text() for each in again] == [each.text() for each in history.operations]
    assert [(each.start, each.end) for each in again][:2] == [(0.0, 2.0), (1.0, 3.0)]
    assert main([str(path)]) == 1  # the compare-and-set failed on the value it expected


def test_a_run_that_broke_off_leaves_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(
        json.dumps(
            {"event": "invoke", "id": 0, "process": 1, "key": "a", "kind": "write", "value": 1, "time": 0.5}
        )
        + "\n"
    )
    (operation,) = read_history(path)
    assert operation.outcome == "unknown"
    assert main([str(path)]) == 0


@pytest.mark.parametrize("line", ["{", '{"event": "ok", "id": 3, "time": 1}', '{"event": "odd", "id": 0}'])
def test_a_broken_file_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_history([line])
