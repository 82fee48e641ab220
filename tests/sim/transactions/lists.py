"""The check of the lists' history: what follows from the lists' contents, before any graph is searched."""

from __future__ import annotations

from collections.abc import Sequence

from tests.sim.checkers import check
from tests.sim.transactions.clients import FAILED, OK, Record
from tests.sim.transactions.intents import APPEND, Key


def check_lists(records: Sequence[Record]) -> None:
    """Raise `Unsafe` for what no order of the transactions explains."""
    orders = _orders(records)
    writers = {
        step.value: record
        for record in records
        for step in record.steps
        if step is not None and step.kind == APPEND
    }
    positions = {key: {value: at for at, value in enumerate(order)} for key, order in orders.items()}
    for key, order in orders.items():
        check(len(set(order)) == len(order), "an append takes place once", f"{key}: {order}")
        for value in order:
            writer = writers[value]
            check(writer.outcome != FAILED, "what was cancelled is not seen", f"{value}; {writer.text()}")
    for record in records:
        if record.outcome == OK:
            _check_acknowledged(record, positions)
            _check_whole(record, writers, positions)
            _check_time(record, records, positions)


def _orders(records: Sequence[Record]) -> dict[Key, list[int]]:
    """The longest state of each list; all others must be its beginnings."""
    orders: dict[Key, list[int]] = {}
    for record in records:
        for key, seen in record.reads.items():
            if len(seen) > len(orders.get(key, [])):
                orders[key] = seen
    for record in records:
        for key, seen in record.reads.items():
            order = orders.get(key, [])
            check(
                order[: len(seen)] == seen,
                "lists only grow",
                f"{key}: {seen} is no beginning of {order}; {record.text()}",
            )
    return orders


def _check_acknowledged(record: Record, positions: dict[Key, dict[int, int]]) -> None:
    for step in record.steps:
        if step is not None and step.kind == APPEND:
            there = step.value in positions.get(step.key, {})
            check(there, "what was acknowledged is there at the end", record.text())


def _check_whole(record: Record, writers: dict[int, Record], positions: dict[Key, dict[int, int]]) -> None:
    """A transaction is seen whole, or not at all."""
    if len(record.reads) < 2:
        return
    for seen in record.reads.values():
        for value in seen:
            for step in writers[value].steps:
                if step is not None and step.kind == APPEND and step.key in record.reads:
                    check(
                        step.value in record.reads[step.key],
                        "transactions are seen whole",
                        f"{value} and not {step.value}: {writers[value].text()} in {record.text()}",
                    )


def _check_time(record: Record, records: Sequence[Record], positions: dict[Key, dict[int, int]]) -> None:
    """A read shows what was acknowledged before it began."""
    for key, seen in record.reads.items():
        known = len(seen)
        for other in records:
            if other.end < record.start and other.outcome == OK and other is not record:
                for step in other.steps:
                    if step is not None and step.kind == APPEND and step.key == key:
                        check(
                            positions[key][step.value] < known,
                            "acknowledged appends are seen",
                            f"{other.text()} is not in {record.text()}",
                        )
