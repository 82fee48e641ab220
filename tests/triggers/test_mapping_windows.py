"""Tumbling windows: state goes from call to call, through restarts, and every window is closed once."""

from __future__ import annotations

from typing import Any

from tests.triggers.mapping_support import World, elapse, numbers_of, simulate

SHARD = "shardId-a"


def counting(world: World, closed: list[Any], padding: int = 0) -> None:
    """A handler that keeps the numbers it has seen in its state."""

    async def handler(event: dict[str, Any], pool: str) -> Any:
        state = event["state"]
        state.setdefault("seen", []).extend(numbers_of(event))
        state["padding"] = "".join(chr(33 + (7 * index * index) % 90) for index in range(padding))
        if event["isFinalInvokeForWindow"]:
            assert event["Records"] == []
            closed.append((event["window"]["start"], state["seen"], event["isWindowTerminatedEarly"]))
        return {"state": state}

    world.function.handler = handler


def test_windows_are_closed_by_time_and_at_the_end_of_the_shard() -> None:
    async def play(world: World) -> None:
        closed: list[Any] = []
        counting(world, closed)
        world.stream.open(SHARD)
        await world.pool("one")
        await world.map(TumblingWindowInSeconds=30, BatchSize=2, ParallelizationFactor=4)
        await elapse(1)
        first = [world.stream.write(SHARD, f"k{index}") for index in range(5)]
        await world.until(lambda: len(closed) == 1)
        # 1,700,000,000 s is 20 s into a window of half a minute.
        assert closed == [("2023-11-14T22:13:00Z", first, False)]
        event = world.function.events[0]
        assert event["window"] == {"start": "2023-11-14T22:13:00Z", "end": "2023-11-14T22:13:30Z"}
        assert (event["shardId"], event["eventSourceARN"][:17]) == (SHARD, "arn:aws:dynamodb:")
        second = [world.stream.write(SHARD, "k") for _ in range(3)]
        await elapse(1)
        world.stream.close(SHARD)
        await world.until(lambda: len(closed) == 2)
        assert closed[1] == ("2023-11-14T22:13:30Z", second, False)
        assert world.function.taken == first + second

    simulate(play)


def test_state_goes_to_the_pool_that_comes_after() -> None:
    """Small or too large for one row."""
    for padding in (0, 900_000):

        async def play(world: World, padding: int = padding) -> None:
            closed: list[Any] = []
            counting(world, closed, padding)
            world.stream.open(SHARD)
            numbers = [world.stream.write(SHARD, "k")]
            one = await world.pool("one")
            await world.map(TumblingWindowInSeconds=900)
            await world.until(lambda: world.checkpoint_is(SHARD, numbers[0]))
            await one.stop()
            world.leave("one")
            del world.pools["one"]
            await world.pool("two")
            numbers.append(world.stream.write(SHARD, "k"))
            await world.until(lambda: world.function.taken == numbers)
            world.stream.close(SHARD)
            await world.until(lambda: bool(closed))
            assert closed[0][1] == numbers

        simulate(play)


def test_a_state_that_is_too_large_ends_the_window_early() -> None:
    async def play(world: World) -> None:
        closed: list[Any] = []
        counting(world, closed, 1_100_000)
        world.stream.open(SHARD)
        first = world.stream.write(SHARD, "k")
        await world.pool("one")
        await world.map(TumblingWindowInSeconds=900)
        await world.until(lambda: len(closed) == 1)
        assert closed[0][1:] == ([first], True)
        second = world.stream.write(SHARD, "k")
        await world.until(lambda: len(closed) == 2)
        assert closed[1][1:] == ([second], True)

    simulate(play)


def test_an_answer_without_state_is_a_failure() -> None:
    async def play(world: World) -> None:
        world.stream.open(SHARD)
        number = world.stream.write(SHARD, "k")

        async def handler(event: dict[str, Any], pool: str) -> Any:
            return {"no": "state"} if len(world.function.calls) < 3 else {"state": None}

        world.function.handler = handler
        await world.pool("one")
        await world.map(TumblingWindowInSeconds=60)
        await world.until(lambda: world.checkpoint_is(SHARD, number))
        assert [taken for _, _, taken in world.function.calls[:3]] == [[number]] * 3

    simulate(play)
