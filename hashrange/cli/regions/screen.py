"""What people see of regions: what runs in each, and how far changes have got from one to another."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hashrange import __version__
from hashrange.cli.cluster.screen import EVENTS_SHOWN, REFRESH_S, STYLES
from hashrange.cli.regions.place import Place

LINKS_SHOWN = 24
LATE_S = 5.0
"""A change that has waited for longer is shown in yellow: the other region is usually a second away."""


def region_table(regions: list[dict[str, Any]]) -> Table:
    """One row a region: its endpoint, and how many of its processes are in which state."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("region", "endpoint", "nodes", "routers", "others"):
        table.add_column(heading)
    for region in regions:
        by_role: dict[str, Counter[str]] = {}
        for row in region["processes"]:
            by_role.setdefault(row["role"], Counter())[row["state"]] += 1
        table.add_row(
            region["name"],
            region["endpoint"],
            _states(by_role.pop("node", Counter())),
            _states(by_role.pop("router", Counter())),
            _states(sum(by_role.values(), Counter())),
        )
    return table


def _states(counts: Counter[str]) -> Text:
    parts = [Text(f"{count} {state}", STYLES.get(state, "")) for state, count in counts.most_common()]
    return Text(", ").join(parts)


def link_table(links: list[dict[str, Any]], most: int | None = None) -> RenderableType:
    """One row a table and direction, and why a direction is down."""
    if not links:
        return Text("  no node says that a table has replicas in two regions\n", "dim")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("table", "from", "to", "pending", "oldest", "sent", "p50 ms", "p99 ms", "link"):
        names = heading in ("from", "to", "link")
        table.add_column(
            heading,
            justify="left" if names or heading == "table" else "right",
            no_wrap=names,
            overflow="fold" if heading == "table" else "ellipsis",
        )
    for link in links[:most]:
        late = link["pending_keys"] and link["oldest_pending_s"] > LATE_S
        table.add_row(
            link["table"],
            link["source"],
            link["destination"],
            Text(f"{link['pending_keys']:,}", "yellow" if late else ""),
            Text(
                f"{link['oldest_pending_s']:.1f} s" if link["pending_keys"] else "", "yellow" if late else ""
            ),
            f"{link['shipped_items']:,}",
            _milliseconds(link["latency_p50_ms"]),
            _milliseconds(link["latency_p99_ms"]),
            Text("up", "green") if link["up"] else Text("down", "red"),
        )
    parts: list[RenderableType] = [table]
    if most is not None and len(links) > most:
        parts.append(Text(f"  and {len(links) - most} more: hashrange regions status", "dim"))
    down = {(link["source"], link["destination"]): link["error"] for link in links if not link["up"]}
    parts += [Text(f"  {source} to {to} is down: {why}", "red") for (source, to), why in down.items()]
    return Group(*parts)


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def consoles(place: Place) -> list[str]:
    """Where the web console of each region is; nothing without any."""
    found = [(region.name, region.layout().console_url) for region in place.regions]
    return [f"Console of {name}: {url}" for name, url in found if url]


def how_to_use(place: Place) -> list[str]:
    """Lines to copy."""
    first, second = place.regions[:2]
    return [
        f'client = boto3.client("dynamodb", endpoint_url="{first.endpoint}", region_name="{first.name}",',
        '                      aws_access_key_id="hashrange", aws_secret_access_key="hashrange")',
        "client.update_table(TableName=...,",
        f'                    ReplicaUpdates=[{{"Create": {{"RegionName": "{second.name}"}}}}])',
        f"From another terminal: hashrange regions status | cut {second.name} | heal | verify TABLE",
    ]


class PlainReport:
    """One line an event, for logs and scripts."""

    def say(self, sentence: str) -> None:
        """Print an event."""
        print(sentence, flush=True)

    async def follow(self, place: Place, stopped: asyncio.Event) -> None:
        """Say where the regions are, then wait for their end."""
        for region in place.regions:
            print(f"hashrange {__version__} region {region.name} is serving {region.endpoint}", flush=True)
        for line in consoles(place):
            print(line, flush=True)
        await stopped.wait()


class LiveReport:
    """The live screen: regions, links, what happened last."""

    def __init__(self) -> None:
        self._console = Console()
        self._events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self._live: Live | None = None

    def say(self, sentence: str) -> None:
        """Show an event on the screen, or as a line while there is none."""
        self._events.append(f"{time.strftime('%H:%M:%S')}  {sentence}")
        if self._live is None:
            self._console.print(self._events[-1], markup=False, highlight=False)

    async def follow(self, place: Place, stopped: asyncio.Event) -> None:
        """Redraw once a second until the regions are to be stopped."""
        from hashrange.cli.regions.status import Watch

        watch = Watch(place)
        with Live(console=self._console, auto_refresh=False, screen=False) as self._live:
            while not stopped.is_set():
                self._live.update(self._screen(place, await watch.look()), refresh=True)
                try:
                    await asyncio.wait_for(stopped.wait(), REFRESH_S)
                except TimeoutError:
                    pass
        self._live = None

    def _screen(self, place: Place, document: dict[str, Any]) -> RenderableType:
        return Group(
            Text.assemble((f"hashrange {__version__}", "bold"), f" is serving {len(place.regions)} regions"),
            region_table(document["regions"]),
            link_table(document["links"], LINKS_SHOWN),
            Text("\n".join((*consoles(place), *how_to_use(place))), "dim"),
            Text("\n".join(self._events), "dim"),
            Text(f"Stop with Ctrl-C. Each region is a cluster in {place.directory}/REGION.", "dim"),
        )
