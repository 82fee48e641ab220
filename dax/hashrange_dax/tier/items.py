"""The item cache: GetItem and BatchGetItem, misses of one key made one read, and the states that writes leave.

A read under way is a *flight*. Who misses a key that is under way waits for it. Once a write of its key has ended, or
the key was forgotten, a flight is *passed*: it still answers those who waited for it before, but later requests do not
join it, and what it finds is cached only if it is newer than that write for sure. So a read never brings back what a
write has replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from hashrange.errors import ApiError
from hashrange.model.item_state import UNKNOWN_STAMP, ItemState
from hashrange.model.table import TableSchema
from hashrange_dax.cache import CacheStore, ItemEntry
from hashrange_dax.contracts import Change
from hashrange_dax.metrics import Metrics
from hashrange_dax.tier.doubts import Doubts
from hashrange_dax.tier.flight import Flight, FlightKey, Landed, NotDone


class ItemCache:
    """What is known of items, and which of them are being read."""

    def __init__(self, store: CacheStore, now: Callable[[], float], metrics: Metrics) -> None:
        self.store = store
        self.now = now
        self.metrics = metrics
        self._flights: dict[FlightKey, Flight] = {}
        """Those that may be joined."""
        self._passed: dict[FlightKey, list[Flight]] = {}
        self._doubts = Doubts()

    def flight(self, key: FlightKey) -> Flight | None:
        """The read of a key that is under way and may be joined."""
        return self._flights.get(key)

    def take_off(self, key: FlightKey, strong: bool = False) -> Flight:
        """A new flight; there must be none of the key that may be joined."""
        flight = self._flights[key] = Flight(key, strong)
        return flight

    def land(self, flight: Flight, state: ItemState | None, failure: ApiError | None = None) -> Change | None:
        """End a flight and answer who waits for it; returns what the other nodes are to be told.

        Without a state and a failure, its key was left unprocessed.
        """
        self._over(flight)
        landed: Landed
        change = None
        if state is not None:
            landed, change = self._filled(flight, state)
        else:
            landed = failure if failure is not None else NotDone.UNPROCESSED
        waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            waiter(landed)
        return change

    def _filled(self, flight: Flight, state: ItemState) -> tuple[ItemEntry, Change | None]:
        """Cache what a flight has read, unless something newer is known."""
        table, key, item_json, stamp = state
        entry = ItemEntry(table.table_id, table, key, item_json, stamp)
        passed = flight.passed >= 0
        if passed and (item_json is None or stamp <= flight.passed):
            self.metrics.lost_fills += 1
            return entry, None
        now = self.now()
        if item_json is not None or not flight.strong:
            live = self.store.peek(table.table_id, key, now)
            if live is not None and live.stamp >= stamp:
                live.table = table
                return live, None
        self.store.put_item(entry, now)
        return entry, Change(table.table_id, key, item_json, stamp, flight.strong)

    def write_sent(self) -> int:
        """A write is sent: the ticket for `write_ended`."""
        return self._doubts.sent()

    def write_ended(self, ticket: int, states: Sequence[ItemState]) -> tuple[list[Change], list[FlightKey]]:
        """Take in what a write has left, before it is answered.

        Returns what others are to be told, and the keys in doubt: they were forgotten after the write was sent, so
        that nobody knows whether it left their newest state. They are forgotten again.
        """
        changes, doubtful = [], []
        for table, key, item_json, stamp in states:
            if self._doubts.about((table.table_id, key), ticket):
                doubtful.append((table.table_id, key))
                continue
            change = Change(table.table_id, key, item_json, stamp, True)
            self._take(change, table)
            changes.append(change)
        self._doubts.ended(ticket)
        if doubtful:
            self.forget(doubtful)
        return changes, doubtful

    def told(self, changes: Sequence[Change]) -> None:
        """Take in what other nodes have written, or have read."""
        self.metrics.told_changes += len(changes)
        for change in changes:
            self._take(change, None)

    def _take(self, change: Change, table: TableSchema | None) -> None:
        """The newest state wins; one of a write whose age nobody knows makes the key unknown, if it is an item.

        An absence without a stamp that counts as written is what a strong read has found after a transaction.
        """
        table_id, key, item_json, stamp, written = change
        now = self.now()
        if written:
            self._pass((table_id, key), stamp if stamp != UNKNOWN_STAMP else inf)
            if stamp == UNKNOWN_STAMP:
                if item_json is None:
                    self.store.put_item(ItemEntry(table_id, table, key, None, stamp), now)
                else:
                    self.store.remove_item(table_id, key)
                return
        live = self.store.peek(table_id, key, now)
        if live is not None and live.stamp >= stamp:
            return
        self.store.put_item(ItemEntry(table_id, table, key, item_json, stamp), now)

    def forget(self, keys: Sequence[FlightKey]) -> None:
        """Forget keys, and what is being read of them."""
        for key in keys:
            self._doubts.forget(key)
            passed = self._pass(key, inf)
            if self.store.remove_item(*key) or passed:
                self.metrics.invalidations += 1

    def clear(self) -> None:
        """Forget all items, and what is being read."""
        for key in [*self._flights, *self._passed]:
            self._pass(key, inf)
        self._doubts.forget_all()
        self.store.clear_items()

    def _pass(self, key: FlightKey, stamp: float) -> bool:
        """A write of a key has ended: reads from before it are not joined any more. Says if there was one."""
        flight = self._flights.pop(key, None)
        if flight is not None:
            self._passed.setdefault(key, []).append(flight)
        for each in self._passed.get(key, ()):
            each.passed = max(each.passed, stamp)
        return flight is not None

    def _over(self, flight: Flight) -> None:
        """A flight has ended."""
        key = flight.key
        if self._flights.get(key) is flight:
            del self._flights[key]
            return
        passed = self._passed[key]
        passed.remove(flight)
        if not passed:
            del self._passed[key]
