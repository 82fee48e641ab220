"""The control plane's parts on one node, put together.

    LocalReplicas  opens and destroys replicas as the catalogue says          on every node
    Work           fills and drains for the partitions that are led here      on every node
    Transitions    carries documents on to their next state                   at the leader of group 0

In a cluster `control` adds what looks after nodes and placements. In the embedded server this is all there is.
"""

from __future__ import annotations

from collections.abc import Callable

from hashrange.model.table_document import TableDocument
from hashrange.wire.cluster import WorkDone
from hashrange.wire.messages import WhenSettled
from hashrange_node.meta.local import LocalReplicas
from hashrange_node.meta.transitions import Transitions
from hashrange_node.meta.work import Work
from hashrange_node.node import Node
from hashrange_node.replica.replica import Replica


class Controller:
    """Acts on the catalogue of one node.

    `now` is the wall clock in seconds. `transient_delay_s` holds tables and indexes in their transient states
    (CREATING, DELETING) for a while, for programs that want to see them. `incarnation` names the data directory.
    """

    def __init__(
        self,
        node: Node,
        now: Callable[[], float],
        transient_delay_s: float = 0.0,
        incarnation: str = "",
    ) -> None:
        self.node = node
        self.work = Work(node)
        self.local = LocalReplicas(node, self.work, incarnation)
        self.transitions = Transitions(
            node.catalogue,
            node.scheduler,
            now,
            self._led_here,
            transient_delay_s,
            node.settings.stream_retention_s,
        )
        self._started = False
        catalogue = node.catalogue
        catalogue.subscribe(self._changed)
        catalogue.subscribe_placements(self.local.placed)
        catalogue.subscribe_nodes(self.local.registered)
        node.on_leading = self._leading
        catalogue.on_control.append(self._control)
        node.handle(WhenSettled, self.transitions.when_settled)
        node.handle(WorkDone, self.transitions.work_done)

    def start(self) -> None:
        """Pick up whatever was unfinished when the node stopped."""
        self._started = True
        self.local.start()
        self.work.start()
        if self.transitions.leading:
            self.transitions.lead(True)

    def stop(self) -> None:
        """End all work; it goes on after the next start."""
        self.transitions.stopped = True
        self.work.stop()

    @property
    def filling(self) -> int:
        """Background fills going on."""
        return self.work.filling

    def _led_here(self, partition: int) -> bool:
        replica = self.node.replicas.get(partition)
        return replica is not None and replica.group.serving

    def _changed(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        self.local.changed(name, before, after)
        self.work.changed(name, before, after)
        self.transitions.changed(name, before, after)

    def _leading(self, replica: Replica, serving: bool) -> None:
        if self._started:
            self.work.leading(replica, serving)
            self.transitions.poke()

    def _control(self, leading: bool) -> None:
        if self._started:
            self.transitions.lead(leading)
