"""TransactWriteItems and TransactGetItems as operations of the API."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from hashrange.errors import ApiError
from hashrange.model.throttling import is_throttling
from hashrange.wire import messages as wire
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import Admission, RouterContext
from hashrange_router.transactions import counts
from hashrange_router.transactions.actions import Action, parse_actions
from hashrange_router.transactions.coordinator import Outcome, transact
from hashrange_router.transactions.reads import Get, parse_gets, read, responses
from hashrange_router.transactions.reasons import NONE, Cancelled, cancelled
from hashrange_router.transactions.replies import charge_outcome, collection_metrics, consumed, told
from hashrange_router.transactions.tokens import digest_of


class TransactionOperations:
    """The two operations."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context
        self._counts = context.transactions

    def transact_write_items(self, call: Call, request: dict[str, Any]) -> Operation:
        """TransactWriteItems."""
        context = self._context
        actions = self._parsed(parse_actions, counts.WRITE, request)
        call.table = _table_of(actions)
        if context.admission is not None:
            self._admit_writes(context.admission, actions)
        token = request.get("ClientRequestToken")
        digest = digest_of(request["TransactItems"]) if token is not None else b""
        outcome: Outcome = yield from self._counted(
            counts.WRITE, actions, transact(context, actions, token, digest)
        )
        self._counts.outcome(counts.WRITE, outcome.kind)
        tallies = charge_outcome(context, call, actions, outcome)
        parts = [consumed(request.get("ReturnConsumedCapacity"), tallies)]
        if request.get("ReturnItemCollectionMetrics") == "SIZE":
            parts.append((yield from collection_metrics(context, actions)))
        return b"{" + b",".join(part for part in parts if part) + b"}"

    def transact_get_items(self, call: Call, request: dict[str, Any]) -> Operation:
        """TransactGetItems."""
        context = self._context
        gets = self._parsed(parse_gets, counts.READ, request)
        call.table = _table_of(gets)
        admission = context.admission
        if admission is not None:
            self._refuse_throttled(counts.READ, gets, lambda get: admission.read(get.table, None))
        found = yield from self._counted(counts.READ, gets, read(context, gets))
        body, tallies, call.returned_items = responses(gets, found)
        self._counts.outcome(counts.READ, counts.SPREAD if len(gets) > 1 else counts.LOCAL)
        told(call, tallies, "READ")
        if admission is not None:
            tables = {get.table.name: get.table for get in gets}
            for tally in tallies:
                admission.charge_read(tables[tally.table_name], None, tally.table_half)
        units = consumed(request.get("ReturnConsumedCapacity"), tallies)
        return b"{" + body + (b"," + units if units else b"") + b"}"

    def _admit_writes(self, admission: Admission, actions: list[Action]) -> None:
        def ask(action: Action) -> None:
            admission.write(action.table, action.item if action.write.kind == wire.PUT else None)

        self._refuse_throttled(counts.WRITE, actions, ask)

    def _refuse_throttled(self, operation: str, concerned: list[Any], ask: Any) -> None:
        """Cancel a transaction if one of its tables has no capacity for it."""
        errors: dict[int, ApiError] = {}
        for each in concerned:
            try:
                ask(each)
            except ApiError as error:
                errors[each.number] = error
        if errors:
            refusal = cancelled(len(concerned), errors)
            self._count(operation, refusal, concerned)
            raise refusal

    def _parsed(self, parse: Any, operation: str, request: dict[str, Any]) -> Any:
        """The request's items; counts what it is cancelled for before anything is sent."""
        try:
            return parse(self._context, request)
        except Cancelled as error:
            self._count(operation, error, [])
            raise

    def _counted(
        self, operation: str, concerned: list[Any], steps: Generator[Any, Any, Any]
    ) -> Generator[Any, Any, Any]:
        """Run the steps; count what they raise."""
        try:
            return (yield from steps)
        except ApiError as error:
            self._count(operation, error, concerned)
            raise

    def _count(self, operation: str, error: ApiError, concerned: list[Any]) -> None:
        if isinstance(error, Cancelled):
            self._counts.outcome(operation, counts.CANCELLED)
            admission = self._context.admission
            for number, refused in error.errors.items():
                if admission is not None and is_throttling(refused):
                    admission.note(concerned[number].table.name, refused)
            for reason in error.reasons:
                if reason["Code"] != NONE:
                    self._counts.reason(operation, reason["Code"])
        else:
            self._counts.outcome(operation, counts.REFUSED if error.status < 500 else counts.FAILED)


def _table_of(concerned: list[Action] | list[Get]) -> str:
    """The one table of all items, or "" if there are several."""
    name = concerned[0].table.name
    return name if all(each.table.name == name for each in concerned) else ""
