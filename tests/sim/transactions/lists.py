"""The lists' history as `tests.cluster.histories.list_check` reads it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.cluster.histories import lists
from tests.cluster.histories.list_check import check_lists
from tests.cluster.histories.lists import Op, Transaction
from tests.sim.checkers import Unsafe
from tests.sim.transactions.clients import FAILED, OK, Record
from tests.sim.transactions.intents import APPEND, READ

SHOWN = 4


def check_records(records: Sequence[Record]) -> None:
    """Raise `Unsafe` for what no order of the transactions explains."""
    found = check_lists([each for each in map(transaction_of, records) if each.ops])
    if found:
        raise Unsafe(
            f"{len(found)} findings in the lists\n" + "\n".join(each.text() for each in found[:SHOWN])
        )


def transaction_of(record: Record) -> Transaction:
    """What a request did to lists; without operations if it was about none. A check that held was a read."""
    ops: list[Op] = []
    for step in record.steps:
        if step is not None and step.kind == APPEND:
            ops.append((lists.APPEND, "/".join(step.key), step.value))
        elif step is not None and step.kind == READ:
            ops.append((lists.READ, "/".join(step.key), None))
    outcome = {OK: lists.OK, FAILED: lists.REFUSED}.get(record.outcome, lists.UNKNOWN)
    reads = {"/".join(key): seen for key, seen in record.reads.items()}
    return Transaction(
        record.id,
        record.process,
        record.start,
        ops,
        record.end,
        outcome,
        reads,
        record.note[:120],
        lone=record.operation == "GetItem",
    )
