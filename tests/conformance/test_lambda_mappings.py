"""Event source mappings as boto3 sees them: every setting, its range, and what they are shown as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hashrange_router.triggers.contracts import MAPPING, STATUS_ROW, TRIGGER_TABLE

from tests.conformance.lambda_support import LambdaServer, function, lambda_server
from tests.conformance.support import Containing, error, unique

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
INVALID = "InvalidParameterValueException"
NOT_FOUND = "ResourceNotFoundException"
CONFLICT = "ResourceConflictException"
VALIDATION = "ValidationException"


@pytest.fixture(scope="module")
def server() -> Iterator[LambdaServer]:
    with lambda_server() as running:
        yield running


@pytest.fixture
def aws(server: LambdaServer) -> Any:
    return server.client


@pytest.fixture
def name(aws: Any) -> str:
    """A function with one version."""
    made = unique("f")
    aws.create_function(**function(made, Publish=True))
    return made


@pytest.fixture
def stream(server: LambdaServer) -> str:
    """The ARN of a table's stream."""
    return server.stream(unique("t"))


def tell(server: LambdaServer, uuid: str, revision: int, result: str) -> None:
    """Write what a pool writes about a mapping."""
    item = {
        "pk": {"S": f"mapping#{uuid}"},
        "sk": {"S": STATUS_ROW},
        "revision": {"N": str(revision)},
        "result": {"S": result},
    }
    server.running.run(server.local.call("PutItem", {"TableName": TRIGGER_TABLE, "Item": item}))


def test_a_new_mapping_has_the_defaults_of_the_service(
    server: LambdaServer, aws: Any, name: str, stream: str
) -> None:
    made = aws.create_event_source_mapping(
        EventSourceArn=stream, FunctionName=name, StartingPosition="TRIM_HORIZON"
    )
    assert made.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    uuid = made["UUID"]
    expected = {
        "UUID": uuid,
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}",
        "EventSourceArn": stream,
        "FunctionArn": ARN + name,
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": -1,
        "BisectBatchOnFunctionError": False,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "DestinationConfig": {"OnFailure": {}},
        "State": "Creating",
        "StateTransitionReason": "User action",
        "LastProcessingResult": "No records processed",
        "LastModified": made["LastModified"],
    }
    assert made == expected
    tell(server, uuid, 1, "OK")
    shown = aws.get_event_source_mapping(UUID=uuid)
    assert (shown["State"], shown["LastProcessingResult"]) == ("Enabled", "OK")
    stored = server.running.on_loop(lambda embedded: embedded.context.controls.get(MAPPING, uuid))
    document = stored["document"]
    assert (document["State"], document["FunctionName"], document["Revision"]) == ("Enabled", name, 1)


def test_every_setting(aws: Any, name: str, stream: str) -> None:
    given = {
        "BatchSize": 10_000,
        "MaximumBatchingWindowInSeconds": 300,
        "ParallelizationFactor": 10,
        "MaximumRetryAttempts": 10_000,
        "MaximumRecordAgeInSeconds": 604_800,
        "BisectBatchOnFunctionError": True,
        "TumblingWindowInSeconds": 900,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
        "DestinationConfig": {"OnFailure": {"Destination": "http://localhost:1/hook"}},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }
    made = aws.create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName=f"{name}:1",
        StartingPosition="LATEST",
        Enabled=False,
        Tags={"a": "1"},
        **given,
    )
    assert {key: made[key] for key in given} == given
    assert made["FunctionArn"] == f"{ARN}{name}:1"
    arn = made["EventSourceMappingArn"]
    assert aws.list_tags(Resource=arn)["Tags"] == {"a": "1"}
    aws.tag_resource(Resource=arn, Tags={"b": "2"})
    aws.untag_resource(Resource=arn, TagKeys=["a"])
    assert aws.list_tags(Resource=arn)["Tags"] == {"b": "2"}


