"""What a console shows of the running system, gathered when somebody looks, and at most once a second.

    live = Live(take, now_s)
    document = await live.look(after=17)

`take` gathers a document: `at_ms` (wall time), `view` (`hashrange.cli.top.model.View` as JSON), and whatever else the
pages show. However many browsers look, they share one gathering; when nobody looks nothing is gathered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hashrange_router.console.history import TOTALS, History

INTERVAL_S = 1.0
WAKE_S = 0.9
"""Looks at least so far apart are gathered anew: browsers ask once a second, never exactly."""

Take = Callable[[], Awaitable[dict[str, Any]]]


class Live:
    """The newest document, and the history of those before. `now_s` is monotonic."""

    def __init__(self, take: Take, now_s: Callable[[], float]) -> None:
        self._take = take
        self._now_s = now_s
        self._taken_s = float("-inf")
        self._document: dict[str, Any] = {}
        self._under_way: asyncio.Task[None] | None = None
        self.history = History()
        self.gathered = 0

    async def look(self, after: int) -> dict[str, Any]:
        """The newest document, with the points of charts since the look `after`."""
        await self._fresh()
        return {
            **self._document,
            "newest": self.history.newest,
            "point_names": TOTALS,
            "points": self.history.points(after),
        }

    async def _fresh(self) -> None:
        """Gather unless it has just been done, or is being done."""
        if self._under_way is None:
            if self._now_s() - self._taken_s < WAKE_S:
                return
            self._under_way = asyncio.get_running_loop().create_task(self._gather())
        # One browser that goes away must not take the answer from the others.
        await asyncio.shield(self._under_way)

    async def _gather(self) -> None:
        try:
            document = await self._take()
            self.gathered += 1
            self._taken_s = self._now_s()
            self._document = document
            self.history.add(document["at_ms"], document["view"])
        finally:
            self._under_way = None

    async def stop(self) -> None:
        """Wait for a gathering under way."""
        if self._under_way is not None:
            await asyncio.gather(self._under_way, return_exceptions=True)
