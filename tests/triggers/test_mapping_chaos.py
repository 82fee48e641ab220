"""Mappings while pools die, stand still and come back, shards split and the function fails: a seed is a run.

Whatever happens: every record is taken, the changes of an item in their order, and no shard is processed in two places
at once.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from hashrange.errors import ApiError
from tests.triggers.mapping_support import Pool, World, elapse, failed, numbers_of, simulate

STEPS = 60
KEYS = 12


class Chaos:
    """One run."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.shard_of: dict[int, str] = {}
        self.at_work: dict[str, list[str]] = {}
        self.wrong: list[str] = []
        self.open: dict[str, list[str]] = {}
        """Open shards, and the keys that are written to each."""
        self.calm = False
        self.names = 0

    async def handler(self, event: dict[str, Any], pool: str) -> Any:
        numbers = numbers_of(event)
        [shard] = {self.shard_of[number] for number in numbers}
        self.check_order(numbers)
        pools = self.at_work.setdefault(shard, [])
        pools.append(pool)
        if set(pools) != {pool}:
            self.wrong.append(f"{shard} is processed in two places: {pools}")
        try:
            await elapse(self.rng.choice([0, 0.01, 0.5, 15 if not self.calm else 0]))
        finally:
            pools.remove(pool)
        chance = self.rng.random()
        if not self.calm and chance < 0.1:
            return failed()
        if not self.calm and chance < 0.15:
            raise ApiError("TooManyRequestsException", "Rate Exceeded.", status=429)
        return None

    def check_order(self, numbers: list[int]) -> None:
        """What came before in an item's history has been taken before, or is in the same batch."""
        keys, taken = self.world.stream.keys, set(self.world.function.taken)
        for number in numbers:
            for other, key in keys.items():
                if key == keys[number] and other < number and other not in taken and other not in numbers:
                    self.wrong.append(f"{number} comes before {other}")

    def write(self) -> None:
        shard = self.rng.choice(list(self.open))
        for _ in range(self.rng.randint(1, 6)):
            number = self.world.stream.write(shard, self.rng.choice(self.open[shard]))
            self.shard_of[number] = shard

    def split(self) -> None:
        """Close a shard and open its children: two, or one that takes over (a roll-over)."""
        parent = self.rng.choice(list(self.open))
        keys = self.open.pop(parent)
        self.world.stream.close(parent)
        middle = len(keys) // 2 if self.rng.random() < 0.5 else 0
        for part in (keys[:middle], keys[middle:]):
            if part:
                self.names += 1
                name = f"shardId-{self.names}"
                self.world.stream.open(name, parent)
                self.open[name] = part

    async def fault(self) -> None:
        """Something happens to a pool."""
        pools = list(self.world.pools.values())
        pool: Pool = self.rng.choice(pools)
        kind = self.rng.choice(["kill", "stop", "cut", "start"])
        if kind == "start" or len(pools) == 1:
            if len(pools) < 4:
                self.names += 1
                await self.world.pool(f"pool-{self.names}")
        elif kind == "kill":
            self.world.kill(pool.name)
        elif kind == "stop":
            del self.world.pools[pool.name]
            self.world.leave(pool.name)
            pool.line.mend()
            await pool.stop()
        else:
            pool.line.cut()
            seconds = self.rng.choice([0.5, 5, 9, 30])
            asyncio.get_running_loop().call_later(seconds, pool.line.mend)

    async def run(self) -> None:
        world, rng = self.world, self.rng
        world.stream.open("shardId-0")
        self.open["shardId-0"] = [f"k{index}" for index in range(KEYS)]
        world.function.handler = self.handler
        await world.pool("pool-a")
        await world.map(BatchSize=rng.choice([1, 3, 100]), ParallelizationFactor=rng.choice([1, 1, 3]))
        for _ in range(STEPS):
            self.write()
            chance = rng.random()
            if chance < 0.1:
                self.split()
            elif chance < 0.25:
                await self.fault()
            elif chance < 0.3:
                await world.map(ParallelizationFactor=rng.choice([1, 2, 5]))
            await elapse(rng.choice([0.05, 1.0, 4.0]))
        self.calm = True
        for pool in world.pools.values():
            pool.line.mend()
        await world.until(lambda: set(world.function.taken) >= set(world.stream.keys))
        assert not self.wrong


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_skipped_and_nothing_runs_twice_at_once(seed: int) -> None:
    async def play(world: World) -> None:
        await Chaos(world, random.Random(seed)).run()

    simulate(play)
