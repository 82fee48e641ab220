"""One run: a server or a cluster with pools, a deployed function, changes under faults, and the comparison."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.cluster.local_cluster import HASHRANGE, LocalCluster
from tests.cluster.triggers.embedded import EmbeddedWithPool
from tests.cluster.triggers.load import SOURCE, Changes

HANDLER = Path(__file__).with_name("handler.py")
DERIVED = "Derived"
RUNS = "Runs"
SETTLE_S = 120.0
POOL_DOWN_S = 1.0
NODE_DOWN_S = 3.0
LATE_S = 3.0
"""What a replaced invocation still does comes within this time."""


@dataclass
class Options:
    """How a run is done. `program` replaces `hashrange`; `keep` leaves the directory of a failed run in place."""

    changes: int = 20_000
    rate: float = 500.0
    """Changes a second at most."""
    cluster: bool = True
    pool_kills: int = 2
    node_kill: bool = True
    split: bool = True
    pools: int = 2
    seed: int = 1
    batch_size: int = 100
    parallelization: int = 1
    program: tuple[str, ...] = HASHRANGE
    settle_s: float = SETTLE_S
    keep: bool = True
    say: Callable[[str], None] = print


@dataclass
class Verdict:
    """What a run came to; everything held if `wrong` is empty."""

    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: int = 0
    unknown: int = 0
    items: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    runs: int = 0
    """Invocations that ended."""
    behind_s: float = 0.0
    """From the last change until the copy was equal."""

    def text(self) -> str:
        """Several lines for people."""
        lines = [f"  {note}" for note in self.notes]
        lines += [f"WRONG: {complaint}" for complaint in self.wrong]
        told = "different" if self.wrong else f"equal {self.behind_s:.1f} s after the last change"
        lines.append(
            f"{self.changes} changes in {self.seconds:.0f} s ({self.unknown} requests unknown), {self.items} items "
            f"left, {self.runs} invocations; {', '.join(self.faults) or 'no faults'}: the copy is {told}"
        )
        return "\n".join(lines)


def run(options: Options) -> Verdict:
    """Run it on a server or cluster of its own."""
    verdict = Verdict()
    directory = Path(tempfile.mkdtemp(prefix="hashrange-triggers-"))
    began = time.monotonic()

    def say(sentence: str) -> None:
        options.say(f"[{time.monotonic() - began:6.1f} s] {sentence}")

    site: LocalCluster | EmbeddedWithPool
    if options.cluster:
        site = LocalCluster(
            directory / "cluster",
            program=options.program,
            options=("--triggers", str(options.pools)),
            say=say,
        )
    else:
        site = EmbeddedWithPool(directory / "server", options.program)
    try:
        site.start()
        _play(site, options, verdict, say)
    except Exception as error:
        verdict.wrong.append(f"the run broke off: {error}\n{traceback.format_exc()}")
    finally:
        site.stop()
    if verdict.wrong and options.keep:
        verdict.notes.append(f"everything is kept in {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return verdict


def client_of(endpoint: str, service: str = "dynamodb") -> Any:
    """A boto3 client."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="hashrange",
        aws_secret_access_key="hashrange",
    )


def deploy(endpoint: str, options: Options) -> str:
    """Deploy the function on the command line; what that printed."""
    command = [*options.program, "functions", "deploy", str(HANDLER), "--name", "copy", "--table", SOURCE]
    command += ["--handler", "handler.handle", "--endpoint-url", endpoint, "--timeout", "30"]
    command += ["--batch-size", str(options.batch_size), "--start", "TRIM_HORIZON"]
    command += ["--parallel", str(options.parallelization)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"the function could not be deployed: {done.stdout}{done.stderr}")
    return done.stdout


