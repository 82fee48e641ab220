"""Requests on the wire: framing, keep-alive, pipelining, limits on sizes, malformed input."""

from __future__ import annotations

import socket

import pytest
from hashrange_router.http import HttpLimits, Request

from tests.unit.http_support import Client, Front, Held, chunked, post

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def front():
    with Front() as running:
        yield running


@pytest.fixture(scope="module")
def small():
    """A server with small limits."""
    limits = HttpLimits(head_bytes_max=512, body_bytes_max=2048, body_bytes_total_max=4096)
    with Front(limits=limits) as running:
        yield running


@pytest.fixture
def client(front):
    with front.connect() as connected:
        yield connected


def test_a_request_arrives_whole(client: Client):
    client.send(post(b'{"a":1}', "X-Amz-Target: DynamoDB_20120810.GetItem", target="/path?q=1"))
    assert client.reply().json() == {
        "method": "POST",
        "target": "/path?q=1",
        "headers": {
            "host": "localhost",
            "content-length": "7",
            "x-amz-target": "DynamoDB_20120810.GetItem",
        },
        "body": '{"a":1}',
    }


def test_connections_are_kept(client: Client):
    for number in range(5):
        client.send(post(b"%d" % number))
        reply = client.reply()
        assert reply.json()["body"] == str(number)
        assert "connection" not in reply.headers


def test_connection_close_is_honoured(client: Client):
    client.send(post(b"{}", "Connection: close"))
    assert client.reply().headers["connection"] == "close"
    assert client.closed()


def test_nothing_is_answered_after_connection_close(client: Client):
    client.send(post(b"1", "Connection: close") + post(b"2"))
    assert client.reply().json()["body"] == "1"
    assert client.closed()


def test_connection_keep_alive_is_confirmed(client: Client):
    client.send(post(b"{}", "Connection: keep-alive"))
    assert client.reply().headers["connection"] == "keep-alive"
    client.send(post())
    assert client.reply().status == 200


def test_http_1_0_closes(client: Client):
    client.send(post(version="HTTP/1.0"))
    assert client.reply().headers["connection"] == "close"
    assert client.closed()


def test_http_1_0_keep_alive(client: Client):
    client.send(post(b"1", "Connection: keep-alive", version="HTTP/1.0"))
    assert client.reply().headers["connection"] == "keep-alive"
    client.send(post(b"2", "Connection: keep-alive", version="HTTP/1.0"))
    assert client.reply().json()["body"] == "2"


