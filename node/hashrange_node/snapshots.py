"""Snapshots of a node's groups: sent to replicas that need them, received, staged and installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgpack

from hashrange.wire.cluster import CONTROL, ReplicaDamaged, SnapshotChunk
from hashrange.wire.faults import StaleRoute
from hashrange.wire.messages import Done
from hashrange_node.raft.messages import InstallSnapshot
from hashrange_node.raft.ready import Ready
from hashrange_node.replica.group import Group
from hashrange_node.replica.install import Installer
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.slices import RunOffLoop
from hashrange_node.replica.snapshot_receive import SnapshotReceiver
from hashrange_node.replica.snapshot_send import SnapshotSender, SnapshotStream
from hashrange_node.replica.staging import Staging
from hashrange_node.storage import keyspace

if TYPE_CHECKING:
    from hashrange_node.node import Node


def ranges_of(group: Group) -> PartitionRanges:
    """The key ranges of a group."""
    place = group.place
    return PartitionRanges(place.id, place.store, place.lo, place.hi)


def sent_of(group: Group) -> PartitionRanges:
    """What of a group's ranges goes into a snapshot: what was split is its children's, who send it themselves."""
    ranges = ranges_of(group)
    return ranges.without_data if group.split is not None else ranges


class Snapshots:
    """All of them on one node. `staging` keeps what arrives until it is complete."""

    def __init__(
        self, node: Node, staging: Staging, run_off_loop: RunOffLoop, monotonic: Callable[[], float]
    ) -> None:
        assert node.peers is not None
        self._node = node
        self._staging = staging
        rate = node.settings.snapshot_bytes_per_s
        self.sender = SnapshotSender(node.peers, node.scheduler, rate, node.report)
        self._streams: dict[int, dict[int, SnapshotStream]] = {}
        self.receiver = SnapshotReceiver(staging, monotonic)
        self.installer = Installer(node.engine, node.scheduler, run_off_loop, adopt=self._adopt)
        node.groups.snapshots = self
        node.handle(SnapshotChunk, self._chunk)
        node.handle(ReplicaDamaged, self._damaged)

    def resume(self) -> None:
        """Finish what a crash interrupted; before the node recovers. Lost replicas are marked damaged."""
        self._node.groups.lost.update(self.installer.resume(self._staging))

    def stop(self) -> None:
        """Send, receive and install no more."""
        self.sender.stop()
        self.receiver.stop()
        self.installer.stop()

    # ---- sending

    def send(self, group: Group, message: InstallSnapshot, node: int) -> None:
        """Send the state of a group, as it is applied now, to the replica that the message is for."""
        if message.snapshot.index != group.applied_index or self._node.driver.applier.busy(group):
            self._node.scheduler.call_soon(lambda: self._report(group, message.to, False))
            return
        state = group.state_for(message.to)
        streams = self._streams.setdefault(group.id, {})

        def done(arrived: bool) -> None:
            streams.pop(message.to, None)
            self._report(group, message.to, arrived)

        streams[message.to] = self.sender.start(self._node.engine, sent_of(group), state, message, node, done)

    def cancel(self, group: Group) -> None:
        """The group is led elsewhere now: its new leader sends what is needed."""
        for stream in list(self._streams.pop(group.id, {}).values()):
            stream.cancel()

    def _report(self, group: Group, replica: int, arrived: bool) -> None:
        if not group.dropped:
            group.core.report_snapshot(replica, arrived)
            self._node.driver.touch(group)

    # ---- receiving

    def _chunk(self, message: SnapshotChunk, done: Done) -> None:
        group = self._node.driver.groups.get(message.group)
        if group is None or group.replica_id != message.replica or group.damaged:
            done(StaleRoute(message.group, []))
            return
        self.receiver.on_chunk(message, done, lambda install: self._deliver(group, install))

    def _deliver(self, group: Group, install: InstallSnapshot) -> None:
        if not group.dropped and not group.installing and not self._node.driver.applier.busy(group):
            self._node.driver.step(group, install)

    # ---- installing

    def install(self, group: Group, work: Ready, done: Callable[[], None]) -> None:
        """Put a snapshot in the place of a group's state; `done` when it is on stable storage."""
        snapshot = work.snapshot
        assert snapshot is not None

        def installed(error: BaseException | None) -> None:
            if group.dropped:
                return
            if error is not None:
                self._node.report(f"the snapshot of partition {group.id} could not be installed", error)
                self._node.driver.disable(group, f"a snapshot could not be installed: {error}")
                return
            group.load(self._node.engine)
            group.storage.install(snapshot.index, snapshot.term)
            self._node.stamps.observe(group.stamp)
            if group.id == CONTROL:
                self._node.catalogue.reload()
            else:
                self._node.split_applied(group)
            done()

        ranges = ranges_of(group)
        if group.split is not None:
            # Its items are its children's, who live here; the snapshot has none of them.
            ranges = ranges.without_data
        self.installer.install(group.id, ranges, snapshot.data, installed)

    def _adopt(self, partition: int, record: bytes) -> bytes:
        """The state record to be stored here: the sender's, but with this replica's own term and vote."""
        group = self._node.driver.groups.get(partition)
        fields: list[Any] = list(msgpack.unpackb(record, strict_map_key=False))
        if group is not None:
            fields[5], fields[6] = group.hard_state.term, group.hard_state.vote
        else:
            held = self._node.engine.get(keyspace.group_state(partition))
            if held is not None:
                fields[5:7] = msgpack.unpackb(held, strict_map_key=False)[5:7]
        packed: bytes = msgpack.packb(fields)
        return packed

    # ---- damage

    def _damaged(self, message: ReplicaDamaged, done: Done) -> None:
        group = self._node.driver.groups.get(message.partition)
        if group is not None and group.replica_id == message.replica:
            self._node.driver.disable(group, message.reason)
        done(None)

    def erase(self, group: Group) -> None:
        """Delete the data of a replica that is here no longer, in slices."""

        def erased(error: BaseException | None) -> None:
            if error is not None:
                self._node.report(f"what is left of partition {group.id} could not be deleted", error)

        self.receiver.forget(group.id)
        self.installer.erase(ranges_of(group), erased)
