"""What is measured. Each scene returns figures; times are seconds since its load began.

    accuracy     three routers, five times as much wanted as there is, unevenly: what is admitted, by whom
    new_vendor   the same, and the leader of the control plane is killed meanwhile
    burst        a table of 5 WCU that rested for a minute: the burst, then the throttle
    on_demand    a table on demand that doubles once in a window, and one with a maximum of its own
    scaling      a provisioned table whose capacity auto scaling raises and lowers

Rates are scaled down by `--capacity-multiplier` where the real ones would be limited by this machine.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from hashrange.wire.cluster import CONTROL
from tests.bench.admission import load
from tests.bench.admission.load import Tally, Writer
from tests.bench.admission.servers import connect, embedded, say, throttling_cluster
from tests.cluster.local_cluster import LocalCluster


@dataclass
class Series:
    """One table over time: a point a second."""

    title: str
    admitted: list[int]
    wanted: list[float]
    limits: list[float] = field(default_factory=list)
    """What was provisioned, or allowed, in each second; empty when that is one number (`limit`)."""
    limit: float = 0.0


@dataclass
class Accuracy:
    """The overload of three routers: units a second and their shares."""

    units: int
    seconds: int
    per_router: dict[str, list[int]]
    wanted: dict[str, float]
    rest_s: int
    killed_s: float | None = None
    """When the vendor was killed."""

    @property
    def admitted(self) -> int:
        """Units admitted in the time that counts."""
        return sum(sum(rates[self.rest_s :]) for rates in self.per_router.values())

    @property
    def error(self) -> float:
        """How far that is from the provisioned rate, as a share of it."""
        return self.admitted / (self.units * (self.seconds - self.rest_s)) - 1

    def rows(self) -> Iterator[str]:
        """The table of the report."""
        measured = self.seconds - self.rest_s
        yield "| router | wanted /s | admitted /s | share |"
        yield "|---|---:|---:|---:|"
        for name, rates in self.per_router.items():
            admitted = sum(rates[self.rest_s :]) / measured
            yield f"| {name} | {self.wanted[name]:.0f} | {admitted:.1f} | {admitted / self.units:.1%} |"
        total = self.admitted / measured
        wanted = sum(self.wanted.values())
        yield f"| together | {wanted:.0f} | {total:.2f} | {self.admitted / measured / self.units:.1%} |"


def client(endpoint: str, service: str) -> Any:
    """A boto3 client without retries."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
        config=Config(retries={"total_max_attempts": 1}),
    )


FACTORS = {"router-1": 3.5, "router-2": 1.25, "router-3": 0.25}
"""What is wanted at each router, as a multiple of the whole table's rate."""


def accuracy(units: int = 100, seconds: int = 60, rest_s: int = 15) -> Accuracy:
    """Overload a provisioned table by three routers, of which one has most of the traffic."""
    with _three_routers() as cluster:
        cluster.create_table(load.table("bench", **load.provisioned(units)))
        say(f"accuracy: {units} WCU, three routers, {rest_s} + {seconds} s")
        # What was saved up while the table rested is spent in the first seconds, which do not count.
        return _overload(cluster, "bench", units, rest_s, seconds)


def new_vendor(units: int = 100, seconds: int = 60, rest_s: int = 15) -> Accuracy:
    """The same, and in the middle of the time that counts the vendor is killed, with its node."""
    with _three_routers() as cluster:
        vendor = cluster.leader_of(CONTROL)
        table = _table_led_elsewhere(cluster, vendor, units)
        say(f"new vendor: {units} WCU, three routers, {rest_s} + {seconds} s, node-{vendor} is killed")
        kill = threading.Timer(rest_s + seconds / 2, cluster.kill, [f"node-{vendor}"])
        kill.start()
        found = _overload(cluster, table, units, rest_s, seconds)
        found.killed_s = rest_s + seconds / 2
        return found


@contextmanager
def _three_routers() -> Iterator[LocalCluster]:
    with (
        tempfile.TemporaryDirectory() as directory,
        throttling_cluster(Path(directory) / "cluster", nodes=3, routers=3) as cluster,
    ):
        yield cluster


def _table_led_elsewhere(cluster: LocalCluster, node: int, units: int) -> str:
    """A table that the loss of a node does not hold up."""
    for number in range(20):
        name = f"bench-{number}"
        cluster.create_table(load.table(name, **load.provisioned(units)))
        if all(partition["leader"] != node for partition in cluster.partitions(name)):
            return name
    raise RuntimeError("one node leads everything")


def _overload(cluster: LocalCluster, table: str, units: int, rest_s: int, seconds: int) -> Accuracy:
    def writers_of(name: str) -> list[Writer]:
        pace = units * FACTORS[name] / 2
        return [Writer(cluster.endpoint, table, lambda second: pace, f"{name}-{place}") for place in (1, 2)]

    writers = {name: writers_of(name) for name in FACTORS}

    async def overload() -> None:
        await connect(cluster, writers)
        await load.run([each for several in writers.values() for each in several], rest_s + seconds)

    asyncio.run(overload())
    tallies = {name: load.together(several) for name, several in writers.items()}
    return Accuracy(
        units,
        rest_s + seconds,
        {name: tally.rates(rest_s + seconds) for name, tally in tallies.items()},
        {name: units * factor for name, factor in FACTORS.items()},
        rest_s,
    )


