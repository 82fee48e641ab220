"""How fast changes reach functions: `python -m tests.bench.triggers`. Starts `hashrange serve --triggers` by itself.

latency     from the acknowledged write to the start of the handler, at a fixed rate of writes and a warm worker
records     records a second through the mapping and awslambdaric, batches of 100, handler that reads every record
invoke      one warm RequestResponse invocation after the other over one connection, raw HTTP
cold        the first invocation of a function nobody has called: the worker's start and the whole call

The handler tells the time of its start by UDP, so nothing but the clock of this machine is compared.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import io
import json
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from hashrange.runtime.system import cpu_seconds
from tests.cluster.kill9 import HEADERS
from tests.cluster.local_cluster import HASHRANGE
from tests.cluster.triggers.embedded import EmbeddedWithPool
from tests.cluster.workloads.client import RawClient

HANDLER = """
import os, socket, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
target = ("127.0.0.1", int(os.environ["REPORT_PORT"]))

def handle(event, context):
    began = time.time()
    records = event["Records"]
    size = sum(len(record["dynamodb"]["NewImage"]) for record in records)
    last = records[-1]["dynamodb"]["Keys"]["pk"]["S"]
    ids = ",".join(record["dynamodb"]["Keys"]["pk"]["S"] for record in records) if len(records) < 20 else last
    sender.sendto(f"{began} {len(records)} {ids}".encode(), target)

def nothing(event, context):
    return {"answer": 42}
"""


def package(source: str) -> bytes:
    """A deployment package of one file."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", source)
    return data.getvalue()


class Bench:
    """One server and what is measured on it."""

    def __init__(self, site: EmbeddedWithPool, udp: socket.socket) -> None:
        self.site = site
        self.udp = udp
        common: dict[str, Any] = {
            "endpoint_url": site.endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "hashrange",
            "aws_secret_access_key": "hashrange",
            "config": Config(read_timeout=60, retries={"total_max_attempts": 1}),
        }
        self.functions = boto3.client("lambda", **common)
        self.dynamodb = boto3.client("dynamodb", **common)

    def function(self, name: str, handler: str, source: str = HANDLER) -> str:
        """Create a function; its ARN."""
        made = self.functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/any",
            Handler=handler,
            Code={"ZipFile": package(source)},
            Timeout=30,
            Environment={"Variables": {"REPORT_PORT": str(self.udp.getsockname()[1])}},
        )
        arn: str = made["FunctionArn"]
        return arn

    def table(self, name: str) -> str:
        """A table with a stream; the stream's ARN."""
        self.dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        described = self.dynamodb.describe_table(TableName=name)["Table"]
        arn: str = described["LatestStreamArn"]
        return arn

    # ---- invocations

    def invoke(self, count: int) -> list[float]:
        """Milliseconds of warm invocations, one after the other."""
        self.function("warm", "app.nothing")
        found = []
        with closing(http.client.HTTPConnection("127.0.0.1", self.site.port)) as connection:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(count + 5):
                began = time.perf_counter()
                path = "/2015-03-31/functions/warm/invocations"
                connection.request("POST", path, b'{"a":1}', HEADERS)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200 or json.loads(body) != {"answer": 42}:
                    raise RuntimeError(f"{answer.status}: {body[:300]!r}")
                if number >= 5:
                    found.append((time.perf_counter() - began) * 1e3)
        return found

    def cold(self, count: int) -> tuple[list[float], list[float]]:
        """Milliseconds of whole first invocations, and of the workers' starts as REPORT tells them."""
        whole, starts = [], []
        for number in range(count):
            name = f"cold{number}"
            self.function(name, "app.nothing")
            began = time.perf_counter()
            answer = self.functions.invoke(FunctionName=name, Payload=b"{}", LogType="Tail")
            whole.append((time.perf_counter() - began) * 1e3)
            log = base64.b64decode(answer["LogResult"]).decode()
            told = re.search(r"Init Duration: ([0-9.]+) ms", log)
            if told is not None:
                starts.append(float(told.group(1)))
        return whole, starts

    # ---- streams

    def _map(self, stream: str, function: str, **settings: Any) -> str:
        made = self.functions.create_event_source_mapping(
            EventSourceArn=stream, FunctionName=function, StartingPosition="TRIM_HORIZON", **settings
        )
        identity: str = made["UUID"]
        return identity

    def _reports(self, wanted: int, timeout_s: float) -> list[tuple[float, int, list[str]]]:
        found, total = [], 0
        self.udp.settimeout(timeout_s)
        while total < wanted:
            began, count, ids = self.udp.recv(65_536).decode().split(" ", 2)
            found.append((float(began), int(count), ids.split(",")))
            total += int(count)
        return found

    def latency(self, rate: int, seconds: float) -> list[float]:
        """Milliseconds from the acknowledgement of a write until its handler starts."""
        stream = self.table("Latency")
        mapping = self._map(stream, self.function("latency", "app.handle"), BatchSize=10)
        acknowledged: dict[str, float] = {}

        async def write() -> None:
            clients = [RawClient(self.site.endpoint) for _ in range(4)]
            tasks: list[asyncio.Task[None]] = []

            async def one(client: RawClient, number: int, due: float) -> None:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                item = {"pk": {"S": f"i{number}"}, "pad": {"S": "x" * 480}}
                await client.call("PutItem", {"TableName": "Latency", "Item": item})
                acknowledged[f"i{number}"] = time.time()

            async def line(client: RawClient, first: int, start: float) -> None:
                for number in range(first, int(rate * seconds), len(clients)):
                    await one(client, number, start + number / rate)

            start = time.perf_counter()
            tasks = [asyncio.create_task(line(client, n, start)) for n, client in enumerate(clients)]
            await asyncio.gather(*tasks)
            for client in clients:
                client.close()

        # Its worker is warm, and its shard is being read.
        self.dynamodb.put_item(TableName="Latency", Item={"pk": {"S": "warm"}, "pad": {"S": ""}})
        self._reports(1, 30)
        writer = threading.Thread(target=lambda: asyncio.run(write()))
        writer.start()
        reports = self._reports(int(rate * seconds), 30)
        writer.join()
        self.functions.delete_event_source_mapping(UUID=mapping)
        return [
            max(0.0, (began - acknowledged[identity]) * 1e3) for began, _, ids in reports for identity in ids
        ]

    def records(self, count: int, batch_size: int) -> tuple[float, float]:
        """Records a second through the mapping, and microseconds of the server's processor time a record."""
        stream = self.table("Records")
        self._fill("Records", count)
        function = self.function("records", "app.handle")
        self.functions.invoke(FunctionName="records", Payload=json.dumps(_event()).encode())
        self._reports(1, 10)
        cpu = cpu_seconds(self.site.pid)
        mapping = self._map(stream, function, BatchSize=batch_size)
        reports = self._reports(count, 60)
        used = cpu_seconds(self.site.pid) - cpu
        self.functions.delete_event_source_mapping(UUID=mapping)
        seconds = reports[-1][0] - reports[0][0]
        return (count - reports[0][1]) / seconds, used / count * 1e6

    def _fill(self, table: str, count: int) -> None:
        async def fill() -> None:
            async def line(first: int) -> None:
                client = RawClient(self.site.endpoint)
                for at in range(first * 25, count, 8 * 25):
                    puts = [
                        {"PutRequest": {"Item": {"pk": {"S": f"{at + n:07d}"}, "pad": {"S": "x" * 480}}}}
                        for n in range(min(25, count - at))
                    ]
                    await client.call("BatchWriteItem", {"RequestItems": {table: puts}})
                client.close()

            await asyncio.gather(*(line(first) for first in range(8)))

        asyncio.run(fill())


