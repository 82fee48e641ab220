"""What the cache tier costs, beside what it is to be measured by.

    python -m tests.bench.dax [--seconds 3] [--rounds 3] [--items 10000] [--memory-items 50000]

Starts `hashrange serve --in-memory --dax` and measures on items of 500 bytes:

wire        cached GetItem through the wire protocol with bare sockets: requests a second, processor time of the cache
            node a request, and the latency of one connection alone
http        cached GetItem through the HTTP door beside GetItem of the server itself, both with wrk, in turns
redis       GET of values of 500 bytes from redis-server with redis-benchmark, without pipelining: the reference
hit ratio   random reads of which nine in ten are of keys read before: the part of them that reaches the table
memory      what the cache node grows by while so many items come into its cache, beside the bytes of their JSON
clients     one GetItem after the other with the official Python client, and with boto3: their own cost is most of it

redis and wrk are left out where they are not installed. Processor time is that of the process measured alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from botocore.config import Config
from hashrange_client.load import shape
from hashrange_client.load.prepare import prepare
from hashrange_client.load.settings import LoadSettings

from hashrange.runtime.system import children, cpu_seconds, resident_bytes
from tests.bench.dax import wire
from tests.bench.servers import Server
from tests.bench.tools import has_wrk, measure
from tests.cluster.local_cluster import HASHRANGE

PORT = 18_700
DAX_PORT = 18_710
REDIS_PORT = 18_701
READY_S = 60.0
POLL_S = 0.1
GOALS = {"cpu_us": 25.0, "rate": 25_000, "p50_us": 200.0, "http": 1.3, "reads": 0.12, "memory": 2.5}
KEYS = {"aws_access_key_id": "hashrange", "aws_secret_access_key": "hashrange", "region_name": "us-east-1"}


class Scene:
    """A server and its one cache node."""

    def __init__(self, scratch: Path, memory_mb: int) -> None:
        self.log = (scratch / "serve.log").open("wb")
        self.scratch = scratch
        self.process = subprocess.Popen(
            [
                *(*HASHRANGE, "serve", "--in-memory", "--dax", "--port", str(PORT)),
                *("--dax-port", str(DAX_PORT), "--dax-memory-mb", str(memory_mb)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        self.url = f"http://127.0.0.1:{PORT}"
        self.dax = boto3.client("dax", endpoint_url=self.url, **KEYS)
        self.node = self._ready()
        self.wire = (self.node["Endpoint"]["Address"], self.node["Endpoint"]["Port"])
        self.http = f"http://{self.wire[0]}:{self.wire[1] + 100}"
        self.pid = self._node_pid()

    def _ready(self) -> dict[str, Any]:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                found = self.dax.describe_clusters()["Clusters"]
                if found and found[0]["Status"] == "available":
                    node: dict[str, Any] = found[0]["Nodes"][0]
                    return node
            except Exception:
                pass  # it is not up yet; the end of the time says so
            time.sleep(POLL_S)
        raise RuntimeError(
            "the server did not come up:\n" + (self.scratch / "serve.log").read_text()[-2_000:]
        )

    def _node_pid(self) -> int:
        for pid in children(self.process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"dax" in words:
                return pid
        raise RuntimeError("the cache node is no child of the server")

    def own_cpu_s(self) -> float:
        """Processor time of the server alone: its children have their own."""
        whole = cpu_seconds(self.process.pid) or 0.0
        return whole - sum(cpu_seconds(child) or 0.0 for child in children(self.process.pid))

    def partition_reads(self) -> float:
        """Reads that the partitions have served."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.startswith("hashrange_partition_reads_total")
        )

    def stop(self) -> None:
        """End the server, which ends its node."""
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def load_table(scene: Scene, table: str, items: int) -> list[bytes]:
    """A table of so many items of 500 bytes; a GetItem of each over the wire."""
    asyncio.run(prepare(LoadSettings(endpoint=scene.url, table=table, items=items)))
    return [wire.get_request(table, number) for number in range(items)]


