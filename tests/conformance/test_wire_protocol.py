"""The HTTP side of the API, byte by byte: headers, checksums, error shapes, malformed requests."""

from __future__ import annotations

import json
import re
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.raw import AUTHORIZATION, JSON_10, Raw
from tests.conformance.support import n, s, table

CORAL = "com.amazon.coral.service#"
SERVICE = "com.amazonaws.dynamodb.v20120810#"
VALIDATE = "com.amazon.coral.validate#"
NOT_FOUND_XML = b"<UnknownOperationException/>\n"


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        client.put_item(TableName=made, Item={"p": s("k"), "v": n(1)})
        client.put_item(TableName=made, Item={"p": s("big"), "v": s("x" * 20_000)})
        yield made


def assert_common_headers(reply: Any) -> None:
    """What every answer carries."""
    assert re.fullmatch(r"[0-9A-Z]{52}", reply.headers["x-amzn-requestid"])
    assert reply.crc_matches()
    assert reply.headers["content-length"] == str(len(reply.body))
    assert "date" in reply.headers
    assert "server" in reply.headers


def test_headers_of_success_and_error(raw: Raw, name: str) -> None:
    good = raw.post("GetItem", {"TableName": name, "Key": {"p": s("k")}})
    bad = raw.post("GetItem", {"TableName": "no-such-table", "Key": {"p": s("k")}})
    assert (good.status, bad.status) == (200, 400)
    for reply in (good, bad):
        assert_common_headers(reply)
        assert reply.headers["content-type"] == JSON_10
    assert good.headers["x-amzn-requestid"] != bad.headers["x-amzn-requestid"]
    assert good.json == {"Item": {"p": s("k"), "v": n(1)}}


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("application/x-amz-json-1.0", "application/x-amz-json-1.0"),
        ("application/json", "application/json"),
        ("application/x-amz-json-1.0; charset=utf-8", "application/x-amz-json-1.0"),
        ("application/json;charset=UTF-8", "application/json"),
    ],
)
def test_content_types(raw: Raw, sent: str, answered: str) -> None:
    reply = raw.post("ListTables", {}, content_type=sent)
    assert (reply.status, reply.headers["content-type"]) == (200, answered)


@pytest.mark.parametrize("sent", ["text/plain", "application/xml", "application/x-www-form-urlencoded", None])
def test_unknown_content_types(raw: Raw, sent: str | None) -> None:
    reply = raw.post("ListTables", {}, content_type=sent)
    assert (reply.status, reply.body) == (404, NOT_FOUND_XML)
    assert reply.headers["x-amz-crc32"] == "3552371480"
    assert reply.crc_matches()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_methods(raw: Raw, method: str) -> None:
    reply = raw.send(method, "/", b"{}", raw.headers("ListTables"))
    assert (reply.status, reply.body) == (404, NOT_FOUND_XML)
    assert reply.headers["x-amz-crc32"] == "3552371480"


def test_get_is_a_health_check(raw: Raw) -> None:
    reply = raw.send("GET", "/")
    assert (reply.status, reply.body) == (200, f"healthy: {raw.host}:{raw.port} ".encode())
    assert reply.crc_matches()
    named = raw.send("GET", "/", headers={"Host": "db.example.com"})
    assert named.body == b"healthy: db.example.com "


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_pages(raw: Raw, path: str) -> None:
    assert raw.send("GET", path).status == 200


def test_metrics(raw: Raw) -> None:
    reply = raw.send("GET", "/metrics")
    assert reply.status == 200
    assert re.search(rb"^# TYPE hashrange_\w+ \w+$", reply.body, re.MULTILINE)


def test_options_answers_cross_origin_questions(raw: Raw) -> None:
    reply = raw.send(
        "OPTIONS",
        "/",
        headers={
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-amz-target,authorization",
        },
    )
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "*"
    assert int(reply.headers["access-control-max-age"]) > 0
    assert reply.headers["access-control-allow-headers"] == "x-amz-target,authorization"
    assert "POST" in reply.headers["access-control-allow-methods"]


def test_an_origin_is_answered(raw: Raw) -> None:
    reply = raw.post("ListTables", {}, Origin="https://app.example.com")
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in raw.post("ListTables", {}).headers