def _event() -> dict[str, Any]:
    keys = {"pk": {"S": uuid.uuid4().hex}}
    return {"Records": [{"dynamodb": {"Keys": keys, "NewImage": keys}}]}


def _line(name: str, milliseconds: list[float]) -> str:
    ordered = sorted(milliseconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{name:24} p50 {statistics.median(ordered):8.2f} ms   p99 {p99:8.2f} ms   n {len(ordered)}"


def main(arguments: list[str]) -> int:
    """Measure, and print one line a figure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.triggers", description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="writes a second for `latency`")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long for `latency`")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--durability", choices=("fsync", "os"), default="os")
    parser.add_argument("only", nargs="*", choices=("invoke", "cold", "latency", "records", []))
    given = parser.parse_args(arguments)
    wanted = given.only or ["invoke", "cold", "latency", "records"]
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        udp.bind(("127.0.0.1", 0))
        site = EmbeddedWithPool(Path(directory) / "data", HASHRANGE, ("--durability", given.durability))
        site.start()
        try:
            bench = Bench(site, udp)
            if "invoke" in wanted:
                print(_line("warm invoke", bench.invoke(500)), flush=True)
            if "cold" in wanted:
                whole, starts = bench.cold(8)
                print(_line("cold invoke, whole", whole), flush=True)
                print(_line("cold start of the worker", starts), flush=True)
            if "latency" in wanted:
                print(_line(f"write to handler, {given.rate}/s", bench.latency(given.rate, given.seconds)))
            if "records" in wanted:
                rate, cpu_us = bench.records(given.records, given.batch_size)
                print(f"{'records through mapping':24} {rate:8.0f}/s, {cpu_us:.1f} µs of processor time each")
        finally:
            site.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
