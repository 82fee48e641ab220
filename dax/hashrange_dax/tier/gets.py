"""GetItem and BatchGetItem through the item cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hashrange.errors import ApiError
from hashrange.expr import Projection
from hashrange.model.item_state import ItemState
from hashrange.model.table import TableSchema
from hashrange.model.throttling import is_throttling
from hashrange.model.value import Item
from hashrange_dax.cache import ItemEntry
from hashrange_dax.contracts import Backend, BackendReply, Change, Request
from hashrange_dax.tier.answer import Answer, Done, Group
from hashrange_dax.tier.flight import Flight, FlightKey, Landed
from hashrange_dax.tier.items import ItemCache
from hashrange_dax.tier.requests import TableKey, encoded_key, projection_in, split_consumed

REPLY_BYTES = 16 << 20
"""Item data in one reply of BatchGetItem (DynamoDB Developer Guide, Constraints); here counted as JSON."""

Tell = Callable[[list[Change]], None]


class ItemReads:
    """Reads of items by their keys. `table_of` is the backend's `table`, or raises as that does."""

    def __init__(
        self, backend: Backend, cache: ItemCache, tell: Tell, table_of: Callable[[str], TableSchema]
    ) -> None:
        self._backend = backend
        self._cache = cache
        self._tell = tell
        self._table_of = table_of

    def get(self, request: Request, done: Done) -> Callable[[], None]:
        """What there is to be done for a GetItem; raises if the request does not fit its table."""
        table = self._table_of(request["TableName"])
        key = request["Key"]
        encoded = encoded_key(table, key)
        projection = projection_in(request, table)
        mode = request.get("ReturnConsumedCapacity")
        read = self._strong if request.get("ConsistentRead") is True else self._look
        return partial(read, TableKey(table, request["TableName"], encoded, key), projection, mode, done)

    def _look(self, key: TableKey, projection: Projection | None, mode: str | None, done: Done) -> None:
        """Answer from the cache, or from the table."""
        cache = self._cache
        entry = cache.store.item(key.table.table_id, key.encoded, cache.now())
        if entry is None:
            cache.metrics.item_misses += 1
            self._miss(key, projection, mode, done)
            return
        cache.metrics.item_hits += 1
        entry.table = key.table
        done(Answer(item=entry, projection=projection))

    def _strong(self, key: TableKey, projection: Projection | None, mode: str | None, done: Done) -> None:
        """A strong read passes the cache by and leaves it as it is."""

        def answered(reply: BackendReply | ApiError) -> None:
            if isinstance(reply, ApiError):
                done(reply)
                return
            _, consumed = split_consumed(reply.body, mode)
            done(Answer(item=_entry_of(reply.states[0]), consumed=consumed, projection=projection))

        self._backend.run("GetItem", _get_request(key, mode, strong=True), answered)

    def _miss(self, key: TableKey, projection: Projection | None, mode: str | None, done: Done) -> None:
        """Read a key from its table, or wait for who does already."""
        consumed: bytes | None = None

        def landed(result: Landed) -> None:
            if isinstance(result, ItemEntry):
                done(Answer(item=result, consumed=consumed, projection=projection))
            elif isinstance(result, ApiError) and not shared:
                done(result)
            else:
                # What has kept another request from its read need not keep this one from its own.
                self._miss(key, projection, mode, done)

        flight_key = (key.table.table_id, key.encoded)
        flight = self._cache.flight(flight_key)
        shared = flight is not None
        if flight is not None:
            self._cache.metrics.coalesced += 1
            flight.waiters.append(landed)
            return
        flight = self._cache.take_off(flight_key)
        flight.waiters.append(landed)

        def answered(reply: BackendReply | ApiError) -> None:
            nonlocal consumed
            if not isinstance(reply, ApiError):
                _, consumed = split_consumed(reply.body, mode)
            self._land(flight, reply)

        self._backend.run("GetItem", _get_request(key, mode), answered)

    def refill(self, key: TableKey) -> None:
        """Read a key strongly into the cache; who misses it meanwhile waits for that. What fails is left alone."""
        flight_key = (key.table.table_id, key.encoded)
        flight = self._cache.flight(flight_key)
        if flight is not None:
            if flight.strong:
                return
            # Whoever was answered first may have missed the key already; that read need not see the transaction.
            self._cache.forget([flight_key])
        self._cache.metrics.refills += 1
        flight = self._cache.take_off(flight_key, strong=True)
        self._backend.run(
            "GetItem", _get_request(key, None, strong=True), lambda reply: self._land(flight, reply)
        )

    def _land(self, flight: Flight, reply: BackendReply | ApiError) -> None:
        if isinstance(reply, ApiError):
            change = self._cache.land(flight, None, reply)
        else:
            change = self._cache.land(flight, reply.states[0])
        if change is not None:
            self._tell([change])

    def batch(self, request: Request, done: Done) -> Callable[[], None]:
        """What there is to be done for a BatchGetItem; raises if the request does not fit its tables."""
        batch = _Batch(request, done)
        for name, entry in request["RequestItems"].items():
            table = self._table_of(name)
            group = _Group(name, table, entry, projection_in(entry, table))
            for key in entry["Keys"]:
                group.slots.append(_Slot(TableKey(table, name, encoded_key(table, key), key)))
            batch.groups.append(group)
        return partial(self._look_all, batch)

    def _look_all(self, batch: _Batch) -> None:
        """Answer each key from the cache, and the others from their tables, in one request."""
        flights: dict[FlightKey, Flight] = {}
        strong: dict[FlightKey, list[_Slot]] = {}
        asked: dict[str, Any] = {}
        for group in batch.groups:
            sent = (
                self._look_up_strong(group, strong) if group.strong else self._look_up(batch, group, flights)
            )
            if sent:
                asked[group.name] = {"Keys": sent, "ConsistentRead": True} if group.strong else {"Keys": sent}
        if not asked:
            batch.released()
            return
        document: Request = {"RequestItems": asked}
        if batch.mode is not None:
            document["ReturnConsumedCapacity"] = batch.mode

        def answered(reply: BackendReply | ApiError) -> None:
            self._batch_answered(batch, flights, strong, reply)

        self._backend.run("BatchGetItem", document, answered)

    def _look_up_strong(self, group: _Group, strong: dict[FlightKey, list[_Slot]]) -> list[Item]:
        sent = []
        for slot in group.slots:
            sent.append(slot.key.item)
            strong.setdefault((group.table.table_id, slot.key.encoded), []).append(slot)
        return sent

    def _look_up(self, batch: _Batch, group: _Group, flights: dict[FlightKey, Flight]) -> list[Item]:
        """Find the keys of a table, or wait for them; returns those that are to be read."""
        cache = self._cache
        metrics, table_id, now = cache.metrics, group.table.table_id, cache.now()
        sent = []
        for slot in group.slots:
            entry = cache.store.item(table_id, slot.key.encoded, now)
            if entry is not None:
                metrics.item_hits += 1
                entry.table = group.table
                slot.result = entry
                continue
            metrics.item_misses += 1
            flight_key = (table_id, slot.key.encoded)
            flight = cache.flight(flight_key)
            if flight is None:
                flight = flights[flight_key] = cache.take_off(flight_key)
                sent.append(slot.key.item)
            else:
                metrics.coalesced += 1
            batch.wait(flight, slot)
        return sent

    def _batch_answered(
        self,
        batch: _Batch,
        flights: dict[FlightKey, Flight],
        strong: dict[FlightKey, list[_Slot]],
        reply: BackendReply | ApiError,
    ) -> None:
        """Give every flight and every slot of a batch its state, or what has become of it."""
        states: dict[FlightKey, ItemState] = {}
        failure = reply if isinstance(reply, ApiError) else None
        if not isinstance(reply, ApiError):
            _, batch.consumed = split_consumed(reply.body, batch.mode)
            states = {(state.table.table_id, state.key): state for state in reply.states}
        for key, slots in strong.items():
            state = states.get(key)
            for slot in slots:
                slot.result = _entry_of(state) if state is not None else failure
        changes = []
        for key, flight in flights.items():
            change = self._cache.land(flight, states.get(key), failure)
            if change is not None:
                changes.append(change)
        if changes:
            self._tell(changes)
        batch.released()


