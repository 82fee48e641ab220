"""Auto scaling from end to end: load raises a table's capacity, silence lowers it, schedules set it, restarts keep it.

The servers here run with `--scaling-speed 60`: a minute of the scaler is a second.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import make_client
from tests.conformance.server import running
from tests.conformance.support import unique

READ = "dynamodb:table:ReadCapacityUnits"
WRITE = "dynamodb:table:WriteCapacityUnits"
SPEED = ("--scaling-speed", "60")
DEADLINE_S = 60.0


def until(check: Callable[[], Any]) -> None:
    """Wait until a condition holds; fail after a long time."""
    deadline = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.1)


class Site:
    """One server with its clients."""

    def __init__(self, endpoint: str) -> None:
        self.dynamodb = make_client(endpoint)
        self.scaling = make_client(endpoint, "application-autoscaling")

    def close(self) -> None:
        self.dynamodb.close()
        self.scaling.close()

    def create(self, read: int = 5, write: int = 5) -> str:
        name = unique("scaled")
        self.dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            ProvisionedThroughput={"ReadCapacityUnits": read, "WriteCapacityUnits": write},
        )
        return name

    def target(self, table: str, dimension: str, low: int, high: int, policy: bool = True) -> dict[str, str]:
        named = {
            "ServiceNamespace": "dynamodb",
            "ResourceId": f"table/{table}",
            "ScalableDimension": dimension,
        }
        self.scaling.register_scalable_target(**named, MinCapacity=low, MaxCapacity=high)
        metric = (
            "DynamoDBReadCapacityUtilization" if dimension == READ else "DynamoDBWriteCapacityUtilization"
        )
        if policy:
            self.scaling.put_scaling_policy(
                **named,
                PolicyName="p",
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": 50.0,
                    "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
                },
            )
        return named

    def units(self, table: str) -> tuple[int, int]:
        found = self.dynamodb.describe_table(TableName=table)["Table"]["ProvisionedThroughput"]
        return found["ReadCapacityUnits"], found["WriteCapacityUnits"]

    def activities(self, table: str) -> list[dict[str, Any]]:
        answer = self.scaling.describe_scaling_activities(
            ServiceNamespace="dynamodb", ResourceId=f"table/{table}"
        )
        return list(answer["ScalingActivities"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running("--in-memory", *SPEED, log=tmp_path_factory.mktemp("scaling") / "log") as server:
        made = Site(server.endpoint)
        yield made
        made.close()


class Load:
    """Requests one after another until it is over."""

    def __init__(self, request: Callable[[], Any]) -> None:
        self._request = request
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(0.005):
            self._request()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.slow
def test_load_raises_the_capacity_and_silence_lowers_it(site: Site) -> None:
    table = site.create()
    site.target(table, WRITE, 5, 60)
    item = {"k": {"S": "a"}, "v": {"S": "x" * 2000}}
    with Load(lambda: site.dynamodb.put_item(TableName=table, Item=item)):
        until(lambda: site.units(table)[1] == 60)
    assert site.units(table)[0] == 5
    until(lambda: site.units(table)[1] == 5)
    found = site.activities(table)
    assert {activity["StatusCode"] for activity in found} == {"Successful"}
    assert "AlarmLow" in found[0]["Cause"] and "AlarmHigh" in found[-1]["Cause"]
    assert found[-1]["Description"].startswith("Setting write capacity units to ")
    described = site.dynamodb.describe_table(TableName=table)["Table"]["ProvisionedThroughput"]
    assert described["NumberOfDecreasesToday"] >= 1
    assert described["LastDecreaseDateTime"] > described["LastIncreaseDateTime"]


def test_reads_are_scaled_by_themselves(site: Site) -> None:
    table = site.create()
    site.target(table, READ, 5, 20)
    key = {"k": {"S": "a"}}
    with Load(lambda: site.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)):
        until(lambda: site.units(table) == (20, 5))


def test_a_registration_brings_the_capacity_between_its_bounds(site: Site) -> None:
    table = site.create()
    site.target(table, READ, 12, 20, policy=False)
    until(lambda: site.units(table) == (12, 5))
    until(lambda: len(site.activities(table)) == 1)
    (activity,) = site.activities(table)
    assert activity["Cause"] == "minimum capacity was set to 12"
    assert activity["EndTime"] >= activity["StartTime"]


def test_a_scheduled_action_sets_the_capacity_at_its_time(site: Site) -> None:
    table = site.create()
    named = site.target(table, READ, 1, 10, policy=False)
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)
    site.scaling.put_scheduled_action(
        **named,
        ScheduledActionName="soon",
        Schedule=f"at({at:%Y-%m-%dT%H:%M:%S})",
        ScalableTargetAction={"MinCapacity": 30, "MaxCapacity": 40},
    )
    assert site.units(table) == (5, 5)
    until(lambda: site.units(table) == (30, 5))
    until(lambda: len(site.activities(table)) == 2)
    assert [activity["Cause"] for activity in site.activities(table)] == [
        "minimum capacity was set to 30",
        "scheduled action name soon was triggered",
    ]
    (target,) = site.scaling.describe_scalable_targets(
        ServiceNamespace="dynamodb", ResourceIds=[f"table/{table}"]
    )["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (30, 40)


def test_a_refused_decrease_is_a_failed_activity(site: Site) -> None:
    table = site.create(read=20)
    for high in (19, 18, 17, 16, 15):
        site.target(table, READ, 1, high, policy=False)
        until(lambda high=high: site.units(table)[0] == high or high == 15)
    until(lambda: site.activities(table)[0]["StatusCode"] == "Failed")
    failed = site.activities(table)[0]
    assert failed["Description"] == "Setting read capacity units to 15."
    assert "decreases are limited within a given UTC day" in failed["StatusMessage"]
    assert site.units(table)[0] == 16


@pytest.mark.slow
def test_a_restart_keeps_what_is_set_up_and_what_was_done(tmp_path: Path) -> None:
    options = ("--data-dir", str(tmp_path / "data"), "--durability", "os", *SPEED)
    with running(*options, log=tmp_path / "log") as server:
        site = Site(server.endpoint)
        table = site.create()
        named = site.target(table, WRITE, 8, 60)
        site.scaling.put_scheduled_action(
            **named,
            ScheduledActionName="later",
            Schedule="cron(0 0 1 1 ? 2099)",
            ScalableTargetAction={"MinCapacity": 2},
        )
        until(lambda: len(site.activities(table)) == 1)
        before = [_without_metadata(answer) for answer in _descriptions(site, named)]
        server.kill()
        site.close()
    with running(*options, log=tmp_path / "log") as server:
        site = Site(server.endpoint)
        assert [_without_metadata(answer) for answer in _descriptions(site, named)] == before
        item = {"k": {"S": "a"}, "v": {"S": "x" * 2000}}
        with Load(lambda: site.dynamodb.put_item(TableName=table, Item=item)):
            until(lambda: site.units(table)[1] == 60)
        site.close()


def _descriptions(site: Site, named: dict[str, str]) -> list[dict[str, Any]]:
    of_target = {"ServiceNamespace": "dynamodb", "ResourceId": named["ResourceId"]}
    return [
        site.scaling.describe_scalable_targets(
            ServiceNamespace="dynamodb", ResourceIds=[named["ResourceId"]]
        ),
        site.scaling.describe_scaling_policies(**of_target),
        site.scaling.describe_scheduled_actions(**of_target),
        site.scaling.describe_scaling_activities(**of_target),
    ]


def _without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
