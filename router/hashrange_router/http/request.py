"""One HTTP request as the application sees it, and the way its answer goes back.

An application is a plain callable: `app(request)`. It answers by calling `request.reply(...)` exactly once,
before it returns or in any later tick of the event loop; the connection keeps the answers of pipelined
requests in order. No task, future or coroutine is involved, so a request answered at once costs none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

from .replies import (
    JSON,
    JSON_1_0,
    NO_CONTENT_TYPE,
    UNKNOWN_OPERATION_XML,
    allow_origin_line,
    json_content_type,
)

if TYPE_CHECKING:
    from .delivery import Delivery


class Request:
    """A complete request.

    method: as sent, e.g. b"POST".  target: path and query as sent.  headers: names in lower case; the values
    of a repeated header are joined with a comma.  body: inflated when it came compressed.  wire_body: as
    received, which is what a signature covers (the same object unless it came compressed).  received_at:
    `time.monotonic()` seconds when the last byte had been parsed.  keep_alive: whether the connection stays
    open after the answer.
    """

    __slots__ = (
        "_connection",
        "_id",
        "_plain",
        "answer",
        "body",
        "headers",
        "keep_alive",
        "method",
        "received_at",
        "target",
        "wire_body",
    )

    def __init__(
        self,
        connection: Delivery,
        method: bytes,
        target: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        received_at: float,
        keep_alive: bool,
    ) -> None:
        self._connection: Delivery | None = connection
        self._id: bytes | None = None
        # Whether nothing about the request asks for further reply headers: decided once, read in reply().
        self._plain = (
            keep_alive and method == b"POST" and b"connection" not in headers and b"origin" not in headers
        )
        self.answer: list[bytes] | None = None
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.wire_body = body
        self.received_at = received_at
        self.keep_alive = keep_alive

    def header(self, name: bytes) -> bytes | None:
        """The value of a header by its lower-case name, or None."""
        return self.headers.get(name)

    @property
    def answered(self) -> bool:
        """Whether reply() has been called."""
        return self._connection is None

    @property
    def refused(self) -> bool:
        """Whether this stands for input that was no request: only the connection makes such, to answer it in
        turn."""
        return not self.method

    @property
    def request_id(self) -> str:
        """The id that the answer carries as x-amzn-requestid. Only to be asked before the answer."""
        if self._id is None:
            if self._connection is None:
                raise RuntimeError("the request has been answered")
            self._id = next(self._connection.heads.ids)
        return self._id.decode()

    def name(self, request_id: str) -> None:
        """Answer with this request id, for requests that are known by it elsewhere too."""
        self._id = request_id.encode("latin-1")

    @property
    def content_type(self) -> bytes:
        """The content type an answer to this request takes: the request's JSON flavour, else
        application/json."""
        return json_content_type(self.headers.get(b"content-type")) or JSON

    def reply(
        self, status: int, body: bytes, content_type: bytes = JSON_1_0, extra_headers: bytes = b""
    ) -> None:
        """Answers the request. `extra_headers` are whole header lines, each ending in CRLF.

        Adds request id, CRC-32, date, server, length, CORS and connection headers. If the client has gone
        meanwhile the answer is dropped. A second answer is a programming error and raises RuntimeError.
        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("a request is answered exactly once")
        self._connection = None
        if not connection.open:
            return
        heads = connection.heads
        if (
            not self._plain
            or extra_headers
            or connection.attention
            or (len(body) > connection.limits.compress_from_bytes and b"accept-encoding" in self.headers)
        ):
            self.answer = self._full_answer(connection, status, body, content_type, extra_headers)
            connection.settle()
            return
        data = b"%b%b\r\nx-amz-crc32: %d\r\ncontent-length: %d\r\n\r\n%b" % (
            heads.cached.get((status, content_type)) or heads.build(status, content_type),
            self._id or next(heads.ids),
            crc32(body),
            len(body),
            body,
        )
        queue = connection.queue
        if queue[0] is not self:
            self.answer = [data]
            return
        queue.popleft()
        connection.write(data)
        if queue:
            connection.settle()

    def reply_unknown_operation(self) -> None:
        """The 404 with an XML body that the service gives to other methods and to unknown content types."""
        self.reply(404, UNKNOWN_OPERATION_XML, NO_CONTENT_TYPE)

    def _full_answer(
        self, connection: Delivery, status: int, body: bytes, content_type: bytes, lines: bytes
    ) -> list[bytes]:
        """The answer with everything that only some requests need."""
        headers = self.headers
        if b"origin" in headers:
            lines += allow_origin_line(headers[b"origin"], connection.limits.cors_origins)
        body, encoding_line = connection.encode(body, headers)
        lines += encoding_line
        if self.keep_alive and connection.is_last(self):
            self.keep_alive = False
        if not self.keep_alive:
            lines += b"connection: close\r\n"
        elif b"connection" in headers:
            # An HTTP/1.0 client that asked for keep-alive must be told; for HTTP/1.1 it is merely redundant.
            lines += b"connection: keep-alive\r\n"
        return connection.heads.whole(
            status,
            body,
            content_type,
            request_id=self._id,
            lines=lines,
            without_body=self.method == b"HEAD",
        )


Application = Callable[[Request], None]
"""What a server runs for each request; it must not raise (if it does, the client gets
InternalServerError)."""