def _play(
    site: LocalCluster | EmbeddedWithPool, options: Options, verdict: Verdict, say: Callable[[str], None]
) -> None:
    dynamodb = client_of(site.endpoint)
    for name in (SOURCE, DERIVED, RUNS):
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            **({"StreamSpecification": stream} if name == SOURCE else {}),
        )
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    deploy(site.endpoint, options)
    say(f"the function is deployed at {site.endpoint}")
    load = Changes(site.endpoint, options.seed, options.changes, options.rate)
    began = time.monotonic()
    load.start()
    faults = _faults(site, options, say)
    for number, (name, fault) in enumerate(faults, start=1):
        due = options.changes * number // (len(faults) + 1)
        while load.acknowledged < due and not load.over:
            time.sleep(0.05)
        say(f"{name} after {load.acknowledged} changes")
        fault()
        verdict.faults.append(name)
    while not load.over:
        time.sleep(0.05)
    verdict.seconds = time.monotonic() - began
    verdict.changes, verdict.unknown = load.acknowledged, load.unknown
    if load.failed is not None:
        verdict.wrong.append(f"the load failed: {load.failed!r}")
    say(f"{load.acknowledged} changes made; waiting for the copy")
    _compare(dynamodb, options, verdict)
    if isinstance(site, LocalCluster):
        verdict.wrong.extend(site.crashes())


def _faults(
    site: LocalCluster | EmbeddedWithPool, options: Options, say: Callable[[str], None]
) -> list[tuple[str, Callable[[], None]]]:
    found: list[tuple[str, Callable[[], None]]] = []
    if isinstance(site, EmbeddedWithPool):
        return [("server with its pool killed", site.kill_and_restart)] * options.pool_kills
    cluster = site

    def kill_pool(name: str) -> Callable[[], None]:
        def killing() -> None:
            cluster.kill(name)
            time.sleep(POOL_DOWN_S)
            cluster.restart(name)

        return killing

    def kill_node() -> None:
        name = f"node-{cluster.leader_of(cluster.partitions(SOURCE)[0]['id'])}"
        cluster.kill(name)
        time.sleep(NODE_DOWN_S)
        cluster.restart(name)

    def split() -> None:
        partition = cluster.partitions(SOURCE)[0]
        low, high = partition["hash_range"]
        cluster.insist("split", partition=partition["id"], at=(low + high + 1) // 2)

    for number in range(options.pool_kills):
        found.append(
            (f"pool {number % options.pools + 1} killed", kill_pool(f"triggers-{number % options.pools + 1}"))
        )
    if options.split:
        found.insert(1, ("split", split))
    if options.node_kill:
        found.insert(2, ("node killed", kill_node))
    return found


def contents(dynamodb: Any, table: str) -> dict[str, Any]:
    """All items of a table by their keys."""
    found: dict[str, Any] = {}
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        found.update({item["pk"]["S"]: item for item in page["Items"]})
    return found


def _compare(dynamodb: Any, options: Options, verdict: Verdict) -> None:
    began = time.monotonic()
    source = contents(dynamodb, SOURCE)
    verdict.items = len(source)
    while True:
        derived = contents(dynamodb, DERIVED)
        if derived == source:
            verdict.behind_s = time.monotonic() - began
            break
        if time.monotonic() - began > options.settle_s:
            missing = sorted(source.keys() - derived.keys())
            more = sorted(derived.keys() - source.keys())
            other = sorted(key for key in source.keys() & derived.keys() if source[key] != derived[key])
            samples = [(source[key], derived[key]) for key in other[:2]]
            verdict.wrong.append(
                f"after {options.settle_s:.0f} s the copy lacks {len(missing)} items {missing[:3]}, "
                f"has {len(more)} too many {more[:3]}, and {len(other)} are different {samples}"
            )
            return
        time.sleep(0.2)
    runs = contents(dynamodb, RUNS)
    verdict.runs = len(runs)
    verdict.wrong += overlaps(list(runs.values()))
    time.sleep(LATE_S)  # nothing late may change it any more
    if contents(dynamodb, DERIVED) != source:
        verdict.wrong.append("the copy was equal, and was changed again afterwards")


def overlaps(runs: list[dict[str, Any]]) -> list[str]:
    """Invocations that worked on one item at the same time."""
    found = []
    ends: dict[str, float] = {}
    for run in sorted(runs, key=lambda each: float(each["began"]["N"])):
        began, ended = float(run["began"]["N"]), float(run["ended"]["N"])
        both = [key for key in run["keys"]["SS"] if ends.get(key, 0.0) > began]
        if both:
            over = max(ends[key] for key in both) - began
            found.append(
                f"{len(both)} items were worked on twice at the same time, for {over * 1e3:.0f} ms: {both[:3]}"
            )
        for key in run["keys"]["SS"]:
            ends[key] = max(ends.get(key, 0.0), ended)
    return found
