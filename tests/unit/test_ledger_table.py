"""The ledger's table: created once by whoever comes first, found by all others, named by no client."""

from __future__ import annotations

from collections.abc import Generator
from itertools import count
from typing import Any

import pytest
from hashrange_router.api.context import RouterContext
from hashrange_router.api.control import TableOperations
from hashrange_router.api.tables import list_tables
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.transactions.ledger_table import ensure_ledger, ledger_document

from hashrange.errors import ApiError, unavailable
from hashrange.model.ledger import LEDGER_TABLE, is_system_table
from hashrange.model.table import TableSchema
from hashrange.model.table_document import TableDocument
from hashrange.model.table_state import table_activated
from hashrange.wire.messages import ChangeTable, ConflictError, WhenSettled
from tests.unit.table_support import ACCOUNT, NOW, REGION


class Control:
    """A control plane whose catalogue several routers follow."""

    def __init__(self) -> None:
        self.documents: dict[str, TableDocument] = {}
        self.next_id = 5
        self.created = 0
        self.routers: list[RouterContext] = []

    def router(self) -> RouterContext:
        numbers = count()
        context = RouterContext(
            Site(REGION, ACCOUNT, Quotas()), "2026", lambda: NOW, lambda: f"id-{next(numbers)}"
        )
        context.next_partition_id = lambda: self.next_id
        self.routers.append(context)
        return context

    def put(self, document: TableDocument) -> None:
        self.documents[document["TableName"]] = document
        for context in self.routers:
            context.follow(document["TableName"], None, document)

    def answer(self, message: Any) -> Any:
        """As the control plane answers; the routers' views are at hand when it does."""
        if isinstance(message, ChangeTable):
            if message.name in self.documents or min(message.partition_ids) < self.next_id:
                return ConflictError()
            self.next_id = max(message.partition_ids) + 1
            self.created += 1
            assert message.expected is None and message.document is not None
            self.put(message.document)
            return message.document
        assert isinstance(message, WhenSettled)
        document = self.documents[message.name]
        if document["Status"] == "CREATING":
            self.put(table_activated(document, NOW))
        return None


def run(control: Control, steps: Generator[Any, Any, TableSchema]) -> TableSchema:
    """Drive steps to their end."""
    answer: Any = None
    while True:
        try:
            if isinstance(answer, ApiError):
                message = steps.throw(answer)
            else:
                message = steps.send(answer)
        except StopIteration as end:
            table: TableSchema = end.value
            return table
        answer = control.answer(message)


def test_the_first_transaction_creates_the_ledger_and_the_next_finds_it() -> None:
    control = Control()
    context = control.router()
    table = run(control, ensure_ledger(context))
    assert table.name == LEDGER_TABLE and control.created == 1
    assert table.ttl_attribute == "expires"
    with pytest.raises(StopIteration) as found:
        next(ensure_ledger(context))
    assert found.value.value is table
    document = control.documents[LEDGER_TABLE]
    assert document["BillingMode"] == "PAY_PER_REQUEST"
    assert [part["id"] for part in document["Partitions"]] == [5]


def test_routers_that_race_get_the_same_table() -> None:
    control = Control()
    first, second = control.router(), control.router()
    one, other = ensure_ledger(first), ensure_ledger(second)
    sent = [next(one), next(other)]
    assert all(isinstance(message, ChangeTable) for message in sent)
    answers = [control.answer(message) for message in sent]
    assert isinstance(answers[1], ConflictError)
    waits = one.send(answers[0])
    assert isinstance(waits, WhenSettled)
    assert isinstance(other.throw(answers[1]), WhenSettled), "it has seen the table of the other"
    control.answer(waits)
    ids = set()
    for steps in (one, other):
        with pytest.raises(StopIteration) as end:
            steps.send(None)
        ids.add(end.value.value.table_id)
    assert len(ids) == control.created == 1


def test_a_change_of_another_table_that_took_the_ids_is_planned_around() -> None:
    control = Control()
    context = control.router()
    steps = ensure_ledger(context)
    planned = next(steps)
    control.next_id += 3
    again = steps.throw(control.answer(planned))
    assert isinstance(again, ChangeTable) and min(again.partition_ids) == control.next_id


def test_a_ledger_that_does_not_become_usable_is_unavailable() -> None:
    control = Control()
    context = control.router()
    control.put(ledger_document(context))
    steps = ensure_ledger(context)
    message = next(steps)
    with pytest.raises(ApiError) as failure:
        for _ in range(100):
            assert isinstance(message, WhenSettled)
            message = steps.throw(unavailable("no leader"))
    assert failure.value.status == 503


def test_it_is_hidden_from_operations_on_tables() -> None:
    control = Control()
    context = control.router()
    run(control, ensure_ledger(context))
    assert is_system_table(LEDGER_TABLE)
    assert list_tables({}, context) == {"TableNames": []}
    assert context.get(LEDGER_TABLE) is None
    for name in ("DescribeTable", "DeleteTable", "UpdateTable"):
        with pytest.raises(ApiError) as failure:
            next(getattr(TableOperations(context), _method(name))(_Call(), {"TableName": LEDGER_TABLE}))
        assert failure.value.type_name in ("ResourceNotFoundException", "ValidationException")


class _Call:
    table = ""


def _method(operation: str) -> str:
    return operation[:-5].lower() + "_table"
