"""A storage node: one log, one engine, the groups on it, and the handling of messages.

The node does no I/O by itself: log, engine, peers, clock and the event loop's scheduling functions are arguments, so
that a simulation can run it as it is. `send` handles a message to one of its own partitions; `transport` reaches
any partition (in the embedded server that is the node itself).
"""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any, Protocol

from hashrange.errors import ApiError, internal, resource_not_found
from hashrange.model.table import TableSchema
from hashrange.runtime.clock import StampClock
from hashrange.wire import messages as wire
from hashrange.wire.cluster import CONTROL, Placement, RaftBatch
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.faults import NotLeader, StaleRoute
from hashrange.wire.messages import Done
from hashrange_node.groups import Groups
from hashrange_node.log.protocol import NodeLog
from hashrange_node.membership import Membership
from hashrange_node.meta.catalogue import Catalogue
from hashrange_node.raft.settings import Rng
from hashrange_node.regions.receiving import Receiving
from hashrange_node.regions.shipper import RegionShipper
from hashrange_node.replica.budget import Ceilings
from hashrange_node.replica.driver import Driver
from hashrange_node.replica.group import Group
from hashrange_node.replica.index_queue import IndexShipper
from hashrange_node.replica.reads import RangeRead
from hashrange_node.replica.recovery import Recovery, store
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.split import child_groups, successor_placements
from hashrange_node.replica.strong import StrongReads
from hashrange_node.settings import NodeIdentity, ReplicationSettings
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine, EngineError
from hashrange_node.streams.streams import Streams
from hashrange_node.transactions.participant import Participant

FLUSH_RETRY_S = 1.0


class Scheduler(Protocol):
    """What the node needs of an event loop."""

    def call_soon(self, callback: Callable[[], None]) -> Any: ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any: ...


class NodePeers(Protocol):
    """What the node needs of the way to other nodes."""

    def cast(self, node: int, message: Any) -> None: ...

    def request(self, node: int, message: Any, done: Done, timeout_s: float = 10.0) -> None: ...

    def silent_s(self, node: int) -> float: ...


