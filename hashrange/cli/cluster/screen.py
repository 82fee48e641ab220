"""What people see of a cluster: tables of processes and partitions, and the live screen of `cluster up`.

On a terminal the screen is redrawn once a second; otherwise every event is one plain line.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hashrange import __version__
from hashrange.cli.cluster.layout import DAX, Layout
from hashrange.runtime.system import cpu_seconds

STYLES = {
    "ready": "green",
    "starting": "yellow",
    "paused": "yellow",
    "draining": "cyan",
    "stopped": "dim",
    "failed": "red",
    "down": "red",
}
REFRESH_S = 1.0
EVENTS_SHOWN = 8
PARTITIONS_SHOWN = 20
HASH_DIGITS = 4


def process_table(rows: list[dict[str, Any]], extra: Mapping[str, tuple[str, ...]] | None = None) -> Table:
    """The processes; `extra` adds columns (leaders, CPU) by name of the process."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("process", "zone", "pid", "address", "state", *(("leads", "cpu") if extra else ())):
        table.add_column(heading, justify="right" if heading in ("pid", "leads", "cpu") else "left")
    for row in rows:
        name = f"{row['role']}-{row['id']}"
        state = Text(row["state"], STYLES.get(row["state"], ""))
        pid = "" if row["pid"] is None else str(row["pid"])
        table.add_row(name, row["az"], pid, row["address"], state, *((extra or {}).get(name, ())))
    return table


def partition_table(partitions: list[dict[str, Any]], most: int | None = None) -> RenderableType:
    """The partitions: their hash range as a share of all hashes in hexadecimal digits, leader and replicas."""
    if not partitions:
        return Text("no partitions", "dim")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("partition", "table", "index", "hashes", "leader", "replicas on", "size"):
        table.add_column(heading, justify="right" if heading in ("partition", "leader", "size") else "left")
    for entry in partitions[:most]:
        leader = entry["leader"]
        table.add_row(
            str(entry["id"]),
            Text(entry["table"] or "", "" if entry["id"] else "dim"),
            entry["index"] or "",
            hash_range(entry["hash_range"]),
            Text("none", "red") if leader is None else f"node-{leader}",
            ", ".join(str(replica_node(replica)) for replica in entry["replicas"] or ()),
            size(entry["size_bytes"]),
        )
    if most is not None and len(partitions) > most:
        return Group(table, Text(f"  and {len(partitions) - most} more", "dim"))
    return table


def replica_node(replica: Any) -> Any:
    """The node of a replica: the control plane lists replicas as documents, or as plain node ids."""
    return replica["node"] if isinstance(replica, dict) else replica


def hash_range(bounds: list[int] | None) -> str:
    """`0000-7fff`: the first digits of the first and the last hash of a range, which belong to it."""
    if not bounds:
        return ""
    low, high = bounds
    shift = 64 - 4 * HASH_DIGITS
    return f"{low >> shift:0{HASH_DIGITS}x}-{high >> shift:0{HASH_DIGITS}x}"


def size(size_bytes: int | None) -> str:
    """A size for people."""
    if size_bytes is None:
        return ""
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1e3:,.1f} kB"
    return f"{size_bytes / 1e6:,.1f} MB"


def how_to_use(layout: Layout) -> list[str]:
    """Lines to copy."""
    lines = [f"DAX clients of the first cache cluster: {layout.dax_endpoint}"] if layout.of(DAX) else []
    if layout.console:
        lines.append(f"Console: {layout.console_url}")
    return [
        *lines,
        f'boto3.resource("dynamodb", endpoint_url="{layout.endpoint}", region_name="{layout.region}",',
        '               aws_access_key_id="hashrange", aws_secret_access_key="hashrange")',
    ]


class PlainReport:
    """One line an event, for logs and scripts."""

    def say(self, sentence: str) -> None:
        """Print an event."""
        print(sentence, flush=True)

    async def follow(self, layout: Layout, stopped: asyncio.Event) -> None:
        """Say where the cluster is, then wait for its end."""
        print(f"hashrange {__version__} cluster is serving {layout.endpoint}", flush=True)
        if layout.of(DAX):
            print(f"DAX clients are served at {layout.dax_endpoint}", flush=True)
        if layout.console:
            print(f"The console is at {layout.console_url}", flush=True)
        await stopped.wait()


class LiveReport:
    """The live screen: what runs, who leads, what happened last."""

    def __init__(self) -> None:
        self._console = Console()
        self._events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self._live: Live | None = None
        self._cpu: dict[str, tuple[float, float]] = {}

    def say(self, sentence: str) -> None:
        """Show an event on the screen, or as a line while there is none."""
        self._events.append(f"{time.strftime('%H:%M:%S')}  {sentence}")
        if self._live is None:
            self._console.print(self._events[-1], markup=False, highlight=False)

    async def follow(self, layout: Layout, stopped: asyncio.Event) -> None:
        """Redraw once a second until the cluster is to be stopped."""
        from hashrange.cli.cluster.status import gather

        with Live(console=self._console, auto_refresh=False, screen=False) as self._live:
            while not stopped.is_set():
                self._live.update(self._screen(layout, await gather(layout)), refresh=True)
                try:
                    await asyncio.wait_for(stopped.wait(), REFRESH_S)
                except TimeoutError:
                    pass
        self._live = None

    def _screen(self, layout: Layout, document: dict[str, Any]) -> RenderableType:
        leads: dict[int, int] = {}
        for entry in document["partitions"]:
            if entry["leader"] is not None:
                leads[entry["leader"]] = leads.get(entry["leader"], 0) + 1
        extra = {
            f"{row['role']}-{row['id']}": (
                str(leads.get(row["id"], 0)) if row["role"] == "node" else "",
                self._cpu_share(f"{row['role']}-{row['id']}", row["pid"]),
            )
            for row in document["processes"]
        }
        head = Text.assemble(
            (f"hashrange {__version__}", "bold"), " cluster is serving ", (layout.endpoint, "bold")
        )
        parts: list[RenderableType] = [head, process_table(document["processes"], extra)]
        parts.append(partition_table(document["partitions"], PARTITIONS_SHOWN))
        if document.get("note"):
            parts.append(Text(f"The control plane has no answer: {document['note']}", "yellow"))
        parts.append(Text("\n".join(how_to_use(layout)), "dim"))
        parts.append(Text("\n".join(self._events), "dim"))
        parts.append(Text(f"Stop with Ctrl-C. Logs and data are in {layout.directory}.", "dim"))
        return Group(*parts)

    def _cpu_share(self, name: str, pid: int | None, clock: Callable[[], float] = time.monotonic) -> str:
        """The share of one core that a process used since it was last looked at."""
        used = None if pid is None else cpu_seconds(pid)
        if used is None:
            self._cpu.pop(name, None)
            return ""
        now = clock()
        before = self._cpu.get(name)
        self._cpu[name] = (now, used)
        if before is None or now <= before[0]:
            return ""
        return f"{max(0.0, used - before[1]) / (now - before[0]):.0%}"
