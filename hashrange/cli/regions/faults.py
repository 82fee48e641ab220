"""`hashrange regions cut | heal`: links between running regions go silent, and come back.

Every node and router of both regions is told on its admin port (`POST /faults`) to drop what it would send to the
other region; requests wait until they time out, as they do on a network that has gone silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from hashrange.cli.cluster import processes
from hashrange.cli.cluster.ask import AskError, ask_json
from hashrange.cli.cluster.layout import NODE, ROUTER, Layout, LayoutError, Process
from hashrange.cli.regions.place import Place, RegionPlace

MEMBER = "block_regions"


def pairs(place: Place, chosen: str, other: str | None) -> list[tuple[RegionPlace, RegionPlace]]:
    """The pairs of regions that a cut is between: two regions, or one and all others; raises LayoutError."""
    first = place.find(chosen)
    others = [place.find(other)] if other is not None else [each for each in place.regions if each != first]
    if first in others:
        raise LayoutError(f"{chosen} cannot be cut off from itself; name two regions")
    return [(first, each) for each in others]


async def cut(place: Place, cuts: Iterable[tuple[RegionPlace, RegionPlace]]) -> list[str]:
    """Cut these pairs, besides what is cut already; a sentence for each region, and for each process not told."""
    add: dict[str, set[str]] = {}
    for one, other in cuts:
        add.setdefault(one.name, set()).add(other.name)
        add.setdefault(other.name, set()).add(one.name)
    return await _change_all(place, add, {})


async def heal(place: Place, chosen: str | None = None, other: str | None = None) -> list[str]:
    """Undo every cut, those of one region, or the one between two; sentences as of `cut`."""
    remove: dict[str, set[str]] = {}
    if chosen is None:
        remove = {name: set(place.names) for name in place.names}
    else:
        for one, another in pairs(place, chosen, other):
            remove.setdefault(one.name, set()).add(another.name)
            remove.setdefault(another.name, set()).add(one.name)
    return await _change_all(place, {}, remove)


async def _change_all(place: Place, add: dict[str, set[str]], remove: dict[str, set[str]]) -> list[str]:
    said = []
    for region in place.regions:
        if region.name not in add and region.name not in remove:
            continue
        layout = region.layout()
        told = [each for each in layout.processes if each.role in (NODE, ROUTER)]
        answers = await asyncio.gather(
            *(
                _change(layout, each, add.get(region.name, set()), remove.get(region.name, set()))
                for each in told
            )
        )
        said += [f"{region.name}: {answer}" for answer in answers if isinstance(answer, str)]
        lists = [answer for answer in answers if not isinstance(answer, str)]
        if lists:
            everywhere = set.union(*lists)
            said.append(
                f"{region.name} is cut off from {', '.join(sorted(everywhere))}"
                if everywhere
                else f"{region.name} reaches every region"
            )
    return said


async def _change(layout: Layout, process: Process, add: set[str], remove: set[str]) -> set[str] | str:
    """The regions that a process is cut off from now, or why it could not be told."""
    if processes.state_of(process.pid, process.started) != processes.RUNNING:
        return f"{process.name} is not running; it comes back without cuts"
    url = layout.admin_url(process)
    try:
        before = set((await ask_json(url, "/faults"))[MEMBER])
        after = (before | add) - remove
        if after != before:
            await ask_json(url, "/faults", {MEMBER: sorted(after)})
    except (AskError, KeyError, TypeError) as error:
        return f"{process.name} could not be told: {error}"
    return after
