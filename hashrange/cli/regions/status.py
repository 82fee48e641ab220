"""`hashrange regions status`: what runs in each region, and how far changes have got from one to another.

As JSON:

    {"regions": [{"name", "endpoint", "directory", "processes": [as of `hashrange cluster status`]}],
     "links": [{"table", "source", "destination", "pending_keys", "oldest_pending_s", "shipped_items",
                "latency_p50_ms", "latency_p99_ms", "up", "error"}]}

Latencies are of all changes since the nodes were started; those of a `Watch` are of the last minute. `error` says why
a link is down, in the words of a node that wanted to use it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hashrange.cli.cluster.ask import AskError, ask, ask_json
from hashrange.cli.cluster.layout import NODE, Layout, LayoutError
from hashrange.cli.cluster.status import gather as gather_cluster
from hashrange.cli.regions.figures import Key, Link, add_page, document, samples
from hashrange.cli.regions.place import Place, RegionPlace

WINDOW_S = 60.0


@dataclass
class Figures:
    """What the nodes of all regions have said at one moment; `down`: (source, destination) to why."""

    links: dict[Key, Link] = field(default_factory=dict)
    down: dict[tuple[str, str], str] = field(default_factory=dict)


async def gather(place: Place) -> dict[str, Any]:
    """The status document."""
    return await Watch(place).look()


class Watch:
    """Looks again and again; latencies are of the last minute, or since the nodes were started when there is less."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._before: deque[tuple[float, Figures]] = deque()

    async def look(self) -> dict[str, Any]:
        """The status document as it is now."""
        regions, figures = await asyncio.gather(
            asyncio.gather(*(_region(region) for region in self._place.regions)), figures_of(self._place)
        )
        now = time.monotonic()
        while len(self._before) > 1 and self._before[1][0] < now - WINDOW_S:
            self._before.popleft()
        before = self._before[0][1].links if self._before else {}
        self._before.append((now, figures))
        links = []
        for key, link in sorted(figures.links.items()):
            error = figures.down.get(key[1:])
            recent = link.since(before[key]) if key in before else link
            links.append({**document(key, recent), "up": error is None, "error": error or ""})
        return {"regions": list(regions), "links": links}


async def _region(region: RegionPlace) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": region.name,
        "endpoint": region.endpoint,
        "directory": str(region.directory),
        "processes": [],
    }
    try:
        found["processes"] = (await gather_cluster(region.layout()))["processes"]
    except (LayoutError, AskError) as error:
        found["note"] = str(error)
    return found


async def figures_of(place: Place) -> Figures:
    """Ask every node of every region."""
    figures = Figures()
    asked = []
    for region in place.regions:
        try:
            layout = region.layout()
        except LayoutError:
            continue
        asked += [_ask_node(region.name, layout, node.id, figures) for node in layout.of(NODE)]
    await asyncio.gather(*asked)
    return figures


async def _ask_node(region: str, layout: Layout, node: int, figures: Figures) -> None:
    url = layout.admin_url(layout.find(NODE, node))
    try:
        page = (await ask(url, "/metrics")).decode()
    except AskError:
        return
    add_page(figures.links, page)
    broken = {
        labels["destination"] for name, labels, value in samples(page) if name == "link_up" and value == 0
    }
    if not broken:
        return
    try:
        told = await ask_json(url, "/regions")
    except AskError:
        told = {}
    for destination in broken:
        figures.down[(region, destination)] = _reason(told, destination)


def _reason(told: Any, destination: str) -> str:
    """Why a link is down, from a node's page about its links."""
    peers = told.get("peers", {}) if isinstance(told, dict) else {}
    return str(peers.get(destination, {}).get("error") or "it was not reached")


async def show(place: Place, as_json: bool) -> None:
    """Print the status as tables, or as JSON."""
    found = await gather(place)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    from rich.console import Console

    from hashrange.cli.regions.screen import link_table, region_table

    console = Console()
    console.print(region_table(found["regions"]))
    console.print(link_table(found["links"]))
    for region in found["regions"]:
        if region.get("note"):
            console.print(f"{region['name']}: {region['note']}", markup=False, style="yellow")
