"""Runs on this node what the catalogue places on it, and nothing else.

A replica belongs here if its placement names this node's id and generation. It is opened when its table and its
placement are known, and destroyed when the placement does not list it any more. What is found on disk at the start
and is in no placement is destroyed too, unless the catalogue known here is too old to tell: the id was given out
later, or belongs to a split whose end is not recorded yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashrange.model.table_document import TableDocument
from hashrange.wire.cluster import CONTROL, CatalogueUpdate, NodeRecord, Placement
from hashrange_node.meta import records
from hashrange_node.meta.bootstrap import install_control
from hashrange_node.meta.documents import partitions_of
from hashrange_node.meta.placement import replica_on
from hashrange_node.meta.work import Work
from hashrange_node.replica.place import Place
from hashrange_node.storage import keyspace

if TYPE_CHECKING:
    from hashrange_node.node import Node


class LocalReplicas:
    """The replicas of one node. `incarnation` names its data directory (hex), "" in the embedded server."""

    def __init__(self, node: Node, work: Work, incarnation: str = "") -> None:
        self._node = node
        self._work = work
        self._incarnation = incarnation

    def start(self) -> None:
        """Open what belongs here and remove what does not, as the catalogue known now says."""
        catalogue = self._node.catalogue
        if not catalogue.clustered:
            return
        record = catalogue.nodes.get(self._node.identity.id)
        if record is not None:
            self.identify(record)
        control = catalogue.placements.get(CONTROL)
        if control is not None:
            self._place_control(control)
        for name in list(catalogue.documents):
            self._node.open_table(name)
        self._remove_strays()

    # ---- what the catalogue tells

    def changed(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        """A table's document was changed; what it names is opened, or has its schema replaced."""
        if not self._node.catalogue.clustered:
            for partition in partitions_of(before).keys() - self._node.catalogue.partitions():
                self._close(partition)
        if after is not None:
            self._node.open_table(name)

    def placed(self, partition: int, before: Placement | None, after: Placement | None) -> None:
        """A placement was changed."""
        if partition == CONTROL:
            if after is not None:
                self._place_control(after)
            return
        identity = self._node.identity
        mine = replica_on(after, identity.id, identity.generation) if after is not None else None
        replica = self._node.replicas.get(partition)
        if replica is not None and (mine is None or mine["id"] != replica.group.replica_id):
            self._close(partition)
        if after is not None and mine is not None and after["table"] in self._node.catalogue.documents:
            self._node.open_table(after["table"])

    def registered(self, node: int, record: NodeRecord | None) -> None:
        """A node record was changed: if it is ours, we may learn our generation from it."""
        if node == self._node.identity.id and record is not None:
            self.identify(record)

    def follow(self, update: CatalogueUpdate) -> bool:
        """An update of the catalogue arrived from another node; False when there is a gap before it.

        A node that was taken out of group 0 while it was away hears of it only in this way.
        """
        catalogue = self._node.catalogue
        if catalogue.member and update.index > catalogue.index and self._node.identity.generation:
            for key, value in update.entries:
                if key == records.placement_key(CONTROL) and value is not None:
                    placement: Placement = records.parse(value)
                    if not self._lists_control(placement):
                        self._leave_control()
        return catalogue.follow(update)

    def identify(self, record: NodeRecord) -> None:
        """Take over the generation that this node's data directory has."""
        identity = self._node.identity
        if record["incarnation"] == self._incarnation and identity.generation != record["generation"]:
            identity.generation = record["generation"]
            control = self._node.catalogue.placements.get(CONTROL)
            if control is not None:
                self._place_control(control)
            for name in list(self._node.catalogue.documents):
                self._node.open_table(name)

    # ---- the control plane's own group

    def _lists_control(self, placement: Placement) -> bool:
        control = self._node.groups.control
        identity = self._node.identity
        mine = replica_on(placement, identity.id, identity.generation)
        return mine is not None and mine["id"] == control.replica_id

    def _place_control(self, placement: Placement) -> None:
        node = self._node
        if not node.identity.generation:
            # Which replicas are ours is not known yet: entries that the log brings back come before that.
            return
        control = node.groups.control
        if node.catalogue.member:
            if self._lists_control(placement):
                node.groups.place(control, placement)
            else:
                self._leave_control()
            return
        mine = replica_on(placement, node.identity.id, node.identity.generation)
        if mine is not None and not mine.get("leaving"):
            if control.dropped:
                # A replica of before has left while the process ran; this one has nothing to do with it.
                control = node.groups.renew_control()
            # The leader sends a snapshot: a replica without a configuration of its own cannot do anything else.
            # What is known of the catalogue stays known until then: an older copy must not replace it.
            known = (records.KNOWN, str(node.catalogue.index).encode())
            node.engine.write([install_control(node, mine["id"], ()), (records.COPIED, None), known])
            node.engine.flush()
            node.groups.open_control({}, mine["id"])
            node.groups.place(control, placement)

    def _leave_control(self) -> None:
        """This node is not in group 0 any more: what it has of the catalogue becomes a copy."""
        node = self._node
        copied = (records.COPIED, str(node.catalogue.index).encode())
        node.engine.write([copied, (records.KNOWN, None), (keyspace.group_state(CONTROL), None)])
        node.driver.remove(node.groups.control)
        node.driver.void(CONTROL)

    # ---- closing

    def _close(self, partition: int) -> None:
        self._work.closed(partition)
        self._node.close_replica(partition)

    def _remove_strays(self) -> None:
        node, catalogue = self._node, self._node.catalogue
        promised = {
            child
            for placement in catalogue.placements.values()
            if "split" in placement
            for child in placement["split"]["children"]
        }
        for partition in list(node.groups.recovered):
            if partition == CONTROL or partition in promised or partition in node.replicas:
                continue
            if partition >= catalogue.next_partition_id:
                continue  # given out after what this node knows
            placement = catalogue.placements.get(partition)
            if placement is not None and node.groups.awaits_split(placement):
                continue  # its log goes on where the split, once it is applied again, lets it begin
            del node.groups.recovered[partition]
            place = Place.only(partition)
            if placement is not None:
                place = Place(partition, placement["store"], placement["lo"], placement["hi"])
            node.groups.destroy(place)
