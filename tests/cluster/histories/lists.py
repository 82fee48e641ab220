"""Histories of transactions that append to lists and read them, as objects and as a file of JSON lines.

Every key holds a list; every appended value is appended once in the whole history. So a list that somebody has read
tells which appends came before it, and in which order: all that is needed to find out whether the transactions could
have been carried out one at a time (`list_check`).

A line is an event. `{"event": "invoke", "id": 7, "process": 2, "ops": [["append", "k1", 5], ["read", "k2"]],
"time": 12.000341}` opens transaction 7; `{"event": "ok", "id": 7, "lists": {"k2": [1, 4]}, "time": 12.004}` closes it.
`refused` says that nothing was done; without either nobody knows. A list in the answer to a transaction that also
appends to its key is as it was after the transaction. A single read or update is a transaction of one operation.
A read with `"lone": true` was a GetItem, not a transaction: it shows what is committed at its item, and does not wait
for a transaction that is being finished elsewhere.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

APPEND = "append"
READ = "read"

OK = "ok"
REFUSED = "refused"
UNKNOWN = "unknown"

Value = int
Op = tuple[str, str, Value | None]
"""(APPEND, key, value) or (READ, key, None)."""


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction: `start` and `end` in seconds; `end` is infinite while nobody knows the outcome.

    `lists` has what it read, by key. `lone`: a GetItem, which keeps to real time only with what concerns its own key.
    """

    id: int
    process: int
    start: float
    ops: list[Op]
    end: float = math.inf
    outcome: str = UNKNOWN
    lists: dict[str, list[Value]] = field(default_factory=dict)
    note: str = ""
    lone: bool = False

    def appends(self) -> list[tuple[str, Value]]:
        """Keys and values that it appends, in order."""
        return [(key, value) for kind, key, value in self.ops if kind == APPEND and value is not None]

    def text(self) -> str:
        """What was asked and what was answered, for people."""
        parts = []
        for kind, key, value in self.ops:
            if kind == APPEND:
                parts.append(f"append {value} to {key}")
            elif self.outcome != OK:
                parts.append(f"read {key}")
        if self.outcome == OK:
            parts += [f"{key} is {_shown(values)}" for key, values in self.lists.items()]
        told = "" if self.outcome == OK else f": {self.outcome}" + (f" ({self.note})" if self.note else "")
        return "; ".join(parts) + told


def _shown(values: list[Value]) -> str:
    if len(values) <= 12:
        return str(values)
    return f"[{len(values) - 10} values, {', '.join(map(str, values[-10:]))}]"


class ListHistory:
    """Records transactions, of several threads; writes them to `path` when given. `now` gives seconds."""

    def __init__(self, path: Path | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.transactions: list[Transaction] = []
        self._lock = threading.Lock()
        self._now = now
        self._file: TextIOWrapper | None = path.open("w", encoding="utf-8") if path is not None else None

    def invoke(self, process: int, ops: list[Op], lone: bool = False) -> Transaction:
        """Note that a transaction is about to be sent, or a GetItem (`lone`)."""
        with self._lock:
            transaction = Transaction(len(self.transactions), process, self._now(), ops, lone=lone)
            self.transactions.append(transaction)
        shown = [[kind, key] if kind == READ else [kind, key, value] for kind, key, value in ops]
        event: dict[str, Any] = {"event": "invoke", "id": transaction.id, "process": process, "ops": shown}
        if lone:
            event["lone"] = True
        self._write(event, transaction.start)
        return transaction

    def ok(self, transaction: Transaction, lists: dict[str, list[Value]] | None = None) -> None:
        """Note the answer that the transaction was done, with the lists that it read."""
        transaction.end = self._now()
        transaction.outcome = OK
        transaction.lists = lists or {}
        event: dict[str, Any] = {"event": OK, "id": transaction.id}
        if lists:
            event["lists"] = lists
        self._write(event, transaction.end)

    def refuse(self, transaction: Transaction, note: str = "") -> None:
        """Note the answer that nothing was done, for whatever reason."""
        transaction.end = self._now()
        transaction.outcome = REFUSED
        transaction.note = note
        self._write({"event": REFUSED, "id": transaction.id, "note": note}, transaction.end)

    def unknown(self, transaction: Transaction, note: str) -> None:
        """Note that no answer came that tells whether the transaction was done."""
        transaction.note = note
        self._write({"event": UNKNOWN, "id": transaction.id, "note": note}, self._now())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, event: dict[str, Any], at: float) -> None:
        if self._file is not None:
            event["time"] = round(at, 6)
            # One call of a buffered writer: lines of two threads never mix.
            self._file.write(json.dumps(event) + "\n")


def holds_lists(path: Path) -> bool:
    """Whether a file is a history of transactions on lists; its first event tells."""
    with path.open(encoding="utf-8") as file:
        return '"ops"' in file.readline()


def read_transactions(path: Path) -> list[Transaction]:
    """The transactions of a file; raises `ValueError` naming the line that makes no sense."""
    with path.open(encoding="utf-8") as file:
        return parse_transactions(file)


def parse_transactions(lines: Iterable[str]) -> list[Transaction]:
    """The transactions of lines as `ListHistory` writes them, in order of their start."""
    found: dict[int, Transaction] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            _take(json.loads(line), found)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"line {number} is no event of a history: {error!r}") from error
    return sorted(found.values(), key=lambda transaction: transaction.start)


def _take(event: dict[str, Any], found: dict[int, Transaction]) -> None:
    kind = event["event"]
    if kind == "invoke":
        if event["id"] in found:
            raise ValueError(event)
        ops: list[Op] = [
            (op[0], op[1], op[2] if op[0] == APPEND else None)
            for op in event["ops"]
            if op[0] in (APPEND, READ)
        ]
        if len(ops) != len(event["ops"]):
            raise ValueError(event)
        lone = bool(event.get("lone", False))
        found[event["id"]] = Transaction(event["id"], event["process"], float(event["time"]), ops, lone=lone)
        return
    transaction = found[event["id"]]
    transaction.note = event.get("note", "")
    if kind in (OK, REFUSED):
        transaction.end = float(event["time"])
        transaction.outcome = kind
        transaction.lists = event.get("lists", {})
    elif kind != UNKNOWN:
        raise ValueError(event)
