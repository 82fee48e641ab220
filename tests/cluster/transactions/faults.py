"""What goes wrong while transactions run: leaders and routers killed, zones cut off, partitions split.

A fault is a function of the `Stage`. It does its harm, lets time pass, and puts everything right again as far as it
must be for the next one; partitions that it has split stay so.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hashrange.cli.cluster.ask import AskError
from hashrange.cli.cluster.layout import LayoutError
from hashrange.model.ledger import LEDGER_TABLE
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.transactions.load import TransactionLoad

PARTITIONS_MAX = 20
DOWN_S = 4.0
CUT_S = 5.0
FROZEN_S = 3.0


@dataclass
class Stage:
    """One run: the cluster, its load, a source of chance, and what went on. `over()` tells when to stop."""

    cluster: LocalCluster
    load: TransactionLoad
    tables: list[str]
    rng: random.Random
    say: Callable[[str], None]
    over: Callable[[], bool] = lambda: False
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def pass_time(self, seconds: float) -> None:
        """Let the load go on for a while, or until the run is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.over():
            time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))

    def leader(self) -> int:
        """A node that leads a partition of the tables or of the ledger, drawn by partition."""

        def drawn() -> int | None:
            led = [
                each["leader"]
                for name in [*self.tables, LEDGER_TABLE]
                for each in self.cluster.partitions(name)
                if each["leader"]
            ]
            return self.rng.choice(led) if led else None

        return int(self.cluster.wait("a leader", drawn))


Fault = Callable[[Stage], None]


def kill_leader(stage: Stage) -> None:
    """kill -9 a node that leads a partition, start it again."""
    name = f"node-{stage.leader()}"
    stage.say(f"killing {name}")
    stage.cluster.kill(name)
    stage.pass_time(DOWN_S)
    stage.cluster.restart(name)


def kill_router(stage: Stage) -> None:
    """kill -9 a router with everything that it coordinates, start it again."""
    name = stage.rng.choice(stage.cluster.routers())
    stage.say(f"killing {name}")
    stage.cluster.kill(name)
    stage.pass_time(stage.rng.uniform(0.5, DOWN_S))
    stage.cluster.restart(name)


def freeze_leader(stage: Stage) -> None:
    """SIGSTOP a node that leads a partition, and wake it when others have taken over."""
    name = f"node-{stage.leader()}"
    stage.say(f"freezing {name}")
    stage.cluster.pause(name)
    stage.pass_time(FROZEN_S)
    stage.cluster.resume(name)


def cut_zone(stage: Stage) -> None:
    """Cut the zone of a leader off from everything else."""
    zone = stage.cluster.zone_of(stage.leader())
    stage.say(f"cutting {zone} off")
    stage.cluster.cut([zone])
    stage.pass_time(CUT_S)
    stage.cluster.heal()


def split(stage: Stage) -> None:
    """Split a partition of the tables or of the ledger."""
    name = stage.rng.choice([*stage.tables, LEDGER_TABLE])
    try:
        found = stage.cluster.partitions(name)
        if not 0 < len(found) < PARTITIONS_MAX:
            return
        partition = stage.rng.choice(found)["id"]
        stage.cluster.command("split", partition=partition)
    except (AskError, LayoutError) as error:
        stage.say(f"not split: {error}")
        return
    stage.say(f"splitting partition {partition} of {name}")
    stage.pass_time(1.0)


FAULTS: dict[str, tuple[Fault, ...]] = {
    "none": (),
    "kills": (kill_leader,),
    "routers": (kill_router,),
    "freezes": (freeze_leader,),
    "zones": (cut_zone,),
    "splits": (split,),
    "all": (kill_leader, split, kill_router, cut_zone, split, freeze_leader, kill_router),
}
"""Sets of faults by name, each in the order in which they come, over and over."""