@pytest.mark.parametrize(
    "target",
    [
        "DynamoDB_20120810.Nothing",
        "DynamoDB_20120810.",
        "DynamoDB_20120810",
        "DynamoDB_20111205.ListTables",
        "dynamodb_20120810.ListTables",
        "DynamoDB_20120810.listtables",
        "DynamoDB_20120810.ListTables.more",
        "S3.ListBuckets",
        "",
    ],
)
def test_unknown_targets(raw: Raw, target: str) -> None:
    reply = raw.post(None, {}, x_amz_target=target)
    assert (reply.status, reply.json) == (400, {"__type": CORAL + "UnknownOperationException"})
    assert_common_headers(reply)


def test_no_target(raw: Raw) -> None:
    reply = raw.post(None, {})
    assert (reply.status, reply.json) == (400, {"__type": CORAL + "UnknownOperationException"})


@pytest.mark.parametrize(
    "target",
    [
        "DynamoDB_20120810.ExecuteStatement",
        "DynamoDB_20120810.BatchExecuteStatement",
        "DynamoDB_20120810.ExecuteTransaction",
    ],
)
def test_operations_of_later_versions(raw: Raw, target: str) -> None:
    reply = raw.post(None, {}, x_amz_target=target)
    assert (reply.status, reply.json) == (400, {"__type": CORAL + "UnknownOperationException"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{} x",
        b"{'a': 1}",
        b'{"a": }',
        b"\xff\xfe",
        b'{"a": 1,}',
        b"hello",
        b'{"a": NaN}',
        b'"\\ud800',
    ],
)
def test_no_json(raw: Raw, body: bytes) -> None:
    reply = raw.post("ListTables", body)
    assert (reply.status, reply.json) == (400, {"__type": CORAL + "SerializationException"})
    assert_common_headers(reply)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"5", b"true", b"[{}]", b"null"])
def test_json_that_is_no_object(raw: Raw, body: bytes) -> None:
    reply = raw.post("ListTables", body)
    assert reply.status == 400
    assert reply.json["__type"] == CORAL + "SerializationException"


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        ("DescribeTable", {"TableName": 5}, "NUMBER_VALUE cannot be converted to String"),
        ("DescribeTable", {"TableName": 5.5}, "DECIMAL_VALUE cannot be converted to String"),
        ("DescribeTable", {"TableName": True}, "TRUE_VALUE cannot be converted to String"),
        ("DescribeTable", {"TableName": False}, "FALSE_VALUE cannot be converted to String"),
        ("ListTables", {"Limit": "5"}, "STRING_VALUE cannot be converted to Integer"),
        ("ListTables", {"Limit": True}, "TRUE_VALUE cannot be converted to Integer"),
        ("Scan", {"TableName": "abc", "ConsistentRead": "x"}, None),
        ("Scan", {"TableName": "abc", "ConsistentRead": 1}, "NUMBER_VALUE cannot be converted to Boolean"),
        (
            "CreateTable",
            {"ProvisionedThroughput": {"ReadCapacityUnits": "x"}},
            "STRING_VALUE cannot be converted to Long",
        ),
        ("DescribeTable", {"TableName": []}, None),
        ("DescribeTable", {"TableName": {}}, "Start of structure or map found where not expected"),
        ("PutItem", {"TableName": "abc", "Item": "x"}, None),
        ("PutItem", {"TableName": "abc", "Item": []}, None),
        ("GetItem", {"TableName": "abc", "AttributesToGet": "x"}, None),
        ("GetItem", {"TableName": "abc", "AttributesToGet": {}}, None),
        ("CreateTable", {"KeySchema": {}}, None),
        ("BatchGetItem", {"RequestItems": []}, None),
    ],
)
def test_wrong_json_types(raw: Raw, operation: str, body: Any, text: str | None) -> None:
    reply = raw.post(operation, body)
    assert reply.status == 400
    assert set(reply.json) == {"__type", "Message"}, "type errors carry their text under a capital Message"
    assert reply.json["__type"] == CORAL + "SerializationException"
    if text:
        assert reply.json["Message"] == text


