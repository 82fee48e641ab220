"""The HTTP door of a cache node: the router's own front, whose data operations go through the cache tier.

    door = CachedDispatcher(entries(context), tier, context, transport, telemetry, access_log, authenticate, pages)
    view.on_document.append(door.follow)
    door.json_of = forms.json_of           # where a wire door keeps items in another form
    await serve(door, host, port)

A client of the ordinary API gets what a router would have answered, but for what the cache says is older. All other
operations, services and pages pass through. A read whose very bytes have been seen before is answered in a few
microseconds, if what it asks for is cached (`http_memo`); its signature is checked as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any, Final

from hashrange_dax.cache import ItemEntry, QueryEntry
from hashrange_dax.tier import Answer, Tier
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.dispatch import (
    JSON_TYPES,
    Authenticate,
    Dispatcher,
    OperationEntry,
    SystemPages,
)
from hashrange_router.http.request import Request

from hashrange.cli.dax.http_memo import Asked, Known, Memo
from hashrange.cli.dax.replies import JsonOf, answer_body, item_body, query_body
from hashrange.errors import ApiError, internal
from hashrange.model.table_document import TableDocument
from hashrange.runtime.logging import AccessLog, get_logger
from hashrange.runtime.telemetry import Telemetry
from hashrange.wire.messages import Done, Transport

CACHED: Final = frozenset(
    (
        "GetItem",
        "BatchGetItem",
        "Query",
        "Scan",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "TransactWriteItems",
        "TransactGetItems",
    )
)
"""The operations that go through the tier."""

MEMO_SHARE: Final = 8
"""One part in this many of the cache's budget is what request bodies may take besides."""

_log = get_logger("dax")


class _ThroughTier:
    """What a cached operation yields in the place of a message: it is answered by the tier."""

    __slots__ = ("operation", "request", "tier")

    def __init__(self, tier: Tier, operation: str, request: dict[str, Any]) -> None:
        self.tier = tier
        self.operation = operation
        self.request = request

    def start(self, done: Done) -> None:
        """Have it answered; a fault of the tier is an answer too."""
        left = [done]

        def once(answer: Answer | ApiError) -> None:
            if left:
                left.pop()(answer)

        try:
            self.tier.run(self.operation, self.request, once, checked=True)
        except Exception as error:
            _log.error("an operation failed", operation=self.operation, exc_info=error)
            once(internal())


class _DoorTransport:
    """The way of messages: to the tier those that are its, to the nodes all others."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    def send(self, message: Any, done: Done) -> None:
        """Send (`Transport`)."""
        if message.__class__ is _ThroughTier:
            message.start(done)
        else:
            self._inner.send(message, done)


class CachedDispatcher(Dispatcher):
    """The HTTP application of a cache node. Arguments as `Dispatcher` has them, with the tier and the view."""

    def __init__(
        self,
        entries: dict[bytes, OperationEntry],
        tier: Tier,
        context: RouterContext,
        transport: Transport,
        telemetry: Telemetry,
        access_log: AccessLog,
        authenticate: Authenticate,
        pages: SystemPages,
    ) -> None:
        cached = {
            target: replace(entry, handle=self._handler(target, entry.name))
            if entry.name in CACHED
            else entry
            for target, entry in entries.items()
        }
        super().__init__(cached, _DoorTransport(transport), telemetry, access_log, authenticate, pages)
        self._tier = tier
        self._store = tier.store
        self._context = context
        self._tables = context.tables
        self.memo = Memo(tier.store.budget_bytes // MEMO_SHARE)
        self.json_of: JsonOf = _own_json
        """How an entry's JSON is got at."""

    def follow(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        """A table has changed or gone (`RouterContext.follow`)."""
        if before is not None and (after is None or after["TableId"] != before["TableId"]):
            self.memo.forget_table(name)

    def __call__(self, request: Request) -> None:
        """Run one request: at once if its bytes are known and what they ask for is cached."""
        known = self.memo.find(request.body)
        if known is None or not self._answered(request, known):
            self._tier.metrics.bytes_in += len(request.body)
            super().__call__(request)

    def _answered(self, request: Request, known: Known) -> bool:
        """Answer out of the cache; False for what must take the long way."""
        started = perf_counter()
        headers = request.headers
        target, operation, table, stats = known.asked
        if (
            headers.get(b"x-amz-target") != target
            or headers.get(b"content-type") not in JSON_TYPES
            or request.method != b"POST"
            or request.target != b"/"
        ):
            return False
        body = request.body
        if self._tables.get(table.name) is not table:
            self.memo.forget(body)
            return False
        try:
            self._authenticate(request)
        except ApiError:
            return False
        tier = self._tier
        if operation == "GetItem":
            entry = tier.hit(table, known.key)
            if entry is None:
                return False
            json = entry.json
            reply = item_body(json if json is not None else self.json_of(entry), known.projection)
        else:
            found = tier.hit_query(known.key)
            if found is None:
                return False
            reply = found.http or query_body(found, self._store)
        self.memo.used(body)
        metrics = tier.metrics
        metrics.bytes_in += len(body)
        metrics.bytes_out += len(reply)
        seconds = perf_counter() - started
        stats.observe(seconds)
        if self._access_log.enabled:
            self._access_log.record(request.request_id, operation, table.name, 200, seconds)
        request.reply(200, reply, request.content_type)
        return True

    def _handler(self, target: bytes, name: str) -> Callable[[Call, dict[str, Any]], Any]:
        """The handler of a cached operation: what it yields the tier answers."""

        def handle(call: Call, request: dict[str, Any]) -> Any:
            call.table = self._table_name(request)
            strong = request.get("ConsistentRead") is True
            answer: Answer = yield _ThroughTier(self._tier, name, request)
            entry: ItemEntry | QueryEntry | None = answer.item or answer.query
            if entry is not None and entry.size and not strong:
                self._remember(call, target, name, entry, answer)
            return answer_body(answer, self.json_of, self._store)

        return handle

    def _remember(
        self, call: Call, target: bytes, name: str, entry: ItemEntry | QueryEntry, answer: Answer
    ) -> None:
        """Know the request's bytes from now on: what they ask for is cached."""
        table = entry.table
        if table is not None and self._tables.get(table.name) is table:
            asked = Asked(target, name, table, self._telemetry.operation(name, table.name))
            self.memo.remember(call.request.body, asked, entry.key, answer.projection)

    def _table_name(self, request: dict[str, Any]) -> str:
        """The table that a request is counted for; "" for none, or several."""
        name = request.get("TableName")
        if name is None:
            names = list(request.get("RequestItems", ()))
            if len(names) != 1:
                return ""
            [name] = names
        if name in self._tables:
            return str(name)
        try:
            return self._context.table(name).name
        except ApiError:
            return ""

    def _noted(self, call: Call, error: ApiError) -> None:
        """What has failed behind the tier is noted there."""
        if call.operation not in CACHED:
            super()._noted(call, error)

    def _finish(self, call: Call, outcome: Any) -> None:
        if outcome.__class__ is bytes:
            self._tier.metrics.bytes_out += len(outcome)
        super()._finish(call, outcome)


def _own_json(entry: ItemEntry) -> bytes | None:
    return entry.json
