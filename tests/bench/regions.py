"""What global tables cost, and how fast changes get to the other region.

    python -m tests.bench.regions [--servers embedded,cluster] [--parts puts,filling,latency] [--json FILE]

Two regions on this machine, each one embedded server, or a cluster of three nodes and a router.

puts: three tables of one server: plain, with a stream of both images (which a global table always has), and global.
Every put changes its item of 500 bytes. The tables follow one another in many short rounds; after each round of the
global table the link is waited for, so that what sending costs is in its figure. Then the same with the other region
away: changes stay marked, and what is measured is the local put alone. Processor time is that of the writing region,
lower quartile of the rounds; `other` is what the receiving region used for each put.

filling: items a second over one link: the replica of a table that has items already (back-fill), and what was
written while the other region was away (backlog), from the first item that arrives to the last.

latency: 500 puts a second in each region at once, open loop; ReplicationLatency as the servers' own metric has it, and
the time until nothing is pending after the load has ended.

Both regions, and the load, share this machine's cores: rates are lower, and latencies higher, than with one each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from hashrange_client.load import shape
from hashrange_client.load.prepare import prepare
from hashrange_client.load.run import generate
from hashrange_client.load.settings import LoadSettings

from hashrange.cli.regions.figures import Link
from hashrange.runtime.system import cpu_seconds
from tests.bench.servers import Server
from tests.bench.streams import puts_to, specification
from tests.bench.transactions import Figures, Source, Workload, measure
from tests.cluster.regions.campaign import pass_time, pending
from tests.cluster.regions.scene import NAMES, EmbeddedRegions, LocalRegions, api, wait

PLAIN, STREAM, GLOBAL = "plain", "stream", "global"
GOAL_RATIO = 1.20
GOAL_ITEMS_PER_S = 5_000
GOAL_P50_MS, GOAL_P99_MS = 300, 1_000
RATE = 500
QUIET_S = 120.0
IMAGES = specification("NEW_AND_OLD_IMAGES")

Regions = EmbeddedRegions | LocalRegions


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


class Region(Server):
    """One region under measurement: the processor time of all its processes."""

    def __init__(self, regions: Regions, name: str) -> None:
        super().__init__(name, regions.endpoint(name), is_peer=False)
        self._regions = regions

    def cpu_s(self) -> float:
        """Processor time used so far by the processes that run."""
        if isinstance(self._regions, EmbeddedRegions):
            pids = [self._regions.pid(self.name)]
        else:
            pids = [each.pid for each in self._regions.clusters[self.name].layout().processes if each.pid]
        return sum(cpu_seconds(pid) or 0.0 for pid in pids)


@contextmanager
def running(kind: str, scratch: Path) -> Iterator[Regions]:
    """Two regions of one kind; raises RuntimeError when they do not start."""
    if kind == "cluster":
        # Nothing is split by heat: the partitions are the same in all runs.
        settings = ("split_writes_per_s=1000000000", "split_reads_per_s=1000000000")
        regions: Regions = LocalRegions(scratch / kind, NAMES[:2], settings=settings)
    else:
        durability = ("--durability", "os") if kind == "embedded-os" else ()
        regions = EmbeddedRegions(scratch / kind, NAMES[:2], options=durability, direct=True)
    with regions:
        yield regions


def create(regions: Regions, table: str, **more: Any) -> None:
    """A table of the load's shape in the first region."""
    endpoint = regions.endpoint(regions.names[0])
    api(endpoint, "CreateTable", {**shape.table_definition(table), **more})
    wait(table, lambda: status(regions, regions.names[0], table) == "ACTIVE")


def status(regions: Regions, name: str, table: str) -> str:
    """The status of a table in a region."""
    return str(api(regions.endpoint(name), "DescribeTable", {"TableName": table})["Table"]["TableStatus"])


def replicate(regions: Regions, table: str) -> float:
    """Give a table its replica in the second region; seconds until it is active."""
    first, second = regions.names
    began = time.monotonic()
    change = {"TableName": table, "ReplicaUpdates": [{"Create": {"RegionName": second}}]}
    api(regions.endpoint(first), "UpdateTable", change)

    def active() -> bool:
        for name in regions.names:
            try:
                found = api(regions.endpoint(name), "DescribeTable", {"TableName": table})["Table"]
            except RuntimeError:
                return False
            states = [each["ReplicaStatus"] for each in found.get("Replicas", ())]
            if found["TableStatus"] != "ACTIVE" or not states or set(states) != {"ACTIVE"}:
                return False
        return True

    wait(f"the replica of {table}", active, QUIET_S)
    return time.monotonic() - began


def quiet(regions: Regions) -> None:
    """Wait until nothing is pending."""
    wait("the end of what is pending", lambda: pending(regions) == 0, QUIET_S)


# ---- puts


