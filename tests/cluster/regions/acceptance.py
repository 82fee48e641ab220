"""Two regions of three zones each, boto3 writing in both, a long cut with conflicting writes, and what comes of it.

    python -m tests.cluster.regions.acceptance --cut 60

Regions are started with `hashrange regions up`; a table with an index gets its replica with UpdateTable. Writers in
both regions put the same hot items and items of their own, before, during and after a cut. Then the writers stop, and
both tables must become equal; indexes must have what the tables have, the records of each region's stream must end
with what its table has, nothing may be pending, and no acknowledged write may be lost but to a later one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hashrange.cli.regions.verify import verify
from tests.cluster.regions.campaign import describe_links, pass_time, pending, place_of
from tests.cluster.regions.scene import NAMES, LocalRegions, wait
from tests.cluster.streams.reader import StreamReader

TABLE = "Music"
HOT = 50
WRITERS = 3
STEADY_S = 5.0
CONVERGED_S = 60.0
DEFINITION: dict[str, Any] = {
    "TableName": TABLE,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
        {"AttributeName": "genre", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_genre",
            "KeySchema": [{"AttributeName": "genre", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}

Key = tuple[str, int]
Say = Callable[[str], None]


def client_of(regions: LocalRegions, name: str, service: str = "dynamodb") -> Any:
    """An unmodified boto3 client of one region."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=regions.endpoint(name),
        region_name=name,
        aws_access_key_id="hashrange",
        aws_secret_access_key="hashrange",
        config=Config(retries={"total_max_attempts": 4}, read_timeout=20, max_pool_connections=20),
    )


@dataclass
class Writer:
    """One thread that writes in one region. `last`: the last acknowledged value of each of its own items."""

    client: Any
    name: str
    number: int
    last: dict[Key, str] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    count: int = 0

    def run(self, stop: threading.Event) -> None:
        """Write until told to stop."""
        rng = random.Random(f"{self.name} {self.number}")
        while not stop.is_set():
            try:
                self._write(rng)
            except Exception as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            time.sleep(0.01 * rng.random())

    def _write(self, rng: random.Random) -> None:
        self.count += 1
        value = f"{self.name}/{self.number}/{self.count}"
        mine = rng.random() < 0.5
        key = (f"{self.name}/{self.number}", rng.randrange(200)) if mine else ("hot", rng.randrange(HOT))
        keys = {"pk": {"S": key[0]}, "sk": {"N": str(key[1])}}
        genre = {"S": rng.choice(("folk", "jazz", "soul"))}
        self.written.add(value)
        if rng.random() < 0.6:
            answer = self.client.put_item(
                TableName=TABLE, Item={**keys, "genre": genre, "v": {"S": value}}, ReturnValues="ALL_OLD"
            )
        else:
            answer = self.client.update_item(
                TableName=TABLE,
                Key=keys,
                UpdateExpression="SET v = :v, genre = :g ADD n :one",
                ExpressionAttributeValues={":v": {"S": value}, ":g": genre, ":one": {"N": "1"}},
                ReturnValues="ALL_OLD",
            )
        before = answer.get("Attributes", {}).get("v")
        if before is not None:
            self.replaced.add(before["S"])
        if mine:
            self.last[key] = value


def items_of(client: Any, **more: Any) -> dict[Key, dict[str, Any]]:
    """All items of the table, or of its index, by key."""
    found: dict[Key, dict[str, Any]] = {}
    for page in client.get_paginator("scan").paginate(TableName=TABLE, **more):
        for item in page["Items"]:
            found[item["pk"]["S"], int(item["sk"]["N"])] = item
    return found


def stream_state(regions: LocalRegions, name: str) -> tuple[dict[Key, dict[str, Any]], int]:
    """What a region's stream says its table has, and how many records it took."""
    description = client_of(regions, name).describe_table(TableName=TABLE)["Table"]
    reader = StreamReader(client_of(regions, name, "dynamodbstreams"), description["LatestStreamArn"])
    reader.drain()
    state: dict[Key, dict[str, Any]] = {}
    for record in reader.order:
        change = record["dynamodb"]
        key = change["Keys"]["pk"]["S"], int(change["Keys"]["sk"]["N"])
        if record["eventName"] == "REMOVE":
            state.pop(key, None)
        else:
            state[key] = change["NewImage"]
    return state, reader.count


def make_table(regions: LocalRegions, say: Say) -> None:
    """The table in the first region, its replica in the second."""
    first, second = regions.names
    client = client_of(regions, first)
    client.create_table(**DEFINITION)
    client.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1})
    began = time.monotonic()
    client.update_table(TableName=TABLE, ReplicaUpdates=[{"Create": {"RegionName": second}}])

    def active(name: str) -> bool:
        try:
            found = client_of(regions, name).describe_table(TableName=TABLE)["Table"]
        except client.exceptions.ResourceNotFoundException:
            return False
        replicas = [each["ReplicaStatus"] for each in found.get("Replicas", ())]
        return found["TableStatus"] == "ACTIVE" and bool(replicas) and set(replicas) == {"ACTIVE"}

    for name in regions.names:
        wait(f"the replica in {name}", lambda name=name: active(name), 120)
    say(f"{second} has a replica of {TABLE} after {time.monotonic() - began:.1f} s")