class Node:
    """One node and everything on it.

    `monotonic` gives seconds that never go back; `peers` is None for a node that has none.
    """

    def __init__(
        self,
        log: NodeLog,
        engine: Engine,
        scheduler: Scheduler,
        stamps: StampClock,
        *,
        monotonic: Callable[[], float],
        rng: Rng,
        fatal: Callable[[str], None],
        on_error: Callable[[str, BaseException], None],
        identity: NodeIdentity | None = None,
        settings: ReplicationSettings | None = None,
        peers: NodePeers | None = None,
        index_lag_s: float = 0.0,
    ) -> None:
        self.identity = identity or NodeIdentity()
        self.settings = settings or ReplicationSettings()
        self.log = log
        self.engine = engine
        self.scheduler = scheduler
        self.stamps = stamps
        self.peers = peers
        self.monotonic = monotonic
        self.transport: wire.Transport = self
        self.replicas: dict[int, Replica] = {}
        self.shippers: dict[int, IndexShipper] = {}
        tick_s = self.settings.tick_ms / 1000
        self.driver = Driver(
            log,
            engine,
            self.settings,
            call_soon=scheduler.call_soon,
            call_later=scheduler.call_later,
            now_tick=lambda: int(monotonic() / tick_s),
            last_stamp=lambda: stamps.last,
            observe_stamp=stamps.observe,
            fatal=fatal,
            on_error=on_error,
        )
        self.report = on_error
        self.groups = Groups(self, rng)
        self.strong = StrongReads(self.driver)
        self.scrubbed: Callable[[Group, int, tuple[int, bytes, bytes]], None] = lambda group, index, scrub: (
            None
        )
        self.catalogue = Catalogue(self.groups.control, engine)
        self.on_leading: Callable[[Replica, bool], None] = lambda replica, serving: None
        self.flush_engine: Callable[[Callable[[BaseException | None], None]], None] = self._flush_here
        self._index_lag_s = index_lag_s
        self.stopped = False
        self._handlers: dict[type, Callable[[Any, Done], None]] = {
            wire.ReadItem: self._read_item,
            wire.WriteItem: self._write_item,
            wire.ReadRange: self._read_range,
            wire.WriteEntries: self._write_entries,
            wire.CollectionSize: self._collection_size,
            wire.ChangeTable: self._change_catalogue,
            ChangeDocument: self._change_catalogue,
            wire.TableStatistics: self._table_statistics,
        }
        self.transactions = Participant(self)
        self.streams = Streams(self)
        self.receiving = Receiving(self)
        self.ceilings: Ceilings | None = None
        """What partitions may do in a second; set before any is opened, None without a bound."""
        self.membership = Membership(self)
        self.shipping: RegionShipper | None = None
        """Sends changes of global tables to other regions; None where nobody composed one."""

    def handle(self, message_type: type, handler: Callable[[Any, Done], None]) -> None:
        """Let another part of the node answer a type of message."""
        self._handlers[message_type] = handler

    def recover(
        self, progress: Callable[[int], None] | None = None, pause: Callable[[float], None] = sleep
    ) -> int:
        """Replay the log on top of the engine, then open everything. Returns the entries applied.

        `pause(seconds)` is called while the engine does not keep up with the replay.
        """
        recovery = Recovery(
            self.driver,
            self.log,
            self.engine,
            standalone=self.identity.standalone,
            observe_stamp=self.stamps.observe,
            make_log=self.groups.make_log,
            pause=pause,
        )
        recovery.run(progress)
        self.groups.take(recovery)
        if self.catalogue.copied:
            self.groups.forget_control()
        elif self.identity.standalone or CONTROL in recovery.found:
            self.groups.open_control()
        self.catalogue.load()
        if self.identity.standalone:
            self._drop_unknown(pause)
        for name in self.catalogue.documents:
            self.open_table(name)
        self.driver.run()
        return recovery.applied

    def _drop_unknown(self, pause: Callable[[float], None]) -> None:
        """Remove what is left of partitions whose table is gone."""
        known = self.catalogue.partitions()
        for partition in list(self.groups.recovered):
            if partition != CONTROL and partition not in known:
                del self.groups.recovered[partition]
                store(self.engine, [], keyspace.ranges_of(partition), pause)

    # ---- replicas

    def open_table(self, name: str) -> None:
        """Bring the partitions of a table that are placed here into service."""
        schema = self.catalogue.schemas[name]
        # In the order of their ids: what was split comes before what it was split into.
        for partition, index_name in sorted(self.catalogue.partitions_of(name).items()):
            replica = self.replicas.get(partition)
            placement = self.catalogue.placement(partition)
            if replica is not None:
                replica.schema = schema
                self.streams.changed(replica, schema)
                if placement is not None:
                    self.groups.place(replica.group, placement)
            elif placement is not None:
                self.open_replica(placement, schema, index_name)

    def open_replica(
        self, placement: Placement, schema: TableSchema, index_name: str | None
    ) -> Replica | None:
        """Bring a partition into service, if it has a replica on this node; with the state found at the start."""
        group = self.groups.open(placement)
        if group is None:
            return None
        self.stamps.observe(group.stamp)
        replica = Replica(
            schema,
            index_name,
            group,
            self.engine,
            self.stamps.next,
            self._ship_queued,
            self._leading,
            lambda replica: self.split_applied(replica.group),
            self.transactions.counts,
        )
        self.replicas[replica.id] = replica
        self.streams.attach(replica)
        if self.ceilings is not None:
            replica.budget = self.ceilings.budget(schema, index_name)
        self.groups.start(group)
        self.split_applied(group)
        return replica

    def split_applied(self, parent: Group) -> None:
        """Bring the children of a partition that was split into service, in its place."""
        split = parent.split
        replica = self.replicas.get(parent.id)
        if split is None or replica is None:
            return
        for child in child_groups(parent, split):
            if child.id in self.replicas:
                continue
            placement = self.catalogue.placement(child.id)
            known = self.engine.get(keyspace.group_state(child.id)) is not None
            if known and (placement is None or self.groups.replica_here(placement) == child.replica_id):
                self._open_child(replica, child, parent.led)
            elif placement is not None:
                self.open_replica(placement, replica.schema, replica.index_name)
        self._make_split_durable(parent)

    def _make_split_durable(self, parent: Group) -> None:
        """Flush what a split wrote. The parent's log, which could write it again, is dropped only afterwards."""

        def flushed(error: BaseException | None) -> None:
            if error is None:
                parent.split_durable = True
            elif not self.stopped and not parent.dropped:
                self.report("the state of the children of a split could not be flushed", error)
                self.scheduler.call_later(FLUSH_RETRY_S, lambda: self.flush_engine(flushed))

        if not parent.split_durable:
            self.flush_engine(flushed)

    def _flush_here(self, done: Callable[[BaseException | None], None]) -> None:
        """Flush in this thread: where nobody has given a way to do it in another."""
        try:
            self.engine.flush()
        except EngineError as error:
            done(error)
        else:
            done(None)

    def _open_child(self, parent: Replica, group: Group, led: bool) -> None:
        self.groups.open_child(group)
        child = Replica(
            parent.schema,
            parent.index_name,
            group,
            self.engine,
            self.stamps.next,
            self._ship_queued,
            self._leading,
            lambda replica: self.split_applied(replica.group),
            self.transactions.counts,
        )
        self.replicas[child.id] = child
        self.streams.attach(child)
        if self.ceilings is not None:
            child.budget = self.ceilings.budget(child.schema, child.index_name)
        self.groups.start(group)
        if led and not group.alone:
            self.groups.volunteer(group)

    def close_replica(self, partition: int) -> None:
        """Take a partition out of service that was dropped, or moved elsewhere."""
        replica = self.replicas.pop(partition, None)
        if replica is not None:
            self.driver.remove(replica.group)
            self.groups.erase(replica.group)
        shipper = self.shippers.pop(partition, None)
        if shipper is not None:
            shipper.stopped = True
        if (
            replica is not None
            and self.catalogue.clustered
            and replica.schema.name in self.catalogue.documents
        ):
            self.open_table(replica.schema.name)  # what waited for it to be split

    def stop(self) -> None:
        """Send no more index changes; they wait in their queues for the next start."""
        self.stopped = True
        self.groups.stopped = True
        self.streams.stop()
        if self.shipping is not None:
            self.shipping.stop()
        for shipper in self.shippers.values():
            shipper.stopped = True

    def shipper(self, replica: Replica) -> IndexShipper:
        """The sender of a replica's queued index changes; only while the replica leads."""
        shipper = self.shippers.get(replica.id)
        if shipper is None:
            shipper = IndexShipper(replica, self.transport, self.scheduler.call_later, self._index_lag_s)
            self.shippers[replica.id] = shipper
        return shipper

    def _ship_queued(self, replica: Replica, queued: list[tuple[bytes, list[Any]]]) -> None:
        if not replica.group.dropped:
            self.shipper(replica).enqueue(queued)

    def _leading(self, replica: Replica, serving: bool) -> None:
        """The queue of index changes is drained by the leader: from the engine when it begins to lead."""
        self.streams.leading(replica, serving)
        shipper = self.shippers.pop(replica.id, None)
        if shipper is not None:
            shipper.stopped = True
        replica.congested = False
        if serving and not self.stopped and replica.index_name is None and replica.schema.gsis:
            self.shipper(replica).load()
        self.on_leading(replica, serving)

    # ---- messages

    def on_raft(self, batch: RaftBatch) -> None:
        """Messages of one tick from another node."""
        self.groups.on_raft(batch)

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
            done(self._unreadable(message, error))
        else:
            self.report(f"handling {message.__class__.__name__} failed", error)
            done(internal())

    def _unreadable(self, message: Any, error: EngineError) -> ApiError:
        """What to answer when a replica cannot read its data: where there are others, this one gives way to them."""
        replica = self.replicas.get(getattr(message, "partition", CONTROL))
        if replica is None or replica.group.alone:
            return internal(f"The storage engine failed: {error}")
        self.driver.disable(replica.group, f"its data cannot be read: {error}")
        return NotLeader(replica.id, None)

    def replica(self, partition: int) -> Replica:
        """The replica of a partition here; StaleRoute when there is none, or it was split."""
        replica = self.replicas.get(partition)
        if replica is None or replica.group.split is not None:
            raise self._elsewhere(partition)
        return replica

    def _elsewhere(self, partition: int) -> ApiError:
        successors: list[Any] = list(self.catalogue.successors(partition))
        replica = self.replicas.get(partition)
        if not successors and replica is not None:
            successors = successor_placements(self.catalogue.placement(partition), replica.group)
        if self.identity.standalone and not successors:
            return resource_not_found()
        return StaleRoute(partition, successors)

    def leader(self, message: Any, done: Done) -> Replica | None:
        """The replica that serves `message.partition`; None when the message was parked until there is one."""
        replica = self.replicas.get(message.partition)
        if replica is not None:
            group = replica.group
            if group.serving and group.split is None:
                return replica
            if group.split is None:
                self.groups.park(group, lambda: self.send(message, done), done)
                return None
        raise self._elsewhere(message.partition)

    def _read_item(self, message: wire.ReadItem, done: Done) -> None:
        replica = self.replicas.get(message.partition)
        if replica is None:
            raise self._elsewhere(message.partition)
        group = replica.group
        group.reads_served += 1
        heat = group.heat
        if heat.due:
            heat.due -= 1
        else:
            done = heat.reading(message.key, self.monotonic(), done)
        if replica.budget is not None:
            done = replica.budget.reading(replica.schema, message.consistent, done)
        if group.alone and group.serving and group.split is None:
            done(self.engine.get(replica.items + message.key))
        elif message.consistent:
            self._read_strongly(replica, message, done)
        elif group.split is not None or not group.readable:
            raise self._elsewhere(message.partition) if group.split is not None else group.not_leader()
        else:
            done(self.engine.get(replica.items + message.key))

    def _read_strongly(self, replica: Replica, message: wire.ReadItem, done: Done) -> None:
        if self.strong.leased(replica.group) and replica.group.split is None:
            record = self.engine.get(replica.items + message.key)
            if self.strong.leased(replica.group):
                done(record)
                return
        leader = self.leader(message, done)
        if leader is not None:
            self.strong.confirm(
                leader.group,
                # It may have been split while the read waited.
                lambda: self.engine.get(self.replica(message.partition).items + message.key),
                done,
                self.refusing(message),
            )

    def refusing(self, message: wire.Message) -> Callable[[Exception, Done], None]:
        """How to answer a message whose handling raises later."""
        return lambda error, done: self._refuse(message, error, done)

    def _write_item(self, message: wire.WriteItem, done: Done) -> None:
        replica = self.replicas.get(message.partition)
        if replica is not None and replica.group.serving and replica.group.split is None:
            heat = replica.group.heat
            if heat.due:
                heat.due -= 1
            else:
                done = heat.writing(message.key, self.monotonic(), done)
            replica.write(message, done)
            return
        leader = self.leader(message, done)
        if leader is not None:
            leader.write(message, done)

    def _read_range(self, message: wire.ReadRange, done: Done) -> None:
        replica = self.replica(message.partition)
        group = replica.group
        group.reads_served += 1
        done = group.heat.ranging(message.low, message.high, self.monotonic(), done)
        if replica.budget is not None:
            done = replica.budget.ranging(replica.schema, message.consistent, done)
        if message.consistent and not group.alone:
            if self.leader(message, done) is None:
                return
            read = RangeRead(self.engine, message, replica.schema.codec, replica.place)

            def finish(answer: Any) -> None:
                """The page was read while we may not have led: a quorum has to say that we did."""
                if isinstance(answer, ApiError) or self.strong.leased(group):
                    done(answer)
                else:
                    self.strong.confirm(group, lambda: answer, done, self.refusing(message))

            if self.strong.leased(group):
                self._read_on(read, message, finish)
            else:
                self.strong.confirm(group, lambda: None, self._then_read(read, message, finish, done))
            return
        if not group.alone and not group.readable:
            raise group.not_leader()
        if group.alone and not group.serving and self.leader(message, done) is None:
            return
        self._read_on(RangeRead(self.engine, message, replica.schema.codec, replica.place), message, done)

    def _then_read(self, read: RangeRead, message: wire.ReadRange, finish: Done, done: Done) -> Done:
        def confirmed(answer: Any) -> None:
            if isinstance(answer, ApiError):
                done(answer)
            else:
                self._read_more(read, message, finish)

        return confirmed

    def _read_on(self, read: RangeRead, message: wire.ReadRange, done: Done) -> None:
        """Read a slice; a long page goes on in the next tick, so that others get their turn."""
        if read.step():
            done(read.result)
        else:
            self.scheduler.call_soon(lambda: self._read_more(read, message, done))

    def _read_more(self, read: RangeRead, message: wire.ReadRange, done: Done) -> None:
        try:
            self.replica(message.partition)
            self._read_on(read, message, done)
        except Exception as error:
            self._refuse(message, error, done)

    def _write_entries(self, message: wire.WriteEntries, done: Done) -> None:
        leader = self.leader(message, done)
        if leader is not None:
            leader.group.heat.delivering(message.entries, self.monotonic())
            leader.write_entries(message, done)

    def _collection_size(self, message: wire.CollectionSize, done: Done) -> None:
        """Items and entries of local indexes begin with the same bytes: all of them count."""
        replica = self.replica(message.partition)
        size = 0
        for space in range(len(replica.schema.lsis) + 1):
            low = keyspace.space_prefix(replica.place.store, space) + message.prefix
            size += self.engine.approximate_size(low, low + b"\xff" * 8)
        done(size)

    def _change_catalogue(self, message: wire.ChangeTable | ChangeDocument, done: Done) -> None:
        control = self.groups.control
        if control.core is not None and control.serving:
            self.catalogue.change(message, done)
        elif control.core is None:
            raise control.not_leader()
        else:
            self.groups.park(control, lambda: self.send(message, done), done)

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
