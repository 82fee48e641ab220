"""What idle groups cost: three nodes with so many groups each, hibernating, in one process on its event loop.

    python -m tests.bench.idle_groups [--groups 2000] [--seconds 10]

The nodes are real; logs and engines are in memory, and messages are handed over in the loop. Prints the CPU of one
node (a third of the process) while all groups hibernate, and how long it took until they did.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from hashrange_node.log.memory import MemoryLog
from hashrange_node.node import Node
from hashrange_node.settings import NodeIdentity
from hashrange_node.storage.memory import MemoryEngine

from hashrange.model.table import TableSchema
from hashrange.runtime.clock import StampClock, SystemClock
from hashrange.wire.cluster import Placement, RaftBatch
from tests.sim.workload import table_document

NODES = (1, 2, 3)


class Scheduler:
    """The event loop's functions."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_soon: Callable[[Callable[[], None]], Any] = loop.call_soon
        self._loop = loop

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        return self._loop.call_later(delay_s, callback)


class LocalPeers:
    """Hands messages over within the process; everyone is always heard."""

    def __init__(self, nodes: dict[int, Node], loop: asyncio.AbstractEventLoop) -> None:
        self._nodes = nodes
        self._loop = loop

    def cast(self, node: int, message: RaftBatch) -> None:
        self._loop.call_soon(self._nodes[node].on_raft, message)

    def request(self, node: int, message: Any, done: Any, timeout_s: float = 10.0) -> None:
        raise AssertionError("nothing is asked here")

    def silent_s(self, node: int) -> float:
        return 0.0


def placement(partition: int) -> Placement:
    """A partition with a replica on each node."""
    return {
        "id": partition,
        "store": partition,
        "table": "Registers",
        "index": None,
        "lo": 0,
        "hi": (1 << 64) - 1,
        "origin": "create",
        "initial": list(NODES),
        "replicas": [{"id": node, "node": node, "generation": 1} for node in NODES],
        "conf": 1,
        "next_replica": 4,
    }


async def measure(groups: int, seconds: float) -> None:
    """Open the groups, wait until they hibernate, measure."""
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    nodes: dict[int, Node] = {}
    schema = TableSchema.from_document(table_document(1))

    def fail(reason: str) -> None:
        raise SystemExit(reason)

    def report(what: str, error: BaseException) -> None:
        raise SystemExit(f"{what}: {error!r}")

    for number in NODES:
        nodes[number] = Node(
            MemoryLog(),
            MemoryEngine(),
            Scheduler(loop),
            StampClock(clock),
            monotonic=clock.monotonic,
            rng=random.Random(number),
            fatal=fail,
            on_error=report,
            identity=NodeIdentity(id=number, standalone=False),
            peers=LocalPeers(nodes, loop),
        )
    for node in nodes.values():
        node.recover()
        for partition in range(1, groups + 1):
            node.open_replica(placement(partition), schema, None)
    started = time.monotonic()
    while any(node.driver.active for node in nodes.values()):
        await asyncio.sleep(0.2)
        if time.monotonic() - started > 120:
            active = [len(node.driver.active) for node in nodes.values()]
            raise SystemExit(f"groups are still awake on each node after two minutes: {active}")
    led = [sum(group.led for group in node.driver.groups.values()) for node in nodes.values()]
    print(f"{groups} groups hibernate after {time.monotonic() - started:.1f} s; led by each node: {led}")
    for what in ("hibernating", "hibernating, again"):
        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        print(f"{what}: {100 * cpu / wall / len(NODES):.3f} % of a core per node over {wall:.0f} s")
    for node in nodes.values():
        for group in node.driver.groups.values():
            node.driver.wake(group)
    await asyncio.sleep(seconds / 5)
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds / 5)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    print(f"all awake, without work: {100 * cpu / wall / len(NODES):.1f} % of a core per node")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.groups, arguments.seconds))


if __name__ == "__main__":
    main()