def wire_figures(scene: Scene, requests: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """Cached GetItem over the wire."""
    wire.read_once(scene.wire, requests)
    rows = []
    for number in range(arguments.rounds):
        for connections in arguments.connections:
            before = cpu_seconds(scene.pid) or 0.0
            run = wire.generate(scene.wire, requests, connections, arguments.seconds, seed=number)
            cpu_us = ((cpu_seconds(scene.pid) or 0.0) - before) * 1e6 / run.requests
            rows.append((connections, run.rate, cpu_us, run.p50_us, run.p99_us))
    single = [wire.one_at_a_time(scene.wire, requests, arguments.seconds) for _ in range(arguments.rounds)]
    print(
        f"\ncached GetItem, wire protocol\n{'connections':12}{'req/s':>9}{'CPU µs':>8}{'p50 µs':>8}{'p99 µs':>8}"
    )
    told: dict[str, Any] = {}
    for connections in arguments.connections:
        mine = [row for row in rows if row[0] == connections]
        rate, cpu_us, p50, p99 = (median(row[n] for row in mine) for n in range(1, 5))
        print(f"{connections:<12}{rate:>9,.0f}{cpu_us:>8.1f}{p50:>8.0f}{p99:>8.0f}")
        told[str(connections)] = {"rate": rate, "cpu_us": cpu_us, "p50_us": p50, "p99_us": p99}
    p50, p99 = median(run.p50_us for run in single), median(run.p99_us for run in single)
    print(f"{'1, alone':12}{median(run.rate for run in single):>9,.0f}{'':8}{p50:>8.0f}{p99:>8.0f}")
    told["alone"] = {"p50_us": p50, "p99_us": p99}
    print(
        f"goal: ≥ {GOALS['rate']:,}/s, ≤ {GOALS['cpu_us']} µs, p50 of one connection ≤ {GOALS['p50_us']:.0f} µs"
    )
    return told


def http_figures(scene: Scene, table: str, items: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Cached GetItem through the HTTP door, and GetItem of the server itself, in turns."""
    door = Server("HTTP door, cached", scene.http, scene.pid)
    itself = Server("embedded server", scene.url, 0)
    rates: dict[str, list[float]] = {door.name: [], itself.name: []}
    cpu: dict[str, list[float]] = {door.name: [], itself.name: []}
    for number in range(arguments.rounds + 1):
        for server in (itself, door):
            settings = LoadSettings(
                endpoint=server.url,
                workload="get",
                table=table,
                items=items,
                duration_s=arguments.seconds,
                seed=number + 1,
            )
            before = scene.own_cpu_s()
            sample = measure("wrk", server, settings, scene.scratch)
            if not number:
                continue  # it has filled the cache, and warmed both
            rates[server.name].append(sample.requests_per_s)
            used = sample.cpu_us
            if used is None:
                used = (scene.own_cpu_s() - before) * 1e6 / sample.requests
            cpu[server.name].append(used)
            if sample.errors:
                print(f"{server.name}: {sample.errors} errors")
    print(f"\nGetItem over HTTP, wrk -c16\n{'':24}{'req/s':>9}{'CPU µs':>8}")
    for name in rates:
        print(f"{name:24}{median(rates[name]):>9,.0f}{median(cpu[name]):>8.1f}")
    ratio = median(rates[door.name]) / median(rates[itself.name])
    print(f"door ÷ server: {ratio:.2f} (goal ≥ {GOALS['http']})")
    return {"rates": rates, "cpu_us": cpu, "ratio": ratio}


@contextmanager
def redis(scratch: Path) -> Iterator[int]:
    """A redis-server that keeps nothing; its process id."""
    words = [
        "redis-server",
        "--port",
        str(REDIS_PORT),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(scratch),
    ]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        time.sleep(POLL_S * 3)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def redis_figures(scratch: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """GET of 500 bytes, no pipelining."""
    told: dict[str, Any] = {}
    print(f"\nredis-server, GET of 500 bytes, no pipelining\n{'connections':12}{'req/s':>9}{'CPU µs':>8}")
    with redis(scratch) as pid:
        for connections in arguments.connections:
            words = ["redis-benchmark", "-p", str(REDIS_PORT), "-t", "set,get", "-d", "500", "-r", "10000"]
            words += ["-c", str(connections), "-n", "100000", "-P", "1", "--csv"]
            subprocess.run(words, check=True, capture_output=True)
            before = cpu_seconds(pid) or 0.0
            run = subprocess.run([*words[:4], "get", *words[5:]], check=True, capture_output=True, text=True)
            cpu_us = ((cpu_seconds(pid) or 0.0) - before) * 1e6 / 100_000
            rate = float(run.stdout.strip().splitlines()[-1].split(",")[1].strip('"'))
            print(f"{connections:<12}{rate:>9,.0f}{cpu_us:>8.1f}")
            told[str(connections)] = {"rate": rate, "cpu_us": cpu_us}
    return told


def hit_ratio(scene: Scene, items: int) -> dict[str, Any]:
    """Ten reads of each key on average, at random: what of them reaches the table."""
    requests = load_table(scene, "ratio", items)
    chosen = random.Random(7).choices(requests, k=10 * items)
    distinct = len(set(chosen))
    before = scene.partition_reads()
    run = wire.generate(scene.wire, chosen, 16, count=len(chosen), seed=7)
    time.sleep(POLL_S)
    reads = scene.partition_reads() - before
    share = reads / run.requests
    print(
        f"\nhit ratio: {run.requests:,} reads of {distinct:,} keys at {run.rate:,.0f}/s, {reads:,.0f} reached the "
        f"table: {share:.1%} (goal ≤ {GOALS['reads']:.0%})"
    )
    return {"requests": run.requests, "reads": reads, "share": share}


def memory(scene: Scene, items: int) -> dict[str, Any]:
    """Growth of the node while its cache takes so many items in."""
    requests = load_table(scene, "memory", items)
    json_bytes = items * len(json.dumps(shape.item(0, 500), separators=(",", ":")))
    wire.read_once(scene.wire, requests[:10])
    before = resident_bytes(scene.pid) or 0
    wire.read_once(scene.wire, requests)
    grown = (resident_bytes(scene.pid) or 0) - before
    ratio = grown / json_bytes
    print(
        f"memory: {items:,} items, {json_bytes / 1e6:.1f} MB of JSON, the node grew by {grown / 1e6:.1f} MB: "
        f"{ratio:.2f}× (goal ≤ {GOALS['memory']})"
    )
    return {"items": items, "json_bytes": json_bytes, "grown": grown, "ratio": ratio}


def clients(scene: Scene, table: str) -> dict[str, Any]:
    """The official Python client and boto3, one call after the other."""
    from amazondax import AmazonDaxClient

    address = f"dax://{scene.wire[0]}:{scene.wire[1]}"
    cache: Any = AmazonDaxClient(endpoint_url=address, **KEYS)
    table_client = boto3.client(
        "dynamodb", endpoint_url=scene.url, config=Config(retries={"total_max_attempts": 1}), **KEYS
    )
    told = {}
    print("\nGetItem, one after the other")
    for name, client in (("amazon-dax-client", cache), ("boto3", table_client)):
        taken = []
        for number in range(1_200):
            began = time.perf_counter()
            client.get_item(TableName=table, Key=shape.key(number % 100))
            taken.append(time.perf_counter() - began)
        told[name] = median(taken[200:]) * 1e3
        print(f"{name:20}{told[name]:>7.2f} ms")
    cache.close()
    return told


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--memory-items", type=int, default=50_000)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder), memory_mb=512)
        try:
            requests = load_table(scene, "bench", arguments.items)
            told["wire"] = wire_figures(scene, requests, arguments)
            if has_wrk():
                told["http"] = http_figures(scene, "bench", arguments.items, arguments)
            told["hit ratio"] = hit_ratio(scene, arguments.items)
            told["memory"] = memory(scene, arguments.memory_items)
            told["clients"] = clients(scene, "bench")
        finally:
            scene.stop()
        if shutil.which("redis-server") and shutil.which("redis-benchmark"):
            told["redis"] = redis_figures(Path(folder), arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
