"""The tables behind a cache node: a router's operations, run for the cache tier instead of for HTTP.

    backend = RouterBackend(entries(context), context, transport, telemetry, meter.note)
    backend.check("GetItem", request)      # raises what is to be answered
    backend.run("GetItem", request, done)  # done(BackendReply | ApiError)

What an operation consumes is counted here, once, whichever door it came through; how often operations are called, and
how long they take, is for the doors to count. Errors are worded as for a client of the API.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from hashrange_dax.contracts import BackendDone, BackendReply, Request
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.dispatch import OperationEntry

from hashrange.errors import ApiError, internal, unknown_operation
from hashrange.model.item_state import ItemState
from hashrange.model.table import TableSchema
from hashrange.runtime.logging import get_logger
from hashrange.runtime.telemetry import Telemetry
from hashrange.wire.messages import Transport

Note = Callable[[str, ApiError], None]


def _unnoted(table: str, error: ApiError) -> None:
    """For programs that count no refusals."""


class RouterBackend:
    """The `Backend` of a program that has a router's parts: its operations, its view and its transport.

    `note` is told of every failed call's table and error, for whoever counts refusals.
    """

    def __init__(
        self,
        entries: dict[bytes, OperationEntry],
        context: RouterContext,
        transport: Transport,
        telemetry: Telemetry | None = None,
        note: Note = _unnoted,
    ) -> None:
        self._entries = {entry.name: entry for entry in entries.values()}
        self._transport = transport
        self._telemetry = telemetry
        self._note = note
        self._log = get_logger("dax")
        self.table: Callable[[str], TableSchema] = context.table
        """A table that can be used now; ResourceNotFoundException otherwise (`Backend.table`)."""

    def check(self, operation: str, request: Request) -> None:
        """Hold a request against the API's model and rules; raises what the client is to be answered with."""
        entry = self._entry(operation)
        try:
            entry.validate(request)
        except ApiError as error:
            raise self._finished(entry, entry.reconsider(request, error)) from None

    def run(self, operation: str, request: Request, done: BackendDone) -> None:
        """Run a checked operation; see `Backend.run`."""
        entry = self._entry(operation)

        def finish(call: Call, outcome: Any) -> None:
            if outcome.__class__ is bytes:
                answer: BackendReply | ApiError = BackendReply(outcome, states)
            else:
                answer = self._failure(call, entry, outcome)
            self._count(call)
            done(answer)

        call = Call(operation, None, self._transport, finish)
        call.entry = entry
        states: list[ItemState] = []
        call.states = states
        try:
            steps = entry.handle(call, request)
        except ApiError as error:
            finish(call, entry.reconsider(request, error))
            return
        except Exception as error:
            finish(call, error)
            return
        call.run(steps)

    def _entry(self, operation: str) -> OperationEntry:
        entry = self._entries.get(operation)
        if entry is None:
            raise unknown_operation()
        return entry

    def _failure(self, call: Call, entry: OperationEntry, outcome: Any) -> ApiError:
        if not isinstance(outcome, ApiError):
            self._log.error("an operation failed", operation=call.operation, exc_info=outcome)
            return internal()
        self._note(call.table, outcome)
        return self._finished(entry, outcome)

    def _finished(self, entry: OperationEntry, error: ApiError) -> ApiError:
        """The error as a client gets it; its `fields` are plain JSON values."""
        error = entry.finish_error(entry.name, error)
        if error.fields:
            error.fields = orjson.loads(orjson.dumps(error.fields))
        return error

    def _count(self, call: Call) -> None:
        if self._telemetry is None or not (call.read_units_half or call.write_units_half):
            return
        stats = self._telemetry.operation(call.operation, call.table)
        stats.read_units_half += call.read_units_half
        stats.write_units_half += call.write_units_half
        stats.returned_items += call.returned_items
