"""Clients that do not read, do not send, stay too long or are too many; draining; counters."""

from __future__ import annotations

import socket
import threading

import pytest
from hashrange_router.http import Application, HttpLimits, Request, serve

from tests.unit.http_support import TIMEOUT_S, Front, Held, describe, post

KIB = 1024
MIB = 1024 * KIB


def big(request: Request) -> None:
    request.reply(200, b"x" * MIB)


def test_a_client_that_never_reads_is_not_served_further():
    answered = 0

    def app(request: Request) -> None:
        nonlocal answered
        answered += 1
        request.reply(200, b"x" * MIB)

    limits = HttpLimits(write_buffer_bytes=64 * KIB)
    with Front(app, limits) as front, front.connect(receive_buffer=4096) as client:
        client.socket.settimeout(0.5)
        sent = 0
        request = post(b"x" * 1000)
        try:
            while sent < 100 * MIB:
                sent += client.socket.send(request * 100)
        except TimeoutError:
            pass
        assert sent < 100 * MIB, "the server reads on although its answers are not taken"
        assert answered <= 8
        statistics = front.statistics()
        assert statistics["bytes_in"] < 1 * MIB
        # When it reads at last it gets everything, in order.
        client.socket.settimeout(TIMEOUT_S)
        for _ in range(12):
            assert client.reply().body == b"x" * MIB


def test_a_client_that_reads_slowly_gets_everything():
    with (
        Front(big, HttpLimits(write_buffer_bytes=64 * KIB)) as front,
        front.connect(receive_buffer=16 * KIB) as client,
    ):
        client.send(post() * 30)
        for _ in range(30):
            assert client.reply().body == b"x" * MIB
        client.send(post(b"", "Connection: close"))
        assert client.reply().body == b"x" * MIB
        assert client.closed()


def test_a_client_that_takes_nothing_is_cut_off():
    limits = HttpLimits(write_buffer_bytes=64 * KIB, write_stall_timeout_s=0.3)
    with (
        Front(lambda request: request.reply(200, b"x" * 20 * MIB), limits) as front,
        front.connect(receive_buffer=4096) as client,
    ):
        client.send(post())
        front.eventually(lambda s: s["connections_timed_out"] == 1 and s["connections_open"] == 0)


def test_a_closing_connection_whose_client_takes_nothing_is_cut_off():
    limits = HttpLimits(write_buffer_bytes=100 * MIB, write_stall_timeout_s=0.3)
    with (
        Front(lambda request: request.reply(200, b"x" * 20 * MIB), limits) as front,
        front.connect(receive_buffer=4096) as client,
    ):
        client.send(post(b"", "Connection: close"))
        front.eventually(lambda s: s["bytes_out"] > MIB)
        front.eventually(lambda s: s["connections_open"] == 0)


