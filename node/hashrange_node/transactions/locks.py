"""Locks and markers: what the preparation and the commit of transactions leave in a partition.

A lock says what committing a transaction will do to one item. Locks are part of the replicated state, in a key space
of their own (`keyspace.LOCKS`), so that reads, scans and counts never see them; the leader has those of its partition
in a `LockTable`. A marker (`keyspace.MARKERS`) says that a transaction of one partition was committed there.

Both are stored behind the header of a record (`hashrange.model.record`): whoever looks for the stamp of what was
written finds that of the transaction in its place, and for a marker when it was written by the leader's wall clock.

    lock    header, msgpack [txid, kind, item as JSON or nil, size before, units of indexes or nil]
    marker  header, msgpack [digest, [[size before, size after] of each action]]
"""

from __future__ import annotations

from collections.abc import Iterable

import msgpack

from hashrange.model import record as records
from hashrange.wire.messages import WriteResult

HEADER = records.HEADER_SIZE

IndexUnits = list[tuple[str, str, int]]

_pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack


class Lock:
    """One item of a prepared transaction.

    `key` is relative to the partition. `kind` is PUT (with `item_json`, of `size` bytes), DELETE or CHECK: an update
    is evaluated when it is prepared. `old_size` is that of the item as it is, 0 when there is none. `finishing`: the
    outcome was evaluated here, and is not applied yet.
    """

    __slots__ = ("finishing", "index_units", "item_json", "key", "kind", "old_size", "size", "stamp", "txid")

    def __init__(self, key: bytes, txid: bytes, stamp: int, kind: int, old_size: int) -> None:
        self.key = key
        self.txid = txid
        self.stamp = stamp
        self.kind = kind
        self.old_size = old_size
        self.item_json: bytes | None = None
        self.size = 0
        self.index_units: IndexUnits | None = None
        self.finishing = False

    @property
    def result(self) -> WriteResult:
        """What committing will do."""
        return WriteResult(self.old_size, self.size, None, self.index_units)

    def encode(self, index: int) -> bytes:
        """The stored form, written by the entry with this raft index."""
        body = _pack((self.txid, self.kind, self.item_json, self.old_size, self.index_units))
        return records.pack(body, self.size, self.stamp, index)


def decode_lock(key: bytes, stored: bytes) -> Lock:
    """The lock of the item at a relative key. ValueError for bytes that are none."""
    txid, kind, item_json, old_size, units = msgpack.unpackb(stored[HEADER:])
    lock = Lock(key, txid, records.stamp(stored), kind, old_size)
    lock.item_json = item_json
    lock.size = records.size(stored)
    lock.index_units = [(family, name, count) for family, name, count in units] if units else None
    return lock


def encode_marker(digest: bytes, results: Iterable[WriteResult], written: int, index: int) -> bytes:
    """The stored form of a marker; `written` is the leader's wall clock as a stamp (`StampClock.wall`)."""
    sizes = [(result.old_size, result.new_size) for result in results]
    return records.pack(_pack((digest, sizes)), 0, written, index)


def decode_marker(stored: bytes) -> tuple[bytes, list[WriteResult]]:
    """Digest and results (sizes only) of a marker. ValueError for bytes that are none."""
    digest, sizes = msgpack.unpackb(stored[HEADER:])
    return digest, [WriteResult(before, after) for before, after in sizes]


class Counts:
    """What the participants of a node have counted since its start.

    `prepared`, `committed` and `cancelled` are parts of transactions, one for each partition; `local` are those
    committed in one entry. `conflicts` are items that were refused because a transaction had them locked.
    `recovered` are parts that were finished because their transaction had stalled.
    """

    __slots__ = ("cancelled", "committed", "conflicts", "local", "prepared", "recovered")

    def __init__(self) -> None:
        self.prepared = self.committed = self.cancelled = self.local = self.conflicts = self.recovered = 0


class LockTable:
    """The locks of one partition at its leader, those under way included; empty everywhere else.

    `held` maps the relative keys of items to their locks; who only wants to know whether there are any tests it.
    """

    __slots__ = ("_by_txid", "counts", "held")

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.held: dict[bytes, Lock] = {}
        self._by_txid: dict[bytes, list[Lock]] = {}

    def barring(self, key: bytes) -> Lock | None:
        """The lock that keeps others from writing an item: one that is being finished does not."""
        lock = self.held.get(key)
        return lock if lock is not None and not lock.finishing else None

    def of(self, txid: bytes) -> list[Lock]:
        """The locks of one transaction."""
        return list(self._by_txid.get(txid, ()))

    def transactions(self) -> dict[bytes, list[Lock]]:
        """All locks, by transaction."""
        return self._by_txid

    def add(self, lock: Lock) -> None:
        """An item is locked; a lock that is being finished gives way.

        Its transaction still has it until its end is applied: a repeated end must wait for that.
        """
        self.held[lock.key] = lock
        self._by_txid.setdefault(lock.txid, []).append(lock)

    def remove(self, lock: Lock) -> None:
        """A lock's end is applied: it goes, and the item is free unless another one has taken its place."""
        if self.held.get(lock.key) is lock:
            del self.held[lock.key]
        locks = self._by_txid.get(lock.txid, [])
        if lock in locks:
            locks.remove(lock)
            if not locks:
                del self._by_txid[lock.txid]

    def clear(self) -> None:
        """This replica does not lead."""
        self.held.clear()
        self._by_txid.clear()
