"""Invoke and its kin as boto3 sees them: what reaches the workers, and how their answers come back."""

from __future__ import annotations

import http.client
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from hashrange_router.triggers.contracts import Invocation, InvocationResult

from hashrange.errors import ApiError
from tests.conformance.lambda_support import LambdaServer, function, lambda_server
from tests.conformance.support import Containing, error, unique

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
CONTENT = "InvalidRequestContentException"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def running() -> Iterator[LambdaServer]:
    with lambda_server() as made:
        yield made


@pytest.fixture
def server(running: LambdaServer) -> Iterator[LambdaServer]:
    """The server with an invoker that answers with the payload, and nothing seen yet."""
    running.invoker.seen.clear()
    running.events.seen.clear()
    running.invoker.answer = lambda one: InvocationResult(one.payload)
    yield running


@pytest.fixture
def name(server: LambdaServer) -> str:
    """A function with a version and an alias for it."""
    made = unique("f")
    server.client.create_function(**function(made, Publish=True))
    server.client.create_alias(FunctionName=made, Name="live", FunctionVersion="1")
    return made


def test_the_answer_of_a_function(server: LambdaServer, name: str) -> None:
    answer = server.client.invoke(FunctionName=name, Payload=b'{"a": [1, "\xc3\xa4"]}')
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["Payload"].read() == b'{"a": [1, "\xc3\xa4"]}'
    assert "FunctionError" not in answer
    assert "LogResult" not in answer
    (seen,) = server.invoker.seen
    assert (seen.source, seen.invoked_arn, seen.want_log) == ("sync", ARN + name, False)
    assert seen.request_id == answer["ResponseMetadata"]["RequestId"]
    assert seen.function.timeout_s == 3


def test_versions_and_aliases(server: LambdaServer, name: str) -> None:
    for qualifier in ("1", "live"):
        for request in (
            {"FunctionName": name, "Qualifier": qualifier},
            {"FunctionName": f"{name}:{qualifier}"},
            {"FunctionName": f"{ARN}{name}:{qualifier}"},
        ):
            assert server.client.invoke(**request)["ExecutedVersion"] == "1"
            seen = server.invoker.seen[-1]
            assert seen.invoked_arn == f"{ARN}{name}:{qualifier}"
            assert (seen.function.version, seen.function.arn) == ("1", f"{ARN}{name}:1")
    assert error(server.client.invoke, FunctionName=name, Qualifier="2") == (
        "ResourceNotFoundException",
        f"Function not found: {ARN}{name}:2",
    )


def test_no_payload_is_an_empty_object(server: LambdaServer, name: str) -> None:
    assert server.client.invoke(FunctionName=name)["Payload"].read() == b"{}"


