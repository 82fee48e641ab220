"""What every fault plays on: a cluster under load, a source of chance, and a place to say what went on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.local_cluster import LocalCluster
from tests.cluster.workloads.load import TABLE, Load
from tests.cluster.zones import Zones

FAILOVER_S = 5.0
"""Time in which writes must succeed again after a leader or a zone was killed."""

LEASE_S = 1.5
"""Lease of a leader with the default settings."""

HEAL_S = 60.0


@dataclass
class Scene:
    """One run of one fault. `wrong` collects what the fault itself found wrong; `notes` what is worth telling.

    Without `judge_times` no time is held against the cluster: for machines that are busy with other work.
    """

    cluster: LocalCluster
    load: Load
    rng: random.Random
    say: Callable[[str], None]
    short: bool = True
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    zones: Zones | None = None
    judge_times: bool = True

    def partitions(self) -> list[dict[str, Any]]:
        """The partitions of the table under load."""
        return self.cluster.partitions(TABLE)

    def leader(self) -> tuple[int, int]:
        """A partition chosen at random, and the node that leads it."""
        partition = self.rng.choice(self.partitions())["id"]
        return partition, self.cluster.leader_of(partition)

    def busiest(self) -> int:
        """The node that leads most partitions of the table; waits until one is known to lead any.

        A control plane that has just got another leader knows of nobody until the nodes have reported again.
        """

        def known() -> int | None:
            led: dict[int, int] = {}
            for each in self.partitions():
                if each["leader"]:
                    led[each["leader"]] = led.get(each["leader"], 0) + 1
            return max(led, key=lambda node: led[node]) if led else None

        return int(self.cluster.wait("a leader of the table", known))

    def pass_time(self, seconds: float) -> None:
        """Let the load go on for a while, as long as the cluster lives."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))

    def recovered(self, what: str, since: float, limit_s: float = FAILOVER_S, *, judge: bool = True) -> None:
        """Wait until all probed partitions take writes; the longest gap since an instant is noted, and judged."""
        if not self.load.wait_writable(HEAL_S):
            silent = [probe.label for probe in self.load.probes if probe.last_s_ago >= 0.5]
            self.wrong.append(f"{what}: no writes after {HEAL_S:.0f} s: {', '.join(silent)}")
            return
        gap = max((probe.longest_s(since) for probe in self.load.probes), default=0.0)
        self.notes.append(f"{what}: {gap:.1f} s without writes")
        if judge and self.judge_times and gap > limit_s:
            self.wrong.append(f"{what}: {gap:.1f} s without writes, more than {limit_s:.0f} s")

    @contextmanager
    def fault(self, what: str) -> Iterator[float]:
        """A fault window; gives the instant at which it began."""
        self.say(what)
        with self.load.window(what):
            yield time.monotonic()

    def settle(self) -> None:
        """Heal everything, start what is down, and wait until every partition is written and every replica there."""
        if self.zones is not None:
            self.zones.heal()
        self.cluster.heal()
        down = self.cluster.down()
        if down:
            self.cluster.restart(*down)
        if not self.load.wait_writable(HEAL_S):
            silent = [probe.label for probe in self.load.probes if probe.last_s_ago >= 0.5]
            self.wrong.append(f"no writes {HEAL_S:.0f} s after everything was healed: {', '.join(silent)}")