class _Slot:
    """One key of a batch; its result is None while it is unknown, and for a key that was left unprocessed."""

    __slots__ = ("key", "result")

    def __init__(self, key: TableKey) -> None:
        self.key = key
        self.result: ItemEntry | ApiError | None = None


class _Group:
    """The keys of one table in a batch."""

    __slots__ = ("entry", "name", "projection", "slots", "strong", "table")

    def __init__(
        self, name: str, table: TableSchema, entry: dict[str, Any], projection: Projection | None
    ) -> None:
        self.name = name
        self.table = table
        self.entry = entry
        self.projection = projection
        self.strong = entry.get("ConsistentRead") is True
        self.slots: list[_Slot] = []


class _Batch:
    """A BatchGetItem while some of its keys are being read."""

    def __init__(self, request: Request, done: Done) -> None:
        self.mode = request.get("ReturnConsumedCapacity")
        self.consumed: bytes | None = None
        self.groups: list[_Group] = []
        self._done = done
        self._pending = 1

    def wait(self, flight: Flight, slot: _Slot) -> None:
        """Have a slot filled by a flight."""
        self._pending += 1

        def landed(result: Landed) -> None:
            slot.result = result if isinstance(result, ItemEntry | ApiError) else None
            self.released()

        flight.waiters.append(landed)

    def released(self) -> None:
        """One of the things that were waited for has come; the first of them is that all has been sent."""
        self._pending -= 1
        if not self._pending:
            self._done(self._answer())

    def _answer(self) -> Answer | ApiError:
        """As the API has it: what failed for now is unprocessed, unless nothing at all could be done."""
        results = [slot.result for group in self.groups for slot in group.slots]
        failures = [result for result in results if isinstance(result, ApiError)]
        for failure in failures:
            if failure.status < 500 and not is_throttling(failure):
                return failure
        if failures and not any(isinstance(result, ItemEntry) for result in results):
            return failures[0]
        groups = []
        unprocessed: dict[str, Any] = {}
        size = 0
        for group in self.groups:
            items: list[tuple[Item, ItemEntry]] = []
            left: list[Item] = []
            for slot in group.slots:
                entry = slot.result
                if not isinstance(entry, ItemEntry):
                    left.append(slot.key.item)
                elif not entry.absent:
                    size += _json_size(entry)
                    if size > REPLY_BYTES:
                        left.append(slot.key.item)
                    else:
                        items.append((slot.key.item, entry))
            if left:
                unprocessed[group.name] = {**group.entry, "Keys": left}
            groups.append(Group(group.name, group.table, group.projection, items))
        return Answer(groups=groups, unprocessed=unprocessed, consumed=self.consumed)


def _json_size(entry: ItemEntry) -> int:
    form = entry.json if entry.json is not None else entry.wire
    return len(form) if form is not None else 0


def _entry_of(state: ItemState) -> ItemEntry:
    """An entry that is in no cache."""
    return ItemEntry(state.table.table_id, state.table, state.key, state.item_json, state.stamp)


def _get_request(key: TableKey, mode: str | None, strong: bool = False) -> Request:
    request: Request = {"TableName": key.name, "Key": key.item}
    if strong:
        request["ConsistentRead"] = True
    if mode is not None:
        request["ReturnConsumedCapacity"] = mode
    return request
