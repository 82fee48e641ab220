"""`hashrange cluster kill | pause | resume | cut | heal`: faults done by hand to a running local cluster.

Processes are killed and paused by signals. A cut makes both sides of it drop one another's frames and keep the
connections open, as a network that has gone silent does: each process is told on its admin port.
"""

from __future__ import annotations

import asyncio
import signal

from hashrange.cli.cluster import processes
from hashrange.cli.cluster.ask import AskError, ask_json
from hashrange.cli.cluster.layout import NODE, Layout, LayoutError, Process

SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}
DONE = {"kill": "is killed", "pause": "is paused", "resume": "goes on"}


def signal_all(layout: Layout, verb: str, chosen: list[Process]) -> list[str]:
    """Signal processes; a sentence for each."""
    said = []
    for process in chosen:
        there = processes.send(process.pid, process.started, SIGNALS[verb])
        said.append(f"{process.name} ({process.az}) {DONE[verb] if there else 'is not running'}")
    return said


def blocks_of_cut(layout: Layout, cut: list[Process], others: list[Process]) -> dict[str, set[int]]:
    """Which nodes each process must block so that `cut` and `others` cannot reach one another.

    A process blocks nodes only: between a router and a node, the router's own list does both directions.
    """
    inside = {process.id for process in cut if process.role == NODE}
    outside = {process.id for process in others if process.role == NODE}
    blocks = {process.name: set(outside) for process in cut}
    for process in others:
        blocks[process.name] = set(inside)
    return {name: nodes for name, nodes in blocks.items() if nodes}


async def cut(layout: Layout, chosen: list[Process], others: list[Process]) -> list[str]:
    """Cut `chosen` off from `others`, besides what is cut already; a sentence for each process told."""
    blocks = blocks_of_cut(layout, chosen, others)
    told = [process for process in layout.processes if process.name in blocks]
    return list(await asyncio.gather(*(_change(layout, each, blocks[each.name], set()) for each in told)))


async def heal(layout: Layout, chosen: list[Process] | None) -> list[str]:
    """Undo every cut, or those that `chosen` have part in; a sentence for each process told."""
    everyone = {process.id for process in layout.of(NODE)}
    nodes = everyone if chosen is None else {process.id for process in chosen if process.role == NODE}
    names = {process.name for process in chosen or layout.processes}
    return list(
        await asyncio.gather(
            *(
                _change(layout, each, set(), everyone if each.name in names else nodes)
                for each in layout.processes
            )
        )
    )


async def _change(layout: Layout, process: Process, add: set[int], remove: set[int]) -> str:
    url = layout.admin_url(process)
    try:
        before = set((await ask_json(url, "/faults"))["block"])
        after = (before | add) - remove
        if after != before:
            await ask_json(url, "/faults", {"block": sorted(after)})
    except (AskError, KeyError, TypeError) as error:
        return f"{process.name} ({process.az}) could not be told: {error}"
    if not after:
        return f"{process.name} ({process.az}) reaches every node"
    cut_off = ", ".join(str(node) for node in sorted(after))
    return f"{process.name} ({process.az}) is cut off from node{'s' if len(after) > 1 else ''} {cut_off}"


def others_of(layout: Layout, chosen: list[Process], named: list[Process] | None) -> list[Process]:
    """The other side of a cut: the processes named, or everybody else; raises LayoutError if that is nobody."""
    others = [process for process in (layout.processes if named is None else named) if process not in chosen]
    if not others:
        raise LayoutError("there is nothing on the other side of this cut")
    return others
