"""The outgoing half of a connection: requests to the application, answers back in order, pressure, and the
end.

A submitted request joins `queue` (given to the application, not answered yet) and the application is called
at once. Answers leave in the order of the requests, whatever order they are given in.

`attention` is the one flag that the short way through a connection checks: it is set while new requests or
answers need care, that is while the client does not read (`pause_writing`), requests wait in the backlog, the
server is draining, the client has half-closed, or no further request is to be accepted.

Bounds. At most `requests_in_flight_max` requests are in `queue`; those parsed beyond it, or while the client
does not read, wait in the backlog, and reading pauses. Input is parsed in pieces, and parsing stops at the
end of a piece once anything waits: so the backlog holds the requests of one piece, unparsed input is one
read.

Refusals (malformed input, oversize, timeouts) are answers like others and wait their turn. After one the
connection lingers: input is thrown away until the client closes or `linger_s` passes, because closing with
unread input makes the kernel reset the connection, which may cost the client the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING, cast

from hashrange.errors import internal

from .encoding import accepts_gzip, compress
from .replies import NO_CONTENT_TYPE
from .request import Request

if TYPE_CHECKING:
    from .server import HttpServer

log = logging.getLogger(__name__)

_LINGERING_MAX = 1000

Handler = Callable[[Request], None]


class Delivery(asyncio.Protocol):
    """Order, pressure and end of one connection; the incoming half (HttpConnection) submits requests to
    it."""

    __slots__ = (
        "_app",
        "_at_boundary",
        "_backlog",
        "_deadline",
        "_draining",
        "_eof",
        "_last_seen",
        "_reading_paused",
        "_server",
        "_settling",
        "_transport",
        "_unparsed",
        "_write_paused",
        "attention",
        "bytes_out",
        "heads",
        "limits",
        "open",
        "queue",
    )

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._app = server.app
        self.limits = server.limits
        self.heads = server.heads
        self.open = False
        self.attention = False
        self.queue: deque[Request] = deque()
        self.bytes_out = 0
        self._transport = cast(asyncio.Transport, None)
        self._backlog: deque[tuple[Request, Handler]] = deque()
        self._unparsed = b""
        self._at_boundary = True  # no message has begun to arrive
        self._settling = False
        self._last_seen = False  # no further request is to be accepted
        self._draining = False
        self._eof = False
        self._reading_paused = False
        self._write_paused = False
        self._deadline = 0.0  # of what began last: the client not reading, lingering, closing

    def _receive(self, data: bytes) -> None:
        """Parses input that was held back. Supplied by the incoming half."""
        raise NotImplementedError

    def _release_body(self) -> None:
        """Drops the body of the message being received. Supplied by the incoming half."""
        raise NotImplementedError

    # The transport's callbacks.

    def pause_writing(self) -> None:
        """The client does not keep up: nothing more is read or dispatched until it does."""
        self._write_paused = self.attention = True
        self._deadline = self._server.now + self.limits.write_stall_timeout_s
        self._pause_reading()

    def resume_writing(self) -> None:
        """The client has taken most of what was buffered."""
        self._write_paused = False
        self.settle()

    def eof_received(self) -> bool:
        """The client has finished sending. Answers still owed are delivered before the connection closes."""
        if not self.open or not (self.queue or self._backlog):
            return False
        self._eof = self.attention = True
        # TLS has no half-closed connections; asyncio ignores the wish and warns about it.
        return self._transport.get_extra_info("sslcontext") is None

    # Requests.

    def _submit(self, request: Request, handler: Handler) -> None:
        """Dispatches a request, or keeps it waiting while the connection has enough to do."""
        if self._last_seen or not self.open:
            return
        if not request.keep_alive:
            self._last_seen = self.attention = True
        if self._backlog or not self._may_dispatch():
            self._backlog.append((request, handler))
            self.attention = True
            self._pause_reading()
        else:
            self._dispatch(request, handler)

    def _may_dispatch(self) -> bool:
        return not self._write_paused and len(self.queue) < self.limits.requests_in_flight_max

    def _dispatch(self, request: Request, handler: Handler) -> None:
        self.queue.append(request)
        try:
            handler(request)
        except Exception:
            self._application_failed(request)

    def _application_failed(self, request: Request) -> None:
        """An exception left the application: our bug. The client is told so if it was not answered."""
        log.exception("request failed", extra={"target": request.headers.get(b"x-amz-target")})
        self._server.failures += 1
        if not request.answered:
            error = internal()
            request.reply(error.status, error.body(), request.content_type)

    def _refuse(self, status: int) -> None:
        """Answers the message being received with an error, after the answers before it; no more is read."""
        if self._last_seen or not self.open:
            return
        self._server.refused_requests += 1
        self._at_boundary = True
        self._release_body()

        def answer(refused: Request) -> None:
            refused.reply(status, b"", NO_CONTENT_TYPE)

        self._submit(Request(self, b"", b"", {}, b"", monotonic(), keep_alive=False), answer)

    # Answers.

    def write(self, data: bytes) -> None:
        """Writes to the transport, which may have been closed without our knowing yet."""
        self.bytes_out += len(data)
        try:
            self._transport.write(data)
        except (RuntimeError, OSError):
            self.abort()

    def encode(self, body: bytes, headers: dict[bytes, bytes]) -> tuple[bytes, bytes]:
        """The body as sent and the header lines that say so: gzip when large and accepted, at a counted cost."""
        if len(body) <= self.limits.compress_from_bytes or not accepts_gzip(headers.get(b"accept-encoding")):
            return body, b""
        started_ns = perf_counter_ns()
        compressed = compress(body)
        self._server.compressed_replies += 1
        self._server.compression_ns += perf_counter_ns() - started_ns
        return compressed, b"content-encoding: gzip\r\n"

    def is_last(self, request: Request) -> bool:
        """Whether the answer to this request, given while draining, may announce the connection's end."""
        return self._draining and not self._backlog and self._at_boundary and self.queue[-1] is request

    def settle(self) -> None:
        """Sends answers whose turn has come; then lets in what waits, closes, or goes back to normal."""
        queue = self.queue
        while self.open and queue and (answer := queue[0].answer) is not None:
            request = queue.popleft()
            for chunk in answer:
                self.write(chunk)
            if not request.keep_alive:
                self._finish(refused=request.refused)
                return
        if self._settling or not self.open:
            return
        self._settling = True
        try:
            while self.open and self._may_dispatch():
                if self._backlog:
                    self._dispatch(*self._backlog.popleft())
                elif self._unparsed:
                    data, self._unparsed = self._unparsed, b""
                    self._receive(data)
                else:
                    break
        finally:
            self._settling = False
        if not self.open:
            return
        if not queue and not self._backlog and (self._eof or (self._draining and self._at_boundary)):
            self._close()
            return
        self._relax()

    def _relax(self) -> None:
        """Leaves the state of attention as far as nothing keeps it."""
        held = bool(self._write_paused or self._backlog or self._unparsed)
        if not held and self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        self.attention = held or self._draining or self._eof or self._last_seen

    def _pause_reading(self) -> None:
        if self.open and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    # The end.

    def _finish(self, refused: bool) -> None:
        """The last answer has been written."""
        self._last_seen = self.attention = True
        self.queue.clear()
        self._backlog.clear()
        self._unparsed = b""
        if refused:
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """Sends the end of stream, then reads and drops input until the client closes or time is up."""
        lingering = self._server.lingering
        possible = self.open and not self._eof and self._transport.can_write_eof()
        if not possible or len(lingering) >= _LINGERING_MAX:
            self._close()
            return
        self._deadline = self._server.now + self.limits.linger_s
        lingering.add(self)
        try:
            self._transport.write_eof()
        except (RuntimeError, OSError):
            self.abort()
            return
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()

    def _close(self) -> None:
        """Closes after what has been written is sent."""
        self.open = False
        self._deadline = self._server.now + self.limits.write_stall_timeout_s
        self._transport.close()

    def abort(self) -> None:
        """Closes at once, whatever is in flight."""
        self.open = False
        self._transport.abort()

    def drain(self) -> None:
        """Closes when the requests in flight are answered: at once when there are none."""
        self._draining = self.attention = True
        if self.open and not self._last_seen and not self.queue and not self._backlog and self._at_boundary:
            self._close()

    def waiting(self) -> int:
        """Requests parsed and not given to the application yet."""
        return len(self._backlog)

    def overdue(self, now: float) -> bool | None:
        """Cuts off a connection past the deadline of its end or of its client's not reading (True).

        False: such a deadline is running. None: none is, and the incoming half looks at its own.
        """
        if self.open and not self._write_paused:
            if self not in self._server.lingering:
                return None
            if self._transport.get_write_buffer_size() > 0:
                now -= self.limits.write_stall_timeout_s
        if now < self._deadline:
            return False
        self.abort()
        return True