def test_shapes_of_errors(raw: Raw, name: str) -> None:
    missing = raw.post("GetItem", {"TableName": "no-such-table", "Key": {"p": s("k")}})
    assert missing.json == {
        "__type": SERVICE + "ResourceNotFoundException",
        "message": "Requested resource not found",
    }
    invalid = raw.post("GetItem", {"TableName": name})
    assert set(invalid.json) == {"__type", "message"}
    assert invalid.json["__type"] == VALIDATE + "ValidationException"
    failed = raw.post(
        "PutItem",
        {"TableName": name, "Item": {"p": s("k")}, "ConditionExpression": "attribute_not_exists(p)"},
    )
    assert failed.json == {
        "__type": SERVICE + "ConditionalCheckFailedException",
        "message": "The conditional request failed",
    }


def test_unknown_members_are_ignored(raw: Raw, name: str) -> None:
    reply = raw.post("GetItem", {"TableName": name, "Key": {"p": s("k")}, "Unheard": {"of": [1]}})
    assert reply.status == 200


def test_null_members_are_absent(raw: Raw, name: str) -> None:
    body = {"TableName": name, "Key": {"p": s("k")}, "ProjectionExpression": None, "ConsistentRead": None}
    assert raw.post("GetItem", body).json["Item"] == {"p": s("k"), "v": n(1)}


# --- authentication, without configured credentials ---


def test_no_authentication(raw: Raw) -> None:
    reply = raw.post("ListTables", {}, authorization=None, x_amz_date=None)
    assert reply.status == 400
    assert reply.json == {
        "__type": CORAL + "MissingAuthenticationTokenException",
        "message": "Request is missing Authentication Token",
    }


def test_two_authentications(raw: Raw) -> None:
    headers = raw.headers("ListTables")
    path = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x&X-Amz-Signature=y"
    reply = raw.send("POST", path, b"{}", headers)
    assert reply.status == 400
    assert reply.json["__type"] == CORAL + "InvalidSignatureException"


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("AWS4-HMAC-SHA256 Signature=b, SignedHeaders=c", ["Credential"]),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=c", ["Signature"]),
        ("AWS4-HMAC-SHA256 Credential=a, Signature=b", ["SignedHeaders"]),
        ("AWS4-HMAC-SHA256 ", ["Credential", "Signature", "SignedHeaders"]),
    ],
)
def test_incomplete_authentication(raw: Raw, header: str, missing: list[str]) -> None:
    reply = raw.post("ListTables", {}, authorization=header)
    assert reply.status == 400
    assert reply.json["__type"] == CORAL + "IncompleteSignatureException"
    text = reply.json["message"]
    places = [text.index(f"'{part}'") for part in missing]
    assert places == sorted(places)
    assert text.rstrip().endswith("Authorization=" + header.strip())


def test_a_missing_date(raw: Raw) -> None:
    reply = raw.post("ListTables", {}, x_amz_date=None)
    assert reply.json["__type"] == CORAL + "IncompleteSignatureException"
    assert "X-Amz-Date" in reply.json["message"]


def test_order_of_the_first_checks(raw: Raw) -> None:
    assert raw.post("Nothing", b"{", content_type="text/plain", authorization=None).status == 404
    nothing = {"authorization": None, "x_amz_date": None}
    assert raw.post("Nothing", b"{", **nothing).json == {"__type": CORAL + "SerializationException"}
    assert raw.post("Nothing", {}, **nothing).json == {"__type": CORAL + "UnknownOperationException"}
    typed = raw.post("DescribeTable", {"TableName": 5}, **nothing)
    assert typed.json["__type"] == CORAL + "MissingAuthenticationTokenException"


# --- bodies ---


def compress(body: bytes, wbits: int) -> bytes:
    """gzip (31) or zlib (15)."""
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15), ("GZIP", 31)])
def test_compressed_requests(raw: Raw, name: str, encoding: str, wbits: int) -> None:
    body = json.dumps({"TableName": name, "Key": {"p": s("k")}}).encode()
    reply = raw.post("GetItem", compress(body, wbits), content_encoding=encoding)
    assert reply.json == {"Item": {"p": s("k"), "v": n(1)}}


