"""A storage node: one log, one engine, the groups on it, and the handling of messages.

The node is a `Transport` for messages to its own partitions. It does no I/O by itself: log, engine, clock
and the event loop's scheduling functions are arguments, so that a simulation can run it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any, Protocol

from hashrange.errors import ApiError, internal, resource_not_found
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.runtime.clock import StampClock
from hashrange.wire import messages as wire
from hashrange.wire.messages import Done
from hashrange_node.log.format import ENTRY
from hashrange_node.log.protocol import NodeLog
from hashrange_node.meta.catalogue import GROUP, Catalogue, partitions_of
from hashrange_node.replica.effects import KeyRange, decode
from hashrange_node.replica.group import Driver, Group
from hashrange_node.replica.index_queue import IndexShipper
from hashrange_node.replica.reads import RangeRead
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine, EngineBusy, EngineError

REPLAY_BATCH = 2_000
REPLAY_BATCH_BYTES = 4 << 20
BUSY_PAUSE_S = 0.02


class Scheduler(Protocol):
    """What the node needs of an event loop."""

    def call_soon(self, callback: Callable[[], None]) -> Any: ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any: ...


class Node:
    """One node and everything on it."""

    def __init__(
        self,
        log: NodeLog,
        engine: Engine,
        scheduler: Scheduler,
        stamps: StampClock,
        *,
        index_lag_s: float = 0.0,
        fatal: Callable[[str], None],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self.log = log
        self.engine = engine
        self.scheduler = scheduler
        self.replicas: dict[int, Replica] = {}
        self.shippers: dict[int, IndexShipper] = {}
        self.driver = Driver(
            log,
            engine,
            call_soon=scheduler.call_soon,
            call_later=scheduler.call_later,
            last_stamp=lambda: stamps.last,
            fatal=fatal,
            on_error=on_error,
        )
        self.catalogue = Catalogue(Group(GROUP, self.driver), engine)
        self.stamps = stamps
        self._index_lag_s = index_lag_s
        self.report = on_error
        self._handlers: dict[type, Callable[[Any, Done], None]] = {
            wire.ReadItem: self._read_item,
            wire.WriteItem: self._write_item,
            wire.ReadRange: self._read_range,
            wire.WriteEntries: self._write_entries,
            wire.CollectionSize: self._collection_size,
            wire.ChangeTable: self.catalogue.change,
            wire.TableStatistics: self._table_statistics,
        }

    def handle(self, message_type: type, handler: Callable[[Any, Done], None]) -> None:
        """Let another part of the node answer a type of message."""
        self._handlers[message_type] = handler

    def recover(
        self, progress: Callable[[int], None] | None = None, pause: Callable[[float], None] = sleep
    ) -> int:
        """Replay the log on top of the engine, then open everything. Returns the entries applied.

        `pause(seconds)` is called while the engine does not keep up with the replay.

        An entry is applied when its index is above the applied index that the engine holds for its group;
        with a single voter every entry in the log is committed.
        """
        groups: dict[int, Group] = {GROUP: self.catalogue.group}
        applied = size = 0
        mutations: list[tuple[bytes, bytes | None]] = []
        touched: set[Group] = set()
        self.catalogue.group.load(self.engine)

        def write(ranges: list[KeyRange]) -> None:
            for group in touched:
                group.stamp = max(group.stamp, self.stamps.last)
                mutations.append((keyspace.group_state(group.id), group.state()))
            self._store(mutations, ranges, pause)
            mutations.clear()
            touched.clear()

        for position, entry in self.log.replay():
            self.driver.applied_position = position
            if entry.kind != ENTRY:
                continue
            group = groups.get(entry.group)
            if group is None:
                group = groups[entry.group] = Group(entry.group, self.driver)
                group.load(self.engine)
            if entry.index <= group.applied_index:
                continue
            effects = decode(entry.payload)
            if effects.ranges:  # not in one batch with what was written into them before
                write([])
            self._observe_stamps(effects.mutations)
            group.last_index = group.applied_index = entry.index
            group.count_all(effects.counts)
            mutations.extend(effects.mutations)
            touched.add(group)
            applied += 1
            size += len(entry.payload)
            if effects.ranges or len(mutations) >= REPLAY_BATCH or size >= REPLAY_BATCH_BYTES:
                write(effects.ranges)
                size = 0
                if progress is not None:
                    progress(applied)
        if touched:
            write([])
        self._open(groups, pause)
        return applied

    def _store(
        self,
        mutations: list[tuple[bytes, bytes | None]],
        ranges: list[KeyRange],
        pause: Callable[[float], None],
    ) -> None:
        """Write, and wait as long as it takes while the engine is busy with what came before."""
        while mutations or ranges:
            try:
                self.engine.write(mutations, ranges)
                return
            except EngineBusy:
                pause(BUSY_PAUSE_S)

    def _observe_stamps(self, mutations: list[tuple[bytes, bytes | None]]) -> None:
        for key, value in mutations:
            if value is not None and key.startswith(b"P") and len(value) >= records.HEADER_SIZE:
                self.stamps.observe(records.stamp(value))

    def _open(self, groups: dict[int, Group], pause: Callable[[float], None]) -> None:
        self.catalogue.load()
        self.stamps.observe(self.catalogue.group.stamp)
        known = {p for document in self.catalogue.documents.values() for p in partitions_of(document)}
        for key, _ in list(self.engine.scan(b"G", b"H")):
            partition = int.from_bytes(key[1:], "big")
            if partition != GROUP and partition not in known:
                self._store([], keyspace.ranges_of(partition), pause)
        for name, document in self.catalogue.documents.items():
            for partition, index_name in partitions_of(document).items():
                self.open_replica(partition, self.catalogue.schemas[name], index_name, groups.get(partition))

    def open_replica(
        self, partition: int, schema: TableSchema, index_name: str | None, group: Group | None = None
    ) -> Replica:
        """Bring a partition into service, with the state that the engine has for it."""
        if group is None:
            group = Group(partition, self.driver)
            group.load(self.engine)
        self.stamps.observe(group.stamp)
        replica = Replica(
            partition, schema, index_name, group, self.engine, self.stamps.next, self._ship_queued
        )
        self.replicas[partition] = replica
        if index_name is None and schema.gsis:
            self.shipper(replica).load()
        return replica

    def close_replica(self, partition: int) -> None:
        """Take a dropped partition out of service."""
        replica = self.replicas.pop(partition, None)
        if replica is not None:
            replica.group.dropped = True
        shipper = self.shippers.pop(partition, None)
        if shipper is not None:
            shipper.stopped = True

    def stop(self) -> None:
        """Send no more index changes; they wait in their queues for the next start."""
        for shipper in self.shippers.values():
            shipper.stopped = True

    def shipper(self, replica: Replica) -> IndexShipper:
        """The sender of a replica's queued index changes."""
        shipper = self.shippers.get(replica.id)
        if shipper is None:
            shipper = IndexShipper(replica, self, self.scheduler.call_later, self._index_lag_s)
            self.shippers[replica.id] = shipper
        return shipper

    def _ship_queued(self, replica: Replica, queued: list[tuple[bytes, list[Any]]]) -> None:
        if not replica.group.dropped:
            self.shipper(replica).enqueue(queued)

    def send(self, message: wire.Message, done: Done) -> None:
        """Handle a message to this node (`Transport`)."""
        try:
            self._handlers[message.__class__](message, done)
        except Exception as error:
            self._refuse(message, error, done)

    def _refuse(self, message: wire.Message, error: Exception, done: Done) -> None:
        """Answer a message whose handling raised; whoever waits must not wait for ever."""
        if isinstance(error, ApiError):
            done(error)
        elif isinstance(error, EngineError):
            self.report("the storage engine failed on a read", error)
            done(internal(f"The storage engine failed: {error}"))
        else:
            self.report(f"handling {message.__class__.__name__} failed", error)
            done(internal())

    def _replica(self, partition: int) -> Replica:
        replica = self.replicas.get(partition)
        if replica is None:
            raise resource_not_found()
        return replica

    def _read_item(self, message: wire.ReadItem, done: Done) -> None:
        replica = self.replicas.get(message.partition)
        if replica is None:
            raise resource_not_found()
        done(self.engine.get(replica.items + message.key))

    def _write_item(self, message: wire.WriteItem, done: Done) -> None:
        replica = self.replicas.get(message.partition)
        if replica is None:
            raise resource_not_found()
        replica.write(message, done)

    def _read_range(self, message: wire.ReadRange, done: Done) -> None:
        replica = self._replica(message.partition)
        self._read_on(RangeRead(self.engine, message, replica.schema.codec), message, done)

    def _read_on(self, read: RangeRead, message: wire.ReadRange, done: Done) -> None:
        """Read a slice; a long page goes on in the next tick, so that others get their turn."""
        if read.step():
            done(read.result)
        else:
            self.scheduler.call_soon(lambda: self._read_more(read, message, done))

    def _read_more(self, read: RangeRead, message: wire.ReadRange, done: Done) -> None:
        try:
            self._replica(message.partition)
            self._read_on(read, message, done)
        except Exception as error:
            self._refuse(message, error, done)

    def _write_entries(self, message: wire.WriteEntries, done: Done) -> None:
        self._replica(message.partition).write_entries(message, done)

    def _collection_size(self, message: wire.CollectionSize, done: Done) -> None:
        replica = self._replica(message.partition)
        low = replica.items + message.prefix
        done(self.engine.approximate_size(low, low + b"\xff" * 8))

    def _table_statistics(self, message: wire.TableStatistics, done: Done) -> None:
        schema = self.catalogue.schemas.get(message.name)
        if schema is None:
            raise resource_not_found()
        totals: dict[str | None, tuple[int, int]] = {}
        groups = [self.replicas[p.id].group for p in schema.partitions.all if p.id in self.replicas]
        totals[None] = _sum(group.count(keyspace.ITEMS) for group in groups)
        for number, index in enumerate(schema.lsis, start=1):
            totals[index.name] = _sum(group.count(number) for group in groups)
        for index in schema.gsis:
            replicas = [self.replicas[p.id] for p in index.partitions.all if p.id in self.replicas]
            totals[index.name] = _sum(replica.group.count(keyspace.ITEMS) for replica in replicas)
        done(totals)


def _sum(pairs: Any) -> tuple[int, int]:
    entries = size = 0
    for count, count_bytes in pairs:
        entries += count
        size += count_bytes
    return entries, size
