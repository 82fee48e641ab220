"""A real server with its pool, boto3 and awslambdaric: what a function on a table goes through when things go wrong."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.cluster.local_cluster import HASHRANGE
from tests.cluster.triggers.embedded import EmbeddedWithPool

pytestmark = pytest.mark.slow

QUIET_S = 1.0
"""In which something would have come that must not come."""
ROLE = "arn:aws:iam::000000000000:role/any"

HANDLER = """
import json, os, time
import boto3

client = boto3.client("dynamodb")

def keep(event, context):
    '''Write every record down; fail on a poisoned one before anything of its batch is written.'''
    records = event["Records"]
    for record in records:
        if record["dynamodb"].get("NewImage", {}).get("poison"):
            raise ValueError("poison in a batch of %d" % len(records))
    for record in records:
        note(record)

def partial(event, context):
    '''Write records down up to a poisoned one, and report that.'''
    for record in event["Records"]:
        if record["dynamodb"].get("NewImage", {}).get("poison"):
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
        note(record)
    return {"batchItemFailures": []}

def note(record):
    change = record["dynamodb"]
    pk = change["Keys"]["pk"]["S"]
    image = change.get("NewImage") or change.get("OldImage")
    client.update_item(
        TableName=os.environ["NOTES"],
        Key={"pk": {"S": pk}},
        UpdateExpression="SET seen = list_append(if_not_exists(seen, :none), :one)",
        ExpressionAttributeValues={":none": {"L": []}, ":one": {"L": [image["n"]]}},
    )

def window(event, context):
    state = event.get("state") or {}
    state["sum"] = state.get("sum", 0) + sum(int(r["dynamodb"]["NewImage"]["n"]["N"]) for r in event["Records"])
    if event["isFinalInvokeForWindow"]:
        key = {"pk": {"S": event["window"]["start"]}}
        client.put_item(TableName=os.environ["NOTES"], Item={**key, "sum": {"N": str(state["sum"])}})
    return {"state": state}

def slow(event, context):
    print("before the nap")
    time.sleep(30)

def hog(event, context):
    held = []
    while True:
        held.append(bytearray(8 << 20))

def failed(event, context):
    '''A destination: writes down what it is told.'''
    info = event["DDBStreamBatchInfo"]
    client.put_item(
        TableName=os.environ["NOTES"],
        Item={"pk": {"S": "failed"}, "size": {"N": str(info["batchSize"])}, "why": {"S": json.dumps(event)}},
    )
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedWithPool]:
    server = EmbeddedWithPool(tmp_path_factory.mktemp("pool") / "data", HASHRANGE, ("--durability", "os"))
    server.start()
    yield server
    server.stop()