def test_two_gzip_members(raw: Raw, name: str) -> None:
    body = json.dumps({"TableName": name, "Key": {"p": s("k")}}).encode()
    both = compress(body[:10], 31) + compress(body[10:], 31)
    assert raw.post("GetItem", both, content_encoding="gzip").status == 200


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"{}"),
        ("gzip", b"this is not gzip"),
        ("gzip", compress(b'{"TableName": "t"}', 31)[:-9]),
        ("gzip", b""),
        ("deflate", b"\x00\x01\x02"),
    ],
)
def test_broken_encodings(raw: Raw, encoding: str, body: bytes) -> None:
    reply = raw.post("ListTables", body, content_encoding=encoding)
    assert reply.status == 500
    assert reply.json["__type"] == SERVICE + "InternalServerError"


def test_a_broken_body_writes_nothing(raw: Raw, client: Any, name: str) -> None:
    body = compress(json.dumps({"TableName": name, "Item": {"p": s("ghost")}}).encode(), 31)
    assert raw.post("PutItem", body[:-4] + b"\x00\x00\x00\x00", content_encoding="gzip").status == 500
    assert "Item" not in client.get_item(TableName=name, Key={"p": s("ghost")}, ConsistentRead=True)


def test_a_gzip_bomb_is_not_inflated(raw: Raw) -> None:
    bomb = compress(b" " * (17 * 1024 * 1024), 31)
    assert len(bomb) < 100_000
    assert raw.post("ListTables", bomb, content_encoding="gzip").status == 413


def test_answers_are_compressed_when_they_are_long(raw: Raw, name: str) -> None:
    body = {"TableName": name, "Key": {"p": s("big")}}
    reply = raw.post("GetItem", body, accept_encoding="gzip, deflate")
    assert reply.headers["content-encoding"] == "gzip"
    assert json.loads(zlib.decompress(reply.body, 31))["Item"]["v"] == s("x" * 20_000)
    assert len(reply.body) < 2_000
    assert reply.crc_matches(), "the checksum is that of the bytes sent"
    plain = raw.post("GetItem", body)
    assert "content-encoding" not in plain.headers
    assert plain.crc_matches()
    short = raw.post("GetItem", {"TableName": name, "Key": {"p": s("k")}}, accept_encoding="gzip")
    assert "content-encoding" not in short.headers


def test_a_body_of_more_than_sixteen_megabytes(raw: Raw) -> None:
    head = (
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"X-Amz-Target: DynamoDB_20120810.ListTables\r\nAuthorization: {AUTHORIZATION}\r\n"
        f"Content-Length: {16 * 1024 * 1024 + 1}\r\n\r\n"
    )
    with raw.socket() as link:
        link.sendall(head.encode())
        assert link.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_big_body_is_fine(raw: Raw) -> None:
    body = b'{"Limit": 1' + b" " * (8 * 1024 * 1024) + b"}"
    assert raw.post("ListTables", body).status == 200


def test_long_headers_are_refused(raw: Raw) -> None:
    reply = raw.exchange(
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n"
    )
    assert re.match(rb"HTTP/1.1 (400|413|431) ", reply)
    reply = raw.exchange(b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert re.match(rb"HTTP/1.1 (400|413|414|431) ", reply)


def test_no_http(raw: Raw) -> None:
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
    ):
        with raw.socket() as link:
            link.sendall(nonsense)
            assert link.recv(65536)[:12] in (b"", b"HTTP/1.1 400")
    assert raw.post("ListTables", {}).status == 200


@pytest.mark.parametrize("depth", [1_000, 200_000])
def test_deep_nesting_does_not_kill_the_server(raw: Raw, name: str, depth: int) -> None:
    value = b'{"L":[' * depth + b'{"S":"x"}' + b"]}" * depth
    body = b'{"TableName": "' + name.encode() + b'", "Item": {"p": {"S": "deep"}, "v": ' + value + b"}}"
    for payload in (body, b"[" * depth, b"[" * depth + b"]" * depth):
        assert raw.post("PutItem", payload).status in (400, 413, 500)
    assert raw.post("GetItem", {"TableName": name, "Key": {"p": s("k")}}).status == 200


