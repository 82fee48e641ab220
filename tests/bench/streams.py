"""What streams cost: a put with its record, reading records, letting go of old ones.

    python -m tests.bench.streams [--seconds 0.4] [--rounds 36] [--records 60000] [--servers hashrange-memory,...]

Puts: five tables of one server, without a stream and with each view; every put changes its item of 500 bytes (one that
changes nothing leaves no record). The tables follow one another in many short rounds. Processor time a request is the
lower quartile of the rounds, because other programs on the machine only ever add to it.

Reads: a stream of so many new items is read from its beginning, 1,000 records a call, by one reader; the best of five.

Trimming: in this process, on RocksDB, a leader trims the oldest records of a stream; the same number of them while
there are few and many others behind them. What it costs must depend on what is trimmed alone.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from hashrange_client.load import shape
from hashrange_client.load.client import Client
from hashrange_client.load.prepare import prepare
from hashrange_client.load.settings import LoadSettings
from hashrange_node.storage.rocks import RocksEngine
from hashrange_node.streams.trimming import SLICE

from hashrange.runtime.clock import LOGICAL_BITS
from tests.bench.servers import Place, Server, start
from tests.bench.transactions import Body, Figures, Source, Workload, measure
from tests.unit.node_support import Bench

FIRST_PORT = 18_480
OFF = "no stream"
VIEWS = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
READ_VIEWS = ("KEYS_ONLY", "NEW_AND_OLD_IMAGES")
GOAL_RATIO = 1.15
GOAL_RECORDS_PER_S = 50_000
RETENTION_MS = 60_000
READS = 5
"""Times that each stream is read; the best counts."""


def specification(view: str) -> dict[str, Any]:
    """The part of CreateTable that switches a stream on."""
    return {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}} if view != OFF else {}


async def create(settings: LoadSettings, table: str, view: str) -> str:
    """A table of the load's shape with a stream; its stream's ARN."""
    client = await Client.connect(settings)
    try:
        await client.call("CreateTable", {**shape.table_definition(table), **specification(view)})
        description = (await client.call("DescribeTable", {"TableName": table}))["Table"]
        return str(description.get("LatestStreamArn", ""))
    finally:
        client.close()


# ---- puts


def puts_to(table: str) -> Callable[[Callable[[], int], int], Body]:
    """Puts that each change their item."""
    rng = random.Random(1)

    def make(number: Callable[[], int], item_bytes: int) -> Body:
        # The counter takes eight digits: five bytes more by the rule of sizes than the one of the item.
        item = shape.item(number(), item_bytes - 5)
        item[shape.COUNTER] = {"N": str(rng.randrange(10**7, 10**8))}
        return "PutItem", {"TableName": table, "Item": item}

    return make


def measure_puts(server: Server, arguments: argparse.Namespace) -> dict[str, list[Figures]]:
    """Every view, `rounds` times in turn."""
    settings = LoadSettings(
        endpoint=server.url,
        connections=arguments.connections,
        duration_s=arguments.seconds,
        items=arguments.items,
        warm_up_s=0.2,
    )
    tables = {view: f"puts-{number}" for number, view in enumerate((OFF, *VIEWS))}
    found: dict[str, list[Figures]] = {view: [] for view in tables}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for view, table in tables.items():
            runner.run(create(settings, table, view))
            runner.run(prepare(LoadSettings(**{**asdict(settings), "table": table})))
        sources = {
            view: Source(Workload(view, puts_to(table)), settings, 10 * arguments.items)
            for view, table in tables.items()
        }
        for number in range(arguments.rounds):
            for view, source in _turned(list(sources.items()), number):
                found[view].append(measure(settings, source, server))
    return found


def _quartile(runs: list[Figures]) -> float:
    """Processor time a request in µs, of the quarter of the rounds that were disturbed least."""
    return sorted(run.cpu_us for run in runs)[len(runs) // 4]


def _turned(order: list[Any], by: int) -> list[Any]:
    """The same in another order, so that nothing always comes first."""
    by %= len(order)
    return order[by:] + order[:by]


def report_puts(name: str, found: dict[str, list[Figures]]) -> list[dict[str, Any]]:
    """Print the table of one server; its rows as data."""
    print(f"\n{name}, PutItem\n{'stream':24}{'req/s':>9}{'p99 ms':>8}{'CPU µs':>8}{'× off':>8}{'goal':>7}")
    rows = []
    for view, runs in found.items():
        row: dict[str, Any] = {
            "server": name,
            "put": view,
            "requests_per_s": round(median(run.requests_per_s for run in runs)),
            "cpu_us": round(_quartile(runs), 1),
            "p99_us": median(run.p99_us for run in runs),
            "errors": sum(run.errors for run in runs),
        }
        row["ratio"] = round(_quartile(runs) / _quartile(found[OFF]), 3)
        goal = f"{GOAL_RATIO}" if view != OFF else ""
        print(
            f"{view:24}{row['requests_per_s']:>9,}{row['p99_us'] / 1000:>8.2f}{row['cpu_us']:>8.1f}"
            f"{row['ratio']:>8.3f}{goal:>7}" + (f"  {row['errors']} errors" if row["errors"] else "")
        )
        rows.append(row)
    return rows


# ---- reads


class Reader:
    """Reads streams over one connection, with as little of its own work as can be."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, operation: str, request: dict[str, Any]) -> bytes:
        """The body of the answer; RuntimeError for an error."""
        head = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Date": "20261001T000000Z",
            "X-Amz-Target": f"DynamoDBStreams_20120810.{operation}",
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261001/us-east-1/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        self._connection.request("POST", "/", json.dumps(request), head)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {answer.status} {body[:300]!r}")
        return body

    def pages(self, arn: str) -> Iterator[int]:
        """The number of records of each page, from the beginning of the stream to what is its end now."""
        shards = json.loads(self.call("DescribeStream", {"StreamArn": arn}))["StreamDescription"]["Shards"]
        for shard in shards:
            request = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator: str | None = json.loads(self.call("GetShardIterator", request))["ShardIterator"]
            while iterator is not None:
                body = self.call("GetRecords", {"ShardIterator": iterator})
                count = body.count(b'"eventID"')
                yield count
                # The iterator comes last: the records before it need no parsing.
                _, mark, tail = body.rpartition(b'"NextShardIterator":"')
                iterator = tail[: tail.index(b'"')].decode() if mark and count else None


