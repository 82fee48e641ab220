"""A steady stream of boto3 writes while every node in turn is killed and started again, then a zone is cut off.

    python -m tests.cluster.steady [--rate 50] [--cut 60] [--nodes 3]

Every write is an item of its own, in a table of several partitions led by different nodes. At the end every
acknowledged item must be there; printed are how many writes were acknowledged, how many were answered with an error
after boto3's own retries, and for each fault the longest time in which any partition acknowledged no write.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.local_cluster import LocalCluster
from tests.cluster.workloads.probes import hash_of_key

TABLE = "Steady"
CREATE = {
    "TableName": TABLE,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
WRITERS = 8
PARTITIONS = 6
FAILOVER_S = 5.0


def connect(endpoint: str) -> Any:
    """A boto3 client with the retries that boto3 makes by itself."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="steady",
        aws_secret_access_key="steady",
        config=Config(connect_timeout=2, read_timeout=10, max_pool_connections=2),
    )


@dataclass
class Writers:
    """Threads that write at a steady rate together. `acknowledged` holds (instant, key).

    `ranges` are the hash ranges of the partitions, with both ends.
    """

    endpoint: str
    rate: float
    ranges: list[tuple[int, int]]
    acknowledged: list[tuple[float, str]] = field(default_factory=list)
    errors: list[tuple[float, str, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        self._threads = [
            threading.Thread(target=self._write, args=(number,), daemon=True) for number in range(WRITERS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, after the writes under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        client = connect(self.endpoint)
        count = 0
        due = time.monotonic()
        while not self._stop.is_set():
            key = f"w{number}-{count}"
            count += 1
            try:
                client.put_item(TableName=TABLE, Item=item_of(key))
            except (ClientError, BotoCoreError) as error:
                self.errors.append((time.monotonic(), key, str(error)))
            else:
                self.acknowledged.append((time.monotonic(), key))
            due = max(due + WRITERS / self.rate, time.monotonic() - 1.0)
            self._stop.wait(max(0.0, due - time.monotonic()))
        client.close()

    def longest_gap_s(self, since: float, until: float) -> float:
        """The longest time in which a partition acknowledged no write, of those that touch a span."""
        return max(
            longest_gap_s(
                [at for at, key in list(self.acknowledged) if low <= hash_of_key(key) <= high], since, until
            )
            for low, high in self.ranges
        )


def longest_gap_s(instants: list[float], since: float, until: float) -> float:
    """The longest time between two instants that touches a span."""
    instants = sorted(instants)
    gaps = zip(instants, [*instants[1:], time.monotonic()], strict=True)
    return max((b - a for a, b in gaps if b > since and a < until), default=until - since)


def item_of(key: str) -> dict[str, Any]:
    """An item that proves its own wholeness."""
    text = key * 20
    return {"pk": {"S": key}, "text": {"S": text}, "crc": {"N": str(zlib.crc32(text.encode()))}}


def missing_of(endpoint: str, keys: set[str]) -> list[str]:
    """Those of the keys that are not there, or not whole, by strong reads in batches."""
    client = connect(endpoint)
    found: set[str] = set()
    ordered = sorted(keys)
    for start in range(0, len(ordered), 100):
        wanted = [{"pk": {"S": key}} for key in ordered[start : start + 100]]
        request: dict[str, Any] = {TABLE: {"Keys": wanted, "ConsistentRead": True}}
        while request:
            answer = client.batch_get_item(RequestItems=request)
            for item in answer["Responses"].get(TABLE, []):
                if zlib.crc32(item["text"]["S"].encode()) == int(item["crc"]["N"]):
                    found.add(item["pk"]["S"])
            request = answer.get("UnprocessedKeys") or {}
    client.close()
    return sorted(keys - found)


@dataclass
class Report:
    """What a run came to."""

    acknowledged: int = 0
    errors: int = 0
    missing: list[str] = field(default_factory=list)
    gaps: dict[str, float] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)

    @property
    def longest(self) -> tuple[str, float]:
        """The fault with the longest time without a write."""
        return max(self.gaps.items(), key=lambda each: each[1])


def run(
    directory: Path,
    *,
    rate: float,
    cut_s: float,
    nodes: int,
    down_s: float,
    say: Callable[[str], None],
    partitions: int = PARTITIONS,
) -> Report:
    """The whole run."""
    report = Report()
    with LocalCluster(directory, nodes=nodes, say=say) as cluster:
        say(f"{nodes} nodes in three zones at {cluster.endpoint}")
        cluster.create_table(CREATE)
        cluster.split_empty(TABLE, partitions)
        ranges = [(each["hash_range"][0], each["hash_range"][1]) for each in cluster.partitions(TABLE)]
        writers = Writers(cluster.endpoint, rate, ranges)
        writers.start()
        time.sleep(min(3.0, down_s))
        for node in cluster.nodes():
            began = time.monotonic()
            cluster.kill(f"node-{node}")
            time.sleep(down_s)
            cluster.restart(f"node-{node}")
            time.sleep(min(3.0, down_s))
            label = f"node-{node} killed with kill -9 for {down_s:.0f} s, then restarted"
            report.gaps[label] = writers.longest_gap_s(began, time.monotonic())
            say(f"{label}: longest that a partition took no write {report.gaps[label]:.2f} s")
        zone = cluster.zone_of(cluster.leader_of(cluster.partitions(TABLE)[0]["id"]))
        began = time.monotonic()
        cluster.cut([zone])
        time.sleep(cut_s)
        cluster.heal()
        time.sleep(min(5.0, cut_s))
        label = f"{zone}, the leader's, cut off for {cut_s:.0f} s, then healed"
        report.gaps[label] = writers.longest_gap_s(began, time.monotonic())
        say(f"{label}: longest that a partition took no write {report.gaps[label]:.2f} s")
        writers.stop()
        keys = {key for _, key in writers.acknowledged}
        report.acknowledged, report.errors = len(keys), len(writers.errors)
        report.missing = missing_of(cluster.endpoint, keys)
        report.crashes = cluster.crashes()
        for _, key, error in writers.errors[:5]:
            say(f"error of {key}: {error}")
    return report


def main(arguments: list[str]) -> int:
    """Run it and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.steady", description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="writes per second")
    parser.add_argument("--cut", type=float, default=60.0, help="seconds for which a zone is cut off")
    parser.add_argument("--down", type=float, default=8.0, help="seconds for which a killed node stays down")
    parser.add_argument("--nodes", type=int, default=3)
    given = parser.parse_args(arguments)

    def say(sentence: str) -> None:
        print(sentence, flush=True)

    with tempfile.TemporaryDirectory(prefix="hashrange-steady-") as directory:
        report = run(
            Path(directory) / "cluster",
            rate=given.rate,
            cut_s=given.cut,
            nodes=given.nodes,
            down_s=given.down,
            say=say,
        )
    say(f"acknowledged writes: {report.acknowledged}, all present: {'no' if report.missing else 'yes'}")
    say(f"writes that ended in an error after boto3's retries: {report.errors}")
    label, seconds = report.longest
    say(f"longest unavailability: {seconds:.2f} s ({label})")
    for key in report.missing[:10]:
        say(f"  lost: {key}")
    for crash in report.crashes:
        say(f"  crash: {crash}")
    return 1 if report.missing or report.crashes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
