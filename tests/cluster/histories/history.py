"""Recording histories, as objects and as a file of JSON lines.

A line is an event. `{"event": "invoke", "id": 7, "process": 2, "key": "r1", "kind": "cas", "expected": 3,
"value": 4, "time": 12.000341}` opens operation 7; `{"event": "ok", "id": 7, "time": 12.004}` closes it, with
`"result"` where the answer said something. Times are seconds of one monotonic clock. Events are written as
they happen, so that the file of a run that broke off is still a history.

| kind | arguments | ok | fail |
|---|---|---|---|
| read | | result: the value, null when there is none | |
| write | value | | |
| cas | expected, value | it was `expected`, it is `value` | it was `result`, which is not `expected`; or unsaid |
| add | value | result: the sum after it | |

An operation that was `refused` (an error that says that nothing was done) never happened.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

READ = "read"
WRITE = "write"
CAS = "cas"
ADD = "add"
KINDS = (READ, WRITE, CAS, ADD)

OK = "ok"
FAIL = "fail"
REFUSED = "refused"
UNKNOWN = "unknown"

UNSAID = "?"
"""The result of a failed compare-and-set whose answer did not tell the value that was there."""


@dataclass(slots=True, eq=False)
class Operation:
    """One operation: `start` and `end` in seconds; `end` is infinite while nobody knows the outcome."""

    id: int
    process: int
    key: str
    kind: str
    start: float
    expected: Any = None
    value: Any = None
    end: float = math.inf
    outcome: str = UNKNOWN
    result: Any = None
    note: str = ""

    def copy(self) -> Operation:
        """An equal operation."""
        return Operation(
            self.id,
            self.process,
            self.key,
            self.kind,
            self.start,
            self.expected,
            self.value,
            self.end,
            self.outcome,
            self.result,
            self.note,
        )

    def text(self) -> str:
        """What was asked and what was answered, for people."""
        asked = {
            READ: "read",
            WRITE: f"write {self.value}",
            CAS: f"cas {self.expected} -> {self.value}",
            ADD: f"add {self.value}",
        }[self.kind]
        if self.outcome == UNKNOWN:
            return f"{asked}: unknown" + (f" ({self.note})" if self.note else "")
        if self.outcome == REFUSED:
            return f"{asked}: refused"
        if self.outcome == FAIL:
            return f"{asked}: failed" + ("" if self.result == UNSAID else f", it was {self.result}")
        return f"{asked}: {self.result}" if self.kind in (READ, ADD) else f"{asked}: ok"


class History:
    """Records operations, of several threads; writes them to `path` when given. `now` gives seconds."""

    def __init__(self, path: Path | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.operations: list[Operation] = []
        self._lock = threading.Lock()
        self._now = now
        self._file: TextIOWrapper | None = path.open("w", encoding="utf-8") if path is not None else None

    def invoke(self, process: int, key: str, kind: str, value: Any = None, expected: Any = None) -> Operation:
        """Note that an operation is about to be sent."""
        with self._lock:
            operation = Operation(len(self.operations), process, key, kind, self._now(), expected, value)
            self.operations.append(operation)
        if self._file is not None:
            event: dict[str, Any] = {"event": "invoke", "id": operation.id, "process": process, "key": key}
            event["kind"] = kind
            if kind == CAS:
                event["expected"] = expected
            if kind != READ:
                event["value"] = value
            self._write(event, operation.start)
        return operation

    def ok(self, operation: Operation, result: Any = None) -> None:
        """Note the answer that the operation was done."""
        self._close(operation, OK, result)

    def fail(self, operation: Operation, result: Any = UNSAID) -> None:
        """Note the answer that a compare-and-set did not find what it expected."""
        self._close(operation, FAIL, result)

    def refuse(self, operation: Operation) -> None:
        """Note the answer that nothing was done, for whatever reason."""
        self._close(operation, REFUSED, None)

    def unknown(self, operation: Operation, note: str) -> None:
        """Note that no answer came that tells whether the operation was done."""
        operation.note = note
        if self._file is not None:
            self._write({"event": UNKNOWN, "id": operation.id, "note": note}, self._now())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _close(self, operation: Operation, outcome: str, result: Any) -> None:
        operation.end = self._now()
        operation.outcome = outcome
        operation.result = result
        if self._file is not None:
            event: dict[str, Any] = {"event": outcome, "id": operation.id}
            if (operation.kind in (READ, ADD) and outcome == OK) or (outcome == FAIL and result != UNSAID):
                event["result"] = result
            self._write(event, operation.end)

    def _write(self, event: dict[str, Any], at: float) -> None:
        assert self._file is not None
        event["time"] = round(at, 6)
        # One call of a buffered writer: lines of two threads never mix.
        self._file.write(json.dumps(event) + "\n")


def read_history(path: Path) -> list[Operation]:
    """The operations of a file; raises `ValueError` naming the line that makes no sense."""
    with path.open(encoding="utf-8") as file:
        return parse_history(file)


def parse_history(lines: Iterable[str]) -> list[Operation]:
    """The operations of lines as `History` writes them, in order of their start."""
    operations: dict[int, Operation] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            _take(json.loads(line), operations)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number} is no event of a history: {error!r}") from error
    return sorted(operations.values(), key=lambda operation: operation.start)


def _take(event: dict[str, Any], operations: dict[int, Operation]) -> None:
    kind = event["event"]
    if kind == "invoke":
        if event["kind"] not in KINDS or event["id"] in operations:
            raise ValueError(event)
        operations[event["id"]] = Operation(
            event["id"],
            event["process"],
            event["key"],
            event["kind"],
            float(event["time"]),
            event.get("expected"),
            event.get("value"),
        )
        return
    operation = operations[event["id"]]
    if kind == UNKNOWN:
        operation.note = event.get("note", "")
    elif kind in (OK, FAIL, REFUSED):
        operation.end = float(event["time"])
        operation.outcome = kind
        operation.result = event.get("result", UNSAID if kind == FAIL else None)
    else:
        raise ValueError(event)


def by_key(operations: Iterable[Operation]) -> Iterator[tuple[str, list[Operation]]]:
    """The operations of each key, by start."""
    keys: dict[str, list[Operation]] = {}
    for operation in operations:
        keys.setdefault(operation.key, []).append(operation)
    for key, found in keys.items():
        found.sort(key=lambda operation: operation.start)
        yield key, found