def measure_puts(kind: str, regions: Regions, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All tables in turn, with the other region there and with it away; prints the tables."""
    first = Region(regions, regions.names[0])
    settings = LoadSettings(
        endpoint=first.url,
        connections=arguments.connections,
        duration_s=arguments.seconds,
        items=arguments.items,
        warm_up_s=0.2,
    )
    tables = {PLAIN: "puts-plain", STREAM: "puts-stream", GLOBAL: "puts-global"}
    sources: dict[str, Source] = {}
    for name, table in tables.items():
        create(regions, table, **({} if name == PLAIN else IMAGES))
        asyncio.run(prepare(replace(settings, table=table)))
        sources[name] = Source(Workload(name, puts_to(table)), settings, 10 * arguments.items)
    replicate(regions, tables[GLOBAL])
    quiet(regions)
    rows = _phase(f"{kind}, PutItem", settings, sources, regions, arguments.rounds, quiet)
    with away(regions):
        rows += _phase(f"{kind}, PutItem, cut off", settings, sources, regions, arguments.rounds, None)
    quiet(regions)
    return rows


def _phase(
    title: str,
    settings: LoadSettings,
    sources: dict[str, Source],
    regions: Regions,
    rounds: int,
    until: Callable[[Regions], None] | None,
) -> list[dict[str, Any]]:
    """All tables in turn, in another order each round; prints the table."""
    first, second = (Region(regions, name) for name in regions.names)
    found: dict[str, list[tuple[Figures, float]]] = {name: [] for name in sources}
    order = [*sources]
    for number in range(rounds):
        for name in order[number % len(order) :] + order[: number % len(order)]:
            shipping = name == GLOBAL and until is not None
            found[name].append(
                _round(
                    settings,
                    sources[name],
                    first,
                    second if shipping else None,
                    regions,
                    until if shipping else None,
                )
            )
    return report_puts(title, found)


def _round(
    settings: LoadSettings,
    source: Source,
    first: Region,
    other: Region | None,
    regions: Regions,
    until: Callable[[Regions], None] | None,
) -> tuple[Figures, float]:
    """One round, with the processor time until its changes were sent; and what the other region used a put."""
    there = other.cpu_s() if other is not None else 0.0
    run = measure(settings, source, first)
    before = first.cpu_s()
    if until is not None:
        until(regions)
    requests = max(run.requests_per_s * settings.duration_s, 1.0)
    # What was put while warming up is sent as well: its part of the other region's work is not that of a put.
    share = settings.duration_s / (settings.duration_s + settings.warm_up_s)
    after = (first.cpu_s() - before) * 1e6 * share / requests
    used = (other.cpu_s() - there) * 1e6 * share / requests if other is not None else 0.0
    return replace(run, cpu_us=run.cpu_us + after), used


def report_puts(title: str, found: dict[str, list[tuple[Figures, float]]]) -> list[dict[str, Any]]:
    """Print the table of one phase on one kind of server; its rows as data."""
    print(
        f"\n{title}\n{'table':18}{'req/s':>9}{'p99 ms':>8}{'CPU µs':>8}{'other µs':>10}"
        f"{'× plain':>9}{'× stream':>10}{'goal':>7}"
    )
    base = {name: _quartile([run.cpu_us for run, _ in runs]) for name, runs in found.items()}
    rows = []
    for name, runs in found.items():
        row: dict[str, Any] = {
            "what": title,
            "put": name,
            "requests_per_s": round(median(run.requests_per_s for run, _ in runs)),
            "p99_us": median(run.p99_us for run, _ in runs),
            "cpu_us": round(base[name], 1),
            "other_cpu_us": round(_quartile([used for _, used in runs]), 1),
            "ratio": round(base[name] / base[PLAIN], 3),
            "ratio_to_stream": round(base[name] / base[STREAM], 3),
            "errors": sum(run.errors for run, _ in runs),
        }
        goal = f"{GOAL_RATIO}" if name == GLOBAL else ""
        print(
            f"{name:18}{row['requests_per_s']:>9,}{row['p99_us'] / 1000:>8.2f}{row['cpu_us']:>8.1f}"
            f"{row['other_cpu_us']:>10.1f}{row['ratio']:>9.3f}{row['ratio_to_stream']:>10.3f}{goal:>7}"
            + (f"  {row['errors']} errors" if row["errors"] else "")
        )
        rows.append(row)
    return rows


def _quartile(values: list[float]) -> float:
    """Of the quarter of the rounds that were disturbed least."""
    return sorted(values)[len(values) // 4]


@contextmanager
def away(regions: Regions) -> Iterator[None]:
    """The second region cannot be reached."""
    first, second = regions.names
    if isinstance(regions, EmbeddedRegions):
        regions.halt(second)
        try:
            yield
        finally:
            regions.resume(second)
    else:
        regions.cut(first, second)
        try:
            yield
        finally:
            regions.heal()


# ---- filling


def measure_filling(kind: str, regions: Regions, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Back-fill and backlog of many items; prints the table."""
    table = "filled"
    settings = LoadSettings(
        endpoint=regions.endpoint(regions.names[0]), table=table, items=arguments.records, connections=16
    )
    create(regions, table, **IMAGES)
    asyncio.run(prepare(settings))
    shipped = _shipped(regions)
    used = _cpu(regions)
    began = time.monotonic()
    active_s = replicate(regions, table)
    quiet(regions)
    whole_s = time.monotonic() - began
    rows = [
        _filling_row(kind, "back-fill", _shipped(regions) - shipped, whole_s, _cpu(regions) - used)
        | {"active_s": round(active_s, 2)}
    ]
    with away(regions):
        source = Source(Workload("put", puts_to(table)), settings, arguments.records)
        written = replace(settings, duration_s=arguments.records / 3_000, warm_up_s=0.0)
        measure(written, source, Region(regions, regions.names[0]))
        waiting = pending(regions)
        shipped = _shipped(regions)
    healed = time.monotonic()
    used = _cpu(regions)
    wait("the first item", lambda: _shipped(regions) > shipped, QUIET_S)
    begun = time.monotonic()
    quiet(regions)
    now = time.monotonic()
    rows.append(_filling_row(kind, "backlog", waiting, now - begun, _cpu(regions) - used))
    rows[-1] |= {"since_heal_s": round(now - healed, 2)}
    print(f"\n{kind}, one link\n{'what':12}{'items':>9}{'items/s':>10}{'CPU µs/item, both':>19}{'goal/s':>9}")
    for row in rows:
        print(
            f"{row['filling']:12}{row['items']:>9,}{row['items_per_s']:>10,}{row['cpu_us']:>19.1f}"
            f"{GOAL_ITEMS_PER_S:>9,}"
            + (f"  equal {now - healed:.1f} s after the cut" if row is rows[-1] else "")
        )
    return rows


def _filling_row(kind: str, what: str, items: int, seconds: float, cpu_s: float) -> dict[str, Any]:
    return {
        "server": kind,
        "filling": what,
        "items": items,
        "items_per_s": round(items / seconds) if seconds else 0,
        "cpu_us": round(cpu_s * 1e6 / max(items, 1), 1),
    }


def _shipped(regions: Regions) -> int:
    """Items that the first region has sent so far."""
    return sum(link.shipped for key, link in regions.links().items() if key[1] == regions.names[0])


def _cpu(regions: Regions) -> float:
    return sum(Region(regions, name).cpu_s() for name in regions.names)


# ---- latency


def measure_latency(kind: str, regions: Regions, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A fixed rate of puts in both regions at once; prints the table."""
    table = "timed"
    create(regions, table, **IMAGES)
    replicate(regions, table)
    base = LoadSettings(
        workload="put",
        table=table,
        rate=float(RATE),
        connections=16,
        duration_s=arguments.latency_seconds,
        items=arguments.items,
    )
    asyncio.run(prepare(replace(base, endpoint=regions.endpoint(regions.names[0]))))
    quiet(regions)
    before = regions.links()

    async def both() -> list[Any]:
        loads = [
            replace(base, endpoint=regions.endpoint(name), seed=1 + n) for n, name in enumerate(regions.names)
        ]
        return await asyncio.gather(*(generate(load) for load in loads))

    results = asyncio.run(both())
    ended = time.monotonic()
    quiet(regions)
    rest_s = time.monotonic() - ended
    print(
        f"\n{kind}, {RATE} puts/s in each region\n{'direction':28}{'puts':>8}{'timed':>8}{'p50 ms':>8}"
        f"{'p99 ms':>8}{'goal':>12}"
    )
    rows = []
    after = regions.links()
    for source, result in zip(regions.names, results, strict=True):
        key = next(key for key in after if key[0] == table and key[1] == source)
        link = after[key].since(before.get(key, Link()))
        p50, p99 = link.quantile_s(0.5), link.quantile_s(0.99)
        row = {
            "server": kind,
            "latency": f"{key[1]} to {key[2]}",
            "puts": result.requests,
            "errors": result.errors,
            "timed": link.shipped_timed,
            "p50_ms": None if p50 is None else round(1000 * p50, 1),
            "p99_ms": None if p99 is None else round(1000 * p99, 1),
            "rest_s": round(rest_s, 2),
        }
        print(
            f"{row['latency']:28}{row['puts']:>8,}{row['timed']:>8,}{row['p50_ms'] or 0:>8.1f}"
            f"{row['p99_ms'] or 0:>8.1f}{f'{GOAL_P50_MS}/{GOAL_P99_MS}':>12}"
        )
        rows.append(row)
    print(f"nothing was pending {rest_s:.1f} s after the last put")
    return rows


PARTS = {"puts": measure_puts, "filling": measure_filling, "latency": measure_latency}


def main() -> None:
    """Measure the kinds of servers named; print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--servers", default="embedded-os,embedded,cluster")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--records", type=int, default=30_000)
    parser.add_argument("--latency-seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind in filter(None, arguments.servers.split(",")):
            with running(kind, Path(scratch)) as regions:
                for part in arguments.parts.split(","):
                    say(f"{kind}: {part}")
                    rows += PARTS[part](kind, regions, arguments)
                    pass_time(1.0)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
