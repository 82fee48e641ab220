"""Changes of the catalogue: each is checked against the newest planned records and proposed to group 0 as one entry.

Only the leader of group 0 proposes; elsewhere every change is answered with NotLeader. What is proposed and not
applied yet is seen by the next check (the group's overlay), so checks never race with one another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import orjson

from hashrange.errors import unavailable
from hashrange.model import table_state
from hashrange.model.table_document import TableDocument, find_global_index
from hashrange.wire.cluster import NodeRecord, Placement
from hashrange.wire.documents import ChangeDocument, ControlDocument
from hashrange.wire.messages import ChangeTable, ConflictError, Done
from hashrange_node.meta import records
from hashrange_node.meta.documents import owners, partitions_of, ranges_in
from hashrange_node.meta.placement import child_placements
from hashrange_node.replica.effects import Effects, Mutation
from hashrange_node.storage import keyspace

if TYPE_CHECKING:
    from hashrange_node.meta.catalogue import Catalogue

NewPartition = tuple[int, str, str | None, int, int]
Placer = Callable[[list[NewPartition]], list[Placement]]
"""Places new partitions, given as (id, table, index, lo, hi). Raises ApiError when there are too few nodes."""


class Changes:
    """The changes of one catalogue. `placer` is set where the control plane runs."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.placer: Placer | None = None

    # ---- tables

    def table(self, message: ChangeTable, done: Done) -> None:
        """Compare-and-set one document, with the placements of its partitions. Answers with the new document."""
        catalogue = self._catalogue
        group = catalogue.group
        before: TableDocument | None = self._planned(records.table_key(message.name))
        found = (before["TableId"], before["Generation"]) if before is not None else None
        planned_next = self._next_id()
        if found != message.expected or any(n < planned_next for n in message.partition_ids):
            self._conflict(done)
            return
        group.driver.admit(group)
        after = message.document
        mutations: list[Mutation] = [
            (records.table_key(message.name), records.dump(after) if after is not None else None)
        ]
        if message.partition_ids:
            mutations.append((records.NEXT_ID, str(max(message.partition_ids) + 1).encode()))
        effects = Effects(mutations, [], after)
        if catalogue.clustered:
            mutations += self._placed(message.name, before, after)
        else:
            for partition in partitions_of(before).keys() - partitions_of(after).keys():
                effects.ranges.extend(keyspace.ranges_of(partition))
        group.propose(effects, done)

    def rename(self, name: str, expected: tuple[str, int], after: TableDocument, done: Done) -> None:
        """Move a document to the name that it has now: the old one is free at once.

        The partitions that it still names go with it, the others are dropped. Answers with the document.
        """
        catalogue = self._catalogue
        before: TableDocument | None = self._planned(records.table_key(name))
        if before is None or (before["TableId"], before["Generation"]) != expected:
            self._conflict(done)
            return
        new = after["TableName"]
        mutations: list[Mutation] = [
            (records.table_key(name), None),
            (records.table_key(new), records.dump(after)),
        ]
        effects = Effects(mutations, [], after)
        if catalogue.clustered:
            kept = owners(after)
            for partition, placement in self._placements().items():
                if placement["table"] != name:
                    continue
                moved: Placement | None = None
                if placement["index"] in kept:
                    moved = {**placement, "table": new, "conf": placement["conf"] + 1}
                mutations.append(
                    (records.placement_key(partition), records.dump(moved) if moved is not None else None)
                )
        else:
            for partition in partitions_of(before).keys() - partitions_of(after).keys():
                effects.ranges.extend(keyspace.ranges_of(partition))
        catalogue.group.driver.admit(catalogue.group)
        catalogue.group.propose(effects, done)

    def _placed(self, name: str, before: TableDocument | None, after: TableDocument | None) -> list[Mutation]:
        """Placements that come and go with a change of a table."""
        kept = owners(after)
        known = partitions_of(before)
        mutations: list[Mutation] = [
            (records.placement_key(partition), None)
            for partition, placement in self._placements().items()
            if placement["table"] == name and (before is None or placement["index"] not in kept)
        ]
        new: list[NewPartition] = []
        if after is not None:
            new = [
                (part["id"], name, index, part["lo"], part["hi"])
                for index, part in ranges_in(after)
                if part["id"] not in known
            ]
        if new:
            if self.placer is None:
                raise unavailable("The control plane is not ready to place partitions; retry later")
            for placement in self.placer(new):
                mutations.append((records.placement_key(placement["id"]), records.dump(placement)))
        return mutations

    # ---- nodes and placements

    def node(self, record: NodeRecord, done: Done) -> None:
        """Put a node record in place of the one before. Answers with the record."""
        self._propose([(records.node_key(record["id"]), records.dump(record))], record, done)

    def place(self, after: Placement, done: Done) -> None:
        """Put a placement in place of the version before it; ConflictError if that is not the newest."""
        before: Placement | None = self._planned(records.placement_key(after["id"]))
        if before is None or before["conf"] != after["conf"] - 1:
            self._conflict(done)
            return
        self._propose([(records.placement_key(after["id"]), records.dump(after))], after, done)

    def begin_split(self, partition: int, at: int, voters: Collection[int], done: Done) -> None:
        """Decide on a split: takes two ids for the children. Answers with the parent's placement.

        Refused unless the placement names exactly the `voters` that the leader reports: the children begin with the
        leader's members, and their placements with the parent's.
        """
        before: Placement | None = self._planned(records.placement_key(partition))
        if before is None or "split" in before or "successors" in before:
            self._conflict(done)
            return
        replicas = before["replicas"]
        if any(each.get("leaving") for each in replicas) or {each["id"] for each in replicas} != set(voters):
            done(unavailable(f"A replica of partition {partition} is on its way; split it after that"))
            return
        first = self._next_id()
        after: Placement = {**before, "split": {"at": at, "children": [first, first + 1]}}
        after["conf"] = before["conf"] + 1
        mutations: list[Mutation] = [
            (records.placement_key(partition), records.dump(after)),
            (records.NEXT_ID, str(first + 2).encode()),
        ]
        self._propose(mutations, after, done)

    def finish_split(self, partition: int, done: Done) -> None:
        """A split was applied: the children take the parent's place in the document and get placements."""
        before: Placement | None = self._planned(records.placement_key(partition))
        document: TableDocument | None = None
        if before is not None:
            document = self._planned(records.table_key(before["table"]))
        if before is None or "split" not in before or document is None:
            self._conflict(done)
            return
        intent = before["split"]
        children = child_placements(before, intent["at"], intent["children"])
        after = dict(before)
        del after["split"]
        after["successors"] = list(intent["children"])
        after["conf"] = before["conf"] + 1
        owner: Any = document if before["index"] is None else find_global_index(document, before["index"])
        if owner is None:
            self._conflict(done)
            return
        ranges: list[dict[str, int]] = []
        for part in owner["Partitions"]:
            if part["id"] == partition:
                ranges += [{"id": c["id"], "lo": c["lo"], "hi": c["hi"]} for c in children]
            else:
                ranges.append(part)
        revised = table_state.partitions_replaced(document, before["index"], ranges)
        mutations: list[Mutation] = [
            (records.table_key(before["table"]), records.dump(revised)),
            (records.placement_key(partition), records.dump(after)),
        ]
        mutations += [(records.placement_key(child["id"]), records.dump(child)) for child in children]
        self._propose(mutations, children, done)

    def retire(self, partition: int, done: Done) -> None:
        """Remove the placement of a partition that was split."""
        before: Placement | None = self._planned(records.placement_key(partition))
        if before is None or "successors" not in before:
            self._conflict(done)
            return
        self._propose([(records.placement_key(partition), None)], None, done)

    # ---- control documents

    def document(self, message: ChangeDocument, done: Done) -> None:
        """Compare-and-set one control document. Answers with the new one, None when it is removed."""
        key = records.document_key(message.kind, message.name)
        before: ControlDocument | None = self._planned(key)
        if (before["generation"] if before is not None else None) != message.expected:
            self._conflict(done)
            return
        generation = self._next(records.NEXT_GENERATION, self._catalogue.next_generation)
        after: ControlDocument | None = None
        if message.document is not None:
            after = {"generation": generation, "document": message.document}
        mutations: list[Mutation] = [
            (key, records.dump(after) if after is not None else None),
            (records.NEXT_GENERATION, str(generation + 1).encode()),
        ]
        self._propose(mutations, after, done)

    # ---- what is planned

    def newest_node(self, node: int) -> NodeRecord | None:
        """The newest record of a node, planned or applied."""
        record: NodeRecord | None = self._planned(records.node_key(node))
        return record

    def _planned(self, key: bytes) -> Any:
        """The newest planned record at a key, parsed; None when there is none."""
        held = self._catalogue.group.overlay.get(key)
        stored = held[1] if held is not None else self._catalogue.engine.get(key)
        return orjson.loads(stored) if stored is not None else None

    def _next_id(self) -> int:
        return self._next(records.NEXT_ID, self._catalogue.next_partition_id)

    def _next(self, key: bytes, applied: int) -> int:
        """What a counter of the catalogue stands at, planned or applied."""
        held = self._catalogue.group.overlay.get(key)
        return int(held[1]) if held is not None and held[1] is not None else applied

    def _placements(self) -> dict[int, Placement]:
        """All placements as planned."""
        found = dict(self._catalogue.placements)
        for key, (_, value) in self._catalogue.group.overlay.items():
            if key.startswith(records.PLACEMENT):
                if value is None:
                    found.pop(records.id_of(key), None)
                else:
                    found[records.id_of(key)] = orjson.loads(value)
        return found

    def _propose(self, mutations: list[Mutation], result: Any, done: Done) -> None:
        self._catalogue.group.driver.admit(self._catalogue.group)
        self._catalogue.group.propose(Effects(mutations, [], result), done)

    def _conflict(self, done: Done) -> None:
        """A plan that lost against a change under way can be made again only when that one is applied."""
        group = self._catalogue.group
        if group.overlay:
            group.propose(Effects([], [], ConflictError()), done)
        else:
            done(ConflictError())
