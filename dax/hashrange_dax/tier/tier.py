"""The cache tier of a node: every data operation, the caches in front and the tables behind.

What DAX says of its caches (DAX Developer Guide, How DAX processes requests; DAX and DynamoDB consistency models):

- eventually consistent reads are answered from the caches, and from the tables on a miss, which fills the cache;
- strongly consistent reads and TransactGetItems go to the tables, and nothing of them is cached;
- writes go to the tables first; when they have succeeded, and before they are answered, the item cache has their
  states. A failed write leaves the caches alone. Keys of which nobody knows whether they were written are forgotten:
  when the outcome is unknown, and where a batch has failed or left items unprocessed, for that is said of items that
  a node did not answer for, too;
- TransactWriteItems takes its keys out of the item cache, and reads them again when it has been answered;
- the query cache heeds no writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange.runtime.clock import Clock
from hashrange_dax.cache import CacheStore, ItemEntry, QueryEntry
from hashrange_dax.contracts import Backend, BackendDone, BackendReply, Change, Coherence, Request
from hashrange_dax.metrics import Metrics
from hashrange_dax.tier.alone import Alone
from hashrange_dax.tier.answer import Answer, Done
from hashrange_dax.tier.gets import ItemReads
from hashrange_dax.tier.items import ItemCache
from hashrange_dax.tier.queries import QueryReads
from hashrange_dax.tier.requests import TableKey, query_key, written_keys

TRANSACTION = "TransactWriteItems"
WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", TRANSACTION})
RESOURCE_NOT_FOUND = "ResourceNotFoundException"
BATCH = "BatchWriteItem"
OUTCOME_UNKNOWN = frozenset({"InternalServerError", "TransactionInProgressException"})
"""The errors of a write that may have been made or not, or may still be made."""


class Tier:
    """The caches of one node. `coherence` None: the node is alone; it may be set once before the first request."""

    query_key = staticmethod(query_key)
    """`query_key(operation, request, table)`: what `hit_query` takes; raises if the table has no such index."""

    def __init__(
        self,
        backend: Backend,
        coherence: Coherence | None,
        store: CacheStore,
        clock: Clock,
        metrics: Metrics | None = None,
    ) -> None:
        self.backend = backend
        self.store = store
        self.metrics = metrics if metrics is not None else Metrics(store)
        self.coherence: Coherence = coherence if coherence is not None else Alone(self)
        self._now: Callable[[], float] = clock.monotonic
        self._items = ItemCache(store, self._now, self.metrics)
        self._gets = ItemReads(backend, self._items, self._tell, self._table)
        self._queries = QueryReads(backend, store, self._now, self.metrics, self._table)
        self._table_ids: dict[str, str] = {}

    def hit(self, table: TableSchema, key: bytes) -> ItemEntry | None:
        """The answer of an eventually consistent GetItem, if it is cached: that is a request and a hit then.

        `key` is encoded by the table's codec. Nothing is counted where there is no answer: `run` does that.
        """
        entry = self.store.item(table.table_id, key, self._now())
        if entry is not None:
            entry.table = table
            self.metrics.quick_gets += 1
        return entry

    def hit_query(self, key: bytes) -> QueryEntry | None:
        """The same for a Query or Scan that is eventually consistent; the door has looked its table up just now."""
        entry = self.store.query(key, self._now())
        if entry is not None:
            if entry.kind == "Scan":
                self.metrics.quick_scans += 1
            else:
                self.metrics.quick_queries += 1
        return entry

    def run(self, operation: str, request: Request, done: Done, *, checked: bool = False) -> None:
        """Run an operation; `done` is called once, with an Answer or with the error that answers the client.

        `checked`: the caller has held the request against the API's model (`Backend.check`) already. The request
        belongs to the call: its values are brought into canonical form in place.
        """
        metrics = self.metrics
        metrics.requests[operation] = metrics.requests.get(operation, 0) + 1

        def counted(answer: Answer | ApiError) -> None:
            if isinstance(answer, ApiError):
                metrics.failed(answer)
            done(answer)

        if not checked:
            try:
                self.backend.check(operation, request)
            except ApiError as error:
                counted(error)
                return
        if operation in WRITES:
            self._write(operation, request, counted)
            return
        try:
            go = self._read(operation, request, counted)
        except ApiError:
            go = None
        if go is not None:
            go()
        else:
            self._through(operation, request, counted)

    def _read(self, operation: str, request: Request, done: Done) -> Callable[[], None] | None:
        """What there is to be done for a read; None for what the tables answer themselves, as do the errors raised."""
        if operation == "GetItem":
            return self._gets.get(request, done)
        if operation == "BatchGetItem":
            return self._gets.batch(request, done)
        if operation == "Query" or operation == "Scan":
            return self._queries.prepared("Scan" if operation == "Scan" else "Query", request, done)
        return None

    def _through(self, operation: str, request: Request, done: Done) -> None:
        """Let the tables answer."""

        def answered(reply: BackendReply | ApiError) -> None:
            done(reply if isinstance(reply, ApiError) else Answer(body=reply.body))

        self.backend.run(operation, request, answered)

    def _write(self, operation: str, request: Request, done: Done) -> None:
        """Have a write made by who makes the cluster's writes, and take in here what it has left."""
        keys = self._keys_of(operation, request) if operation == TRANSACTION else []
        ticket = self._items.write_sent()

        def answered(reply: BackendReply | ApiError) -> None:
            self._items.write_ended(ticket, () if isinstance(reply, ApiError) else reply.states)
            self.drop(_cache_keys(self._unknown(operation, request, reply)))
            if isinstance(reply, ApiError):
                done(reply)
                return
            if keys:
                self.drop(_cache_keys(keys))
            done(Answer(body=reply.body))

        self.coherence.write(operation, request, answered)

    def write_here(self, operation: str, request: Request, done: BackendDone) -> None:
        """Make a checked write, of this node's clients or another's; the cluster hears of it before `done` does."""
        keys = self._keys_of(operation, request) if operation == TRANSACTION else []
        ticket = self._items.write_sent()

        def answered(reply: BackendReply | ApiError) -> None:
            states = () if isinstance(reply, ApiError) else reply.states
            changes, doubtful = self._items.write_ended(ticket, states)
            self._invalidate(self._unknown(operation, request, reply))
            if isinstance(reply, ApiError):
                done(reply)
                return
            if changes:
                self.coherence.tell(changes)
            again = keys
            if doubtful:
                named = self._keys_of(operation, request)
                again = [key for key in named if (key.table.table_id, key.encoded) in doubtful]
            self._invalidate(again)
            done(reply)
            for key in again:
                self._gets.refill(key)

        self.backend.run(operation, request, answered)

    def accept(self, changes: Sequence[Change]) -> None:
        """Take in what another node has told of; nobody is told of it again."""
        self._items.told(changes)

    def drop(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Forget keys, each with its table's id; nobody is told."""
        self._items.forget(keys)

    def clear(self) -> None:
        """Forget all items, as this node may have missed what others have written. Query results stay."""
        self._items.clear()

    def forget_table(self, table_id: str) -> None:
        """Give back the memory of a table that is gone; entries of it are found by nobody any more."""
        self.store.drop_table(table_id)

    def _invalidate(self, keys: Sequence[TableKey]) -> None:
        """Forget keys here and at the other nodes."""
        forgotten = _cache_keys(keys)
        if forgotten:
            self.drop(forgotten)
            self.coherence.invalidated(forgotten)

    def _tell(self, changes: list[Change]) -> None:
        self.coherence.tell(changes)

    def _unknown(
        self, operation: str, request: Request, reply: BackendReply | ApiError
    ) -> Sequence[TableKey]:
        """The keys of a write of which its answer does not say whether they were written."""
        if isinstance(reply, ApiError):
            if operation == BATCH or reply.type_name in OUTCOME_UNKNOWN:
                return self._keys_of(operation, request)
        elif operation == BATCH and len(reply.states) < sum(map(len, request["RequestItems"].values())):
            told = {(state.table.table_id, state.key) for state in reply.states}
            named = self._keys_of(operation, request)
            return [key for key in named if (key.table.table_id, key.encoded) not in told]
        return ()

    def _keys_of(self, operation: str, request: Request) -> list[TableKey]:
        """The keys that a write is about; none if it is wrong, which its answer will say."""
        try:
            return written_keys(self.backend, operation, request)
        except ApiError:
            return []

    def _table(self, name: str) -> TableSchema:
        """The table of a name; what is cached of another one that had its name before is given up."""
        try:
            table = self.backend.table(name)
        except ApiError as error:
            if error.type_name == RESOURCE_NOT_FOUND:
                known = self._table_ids.pop(name, None)
                if known is not None:
                    self.forget_table(known)
            raise
        known = self._table_ids.get(name)
        if known != table.table_id:
            if known is not None:
                self.forget_table(known)
            self._table_ids[name] = table.table_id
        return table


def _cache_keys(keys: Sequence[TableKey]) -> list[tuple[str, bytes]]:
    return [(key.table.table_id, key.encoded) for key in keys]