def burst(units: int = 5, idle_s: int = 60, wanted: int = 20, seconds: int = 60) -> Series:
    """Let a small table rest, then want more than it has."""
    with embedded() as endpoint:
        _create(endpoint, load.table("small", **load.provisioned(units)))
        say(f"burst: {units} WCU, {idle_s} s of rest, then {wanted} writes a second for {seconds} s")
        time.sleep(idle_s)
        tally = _write(endpoint, "small", lambda second: wanted, seconds)
    title = f"{units} WCU provisioned, after {idle_s} s of rest"
    return Series(title, tally.rates(seconds), [wanted] * seconds, limit=units)


def on_demand(window_s: int = 60, seconds: int = 180, multiplier: float = 0.01) -> tuple[Series, Series]:
    """Want more than a table on demand gives at first: it doubles after a window; another has a maximum."""
    wanted, maximum = 200, 1_000
    with tempfile.TemporaryDirectory() as directory:
        cluster = throttling_cluster(
            Path(directory) / "cluster",
            f"on_demand_window_s={window_s}",
            multiplier=multiplier,
            nodes=3,
            routers=1,
        )
        with cluster:
            growing = load.table("growing", BillingMode="PAY_PER_REQUEST")
            capped = load.table(
                "capped",
                BillingMode="PAY_PER_REQUEST",
                OnDemandThroughput={"MaxReadRequestUnits": maximum, "MaxWriteRequestUnits": maximum},
            )
            for table in (growing, capped):
                cluster.create_table(table)
                # A partition has a quarter of what a new table on demand starts with.
                cluster.split_empty(table["TableName"], 16 if table is growing else 2)
            say(f"on demand: {wanted} writes a second for {seconds} s, a window of {window_s} s")
            dynamodb = client(cluster.endpoint, "dynamodb")
            with _watch(lambda: _warm(dynamodb, "growing") * multiplier) as limits:
                tallies = asyncio.run(_write_both(cluster.endpoint, wanted, seconds))
    first = Series(
        f"on demand, a window of {window_s} s, capacity times {multiplier}",
        tallies[0].rates(seconds),
        [wanted] * seconds,
        limits=[*limits, *[limits[-1]] * seconds][:seconds],
    )
    second = Series(
        f"on demand with a maximum of {maximum} write units, capacity times {multiplier}",
        tallies[1].rates(seconds),
        [wanted / 4] * seconds,
        limit=maximum * multiplier,
    )
    return first, second


def scaling(speed: int = 60, seconds: int = 150) -> Series:
    """Want much for a while, then little: auto scaling follows."""
    high, low, until = 30.0, 1.0, seconds * 2 // 5
    with embedded("--scaling-speed", str(speed)) as endpoint:
        _create(endpoint, load.table("scaled", **load.provisioned(5)))
        _register(client(endpoint, "application-autoscaling"))
        say(f"auto scaling at {speed} times its speed: {high} writes a second for {until} s, then {low}")
        dynamodb = client(endpoint, "dynamodb")
        with _watch(lambda: _provisioned(dynamodb, "scaled")) as limits:
            tally = _write(endpoint, "scaled", lambda second: high if second < until else low, seconds)
    wanted = [high if second < until else low for second in range(seconds)]
    padded = [*limits, *[limits[-1]] * seconds][:seconds]
    return Series(
        f"auto scaling to 70 % between 5 and 60 WCU, {speed} times as fast",
        tally.rates(seconds),
        wanted,
        limits=padded,
    )


def _register(autoscaling: Any) -> None:
    target = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/scaled",
        "ScalableDimension": "dynamodb:table:WriteCapacityUnits",
    }
    autoscaling.register_scalable_target(**target, MinCapacity=5, MaxCapacity=60)
    autoscaling.put_scaling_policy(
        **target,
        PolicyName="follow",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 70.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
            "ScaleInCooldown": 60,
            "ScaleOutCooldown": 60,
        },
    )


def _create(endpoint: str, request: dict[str, Any]) -> None:
    dynamodb = client(endpoint, "dynamodb")
    dynamodb.create_table(**request)
    dynamodb.get_waiter("table_exists").wait(TableName=request["TableName"], WaiterConfig={"Delay": 1})


def _write(endpoint: str, table: str, wanted: Callable[[float], float], seconds: int) -> Tally:
    writers = [Writer(endpoint, table, lambda second: wanted(second) / 2, f"writer-{n}") for n in (1, 2)]
    asyncio.run(load.run(writers, seconds))
    return load.together(writers)


async def _write_both(endpoint: str, wanted: float, seconds: int) -> list[Tally]:
    growing = [Writer(endpoint, "growing", lambda second: wanted / 4, f"writer-{n}") for n in range(4)]
    capped = [Writer(endpoint, "capped", lambda second: wanted / 4, "writer")]
    await load.run(growing + capped, seconds)
    return [load.together(growing), load.together(capped)]


def _warm(dynamodb: Any, table: str) -> float:
    described = dynamodb.describe_table(TableName=table)["Table"]
    return float(described["WarmThroughput"]["WriteUnitsPerSecond"])


def _provisioned(dynamodb: Any, table: str) -> float:
    described = dynamodb.describe_table(TableName=table)["Table"]
    return float(described["ProvisionedThroughput"]["WriteCapacityUnits"])


@contextmanager
def _watch(look: Callable[[], float]) -> Iterator[list[float]]:
    """Note a number every second, in a thread of its own."""
    seen = [look()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            seen.append(look())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(10)
