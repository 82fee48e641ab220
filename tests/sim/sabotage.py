"""Clusters with one rule taken out each: a simulation that lets them pass checks nothing.

`sabotaged(name)` patches the rule away while it is entered. `FAULTS` names the kinds of faults that bring the breach
to light; the others would only take time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hashrange_node.replica.effects import Effects
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.strong import StrongReads
from hashrange_node.storage import keyspace
from hashrange_node.streams.keeper import StreamKeeper
from hashrange_node.streams.shards import ShardRow

from tests.sim.disk import SimLog
from tests.sim.run import Plan, Simulation
from tests.sim.whole import WholeSimulation, whole_plan
from tests.unit import raft_sabotage

FAULTS: dict[str, tuple[str, ...]] = {
    "vote not persisted": ("crash_voter", "crash_voter", "pause", "crash"),
    "sync not awaited": ("power",),
    "promises before the sync": ("power", "slow_disk"),
    "lease not checked": ("pause", "isolate", "gray"),
    "requests applied twice": ("reset", "weather", "one_way", "crash"),
    "records in entries of their own": ("crash", "power", "transfer"),
    "shards kept in memory": ("crash", "transfer"),
    "splits leave shards open": ("split", "split", "crash"),
    "children open no shards": ("split", "split", "crash"),
}
WHOLE = ("splits leave shards open", "children open no shards")
"""Those that need a control plane."""


def _synced_at_once(log: SimLog, position: int, done: Callable[[int], object]) -> None:
    done(log.position)


def _leads(strong: StrongReads, group: Any) -> bool:
    return bool(group.serving)


class ForgetsVote(raft_sabotage.ForgetsVote):
    """The vote is not made durable, and a start does not wait for what was promised before it."""

    __slots__ = ()

    def _promised_nothing(self) -> bool:
        return True


_write = Replica.write


def _records_apart(replica: Replica, write: Any, done: Callable[[Any], None]) -> None:
    """The record of a change goes into the log behind it."""
    group = replica.group
    propose = type(group).propose

    def apart(effects: Effects, done: Any) -> bool:
        kept = [each for each in effects.mutations if each[0][9] != keyspace.STREAM]
        late = [each for each in effects.mutations if each[0][9] == keyspace.STREAM]
        effects.mutations = kept

        def later() -> None:
            propose(group, Effects(late, [], None), None)

        taken = propose(group, effects, done)
        if late and taken:
            group.driver.call_later(0.05, later)
        return taken

    with patch.object(type(group), "propose", lambda group, effects, done: apart(effects, done)):
        _write(replica, write, done)


def _only_in_memory(keeper: StreamKeeper, changed: list[ShardRow], index: int) -> bool:
    for row in changed:
        keeper.rows[row.shard.id] = row
    keeper._record()
    return True


_mutations = StreamKeeper._mutations


def _all_but_the_first(keeper: StreamKeeper, changed: list[ShardRow], index: int) -> Any:
    return _mutations(keeper, changed[1:] if len(changed) == 3 else changed, index)


def _the_first(keeper: StreamKeeper, changed: list[ShardRow], index: int) -> Any:
    return _mutations(keeper, changed[:1] if len(changed) == 3 else changed, index)


def _core(core: type) -> Any:
    return patch("hashrange_node.groups.RaftCore", core)


PATCHES: dict[str, Callable[[], Any]] = {
    "vote not persisted": lambda: _core(ForgetsVote),
    "sync not awaited": lambda: patch.object(SimLog, "sync", _synced_at_once),
    "promises before the sync": lambda: _core(raft_sabotage.SendsEarly),
    "lease not checked": lambda: patch.object(StrongReads, "leased", _leads),
    "requests applied twice": lambda: patch.object(Replica, "_seen", lambda replica, request, done: False),
    "records in entries of their own": lambda: patch.object(Replica, "write", _records_apart),
    "shards kept in memory": lambda: patch.object(StreamKeeper, "change", _only_in_memory),
    "splits leave shards open": lambda: patch.object(StreamKeeper, "_mutations", _all_but_the_first),
    "children open no shards": lambda: patch.object(StreamKeeper, "_mutations", _the_first),
}


def plan_for(name: str) -> Plan:
    """A plan under which the missing rule soon matters."""
    plan = Plan.contested() if name == "vote not persisted" else Plan()
    if name in WHOLE:
        plan = whole_plan(0)
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


def simulation_for(name: str) -> type[Simulation]:
    """The kind of run that a rule needs."""
    return WholeSimulation if name in WHOLE else Simulation
