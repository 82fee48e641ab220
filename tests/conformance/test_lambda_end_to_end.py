"""The Lambda API with a real pool behind it: what is set up through boto3 is what functions run with."""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import make_client
from tests.conformance.lambda_support import function, package
from tests.conformance.server import Server, running
from tests.conformance.support import error, unique

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
DEADLINE_S = 60.0

HANDLER = """
import os, time

def handler(event, context):
    if "raise" in event:
        raise ValueError(event["raise"])
    if "sleep" in event:
        time.sleep(event["sleep"])
    print("said", event)
    return {
        "event": event,
        "request": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "client": context.client_context.custom if context.client_context else None,
        "stage": os.environ.get("STAGE"),
    }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log: Path = tmp_path_factory.mktemp("pool") / "log"
    with running("--in-memory", "--triggers", log=log) as made:
        yield made


@pytest.fixture(scope="module")
def aws(server: Server) -> Iterator[Any]:
    client = make_client(server.endpoint, "lambda")
    yield client
    client.close()


@pytest.fixture(scope="module")
def tables(server: Server) -> Iterator[Any]:
    client = make_client(server.endpoint)
    yield client
    client.close()


def deploy(aws: Any, text: str = HANDLER, **more: Any) -> str:
    name = unique("f")
    aws.create_function(**function(name, Code={"ZipFile": package(text)}, **more))
    aws.get_waiter("function_active_v2").wait(FunctionName=name)
    return name


def call(aws: Any, name: str, event: Any = None, **more: Any) -> tuple[Any, Any]:
    """The answer of a function, and the reply that it came in."""
    answer = aws.invoke(FunctionName=name, Payload=json.dumps(event or {}).encode(), **more)
    return json.loads(answer["Payload"].read()), answer


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def make_table(tables: Any, stream: bool) -> tuple[str, str]:
    """A table, and the ARN of its stream or its own."""
    name = unique("t")
    specification = (
        {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"} if stream else {"StreamEnabled": False}
    )
    made = tables.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification=specification,
    )["TableDescription"]
    return name, made["LatestStreamArn"] if stream else made["TableArn"]


def test_what_a_function_is_told(aws: Any) -> None:
    name = deploy(aws, MemorySize=256, Environment={"Variables": {"STAGE": "dev"}}, Publish=True)
    aws.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    context = b64encode(b'{"custom": {"a": "1"}}').decode()
    said, answer = call(aws, f"{name}:live", {"a": [1]}, LogType="Tail", ClientContext=context)
    assert said == {
        "event": {"a": [1]},
        "request": answer["ResponseMetadata"]["RequestId"],
        "arn": f"{ARN}{name}:live",
        "version": "1",
        "memory": "256",
        "client": {"a": "1"},
        "stage": "dev",
    }
    assert answer["ExecutedVersion"] == "1"
    log = b64decode(answer["LogResult"]).decode()
    assert f"START RequestId: {said['request']} Version: 1" in log
    assert "said {'a': [1]}" in log
    assert f"END RequestId: {said['request']}" in log


def test_new_code_and_settings_are_in_force_at_once(aws: Any) -> None:
    name = deploy(aws)
    call(aws, name)
    aws.publish_version(FunctionName=name)
    aws.update_function_configuration(FunctionName=name, Environment={"Variables": {"STAGE": "two"}})
    assert call(aws, name)[0]["stage"] == "two"
    aws.update_function_code(FunctionName=name, ZipFile=package("def handler(event, context): return 3"))
    assert call(aws, name)[0] == 3
    assert call(aws, f"{name}:1")[0]["stage"] is None
    aws.delete_function(FunctionName=name)
    assert error(aws.invoke, FunctionName=name)[0] == "ResourceNotFoundException"


def test_errors_and_timeouts(aws: Any) -> None:
    name = deploy(aws, Timeout=1)
    document, answer = call(aws, name, {"raise": "no"})
    assert answer["FunctionError"] == "Unhandled"
    assert (document["errorType"], document["errorMessage"]) == ("ValueError", "no")
    document, answer = call(aws, name, {"sleep": 30})
    assert answer["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in document["errorMessage"]
    assert call(aws, name, {"again": 1})[0]["event"] == {"again": 1}
    broken = deploy(aws, "def handler(")
    document, answer = call(aws, broken)
    assert (answer["FunctionError"], document["errorType"]) == ("Unhandled", "Runtime.UserCodeSyntaxError")


def test_a_function_that_may_not_run(aws: Any) -> None:
    name = deploy(aws)
    aws.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(aws.exceptions.TooManyRequestsException) as refused:
        aws.invoke(FunctionName=name)
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    aws.delete_function_concurrency(FunctionName=name)
    assert call(aws, name)[0]["event"] == {}


def test_events_reach_their_destinations(aws: Any, tables: Any) -> None:
    name = deploy(aws)
    table, arn = make_table(tables, stream=False)
    aws.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": {"Destination": arn}, "OnFailure": {"Destination": arn}},
    )
    for event in ({"a": 1}, {"raise": "no"}):
        answer = aws.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode())
        assert answer["StatusCode"] == 202
    eventually(lambda: tables.scan(TableName=table, ConsistentRead=True)["Count"] == 2)
    texts = " ".join(map(str, tables.scan(TableName=table)["Items"]))
    assert "Success" in texts
    assert "RetriesExhausted" in texts


def test_a_mapping_from_its_making_to_its_end(aws: Any, tables: Any) -> None:
    name = deploy(aws)
    table, stream = make_table(tables, stream=True)
    uuid = aws.create_event_source_mapping(
        EventSourceArn=stream, FunctionName=name, StartingPosition="TRIM_HORIZON"
    )["UUID"]

    def shown(member: str) -> str:
        return str(aws.get_event_source_mapping(UUID=uuid)[member])

    eventually(lambda: shown("State") == "Enabled")
    assert shown("LastProcessingResult") == "No records processed"
    tables.put_item(TableName=table, Item={"id": {"S": "1"}})
    eventually(lambda: shown("LastProcessingResult") == "OK")
    aws.update_event_source_mapping(UUID=uuid, Enabled=False)
    eventually(lambda: shown("State") == "Disabled")
    aws.update_function_code(FunctionName=name, ZipFile=package("def handler(event, context): return 1 / 0"))
    aws.update_event_source_mapping(UUID=uuid, Enabled=True, MaximumRetryAttempts=0)
    eventually(lambda: shown("State") == "Enabled")
    tables.put_item(TableName=table, Item={"id": {"S": "2"}})
    eventually(lambda: shown("LastProcessingResult") == "PROBLEM: Function call failed")
    assert aws.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    eventually(lambda: aws.list_event_source_mappings(FunctionName=name)["EventSourceMappings"] == [])
