"""What asynchronous invocations and pools elsewhere need of the API: dead-letter targets, and ids that stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.lambda_support import LambdaServer, function, lambda_server
from tests.conformance.support import error, unique

TABLES = "arn:aws:dynamodb:us-east-1:000000000000:table/"
FUNCTIONS = "arn:aws:lambda:us-east-1:000000000000:function:"
ID = "0b2c8a42-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def server() -> Iterator[LambdaServer]:
    with lambda_server() as made:
        yield made


def test_a_dead_letter_target_is_kept_shown_and_removed(server: LambdaServer) -> None:
    name, aws = unique("f"), server.client
    server.stream("Letters")
    made = aws.create_function(
        **function(name, DeadLetterConfig={"TargetArn": TABLES + "Letters"}, Publish=True)
    )
    assert made["DeadLetterConfig"] == {"TargetArn": TABLES + "Letters"}
    for qualifier in (None, "1"):
        found = server.directory.event_invoke(name, qualifier)
        assert found["DeadLetterConfig"] == {"TargetArn": TABLES + "Letters"}
        assert found["MaximumRetryAttempts"] == 2
    changed = aws.update_function_configuration(
        FunctionName=name, DeadLetterConfig={"TargetArn": FUNCTIONS + name}
    )
    assert changed["DeadLetterConfig"] == {"TargetArn": FUNCTIONS + name}
    removed = aws.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in removed
    assert "DeadLetterConfig" not in server.directory.event_invoke(name)
    assert "DeadLetterConfig" in server.directory.event_invoke(name, "1")


@pytest.mark.parametrize(
    "target", [TABLES + "Nowhere", FUNCTIONS + "nobody", "arn:aws:sns:us-east-1:000000000000:t"]
)
def test_one_that_is_not_there_is_refused(server: LambdaServer, target: str) -> None:
    aws, name = server.client, unique("f")
    made = function(name, DeadLetterConfig={"TargetArn": target})
    assert error(aws.create_function, **made)[0] == "InvalidParameterValueException"
    aws.create_function(**function(name))
    refused = error(
        aws.update_function_configuration, FunctionName=name, DeadLetterConfig={"TargetArn": target}
    )
    assert refused[0] == "InvalidParameterValueException"


@pytest.mark.parametrize(("sent", "kept"), [(ID, True), ("a b", False), ("x" * 65, False)])
def test_an_invocation_that_is_handed_on_keeps_its_id(server: LambdaServer, sent: str, kept: bool) -> None:
    name, aws = unique("f"), server.client
    aws.create_function(**function(name))

    def add(request: object, **more: object) -> None:
        request.headers["x-hashrange-request-id"] = sent  # type: ignore[attr-defined]

    aws.meta.events.register("before-sign.lambda.Invoke", add)
    answer = aws.invoke(FunctionName=name)
    aws.meta.events.unregister("before-sign.lambda.Invoke", add)
    seen = server.invoker.seen.pop().request_id
    assert seen == answer["ResponseMetadata"]["RequestId"]
    assert (seen == sent) is kept
