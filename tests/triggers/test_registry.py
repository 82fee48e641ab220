"""Which pools are alive, as each of them sees it and as a router does."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.triggers.registry import SILENT_S, PoolList, Registry, read_rows

from hashrange.errors import ApiError
from hashrange.runtime.clock import ManualClock
from tests.unit.local_support import LocalNode, on_loop


def test_pools_see_one_another_and_share_limits() -> None:
    async def test(local: LocalNode) -> None:
        clock = ManualClock()
        one = Registry(local.client(), "a", "h:1", clock)
        other = Registry(local.client(), "b", "h:2", clock)
        told: list[int] = []
        one.subscribe(lambda: told.append(len(one.alive)))
        assert one.share(1000) == 1000, "alone until somebody else is seen"
        await one.beat()
        assert told == []
        await other.beat()
        await one.beat()
        assert one.alive == other.alive == [("a", "h:1"), ("b", "h:2")]
        assert told == [2]
        assert one.share(5) == 3 and one.share(0) == 0 and one.share(1) == 1

    on_loop(test)


def test_a_pool_that_falls_silent_is_taken_for_dead_by_the_own_clock() -> None:
    async def test(local: LocalNode) -> None:
        here, there = ManualClock(), ManualClock(wall_ms=5, monotonic=77.0)
        one = Registry(local.client(), "a", "h:1", here)
        other = Registry(local.client(), "b", "h:2", there)
        await other.beat()
        await one.beat()
        here.advance(SILENT_S - 0.1)
        await one.beat()
        assert len(one.alive) == 2
        here.advance(0.1)
        await one.beat()
        assert one.alive == [("a", "h:1")]
        await other.beat()
        await one.beat()
        assert len(one.alive) == 2, "it was only slow"

    on_loop(test)


def test_that_rows_stand_still_which_nobody_could_write_says_nothing() -> None:
    async def test(local: LocalNode) -> None:
        clock = ManualClock()
        down = local.client()
        answered = down.call

        async def refuse(operation: str, request: dict[str, Any]) -> dict[str, Any]:
            raise ApiError("ServiceUnavailable", "", status=503)

        one, other = Registry(down, "a", "h:1", clock), Registry(local.client(), "b", "h:2", clock)
        pools = PoolList(down, clock)
        await other.beat()
        await one.beat()
        await pools.refresh()
        down.call = refuse  # type: ignore[method-assign]
        clock.advance(SILENT_S)
        with pytest.raises(ApiError):
            await one.beat()
        with pytest.raises(ApiError):
            await pools.refresh()
        down.call = answered  # type: ignore[method-assign]
        assert await pools.refresh() == [("a", "h:1"), ("b", "h:2")]
        await one.beat()
        assert one.alive == [("a", "h:1"), ("b", "h:2")]
        clock.advance(SILENT_S)
        await one.beat()
        await pools.refresh()
        assert one.alive == [("a", "h:1")] and pools.is_silent("b") and not pools.is_silent("a")

    on_loop(test)


def test_one_that_stops_takes_its_row_along_and_one_that_comes_back_is_seen_at_once() -> None:
    async def test(local: LocalNode) -> None:
        clock = ManualClock()
        client = local.client()
        one = Registry(local.client(), "a", "h:1", clock)
        await one.start()
        pools = PoolList(client, clock)
        assert await pools.refresh() == [("a", "h:1")]
        await one.stop()
        assert await read_rows(client) == []
        assert await pools.refresh() == [("a", "h:1")], "read a moment ago"
        assert await pools.refresh(0.0) == []
        clock.advance(SILENT_S)
        again = Registry(local.client(), "a", "h:3", clock)
        await again.beat()
        assert await pools.refresh() == [("a", "h:3")] == pools.alive

    on_loop(test)


@pytest.mark.parametrize("beats", [0, 1])
def test_a_router_that_looks_rarely_tells_the_dead_from_the_living(beats: int) -> None:
    async def test(local: LocalNode) -> None:
        clock = ManualClock()
        one = Registry(local.client(), "a", "h:1", clock)
        await one.beat()
        pools = PoolList(local.client(), clock)
        await pools.refresh()
        clock.advance(1000.0)
        for _ in range(beats):
            await one.beat()
        assert len(await pools.refresh()) == beats

    on_loop(test)