def run(regions: LocalRegions, cut_s: float, say: Say) -> list[str]:
    """The whole of it on running regions; what went wrong."""
    make_table(regions, say)
    stop = threading.Event()
    writers = [
        Writer(client_of(regions, name), name, number) for name in regions.names for number in range(WRITERS)
    ]
    threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        pass_time(STEADY_S)
        say(f"before the cut: {describe_links(regions)}")
        regions.cut(*regions.names)
        before = sum(writer.count for writer in writers)
        pass_time(cut_s)
        during = sum(writer.count for writer in writers) - before
        say(f"{during} writes during a cut of {cut_s:.0f} s: {describe_links(regions)}")
        regions.heal()
        say("healed")
        healed = time.monotonic()
        wait("the end of the backlog", lambda: _oldest_s(regions) < time.monotonic() - healed, CONVERGED_S)
        say(f"what was written during the cut has arrived {time.monotonic() - healed:.1f} s after the heal")
        pass_time(min(STEADY_S, cut_s))
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    say(f"{sum(writer.count for writer in writers)} writes in all; the writers stop")
    return _judge(regions, writers, healed, say)


def _oldest_s(regions: LocalRegions) -> float:
    """The age of the oldest change that is pending anywhere."""
    return max((link.oldest_s for link in regions.links().values() if link.pending), default=0.0)


def _judge(regions: LocalRegions, writers: list[Writer], healed: float, say: Say) -> list[str]:
    quiet = time.monotonic()
    verdict = asyncio.run(verify(place_of(regions), TABLE, CONVERGED_S))
    now = time.monotonic()
    say(f"{verdict.text()}: {now - healed:.1f} s after the heal, {now - quiet:.1f} s after the last write")
    wrong = [] if verdict.equal else ["the tables differ"]
    tables = {name: items_of(client_of(regions, name), ConsistentRead=True) for name in regions.names}
    final = tables[regions.names[0]]
    wrong += [failure for writer in writers for failure in writer.failures[:3]]
    wrong += _lost(writers, final)
    for name, table in tables.items():
        try:
            wait(
                f"the index of {name}",
                lambda name=name, table=table: (
                    items_of(client_of(regions, name), IndexName="by_genre") == table
                ),
            )
        except TimeoutError as error:
            wrong.append(str(error))
        state, count = stream_state(regions, name)
        say(f"{name}: index and table have {len(table)} items, its stream {count} records")
        if state != table:
            wrong.append(f"the stream of {name} ends with something else than its table")
    try:
        wait("the end of what is pending", lambda: pending(regions) == 0)
    except TimeoutError as error:
        wrong.append(str(error))
    say(describe_links(regions))
    return wrong + regions.crashes()


def _lost(writers: list[Writer], final: dict[Key, dict[str, Any]]) -> list[str]:
    """Acknowledged writes that are gone without a later one; values that nobody wrote, or that were replaced."""
    wrong = []
    for writer in writers:
        for key, value in writer.last.items():
            found = final.get(key, {}).get("v", {}).get("S")
            if found != value:
                wrong.append(f"{key} is {found}, and {value} was acknowledged last")
    written = set().union(*(writer.written for writer in writers))
    replaced = set().union(*(writer.replaced for writer in writers))
    for key, item in final.items():
        value = item["v"]["S"]
        if value not in written:
            wrong.append(f"{key} has {value}, which nobody wrote")
        if value in replaced:
            wrong.append(f"{key} has {value}, which had been replaced")
    return wrong[:10]


def main(arguments: list[str]) -> int:
    """Run it; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.regions.acceptance", description=__doc__)
    parser.add_argument("--cut", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--nodes", type=int, default=3, choices=(1, 3), help="nodes of each region")
    parser.add_argument("--port", type=int, default=None)
    given = parser.parse_args(arguments)
    began = time.monotonic()

    def say(sentence: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {sentence}", flush=True)

    with tempfile.TemporaryDirectory(prefix="hashrange-acceptance-") as directory:
        regions = LocalRegions(
            Path(directory) / "regions", NAMES[:2], nodes=given.nodes, azs=given.nodes, port=given.port
        )
        with regions:
            say(f"regions are up: {', '.join(regions.endpoint(name) for name in regions.names)}")
            wrong = run(regions, given.cut, say)
    for complaint in wrong:
        print(f"  ! {complaint}")
    print("WRONG" if wrong else "ok", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
