"""`hashrange regions up`: one cluster a region on this machine, each told where the others are.

Exit codes: 0 after a clean stop, 1 when a region could not start, 2 for options that make no sense.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hashrange.cli.cluster import up as cluster
from hashrange.cli.cluster.layout import NODE, ROUTER, STATE_NAME, Layout, LayoutError
from hashrange.cli.cluster.layout import make_directory as make_cluster_directory
from hashrange.cli.cluster.supervisor import Say
from hashrange.cli.regions.place import Place, RegionPlace, make_directory, place_for
from hashrange.cli.regions.screen import LiveReport, PlainReport
from hashrange.runtime.credentials import KEY_OPTION, read_credentials_file


@dataclass
class RegionsOptions:
    """The options of the command, as given; None where nothing was said."""

    directory: Path
    regions: list[str] | None = None
    azs: int | None = None
    nodes: int | None = None
    routers: int | None = None
    dax: int | None = None
    triggers: int | None = None
    port: int | None = None
    durability: str | None = None
    in_memory: bool = False
    throttling: str | None = None
    settings: list[str] = field(default_factory=list)
    router_settings: list[str] = field(default_factory=list)
    credentials_file: Path | None = None
    console: bool = False
    console_edit: bool = False


def run(options: RegionsOptions) -> int:
    """Run regions in the foreground."""
    try:
        if options.triggers:
            cluster.check_packages()
        place = place_for(options.directory, options.regions, options.port)
        make_directory(options.directory)
        with ExitStack() as locks:
            locks.enter_context(cluster.lock(options.directory, "regions"))
            place.save()
            for region in place.regions:
                make_cluster_directory(region.directory)
                locks.enter_context(cluster.lock(region.directory))
            return asyncio.run(_supervise(options, place))
    except LayoutError as error:
        print(f"hashrange: {error}", file=sys.stderr)
        return cluster.EXIT_START


def layout_of(options: RegionsOptions, place: Place, region: RegionPlace) -> Layout:
    """The cluster of a region, new or as it is in its directory; raises LayoutError."""
    routers_only = list(options.router_settings)
    about_regions: dict[str, object] = {"peers": place.peers_of(region.name)}
    if not (region.directory / STATE_NAME).exists():
        options = _like_the_others(options, place)
    if options.credentials_file is not None:
        about_regions["peer_credentials"] = first_credentials(options.credentials_file)
        routers_only.append(f"credentials_file={options.credentials_file.absolute()}")
    layout = cluster.layout_for(
        cluster.UpOptions(
            directory=region.directory,
            azs=options.azs,
            nodes=options.nodes,
            routers=options.routers,
            dax=options.dax,
            triggers=options.triggers,
            port=region.base_port,
            region=region.name,
            durability=options.durability,
            in_memory=options.in_memory,
            settings=options.settings,
            router_settings=routers_only,
            throttling=options.throttling,
            console=options.console,
            console_edit=options.console_edit,
        )
    )
    layout.region_settings.update(about_regions)
    return layout


def _like_the_others(options: RegionsOptions, place: Place) -> RegionsOptions:
    """The options for a region that comes to others: where nothing was said, it is laid out as the first of them."""
    first = place.regions[0]
    if not (first.directory / STATE_NAME).exists():
        return options
    layout = first.layout()
    counts = {"azs": layout.azs, "nodes": len(layout.of(NODE)), "routers": len(layout.of(ROUTER))}
    keys = layout.router_settings.get("credentials_file")
    missing: dict[str, Any] = {name: n for name, n in counts.items() if getattr(options, name) is None}
    if keys is not None and options.credentials_file is None:
        missing["credentials_file"] = Path(keys)
    return replace(options, **missing)


def first_credentials(path: Path) -> str:
    """KEY:SECRET of the first profile: regions that share the file accept it of one another; raises LayoutError."""
    found, mistakes = read_credentials_file(path)
    if mistakes or not found:
        raise LayoutError("; ".join(mistakes) or f"{path} holds no {KEY_OPTION}; add a profile")
    return f"{found[0]['access_key']}:{found[0]['secret']}"


async def _supervise(options: RegionsOptions, place: Place) -> int:
    stopped = cluster.stop_signals()
    report = _report()
    running = [
        cluster.Run(layout_of(options, place, region), _said_by(region.name, report.say))
        for region in place.regions
    ]
    for each in running:
        await each.prepare()
    code = 0
    try:
        if await cluster.unless(stopped, _start(running)):
            await report.follow(place, stopped)
    except LayoutError as error:
        print(f"hashrange: {error}", file=sys.stderr)
        code = cluster.EXIT_START
    finally:
        await asyncio.gather(*(each.stop() for each in running))
    return code


async def _start(running: list[cluster.Run]) -> None:
    """Start all regions at once; the first that cannot start ends the wait for the others."""
    tasks = [asyncio.create_task(_named(each)) for each in running]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _named(each: cluster.Run) -> None:
    try:
        await each.start()
    except LayoutError as error:
        raise LayoutError(f"region {each.layout.region}: {error}") from None


def _said_by(name: str, say: Say) -> Say:
    return lambda sentence: say(f"{name}: {sentence}")


def _report() -> PlainReport | LiveReport:
    """The live screen on a terminal, plain lines otherwise."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return LiveReport()
    return PlainReport()
