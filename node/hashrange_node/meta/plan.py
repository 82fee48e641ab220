"""One round of the control plane: the actions of all parts together, at most one for a partition."""

from __future__ import annotations

from hashrange_node.meta import balance, splits
from hashrange_node.meta.reconcile import (
    Action,
    Membership,
    Place,
    ReconcileSettings,
    View,
    emptied,
    group_order,
)


def plan(view: View, settings: ReconcileSettings, busy: frozenset[int] = frozenset()) -> list[Action]:
    """What to do now. `busy` are partitions that a request or a proposal is under way for: they wait.

    Repairs and steps of changes under way come first, then draining and spreading, splits, and balance last.
    """
    membership = Membership(view, settings)
    actions: list[Action] = []
    taken = set(busy)
    for placement in group_order(view.placements):
        partition = placement["id"]
        if partition in busy:
            continue
        action = splits.step(view, placement, settings) or membership.step(placement)
        if action is not None:
            actions.append(action)
            taken.add(partition)
    for split in splits.begin(view, settings, frozenset(taken)):
        actions.append(split)
        taken.add(split.partition)
    transfers = balance.leader_transfers(view, settings, frozenset(taken))
    actions += transfers
    taken.update(transfer.partition for transfer in transfers)
    # Replicas wait until the leaders are where they should be: a transfer and a move would undo one another.
    if settings.balance and not transfers and not any(isinstance(a, Place) for a in actions):
        free = max(0, settings.moves_max - membership.moves)
        actions += balance.replica_moves(view, settings, membership.load, free, frozenset(taken))
    actions += emptied(view)
    return actions
