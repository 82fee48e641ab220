"""Asynchronous invocations on real processes: none is lost, whoever is killed in the midst of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.cluster.functions_support import until
from tests.cluster.local_cluster import HASHRANGE, LocalCluster
from tests.cluster.triggers.embedded import EmbeddedWithPool

pytestmark = pytest.mark.slow

EVENTS = 60
LARGE = "x" * 100_000
ROLE = "arn:aws:iam::000000000000:role/any"
TABLES = "arn:aws:dynamodb:us-east-1:000000000000:table/"

HANDLER = """
import time
import boto3

client = boto3.client("dynamodb")

def handler(event, context):
    time.sleep(0.3)
    key = {"pk": {"S": event["name"]}}
    one = {":one": {"N": "1"}}
    client.update_item(TableName="Runs", Key=key, UpdateExpression="ADD runs :one", ExpressionAttributeValues=one)
    if event["fails"]:
        raise ValueError(event["name"])
"""


class Site:
    """Tables, the function, and what has become of events."""

    def __init__(self, endpoint: str) -> None:
        common: dict[str, Any] = {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "hashrange",
            "aws_secret_access_key": "hashrange",
            "config": Config(read_timeout=30, retries={"total_max_attempts": 3}),
        }
        self.dynamodb = boto3.client("dynamodb", **common)
        self.functions = boto3.client("lambda", **common)

    def prepare(self) -> None:
        """The function `work`, whose outcomes go to the table Told."""
        for name in ("Runs", "Told"):
            self.dynamodb.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("app.py", HANDLER)
        self.functions.create_function(
            FunctionName="work",
            Runtime="python3.11",
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": package.getvalue()},
            Timeout=30,
        )
        told = {"Destination": TABLES + "Told"}
        self.functions.put_function_event_invoke_config(
            FunctionName="work",
            MaximumRetryAttempts=0,
            DestinationConfig={"OnSuccess": told, "OnFailure": told},
        )

    def put(self) -> set[str]:
        """Put events, some that are too large for one item's row, some that fail; returns their request ids."""
        ids = set()
        for number in range(EVENTS):
            event = {"name": f"e{number}", "fails": number % 5 == 0, "more": LARGE if number % 7 == 0 else ""}
            answer = self.functions.invoke(
                FunctionName="work", InvocationType="Event", Payload=json.dumps(event)
            )
            assert answer["StatusCode"] == 202
            ids.add(answer["ResponseMetadata"]["RequestId"])
        return ids

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All items of a table."""
        return [
            item
            for page in self.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
            for item in page["Items"]
        ]

    def check(self, ids: set[str]) -> None:
        """Wait until every event has been told of, and look at what was."""
        until("every outcome", lambda: len(self.rows("Told")) >= len(ids))
        told = self.rows("Told")
        assert {row["pk"]["S"] for row in told} == ids
        failed = [row for row in told if row["condition"]["S"] == "RetriesExhausted"]
        assert len(failed) == EVENTS // 5
        assert {row["pk"]["S"] for row in self.rows("Runs")} == {f"e{number}" for number in range(EVENTS)}


def run(endpoint: str, trouble: Callable[[], None]) -> None:
    site = Site(endpoint)
    site.prepare()
    ids = site.put()
    until("the first outcome", lambda: site.rows("Told"))
    assert len(site.rows("Told")) < EVENTS, "nothing is left to be lost"
    trouble()
    site.check(ids)


def test_events_outlive_the_server(tmp_path: Path) -> None:
    server = EmbeddedWithPool(tmp_path / "data", HASHRANGE)
    server.start()
    try:
        run(server.endpoint, server.kill_and_restart)
    finally:
        server.stop()


def test_events_outlive_the_pool_that_runs_them(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster", options=("--triggers", "2")) as cluster:
        until("two pools", lambda: cluster_pools(cluster) == 2)
        run(cluster.endpoint, lambda: cluster.kill("triggers-1"))
        assert cluster.crashes() == []


def cluster_pools(cluster: LocalCluster) -> int:
    """How many pools say that they are ready."""
    found = cluster.status()["processes"]
    return sum(process["role"] == "triggers" and process["state"] == "ready" for process in found)
