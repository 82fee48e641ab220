"""Deleting items whose time to live has passed.

The expiry index of a partition is ordered by second, so a pass costs what it deletes. Every deletion is an
ordinary write through the log, made conditional on the item still expiring at that second; of an item that
has changed meanwhile only the entry is removed, by the same evaluation. An item that a transaction has locked is
deleted by a later pass.

An item of a global table is deleted by the region that wrote it last, and its deletion sent to the others. These do it
themselves only when that region has not done it for GRACE_S; or at once when it has no replica any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from hashrange.model import record as records
from hashrange.model.regions import region_number
from hashrange.wire.messages import DELETE, WriteItem
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.secondary import EXPIRY_HORIZON_S
from hashrange_node.storage import keyspace

BATCH = 200
GRACE_S = 3600
"""So long after its time an item is left to the region that wrote it."""
LOOKED_MAX = 1_000
"""Items that were perhaps written elsewhere that one pass looks at; the next one goes on behind them."""


class ExpirySweeper:
    """Sweeps the replicas of tables with time to live, every `interval_s` seconds.

    A sweep is left out while deletions of the last one still wait for the disk: it would only find the same
    items. `report` is told of replicas that could not be swept. `keeps(replica, key)` says which items have to stay
    for now though they have expired.
    """

    def __init__(
        self,
        replicas: Callable[[], list[Replica]],
        wall_ms: Callable[[], int],
        call_later: Callable[[float, Callable[[], None]], Any],
        interval_s: float,
        report: Callable[[str, BaseException], None],
        keeps: Callable[[Replica, bytes], bool] = lambda replica, key: False,
    ) -> None:
        self._replicas = replicas
        self._wall_ms = wall_ms
        self._call_later = call_later
        self._interval_s = interval_s
        self._report = report
        self._keeps = keeps
        self._waiting = 0
        self._cursors: dict[int, bytes] = {}
        self.deleted = 0
        self.stopped = False

    def start(self) -> None:
        """Begin sweeping."""
        self._call_later(self._interval_s, self._sweep)

    def _sweep(self) -> None:
        if self.stopped:
            return
        now_s = self._wall_ms() // 1000
        full = False
        for replica in self._replicas() if not self._waiting else ():
            group = replica.group
            if replica.schema.ttl_attribute is None or replica.index_name is not None:
                continue
            if group.serving and group.split is None:
                try:
                    full |= self._sweep_replica(replica, now_s) >= BATCH
                except Exception as error:
                    self._report(f"items of {replica.schema.name} could not be expired", error)
        self._call_later(min(0.05, self._interval_s) if full else self._interval_s, self._sweep)

    def _sweep_replica(self, replica: Replica, now_s: int) -> int:
        place = replica.place
        prefix = keyspace.space_prefix(place.store, keyspace.EXPIRY)
        low = prefix + max(0, now_s - EXPIRY_HORIZON_S).to_bytes(8, "big")
        high = prefix + now_s.to_bytes(8, "big")
        due = self._due(replica, low, high, prefix + max(0, now_s - GRACE_S).to_bytes(8, "big"))
        for key in due:
            second = int.from_bytes(key[10:18], "big")
            write = WriteItem(replica.id, replica.epoch, DELETE, key[18:])
            write.expiry_s = second
            self._waiting += 1
            try:
                replica.write(write, self._answered)
            except Exception:
                self._waiting -= 1
                raise
        return len(due)

    def _due(self, replica: Replica, low: bytes, high: bytes, overdue: bytes) -> list[bytes]:
        """The entries whose items are to be deleted now: of other regions' items only those before `overdue`."""
        others = {region_number(target.region) for target in replica.schema.replicas}
        if not others:
            return list(islice(self._expired(replica, low, high), BATCH))
        due = list(islice(self._expired(replica, low, overdue), BATCH))
        cursor = self._cursors.pop(replica.id, b"")
        for looked, key in enumerate(self._expired(replica, max(overdue, cursor), high)):
            if len(due) == BATCH or looked == LOOKED_MAX:
                self._cursors[replica.id] = key
                break
            record = replica.newest(replica.items + key[18:])
            if record is None or records.region(record) not in others:
                due.append(key)
        return due

    def _expired(self, replica: Replica, low: bytes, high: bytes) -> Iterator[bytes]:
        """The partition's entries in a range of the expiry index, without items that have to stay."""
        place = replica.place
        first, last = place.lo.to_bytes(8, "big"), place.hi.to_bytes(8, "big")
        for key, _ in replica.engine.scan(low, high):
            # Others may be of another partition in the same store.
            if first <= keyspace.expiry_hash(key) <= last and not self._keeps(replica, key[18:]):
                yield key

    def _answered(self, answer: Any) -> None:
        self._waiting -= 1
        if getattr(answer, "old_size", 0):
            self.deleted += 1
