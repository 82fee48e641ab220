"""Clusters with one rule taken out each: a simulation that lets them pass checks nothing.

`sabotaged(name)` patches the rule away while it is entered. `FAULTS` names the kinds of faults that bring the breach
to light; the others would only take time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hashrange_node.replica.replica import Replica
from hashrange_node.replica.strong import StrongReads

from tests.sim.disk import SimLog
from tests.sim.run import Plan
from tests.unit import raft_sabotage

FAULTS: dict[str, tuple[str, ...]] = {
    "vote not persisted": ("crash_voter", "crash_voter", "pause", "crash"),
    "sync not awaited": ("power",),
    "promises before the sync": ("power", "slow_disk"),
    "lease not checked": ("pause", "isolate", "gray"),
    "requests applied twice": ("reset", "weather", "one_way", "crash"),
}


def _synced_at_once(log: SimLog, position: int, done: Callable[[int], object]) -> None:
    done(log.position)


def _leads(strong: StrongReads, group: Any) -> bool:
    return bool(group.serving)


class ForgetsVote(raft_sabotage.ForgetsVote):
    """The vote is not made durable, and a start does not wait for what was promised before it."""

    __slots__ = ()

    def _promised_nothing(self) -> bool:
        return True


def _core(core: type) -> Any:
    return patch("hashrange_node.groups.RaftCore", core)


PATCHES: dict[str, Callable[[], Any]] = {
    "vote not persisted": lambda: _core(ForgetsVote),
    "sync not awaited": lambda: patch.object(SimLog, "sync", _synced_at_once),
    "promises before the sync": lambda: _core(raft_sabotage.SendsEarly),
    "lease not checked": lambda: patch.object(StrongReads, "leased", _leads),
    "requests applied twice": lambda: patch.object(Replica, "_seen", lambda replica, request, done: False),
}


def plan_for(name: str) -> Plan:
    """A plan under which the missing rule soon matters."""
    plan = Plan.contested() if name == "vote not persisted" else Plan()
    plan.kinds = FAULTS[name]
    if name == "lease not checked":
        # One key that everybody reads: only a read at the old leader just after a write at the new one shows it.
        plan.pause_s, plan.counters, plan.registers, plan.clients = 0.05, 1, 1, 3
    return plan


@contextmanager
def sabotaged(name: str) -> Iterator[None]:
    """Run without one rule."""
    with PATCHES[name]():
        yield
