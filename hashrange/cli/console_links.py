"""Links of global tables for the console: what the nodes that ship say on their metrics pages, now and then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from hashrange_router.api.context import RouterContext

from hashrange.cli.regions.figures import Key, Link, add_page, document
from hashrange.runtime.clock import Clock

INTERVAL_S = 5.0
"""Metrics pages are long: they are read this often, and only while there are global tables."""

Pages = Callable[[], Awaitable[list[bytes]]]
"""The metrics pages of all nodes that answer."""


class Links:
    """The links at the last reading; latencies are those since the reading before."""

    def __init__(self, context: RouterContext, clock: Clock, pages: Pages) -> None:
        self._context = context
        self._clock = clock
        self._pages = pages
        self._read_s = float("-inf")
        self._known: dict[Key, Link] = {}
        self._rows: list[dict[str, Any]] = []

    async def rows(self) -> list[dict[str, Any]]:
        """A row for each table, source and destination (`hashrange.cli.regions.figures.document`)."""
        if not any("Replication" in each for each in self._context.documents.values()):
            self._known, self._rows = {}, []
        elif self._clock.monotonic() - self._read_s >= INTERVAL_S:
            self._read_s = self._clock.monotonic()
            found: dict[Key, Link] = {}
            for page in await self._pages():
                add_page(found, page.decode())
            before = self._known
            self._rows = [
                document(key, link.since(before[key]) if key in before else link)
                for key, link in sorted(found.items())
            ]
            self._known = found
        return self._rows
