"""The loop of one process: against the server that does nothing, and against servers that stall, refuse and go away."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hashrange_client.load.engine import Engine
from hashrange_client.load.replies import HttpReplies, left_out
from hashrange_client.load.requests import Step
from hashrange_client.load.schedule import arrivals
from hashrange_client.load.series import Series
from hashrange_client.load.sockets import Connector

from tests.bench.null_server import answer_of, serving

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
GOOD = answer_of(100)


class Constant:
    """The same request again and again; with `follow` each is followed by another."""

    def __init__(self, request: bytes = REQUEST, operation: str = "GetItem", follow: bool = False) -> None:
        self._step: Step = (
            operation,
            request,
            ("UpdateItem", request, "ReadModifyWrite") if follow else None,
        )
        self.given = 0

    def next(self) -> Step:
        self.given += 1
        return self._step


@contextlib.contextmanager
def null_server() -> Iterator[int]:
    """The server that does nothing, in a thread; its port."""
    port: list[int] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def serve(end: asyncio.Event) -> None:
        async with serving() as url:
            port.append(int(url.rpartition(":")[2]))
            ready.set()
            await end.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    end = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(end)))
    thread.start()
    assert ready.wait(10)
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


@contextlib.contextmanager
def scripted(serve: Callable[[socket.socket, int], None]) -> Iterator[int]:
    """A server whose connections are served by a function in a thread each (connection, its number); its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def guarded(connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            serve(connection, number)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                thread = threading.Thread(target=guarded, args=(connection, len(threads)))
                threads.append(thread)
                thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join(10)


def load(
    port: int,
    *,
    source: Constant | None = None,
    connections: int = 4,
    count: int | None = None,
    seconds: float | None = None,
    warm_up_s: float = 0.0,
    rate: float | None = None,
    backlog: int = 1_000,
) -> tuple[Series, list[dict[str, Any]], dict[str, float]]:
    """Run an engine; the merged counts, all that it told, and its result."""
    told: list[dict[str, Any]] = []
    source = source or Constant()
    due = None if rate is None else (lambda start: arrivals("constant", rate, start, lambda: 0.5))
    engine = Engine(Connector("127.0.0.1", port), HttpReplies(), source, told.append, due, backlog)
    engine.connect(connections)
    begin = time.perf_counter()
    measured = begin + warm_up_s
    result = engine.run(begin, measured, None if seconds is None else measured + seconds, count)
    series = Series(1)
    for message in told:
        if "second" in message:
            series.add(message)
    series.finish()
    return series, told, result


def total(series: Series, operation: str = "GetItem") -> int:
    return series.operations[operation].total()


def test_a_closed_loop_keeps_every_connection_busy_until_the_count_is_done() -> None:
    with null_server() as port:
        source = Constant()
        series, told, result = load(port, source=source, count=5_000)
    assert total(series) == source.given == 5_000
    assert not series.errors
    assert series.rows[-1]["requests"] > 0
    assert result["cpu_s"] > 0
    assert told[-1]["second"] == len(series.rows) - 1


def test_time_ends_a_run_and_the_warm_up_is_not_counted() -> None:
    with null_server() as port:
        source = Constant()
        series, _, result = load(port, source=source, seconds=0.4, warm_up_s=0.3)
    assert 0.4 <= result["seconds"] < 10
    assert 0 < total(series) < source.given


def test_two_requests_that_belong_together_are_counted_alone_and_together() -> None:
    with null_server() as port:
        series, _, _ = load(port, source=Constant(follow=True), count=300)
    assert [total(series, name) for name in ("GetItem", "UpdateItem", "ReadModifyWrite")] == [300] * 3
    whole = max(series.operations["ReadModifyWrite"])
    assert whole >= min(series.operations["GetItem"]) + min(series.operations["UpdateItem"])


def test_a_schedule_is_kept_by_few_connections() -> None:
    with null_server() as port:
        series, _, result = load(port, connections=2, rate=400.0, seconds=1.0)
    assert total(series) + series.unsent == pytest.approx(400, abs=2)
    assert result["seconds"] >= 0.99


def answer_each(connection: socket.socket, answer: Callable[[int], bytes]) -> None:
    """Answer requests one by one; an empty answer ends the connection."""
    number, data = 0, b""
    while True:
        while REQUEST not in data:
            more = connection.recv(65_536)
            if not more:
                return
            data += more
        data = data[len(REQUEST) :]
        reply = answer(number)
        if not reply:
            return
        connection.sendall(reply)
        number += 1


def test_a_stalled_server_is_charged_for_what_was_due_meanwhile() -> None:
    stall_s = 0.4

    def serve(connection: socket.socket, _number: int) -> None:
        def answer(number: int) -> bytes:
            if number == 20:
                time.sleep(stall_s)
            return GOOD

        answer_each(connection, answer)

    with scripted(serve) as port:
        by_clock, _, _ = load(port, connections=1, rate=200.0, seconds=1.0)
        by_answer, _, _ = load(port, connections=1, seconds=1.0)
    late = sum(
        times for latency, times in by_clock.operations["GetItem"].items() if latency > stall_s * 1e6 / 2
    )
    assert late >= 200 * stall_s / 2 - 5  # half of those that were due during the stall waited for half of it
    slow = sum(
        times for latency, times in by_answer.operations["GetItem"].items() if latency > stall_s * 1e6 / 2
    )
    assert 1 <= slow < late / 4  # in a closed loop the one request that was stalled


def test_what_is_due_beyond_the_backlog_is_told_as_never_sent() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        def answer(_number: int) -> bytes:
            time.sleep(0.05)
            return GOOD

        answer_each(connection, answer)

    with scripted(serve) as port:
        series, _, _ = load(port, connections=1, rate=500.0, seconds=1.2, backlog=50)
    assert series.rows[0]["backlog"] == 50
    assert total(series) + series.unsent == pytest.approx(600, abs=3)
    assert series.unsent > 400


@pytest.mark.parametrize("cut", [1, 30, 150, len(GOOD) - 1])
def test_replies_in_pieces_are_whole(cut: int) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def answer(_number: int) -> bytes:
            connection.sendall(GOOD[:cut])
            time.sleep(0.001)
            return GOOD[cut:]

        answer_each(connection, answer)

    with scripted(serve) as port:
        series, _, _ = load(port, connections=2, count=60)
    assert (total(series), dict(series.errors)) == (60, {})


def test_errors_and_throttles_are_counted_by_type() -> None:
    body = b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"No."}'
    bad = b"HTTP/1.1 400 X\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    worse = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"

    def serve(connection: socket.socket, _number: int) -> None:
        answer_each(connection, lambda number: (GOOD, bad, worse)[number % 3])

    with scripted(serve) as port:
        series, _, _ = load(port, connections=1, count=300)
    assert total(series) == 100
    assert series.errors == {"ThrottlingException": 100, "HTTP 503": 100}
    assert series.throttled == 100


