"""What transactions cost, as multiples of the single operations they stand for.

    python -m tests.bench.transactions [--seconds 4] [--rounds 3] [--connections 16] [--servers hashrange-memory,...]

For each server: two-item TransactWriteItems with both items in one partition, and in two (the items lie in two
tables: each table of the embedded server is one partition), with and without a ClientRequestToken; and TransactGetItems
of two items. Their processor time a request is compared with that of two PutItems and of two strong GetItems. The
workloads of a round follow one another on one server, so that each is compared with what ran next to it; figures are
medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from hashrange_client.load import shape
from hashrange_client.load.engine import Engine
from hashrange_client.load.prepare import prepare
from hashrange_client.load.replies import HttpReplies
from hashrange_client.load.requests import Head, Step
from hashrange_client.load.series import Series, figures
from hashrange_client.load.settings import LoadSettings
from hashrange_client.load.sockets import Connector

from tests.bench.servers import Place, Server, start

TABLES = ("transactions-a", "transactions-b")
FIRST_PORT = 18_460

Body = tuple[str, dict[str, Any]]
"""Operation and request."""


@dataclass(frozen=True)
class Workload:
    """One kind of request, and what it is compared with: `limit` times the processor time of two of `base`."""

    name: str
    make: Callable[[Callable[[], int], int], Body]
    base: str = ""
    limit: float = 0.0


def _put(table: str, number: int, item_bytes: int) -> dict[str, Any]:
    return {"Put": {"TableName": table, "Item": shape.item(number, item_bytes)}}


def _get(table: str, number: int) -> dict[str, Any]:
    return {"Get": {"TableName": table, "Key": shape.key(number)}}


def _write(tables: tuple[str, str], token: bool) -> Callable[[Callable[[], int], int], Body]:
    def make(number: Callable[[], int], item_bytes: int) -> Body:
        one, other = number(), number()
        if one == other:
            other = one ^ 1
        request: dict[str, Any] = {
            "TransactItems": [_put(tables[0], one, item_bytes), _put(tables[1], other, item_bytes)]
        }
        if token:
            request["ClientRequestToken"] = str(uuid.uuid4())
        return "TransactWriteItems", request

    return make


def _read(tables: tuple[str, str]) -> Callable[[Callable[[], int], int], Body]:
    def make(number: Callable[[], int], item_bytes: int) -> Body:
        one, other = number(), number()
        if one == other:
            other = one ^ 1
        return "TransactGetItems", {"TransactItems": [_get(tables[0], one), _get(tables[1], other)]}

    return make


def _single_put(number: Callable[[], int], item_bytes: int) -> Body:
    return "PutItem", {"TableName": TABLES[0], "Item": shape.item(number(), item_bytes)}


def _single_get(number: Callable[[], int], item_bytes: int) -> Body:
    return "GetItem", {"TableName": TABLES[0], "Key": shape.key(number()), "ConsistentRead": True}


ONE, TWO = (TABLES[0], TABLES[0]), TABLES
WORKLOADS = (
    Workload("PutItem", _single_put),
    Workload("write two, one partition", _write(ONE, False), "PutItem", 1.6),
    Workload("write two, one partition, token", _write(ONE, True), "PutItem"),
    Workload("write two, two partitions", _write(TWO, False), "PutItem", 4.0),
    Workload("write two, two partitions, token", _write(TWO, True), "PutItem"),
    Workload("GetItem, strong", _single_get),
    Workload("read two, one partition", _read(ONE), "GetItem, strong", 2.5),
    Workload("read two, two partitions", _read(TWO), "GetItem, strong", 2.5),
)


@dataclass
class Figures:
    """One run of one workload."""

    requests_per_s: float
    cpu_us: float
    p50_us: float
    p99_us: float
    errors: int


class Source:
    """Requests made beforehand, so that the generator's own time does not slow the server's clients down."""

    def __init__(self, workload: Workload, settings: LoadSettings, count: int) -> None:
        rng = random.Random(settings.seed)
        head = Head(settings)
        self.requests = []
        for _ in range(count):
            operation, request = workload.make(lambda: rng.randrange(settings.items), settings.item_bytes)
            self.requests.append((operation, head.request(operation, shape.compact(request))))
        self._at = 0

    def next(self) -> Step:
        """The next request, round and round."""
        self._at += 1
        operation, request = self.requests[self._at % len(self.requests)]
        return operation, request, None


def measure(settings: LoadSettings, source: Source, server: Server) -> Figures:
    """Warm up, then measure one workload on one server for the duration of the settings."""
    series = Series(1)
    cpu_s: list[float] = []

    def emit(message: dict[str, Any]) -> None:
        if "second" in message:
            series.add(message)

    engine = Engine(Connector(settings.host, settings.port), HttpReplies(), source, emit)
    engine.connect(settings.connections)
    measured = time.perf_counter() + settings.warm_up_s
    reading = threading.Timer(settings.warm_up_s, lambda: cpu_s.append(server.cpu_s() or 0.0))
    reading.start()
    told = engine.run(time.perf_counter(), measured, measured + settings.duration_s, None)
    reading.join()
    used = (server.cpu_s() or 0.0) - cpu_s[0]
    series.finish()
    found = figures(next(iter(series.operations.values()), {}))
    done = max(found["requests"], 1)
    return Figures(
        done / told["seconds"],
        used * 1e6 / done,
        float(found["p50_us"]),
        float(found["p99_us"]),
        series.errors.total(),
    )


def measure_server(server: Server, arguments: argparse.Namespace) -> dict[str, list[Figures]]:
    """Every workload, `rounds` times in turn."""
    found: dict[str, list[Figures]] = {workload.name: [] for workload in WORKLOADS}
    settings = LoadSettings(
        endpoint=server.url,
        connections=arguments.connections,
        duration_s=arguments.seconds,
        items=arguments.items,
        warm_up_s=0.5,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for table in TABLES:
            runner.run(prepare(LoadSettings(**{**asdict(settings), "table": table})))
        for seed in range(1, arguments.rounds + 1):
            seeded = LoadSettings(**{**asdict(settings), "seed": seed})
            for workload in WORKLOADS:
                # A token is used once: as many requests as can be sent in the time, and more.
                source = Source(workload, seeded, round(arguments.requests_max * (arguments.seconds + 1)))
                found[workload.name].append(measure(seeded, source, server))
    return found


def report(name: str, found: dict[str, list[Figures]]) -> list[dict[str, Any]]:
    """Print the table of one server; its rows as data."""
    print(
        f"\n{name}\n{'workload':34}{'req/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'CPU µs':>8}{'× two':>8}{'goal':>7}"
    )
    rows = []
    for workload in WORKLOADS:
        runs = found[workload.name]
        cpu = median(run.cpu_us for run in runs)
        row: dict[str, Any] = {
            "server": name,
            "workload": workload.name,
            "requests_per_s": round(median(run.requests_per_s for run in runs)),
            "cpu_us": round(cpu, 1),
            "p50_us": median(run.p50_us for run in runs),
            "p99_us": median(run.p99_us for run in runs),
            "errors": sum(run.errors for run in runs),
        }
        ratio = goal = ""
        if workload.base:
            pairs = zip(runs, found[workload.base], strict=True)
            row["ratio"] = round(median(run.cpu_us / (2 * base.cpu_us) for run, base in pairs), 2)
            ratio, goal = f"{row['ratio']:.2f}", f"{workload.limit}" if workload.limit else ""
        print(
            f"{workload.name:34}{row['requests_per_s']:>9,}{row['p50_us'] / 1000:>8.2f}"
            f"{row['p99_us'] / 1000:>8.2f}{row['cpu_us']:>8.1f}{ratio:>8}{goal:>7}"
            + (f"  {row['errors']} errors" if row["errors"] else "")
        )
        rows.append(row)
    return rows


def main() -> None:
    """Measure the servers named, and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--servers", default="hashrange-memory,hashrange-os,hashrange-fsync")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument(
        "--requests-max", type=int, default=12_000, help="requests a second that are made ready"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, name in enumerate(arguments.servers.split(",")):
            server = start(name, Place(None, Path(scratch)), FIRST_PORT + number)
            if server is None:
                continue
            try:
                rows += report(name, measure_server(server, arguments))
            finally:
                server.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