def test_from_enabled_to_disabled_and_back(server: LambdaServer, aws: Any, name: str, stream: str) -> None:
    uuid = aws.create_event_source_mapping(
        EventSourceArn=stream, FunctionName=name, StartingPosition="LATEST", Enabled=False
    )["UUID"]
    tell(server, uuid, 1, "No records processed")
    assert aws.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    answer = aws.update_event_source_mapping(UUID=uuid, Enabled=True)
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["State"]) == (202, "Enabling")
    tell(server, uuid, 2, "PROBLEM: Function call failed")
    shown = aws.get_event_source_mapping(UUID=uuid)
    assert (shown["State"], shown["LastProcessingResult"]) == ("Enabled", "PROBLEM: Function call failed")
    assert aws.update_event_source_mapping(UUID=uuid, BatchSize=7)["State"] == "Updating"
    assert aws.update_event_source_mapping(UUID=uuid, Enabled=False)["State"] == "Disabling"
    tell(server, uuid, 4, "OK")
    shown = aws.get_event_source_mapping(UUID=uuid)
    assert (shown["State"], shown["BatchSize"]) == ("Disabled", 7)
    answer = aws.delete_event_source_mapping(UUID=uuid)
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["State"]) == (202, "Deleting")
    assert aws.get_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    assert error(aws.update_event_source_mapping, UUID=uuid, BatchSize=1)[0] == "ResourceInUseException"
    assert error(aws.delete_event_source_mapping, UUID=uuid)[0] == CONFLICT


def test_a_mapping_that_no_pool_has_seen_is_deleted_at_once(aws: Any, name: str, stream: str) -> None:
    uuid = aws.create_event_source_mapping(
        EventSourceArn=stream, FunctionName=name, StartingPosition="LATEST"
    )["UUID"]
    assert aws.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    for call in (
        aws.get_event_source_mapping,
        aws.update_event_source_mapping,
        aws.delete_event_source_mapping,
    ):
        assert error(call, UUID=uuid)[0] == NOT_FOUND


def test_one_mapping_for_a_stream_and_a_function(aws: Any, name: str, stream: str) -> None:
    given = {"EventSourceArn": stream, "FunctionName": name, "StartingPosition": "LATEST"}
    first = aws.create_event_source_mapping(**given)
    assert error(aws.create_event_source_mapping, **given) == (CONFLICT, Containing(first["UUID"]))
    with pytest.raises(aws.exceptions.ResourceConflictException):
        aws.create_event_source_mapping(**given)
    second = aws.create_event_source_mapping(**{**given, "FunctionName": f"{name}:1"})
    refused = error(aws.update_event_source_mapping, UUID=second["UUID"], FunctionName=name)
    assert refused == (CONFLICT, Containing(first["UUID"]))


def test_changed_settings(aws: Any, name: str, stream: str) -> None:
    other = unique("f")
    aws.create_function(**function(other))
    inserts = {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]}
    uuid = aws.create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName=name,
        StartingPosition="LATEST",
        FilterCriteria=inserts,
        DestinationConfig={"OnFailure": {"Destination": ARN + other}},
    )["UUID"]
    changed = aws.update_event_source_mapping(
        UUID=uuid,
        FunctionName=other,
        MaximumRetryAttempts=0,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    assert (changed["FunctionArn"], changed["MaximumRetryAttempts"]) == (ARN + other, 0)
    assert changed["FilterCriteria"] == inserts
    changed = aws.update_event_source_mapping(
        UUID=uuid, FilterCriteria={}, DestinationConfig={"OnFailure": {}}, FunctionResponseTypes=[]
    )
    assert "FilterCriteria" not in changed
    assert (changed["DestinationConfig"], changed["FunctionResponseTypes"]) == ({"OnFailure": {}}, [])
    assert error(aws.update_event_source_mapping, UUID=uuid, FunctionName="none")[0] == NOT_FOUND
    assert error(aws.update_event_source_mapping, UUID=uuid, MaximumRecordAgeInSeconds=30)[0] == INVALID


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"BatchSize": 0}, (VALIDATION, Containing("batchSize"))),
        ({"BatchSize": 10_001}, (VALIDATION, Containing("10000"))),
        ({"MaximumBatchingWindowInSeconds": -1}, (VALIDATION, Containing("0"))),
        ({"MaximumBatchingWindowInSeconds": 301}, (VALIDATION, Containing("300"))),
        ({"ParallelizationFactor": 0}, (VALIDATION, Containing("1"))),
        ({"ParallelizationFactor": 11}, (VALIDATION, Containing("10"))),
        ({"MaximumRetryAttempts": -2}, (VALIDATION, Containing("-1"))),
        ({"MaximumRetryAttempts": 10_001}, (VALIDATION, Containing("10000"))),
        ({"MaximumRecordAgeInSeconds": -2}, (VALIDATION, Containing("-1"))),
        ({"MaximumRecordAgeInSeconds": 59}, (INVALID, Containing("60"))),
        ({"MaximumRecordAgeInSeconds": 604_801}, (VALIDATION, Containing("604800"))),
        ({"TumblingWindowInSeconds": 901}, (VALIDATION, Containing("900"))),
        ({"FunctionResponseTypes": ["All"]}, (VALIDATION, Containing("ReportBatchItemFailures"))),
        ({"StartingPosition": None}, (INVALID, Containing("startingPosition"))),
        ({"StartingPosition": "AT_TIMESTAMP"}, (INVALID, Containing("AT_TIMESTAMP"))),
        ({"StartingPosition": "NEVER"}, (VALIDATION, Containing("TRIM_HORIZON"))),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, (INVALID, Containing("filter"))),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"a": 1}'}]}}, (INVALID, Containing("filter"))),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}] * 11}}, (INVALID, Containing("10"))),
        ({"FilterCriteria": {"Filters": [{}]}}, (INVALID, Containing("Pattern"))),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": "http://a/b"}}},
            (INVALID, Containing("OnSuccess")),
        ),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}},
            (INVALID, Containing("sqs")),
        ),
        ({"DestinationConfig": {"OnFailure": {"Destination": "mail"}}}, (VALIDATION, Containing("mail"))),
        ({"Topics": ["topic"]}, (INVALID, Containing("Topics"))),
        ({"ScalingConfig": {"MaximumConcurrency": 2}}, (INVALID, Containing("ScalingConfig"))),
        ({"FunctionName": "none"}, (NOT_FOUND, Containing("none"))),
        ({"EventSourceArn": None}, (INVALID, Containing("EventSourceArn"))),
        ({"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q"}, (INVALID, Containing("streams"))),
        (
            {"EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"},
            (INVALID, Containing("streams")),
        ),
        (
            {
                "EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/none/stream/2024-01-01T00:00:00.000"
            },
            (INVALID, Containing("Stream not found")),
        ),
    ],
)
def test_settings_that_are_refused(
    aws: Any, name: str, stream: str, settings: dict[str, Any], refused: tuple[str, Any]
) -> None:
    request = {
        "EventSourceArn": stream,
        "FunctionName": name,
        "StartingPosition": "LATEST",
        **settings,
    }
    given = {key: value for key, value in request.items() if value is not None}
    assert error(aws.create_event_source_mapping, **given) == refused
    assert aws.list_event_source_mappings(FunctionName=name)["EventSourceMappings"] == []


