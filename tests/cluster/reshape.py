"""A table is split and moved under load while a paginated Scan reads it; then nodes join, serve, and leave again.

    python -m tests.cluster.reshape                # splits and moves, five of each
    python -m tests.cluster.reshape --grow         # 3 to 6 nodes while serving, and back to 3

A fixed set of keys is written before; writers go on updating them and adding others. A concurrent Scan must show
each of the fixed keys exactly once, however the partitions change under it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hashrange.cli.cluster.ask import AskError
from hashrange.cli.cluster.layout import LayoutError
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.steady import CREATE, TABLE, connect, item_of, missing_of

UPDATERS = 3
PAGE = 40
COMMAND_TIMEOUT_S = 90.0


class Traffic:
    """Writers that update the fixed keys and add new ones, and a reader that scans again and again."""

    def __init__(self, endpoint: str, fixed: list[str], seed: int) -> None:
        self.acknowledged: set[str] = set()
        self.errors: list[str] = []
        self.scans = 0
        self.scan_errors: list[str] = []
        self.wrong: list[str] = []
        self._endpoint = endpoint
        self._fixed = fixed
        self._seed = seed
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._update, args=(n,), daemon=True) for n in range(UPDATERS)
        ]
        self._threads.append(threading.Thread(target=self._scan, daemon=True))

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _update(self, number: int) -> None:
        client = connect(self._endpoint)
        rng = random.Random(self._seed + number)
        count = 0
        while not self._stop.is_set():
            new = rng.random() < 0.3
            count += new
            key = f"new{number}-{count}" if new else rng.choice(self._fixed)
            try:
                client.put_item(TableName=TABLE, Item=item_of(key))
                if new:
                    self.acknowledged.add(key)
            except (ClientError, BotoCoreError) as error:
                self.errors.append(str(error))
            self._stop.wait(0.01)
        client.close()

    def _scan(self) -> None:
        client = connect(self._endpoint)
        fixed = set(self._fixed)
        while not self._stop.is_set():
            seen: Counter[str] = Counter()
            request: dict[str, Any] = {"TableName": TABLE, "ConsistentRead": True, "Limit": PAGE}
            try:
                while True:
                    page = client.scan(**request)
                    seen.update(item["pk"]["S"] for item in page["Items"])
                    if "LastEvaluatedKey" not in page:
                        break
                    request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
                    time.sleep(0.02)
            except (ClientError, BotoCoreError) as error:
                self.scan_errors.append(str(error))
                continue
            self.scans += 1
            missing = fixed - set(seen)
            twice = [key for key, times in seen.items() if times > 1]
            if missing or twice:
                self.wrong.append(
                    f"scan {self.scans}: {len(missing)} keys missing ({sorted(missing)[:3]}), "
                    f"{len(twice)} shown more than once ({twice[:3]})"
                )
        client.close()


@dataclass
class Report:
    """What a run came to."""

    steps: list[str] = field(default_factory=list)
    scans: int = 0
    wrong: list[str] = field(default_factory=list)
    errors: int = 0
    partitions: int = 0


def fill(endpoint: str, count: int) -> list[str]:
    """Write the fixed keys."""
    client = connect(endpoint)
    keys = [f"fixed{number}" for number in range(count)]
    for start in range(0, count, 25):
        requests = [{"PutRequest": {"Item": item_of(key)}} for key in keys[start : start + 25]]
        pending: dict[str, Any] = {TABLE: requests}
        while pending:
            pending = client.batch_write_item(RequestItems=pending).get("UnprocessedItems") or {}
    client.close()
    return keys


def split_one(cluster: LocalCluster) -> str:
    """Split the partition with the widest range; returns when its halves serve."""
    before = cluster.partitions(TABLE)
    widest = max(before, key=lambda each: each["hash_range"][1] - each["hash_range"][0])
    cluster.insist("split", partition=widest["id"])

    def halved() -> bool:
        now = cluster.partitions(TABLE)
        return len(now) == len(before) + 1 and all(each["leader"] for each in now)

    cluster.wait(f"the halves of partition {widest['id']}", halved, COMMAND_TIMEOUT_S)
    return f"split partition {widest['id']}"


def nodes_of(partition: dict[str, Any]) -> set[int]:
    """The nodes that have a replica of a partition."""
    return {
        replica["node"] if isinstance(replica, dict) else replica for replica in partition["replicas"] or ()
    }


def move_one(cluster: LocalCluster, rng: random.Random) -> str:
    """Move one replica to another node of its zone; returns when it is there and the old one is gone."""
    # The balancer moves replicas too: what it is at work on is refused, and another choice is made.
    deadline = time.monotonic() + COMMAND_TIMEOUT_S
    while True:
        choices = [
            (each["id"], source, target)
            for each in cluster.partitions(TABLE)
            for source in nodes_of(each)
            for target in cluster.nodes()
            if target not in nodes_of(each) and cluster.zone_of(target) == cluster.zone_of(source)
        ]
        partition, source, target = rng.choice(choices)
        try:
            cluster.command("move", **{"partition": partition, "from": source, "to": target})
            break
        except (AskError, LayoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)

    def moved() -> bool:
        holding = next((nodes_of(p) for p in cluster.partitions(TABLE) if p["id"] == partition), set())
        return target in holding and source not in holding and len(holding) == 3

    cluster.wait(f"the move of partition {partition}", moved, COMMAND_TIMEOUT_S)
    return f"moved partition {partition} from node-{source} to node-{target}"


def finish(cluster: LocalCluster, traffic: Traffic, fixed: list[str], report: Report) -> None:
    """Everything that was acknowledged must be there."""
    report.scans, report.errors = traffic.scans, len(traffic.errors) + len(traffic.scan_errors)
    report.wrong += traffic.wrong
    missing = missing_of(cluster.endpoint, traffic.acknowledged | set(fixed))
    report.wrong += [f"{key} is lost" for key in missing[:20]]
    report.wrong += cluster.crashes()
    report.partitions = len(cluster.partitions(TABLE))
    if not report.scans:
        report.wrong.append("no Scan came to its end")
    for error in [*traffic.errors, *traffic.scan_errors][:3]:
        report.steps.append(f"an error that clients saw: {error}")


def split_and_move(
    directory: Path, *, times: int, keys: int, seed: int, say: Callable[[str], None]
) -> Report:
    """Split and move `times` times each, under load."""
    report = Report()
    rng = random.Random(seed)
    with LocalCluster(directory, nodes=6, say=say) as cluster:
        cluster.create_table(CREATE)
        fixed = fill(cluster.endpoint, keys)
        with Traffic(cluster.endpoint, fixed, seed) as traffic:
            for number in range(times):
                for step in (split_one, lambda cluster: move_one(cluster, rng)):
                    began = time.monotonic()
                    told = f"{step(cluster)} in {time.monotonic() - began:.1f} s"
                    report.steps.append(told)
                    say(f"{number + 1}: {told}")
        finish(cluster, traffic, fixed, report)
    return report


def grow_and_shrink(
    directory: Path, *, added: int, keys: int, seed: int, say: Callable[[str], None]
) -> Report:
    """Add nodes while serving, spread the table over them, then take them out again."""
    report = Report()
    with LocalCluster(directory, nodes=3, say=say) as cluster:
        cluster.create_table(CREATE)
        fixed = fill(cluster.endpoint, keys)
        with Traffic(cluster.endpoint, fixed, seed) as traffic:
            for _ in range(3):
                split_one(cluster)
            new = []
            for _ in range(added):
                began = time.monotonic()
                new.append(cluster.add_node())
                report.steps.append(f"node-{new[-1]} joined in {time.monotonic() - began:.1f} s")
                say(report.steps[-1])
            began = time.monotonic()
            try:
                cluster.command("balance")
            except (AskError, LayoutError) as error:
                report.steps.append(f"balance: {error}")

            def used() -> bool:
                holding = set().union(*(nodes_of(each) for each in cluster.partitions(TABLE)))
                return set(new) <= holding

            cluster.wait("replicas on every new node", used, COMMAND_TIMEOUT_S)
            report.steps.append(f"every new node has replicas after {time.monotonic() - began:.1f} s")
            say(report.steps[-1])
            for node in new:
                began = time.monotonic()
                cluster.decommission(node)
                report.steps.append(f"node-{node} left in {time.monotonic() - began:.1f} s")
                say(report.steps[-1])
        if len(cluster.nodes()) != 3:
            report.wrong.append(f"there are {len(cluster.nodes())} nodes, not 3")
        finish(cluster, traffic, fixed, report)
    return report


def main(arguments: list[str]) -> int:
    """Run it and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.reshape", description=__doc__)
    parser.add_argument(
        "--grow", action="store_true", help="3 to 6 nodes and back, instead of splits and moves"
    )
    parser.add_argument("--times", type=int, default=5, help="how many splits and how many moves")
    parser.add_argument("--keys", type=int, default=1000, help="size of the fixed set of keys")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)

    def say(sentence: str) -> None:
        print(sentence, flush=True)

    with tempfile.TemporaryDirectory(prefix="hashrange-reshape-") as directory:
        place = Path(directory) / "cluster"
        if given.grow:
            report = grow_and_shrink(place, added=3, keys=given.keys, seed=given.seed, say=say)
        else:
            report = split_and_move(place, times=given.times, keys=given.keys, seed=given.seed, say=say)
    say(f"{report.scans} whole scans, {report.errors} errors seen by clients, {report.partitions} partitions")
    for complaint in report.wrong:
        say(f"WRONG: {complaint}")
    say("every key exactly once, nothing lost" if not report.wrong else "not as it must be")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