def test_head_has_no_body(client: Client):
    client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert int(client.reply(head=True).headers["content-length"]) > 0
    client.send(post(b"next"))
    assert client.reply().json()["body"] == "next"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_reach_the_application(client: Client, method: str):
    client.send(f"{method} /x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert client.reply().json()["method"] == method


def test_repeated_headers_are_joined(client: Client):
    client.send(post(b"{}", "X-Thing: first", "x-thing: second"))
    assert client.reply().json()["headers"]["x-thing"] == "first,second"


def test_two_hosts_are_refused(client: Client):
    client.send(post(b"{}", "Host: other"))
    assert client.reply().status == 400
    assert client.closed()


def test_header_values_are_trimmed(client: Client):
    client.send(post(b"{}", "X-Spaced: \t  a  b \t "))
    assert client.reply().json()["headers"]["x-spaced"] == "a  b"


def test_header_without_a_value(client: Client):
    client.send(post(b"{}", "X-Empty:", "X-Next: 1"))
    headers = client.reply().json()["headers"]
    assert (headers["x-empty"], headers["x-next"]) == ("", "1")


def test_a_request_byte_by_byte(client: Client):
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in post(b"body", "X-One: 1") + post(b"again"):
        client.send(bytes([byte]))
    first, second = client.reply().json(), client.reply().json()
    assert (first["body"], first["headers"]["x-one"]) == ("body", "1")
    assert second["body"] == "again"


def test_chunked_body(client: Client):
    client.send(chunked(b"one, ", b"two, ", b"three") + post(b"next"))
    assert client.reply().json()["body"] == "one, two, three"
    assert client.reply().json()["body"] == "next"


def test_chunked_body_in_one_chunk_and_without_any(client: Client):
    client.send(chunked(b"all") + chunked())
    assert client.reply().json()["body"] == "all"
    assert client.reply().json()["body"] == ""


def test_trailers_do_not_become_headers(client: Client):
    client.send(chunked(b"x", trailers=b"Authorization: forged\r\nHost: forged\r\n"))
    headers = client.reply().json()["headers"]
    assert "authorization" not in headers
    assert headers["host"] == "localhost"


def test_expect_100_continue(client: Client):
    head, _, body = post(b"later", "Expect: 100-continue").partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.reply().status == 100
    client.send(body)
    assert client.reply().json()["body"] == "later"


def test_expect_with_the_body_at_once_needs_no_interim_answer(client: Client):
    client.send(post(b"now", "Expect: 100-continue"))
    assert client.reply().status == 200


def test_expect_for_too_large_a_body_is_refused_at_once(client: Client):
    client.send(
        f"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {17 * MIB}\r\n\r\n".encode()
    )
    assert client.reply().status == 413
    assert client.closed()


def test_offers_of_other_protocols_are_declined(client: Client):
    upgrade = (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    )
    client.send(post(b"first", *upgrade) + b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.reply().json()["body"] == "first"
    assert client.reply().json()["target"] == "/second"
    client.send(b"GET /third HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n")
    third = client.reply()
    assert (third.json()["target"], third.headers["connection"]) == ("/third", "close")
    assert client.closed()


def test_offers_of_other_protocols_with_a_body_in_pieces(client: Client):
    client.send(post(b"body" * 9000, "Connection: Upgrade", "Upgrade: h2c"))
    assert client.reply().json()["body"] == "body" * 9000


def test_connect_reaches_the_application(client: Client):
    client.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert client.reply().json()["method"] == "CONNECT"
    client.send(post(b"next"))
    assert client.reply().json()["body"] == "next"


# Sizes.


def test_a_body_of_exactly_the_limit(client: Client):
    body = b"x" * (16 * MIB)
    client.send(post(body))
    assert len(client.reply().json()["body"]) == len(body)


def test_a_body_over_the_limit_is_refused_by_its_length(client: Client):
    client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {16 * MIB + 1}\r\n\r\n".encode() + b"x" * 100)
    reply = client.reply()
    assert (reply.status, reply.headers["connection"], reply.body) == (413, "close", b"")
    assert client.closed()


def test_a_refused_upload_gets_its_answer_although_it_goes_on(client: Client):
    body = b"x" * (17 * MIB)
    with _maybe_broken():
        client.send(post(body))
    assert client.reply().status == 413


def test_a_chunked_body_over_the_limit(small: Front):
    with small.connect() as client:
        client.send(chunked(*[b"x" * 300] * 6))
        assert client.reply().status == 200
        client.send(chunked(*[b"x" * 300] * 7))
        assert client.reply().status == 413
        assert client.closed()


def test_a_content_length_over_a_small_limit(small: Front):
    assert small.exchange(post(b"x" * 2048)).status == 200
    assert small.exchange(post(b"x" * 2049)).status == 413


def test_bodies_of_all_connections_together_are_limited(small: Front):
    # Pieces of 512 bytes: the first of each body is not counted.
    with small.connect() as first, small.connect() as second, small.connect() as last:
        for client in (first, second):
            client.send(post(b"x" * 2000)[:-10])
        small.eventually(lambda s: s["body_bytes_arriving"] > 3000)
        last.send(post(b"x" * 2000)[:-10])
        assert last.reply().status == 503
        for client in (first, second):
            client.send(b"x" * 10)
            assert client.reply().status == 200
    assert small.eventually(lambda s: s["connections_open"] == 0)["body_bytes_arriving"] == 0


def test_a_header_block_over_the_limit(client: Client):
    client.send(post(b"", "X-Long: " + "x" * 16_500))
    assert client.reply().status == 431
    assert client.closed()


def test_many_headers_over_the_limit(client: Client):
    client.send(post(b"", *(f"X-{number}: {'v' * 50}" for number in range(300))))
    assert client.reply().status == 431


def test_a_header_block_under_the_limit(client: Client):
    client.send(post(b"", "X-Long: " + "x" * 16_000))
    assert client.reply().status == 200


def test_a_request_line_over_the_limit(client: Client):
    client.send(b"POST /" + b"x" * 17_000)
    assert client.reply().status == 431
    assert client.closed()


def test_a_header_that_never_ends(small: Front):
    with small.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nX: ")
        with _maybe_broken():
            for _ in range(100):
                client.send(b"x" * 50)
        assert client.reply().status == 431


def test_trailers_that_never_end(small: Front):
    with small.connect() as client:
        client.send(chunked(b"body")[:-2] + b"X-Trailer: ")
        with _maybe_broken():
            for _ in range(200):
                client.send(b"x" * 100)
        assert client.reply().status == 431


def test_a_long_head_after_pipelined_requests_is_not_blamed_on_them(small: Front):
    with small.connect() as client:
        # The piece that ends within the second head holds several whole requests before it.
        whole = post(b"1") * 4
        client.send(whole + b"POST / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 80)
        for _ in range(4):
            assert client.reply().status == 200
        client.send(b"a" * 200 + b"\r\nContent-Length: 0\r\n\r\n")
        assert client.reply().status == 200


# Malformed input.


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nBad Header: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_malformed_requests_are_refused(front: Front, data: bytes):
    with front.connect() as client:
        client.send(data)
        assert client.reply().status == 400
        assert client.closed()


def test_requests_before_a_malformed_one_are_answered(client: Client):
    client.send(post(b"1") + post(b"2") + b"nonsense\r\n\r\n" + post(b"3"))
    assert client.reply().json()["body"] == "1"
    assert client.reply().json()["body"] == "2"
    assert client.reply().status == 400
    assert client.closed()


# Pipelining and late answers.


def test_pipelined_requests_are_answered_in_order(client: Client):
    client.send(b"".join(post(b"%d" % number) for number in range(500)))
    for number in range(500):
        assert client.reply().json()["body"] == str(number)


def test_answers_given_out_of_order_are_sent_in_order():
    held = Held()
    with Front(held) as front, front.connect() as client:
        client.send(b"".join(post(b"%d" % number) for number in range(4)))
        requests = held.wait(4)
        for position in (2, 3, 1, 0):
            front.call(lambda request=requests[position]: request.reply(200, request.body))
        assert [client.reply().body for _ in range(4)] == [b"0", b"1", b"2", b"3"]


def test_requests_in_flight_are_limited():
    held = Held()
    limits = HttpLimits(requests_in_flight_max=3, head_bytes_max=256)
    with Front(held, limits) as front, front.connect() as client:
        client.send(b"".join(post(b"%d" % number) for number in range(200)))
        held.wait(3)
        statistics = front.eventually(lambda s: s["requests_waiting"] > 0)
        assert statistics["requests_in_flight"] == 3
        assert statistics["requests"] < 10, "parsing goes on although nothing is answered"
        answered = 0
        while answered < 200:
            requests = held.wait(answered + 1)
            for request in requests[answered:]:
                front.call(lambda request=request: request.reply(200, request.body))
                answered += 1
        assert [client.reply().body for _ in range(200)] == [b"%d" % number for number in range(200)]
        assert front.statistics()["requests_in_flight"] == 0


def test_an_application_that_answers_many_at_once():
    waiting: list[Request] = []

    def batching(request: Request) -> None:
        waiting.append(request)
        if len(waiting) == 4:
            for one in reversed(waiting):
                one.reply(200, one.body)
            waiting.clear()

    limits = HttpLimits(requests_in_flight_max=4, head_bytes_max=256)
    with Front(batching, limits) as front, front.connect() as client:
        client.send(b"".join(post(b"%d" % number) for number in range(100)))
        assert [client.reply().body for _ in range(100)] == [b"%d" % number for number in range(100)]


def test_a_half_closed_client_gets_its_answer():
    held = Held()
    with Front(held) as front, front.connect() as client:
        client.send(post(b"1") + post(b"2"))
        client.socket.shutdown(socket.SHUT_WR)
        requests = held.wait(2)
        front.eventually(lambda s: s["connections_open"] == 1)
        for request in requests:
            front.call(lambda request=request: request.reply(200, request.body))
        assert [client.reply().body, client.reply().body] == [b"1", b"2"]
        assert client.closed()


def test_a_client_gone_before_its_answer():
    held = Held()
    with Front(held) as front:
        client = front.connect()
        client.send(post(b"1") + post(b"2"))
        requests = held.wait(2)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.socket.close()
        front.eventually(lambda s: s["connections_open"] == 0)
        for request in requests:
            front.call(lambda request=request: request.reply(200, request.body))
        with front.connect() as other:
            other.send(post(b"3"))
            last = held.wait(3)[2]
            front.call(lambda: last.reply(200, last.body))
            assert other.reply().body == b"3"


def test_a_client_gone_within_a_request(front: Front):
    with front.connect() as client:
        client.send(post(b"x" * 1000)[:-500])
    with front.connect() as client:
        client.send(b"POST / HT")
    front.eventually(lambda s: s["connections_open"] <= 1)


def test_a_second_answer_is_an_error():
    errors: list[Exception] = []

    def twice(request: Request) -> None:
        request.reply(200, b"first")
        try:
            request.reply(200, b"second")
        except RuntimeError as error:
            errors.append(error)

    with Front(twice) as front, front.connect() as client:
        client.send(post() + post())
        assert [client.reply().body, client.reply().body] == [b"first", b"first"]
    assert len(errors) == 2


def test_an_application_that_raises(caplog: pytest.LogCaptureFixture):
    def failing(request: Request) -> None:
        if request.body == b"after":
            request.reply(200, b"answered")
        if request.body != b"fine":
            raise ValueError("a bug")
        request.reply(200, b"fine")

    with Front(failing) as front, front.connect() as client:
        client.send(post(b"before") + post(b"after") + post(b"fine"))
        reply = client.reply()
        assert reply.status == 500
        assert reply.json()["__type"] == "com.amazonaws.dynamodb.v20120810#InternalServerError"
        assert [client.reply().body, client.reply().body] == [b"answered", b"fine"]
        assert front.statistics()["requests_failed"] == 2
    assert "a bug" in caplog.text


class _maybe_broken:
    """Sending to a server that has refused the request may fail or not; the answer is what counts."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, ConnectionError)


def test_some_targets_take_longer_bodies():
    limits = HttpLimits(
        head_bytes_max=512,
        body_bytes_max=2048,
        body_bytes_total_max=1 << 20,
        long_body_prefix=b"/long/",
        long_body_bytes_max=40_000,
    )
    body = b"x" * 40_000
    with Front(limits=limits) as front:
        for sent in (post(body, target="/long/a"), chunked(body).replace(b"POST / ", b"POST /long/a ")):
            with front.connect() as client:
                client.send(sent)
                assert len(client.reply().json()["body"]) == len(body)
        for target, size in (("/long/a", 40_001), ("/long", 3000), ("/", 3000), ("/other?x=/long/", 3000)):
            with front.connect() as client:
                client.send(post(b"x" * size, target=target))
                assert client.reply().status == 413
