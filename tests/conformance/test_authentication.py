"""Signatures, on a server that has credentials: every request is verified, in header and query form.

Requests that lack a signature altogether are in test_wire_protocol.py.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.conformance.raw import JSON_10, Raw
from tests.conformance.server import running
from tests.conformance.support import error

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
CORAL = "com.amazon.coral.service#"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with one access key."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    file = folder / "credentials"
    file.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    with running("--in-memory", "--credentials-file", str(file), log=folder / "log") as server:
        yield server.endpoint


def make(
    endpoint: str,
    key: str = KEY,
    secret: str = SECRET,
    region: str = "us-east-1",
    service: str = "dynamodb",
) -> Any:
    """A boto3 client with these credentials."""
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )


def test_requests_for_auto_scaling_are_verified_as_that_service(guarded: str) -> None:
    found = make(guarded, service="application-autoscaling").describe_scalable_targets(
        ServiceNamespace="dynamodb"
    )
    assert found["ScalableTargets"] == []
    stranger = make(guarded, secret="wrong", service="application-autoscaling")
    refused = error(stranger.describe_scalable_targets, ServiceNamespace="dynamodb")
    assert refused[0] == "InvalidSignatureException"


def test_requests_for_streams_are_verified_as_those_for_tables(guarded: str) -> None:
    assert make(guarded, service="dynamodbstreams").list_streams()["Streams"] == []
    stranger = make(guarded, secret="wrong", service="dynamodbstreams")
    assert error(stranger.list_streams)[0] == "InvalidSignatureException"


class QueryAuth(SigV4QueryAuth):
    """botocore's signer for query strings, which else moves a JSON body into the query."""

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        body, request.data = request.data, b""
        super()._modify_request_before_signing(request)
        request.data = body


def signed(endpoint: str, body: bytes = b"{}", **changes: Any) -> AWSRequest:
    """A ListTables request signed by botocore."""
    request = AWSRequest(
        "POST",
        endpoint + "/",
        data=body,
        headers={"Content-Type": JSON_10, "X-Amz-Target": "DynamoDB_20120810.ListTables"},
    )
    signer = changes.get("signer", SigV4Auth)
    signer(Credentials(KEY, SECRET), "dynamodb", "us-east-1").add_auth(request)
    return request


def send(endpoint: str, request: AWSRequest, body: bytes = b"{}", **headers: str) -> Any:
    """Send a signed request, with headers changed after signing."""
    sent = {
        **dict(request.headers.items()),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    path = request.url.removeprefix(endpoint) or "/"
    return Raw(endpoint).send("POST", path, body, sent)


def test_good_signatures(guarded: str) -> None:
    client = make(guarded)
    assert client.list_tables()["TableNames"] == []
    client.close()
    assert send(guarded, signed(guarded)).status == 200


def test_a_signature_for_another_region(guarded: str) -> None:
    client = make(guarded, region="eu-west-1")
    assert client.list_tables()["TableNames"] == []
    client.close()


def test_a_wrong_secret(guarded: str) -> None:
    client = make(guarded, secret="wrong")
    code, message = error(client.list_tables)
    client.close()
    assert code == "InvalidSignatureException"
    assert message.startswith(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method."
    )


def test_an_unknown_key(guarded: str) -> None:
    client = make(guarded, key="AKIDSOMEONE")
    refused = error(client.list_tables)
    client.close()
    assert refused == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )


def test_a_changed_body(guarded: str) -> None:
    reply = send(guarded, signed(guarded), b'{"Limit": 1}')
    assert (reply.status, reply.json["__type"]) == (400, CORAL + "InvalidSignatureException")


def test_a_changed_signed_header(guarded: str) -> None:
    reply = send(guarded, signed(guarded), X_Amz_Target="DynamoDB_20120810.DescribeLimits")
    assert (reply.status, reply.json["__type"]) == (400, CORAL + "InvalidSignatureException")


def test_an_old_signature(guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=30)
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime", lambda remove_tzinfo=True: old.replace(tzinfo=None)
    )
    reply = send(guarded, signed(guarded))
    assert (reply.status, reply.json["__type"]) == (400, CORAL + "InvalidSignatureException")
    assert "Signature expired" in reply.json["message"]


def test_a_signature_in_the_query(guarded: str) -> None:
    request = signed(guarded, signer=QueryAuth)
    assert "X-Amz-Signature=" in request.url
    assert send(guarded, request).status == 200
    tampered = signed(guarded, signer=QueryAuth)
    tampered.url = tampered.url[:-1] + ("0" if tampered.url[-1] != "0" else "1")
    reply = send(guarded, tampered)
    assert (reply.status, reply.json["__type"]) == (400, CORAL + "InvalidSignatureException")


def test_no_signature(guarded: str) -> None:
    raw = Raw(guarded)
    reply = raw.post("ListTables", {}, authorization=None, x_amz_date=None)
    assert reply.json["__type"] == CORAL + "MissingAuthenticationTokenException"


def test_health_needs_no_signature(guarded: str) -> None:
    assert Raw(guarded).send("GET", "/health/ready").status == 200
