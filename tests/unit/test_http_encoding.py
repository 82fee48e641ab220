"""Content encodings: compressed requests within their limits, compressed replies and their checksum."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hashrange_router.http import HttpLimits, Request
from hashrange_router.http.encoding import (
    BrokenEncodingError,
    InflatedTooLargeError,
    accepts_gzip,
    inflate,
)

from tests.unit.http_support import Front, chunked, post

MIB = 1024 * 1024
TEXT = b"some text, some text, some text. " * 40


@pytest.fixture(scope="module")
def front():
    with Front() as running:
        yield running


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("GZIP", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
        ("gzip", gzip.compress(b"") + gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("identity", TEXT),
        ("", TEXT),
    ],
)
def test_compressed_requests(front: Front, encoding: str, data: bytes):
    reply = front.exchange(post(data, f"Content-Encoding: {encoding}"))
    assert reply.json()["body"].encode() == TEXT


def test_a_compressed_chunked_request(front: Front):
    data = gzip.compress(TEXT)
    reply = front.exchange(chunked(data[:7], data[7:], lines=("Content-Encoding: gzip",)))
    assert reply.json()["body"].encode() == TEXT


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("br", TEXT),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT))),
        ("gzip", TEXT),
        ("gzip", b""),
        ("deflate", b""),
        ("gzip", gzip.compress(TEXT)[:-1]),
        ("gzip", gzip.compress(TEXT)[:-4] + b"\0\0\0\0"),
        ("gzip", gzip.compress(TEXT) + b"rest"),
        ("deflate", zlib.compress(TEXT)[:-1]),
        ("deflate", zlib.compress(TEXT) + b"rest"),
        ("deflate", TEXT),
    ],
)
def test_bodies_that_cannot_be_inflated(encoding: str, data: bytes):
    seen: list[Request] = []
    with Front(seen.append) as front:
        lines = (f"Content-Encoding: {encoding}", "Content-Type: application/x-amz-json-1.0")
        reply = front.exchange(post(data, *lines))
    assert reply.status == 500
    assert reply.json()["__type"] == "com.amazonaws.dynamodb.v20120810#InternalServerError"
    assert reply.headers["content-type"] == "application/x-amz-json-1.0"
    assert not seen


def test_the_connection_outlives_a_broken_body(front: Front):
    with front.connect() as client:
        client.send(post(b"x", "Content-Encoding: gzip") + post(b"next"))
        assert client.reply().status == 500
        assert client.reply().json()["body"] == "next"


def test_the_body_as_received_stays_available():
    def app(request: Request) -> None:
        request.reply(200, request.wire_body)

    data = gzip.compress(TEXT)
    with Front(app) as front:
        assert front.exchange(post(data, "Content-Encoding: gzip")).body == data
        assert front.exchange(post(TEXT)).body == TEXT


def test_the_limit_is_on_the_inflated_size(front: Front):
    assert front.exchange(post(gzip.compress(b"x" * (16 * MIB)), "Content-Encoding: gzip")).status == 200
    assert front.exchange(post(gzip.compress(b"x" * (16 * MIB + 1)), "Content-Encoding: gzip")).status == 413


def test_bombs_are_not_inflated():
    bomb = gzip.compress(b"\0" * (64 * MIB))
    with pytest.raises(InflatedTooLargeError):
        inflate(b"gzip", bomb, 1 * MIB)
    many = gzip.compress(b"\0" * (1 * MIB)) * 100
    with pytest.raises(InflatedTooLargeError):
        inflate(b"gzip", many, 2 * MIB)
    with pytest.raises(InflatedTooLargeError):
        inflate(b"deflate", zlib.compress(b"\0" * MIB), 1024)


def test_the_number_of_members_is_limited():
    assert inflate(b"gzip", gzip.compress(b"x") * 1000, MIB) == b"x" * 1000
    with pytest.raises(BrokenEncodingError):
        inflate(b"gzip", gzip.compress(b"x") * 1001, MIB)


# Replies.


def sized(request: Request) -> None:
    request.reply(200, b"x" * int(request.body))


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 20_000, 1_000_000])
def test_large_replies_are_compressed_for_those_who_ask(size: int):
    with Front(sized) as front:
        reply = front.exchange(post(b"%d" % size, "Accept-Encoding: deflate, gzip;q=0.5"))
        assert int(reply.headers["x-amz-crc32"]) == zlib.crc32(reply.body)
        if size > 4096:
            assert reply.headers["content-encoding"] == "gzip"
            assert len(reply.body) < size
            assert gzip.decompress(reply.body) == b"x" * size
            statistics = front.statistics()
            assert statistics["replies_compressed"] == 1
            assert statistics["compression_us"] > 0
        else:
            assert "content-encoding" not in reply.headers
            assert reply.body == b"x" * size


@pytest.mark.parametrize("accept", ["Accept-Encoding: identity", "Accept-Encoding: gzip;q=0", "X-None: 1"])
def test_other_replies_are_not_compressed(accept: str):
    with Front(sized) as front:
        reply = front.exchange(post(b"20000", accept))
        assert "content-encoding" not in reply.headers
        assert reply.body == b"x" * 20_000
        assert int(reply.headers["x-amz-crc32"]) == zlib.crc32(reply.body)


def test_the_size_from_which_replies_are_compressed_is_configurable():
    with (
        Front(sized, HttpLimits(compress_from_bytes=100)) as front,
        front.connect() as client,
    ):
        client.send(post(b"100", "Accept-Encoding: gzip") + post(b"101", "Accept-Encoding: gzip"))
        assert "content-encoding" not in client.reply().headers
        assert client.reply().headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (None, False),
        (b"", False),
        (b"gzip", True),
        (b"GZIP", True),
        (b"x-gzip", True),
        (b"deflate, gzip", True),
        (b"gzip;q=1.0", True),
        (b"gzip; q=0.001", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000", False),
        (b"gzip;q=abc", True),
        (b"identity", False),
        (b"*", False),
        (b"notgzip", False),
    ],
)
def test_accept_encoding(value: bytes | None, accepted: bool):
    assert accepts_gzip(value) is accepted
