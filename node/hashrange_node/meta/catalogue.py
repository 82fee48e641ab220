"""The catalogue: tables, placements and nodes, replicated as the state machine of group 0.

Members of group 0 apply its entries; other nodes hold a copy that follows updates (`feed`). Both keep the records in
the engine, and parsed in memory, where everyone on the node reads them. They are changed only through `changes`, at
the leader of group 0. Subscribers are told of every applied change, in order, once all records of it are in place.

The embedded server has no placement records: every partition that a document names is on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from hashrange.model.table import TableSchema
from hashrange.model.table_document import TableDocument
from hashrange.wire.cluster import CatalogueUpdate, ClusterRecord, NodeRecord, Placement
from hashrange.wire.documents import ChangeDocument, ControlDocuments, OnControlDocument
from hashrange.wire.messages import ChangeTable, Done
from hashrange_node.meta import records
from hashrange_node.meta.changes import Changes
from hashrange_node.meta.documents import partitions_of, ranges_in
from hashrange_node.meta.placement import standalone_placement
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.group import Group
from hashrange_node.storage.engine import Engine
from hashrange_node.storage.keyspace import CATALOGUE_PREFIX

Subscriber = Callable[[str, TableDocument | None, TableDocument | None], None]
PlacementSubscriber = Callable[[int, Placement | None, Placement | None], None]
NodeSubscriber = Callable[[int, NodeRecord | None], None]
EntriesSubscriber = Callable[[int, int, records.Entries], None]

GROUP = 0


class Catalogue:
    """What one node knows of the cluster, up to `index` of group 0.

    `group` is this node's replica of group 0; it has a core only on members.
    """

    def __init__(self, group: Group, engine: Engine) -> None:
        self.group = group
        self.engine = engine
        self.documents: dict[str, TableDocument] = {}
        self.schemas: dict[str, TableSchema] = {}
        self.placements: dict[int, Placement] = {}
        self.nodes: dict[int, NodeRecord] = {}
        self.controls = ControlDocuments()
        self.cluster: ClusterRecord | None = None
        self._parts: dict[int, tuple[str, str | None, int, int]] = {}
        self._placed: dict[str, set[int]] = {}
        self.next_partition_id = 1
        self.next_generation = 1
        """Of the next change of a control document."""
        self.index = 0
        self.changes = Changes(self)
        self.on_control: list[Callable[[bool], None]] = []
        """Told when this node begins to lead the control plane, and when that is over."""
        self._subscribers: list[Subscriber] = []
        self._placement_subscribers: list[PlacementSubscriber] = []
        self._node_subscribers: list[NodeSubscriber] = []
        self._control_subscribers: list[OnControlDocument] = []
        self._entries_subscribers: list[EntriesSubscriber] = []
        group.listener = _ControlListener(self)

    # ---- reading

    @property
    def clustered(self) -> bool:
        """Whether placements are recorded; not in the embedded server."""
        return self.cluster is not None

    @property
    def member(self) -> bool:
        """Whether this node is in group 0."""
        return self.group.core is not None and not self.group.dropped

    @property
    def copied(self) -> bool:
        """Whether the engine has a copy of the catalogue, and not the state of a replica of group 0."""
        return self.engine.get(records.COPIED) is not None

    def partitions(self) -> set[int]:
        """All partitions there are, those replaced by splits and not yet gone among them."""
        return {*self._parts, *(self.placements.keys() - {GROUP})}

    def partitions_of(self, name: str) -> dict[int, str | None]:
        """All partitions of a table: id -> global index name, or None for the table itself."""
        found = partitions_of(self.documents.get(name))
        for partition in self._placed.get(name, ()):
            found[partition] = self.placements[partition]["index"]
        return found

    def placement(self, partition: int) -> Placement | None:
        """Where a partition is, or None when there is none of that id (or it is not placed yet)."""
        if self.clustered:
            return self.placements.get(partition)
        part = self._parts.get(partition)
        return standalone_placement(partition, *part) if part is not None else None

    def successors(self, partition: int) -> list[dict[str, Any]]:
        """The placements of what a split put in the place of a partition; empty if nothing is known of it."""
        placement = self.placements.get(partition)
        found = placement.get("successors", ()) if placement is not None else ()
        return [dict(self.placements[child]) for child in found if child in self.placements]

    def node_ids(self) -> list[int]:
        """The nodes of the cluster."""
        return list(self.nodes)

    # ---- being told

    def subscribe(self, subscriber: Subscriber) -> None:
        """Be told of every applied change of a table: (name, document before, document after)."""
        self._subscribers.append(subscriber)

    def subscribe_placements(self, subscriber: PlacementSubscriber) -> None:
        """Be told of every applied change of a placement: (partition, before, after); tables come before."""
        self._placement_subscribers.append(subscriber)

    def subscribe_nodes(self, subscriber: NodeSubscriber) -> None:
        """Be told of every applied change of a node record: (node, after)."""
        self._node_subscribers.append(subscriber)

    def subscribe_controls(self, subscriber: OnControlDocument) -> None:
        """Be told of every applied change of a control document: (kind, name, before, after)."""
        self._control_subscribers.append(subscriber)

    def subscribe_entries(self, subscriber: EntriesSubscriber) -> None:
        """Be given every applied change as entries: (index before, index after, entries)."""
        self._entries_subscribers.append(subscriber)

    # ---- changing

    def change(self, message: ChangeTable | ChangeDocument, done: Done) -> None:
        """Compare-and-set a table's document, or a control document. Answers with the new one, or `ConflictError`."""
        if isinstance(message, ChangeDocument):
            self.changes.document(message, done)
        else:
            self.changes.table(message, done)

    def load(self) -> None:
        """Read what is applied, after the log has been replayed. Nobody is told."""
        self._take(self._stored())
        copied = self.engine.get(records.COPIED)
        known = self.engine.get(records.KNOWN) or b"0"
        self.index = int(copied) if copied is not None else max(self.group.applied_index, int(known))
        if self.clustered:
            self.index = max(self.index, records.FIRST_INDEX)

    def begin(self, entries: records.Entries) -> None:
        """Take over the first state of a new cluster, which is in the engine already."""
        self.index = records.FIRST_INDEX
        self._apply(entries, 0)

    def reload(self) -> None:
        """A snapshot of group 0 was installed: take over what the engine has now, and tell of the differences."""
        before = self.index
        self.index = self.group.applied_index
        self._replace(self._stored(), before)

    def follow(self, update: CatalogueUpdate) -> bool:
        """Take over an update on a node outside group 0; False when there is a gap before it."""
        if self.member or (update.index <= self.index and self.index):
            return True
        if not update.full and update.after_index > self.index:
            return False
        entries = update.entries
        if update.full:
            kept = {key for key, _ in entries}
            entries = entries + [(key, None) for key, _ in self._stored() if key not in kept]
        known, before = self.cluster, self.index
        self.engine.write([*entries, (records.COPIED, str(update.index).encode())])
        if known is None:
            self.engine.flush()  # which cluster this directory belongs to is not to be forgotten
        self.index = update.index
        self._apply(entries, before)
        return True

    def as_update(self) -> CatalogueUpdate:
        """Everything there is, for someone who has nothing."""
        entries: records.Entries = [
            (records.NEXT_ID, str(self.next_partition_id).encode()),
            (records.NEXT_GENERATION, str(self.next_generation).encode()),
        ]
        if self.cluster is not None:
            entries.append((records.CLUSTER, records.dump(self.cluster)))
        entries += [(records.node_key(id_), records.dump(record)) for id_, record in self.nodes.items()]
        entries += [(records.placement_key(id_), records.dump(p)) for id_, p in self.placements.items()]
        entries += [(records.table_key(name), records.dump(d)) for name, d in self.documents.items()]
        entries += [
            (records.document_key(kind, name), records.dump(found))
            for kind, name, found in self.controls.all()
        ]
        return CatalogueUpdate(self.index, True, entries)

    def applied(self, effects: Effects, index: int) -> None:
        """Take over an applied entry of group 0 and tell the subscribers."""
        before, self.index = self.index, index
        entries = [(key, value) for key, value in effects.mutations if key[:1] == CATALOGUE_PREFIX]
        self._apply(entries, before)

    def _stored(self) -> list[tuple[bytes, bytes]]:
        scanned = self.engine.scan(CATALOGUE_PREFIX, records.END)
        return [(key, value) for key, value in scanned if key not in records.OWN]

    def _replace(self, stored: list[tuple[bytes, bytes]], before: int) -> None:
        kept = {key for key, _ in stored}
        gone: records.Entries = [(key, None) for key, _ in self.as_update().entries if key not in kept]
        self._apply([*stored, *gone], before)

    def _apply(self, entries: records.Entries, before: int) -> None:
        told = self._take(entries)
        if entries:
            told += [(s, (before, self.index, entries)) for s in self._entries_subscribers]
        self._tell(told)

    def _take(
        self, entries: Iterable[tuple[bytes, bytes | None]]
    ) -> list[tuple[Callable[..., None], tuple[Any, ...]]]:
        """Put records in place; returns whom to tell of what: nodes, tables, placements, control documents."""
        nodes: list[Any] = []
        tables: list[Any] = []
        placements: list[Any] = []
        controls: list[Any] = []
        for key, value in entries:
            kind = key[:2]
            record = orjson.loads(value) if value is not None else None
            if kind == records.TABLE:
                name = records.name_of(key)
                before = _put(self.documents, name, record)
                self._index_parts(name, before, record)
                _put(self.schemas, name, TableSchema.from_document(record) if record is not None else None)
                if before != record:
                    tables += [(s, (name, before, record)) for s in self._subscribers]
            elif kind == records.PLACEMENT:
                id_ = records.id_of(key)
                before = _put(self.placements, id_, record)
                if before is not None:
                    self._placed[before["table"]].discard(id_)
                if record is not None:
                    self._placed.setdefault(record["table"], set()).add(id_)
                if before != record:
                    placements += [(s, (id_, before, record)) for s in self._placement_subscribers]
            elif kind == records.NODE:
                id_ = records.id_of(key)
                if _put(self.nodes, id_, record) != record:
                    nodes += [(s, (id_, record)) for s in self._node_subscribers]
            elif key == records.NEXT_ID:
                self.next_partition_id = record or 1
            elif kind == records.DOCUMENT:
                found = records.document_of(key)
                before = self.controls.put(*found, record)
                if before != record:
                    controls += [(s, (*found, before, record)) for s in self._control_subscribers]
            elif key == records.NEXT_GENERATION:
                self.next_generation = record or 1
            elif key == records.CLUSTER:
                self.cluster = record
        return nodes + tables + placements + controls

    def _index_parts(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        for partition in partitions_of(before):
            known = self._parts.get(partition)
            if known is not None and known[0] == name:  # else it belongs to another table by now
                del self._parts[partition]
        if after is not None:
            for index, part in ranges_in(after):
                self._parts[part["id"]] = (name, index, part["lo"], part["hi"])

    @staticmethod
    def _tell(told: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
        """Tell all subscribers, even if one fails: the others' views must not fall behind."""
        failed: Exception | None = None
        for subscriber, what in told:
            try:
                subscriber(*what)
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed


class _ControlListener:
    """What group 0 tells its replica on this node."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def applied(self, effects: Effects, index: int) -> None:
        self._catalogue.applied(effects, index)

    def leading(self, serving: bool) -> None:
        for told in self._catalogue.on_control:
            told(serving)


def _put(values: dict[Any, Any], key: Any, value: Any) -> Any:
    """Put a value, or remove it when it is None; returns what was there."""
    if value is None:
        return values.pop(key, None)
    before = values.get(key)
    values[key] = value
    return before
