"""The query cache: Query and Scan. Nothing but time and want of memory takes a reply out of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange_dax.cache import CacheStore, QueryEntry
from hashrange_dax.cache.entries import QueryKind
from hashrange_dax.contracts import Backend, BackendReply, Request
from hashrange_dax.metrics import Metrics
from hashrange_dax.tier.answer import Answer, Done
from hashrange_dax.tier.requests import RangeRead, query_key, range_read, split_consumed

Waiter = Callable[["QueryEntry | ApiError"], None]


class QueryReads:
    """Reads of ranges. `table_of` is the backend's `table`, or raises as that does."""

    def __init__(
        self,
        backend: Backend,
        store: CacheStore,
        now: Callable[[], float],
        metrics: Metrics,
        table_of: Callable[[str], TableSchema],
    ) -> None:
        self._backend = backend
        self._store = store
        self._now = now
        self._metrics = metrics
        self._table_of = table_of
        self._waiting: dict[bytes, list[Waiter]] = {}

    def prepared(self, operation: QueryKind, request: Request, done: Done) -> Callable[[], None]:
        """What there is to be done for a Query or Scan; raises if the request does not fit its table."""
        table = self._table_of(request["TableName"])
        key = query_key(operation, request, table)
        if request.get("ConsistentRead") is not True:
            entry = self._store.query(key, self._now())
            if entry is not None:
                self._count(operation, hit=True)
                return partial(done, Answer(query=entry))
            read = range_read(request, table)
            self._count(operation, hit=False)
            waiting = self._waiting.get(key)
            if waiting is not None:
                self._metrics.coalesced += 1
                return partial(waiting.append, partial(_landed, done))
            self._waiting[key] = []
            return partial(self._read, operation, read, table, key, done, True)
        return partial(self._read, operation, range_read(request, table), table, key, done, False)

    def _count(self, operation: QueryKind, *, hit: bool) -> None:
        metrics = self._metrics
        if operation == "Scan":
            metrics.scan_hits += hit
            metrics.scan_misses += not hit
        else:
            metrics.query_hits += hit
            metrics.query_misses += not hit

    def _read(
        self, operation: QueryKind, read: RangeRead, table: TableSchema, key: bytes, done: Done, cached: bool
    ) -> None:
        mode = read.request.get("ReturnConsumedCapacity")

        def answered(reply: BackendReply | ApiError) -> None:
            result: QueryEntry | ApiError
            consumed = None
            if isinstance(reply, ApiError):
                result = reply
            else:
                body, consumed = split_consumed(reply.body, mode)
                result = QueryEntry(operation, table, key, body, read.projection)
                if cached:
                    self._store.put_query(result, self._now())
            waiters = self._waiting.pop(key) if cached else ()
            done(result if isinstance(result, ApiError) else Answer(query=result, consumed=consumed))
            for waiter in waiters:
                waiter(result)

        self._backend.run(operation, read.request, answered)


def _landed(done: Done, result: QueryEntry | ApiError) -> None:
    """Answer one who has waited for another's read."""
    done(result if isinstance(result, ApiError) else Answer(query=result))
