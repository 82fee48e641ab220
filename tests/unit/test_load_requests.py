"""The bytes of the load generator: item sizes, requests, signatures, responses in pieces."""

from __future__ import annotations

import json

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hashrange_client.load import shape
from hashrange_client.load.http import ProtocolError, Response, ResponseReader
from hashrange_client.load.requests import Head, RequestSource, templates
from hashrange_client.load.settings import LoadSettings
from hypothesis import given
from hypothesis import strategies as st

from hashrange.model.value import item_size


def split(request: bytes) -> tuple[dict[str, str], dict[str, object]]:
    """Headers and document of a request, whose length must be right."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST / HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert int(headers["Content-Length"]) == len(body)
    return headers, json.loads(body)


@pytest.mark.parametrize("item_bytes", [shape.MIN_ITEM_BYTES, 500, 501, 4_096, 400_000])
@pytest.mark.parametrize("number", [0, 10, 123_456_789])
def test_items_have_exactly_the_size_asked_for(item_bytes: int, number: int) -> None:
    item = shape.item(number, item_bytes)
    assert shape.size(item) == item_bytes
    assert item_size(item) == item_bytes
    assert {name: item[name] for name in ("pk", "sk")} == shape.key(number)


def test_keys_have_one_length_and_ten_items_share_a_partition() -> None:
    keys = {(shape.partition_key(number), shape.sort_key(number)) for number in range(1_000)}
    assert len(keys) == 1_000
    assert {len(partition) for partition, _ in keys} == {shape.KEY_LENGTH}
    assert {len(sort) for _, sort in keys} == {shape.SORT_LENGTH}
    assert len({partition for partition, _ in keys}) == 100


@given(number=st.integers(0, 999_999_999))
def test_a_request_built_from_its_template_is_the_request(number: int) -> None:
    settings = LoadSettings()
    made = templates(settings, Head(settings))
    headers, document = split(made["put"].build(number))
    assert document == {"TableName": settings.table, "Item": shape.item(number, settings.item_bytes)}
    assert headers["X-Amz-Target"] == "DynamoDB_20120810.PutItem"
    _, document = split(made["get"].build(number))
    assert document["Key"] == shape.key(number)
    _, document = split(made["query"].build(number))
    assert document["ExpressionAttributeValues"] == {":p": {"S": shape.partition_key(number)}}


def test_reads_are_strong_when_asked_for_and_nothing_else_changes() -> None:
    settings = LoadSettings(consistent_reads=True)
    made = templates(settings, Head(settings))
    plain = templates(LoadSettings(), Head(LoadSettings()))
    for name in ("get", "query", "scan", "put", "update", "delete"):
        _, document = split(made[name].build(7))
        strong = document.pop("ConsistentRead", False)
        assert strong is (name in ("get", "query", "scan"))
        other = split(plain[name].build(7))[1]
        assert {**document, "Limit": 1} == {**other, "Limit": 1}
    _, document = split(plain["strong-get"].build(7))
    assert document["ConsistentRead"] is True


@pytest.mark.parametrize("workload", ["get", "put", "update", "query", "mix"])
def test_a_source_is_reproducible_and_stays_within_the_items(workload: str) -> None:
    settings = LoadSettings(workload=workload, items=25)
    one, other = RequestSource(settings, Head(settings)), RequestSource(settings, Head(settings))
    for _ in range(200):
        operation, request, follow_up = one.next()
        assert follow_up is None
        assert other.next() == (operation, request, None)
        _, document = split(request)
        text = json.dumps(document)
        assert '"p00000000"' in text or '"p00000001"' in text  # the third partition is not full


def test_signatures_are_those_of_botocore() -> None:
    settings = LoadSettings(
        endpoint="http://127.0.0.1:8000", access_key="AKID", secret="SECRET", region="eu-west-1"
    )
    head = Head(settings, now=lambda: 1_790_000_000.0)
    headers, _ = split(templates(settings, head)["put"].build(77))
    body = json.dumps(
        {"TableName": settings.table, "Item": shape.item(77, settings.item_bytes)}, separators=(",", ":")
    )
    request = AWSRequest("POST", "http://127.0.0.1:8000/", data=body.encode())
    for name in ("Content-Type", "Host", "X-Amz-Date", "X-Amz-Target"):
        request.headers[name] = headers[name]
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials("AKID", "SECRET"), "dynamodb", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [("http://a:8000", "a:8000"), ("https://a", "a"), ("http://[::1]:80", "[::1]"), ("https://a:80", "a:80")],
)
def test_the_host_header(endpoint: str, host: str) -> None:
    assert Head(LoadSettings(endpoint=endpoint)).host == host


BODY = b'{"Item":{}}'
RESPONSES = {
    "length": b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 11\r\n\r\n" + BODY,
    "length last": b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:11\r\n\r\n" + BODY,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"
    + BODY[:5]
    + b"\r\n6;x=y\r\n"
    + BODY[5:]
    + b"\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("form", RESPONSES)
def test_a_response_may_arrive_in_any_pieces(form: str) -> None:
    data = RESPONSES[form]
    for cut in range(1, len(data)):
        reader = ResponseReader()
        assert reader.feed(data[:cut]) is None
        assert reader.feed(data[cut:]) == Response(200, BODY)
        assert reader.feed(data) == Response(200, BODY)


def test_closing_and_errors_are_seen() -> None:
    answer = ResponseReader().feed(b"HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert answer == Response(503, b"", keep_alive=False)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_response_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        ResponseReader().feed(data)
