"""The incoming half of a connection: bytes in, requests out.

`data_received` hands input to httptools in pieces of at most `head_bytes_max`; the parser calls back
`on_url`, `on_header`, ..., `on_message_complete`, which makes a `Request` and calls the application, all
inside `data_received`. A request answered synchronously has its answer in the transport's buffer before that
returns. uvloop joins what is written in one tick into one system call, so pipelined answers need no joining
here.

The common case (a whole request in one piece, nothing before it, an answer without special headers) looks at
two marks, finds both clear, and goes straight through:

- `attention`: the connection is not in its ordinary state (see delivery.py).
- `_spanning`: the current message came in several parts (pieces, chunks) and needs care when it completes.

Limits on sizes are only checked for spanning messages: a message within one piece cannot pass them.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, cast

import httptools

from hashrange.errors import internal, unavailable

from .delivery import Delivery, Handler, log
from .encoding import BrokenEncodingError, InflatedTooLargeError, inflate
from .replies import JSON_1_0, NO_CONTENT_TYPE, preflight_lines
from .request import Request

if TYPE_CHECKING:
    from .server import HttpServer

_TRAILERS_MAX = 64


class HttpConnection(Delivery):
    """The protocol object of one connection. `Request.reply` is the only way an answer enters it."""

    __slots__ = (
        "_active_at",
        "_body",
        "_chunk_head_bytes",
        "_feed",
        "_head_checked",
        "_head_complete",
        "_headers",
        "_message_headers",
        "_more_body",
        "_parser",
        "_piece_bytes",
        "_seen_body_bytes",
        "_seen_requests",
        "_spanning",
        "_started_at",
        "_target",
        "bytes_in",
        "requests",
    )

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server)
        self.requests = 0
        self.bytes_in = 0
        self._piece_bytes = server.limits.head_bytes_max
        self._active_at = server.now
        self._seen_requests = -1
        self._started_at = 0.0
        self._new_parser()

    def _new_parser(self) -> None:
        """A parser at the start of a message. It binds the callbacks below once."""
        self._parser = httptools.HttpRequestParser(self)
        self._feed = self._parser.feed_data
        self._reset_message()

    def _reset_message(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._message_headers: dict[bytes, bytes] | None = None
        self._body = b""
        self._more_body: bytearray | None = None
        self._seen_body_bytes = 0
        self._chunk_head_bytes = 0
        self._at_boundary = True
        self._head_complete = False
        self._head_checked = False
        self._spanning = 0

    # The transport's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers the connection, or refuses it when there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self.open = True
        self._transport.set_write_buffer_limits(high=self.limits.write_buffer_bytes)
        if not self._server.admit(self):
            self._last_seen = self.attention = True
            error = unavailable("Too many connections.")
            for chunk in self.heads.whole(
                error.status, error.body(), JSON_1_0, lines=b"connection: close\r\n"
            ):
                self.write(chunk)
            self._linger()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets everything; requests in flight keep their Request, whose answer goes nowhere."""
        self.open = False
        self.attention = True
        self._server.forget(self)
        self._release_body()
        self.queue.clear()
        self._backlog.clear()
        self._unparsed = b""
        # The parser holds bound methods of this object: the pair would be garbage only the collector finds.
        del self._parser, self._feed
        self._reset_message()

    def data_received(self, data: bytes) -> None:
        """Parses input; complete requests reach the application from within."""
        size = len(data)
        self.bytes_in += size
        self._active_at = self._server.now
        if size > self._piece_bytes or self.attention:
            self._receive(data)
            return
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._parse_failed(error, data)
            return
        if not self._at_boundary:
            self._partial(size)

    # Input in pieces.

    def _receive(self, data: bytes) -> None:
        """Input that is large, or that arrives while something needs attention."""
        view = memoryview(data)
        for start in range(0, len(data), self._piece_bytes):
            if self._last_seen or not self.open:
                return
            if self._unparsed or self._backlog or self._write_paused:
                self._unparsed += data[start:]
                self._pause_reading()
                return
            piece = view[start : start + self._piece_bytes]
            try:
                self._feed(piece)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                self._parse_failed(error, bytes(piece))
                continue
            if not self._at_boundary:
                self._partial(len(piece))

    def _partial(self, size: int) -> None:
        """A piece of `size` bytes has been parsed and the message it belongs to is not complete yet."""
        if self._last_seen or not self.open:
            return
        if self.requests != self._seen_requests:
            # The message began in this piece. Its share of the piece is unknown when others completed in it,
            # so the count starts at next to nothing: the exact check follows when the head is complete.
            self._seen_requests = self.requests
            self._started_at = self._server.now
            self._spanning = 1 if self.requests else size
        else:
            self._spanning += size
        if not self._head_complete:
            if self._spanning > self.limits.head_bytes_max:
                self._refuse(431)
        elif not self._head_checked:
            self._head_checked = True
            self._check_head()
        elif self._message_headers is not None:
            self._check_chunked(size)

    def _check_head(self) -> None:
        """The head of a message whose body is still to come: refuse it now, or ask for the body."""
        headers = self._message_headers or self._headers
        if _head_size(self._target, headers) > self.limits.head_bytes_max:
            self._refuse(431)
            return
        length = headers.get(b"content-length", b"0")
        if len(length) > 20 or int(length) > self.limits.body_max(self._target):
            self._refuse(413)
        elif headers.get(b"expect", b"").lower() == b"100-continue" and not self.queue and not self._body:
            # With answers outstanding it would jump the queue; a client may not wait for it forever anyway.
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _check_chunked(self, size: int) -> None:
        """Chunk extensions and trailers are read and mostly dropped, but not without end."""
        body_bytes = len(self._body) + len(self._more_body or b"")
        if body_bytes != self._seen_body_bytes:
            self._seen_body_bytes = body_bytes
            self._chunk_head_bytes = 0
        self._chunk_head_bytes += size
        if self._chunk_head_bytes > 2 * self.limits.head_bytes_max or len(self._headers) > _TRAILERS_MAX:
            self._refuse(431)

    # The parser's callbacks.

    def on_url(self, url: bytes) -> None:
        """The target, possibly in several parts."""
        self._target += url
        self._at_boundary = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Repeated ones are joined as HTTP allows and as signatures canonicalise them."""
        headers = self._headers
        name = name.lower()
        if name in headers:
            if name == b"host":
                self._refuse(400)
            headers[name] += b"," + value.rstrip()
        else:
            headers[name] = value.rstrip()  # the parser only removes the blanks before it

    def on_headers_complete(self) -> None:
        """The head is complete; a message may end in the same piece, so nothing is checked yet."""
        self._head_complete = True

    def on_chunk_header(self) -> None:
        """The headers of a chunked message are final: trailers must not add to them."""
        if self._message_headers is None:
            self._message_headers = self._headers
            self._headers = {}
            self._spanning = self._spanning or 1

    def on_body(self, data: bytes) -> None:
        """A part of the body. The first one, often the only one, is kept as it is."""
        if not self._body:
            self._body = data
            return
        if self._last_seen:
            return
        # One growing buffer, not a list: a body sent byte by byte must not cost an object for each.
        if self._more_body is None:
            self._more_body = bytearray()
            self._spanning = self._spanning or 1
        self._more_body += data
        self._server.body_bytes += len(data)
        if len(self._body) + len(self._more_body) > self.limits.body_max(self._target):
            self._refuse(413)
        elif self._server.body_bytes > self.limits.body_bytes_total_max:
            self._refuse(503)

    def _release_body(self) -> None:
        """Gives the bytes of a body that arrived in parts back to the server's account."""
        if self._more_body is not None:
            self._server.body_bytes -= len(self._more_body)
            self._more_body = None

    def on_message_complete(self) -> None:
        """A request is there: hands it over and makes ready for the next."""
        parser = self._parser
        if self._spanning and not self._finish_spanning():
            return
        headers = self._headers
        if b"upgrade" in headers and parser.should_upgrade():
            return  # the parser has skipped the body and stops here: see _decline_upgrade
        request = Request(
            self,
            parser.get_method(),
            self._target,
            headers,
            self._body,
            monotonic(),
            parser.should_keep_alive(),
        )
        self._headers = {}
        self._target = self._body = b""
        self._at_boundary = True
        self._head_complete = False
        self.requests += 1
        if b"content-encoding" in headers or b"origin" in headers or self.attention:
            self._submit(request, self._handler(request))
            return
        queue = self.queue
        queue.append(request)
        if len(queue) > self.limits.requests_in_flight_max:
            queue.pop()
            self._submit(request, self._app)
            return
        if not request.keep_alive:
            self._last_seen = self.attention = True
        try:
            self._app(request)
        except Exception:
            self._application_failed(request)

    def _finish_spanning(self) -> bool:
        """Puts together a message that came in several parts; False when it has been refused."""
        if self._last_seen:
            return False
        headers = self._headers
        if self._message_headers is not None:
            if self.limits.keep_trailers:
                # No header can have such a name, so no trailer passes for one.
                self._message_headers.update({b"trailer:" + name: value for name, value in headers.items()})
            headers = self._message_headers
        target = self._target
        body = self._body if self._more_body is None else self._body + self._more_body
        self._release_body()
        self._reset_message()
        if _head_size(target, headers) > self.limits.head_bytes_max:
            self._refuse(431)
            return False
        self._headers = headers
        self._target = target
        self._body = body
        return True

    def _handler(self, request: Request) -> Handler:
        """Who answers: the application, unless the encoding is broken or this is a CORS preflight."""
        headers = request.headers
        encoding = headers.get(b"content-encoding")
        if encoding is not None:
            try:
                request.body = inflate(encoding, request.wire_body, self.limits.body_max(request.target))
            except InflatedTooLargeError:
                return _answer_too_large
            except BrokenEncodingError:
                return _answer_broken_encoding
        if request.method == b"OPTIONS" and b"origin" in headers:
            return _answer_preflight
        return self._app

    def _parse_failed(self, error: Exception, data: bytes) -> None:
        """The parser stopped: malformed input, or an offer to speak another protocol, which is declined."""
        if self._last_seen or not self.open:
            return
        if isinstance(error, httptools.HttpParserUpgrade):
            self._decline_upgrade(data[error.args[0] :])
            return
        if isinstance(error, httptools.HttpParserCallbackError):
            log.error("HTTP parser callback failed", exc_info=error.__context__ or error)
            self.abort()
            return
        self._refuse(400)

    def _decline_upgrade(self, rest: bytes) -> None:
        """The parser takes what follows for another protocol. It is HTTP: starts it anew without the offer.

        `rest` is the input after the head. After CONNECT, which the application has answered, only that remains.
        """
        target, headers = self._target, self._headers
        method = self._parser.get_method()
        self._new_parser()
        if target:
            kept = {**headers, b"connection": b"close"}
            del kept[b"upgrade"]
            if b"close" not in headers.get(b"connection", b"").lower():
                del kept[b"connection"]
            lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % header for header in kept.items())]
            rest = b"\r\n".join(lines) + b"\r\n\r\n" + rest
        if rest:
            self._receive(rest)

    def sweep(self, now: float) -> bool:
        """Called now and then: enforces deadlines. Returns whether one had passed."""
        overdue = self.overdue(now)
        if overdue is not None:
            return overdue
        if self.queue or self._backlog:
            return False
        if not self._at_boundary:
            limits = self.limits
            allowed_s = limits.body_timeout_s if self._head_complete else limits.head_timeout_s
            if now - self._started_at < allowed_s:
                return False
            self._refuse(408)
            return True
        if now - self._active_at < self.limits.idle_timeout_s:
            return False
        self._close()
        return True


def _head_size(target: bytes, headers: dict[bytes, bytes]) -> int:
    """Bytes of a head as it was sent, give or take the request line's fixed parts."""
    return len(target) + sum(map(len, headers)) + sum(map(len, headers.values())) + 4 * len(headers)


def _answer_preflight(request: Request) -> None:
    request.reply(200, b"", NO_CONTENT_TYPE, preflight_lines(request.headers))


def _answer_too_large(request: Request) -> None:
    request.reply(413, b"", NO_CONTENT_TYPE)


def _answer_broken_encoding(request: Request) -> None:
    error = internal()
    request.reply(error.status, error.body(), request.content_type)