def test_an_error_of_the_function(server: LambdaServer, name: str) -> None:
    document = b'{"errorMessage": "no", "errorType": "ValueError"}'
    server.invoker.answer = lambda one: InvocationResult(document, "Unhandled", b"START\nEND\n")
    answer = server.client.invoke(FunctionName=name, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"].read() == document
    assert b64decode(answer["LogResult"]) == b"START\nEND\n"
    assert server.invoker.seen[-1].want_log


def test_of_a_long_log_the_end(server: LambdaServer, name: str) -> None:
    server.invoker.answer = lambda one: InvocationResult(b"1", None, b"x" * 5000 + b"end")
    answer = server.client.invoke(FunctionName=name, LogType="Tail")
    assert len(b64decode(answer["LogResult"])) == 4096
    assert b64decode(answer["LogResult"]).endswith(b"end")


def test_the_client_context(server: LambdaServer, name: str) -> None:
    def invoke(context: bytes) -> Any:
        return server.client.invoke(FunctionName=name, ClientContext=b64encode(context).decode())

    invoke(b'{"custom": {"a": 1}}')
    assert json.loads(server.invoker.seen[-1].client_context or b"") == {"custom": {"a": 1}}
    for wrong in (b"[]", b"{", b'"' + b"a" * 3000 + b'"'):
        assert error(lambda wrong=wrong: invoke(wrong)) == (CONTENT, Containing("Client context"))
    refused = error(server.client.invoke, FunctionName=name, ClientContext="*")
    assert refused == (CONTENT, Containing("Client context"))


def test_payloads_that_are_refused(server: LambdaServer, name: str) -> None:
    for wrong in (b"{", b"nonsense", b"\xff", b"{} {}"):
        assert error(server.client.invoke, FunctionName=name, Payload=wrong) == (CONTENT, Containing("json"))
    largest = b'"' + b"x" * (6 * MIB - 2) + b'"'
    assert server.client.invoke(FunctionName=name, Payload=largest)["StatusCode"] == 200
    refused = error(server.client.invoke, FunctionName=name, Payload=largest[:-1] + b'x"')
    assert refused == (
        "RequestTooLargeException",
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    )
    event = b'"' + b"x" * (MIB - 2) + b'"'
    answer = server.client.invoke(FunctionName=name, InvocationType="Event", Payload=event)
    assert answer["StatusCode"] == 202
    refused = error(
        server.client.invoke, FunctionName=name, InvocationType="Event", Payload=event[:-1] + b'x"'
    )
    assert refused[0] == "RequestTooLargeException"


def test_events_are_queued(server: LambdaServer, name: str) -> None:
    context = b64encode(b"{}").decode()
    answer = server.client.invoke(
        FunctionName=name,
        Qualifier="live",
        InvocationType="Event",
        Payload=b'{"a": 1}',
        ClientContext=context,
    )
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert server.events.seen == [(f"{ARN}{name}:live", b'{"a": 1}', request_id, b"{}")]
    answer = server.client.invoke_async(FunctionName=name, InvokeArgs=b"[1]")
    assert answer["Status"] == 202
    assert server.events.seen[-1][:2] == (ARN + name, b"[1]")
    assert error(server.client.invoke_async, FunctionName=name, InvokeArgs=b"[")[0] == CONTENT
    assert server.invoker.seen == []


def test_a_dry_run_runs_nothing(server: LambdaServer, name: str) -> None:
    assert server.client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    refused = error(server.client.invoke, FunctionName="none", InvocationType="DryRun")
    assert refused[0] == "ResourceNotFoundException"
    assert server.invoker.seen == server.events.seen == []


def test_parameters_that_are_refused(server: LambdaServer, name: str) -> None:
    for wrong in ({"InvocationType": "Now"}, {"LogType": "All"}, {"Qualifier": "a b"}):
        assert error(server.client.invoke, FunctionName=name, **wrong)[0] == "ValidationException"
    refused = error(server.client.invoke, FunctionName=name, TenantId="a")
    assert refused == ("InvalidParameterValueException", Containing("Tenant"))


def test_no_room_for_another_invocation(server: LambdaServer, name: str) -> None:
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"

    def throttle(one: Invocation) -> InvocationResult:
        raise ApiError("TooManyRequestsException", "Rate Exceeded.", status=429, fields={"Reason": reason})

    server.invoker.answer = throttle
    with pytest.raises(server.client.exceptions.TooManyRequestsException) as refused:
        server.client.invoke(FunctionName=name)
    response = refused.value.response
    assert (response["Reason"], response["ResponseMetadata"]["HTTPStatusCode"]) == (reason, 429)
    assert response["Error"]["Message"] == "Rate Exceeded."


def test_failures_of_the_server(server: LambdaServer, name: str) -> None:
    def fail(one: Invocation) -> InvocationResult:
        raise RuntimeError("a bug")

    server.invoker.answer = fail
    with pytest.raises(server.client.exceptions.ServiceException) as refused:
        server.client.invoke(FunctionName=name)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "a bug" not in str(refused.value)


def test_a_response_as_a_stream_of_events(server: LambdaServer, name: str) -> None:
    def events(**more: Any) -> list[Any]:
        answer = server.client.invoke_with_response_stream(FunctionName=name, **more)
        assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
        return list(answer["EventStream"])

    server.invoker.answer = lambda one: InvocationResult(b"x" * 150_000, None, b"log")
    *chunks, last = events(Payload=b"[1]", LogType="Tail")
    assert b"".join(one["PayloadChunk"]["Payload"] for one in chunks) == b"x" * 150_000
    assert len(chunks) == 3
    assert last == {"InvokeComplete": {"LogResult": b64encode(b"log").decode()}}
    server.invoker.answer = lambda one: InvocationResult(b'{"errorMessage": "no"}', "Unhandled")
    assert events() == [
        {"InvokeComplete": {"ErrorCode": "Unhandled", "ErrorDetails": '{"errorMessage": "no"}'}}
    ]


def test_signatures_are_for_this_service() -> None:
    with lambda_server(credentials=[{"access_key": "key", "secret": "secret"}]) as server:
        server.running.clock.advance(time.time() - server.running.clock.wall_ms() / 1000)
        refused = error(server.client.list_functions)
        assert refused[0] == "UnrecognizedClientException"

        def client(secret: str) -> Any:
            return boto3.session.Session().client(
                "lambda",
                endpoint_url=server.running.endpoint,
                region_name="us-east-1",
                aws_access_key_id="key",
                aws_secret_access_key=secret,
            )

        signed = client("secret")
        signed.create_function(**function("mine"))
        found = signed.get_function(FunctionName=ARN + "mine")
        assert found["Configuration"]["FunctionName"] == "mine"
        assert signed.list_functions(MaxItems=3)["Functions"]
        refused = error(client("wrong").get_function, FunctionName=ARN + "mine")
        assert refused[0] == "InvalidSignatureException"


def test_paths_and_methods_that_are_none(server: LambdaServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.running.endpoint).netloc, timeout=30)
    for method, path, status, kind in (
        ("PATCH", "/2015-03-31/functions", 404, "UnknownOperationException"),
        ("GET", "/2015-03-31/nothing", 404, "UnknownOperationException"),
        ("GET", "/2015-03-31/functions", 403, "MissingAuthenticationTokenException"),
        ("GET", "/1999-01-01/functions", 404, None),
        ("GET", "/health/live", 200, None),
    ):
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (status, kind), path
    connection.close()


def test_calls_are_counted_with_the_others(server: LambdaServer, name: str) -> None:
    def count(operation: str) -> float:
        metrics = server.running.metrics().items()
        return sum(value for key, value in metrics if f'"{operation}"' in key and "_count" in key)

    def failures() -> float:
        metrics = server.running.metrics().items()
        return sum(value for key, value in metrics if '"Invoke"' in key and "ResourceNotFound" in key)

    answered, failed = count("Invoke"), failures()
    server.client.invoke(FunctionName=name)
    error(server.client.invoke, FunctionName="none")
    assert count("Invoke") == answered + 1
    assert failures() == failed + 1
