"""What every reply carries: request id, checksum, date, length, content type, CORS; a real SDK as the judge."""

from __future__ import annotations

import re
import zlib
from email.utils import parsedate_to_datetime

import boto3
import orjson
import pytest
from botocore.config import Config
from hashrange_router.http import NO_CONTENT_TYPE, TEXT, HttpLimits, Request, json_content_type
from hashrange_router.http.replies import ReplyHeads, request_ids, status_line

from tests.unit.http_support import Front, describe, post


@pytest.fixture(scope="module")
def front():
    with Front() as running:
        yield running


def test_the_headers_of_every_reply(front: Front):
    with front.connect() as client:
        client.send(post())
        reply = client.reply()
    headers = reply.headers
    assert re.fullmatch("[0-9A-Z]{52}", headers["x-amzn-requestid"])
    assert headers["x-amz-crc32"] == str(zlib.crc32(reply.body))
    assert headers["content-length"] == str(len(reply.body))
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["server"] == "hashrange"
    assert parsedate_to_datetime(headers["date"]).tzname() == "UTC"
    assert len(headers) == 6


def test_request_ids_differ():
    ids = request_ids()
    drawn = [next(ids) for _ in range(5000)]
    assert len(set(drawn)) == 5000
    assert all(re.fullmatch(b"[0-9A-Z]{52}", one) for one in drawn)


def test_the_application_may_ask_for_the_request_id():
    def app(request: Request) -> None:
        identity = request.request_id
        assert request.request_id == identity
        request.reply(200, identity.encode())

    with Front(app) as front:
        reply = front.exchange(post())
        assert reply.body.decode() == reply.headers["x-amzn-requestid"]
        reply = front.exchange(post(b"", "Origin: x"))
        assert reply.body.decode() == reply.headers["x-amzn-requestid"]


def test_after_the_answer_there_is_no_request_id_to_ask_for():
    answered: list[Request] = []

    def app(request: Request) -> None:
        request.reply(200, b"")
        answered.append(request)

    with Front(app) as front:
        front.exchange(post())
        with pytest.raises(RuntimeError):
            _ = answered[0].request_id


def test_status_content_type_and_extra_headers():
    def app(request: Request) -> None:
        request.reply(503, b"not ready\n", TEXT, b"retry-after: 1\r\nx-more: 2\r\n")

    with Front(app) as front:
        reply = front.exchange(post())
    assert (reply.status, reply.body) == (503, b"not ready\n")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert (reply.headers["retry-after"], reply.headers["x-more"]) == ("1", "2")


def test_empty_bodies_have_a_length_and_a_checksum():
    with Front(lambda request: request.reply(200, b"", NO_CONTENT_TYPE)) as front:
        reply = front.exchange(post())
    assert (reply.headers["content-length"], reply.headers["x-amz-crc32"]) == ("0", "0")
    assert "content-type" not in reply.headers


def test_unknown_operation():
    with Front(lambda request: request.reply_unknown_operation()) as front:
        reply = front.exchange(b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (reply.status, reply.body) == (404, b"<UnknownOperationException/>\n")
    assert reply.headers["x-amz-crc32"] == "3552371480"
    assert reply.headers["content-length"] == "29"


def test_the_date_advances():
    heads = ReplyHeads()
    heads.set_time(0)
    first = heads.build(200, b"a/b")
    assert b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" in first
    assert heads.cached == {(200, b"a/b"): first}
    heads.set_time(1)
    assert not heads.cached
    assert b"00:00:01 GMT" in heads.build(200, b"a/b")


def test_the_cache_of_heads_is_bounded():
    heads = ReplyHeads()
    for number in range(2000):
        heads.build(200, b"type/%d" % number)
    assert len(heads.cached) <= 256


def test_status_lines():
    assert status_line(200) == b"HTTP/1.1 200 OK"
    assert status_line(413).startswith(b"HTTP/1.1 413 ")
    assert status_line(599) == b"HTTP/1.1 599 Unknown"


@pytest.mark.parametrize(
    ("header", "reply_type"),
    [
        (b"application/x-amz-json-1.0", b"application/x-amz-json-1.0"),
        (b"application/json", b"application/json"),
        (b"application/json; charset=utf-8", b"application/json"),
        (b"Application/X-Amz-Json-1.0 ;a=b", b"application/x-amz-json-1.0"),
        (b"text/plain", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_reply_follows_the_content_type_of_the_request(header: bytes | None, reply_type: bytes | None):
    assert json_content_type(header) == reply_type


# CORS.


def test_origin_is_answered_on_ordinary_replies(front: Front):
    reply = front.exchange(post(b"{}", "Origin: http://localhost:3000"))
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in front.exchange(post()).headers


def test_preflight():
    seen: list[Request] = []
    with Front(seen.append) as front, front.connect() as client:
        client.send(
            b"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: whatever\r\n"
            b"Access-Control-Request-Headers: a, b, c\r\nAccess-Control-Request-Method: d\r\n\r\n"
        )
        reply = client.reply()
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-headers"] == "a, b, c"
        assert reply.headers["access-control-allow-methods"] == "d"
        assert reply.headers["access-control-max-age"] == "172800"
        assert reply.headers["content-length"] == "0"
        client.send(b"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: whatever\r\n\r\n")
        plain = client.reply().headers
        assert plain["access-control-max-age"] == "172800"
        assert "access-control-allow-headers" not in plain
    assert not seen


def test_options_without_origin_reaches_the_application():
    with Front(describe) as front:
        assert front.exchange(b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n").json()["method"] == "OPTIONS"


# An unmodified SDK, which checks the checksum.


def test_boto3_accepts_the_replies():
    def app(request: Request) -> None:
        assert request.headers[b"x-amz-target"] == b"DynamoDB_20120810.ListTables"
        request.reply(200, orjson.dumps({"TableNames": ["t" * 3] * orjson.loads(request.body)["Limit"]}))

    with Front(app, HttpLimits(compress_from_bytes=100)) as front:
        client = boto3.client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{front.port}",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}),
        )
        for count in (1, 50):
            reply = client.list_tables(Limit=count)
            assert reply["TableNames"] == ["ttt"] * count
            assert re.fullmatch("[0-9A-Z]{52}", reply["ResponseMetadata"]["RequestId"])
        client.close()