def test_expressions_nested_deep(raw: Raw, name: str) -> None:
    for expression in ("(" * 4000, "NOT " * 1000 + "a = a", "a" + "[0]" * 1300, "a" + ".b" * 2000):
        body = {"TableName": name, "FilterExpression": expression}
        assert raw.post("Scan", body).status in (200, 400)
    assert raw.post("ListTables", {}).status == 200


# --- connections ---


def test_connections_are_kept(raw: Raw) -> None:
    link = raw.connect()
    try:
        for _ in range(5):
            reply = raw.post("ListTables", {}, connection=link)
            assert reply.status == 200
            assert link.sock is not None, "the server closed a connection it should keep"
    finally:
        link.close()


def test_connection_close_is_honoured(raw: Raw) -> None:
    request = (
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\nConnection: close\r\n"
        f"X-Amz-Date: 20260101T000000Z\r\nAuthorization: {AUTHORIZATION}\r\n"
        "X-Amz-Target: DynamoDB_20120810.ListTables\r\nContent-Length: 2\r\n\r\n{}"
    ).encode()
    with raw.socket() as link:
        link.sendall(request)
        received = b""
        while chunk := link.recv(65536):
            received += chunk
    assert received.startswith(b"HTTP/1.1 200 ")


def pipelined(raw: Raw, requests: list[bytes]) -> list[bytes]:
    """The bodies of several requests written at once."""
    with raw.socket() as link:
        link.sendall(b"".join(requests))
        stream = link.makefile("rb")
        bodies = []
        for _ in requests:
            assert stream.readline().startswith(b"HTTP/1.1 200")
            length = 0
            while (line := stream.readline().strip()) != b"":
                key, _, value = line.partition(b":")
                if key.lower() == b"content-length":
                    length = int(value)
            bodies.append(stream.read(length))
        return bodies


def post_bytes(operation: str, body: bytes, framing: str = "") -> bytes:
    """A request as bytes, with its length unless another framing is given."""
    framing = framing or f"Content-Length: {len(body)}"
    return (
        f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON_10}\r\nX-Amz-Date: 20260101T000000Z\r\n"
        f"Authorization: {AUTHORIZATION}\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n{framing}\r\n\r\n"
    ).encode() + body


def test_pipelined_requests_are_answered_in_order(raw: Raw, name: str) -> None:
    requests = []
    for i in range(20):
        item = json.dumps({"TableName": name, "Item": {"p": s(f"pipe{i}"), "v": n(i)}}).encode()
        key = json.dumps({"TableName": name, "Key": {"p": s(f"pipe{i}")}, "ConsistentRead": True}).encode()
        requests += [post_bytes("PutItem", item), post_bytes("GetItem", key)]
    bodies = pipelined(raw, requests)
    assert bodies[::2] == [b"{}"] * 20
    assert [json.loads(body)["Item"]["v"]["N"] for body in bodies[1::2]] == [str(i) for i in range(20)]


def test_chunked_requests(raw: Raw, name: str) -> None:
    body = json.dumps({"TableName": name, "Key": {"p": s("k")}}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n"
    (answer,) = pipelined(raw, [post_bytes("GetItem", chunks, "Transfer-Encoding: chunked")])
    assert json.loads(answer)["Item"]["v"] == n(1)


def test_a_request_in_small_pieces(raw: Raw, name: str) -> None:
    body = json.dumps({"TableName": name, "Key": {"p": s("k")}}).encode()
    request = post_bytes("GetItem", body)
    with raw.socket() as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(request), 7):
            link.sendall(request[start : start + 7])
        assert link.recv(65536).startswith(b"HTTP/1.1 200")


def test_header_names_in_any_case(raw: Raw) -> None:
    headers = {name.upper(): value for name, value in raw.headers("ListTables").items()}
    assert raw.send("POST", "/", b"{}", headers).status == 200


def test_the_boto3_client_checks_the_crc(client: Any, name: str) -> None:
    answer = client.get_item(TableName=name, Key={"p": s("k")})
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-crc32"].isdigit()
    assert answer["ResponseMetadata"]["RequestId"] == headers["x-amzn-requestid"]
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0