def test_a_stream_that_is_off_is_no_event_source(server: LambdaServer, aws: Any, name: str) -> None:
    table = unique("t")
    stream = server.stream(table)
    server.tables.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    refused = error(
        aws.create_event_source_mapping, EventSourceArn=stream, FunctionName=name, StartingPosition="LATEST"
    )
    assert refused == (INVALID, f"Stream not found: {stream}")


def test_lists_by_function_and_by_stream(server: LambdaServer, aws: Any, name: str) -> None:
    streams = [server.stream(unique("t")) for _ in range(3)]
    made = {
        aws.create_event_source_mapping(EventSourceArn=stream, FunctionName=name, StartingPosition="LATEST")[
            "UUID"
        ]
        for stream in streams
    }
    pages = list(
        aws.get_paginator("list_event_source_mappings").paginate(
            FunctionName=name, PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["EventSourceMappings"]) for page in pages] == [2, 1]
    assert {one["UUID"] for page in pages for one in page["EventSourceMappings"]} == made
    by_stream = aws.list_event_source_mappings(EventSourceArn=streams[0])["EventSourceMappings"]
    assert [one["EventSourceArn"] for one in by_stream] == [streams[0]]
    both = aws.list_event_source_mappings(EventSourceArn=streams[0], FunctionName=f"{name}:1")
    assert both["EventSourceMappings"] == []


def test_a_server_that_speaks_for_a_region_of_its_own() -> None:
    with lambda_server(region="local") as server:
        aws = server.client
        arn = aws.create_function(**function("hello"))["FunctionArn"]
        assert arn == "arn:aws:lambda:local:000000000000:function:hello"
        assert aws.invoke(FunctionName=arn)["StatusCode"] == 200
        made = aws.create_event_source_mapping(
            EventSourceArn=server.stream("orders"),
            FunctionName=arn,
            StartingPosition="LATEST",
            DestinationConfig={"OnFailure": {"Destination": arn}},
        )
        assert made["FunctionArn"] == arn
        for tagged in (arn, made["EventSourceMappingArn"]):
            aws.tag_resource(Resource=tagged, Tags={"a": "1"})
            assert aws.list_tags(Resource=tagged)["Tags"] == {"a": "1"}
        other = "arn:aws:lambda:us-east-1:000000000000:function:hello"
        assert error(aws.invoke, FunctionName=other)[0] == NOT_FOUND
