"""The loop of one process: all its connections on one epoll, closed loop or fixed rate, every reply counted.

No event loop and no callbacks: a tick asks the kernel which connections have replies, stamps the time once,
and for each counts the reply and sends the next request. At most one request is under way on a connection. In
a closed loop a connection sends as soon as it has its answer; at a fixed rate the schedule says when a request
is due, and it goes out on any connection that is idle, or waits in a backlog until one is. Latencies count from when a
request was sent (closed loop) or due (fixed rate) up to the tick that saw its reply.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol

from hashrange_client.load.replies import ProtocolError, Replies, left_out
from hashrange_client.load.requests import Step
from hashrange_client.load.sockets import Connection, Connector
from hashrange_client.load.tally import Tally

SECOND_S = 1.0
PROGRESS_S = 0.25
ANSWER_TIMEOUT_S = 60
DRAIN_TIMEOUT_S = 10.0
RECONNECT_PAUSE_S = 0.1
EVENTS_MAX = 256
NO_ANSWER = "no answer"
LOST = "connection lost"
REFUSED = "connection refused"
NEVER = float("inf")

Emit = Callable[[dict[str, Any]], None]


class Source(Protocol):
    """Where requests come from."""

    def next(self) -> Step:
        """The next request."""


class Engine:
    """Puts load on a server. `emit` is told the counts of every second, and progress in between.

    `arrivals` makes the due times from a start on; None is a closed loop.
    """

    def __init__(
        self,
        connector: Connector,
        replies: Replies,
        source: Source,
        emit: Emit,
        arrivals: Callable[[float], Iterator[float]] | None = None,
        backlog_max: int = 10_000,
    ) -> None:
        self._epoll = select.epoll()
        self._connector = connector
        self._replies = replies
        self._next = source.next
        self._emit = emit
        self._arrivals = arrivals
        self._backlog_max = backlog_max
        self._backlog: deque[float] = deque()
        self._due: Iterator[float] | None = None
        self._next_due = NEVER
        self._connections: dict[int, Connection] = {}
        self._closed: list[tuple[float, Connection]] = []
        self._idle: deque[Connection] = deque()
        self._tally = Tally()
        self._left = 1 << 62
        self._stopping = False
        self._second = 0
        self._second_ends = NEVER
        self._progress_at = NEVER

    def connect(self, count: int) -> None:
        """Open the connections; raises OSError when nobody answers."""
        for _ in range(count):
            connection = Connection(self._connector.open())
            self._enter(connection)
            self._idle.append(connection)

    def run(
        self, begin: float, measure_from: float, until: float | None, count: int | None
    ) -> dict[str, float]:
        """Send from `begin` on, count from `measure_from` on, until `until` or for `count` requests.

        Times are of `perf_counter`. Returns {"seconds": measured, "cpu_s": processor time of this process meanwhile}.
        """
        time.sleep(max(0.0, begin - perf_counter()))
        if measure_from > begin:
            self._set_out(begin)
            self._loop(lambda now: now >= measure_from or self._stopping, measure_from)
            self._forget()
        cpu_before = time.process_time()
        self._second_ends = measure_from + SECOND_S
        self._progress_at = measure_from + PROGRESS_S
        if count is not None:
            self._left = count
        self._set_out(measure_from)
        end = NEVER if until is None else until
        self._loop(lambda now: now >= end or self._stopping or (self._left <= 0 and self._is_quiet()), end)
        self._drain()
        seconds = perf_counter() - measure_from
        used = time.process_time() - cpu_before
        self._emit(self._tally.take(self._second, len(self._backlog)))
        for connection in self._connections.values():
            connection.close()
        self._epoll.close()
        return {"seconds": seconds, "cpu_s": used}

    def stop(self) -> None:
        """End the measurement early: what was counted so far is told as if its time were over."""
        self._stopping = True

    def _set_out(self, now: float) -> None:
        """Begin to send on all connections that are idle."""
        if self._arrivals is not None:
            self._due = self._arrivals(now)
            self._next_due = next(self._due)
            self._backlog.clear()
            return
        idle, self._idle = self._idle, deque()
        for connection in idle:
            self._start(connection, perf_counter())

    def _forget(self) -> None:
        """The warm-up is over: what is under way will not be counted, and its connections go on by themselves."""
        for connection in self._connections.values():
            connection.operation, connection.follow, connection.whole = "", None, ""
        self._tally.reset()

    def _is_quiet(self) -> bool:
        return not self._backlog and not self._waiting()

    def _drain(self) -> None:
        """Wait for the last answers; what does not come counts as an error, and what was not sent as unsent."""
        self._left = 0
        self._due, self._next_due = None, NEVER
        self._tally.unsent += len(self._backlog)
        self._backlog.clear()
        deadline = perf_counter() + DRAIN_TIMEOUT_S
        self._loop(lambda now: now >= deadline or not self._waiting(), deadline)
        for connection in self._connections.values():
            if connection.waiting and connection.operation:
                self._tally.fail(NO_ANSWER)

    def _waiting(self) -> bool:
        return any(connection.waiting for connection in self._connections.values())

    def _loop(self, over: Callable[[float], bool], end: float) -> None:
        connections = self._connections
        now = perf_counter()
        while not over(now):
            events = self._events(now, end)
            now = perf_counter()
            if now >= self._progress_at:
                self._report(now)
            for number, mask in events:
                connection = connections.get(number)
                if connection is not None:
                    self._ready(connection, mask, now)
            if self._next_due <= now:
                self._fall_due(now)
            if self._closed:
                self._reopen(now)

    def _events(self, now: float, end: float) -> list[tuple[int, int]]:
        """What is ready, when something is or is due. `select` waits for parts of a millisecond, epoll does not."""
        until = min(end, self._next_due, self._progress_at, now + PROGRESS_S)
        if self._closed:
            until = min(until, self._closed[0][0])
        if self._due is None:
            return self._epoll.poll(max(0.0, until - now), EVENTS_MAX)
        events = self._epoll.poll(0, EVENTS_MAX)
        if not events and until > now:
            select.select([self._epoll], (), (), until - now)
            events = self._epoll.poll(0, EVENTS_MAX)
        return events

    def _ready(self, connection: Connection, mask: int, now: float) -> None:
        if connection.connecting:
            self._connected(connection, now)
            return
        if connection.unsent:
            self._send_rest(connection)
            if not mask & ~select.EPOLLOUT:
                return
        data = connection.receive()
        if data is None:
            return
        if not data:
            self._lost(connection, now)
        elif connection.reader is None and self._replies.whole(data):
            self._answered(connection, now, data)
        else:
            self._odd(connection, data, now)

    def _answered(self, connection: Connection, now: float, data: bytes) -> None:
        """Count a success and go on."""
        if not connection.waiting:
            return
        self._count(connection, now, data)
        follow = connection.follow
        if follow is None:
            if connection.whole:
                self._tally.counts[connection.whole][int((now - connection.whole_started) * 1e6)] += 1
                connection.whole = ""
            self._go_on(connection, now)
        else:
            connection.operation, request, connection.whole = follow
            connection.follow = None
            connection.whole_started = connection.started
            connection.started = perf_counter()
            self._send(connection, request)

    def _count(self, connection: Connection, now: float, data: bytes) -> None:
        operation = connection.operation
        self._tally.counts[operation][int((now - connection.started) * 1e6)] += 1
        if operation[:5] == "Batch" and left_out(data):
            self._tally.throttled += 1

    def _answered_last(self, connection: Connection, now: float, data: bytes) -> None:
        """Count the success that a connection ends with; a request that was to follow it is lost with that."""
        if not connection.waiting:
            return
        self._count(connection, now, data)
        if connection.follow is not None:
            connection.operation = connection.follow[0] if connection.operation else ""
            self._fail(connection, LOST)
        elif connection.whole:
            self._tally.counts[connection.whole][int((now - connection.whole_started) * 1e6)] += 1
        connection.waiting, connection.whole = False, ""

    def _go_on(self, connection: Connection, now: float) -> None:
        connection.waiting = False
        if self._arrivals is None:
            self._start(connection, 0.0)
        elif self._backlog:
            self._start(connection, self._backlog.popleft())
        else:
            self._idle.append(connection)

    def _start(self, connection: Connection, due: float) -> None:
        """Send the next request; `due` 0 means now."""
        if self._left <= 0:
            self._idle.append(connection)
            return
        self._left -= 1
        connection.operation, request, connection.follow = self._next()
        connection.waiting = True
        connection.age_s = 0
        connection.started = due or perf_counter()
        self._send(connection, request)

    def _send(self, connection: Connection, request: bytes) -> None:
        sent = connection.send(request)
        if sent != len(request):
            connection.unsent = request[sent:]
            self._epoll.modify(connection.number, select.EPOLLIN | select.EPOLLOUT)

    def _send_rest(self, connection: Connection) -> None:
        rest = connection.unsent
        connection.unsent = rest[connection.send(rest) :]
        if not connection.unsent:
            self._epoll.modify(connection.number, select.EPOLLIN)

    def _odd(self, connection: Connection, data: bytes, now: float) -> None:
        """A reply in pieces, an error, the first of a connection, or no reply at all."""
        if connection.reader is None:
            connection.reader = self._replies.reader()
        try:
            outcome = connection.reader.feed(data)
        except ProtocolError as error:
            self._fail(connection, f"protocol: {error}")
            self._lost(connection, now)
            return
        if outcome is None:
            return
        connection.reader = None
        if not outcome.keep_alive:
            self._leave(connection)
            self._closed.append((now, connection))
        if not outcome.error:
            if outcome.keep_alive:
                self._answered(connection, now, data)
            else:
                self._answered_last(connection, now, data)
        else:
            self._fail(connection, outcome.error)
            if outcome.keep_alive:
                self._go_on(connection, now)

    def _fail(self, connection: Connection, kind: str) -> None:
        if connection.waiting and connection.operation:
            self._tally.fail(kind)
        connection.waiting = False
        connection.follow, connection.whole = None, ""

    def _fall_due(self, now: float) -> None:
        """Send what is due, as far as connections are idle; the rest waits."""
        due, idle, backlog = self._due, self._idle, self._backlog
        assert due is not None
        while self._next_due <= now:
            if self._left <= 0:
                self._next_due = NEVER
                return
            if idle:
                self._start(idle.popleft(), self._next_due)
            elif len(backlog) < self._backlog_max:
                backlog.append(self._next_due)
            else:
                self._tally.unsent += 1
            self._next_due = next(due)

    def _report(self, now: float) -> None:
        """Tell progress; and when a second is over, what it had. Connections that wait too long are given up."""
        while now >= self._second_ends:
            self._emit(self._tally.take(self._second, len(self._backlog)))
            self._second += 1
            self._second_ends += SECOND_S
            for connection in list(self._connections.values()):
                connection.age_s += 1
                if connection.waiting and connection.age_s > ANSWER_TIMEOUT_S:
                    self._fail(connection, NO_ANSWER)
                    self._lost(connection, now)
        self._progress_at = min(now + PROGRESS_S, self._second_ends)
        self._emit({"done": self._tally.done, "errors": self._tally.failed})

    def _enter(self, connection: Connection) -> None:
        self._connections[connection.number] = connection
        wanted = select.EPOLLOUT if connection.connecting else select.EPOLLIN
        self._epoll.register(connection.number, wanted)

    def _leave(self, connection: Connection) -> None:
        self._connections.pop(connection.number, None)
        with suppress(OSError):  # closed already, if it could not be made ready for use
            self._epoll.unregister(connection.number)
        with suppress(ValueError):
            self._idle.remove(connection)
        connection.close()

    def _lost(self, connection: Connection, now: float) -> None:
        self._fail(connection, LOST)
        self._leave(connection)
        self._closed.append((now, connection))

    def _reopen(self, now: float) -> None:
        while self._closed and self._closed[0][0] <= now:
            _, connection = self._closed.pop(0)
            try:
                connection.reopen(self._connector.begin())
            except OSError:
                self._refused(connection, now)
                continue
            self._enter(connection)

    def _connected(self, connection: Connection, now: float) -> None:
        """A connection that was opened anew is there, or was refused."""
        try:
            self._connector.finish(connection)
        except OSError:
            self._leave(connection)
            self._refused(connection, now)
            return
        self._epoll.modify(connection.number, select.EPOLLIN)
        self._go_on(connection, now)

    def _refused(self, connection: Connection, now: float) -> None:
        """Nobody is there: the request that was to be sent is lost, and the connection tries again soon.

        At a fixed rate that is one that waits, if any does.
        """
        if self._arrivals is None:
            self._tally.fail(REFUSED)
            self._left -= 1
        elif self._backlog:
            self._backlog.popleft()
            self._left -= 1
            self._tally.fail(REFUSED)
        self._closed.append((now + RECONNECT_PAUSE_S, connection))
