"""YCSB A to F against hashrange: what the picture in the README is made of.

    python -m tests.bench.ycsb [--seconds 8] [--targets embedded,cluster,dax] [--workloads a,b,c,d,e,f]

For each target: a server of its own, 10,000 records of ten fields of 100 bytes, then the workloads in the
order that YCSB asks for (A, B, C, F, D, and E on a table loaded anew, since D and E insert). Closed loop, 32
connections, one process of load beside the servers: everything shares the cores of the machine. Writes

    ycsb.json    the document of every run (`hashrange bench --json`), with its target and workload
    ycsb.html    a report of all runs
    tests/bench/pictures/ycsb.png

A read-modify-write of F counts as one operation, as in YCSB. About 30 + 6 × (seconds + 3) seconds a target.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from hashrange_client.load.prepare import prepare
from hashrange_client.load.report.page import write_page
from hashrange_client.load.result import LoadResult, machine
from hashrange_client.load.run import Watch, generate
from hashrange_client.load.scrape import Scraper
from hashrange_client.load.settings import LoadSettings
from hashrange_client.load.workloads import WORKLOADS

from tests.bench.ycsb.picture import draw, operations_per_s, whole
from tests.bench.ycsb.places import PLACES, Place

FORMAT = 1
ORDER = "abcfde"
SCRAPE_S = 1.0
PICTURE = Path(__file__).parent.parent / "pictures" / "ycsb.png"


def arguments_of(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=float, default=8.0, help="measured time of each run")
    add("--warm-up", type=float, default=2.0)
    add("--connections", type=int, default=32)
    add("--items", type=int, default=10_000)
    add("--targets", default=",".join(PLACES))
    add("--workloads", default="a,b,c,d,e,f")
    add("--json", type=Path, default=Path("ycsb.json"), metavar="FILE")
    add("--html", type=Path, default=Path("ycsb.html"), metavar="FILE")
    add("--picture", type=Path, default=PICTURE, metavar="FILE")
    return parser.parse_args(words)


async def one(place: Place, letter: str, arguments: argparse.Namespace) -> LoadResult:
    """One workload on one target."""
    name = f"ycsb-{letter}"
    settings = place.settings(
        LoadSettings(
            workload=name,
            table="ycsb-e" if letter == "e" else "ycsb",
            items=arguments.items,
            item_bytes=WORKLOADS[name].item_bytes,
            connections=arguments.connections,
            duration_s=arguments.seconds,
            warm_up_s=arguments.warm_up,
        )
    ).checked()
    await prepare(settings)
    return await generate(settings, watch=Watch(scraper=Scraper(place.metrics, SCRAPE_S)))


def measure(target: str, arguments: argparse.Namespace, scratch: Path) -> dict[str, dict[str, Any]]:
    """All workloads on one target; documents by letter, in the alphabet's order."""
    wanted = arguments.workloads.split(",")
    found: dict[str, dict[str, Any]] = {}
    with PLACES[target](scratch) as place:
        for letter in ORDER:
            if letter not in wanted:
                continue
            result = asyncio.run(one(place, letter, arguments))
            document = result.to_json() | {"target": target, "name": f"{target} {letter.upper()}"}
            found[letter] = document
            cpu = document["server_cpu_us_per_request"]
            print(
                f"{target:10}{letter.upper():3}{operations_per_s(document):>9,.0f} operations/s"
                f"{whole(document)['p50_us'] / 1000:>9.2f} ms p50{whole(document)['p99_us'] / 1000:>9.2f} ms p99"
                f"{cpu or 0:>9.1f} µs CPU{sum(document['errors'].values()):>6} errors"
                f"{document['generator']['cpu_us_per_request'] or 0:>8.1f} µs generator",
                flush=True,
            )
    return dict(sorted(found.items()))


def main(words: list[str] | None = None) -> int:
    """Measure, print, write; exit code 1 when a run had no success."""
    arguments = arguments_of(words)
    targets = arguments.targets.split(",")
    unknown = [each for each in targets if each not in PLACES]
    unknown += [each for each in arguments.workloads.split(",") if f"ycsb-{each}" not in WORKLOADS]
    if unknown:
        print(f"there is no {unknown[0]!r}; targets are {', '.join(PLACES)}", file=sys.stderr)
        return 2
    runs: dict[str, dict[str, dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for target in targets:
            runs[target] = measure(target, arguments, Path(scratch))
    every = [document for found in runs.values() for document in found.values()]
    arguments.json.write_text(json.dumps({"format": FORMAT, "runs": every}) + "\n")
    write_page(arguments.html, every, "YCSB on hashrange")
    cores = machine()["cores"]
    note = (
        f"{cores} cores for servers and load together, {arguments.items:,} records of 1 kB, "
        f"{arguments.connections} connections"
    )
    try:
        draw(runs, arguments.picture, note)
    except ImportError:
        print("no picture: pip install matplotlib (of the extra `bench`)", file=sys.stderr)
    return 0 if all(document["requests"] for document in every) else 1


if __name__ == "__main__":
    sys.exit(main())