def test_connections_that_end_are_opened_again() -> None:
    closing = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)

    def serve(connection: socket.socket, number: int) -> None:
        if number % 2:
            answer_each(connection, lambda place: closing if place == 4 else GOOD)
        else:
            answer_each(connection, lambda place: b"" if place == 5 else GOOD)

    with scripted(serve) as port:
        series, _, _ = load(port, connections=2, count=400)
    assert total(series) + series.errors.total() == 400
    assert set(series.errors) == {"connection lost"}
    assert 10 < series.errors.total() < 60


def test_a_server_that_is_gone_does_not_hold_a_run_up_for_ever() -> None:
    connected = threading.Event()

    def serve(connection: socket.socket, _number: int) -> None:
        connected.set()
        answer_each(connection, lambda number: GOOD if number < 3 else b"")

    refused: list[tuple[Series, list[dict[str, Any]], dict[str, float]]] = []
    with scripted(serve) as port:
        thread = threading.Thread(target=lambda: refused.append(load(port, connections=1, seconds=1.0)))
        thread.start()
        assert connected.wait(10)
    thread.join(20)
    (series, _, _) = refused[0]
    assert "connection refused" in series.errors


def test_what_is_no_http_is_told() -> None:
    with scripted(
        lambda connection, _number: answer_each(connection, lambda _n: b"+PONG\r\n\r\n" * 9)
    ) as port:
        series, _, _ = load(port, connections=1, count=3)
    assert any(kind.startswith("protocol: ") for kind in series.errors)


def test_batches_that_were_done_in_part_count_as_throttled() -> None:
    assert left_out(b'{"UnprocessedItems":{"t":[1]}}')
    assert not left_out(b'{"UnprocessedItems":{},"UnprocessedKeys": {}}')
    body = b'{"UnprocessedItems":{"t":[{"PutRequest":{}}]}}'
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with scripted(lambda connection, _number: answer_each(connection, lambda _n: reply)) as port:
        series, _, _ = load(port, source=Constant(operation="BatchWriteItem"), connections=2, count=50)
    assert (total(series, "BatchWriteItem"), series.throttled) == (50, 50)


def test_the_usual_reply_is_recognised_only_when_it_is_whole() -> None:
    replies = HttpReplies()
    assert not replies.whole(GOOD)  # the first one is read in full, and teaches how the length is written
    outcome = replies.reader().feed(GOOD)
    assert outcome is not None
    assert outcome.error == ""
    assert replies.whole(GOOD)
    assert not replies.whole(GOOD[:-1])
    assert not replies.whole(GOOD + b"x")
    assert not replies.whole(GOOD.replace(b" 200 ", b" 500 "))
    assert not replies.whole(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