def measure_reads(server: Server, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Reading streams of new items of 500 bytes; prints the table, returns its rows."""
    print(f"\n{server.name}, GetRecords\n{'view':24}{'records/s':>11}{'CPU µs/record':>15}{'goal/s':>9}")
    rows = []
    for number, view in enumerate(READ_VIEWS):
        settings = LoadSettings(endpoint=server.url, table=f"reads-{number}", items=arguments.records)
        arn = asyncio.run(create(settings, settings.table, view))
        asyncio.run(prepare(settings))
        runs: list[tuple[float, float]] = []
        with closing(Reader(server.url)) as reader:
            for _ in range(READS):
                before, began = server.cpu_s() or 0.0, time.perf_counter()
                count = sum(reader.pages(arn))
                seconds = time.perf_counter() - began
                used = (server.cpu_s() or 0.0) - before
                if count < arguments.records:
                    raise RuntimeError(f"{count} records were read of {arguments.records}")
                runs.append((count / seconds, used * 1e6 / count))
        rate, cpu_us = max(runs)[0], min(cpu for _, cpu in runs)
        print(f"{view:24}{rate:>11,.0f}{cpu_us:>15.1f}{GOAL_RECORDS_PER_S:>9,}")
        rows.append(
            {
                "server": server.name,
                "read": view,
                "records_per_s": round(rate),
                "cpu_us": round(cpu_us, 2),
            }
        )
    return rows


# ---- trimming


def measure_trimming(records: int) -> list[dict[str, Any]]:
    """Trim `records` // 10 records, with as many, twice as many ... ten times as many in the stream."""
    print(f"\nTrimming\n{'trimmed':>9}{'records behind':>16}{'CPU µs/record':>15}{'entries':>9}")
    rows = []
    # Whole slices: what is less waits until there is more of it.
    trimmed = max(records // 10 // SLICE, 1) * SLICE
    for behind in (0, 3 * trimmed, 9 * trimmed):
        with tempfile.TemporaryDirectory() as directory:
            used_s, entries = _trim(Path(directory), trimmed, behind)
        row = {"trimmed": trimmed, "behind": behind, "cpu_us": round(used_s * 1e6 / trimmed, 2)}
        print(f"{trimmed:>9,}{behind:>16,}{row['cpu_us']:>15.2f}{entries:>9,}")
        rows.append(row)
    return rows


def _trim(directory: Path, trimmed: int, behind: int) -> tuple[float, int]:
    """Processor seconds, and log entries, of trimming the oldest records of a stream."""
    engine = RocksEngine(directory / "engine")
    bench = Bench(engine=engine)
    bench.create(**specification("NEW_AND_OLD_IMAGES"))
    clock = bench.clock
    _write(bench, 0, trimmed)
    clock.advance(RETENTION_MS / 1000)
    _write(bench, trimmed, behind)
    bench.scheduler.run(5)
    clock.advance(RETENTION_MS / 2000)
    engine.flush()
    (replica,) = bench.node.replicas.values()
    keeper, trimmer = replica.stream, bench.node.streams.trimmer
    assert keeper is not None
    wall_ms = bench.node.stamps.wall >> LOGICAL_BITS
    first = replica.group.last_index
    began = time.process_time()
    while trimmer.step(keeper, wall_ms, RETENTION_MS):
        bench.scheduler.run(3)
    used_s = time.process_time() - began
    if trimmer.trimmed != trimmed:
        raise RuntimeError(f"{trimmer.trimmed} records were trimmed, not {trimmed}")
    entries = replica.group.last_index - first
    engine.close()
    return used_s, entries


def _write(bench: Bench, first: int, count: int) -> None:
    for number in range(first, first + count):
        item = {"pk": {"S": f"k{number:08d}"}, "note": {"S": "x" * 480}}
        bench.put(item)
        if number % 64 == 0:
            bench.scheduler.run(3)
    bench.scheduler.run(5)


def main() -> None:
    """Measure the servers named, and trimming; print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--servers", default="hashrange-memory,hashrange-os,hashrange-cluster")
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=36)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    rows = measure_trimming(arguments.records)
    with tempfile.TemporaryDirectory() as scratch:
        for number, name in enumerate(filter(None, arguments.servers.split(","))):
            server = start(name, Place(None, Path(scratch)), FIRST_PORT + 400 * number)
            if server is None:
                continue
            try:
                rows += report_puts(name, measure_puts(server, arguments))
                rows += measure_reads(server, arguments)
            finally:
                server.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