class Stage:
    """The clients of one test, and tables and functions named after it."""

    def __init__(self, site: EmbeddedWithPool, name: str) -> None:
        common: dict[str, Any] = {
            "endpoint_url": site.endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "hashrange",
            "aws_secret_access_key": "hashrange",
            "config": Config(read_timeout=60, retries={"total_max_attempts": 1}),
        }
        self.name = name
        self.dynamodb = boto3.client("dynamodb", **common)
        self.functions = boto3.client("lambda", **common)
        self.notes = f"{name}Notes"
        self._table(self.notes)

    def _table(self, name: str, **more: Any) -> None:
        self.dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            **more,
        )

    def source(self) -> str:
        """A table with a stream; the stream's ARN."""
        view = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        self._table(self.name, StreamSpecification=view)
        arn: str = self.dynamodb.describe_table(TableName=self.name)["Table"]["LatestStreamArn"]
        return arn

    def function(self, handler: str, name: str = "", **settings: Any) -> str:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("app.py", HANDLER)
        made = self.functions.create_function(
            FunctionName=name or f"{self.name}-{handler}",
            Runtime="python3.11",
            Role=ROLE,
            Handler=f"app.{handler}",
            Code={"ZipFile": data.getvalue()},
            Environment={"Variables": {"NOTES": self.notes}},
            **{"Timeout": 20, "MemorySize": 256, **settings},
        )
        arn: str = made["FunctionArn"]
        return arn

    def map(self, function: str, **settings: Any) -> str:
        made = self.functions.create_event_source_mapping(
            EventSourceArn=self.source(), FunctionName=function, StartingPosition="TRIM_HORIZON", **settings
        )
        identity: str = made["UUID"]
        return identity

    def put(self, pk: str, n: int, **more: Any) -> None:
        self.dynamodb.put_item(TableName=self.name, Item={"pk": {"S": pk}, "n": {"N": str(n)}, **more})

    def seen(self) -> dict[str, list[int]]:
        """What the handler has written down, by key."""
        items = self.dynamodb.scan(TableName=self.notes, ConsistentRead=True)["Items"]
        return {i["pk"]["S"]: [int(each["N"]) for each in i["seen"]["L"]] for i in items if "seen" in i}

    def note(self, pk: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.dynamodb.get_item(
            TableName=self.notes, Key={"pk": {"S": pk}}, ConsistentRead=True
        ).get("Item")
        return found


@pytest.fixture
def stage(site: EmbeddedWithPool, request: pytest.FixtureRequest) -> Stage:
    return Stage(site, request.node.name.removeprefix("test_").title().replace("_", "")[:30])


def until(condition: Callable[[], Any], timeout_s: float = 40.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("what was waited for did not come")


POISON = {"poison": {"BOOL": True}}


def test_poison_is_cut_out_told_and_the_rest_goes_on_in_order(stage: Stage) -> None:
    failed = stage.function("failed")
    stage.map(
        stage.function("keep"),
        BatchSize=10,
        MaximumBatchingWindowInSeconds=2,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": failed}},
    )
    for n in range(10):
        stage.put(f"k{n % 2}", n, **(POISON if n == 5 else {}))
    until(lambda: sum(len(each) for each in stage.seen().values()) == 9)
    assert stage.seen() == {"k0": [0, 2, 4, 6, 8], "k1": [1, 3, 7, 9]}
    told = until(lambda: stage.note("failed"))
    assert told["size"] == {"N": "1"}
    document = json.loads(told["why"]["S"])
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["responseContext"]["functionError"] == "Unhandled"
    info = document["DDBStreamBatchInfo"]
    assert info["startSequenceNumber"] == info["endSequenceNumber"]
    assert ":table/" in info["streamArn"] and info["shardId"].startswith("shardId-")


def test_reported_item_failures_are_tried_again_from_there(stage: Stage) -> None:
    stage.map(
        stage.function("partial"),
        BatchSize=10,
        MaximumBatchingWindowInSeconds=2,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=2,
    )
    for n in range(8):
        stage.put("k", n, **(POISON if n == 4 else {}))
    # What came before the poisoned one was not repeated; the rest of its batch went with it.
    until(lambda: stage.seen().get("k") == [0, 1, 2, 3])
    stage.put("later", 9)
    until(lambda: stage.seen().get("later") == [9])
    assert stage.seen()["k"] == [0, 1, 2, 3]


def test_filters_let_through_what_matches(stage: Stage) -> None:
    pattern = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"n": {"N": [{"numeric": [">", 5]}]}}}}
    stage.map(stage.function("keep"), FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    for n in range(10):
        stage.put(f"k{n}", n)
    stage.put("k9", 100)  # a MODIFY
    until(lambda: len(stage.seen()) == 4)
    time.sleep(QUIET_S)
    assert stage.seen() == {"k6": [6], "k7": [7], "k8": [8], "k9": [9]}


def test_windows_carry_their_state(stage: Stage) -> None:
    stage.map(stage.function("window"), BatchSize=2, TumblingWindowInSeconds=2)
    for n in range(1, 11):
        stage.put(f"k{n}", n)
        time.sleep(0.1)

    def sums() -> int:
        items = stage.dynamodb.scan(TableName=stage.notes, ConsistentRead=True)["Items"]
        return sum(int(item["sum"]["N"]) for item in items)

    until(lambda: sums() == 55)


def test_a_mapping_that_was_off_goes_on_where_it_was(stage: Stage) -> None:
    mapping = stage.map(stage.function("keep"))
    stage.put("k", 1)
    until(lambda: stage.seen().get("k") == [1])
    stage.functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    state = stage.functions.get_event_source_mapping
    until(lambda: state(UUID=mapping)["State"] == "Disabled")
    stage.put("k", 2)
    time.sleep(QUIET_S)
    assert stage.seen()["k"] == [1]
    stage.functions.update_event_source_mapping(UUID=mapping, Enabled=True)
    until(lambda: stage.seen().get("k") == [1, 2])
    until(lambda: state(UUID=mapping)["LastProcessingResult"] == "OK")


def test_a_timeout_is_reported_as_lambda_does(stage: Stage) -> None:
    stage.function("slow", Timeout=3)
    answer = stage.functions.invoke(FunctionName=f"{stage.name}-slow", LogType="Tail")
    body = json.loads(answer["Payload"].read())
    assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled"
    assert body["errorMessage"].endswith("Task timed out after 3.00 seconds")
    log = base64.b64decode(answer["LogResult"]).decode()
    assert (
        "before the nap" in log and "Task timed out after 3.00 seconds" in log and "REPORT RequestId" in log
    )


def test_a_memory_overrun_is_reported_as_lambda_does(stage: Stage) -> None:
    stage.function("hog", MemorySize=128)
    answer = stage.functions.invoke(FunctionName=f"{stage.name}-hog", LogType="Tail")
    body = json.loads(answer["Payload"].read())
    assert answer["FunctionError"] == "Unhandled"
    # Killed where the machine counts memory, refused more of it elsewhere.
    assert body["errorType"] in ("Runtime.ExitError", "Runtime.OutOfMemory", "MemoryError")
    if body["errorType"] != "MemoryError":
        assert "signal: killed" in body["errorMessage"]


def test_an_error_carries_type_message_and_trace(stage: Stage) -> None:
    stage.function("keep")
    event = {"Records": [{"dynamodb": {"NewImage": {"poison": {"BOOL": True}}}}]}
    answer = stage.functions.invoke(FunctionName=f"{stage.name}-keep", Payload=json.dumps(event))
    body = json.loads(answer["Payload"].read())
    assert answer["FunctionError"] == "Unhandled"
    assert (body["errorType"], body["errorMessage"]) == ("ValueError", "poison in a batch of 1")
    assert any("app.py" in line for line in body["stackTrace"])


def test_an_event_is_run_later(stage: Stage) -> None:
    stage.function("keep")
    record = {"dynamodb": {"Keys": {"pk": {"S": "event"}}, "NewImage": {"n": {"N": "7"}}}}
    answer = stage.functions.invoke(
        FunctionName=f"{stage.name}-keep",
        InvocationType="Event",
        Payload=json.dumps({"Records": [record]}),
    )
    assert answer["StatusCode"] == 202
    until(lambda: stage.seen().get("event") == [7])
