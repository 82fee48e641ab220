"""The HTTP front against arbitrary input: how a stream is cut does not matter, and nothing crashes or hangs it.

One server serves all examples; after each it must still answer.
"""

from __future__ import annotations

import gzip
import socket
import zlib
from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
from hashrange_router.http import HttpLimits, Request
from hashrange_router.http.encoding import BrokenEncodingError, InflatedTooLargeError, inflate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.http_support import Client, Front, chunked, description, post

LIMITS = HttpLimits(
    head_bytes_max=1024,
    body_bytes_max=4096,
    requests_in_flight_max=16,
    compress_from_bytes=2000,
    head_timeout_s=5,
    body_timeout_s=5,
    linger_s=0.5,
)
TIGHT = replace(LIMITS, requests_in_flight_max=1, head_bytes_max=256, write_buffer_bytes=1)

relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Shuffling:
    """Answers at once or together with a later request, in any order, as the request's body decides."""

    def __init__(self) -> None:
        self._late: list[Request] = []

    def __call__(self, request: Request) -> None:
        if request.header(b"x-late") is not None:
            self._late.append(request)
            return
        if request.header(b"x-flush") is not None:
            for late in reversed(self._late):
                late.reply(200, description(late))
            self._late.clear()
        request.reply(200, description(request))


@pytest.fixture(scope="module")
def front():
    with Front(Shuffling(), LIMITS) as running:
        yield running
        failed = running.statistics()["requests_failed"]
    assert failed == 0


@pytest.fixture(scope="module")
def tight():
    """A server that holds back what it can: one request in flight, small pieces, writing paused at once."""
    with Front(description_only, TIGHT) as running:
        yield running


def description_only(request: Request) -> None:
    request.reply(200, description(request))


bodies = st.binary(max_size=300)
header_lines = st.lists(
    st.sampled_from(["X-A: 1", "X-B:   two words ", "x-a: again", "Connection: keep-alive", "Origin: me"]),
    max_size=3,
    unique=True,
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    lines = draw(header_lines)
    body = draw(bodies)
    match draw(st.sampled_from(["plain", "plain", "chunked", "gzip", "get", "upgrade", "late"])):
        case "plain":
            return post(body, *lines)
        case "chunked":
            parts = draw(st.lists(st.binary(min_size=1, max_size=50), max_size=4))
            return chunked(*parts, trailers=b"X-T: 1\r\n", lines=tuple(lines))
        case "gzip":
            return post(gzip.compress(body, mtime=0), "Content-Encoding: gzip", *lines)
        case "upgrade":
            return post(body, "Upgrade: h2c", "Connection: Upgrade")
        case "late":
            return post(body, "X-Late: 1")
        case _:
            return b"GET /some/path HTTP/1.1\r\nHost: x\r\n\r\n"


def cuts(data: bytes, positions: list[int]) -> list[bytes]:
    edges = [0, *sorted({position % (len(data) + 1) for position in positions}), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if end > start]


def answers(client: Client, pieces: list[bytes], count: int) -> list[tuple[int, object]]:
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        client.send(piece)
    replies = [client.reply() for _ in range(count)]
    for reply in replies:
        assert int(reply.headers["x-amz-crc32"]) == zlib.crc32(reply.body)
    return [(reply.status, orjson.loads(reply.body)) for reply in replies]


streams = st.lists(requests(), min_size=1, max_size=8)
positions_to_cut = st.lists(st.integers(0, 4000), max_size=30)


@relaxed
@given(stream=streams, positions=positions_to_cut)
def test_how_a_stream_is_cut_does_not_matter(front: Front, stream: list[bytes], positions: list[int]):
    stream = [*stream, post(b"end", "X-Flush: 1")]
    with front.connect() as whole:
        expected = answers(whole, [b"".join(stream)], len(stream))
    with front.connect() as cut:
        assert answers(cut, cuts(b"".join(stream), positions), len(stream)) == expected


@relaxed
@given(stream=streams, positions=positions_to_cut)
def test_holding_requests_back_does_not_matter(
    front: Front, tight: Front, stream: list[bytes], positions: list[int]
):
    stream = [one for one in stream if b"X-Late" not in one]
    with front.connect() as free:
        expected = answers(free, stream, len(stream))
    with tight.connect() as held:
        assert answers(held, cuts(b"".join(stream), positions), len(stream)) == expected


@relaxed
@given(st.binary(min_size=1, max_size=3000))
def test_garbage_is_refused_or_ignored(front: Front, data: bytes):
    survives(front, data)


fragments = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"POST / HTTP/1.1\r\n",
                b"GET /",
                b" HTTP/1.0\r\n",
                b"Host: x\r\n",
                b"Content-Length: 5\r\n",
                b"Content-Length: 99999\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Encoding: gzip\r\n",
                b"Connection: close\r\n",
                b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
                b"Expect: 100-continue\r\n",
                b"CONNECT x:1 HTTP/1.1\r\n",
                b"\r\n",
                b"5\r\nhello\r\n",
                b"0\r\n\r\n",
                b"ffffffffff\r\n",
                b"hello",
                b"X: " + b"x" * 1100 + b"\r\n",
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=15,
)


@relaxed
@given(parts=fragments, positions=st.lists(st.integers(0, 4000), max_size=10))
def test_almost_http_is_answered_refused_or_waited_for(
    front: Front, parts: list[bytes], positions: list[int]
):
    survives(front, b"".join(parts), positions)


@relaxed
@given(
    stream=st.lists(requests(), min_size=1, max_size=3),
    position=st.integers(0, 4000),
    byte=st.binary(min_size=1, max_size=1),
)
def test_one_byte_changed(front: Front, stream: list[bytes], position: int, byte: bytes):
    data = b"".join(stream)
    position %= len(data)
    survives(front, data[:position] + byte + data[position + 1 :])


def survives(front: Front, data: bytes, positions: list[int] | None = None) -> None:
    """Sends data and the end of the stream: the server must close in the end, and answer the next client."""
    with front.connect() as client:
        try:
            for piece in cuts(data, positions or []):
                client.send(piece)
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        # Requests held back by the application are released by another client.
        assert front.exchange(post(b"", "X-Flush: 1")).status == 200
        client.rest()
    assert front.exchange(post(b"still here")).json()["body"] == "still here"


@given(st.binary(max_size=2000), st.sampled_from([b"gzip", b"deflate", b"identity", b"br"]))
def test_inflating_garbage_never_raises_anything_else(data: bytes, encoding: bytes):
    try:
        assert len(inflate(encoding, data, 1000)) <= max(1000, len(data))
    except (BrokenEncodingError, InflatedTooLargeError):
        pass


@given(st.lists(st.binary(max_size=500), min_size=1, max_size=5), st.integers(0, 3000))
def test_inflating_is_the_inverse_of_compressing(members: list[bytes], limit: int):
    whole = b"".join(members)
    data = b"".join(gzip.compress(member) for member in members)
    if len(whole) <= limit:
        assert inflate(b"gzip", data, limit) == whole
    else:
        with pytest.raises(InflatedTooLargeError):
            inflate(b"gzip", data, limit)
