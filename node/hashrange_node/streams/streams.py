"""The node's part in streams, put together: `node.streams`.

    streams.attach(replica)                    every replica of a table's partition has a keeper
    streams.keep(replica, document, on_done)   make the shard agree with a table's document; told once it is applied
    streams.split(replica, effects)            add to the entry of a split what becomes of the shard

A timer runs while a partition led here has shards: it trims, and lets shards roll over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hashrange.model.table import TableSchema
from hashrange.model.table_document import TableDocument
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.split import BASE_INDEX, child_groups
from hashrange_node.streams.keeper import StreamKeeper
from hashrange_node.streams.reading import Reading
from hashrange_node.streams.trimming import Trimmer

if TYPE_CHECKING:
    from hashrange_node.node import Node

LOOK_S = 1.0
SLICE_PAUSE_S = 0.02


class Streams:
    """Records, keeps and reads the streams of all partitions that a node leads."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._looking = False
        self.reading = Reading(node)
        self.trimmer = Trimmer()

    def attach(self, replica: Replica) -> None:
        """Give a replica its keeper, before it is started. Partitions of indexes have no streams."""
        if replica.index_name is None:
            replica.stream = StreamKeeper(replica, self._wall_ms, self._node.scheduler.call_later)
            replica.on_recorded = self.reading.recorded

    def leading(self, replica: Replica, serving: bool) -> None:
        """A replica begins to lead, or has stopped."""
        keeper = replica.stream
        if keeper is None:
            return
        keeper.leading(serving)
        if not serving:
            self.reading.release(keeper)
        self._look_on(keeper)

    def changed(self, replica: Replica, schema: TableSchema) -> None:
        """The table of a replica has a newer document."""
        keeper = replica.stream
        if keeper is not None:
            keeper.want(schema.generation, schema.stream)
            self._look_on(keeper)

    def keep(self, replica: Replica, document: TableDocument, on_done: Callable[[], None]) -> None:
        """Make the shard of a partition that is led here agree with its table's document.

        `on_done` is called, now or later, once the entry that made it so is applied (or nothing was to be done). It
        is not when this replica stops leading before, or has seen a newer document: then this has to be called again
        by whoever sees that.
        """
        keeper = replica.stream
        if keeper is None:
            on_done()
            return
        schema = TableSchema.from_document(document)
        if schema.generation < keeper.generation or not replica.group.serving:
            return
        self.changed(replica, schema)
        keeper.when_agreed(on_done)

    def split(self, replica: Replica, effects: Effects) -> None:
        """Add to an entry that splits a partition what becomes of its open shard. It must be proposed at once."""
        keeper = replica.stream
        if keeper is not None and effects.split is not None:
            children = [group.place for group in child_groups(replica.group, effects.split)]
            keeper.split(effects, children, BASE_INDEX)

    def stop(self) -> None:
        """The node stops: whoever waits for records is answered."""
        for replica in self._node.replicas.values():
            if replica.stream is not None:
                self.reading.release(replica.stream)

    # ---- what comes with time

    def _wall_ms(self) -> int:
        return self._node.stamps.wall >> LOGICAL_BITS

    def _look_on(self, keeper: StreamKeeper) -> None:
        if keeper.rows and not self._looking:
            self._looking = True
            self._node.scheduler.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """Trim a slice of each partition and roll its shard over, if that is due; until none has shards."""
        self._looking = False
        node = self._node
        if node.stopped:
            return
        now_ms, settings = self._wall_ms(), node.settings
        more = False
        for replica in list(node.replicas.values()):
            keeper, group = replica.stream, replica.group
            if keeper is None or not keeper.rows or not group.serving or group.split is not None:
                continue
            self._looking = True
            try:
                row = keeper.open
                if row is not None and now_ms - row.shard.opened_ms >= settings.stream_rollover_s * 1000:
                    keeper.roll_over()
                more |= self.trimmer.step(keeper, now_ms, int(settings.stream_retention_s * 1000))
            except (
                Exception
            ) as error:  # one partition that cannot be trimmed must not keep the others from it
                node.report(f"the stream of partition {replica.id} could not be trimmed", error)
        if self._looking:
            node.scheduler.call_later(SLICE_PAUSE_S if more else LOOK_S, self._look)
