"""A pool that knows that it is the only one: what a killed one had is its own at once, when nothing runs for that."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from hashrange_router.triggers.limits.group import process_tag
from hashrange_router.triggers.mapping.leases import LEASE_S
from hashrange_router.triggers.predecessors import guards_alive, have_ended
from hashrange_router.triggers.registry import Registry, read_rows

from hashrange.runtime.clock import ManualClock
from tests.triggers import event_support
from tests.triggers.mapping_support import World, elapse, simulate
from tests.unit.local_support import LocalNode, on_loop

SHARD = "shardId-a"


def test_workers_have_ended_when_their_guards_have(tmp_path: Path) -> None:
    async def test() -> None:
        assert await have_ended(tmp_path / "no such directory")
        own = tmp_path / "workers" / process_tag(os.getpid())
        own.mkdir(parents=True)
        gone = tmp_path / "workers" / "hashrange-1-1"
        gone.mkdir()
        (tmp_path / "workers" / "something else").mkdir()
        assert guards_alive(tmp_path) == [own.name]
        assert not await have_ended(tmp_path, wait_s=0.1)
        waiting = asyncio.create_task(have_ended(tmp_path))
        await asyncio.sleep(0)
        own.rmdir()
        assert await waiting

    asyncio.run(test())


def test_rows_of_pools_that_were_killed_take_no_share() -> None:
    async def test(local: LocalNode) -> None:
        clock = ManualClock()
        killed = Registry(local.client(), "a", "h:1", clock)
        await killed.beat()
        alone = Registry(local.client(), "b", "h:1", clock, alone=True)
        await alone.beat()
        assert alone.alive == [("b", "h:1")]
        assert alone.share(1000) == 1000
        await alone.stop()
        before = await read_rows(local.client())
        await alone.start()
        assert await read_rows(local.client()) == before, "it has nobody to tell that it lives"
        await alone.stop()

    on_loop(test)


def test_events_of_a_pool_that_was_killed_are_run_at_once() -> None:
    async def test(local: LocalNode) -> None:
        world, clock = event_support.World(), ManualClock()
        killed = event_support.Pool(local, world, clock, event_support.Process(1))
        putting = asyncio.create_task(killed.queue.put(event_support.ARN, b"{}", "r1", None))
        await asyncio.sleep(0.01)
        putting.cancel()
        careful = event_support.Pool(local, world, clock)
        await careful.look()
        assert world.runs == [], "somebody may be at it"
        alone = event_support.Pool(local, world, clock, alone=True)
        await alone.look()
        assert world.runs == ["r1"]
        await alone.look()
        assert world.runs == ["r1"]
        assert await event_support.rows(local) == []

    on_loop(test)


def test_shards_of_a_pool_that_was_killed_go_on_at_once() -> None:
    async def play(world: World) -> None:
        world.stream.open(SHARD)
        await world.pool("one")
        await world.map()
        first = world.stream.write(SHARD, "k")
        await world.until(lambda: world.function.taken == [first])
        await elapse(1)
        world.kill("one")
        second = world.stream.write(SHARD, "k")
        since_s = asyncio.get_running_loop().time()
        await world.pool("two", alone=True)
        await world.until(lambda: world.function.taken == [first, second])
        assert asyncio.get_running_loop().time() - since_s < LEASE_S / 2  # simulated seconds
        assert owner(await world.rows()) == "two"

    simulate(play)


def owner(rows: dict[str, Any]) -> str:
    found: str = rows[SHARD]["owner"]["S"]
    return found
