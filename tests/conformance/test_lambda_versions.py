"""Versions, aliases and everything that hangs on them, as boto3 sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hashrange_router.functions import aliases, operations, plans

from tests.conformance.lambda_support import LambdaServer, function, lambda_server, package
from tests.conformance.support import Containing, error, unique

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
INVALID = "InvalidParameterValueException"
NOT_FOUND = "ResourceNotFoundException"
CONFLICT = "ResourceConflictException"
STALE = "PreconditionFailedException"


@pytest.fixture(scope="module")
def server() -> Iterator[LambdaServer]:
    with lambda_server() as running:
        yield running


@pytest.fixture
def aws(server: LambdaServer) -> Any:
    return server.client


@pytest.fixture
def name(aws: Any) -> str:
    """A function with two versions."""
    made = unique("f")
    aws.create_function(**function(made, Publish=True))
    aws.update_function_configuration(FunctionName=made, Timeout=7)
    aws.publish_version(FunctionName=made)
    return made


def test_versions_are_numbered_and_stay_as_they_are(server: LambdaServer, aws: Any) -> None:
    name = unique("f")
    made = aws.create_function(**function(name, Description="first"))
    one = aws.publish_version(FunctionName=name, Description="one", RevisionId=made["RevisionId"])
    assert one["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (one["Version"], one["FunctionArn"], one["Description"]) == ("1", f"{ARN}{name}:1", "one")
    assert aws.publish_version(FunctionName=name)["Version"] == "1", "nothing has changed"
    aws.update_function_configuration(FunctionName=name, MemorySize=512)
    two = aws.publish_version(FunctionName=name)
    assert (two["Version"], two["MemorySize"]) == ("2", 512)
    assert aws.get_function(FunctionName=name, Qualifier="1")["Configuration"]["MemorySize"] == 128
    assert aws.publish_version(FunctionName=name)["Version"] == "2", "nothing has changed"
    aws.update_function_code(FunctionName=name, ZipFile=package("x = 1"), Publish=True)
    listed = aws.list_versions_by_function(FunctionName=name)["Versions"]
    assert [found["Version"] for found in listed] == ["$LATEST", "1", "2", "3"]
    assert listed[0]["FunctionArn"] == f"{ARN}{name}:$LATEST"
    paged = aws.get_paginator("list_versions_by_function").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["Versions"]) for page in paged] == [2, 2]
    first, third = (
        server.running.on_loop(lambda _, number=number: server.directory.resolve(name, number))
        for number in "13"
    )
    assert first.code != third.code
    assert first.arn == f"{ARN}{name}:1"


@pytest.mark.parametrize(
    "change", [{"Description": "new"}, {"TracingConfig": {"Mode": "Active"}}, {"DeadLetterConfig": True}]
)
def test_what_workers_do_not_see_makes_a_version_too(aws: Any, name: str, change: dict[str, Any]) -> None:
    if "DeadLetterConfig" in change:
        change = {"DeadLetterConfig": {"TargetArn": f"{ARN}{name}"}}
    before = aws.publish_version(FunctionName=name, Description="its own")
    assert aws.publish_version(FunctionName=name)["Version"] == before["Version"]
    aws.update_function_configuration(FunctionName=name, **change)
    after = aws.publish_version(FunctionName=name)
    assert int(after["Version"]) == int(before["Version"]) + 1
    (member,) = change
    assert after[member] == change[member]


def test_publishing_under_conditions(aws: Any, name: str) -> None:
    assert error(aws.publish_version, FunctionName=name, RevisionId="old")[0] == STALE
    refused = error(aws.publish_version, FunctionName=name, CodeSha256="b2xk")
    assert refused == (INVALID, Containing("CodeSHA256 (b2xk) is different"))


def test_deleting_versions(aws: Any, name: str) -> None:
    aws.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert error(aws.delete_function, FunctionName=name, Qualifier="1") == (CONFLICT, Containing("live"))
    assert error(aws.delete_function, FunctionName=name, Qualifier="$LATEST") == (
        INVALID,
        Containing("LATEST"),
    )
    assert error(aws.delete_function, FunctionName=name, Qualifier="9")[0] == NOT_FOUND
    assert error(aws.delete_function, FunctionName=name, Qualifier="live")[0] == INVALID
    aws.delete_function(FunctionName=name, Qualifier="2")
    assert error(aws.get_function, FunctionName=f"{name}:2") == (
        NOT_FOUND,
        f"Function not found: {ARN}{name}:2",
    )
    aws.update_function_configuration(FunctionName=name, Timeout=8)
    assert aws.publish_version(FunctionName=name)["Version"] == "3", "numbers are not used again"


def test_how_many_there_may_be(aws: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "VERSIONS_MAX", 2)
    monkeypatch.setattr(aliases, "ALIASES_MAX", 1)
    aws.update_function_configuration(FunctionName=name, Timeout=9)
    refused = error(aws.publish_version, FunctionName=name)
    assert refused == ("CodeStorageExceededException", Containing("at most 2 versions"))
    refused = error(aws.update_function_code, FunctionName=name, ZipFile=package("x = 2"), Publish=True)
    assert refused[0] == "CodeStorageExceededException"
    aws.create_alias(FunctionName=name, Name="one", FunctionVersion="1")
    refused = error(aws.create_alias, FunctionName=name, Name="two", FunctionVersion="1")
    assert refused[0] == "AliasLimitExceededException"


def test_the_packages_of_all_functions(aws: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "CODE_STORAGE_MAX", 1)
    refused = error(aws.create_function, **function(unique("f")))
    assert refused[0] == "CodeStorageExceededException"
    assert error(aws.update_function_code, FunctionName=name, ZipFile=package())[0] == refused[0]


def test_aliases(aws: Any, name: str) -> None:
    made = aws.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="d")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    del made["ResponseMetadata"]
    expected = {"AliasArn": f"{ARN}{name}:live", "Name": "live", "FunctionVersion": "1", "Description": "d"}
    assert made == {**expected, "RevisionId": made["RevisionId"]}
    shown = aws.get_alias(FunctionName=name, Name="live")
    assert shown["RevisionId"] == made["RevisionId"]
    refused = error(aws.create_alias, FunctionName=name, Name="live", FunctionVersion="1")
    assert refused == (CONFLICT, f"Alias already exists: {ARN}{name}:live")
    refused = error(aws.create_alias, FunctionName=name, Name="x", FunctionVersion="9")
    assert refused == (NOT_FOUND, f"Function not found: {ARN}{name}:9")
    refused = error(aws.create_alias, FunctionName=name, Name="12", FunctionVersion="1")
    assert refused[0] == "ValidationException"
    assert error(aws.get_alias, FunctionName=name, Name="none") == (
        NOT_FOUND,
        f"Cannot find alias arn: {ARN}{name}:none",
    )
    assert error(aws.update_alias, FunctionName=name, Name="none")[0] == NOT_FOUND
    assert error(aws.update_alias, FunctionName=name, Name="live", RevisionId="old")[0] == STALE
    changed = aws.update_alias(
        FunctionName=name, Name="live", FunctionVersion="2", RevisionId=made["RevisionId"]
    )
    assert (changed["FunctionVersion"], changed["Description"]) == ("2", "d")
    assert changed["RevisionId"] != made["RevisionId"]
    aws.create_alias(FunctionName=name, Name="beta", FunctionVersion="$LATEST")
    listed = aws.list_aliases(FunctionName=name)["Aliases"]
    assert [alias["Name"] for alias in listed] == ["beta", "live"]
    assert len(aws.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"]) == 1
    answer = aws.delete_alias(FunctionName=name, Name="live")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    aws.delete_alias(FunctionName=name, Name="live")
    assert error(aws.invoke, FunctionName=name, Qualifier="live")[0] == NOT_FOUND


def test_an_alias_with_weights_sends_a_share_to_another_version(
    server: LambdaServer, aws: Any, name: str
) -> None:
    def weights(**given: float) -> dict[str, Any]:
        return {"AdditionalVersionWeights": {number.strip("v"): share for number, share in given.items()}}

    made = aws.create_alias(
        FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=weights(v2=0.25)
    )
    assert made["RoutingConfig"] == weights(v2=0.25)
    server.draws[:] = [0.0, 0.24, 0.25, 0.99]
    ran = [aws.invoke(FunctionName=f"{name}:live")["ExecutedVersion"] for _ in range(4)]
    assert ran == ["2", "2", "1", "1"]
    for version, routing in (
        ("1", weights(v1=0.5)),
        ("$LATEST", weights(v1=0.5)),
        ("1", {"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}}),
    ):
        refused = error(
            aws.update_alias, FunctionName=name, Name="live", FunctionVersion=version, RoutingConfig=routing
        )
        assert refused[0] == INVALID
    for routing in (weights(v9=0.5), weights(v2=1.5)):
        refused = error(aws.update_alias, FunctionName=name, Name="live", RoutingConfig=routing)
        assert refused[0] in (NOT_FOUND, "ValidationException")
    changed = aws.update_alias(FunctionName=name, Name="live", RoutingConfig={})
    assert "RoutingConfig" not in changed


def test_reserved_concurrency(server: LambdaServer, aws: Any, name: str) -> None:
    assert "ReservedConcurrentExecutions" not in aws.get_function_concurrency(FunctionName=name)
    answer = aws.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    assert answer["ReservedConcurrentExecutions"] == 5
    assert aws.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 5
    assert aws.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    assert server.running.on_loop(lambda _: server.directory.resolve(name, "1")).reserved == 5
    refused = error(aws.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=901)
    assert refused == (INVALID, Containing("minimum value of [100]"))
    aws.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert server.running.on_loop(lambda _: server.directory.resolve(name)).reserved == 0
    answer = aws.delete_function_concurrency(FunctionName=name)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "ReservedConcurrentExecutions" not in aws.get_function_concurrency(FunctionName=name)


def test_tags(aws: Any, name: str) -> None:
    arn = ARN + name
    assert aws.list_tags(Resource=arn)["Tags"] == {}
    answer = aws.tag_resource(Resource=arn, Tags={"a": "1", "Größe": "ä b"})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    aws.tag_resource(Resource=arn, Tags={"a": "2"})
    assert aws.list_tags(Resource=arn)["Tags"] == {"a": "2", "Größe": "ä b"}
    aws.untag_resource(Resource=arn, TagKeys=["a", "none"])
    assert aws.get_function(FunctionName=name)["Tags"] == {"Größe": "ä b"}
    many = {f"k{number}": "" for number in range(50)}
    assert error(aws.tag_resource, Resource=arn, Tags=many) == (INVALID, Containing("50"))
    assert error(aws.tag_resource, Resource=arn, Tags={"AWS:x": ""})[0] == INVALID
    assert error(aws.tag_resource, Resource=f"{arn}:1", Tags={"a": "1"})[0] == INVALID
    assert error(aws.list_tags, Resource=ARN + "none")[0] == NOT_FOUND


def test_policies(aws: Any, name: str) -> None:
    assert error(aws.get_policy, FunctionName=name)[0] == NOT_FOUND
    given = {
        "FunctionName": name,
        "StatementId": "s3",
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::bucket",
        "SourceAccount": "000000000000",
    }
    answer = aws.add_permission(**given)
    statement = {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": ARN + name,
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "000000000000"},
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
        },
    }
    assert json.loads(answer["Statement"]) == statement
    assert error(aws.add_permission, **given) == (CONFLICT, Containing("statement id (s3)"))
    shown = aws.get_policy(FunctionName=name)
    assert json.loads(shown["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    aws.add_permission(
        FunctionName=name,
        StatementId="all",
        Action="lambda:*",
        Principal="123456789012",
        RevisionId=shown["RevisionId"],
    )
    stale = error(aws.remove_permission, FunctionName=name, StatementId="s3", RevisionId=shown["RevisionId"])
    assert stale[0] == STALE
    assert error(aws.remove_permission, FunctionName=name, StatementId="none")[0] == NOT_FOUND
    aws.remove_permission(FunctionName=name, StatementId="s3")
    aws.add_permission(**{**given, "Qualifier": "1", "Principal": "*"})
    at_one = json.loads(aws.get_policy(FunctionName=name, Qualifier="1")["Policy"])
    assert at_one["Statement"][0]["Resource"] == f"{ARN}{name}:1"
    aws.remove_permission(FunctionName=name, StatementId="all")
    assert error(aws.get_policy, FunctionName=name)[0] == NOT_FOUND
    assert error(aws.add_permission, **{**given, "Qualifier": "9"})[0] == NOT_FOUND
    long = {**given, "SourceArn": "arn:aws:s3:::" + "b" * 9000}
    for sid in ("a", "b"):
        aws.add_permission(**{**long, "StatementId": sid})
    assert error(aws.add_permission, **{**long, "StatementId": "c"})[0] == "PolicyLengthExceededException"


def test_what_becomes_of_asynchronous_invocations(server: LambdaServer, aws: Any, name: str) -> None:
    def in_force(qualifier: str | None = None) -> Any:
        return server.running.on_loop(lambda _: server.directory.event_invoke(name, qualifier))

    assert in_force() == {
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 21_600,
        "DestinationConfig": {},
    }
    target = unique("f")
    aws.create_function(**function(target))
    table = unique("t")
    server.stream(table)
    tables = "arn:aws:dynamodb:us-east-1:000000000000:table/"
    destinations = {
        "OnSuccess": {"Destination": ARN + target},
        "OnFailure": {"Destination": tables + table},
    }
    made = aws.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=destinations
    )
    assert made["FunctionArn"] == f"{ARN}{name}:$LATEST"
    assert (made["MaximumRetryAttempts"], made["DestinationConfig"]) == (0, destinations)
    changed = aws.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (0, 60)
    assert in_force()["DestinationConfig"] == destinations
    aws.put_function_event_invoke_config(
        FunctionName=name,
        Qualifier="1",
        DestinationConfig={"OnFailure": {"Destination": "https://localhost/hook"}},
    )
    assert in_force("1")["MaximumRetryAttempts"] == 2
    listed = aws.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert len(listed) == 2
    for destination in (
        ARN + "none",
        tables + "none",
        "arn:aws:sqs:us-east-1:000000000000:q",
        "arn:aws:sns:us-east-1:000000000000:t",
    ):
        refused = error(
            aws.put_function_event_invoke_config,
            FunctionName=name,
            DestinationConfig={"OnFailure": {"Destination": destination}},
        )
        assert refused == (INVALID, Containing(destination))
    for wrong in ({"MaximumRetryAttempts": 3}, {"MaximumEventAgeInSeconds": 59}):
        refused = error(aws.put_function_event_invoke_config, FunctionName=name, **wrong)
        assert refused[0] == "ValidationException"
    assert error(aws.put_function_event_invoke_config, FunctionName=name, Qualifier="9")[0] == NOT_FOUND
    aws.delete_function_event_invoke_config(FunctionName=name)
    assert error(aws.get_function_event_invoke_config, FunctionName=name)[0] == NOT_FOUND
    assert error(aws.update_function_event_invoke_config, FunctionName=name)[0] == NOT_FOUND
