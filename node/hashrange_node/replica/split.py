"""Splitting a partition: what an entry that splits says, and what every replica makes of it when it applies it.

The children have new ids and share the parent's store, so no item moves: a split writes two state records and the
request windows of the children, in the batch that closes the parent. Each child begins at `BASE_INDEX` with its
parent's members; a replica that did not apply the split itself can only be given a snapshot.
"""

from __future__ import annotations

from typing import Any

from hashrange.wire.cluster import Placement
from hashrange_node.raft.confchange import Configuration
from hashrange_node.raft.messages import HardState
from hashrange_node.replica.effects import Effects, Mutation
from hashrange_node.replica.group import Group
from hashrange_node.replica.place import Place
from hashrange_node.storage import keyspace

BASE_INDEX = 10
BASE_TERM = 1


def split_effects(group: Group, at: int, children: list[int], low_share: float) -> Effects:
    """The entry that splits a group at hash `at`. `low_share`: the part of its entries below (an estimate)."""
    low = {space: [int(n * low_share) for n in pair] for space, pair in group.counts.items()}
    high = {
        space: [total - part for total, part in zip(pair, low[space], strict=True)]
        for space, pair in group.counts.items()
    }
    effects = Effects([], [], None)
    effects.split = {
        "at": at,
        "children": children,
        "voters": sorted(group.core.configuration.voters),
        "counts": [list(low.items()), list(high.items())],
    }
    return effects


def child_groups(parent: Group, split: dict[str, Any]) -> list[Group]:
    """The groups of the children on this node, as they begin."""
    found = []
    place = parent.place
    voters = split["voters"]
    bounds = ((place.lo, split["at"] - 1), (split["at"], place.hi))
    for child, (lo, hi), counts in zip(split["children"], bounds, split["counts"], strict=True):
        group = Group(Place(child, place.store, lo, hi), parent.driver, parent.replica_id)
        group.applied_index, group.applied_term = BASE_INDEX, BASE_TERM
        alone = list(voters) == [parent.replica_id]
        group.hard_state = HardState(BASE_TERM, parent.replica_id if alone else 0)
        group.configuration = Configuration.of(voters)
        group.stamp = parent.stamp
        group.counts = {space: list(pair) for space, pair in counts}
        group.nodes = dict(parent.nodes)
        group.fences = dict(parent.fences)
        # Of its own deletions none has been yet: whoever compares `deletes` compares the partition too.
        group.max_delete = parent.max_delete
        found.append(group)
    return found


def split_mutations(parent: Group, split: dict[str, Any]) -> list[Mutation]:
    """What goes into the parent's batch for its children."""
    mutations: list[Mutation] = []
    for child in child_groups(parent, split):
        mutations.append((keyspace.group_state(child.id), child.state()))
        mutations.extend(parent.window.copy_for(child.id)[1])
    return mutations


def successor_placements(parent: Placement | None, group: Group) -> list[dict[str, Any]]:
    """What a router is told of the children while the control plane does not know of the split yet."""
    split = group.split
    if split is None or parent is None:
        return []
    found: list[dict[str, Any]] = []
    for child in child_groups(group, split):
        placement = {
            **parent,
            "id": child.id,
            "store": child.place.store,
            "lo": child.place.lo,
            "hi": child.place.hi,
            "origin": "split",
            "initial": list(split["voters"]),
            "conf": 0,
            "parent": group.id,
        }
        placement.pop("split", None)
        placement.pop("successors", None)
        found.append(placement)
    return found