@pytest.mark.parametrize("data", [b"POST / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_does_not_come(data: bytes):
    with (
        Front(limits=HttpLimits(head_timeout_s=0.2, body_timeout_s=60)) as front,
        front.connect() as client,
    ):
        client.send(data)
        assert client.reply().status == 408
        assert client.closed()


def test_a_body_that_does_not_come():
    with Front(limits=HttpLimits(head_timeout_s=0.2, body_timeout_s=0.4)) as front:
        with front.connect() as client:
            client.send(post(b"1") + post(b"12345")[:-1])
            assert client.reply().json()["body"] == "1"
            assert client.reply().status == 408
        assert front.statistics()["requests_refused"] == 1


def test_a_head_that_comes_byte_by_byte_is_not_endless():
    with (
        Front(limits=HttpLimits(head_timeout_s=0.3, body_timeout_s=60)) as front,
        front.connect() as client,
    ):
        client.send(b"POST / HTTP/1.1\r\n")
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.02):
                try:
                    client.send(b"X: 1\r\n")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert client.reply().status == 408
        finally:
            stop.set()
            thread.join(TIMEOUT_S)


def test_idle_connections_close_without_a_word():
    with Front(limits=HttpLimits(idle_timeout_s=0.2)) as front:
        with front.connect() as used, front.connect() as unused:
            used.send(post())
            assert used.reply().status == 200
            assert used.closed()
            assert unused.closed()
        assert front.statistics()["connections_timed_out"] == 2


def test_a_request_in_flight_is_not_idle():
    held = Held()
    limits = HttpLimits(idle_timeout_s=0.1, head_timeout_s=0.1, body_timeout_s=0.1)
    with Front(held, limits) as front, front.connect() as client:
        client.send(post(b"1"))
        (request,) = held.wait(1)
        threading.Event().wait(0.5)
        front.call(lambda: request.reply(200, b"late"))
        assert client.reply().body == b"late"


def test_a_refused_client_does_not_stay():
    with Front(limits=HttpLimits(linger_s=0.2)) as front, front.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.reply().status == 400
        assert client.closed()  # the server's half
        assert front.statistics()["connections_lingering"] == 1
        front.eventually(lambda s: s["connections_lingering"] == 0 and s["connections_open"] == 0)


def test_one_connection_too_many():
    with Front(limits=HttpLimits(connections_max=2)) as front:
        with front.connect() as first, front.connect() as second, front.connect() as third:
            for client in (first, second):
                client.send(post())
                assert client.reply().status == 200
            third.send(post())
            reply = third.reply()
            assert reply.status == 503
            assert reply.json()["__type"].endswith("#ServiceUnavailable")
            assert third.closed()
            statistics = front.statistics()
            assert (statistics["connections_open"], statistics["connections_refused"]) == (2, 1)
        front.eventually(lambda s: s["connections_open"] == 0)
        assert front.exchange(post()).status == 200


# Draining.


def answers(port: int) -> bool:
    """Whether a new client is served."""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as late:
            late.sendall(post())
            return b"200 OK" in late.recv(100)
    except ConnectionError:
        return False


def test_drain_answers_what_is_in_flight():
    held = Held()
    with Front(held) as front, front.connect() as busy, front.connect() as idle:
        idle.send(post(b"0"))
        front.call(lambda request=held.wait(1)[0]: request.reply(200, b"0"))
        assert idle.reply().status == 200
        busy.send(post(b"1") + post(b"2"))
        requests = held.wait(3)[1:]
        draining = threading.Thread(target=front.drain, args=(TIMEOUT_S,))
        draining.start()
        assert idle.closed()
        # Refused by the kernel, or accepted before the listening socket was closed and then dropped.
        assert not answers(front.port)
        for request in requests:
            front.call(lambda request=request: request.reply(200, request.body))
        first, second = busy.reply(), busy.reply()
        assert (first.body, "connection" in first.headers) == (b"1", False)
        assert (second.body, second.headers["connection"]) == (b"2", "close")
        assert busy.closed()
        draining.join(TIMEOUT_S)
        assert not draining.is_alive()


def test_drain_lets_a_request_that_is_arriving_finish():
    with Front() as front, front.connect() as client:
        data = post(b"12345")
        client.send(data[:-2])
        front.eventually(lambda s: s["bytes_in"] == len(data) - 2)
        draining = threading.Thread(target=front.drain, args=(TIMEOUT_S,))
        draining.start()
        while not front.call(lambda: front.server.draining):
            pass
        client.send(data[-2:])
        reply = client.reply()
        assert (reply.json()["body"], reply.headers["connection"]) == ("12345", "close")
        assert client.closed()
        draining.join(TIMEOUT_S)


def test_drain_does_not_wait_for_ever():
    held = Held()
    with Front(held) as front, front.connect() as client:
        client.send(post(b"1"))
        (request,) = held.wait(1)
        front.drain(0.1)
        assert client.closed()
        front.call(lambda: request.reply(200, b"too late"))
        assert front.statistics()["connections_open"] == 0
        front.drain(0.1)


# Counters.


def test_statistics():
    with Front() as front:
        request = post(b"12345")
        with front.connect() as client:
            client.send(request * 3)
            received = sum(len(client.reply().body) for _ in range(3))
            statistics = front.statistics()
            assert statistics["connections_open"] == statistics["connections_accepted"] == 1
            assert statistics["requests"] == 3
            assert statistics["bytes_in"] == 3 * len(request)
            assert statistics["bytes_out"] > received
        after = front.eventually(lambda s: s["connections_open"] == 0)
        assert (after["requests"], after["bytes_in"]) == (3, 3 * len(request))
        assert all(isinstance(value, int) for value in after.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"head_bytes_max": 0},
        {"head_bytes_max": 100},
        {"body_bytes_max": 1000},
        {"body_bytes_total_max": 1000},
        {"idle_timeout_s": -1},
        {"body_timeout_s": 1},
    ],
)
def test_limits_are_validated(wrong: dict[str, int]):
    with pytest.raises(ValueError, match="_"):
        HttpLimits(**wrong)


def test_a_port_in_use():
    with Front() as front, pytest.raises(OSError, match="address already in use"):
        front.run(lambda: serve(describe, "127.0.0.1", front.port))


def test_several_servers_share_a_port():
    def named(name: bytes) -> Application:
        return lambda request: request.reply(200, name)

    with Front(named(b"a"), reuse_port=True) as first:
        with Front(named(b"b"), port=first.port, reuse_port=True) as second:
            assert first.port == second.port
            answers = {first.exchange(post()).body for _ in range(200)}
        assert answers == {b"a", b"b"}
        assert first.exchange(post()).body == b"a"
