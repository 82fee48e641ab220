"""Slots: which ports clusters and nodes get, so that no two ever listen at the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hashrange.model.dax import SLOTS, ClusterDocument, NodeDocument, SlotsDocument
from hashrange_router.dax.errors import no_slots

KEPT_S: Final = 60.0
"""How long a slot that was given out is nobody else's, in a cluster's document or not."""


def taken(clusters: Iterable[ClusterDocument], nodes: Iterable[NodeDocument], base_port: int) -> set[int]:
    """Slots in use: those of clusters and of their nodes, and of nodes that still run but are wanted no more."""
    found: set[int] = set()
    for cluster in clusters:
        found.add(cluster["Slot"])
        found.update(node["Slot"] for node in cluster["Nodes"])
    found.update(node["Port"] - base_port for node in nodes)
    return found


def give(
    count: int, used: set[int], before: SlotsDocument | None, now: float, by: str, fault: str
) -> tuple[list[int], SlotsDocument]:
    """The lowest free slots, and the document that says so. `fault` is the error when there are too few.

    `by` is an id that no other giving has.
    """
    given = {
        slot: at for slot, at in (before["Given"] if before is not None else {}).items() if at > now - KEPT_S
    }
    free = [slot for slot in range(SLOTS) if slot not in used and str(slot) not in given]
    if len(free) < count:
        raise no_slots(fault, SLOTS)
    chosen = free[:count]
    return chosen, {"Given": {**given, **{str(slot): now for slot in chosen}}, "By": by}
