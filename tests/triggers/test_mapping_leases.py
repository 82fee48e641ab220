"""Who processes a shard: pools that come and go, stand still or die, never two at a time and never past a record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hashrange_router.triggers.mapping.leases import HOLD_S, LEASE_S, RENEW_S
from hashrange_router.triggers.settings import PoolSettings

from tests.triggers.mapping_support import STREAM_ARN, World, elapse, failed, numbers_of, simulate

SHARD = "shardId-a"


def owners(rows: dict[str, Any]) -> dict[str, int]:
    """How many shards each pool has."""
    found: dict[str, int] = {}
    for row in rows.values():
        if "owner" in row and not row["done"]["BOOL"]:
            found[row["owner"]["S"]] = found.get(row["owner"]["S"], 0) + 1
    return found


async def shared(world: World, wanted: dict[str, int]) -> bool:
    return owners(await world.rows()) == wanted


def test_the_guard_ends_what_a_frozen_pool_runs_before_others_take_it_over() -> None:
    """At worst it freezes just before it would have noticed that it cannot save its lease."""
    killing_s = 0.5
    assert HOLD_S + PoolSettings(Path()).silence_s + killing_s <= LEASE_S
    assert RENEW_S < HOLD_S / 2


def test_pools_share_the_shards_and_hand_them_over() -> None:
    async def play(world: World) -> None:
        shards = [f"shardId-{index}" for index in range(6)]
        for name in shards:
            world.stream.open(name)
        written = 0

        async def write() -> None:
            nonlocal written
            for turn in range(600):
                name = shards[turn % 6]
                world.stream.write(name, f"{name}.{turn % 5}")
                written += 1
                await elapse(0.1)

        async def handler(event: dict[str, Any], pool: str) -> None:
            await elapse(0.03)

        world.function.handler = handler
        await world.pool("one")
        await world.map()
        writing = asyncio.ensure_future(write())
        await world.until(lambda: shared(world, {"one": 6}))
        await world.pool("two")
        await world.until(lambda: shared(world, {"one": 3, "two": 3}))
        three = await world.pool("three")
        await world.until(lambda: shared(world, {"one": 2, "two": 2, "three": 2}))
        await three.stop()
        world.leave("three")
        del world.pools["three"]
        await world.until(lambda: shared(world, {"one": 3, "two": 3}))
        world.kill("two")
        await world.until(lambda: shared(world, {"one": 6}))
        await writing
        await world.until(lambda: len(set(world.function.taken)) == written)
        assert world.function.together == 1
        for key in set(world.stream.keys.values()):
            seen = list(dict.fromkeys(world.of_key(key)))
            assert seen == sorted(seen)

    simulate(play)


def test_a_pool_that_dies_within_a_batch_loses_nothing() -> None:
    async def play(world: World) -> None:
        world.stream.open(SHARD)
        first = [world.stream.write(SHARD, "k") for _ in range(3)]
        await world.pool("one")
        await world.map()
        await world.until(lambda: world.function.taken == first)
        await elapse(1)

        async def hang(event: dict[str, Any], pool: str) -> None:
            await elapse(1000 if pool == "one" else 0)

        world.function.handler = hang
        second = [world.stream.write(SHARD, "k") for _ in range(3)]
        await world.until(lambda: len(world.function.calls) == 2)
        world.kill("one")
        died = asyncio.get_running_loop().time()
        await world.pool("two")
        await world.until(lambda: world.function.taken == first + second)
        assert world.function.calls[-1][0] - died < LEASE_S + 5
        assert world.function.together == 1

    simulate(play)


def test_a_pool_that_cannot_reach_the_table_stops_before_another_begins() -> None:
    """Its calls are ended while its lease still holds."""

    async def play(world: World) -> None:
        world.stream.open(SHARD)
        number = world.stream.write(SHARD, "k")
        ended: list[float] = []

        async def handler(event: dict[str, Any], pool: str) -> None:
            if pool == "one":
                try:
                    await elapse(1000)
                finally:
                    ended.append(asyncio.get_running_loop().time())

        world.function.handler = handler
        one = await world.pool("one")
        await world.map()
        await world.until(lambda: len(world.function.calls) == 1)
        await elapse(30)
        assert len(world.function.calls) == 1 and not ended, "the lease is renewed during long calls"
        await world.pool("two")
        one.line.cut()
        world.leave("one")
        await world.until(lambda: world.function.taken == [number])
        assert ended and ended[0] < world.function.calls[1][0]
        assert world.function.together == 1
        assert world.function.calls[1][1] == "two"

    simulate(play)


def test_a_write_that_comes_after_the_lease_was_lost_changes_nothing() -> None:
    """A pool that stood still, or a network that did: the condition of the write alone holds it up."""

    async def play(world: World) -> None:
        world.stream.open(SHARD)
        numbers = [world.stream.write(SHARD, "k") for _ in range(5)]
        go_on = asyncio.Event()

        async def handler(event: dict[str, Any], pool: str) -> Any:
            if pool == "one":
                await go_on.wait()
                return None
            return failed()

        world.function.handler = handler
        one = await world.pool("one")
        await world.map()
        await world.until(lambda: len(world.function.calls) == 1)
        one.line.cut()
        world.leave("one")
        go_on.set()
        await world.pool("two")
        await world.until(lambda: len(world.function.calls) > 2)
        assert world.function.taken == numbers and world.function.calls[-1][1] == "two"
        assert "UpdateItem" in one.line.held
        one.line.mend()
        await elapse(1)
        assert await world.checkpoint(SHARD) < numbers[0], "a result came after the lease was lost"
        assert owners(await world.rows()) == {"two": 1}
        world.function.handler = None
        await world.until(lambda: world.checkpoint_is(SHARD, numbers[-1]))

    simulate(play)


def test_children_wait_for_their_parent() -> None:
    """Also when it takes long, and over several generations; records of an item stay in order."""

    async def play(world: World) -> None:
        stream = world.stream
        stream.open("shardId-a")
        expected = [stream.write("shardId-a", "k") for _ in range(3)]
        refuse = True

        async def handler(event: dict[str, Any], pool: str) -> Any:
            return failed() if refuse and expected[2] in numbers_of(event) else None

        world.function.handler = handler
        await world.pool("one")
        await world.pool("two")
        await world.map(BatchSize=2)
        stream.close("shardId-a")
        for name, parent in (("shardId-b", "shardId-a"), ("shardId-c", "shardId-a")):
            stream.open(name, parent)
        expected.append(stream.write("shardId-b", "k"))
        other = stream.write("shardId-c", "other")
        stream.close("shardId-b")
        stream.open("shardId-d", "shardId-b")
        expected.append(stream.write("shardId-d", "k"))
        await elapse(60)
        assert world.function.taken == expected[:2]
        refuse = False
        await world.until(lambda: len(world.function.taken) == 6)
        assert world.of_key("k") == expected
        assert world.of_key("other") == [other]
        rows = await world.rows()
        assert rows["shardId-a"]["done"]["BOOL"] and rows["shardId-b"]["done"]["BOOL"]

    simulate(play)


def test_a_child_follows_its_parent_at_once() -> None:
    async def play(world: World) -> None:
        world.stream.open("shardId-a")
        await world.pool("one")
        await world.map()
        await world.until(lambda: world.checkpoint_is("shardId-a", 0))
        await elapse(10.3)
        world.stream.close("shardId-a")
        world.stream.open("shardId-b", "shardId-a")
        number = world.stream.write("shardId-b", "k")
        began = asyncio.get_running_loop().time()
        await world.until(lambda: world.function.taken == [number])
        assert world.function.calls[0][0] - began < 0.5

    simulate(play)


def test_shards_that_are_trimmed_away() -> None:
    """A parent that is gone counts as finished; rows of shards that are gone go too."""

    async def play(world: World) -> None:
        stream = world.stream
        stream.open("shardId-b", "shardId-a")
        first = stream.write("shardId-b", "k")
        await world.pool("one")
        await world.map()
        await world.until(lambda: world.function.taken == [first])
        stream.close("shardId-b")
        stream.open("shardId-c", "shardId-b")
        second = stream.write("shardId-c", "k")
        await world.until(lambda: world.function.taken == [first, second])
        stream.forget("shardId-b")
        await world.until(lambda: _gone(world, "shardId-b"))
        stream.forget("shardId-c")
        stream.open("shardId-d", "shardId-c")
        third = stream.write("shardId-d", "k")
        await world.until(lambda: world.function.taken == [first, second, third])

    simulate(play)


async def _gone(world: World, shard: str) -> bool:
    return shard not in await world.rows()


def test_latest_is_bound_when_the_mapping_is_made() -> None:
    """Though no pool is there yet: what is written from then on arrives, also in shards that begin later."""

    async def play(world: World) -> None:
        stream = world.stream
        await elapse(100)
        stream.open("shardId-a")
        stream.write("shardId-a", "k")
        await elapse(5)
        await world.map(StartingPosition="LATEST")
        await elapse(5)
        expected = [stream.write("shardId-a", "k")]
        stream.close("shardId-a")
        stream.open("shardId-b", "shardId-a")
        expected.append(stream.write("shardId-b", "k"))
        await elapse(5)
        await world.pool("one")
        await world.until(lambda: world.function.taken == expected)

    simulate(play)


def test_disabled_and_enabled_again() -> None:
    async def play(world: World) -> None:
        world.stream.open(SHARD)
        first = world.stream.write(SHARD, "k")
        await world.pool("one")
        await world.pool("two")
        await world.map()
        await world.until(lambda: world.function.taken == [first])
        await world.map(State="Disabled")
        await world.until(lambda: world.status_is(2, "OK"))
        assert owners(await world.rows()) == {}
        second = world.stream.write(SHARD, "k")
        await elapse(30)
        assert world.function.taken == [first]
        await world.map(State="Enabled")
        await world.until(lambda: world.function.taken == [first, second])
        await world.until(lambda: world.status_is(3, "OK"))

    simulate(play)


def test_a_deleted_mapping_leaves_nothing() -> None:
    async def play(world: World) -> None:
        world.stream.open(SHARD)
        world.stream.write(SHARD, "k")
        await world.pool("one")
        await world.map()
        await world.until(lambda: len(world.function.taken) == 1)
        await world.map(State="Deleting")
        await world.until(lambda: not world.local.node.catalogue.controls.of("mapping"))
        assert await world.rows() == {}
        world.stream.write(SHARD, "k")
        await elapse(20)
        assert len(world.function.taken) == 1 and await world.rows() == {}

    simulate(play)


def test_a_stream_that_was_disabled_is_processed_to_its_end() -> None:
    async def play(world: World) -> None:
        world.stream.open(SHARD)
        numbers = [world.stream.write(SHARD, "k") for _ in range(30)]
        world.stream.close(SHARD)
        await world.pool("one")
        await world.map(BatchSize=7)
        await world.until(lambda: world.function.taken == numbers)
        await world.until(lambda: _done(world))

    simulate(play)


async def _done(world: World) -> bool:
    return bool((await world.rows())[SHARD]["done"]["BOOL"])


def test_a_stream_that_is_gone_is_told() -> None:
    async def play(world: World) -> None:
        await world.pool("one")
        await world.map(EventSourceArn=STREAM_ARN + "1")
        await world.until(lambda: world.status_is(1, "PROBLEM: Stream not found"))

    simulate(play)
