"""The cluster under measurement: `hashrange cluster up` with fsync, one table, its partitions where they should be."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType

from hashrange_client.load.prepare import prepare
from hashrange_client.load.settings import LoadSettings

from tests.bench.cluster import cpu
from tests.cluster.local_cluster import LocalCluster

TABLE = "bench"
ROUTER = "router"
HASHES = 1 << 64
SPREAD_TIMEOUT_S = 240.0
SETTLE_S = 2.0
REST_S = 10.0

SETTINGS = ("split_writes_per_s=1000000000", "split_reads_per_s=1000000000")
"""Nothing is split by heat: the partitions are the same in all runs."""


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


class Scene:
    """A running cluster of some nodes in three zones, with one table."""

    def __init__(self, directory: Path, nodes: int, items: int, item_bytes: int) -> None:
        self.cluster = LocalCluster(directory, nodes=nodes, settings=SETTINGS)
        self.nodes = nodes
        self.items = items
        self.item_bytes = item_bytes
        self.start_s = 0.0
        self.signs: list[str] = []
        """What the processes wrote that they should not have written, once the scene is left."""

    def __enter__(self) -> Scene:
        say(f"starting {self.nodes} nodes in {self.cluster.directory}")
        begun = time.monotonic()
        self.cluster.start()
        self.start_s = time.monotonic() - begun
        say(f"preloading {self.items:,} items of {self.item_bytes} bytes")
        try:
            asyncio.run(prepare(self.settings("get", connections=8, seconds=1.0)))
        except BaseException:
            self.cluster.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signs = [sign[:400] for sign in self.cluster.crashes()]
        for sign in self.signs:
            say(f"figures cannot be trusted: {sign}")
        self.cluster.stop()

    def settings(
        self, operation: str, *, connections: int, seconds: float, strong: bool = False
    ) -> LoadSettings:
        """The load generator's settings for one run on this cluster."""
        return LoadSettings(
            endpoint=self.cluster.endpoint,
            workload=operation,
            table=TABLE,
            connections=connections,
            duration_s=seconds,
            items=self.items,
            item_bytes=self.item_bytes,
            warm_up_s=0.0,
            consistent_reads=strong,
        )

    def leaders(self) -> list[int | None]:
        """The node that leads each partition of the table."""
        return [each["leader"] for each in self.cluster.partitions(TABLE)]

    def roles(self) -> dict[str, str]:
        """Role of each process by its name: router, leader or follower of the one partition; with several
        partitions `node`, and `idle` for nodes without a replica.
        """
        partitions = self.cluster.partitions(TABLE)
        holders = {replica["node"] for each in partitions for replica in each["replicas"]}
        roles = dict.fromkeys(self.cluster.routers(), ROUTER)
        for node in self.cluster.nodes():
            if node not in holders:
                role = "idle"
            elif len(partitions) > 1:
                role = "node"
            else:
                role = "leader" if partitions[0]["leader"] == node else "follower"
            roles[f"node-{node}"] = role
        return roles

    def pids(self) -> dict[str, int]:
        """Process ids by name, of what runs."""
        return {each.name: each.pid for each in self.cluster.layout().processes if each.pid is not None}

    def cpu(self) -> dict[str, cpu.Cpu]:
        """Processor time so far, by name of process."""
        return {name: cpu.read(pid) for name, pid in self.pids().items()}

    def quiet(self) -> None:
        """Wait until every partition has a leader and no replica lags behind."""
        self.cluster.wait("a quiet cluster", lambda: not self.cluster.behind(), timeout_s=120.0)
        time.sleep(SETTLE_S)

    def spread(self, count: int) -> dict[int, int]:
        """Split the table into `count` equal partitions and wait until leaders rest; led partitions by node.

        Leaders are balanced one transfer at a time, and may come to rest with a node that leads none.
        """
        say(f"splitting the table into {count} partitions")
        bounds = [number * HASHES // count for number in range(count + 1)]
        deadline = time.monotonic() + SPREAD_TIMEOUT_S
        asked: set[int] = set()
        while len(found := self.cluster.partitions(TABLE)) < count:
            for each in found:
                low, high = (int(bound) for bound in each["hash_range"])
                inner = [bound for bound in bounds if low < bound <= high]
                if inner and each["id"] not in asked and each["leader"] is not None:
                    self.cluster.command("split", partition=each["id"], at=inner[len(inner) // 2])
                    asked.add(each["id"])
            if time.monotonic() > deadline:
                raise TimeoutError(f"the table has {len(found)} partitions, not {count}")
            time.sleep(0.3)
        self.cluster.command("balance")
        before, since = self.leaders(), time.monotonic()
        while time.monotonic() - since < REST_S:
            time.sleep(0.2)
            leaders = self.leaders()
            if leaders != before or None in leaders or self.cluster.behind():
                before, since = leaders, time.monotonic()
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"leaders do not come to rest: {sorted(Counter(leaders).items(), key=str)}"
                )
        self.quiet()
        led = Counter(self.leaders())
        return {node: led[node] for node in self.cluster.nodes()}
