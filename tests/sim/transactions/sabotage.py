"""Builds without one of the rules that transactions rest on: each must be found out within some seeds.

Where duplicates have to meet, the runs are narrow: few items, many late messages, nothing else broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hashrange_node.replica import evaluate as writes
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.place import Place
from hashrange_node.transactions import evaluate, participant
from hashrange_node.transactions.locks import Lock, LockTable

from hashrange.model import record as records
from hashrange.wire.messages import WriteItem
from hashrange.wire.transactions import TransactVersions
from tests.sim.run import Plan
from tests.sim.transactions.run import transactions_plan
from tests.sim.transactions.steps import DECIDE, step_of

FAULTS: dict[str, tuple[str, ...]] = {
    "no delete watermark": ("late", "late", "coordinator"),
    "ledger does not compare": ("router_pause", "coordinator", "late"),
    "reads ignore locks": ("slow_link", "late", "coordinator", "router_cut"),
    "anybody finishes": ("late", "coordinator", "slow_link"),
    "no markers": ("late", "late", "split"),
    "locks bar nobody": ("slow_link", "coordinator"),
    "one index change an entry": ("skew",),
}


def _no_watermark(current: bytes | None, watermark: int) -> int:
    return records.stamp(current) if current is not None else 0


_match = writes._match


def _decides_blindly(write: WriteItem, old: Any, current: bytes | None) -> None:
    if step_of(write) != DECIDE:
        _match(write, old, current)


_versions = participant._versions


def _ignores_locks(replica: Any, keys: list[bytes]) -> TransactVersions:
    versions = _versions(replica, keys)
    versions.locked = [False] * len(keys)
    return versions


def _everybodys(table: LockTable, txid: bytes) -> list[Lock]:
    return list(table.held.values())


_merge = evaluate.merge


def _first_changes_only(merged: Effects, effects: Effects, place: Place, index: int) -> None:
    if merged.queued is not None:
        effects.queued = None
    _merge(merged, effects, place, index)


PATCHES: dict[str, Callable[[], Any]] = {
    "no delete watermark": lambda: patch.object(evaluate, "seen_stamp", _no_watermark),
    "ledger does not compare": lambda: patch.object(writes, "_match", _decides_blindly),
    "reads ignore locks": lambda: patch.object(participant, "_versions", _ignores_locks),
    "anybody finishes": lambda: patch.object(LockTable, "of", _everybodys),
    "no markers": lambda: patch.object(participant.Participant, "_valid", lambda participant, marker: False),
    "locks bar nobody": lambda: patch.object(LockTable, "barring", lambda table, key: None),
    "one index change an entry": lambda: patch.object(evaluate, "merge", _first_changes_only),
}


def plan_for(name: str, seed: int) -> Plan:
    """A plan under which the missing rule soon matters."""
    plan = transactions_plan(seed)
    plan.kinds = FAULTS[name]
    plan.fault_interval_s = 0.8
    return plan


@contextmanager
def sabotaged(name: str) -> Iterator[None]:
    """Run without one rule."""
    with PATCHES[name]():
        yield
