"""Building reply heads: status lines, the date, request ids, the headers every answer carries, CORS.

Everything constant over a second and a content type is cached as one byte string (`ReplyHeads`), so that an
ordinary reply is one formatting operation around the body. `ReplyHeads.set_time` is called once a second.

CRC-32: x-amz-crc32 covers the bytes as sent, after compression. The SDKs that check it (Java's
`calculateCrc32FromCompressedData`, Go's checksum middleware below its gzip one, botocore on the raw body) all
compute it on the raw response.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http import HTTPStatus
from itertools import chain, product
from zlib import crc32

JSON_1_0 = b"application/x-amz-json-1.0"
JSON_1_1 = b"application/x-amz-json-1.1"
JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
NO_CONTENT_TYPE = b""

UNKNOWN_OPERATION_XML = b"<UnknownOperationException/>\n"
"""Body of the 404 for anything that is not a POST of a known content type (observed behaviour)."""

CORS_MAX_AGE_S = 172800
"""How long a browser may cache a preflight answer, as the service states it."""

_ID_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_BLOCK_CHARACTERS = 50
_ID_SUFFIXES = tuple(bytes(pair) for pair in product(_ID_ALPHABET, repeat=2))
_HEADS_MAX = 256
_JOIN_BELOW_BYTES = 16 * 1024

_CONTENT_TYPES: dict[bytes | None, bytes | None] = {JSON_1_0: JSON_1_0, JSON: JSON, JSON_1_1: JSON_1_1}


def request_ids(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Iterator[bytes]:
    """An endless iterator of request ids: 52 characters [0-9A-Z], as the service's.

    Ids come in blocks: 50 random characters, then two that count. Asking the operating system for randomness
    once in 1296 requests makes `next()` cost less than a tenth of a microsecond.
    """

    def blocks() -> Iterator[Iterator[bytes]]:
        while True:
            raw = random_bytes(_ID_BLOCK_CHARACTERS)
            yield map(bytes(_ID_ALPHABET[byte % 36] for byte in raw).__add__, _ID_SUFFIXES)

    return chain.from_iterable(blocks())


def status_line(status: int) -> bytes:
    """The first line of a reply, without its line end."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return f"HTTP/1.1 {status} {phrase}".encode()


class ReplyHeads:
    """The cached beginnings of replies: up to and including the name of the request id header."""

    __slots__ = ("cached", "date", "ids")

    def __init__(self) -> None:
        self.cached: dict[tuple[int, bytes], bytes] = {}
        self.date = b""
        self.ids = request_ids()

    def set_time(self, unix_s: float) -> None:
        """Sets the Date of the replies from now on."""
        date = formatdate(unix_s, usegmt=True).encode()
        if date != self.date:
            self.date = date
            self.cached.clear()

    def build(self, status: int, content_type: bytes) -> bytes:
        """The beginning for this status and content type (`NO_CONTENT_TYPE`: without that header); cached."""
        lines = [status_line(status), b"server: hashrange", b"date: " + self.date]
        if content_type:
            lines.append(b"content-type: " + content_type)
        head = b"\r\n".join(lines) + b"\r\nx-amzn-requestid: "
        if len(self.cached) >= _HEADS_MAX:
            self.cached.clear()
        self.cached[status, content_type] = head
        return head

    def whole(
        self,
        status: int,
        body: bytes,
        content_type: bytes,
        *,
        request_id: bytes | None = None,
        lines: bytes = b"",
        without_body: bool = False,
    ) -> list[bytes]:
        """A reply as the chunks to write. `lines` are further header lines, each with its line end.

        `without_body` is for HEAD: the headers describe the body that is left out. A large body stays a chunk
        of its own instead of being copied behind its head.
        """
        start = self.cached.get((status, content_type)) or self.build(status, content_type)
        head = b"%b%b\r\nx-amz-crc32: %d\r\n%bcontent-length: %d\r\n\r\n" % (
            start,
            request_id or next(self.ids),
            crc32(body),
            lines,
            len(body),
        )
        if without_body or not body:
            return [head]
        if len(body) < _JOIN_BELOW_BYTES:
            return [head + body]
        return [head, body]


def allow_origin_line(origin: bytes, allowed: tuple[str, ...]) -> bytes:
    """The header line that lets a browser's page of `origin` read the answer; nothing if it may not."""
    if "*" in allowed:
        return b"access-control-allow-origin: *\r\n"
    if origin.decode("latin-1") in allowed:
        return b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % origin
    return b""


def preflight_lines(headers: dict[bytes, bytes]) -> bytes:
    """Header lines answering a CORS preflight: every method and header asked for is allowed."""
    lines = [b"access-control-max-age: %d\r\n" % CORS_MAX_AGE_S]
    for asked, allowed in (
        (b"access-control-request-headers", b"access-control-allow-headers"),
        (b"access-control-request-method", b"access-control-allow-methods"),
    ):
        value = headers.get(asked)
        if value is not None:
            lines.append(b"%b: %b\r\n" % (allowed, value))
    return b"".join(lines)


def json_content_type(header: bytes | None) -> bytes | None:
    """The content type of the reply to a request with this Content-Type header, None for an unknown one.

    The reply follows the request: application/json or application/x-amz-json-1.0, parameters after `;`
    ignored.
    """
    known = _CONTENT_TYPES.get(header)
    if known is not None or header is None:
        return known
    return _CONTENT_TYPES.get(header.partition(b";")[0].strip().lower())
