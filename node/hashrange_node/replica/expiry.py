"""Deleting items whose time to live has passed.

The expiry index of a partition is ordered by second, so a pass costs what it deletes. Every deletion is an
ordinary write through the log, made conditional on the item still expiring at that second; of an item that
has changed meanwhile only the entry is removed, by the same evaluation. An item that a transaction has locked is
deleted by a later pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.wire.messages import DELETE, WriteItem
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.secondary import EXPIRY_HORIZON_S
from hashrange_node.storage import keyspace

BATCH = 200


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
        first, last = place.lo.to_bytes(8, "big"), place.hi.to_bytes(8, "big")
        low = prefix + max(0, now_s - EXPIRY_HORIZON_S).to_bytes(8, "big")
        high = prefix + now_s.to_bytes(8, "big")
        due: list[bytes] = []
        for key, _ in replica.engine.scan(low, high):
            if not first <= keyspace.expiry_hash(key) <= last:
                continue  # of another partition in the same store
            if self._keeps(replica, key[18:]):
                continue
            due.append(key)
            if len(due) == BATCH:
                break
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

    def _answered(self, answer: Any) -> None:
        self._waiting -= 1
        if getattr(answer, "old_size", 0):
            self.deleted += 1
