"""Reading HTTP/1.1 responses, one at a time: the part of HTTP that a load generator needs.

Sans I/O: bytes in, responses out. Bodies end by Content-Length or chunked encoding; both are found in the
wild among DynamoDB's emulators. Pipelining is not used, so at most one response is under way.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_HEADER_BYTES = 65_536


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1 as expected."""


@dataclass(slots=True, frozen=True)
class Response:
    """A response; `keep_alive` is False when the peer closes the connection after it."""

    status: int
    body: bytes
    keep_alive: bool = True


class ResponseReader:
    """Collects the bytes of a response; start the next one with the same object."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Response | None:
        """The response, when `data` completes it."""
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > MAX_HEADER_BYTES:
                raise ProtocolError("the headers do not end")
            self._buffer = data
            return None
        head = data[:end].lower()
        if not head.startswith(b"http/1."):
            raise ProtocolError("this is no HTTP/1.1 server")
        status = int(head[9:12])
        keep_alive = b"\r\nconnection: close" not in head
        place = head.find(b"\r\ncontent-length:")
        if place >= 0:
            line_end = head.find(b"\r\n", place + 17)
            length = int(head[place + 17 : line_end if line_end >= 0 else len(head)])
            if len(data) < end + 4 + length:
                self._buffer = data
                return None
            self._buffer = b""
            return Response(status, data[end + 4 : end + 4 + length], keep_alive)
        if b"\r\ntransfer-encoding: chunked" in head:
            body = _chunked(data, end + 4)
            if body is None:
                self._buffer = data
                return None
            self._buffer = b""
            return Response(status, body, keep_alive)
        raise ProtocolError("the response has neither a length nor chunks")


def _chunked(data: bytes, position: int) -> bytes | None:
    """The body of a chunked response that starts at `position`, or None while its end is missing."""
    pieces: list[bytes] = []
    while True:
        line_end = data.find(b"\r\n", position)
        if line_end < 0:
            return None
        try:
            length = int(data[position:line_end].split(b";")[0], 16)
        except ValueError:
            raise ProtocolError("a chunk has no length") from None
        start = line_end + 2
        if len(data) < start + length + 2:
            return None
        if length == 0:
            return b"".join(pieces)
        pieces.append(data[start : start + length])
        position = start + length + 2
