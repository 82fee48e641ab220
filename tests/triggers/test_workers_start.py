"""Calls that come before a pool has started, or after it has stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hashrange_router.triggers.contracts import TriggerMetrics
from hashrange_router.triggers.pool import Pool
from hashrange_router.triggers.settings import PoolSettings

from hashrange.errors import ApiError
from hashrange.runtime.clock import SystemClock
from tests.triggers.workers_support import Register, Shelf, function_of


def test_a_call_waits_for_the_start_and_is_refused_after_the_stop(tmp_path: Path) -> None:
    async def test() -> None:
        shelf = Shelf()
        _, call = await function_of(shelf, "def handler(event, context): return event", 7)
        pool = Pool(
            Register(),
            shelf,
            settings=PoolSettings(tmp_path / "pool"),
            metrics=TriggerMetrics(),
            clock=SystemClock(),
        )
        early = asyncio.create_task(pool.invoke(call))
        await asyncio.sleep(0)
        await pool.start()
        assert (await early).payload == b"7"
        await pool.stop()
        with pytest.raises(ApiError) as refused:
            await pool.invoke(call)
        assert refused.value.status == 503, "another pool may be tried"

    asyncio.run(test())
