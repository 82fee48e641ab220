"""Operations of this very process: what a client would send over HTTP, without HTTP.

    client = InProcessClient(entries(context), context, transport)
    reply = await client.call("GetItem", {"TableName": TRIGGER_TABLE, "Key": {...}, "ConsistentRead": True})
    answer = await client.send(ReadShards(...))

Requests and replies are the documents of the API, checked and worded as for a client; there is no signature. Only
here may a request name a system table (`$triggers`), which is created when the first request names it: operations on
one item or a range, and TransactWriteItems, but no batches. What a system table consumes is no table's capacity and
nobody's budget.

A request belongs to the call: values in it are brought into their canonical form in place.

An embedded node answers reads within the call, so a loop over many calls would never let go of the event loop: after
`TURN_S` of such answers a call lets everybody else have a turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from hashrange.errors import ApiError, internal, unknown_operation
from hashrange.runtime.logging import get_logger
from hashrange.wire.messages import Transport
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.dispatch import OperationEntry
from hashrange_router.system_table import SystemTable, ensure_system_table
from hashrange_router.triggers.contracts import TRIGGER_TABLE

TURN_S = 0.002
"""How long calls may be answered at once, one after the other, before the event loop gets a turn."""

TRIGGERS = SystemTable(TRIGGER_TABLE, ("pk", "sk"), "expires", "The table of the trigger pools")
SYSTEM_TABLES = {TRIGGERS.name: TRIGGERS}
"""Those that may be named here."""

_STAND_IN = "system"
"""The name under which a request for a system table is checked: the model's pattern is for names of clients."""


class InProcessClient:
    """The `LocalClient` of a process that has a router's parts: its operations, its view and its transport."""

    def __init__(
        self, entries: dict[bytes, OperationEntry], context: RouterContext, transport: Transport
    ) -> None:
        self._entries = {entry.name: entry for entry in entries.values()}
        self._context = context
        self._transport = transport
        self._log = get_logger("local")
        self._turn_at = 0.0

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run an operation; raises the ApiError that a client would be answered with.

        `fields` of that error are plain JSON values (`Item` of a failed condition). Not to be given up on:
        a write that is cancelled may be made all the same.
        """
        entry = self._entries.get(operation)
        if entry is None:
            raise unknown_operation()
        named = _named(operation, request)
        try:
            if not named:
                entry.validate(request)
            else:
                for name in {each["TableName"] for each in named}:
                    await self._ensure(name)
                _check_under_another_name(entry, request, named)
        except ApiError as error:
            raise entry.finish_error(operation, entry.reconsider(request, error)) from None
        body = await self._run(entry, request)
        reply: dict[str, Any] = orjson.loads(body)
        return reply

    async def send(self, message: Any) -> Any:
        """Send a message of `hashrange.wire` to where it belongs; raises an ApiError that answers it."""
        answer = await self._answer(lambda done: self._transport.send(message, done))
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def _ensure(self, name: str) -> None:
        """Have a system table: in this process's view, whoever has made it."""
        if name in self._context.tables:
            return
        steps = ensure_system_table(self._context, SYSTEM_TABLES[name])
        answer = await self._answer(
            lambda done: Call("CreateTable", None, self._transport, lambda call, outcome: done(outcome)).run(
                steps  # type: ignore[arg-type]  # it ends with the table, not with a body
            )
        )
        if isinstance(answer, Exception):
            raise answer

    async def _run(self, entry: OperationEntry, request: dict[str, Any]) -> bytes:
        def start(done: Callable[[Any], None]) -> None:
            call = Call(entry.name, None, self._transport, lambda call, outcome: done(outcome))
            call.entry = entry
            try:
                operation = entry.handle(call, request)
            except ApiError as error:
                done(entry.reconsider(request, error))
                return
            call.run(operation)

        outcome = await self._answer(start)
        if outcome.__class__ is bytes:
            body: bytes = outcome
            return body
        if not isinstance(outcome, ApiError):
            self._log.error("an operation failed", operation=entry.name, exc_info=outcome)
            raise internal() from outcome
        error = entry.finish_error(entry.name, outcome)
        if error.fields:
            error.fields = orjson.loads(orjson.dumps(error.fields))
        raise error

    async def _answer(self, start: Callable[[Callable[[Any], None]], None]) -> Any:
        """What `start` has its callback called with, now or later."""
        answers: list[Any] = []
        future: asyncio.Future[None] | None = None

        def done(answer: Any) -> None:
            answers.append(answer)
            if future is not None and not future.done():
                future.set_result(None)

        start(done)
        loop = asyncio.get_running_loop()
        if not answers:
            future = loop.create_future()
            await future
            self._turn_at = loop.time()
        elif loop.time() - self._turn_at > TURN_S:
            await asyncio.sleep(0)
            self._turn_at = loop.time()
        return answers[0]


def _named(operation: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a request that name system tables: operations on one item, on a range, or transactions of writes."""
    parts: list[Any] = [request]
    if operation == "TransactWriteItems":
        parts = [part for action in request["TransactItems"] for part in action.values()]
    return [each for each in parts if each.get("TableName") in SYSTEM_TABLES]


def _check_under_another_name(
    entry: OperationEntry, request: dict[str, Any], named: list[dict[str, Any]]
) -> None:
    """Check a request as if its system tables had names that clients may write."""
    names = [part["TableName"] for part in named]
    for part in named:
        part["TableName"] = _STAND_IN
    try:
        entry.validate(request)
    finally:
        for part, name in zip(named, names, strict=True):
            part["TableName"] = name
