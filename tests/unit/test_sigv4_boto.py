"""Signatures end to end: an unmodified boto3 against the HTTP front with verification switched on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hashrange_router.auth import Secret, Verifier, check_presence
from hashrange_router.http import Request

from hashrange.errors import ApiError
from tests.unit.http_support import Front, post

VERIFIER = Verifier(
    {"AKIDEXAMPLE": Secret("secret/+"), "ASIA": Secret("secret", "token")}, "us-east-1", time.time
)


def verifying(request: Request) -> None:
    """Answers a request that is signed by a known key with an empty document."""
    service = "lambda" if request.target.startswith(b"/2015-03-31") else "dynamodb"
    try:
        VERIFIER.verify(request, service)
        check_presence(request)
    except ApiError as error:
        request.reply(error.status, error.body(), request.content_type)
    else:
        request.reply(200, b"{}", request.content_type)


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with Front(verifying) as running:
        yield running


def client(front: Front, service: str = "dynamodb", **options: Any) -> Any:
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret/+"}
    return boto3.session.Session().client(
        service,
        endpoint_url=f"http://127.0.0.1:{front.port}",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
        **{**keys, **options},
    )


def test_signed_requests(front: Front):
    dynamodb = client(front)
    for _ in range(3):
        dynamodb.list_tables()
        dynamodb.put_item(TableName="t", Item={"pk": {"S": "\u00fc" * 1000}, "b": {"B": bytes(range(256))}})
    dynamodb.close()


def test_temporary_credentials(front: Front):
    keys = {"aws_access_key_id": "ASIA", "aws_secret_access_key": "secret"}
    dynamodb = client(front, **keys, aws_session_token="token")
    dynamodb.list_tables()
    dynamodb.close()
    for token in ("another", None):
        dynamodb = client(front, **keys, aws_session_token=token)
        with pytest.raises(ClientError) as caught:
            dynamodb.list_tables()
        assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"
        dynamodb.close()


def test_other_services_and_encoded_paths(front: Front):
    functions = client(front, "lambda")
    functions.get_function_configuration(
        FunctionName="arn:aws:lambda:us-east-1:000000000000:function:f", Qualifier="a b"
    )
    functions.close()


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "nobody"}, "UnrecognizedClientException"),
    ],
)
def test_refusals_reach_the_sdk(front: Front, keys: dict[str, str], code: str):
    dynamodb = client(front, **keys)
    with pytest.raises(ClientError) as caught:
        dynamodb.list_tables()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    dynamodb.close()


def test_an_unsigned_request(front: Front):
    reply = front.exchange(post(b"{}", "Content-Type: application/json"))
    assert reply.headers["x-amz-crc32"] == "2088342776"
    assert reply.json() == {
        "__type": "com.amazon.coral.service#MissingAuthenticationTokenException",
        "message": "Request is missing Authentication Token",
    }
