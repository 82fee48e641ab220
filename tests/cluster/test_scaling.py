"""Auto scaling in a cluster: what two routers admit together is scaled for, and it goes on under another leader."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hashrange.wire.cluster import CONTROL
from tests.cluster.local_cluster import LocalCluster
from tests.conformance.conftest import make_client

DEADLINE_S = 90.0
TARGET = {
    "ServiceNamespace": "dynamodb",
    "ResourceId": "table/scaled",
    "ScalableDimension": "dynamodb:table:WriteCapacityUnits",
}
ITEM = {"k": {"S": "a"}, "v": {"S": "x" * 2000}}


def until(check: Callable[[], Any]) -> None:
    """Wait until a condition holds; fail after a long time."""
    deadline = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.2)


@contextmanager
def load(request: Callable[[], Any]) -> Iterator[None]:
    """Requests one after another, until it is over. One that fails while a node is lost is not repeated."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.01):
            try:
                request()
            except Exception:  # the test looks at the capacity alone
                over.wait(0.1)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_a_cluster_scales_and_goes_on_under_another_leader(tmp_path: Path) -> None:
    settings = ("scaling_speed=60", "durability=os")
    with LocalCluster(tmp_path / "c", routers=2, settings=settings) as cluster:
        endpoint = f"http://127.0.0.1:{cluster.base_port}"
        dynamodb = make_client(endpoint, connect_timeout=5, read_timeout=15)
        scaling = make_client(endpoint, "application-autoscaling", connect_timeout=5, read_timeout=15)
        dynamodb.create_table(
            TableName="scaled",
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
        )
        scaling.register_scalable_target(**TARGET, MinCapacity=5, MaxCapacity=20)
        scaling.put_scaling_policy(
            **TARGET,
            PolicyName="p",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 50.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
            },
        )

        def units() -> int:
            try:
                found = dynamodb.describe_table(TableName="scaled")["Table"]["ProvisionedThroughput"]
            except Exception:  # while the leader is lost
                return 0
            return int(found["WriteCapacityUnits"])

        with load(lambda: dynamodb.put_item(TableName="scaled", Item=ITEM)):
            until(lambda: units() == 20)
            cluster.kill(f"node-{cluster.leader_of(CONTROL)}")
            until(lambda: units() == 20)
            scaling.register_scalable_target(**TARGET, MaxCapacity=30)
            until(lambda: units() == 30)
        until(lambda: units() == 5)
        activities = scaling.describe_scaling_activities(ServiceNamespace="dynamodb")["ScalingActivities"]
        assert {activity["StatusCode"] for activity in activities} == {"Successful"}
        assert activities[0]["Description"] == "Setting write capacity units to 5."
        dynamodb.close()
        scaling.close()
