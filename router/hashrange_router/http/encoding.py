"""Content encodings: inflating request bodies within a limit, compressing replies.

Pure functions over bytes. A request body that cannot be inflated is the client's damage, but the service
answers it with HTTP 500 (observed behaviour), so the caller only needs to tell "broken" from "too large".
"""

from __future__ import annotations

import zlib

COMPRESSION_LEVEL = 1
"""Replies are compressed on the event loop: level 1 costs about a third of level 6 for a tenth more bytes."""

_GZIP_WBITS = 31
_ZLIB_WBITS = 15
_RAW_WBITS = -15
_PIECE_BYTES = 64 * 1024
_MEMBERS_MAX = 1000
_IDENTITY = (b"", b"identity")
_GZIP_NAMES = (b"gzip", b"x-gzip")


class BrokenEncodingError(Exception):
    """The encoding is unknown, or the body is not what it claims to be."""


class InflatedTooLargeError(Exception):
    """The inflated body passes the limit; inflation stopped there."""


def inflate(encoding: bytes, data: bytes, limit_bytes: int) -> bytes:
    """The body behind a Content-Encoding value: gzip (one member or several), deflate (zlib or raw),
    identity.

    Raises BrokenEncodingError for an unknown encoding and for an empty, truncated or damaged body,
    InflatedTooLargeError as soon as more than `limit_bytes` would come out.
    """
    name = encoding.strip().lower()
    if name in _IDENTITY:
        return data
    if not data:
        raise BrokenEncodingError("empty compressed body")
    if name in _GZIP_NAMES:
        return _inflate_members(data, _GZIP_WBITS, limit_bytes, members_max=_MEMBERS_MAX)
    if name == b"deflate":
        try:
            return _inflate_members(data, _ZLIB_WBITS, limit_bytes, members_max=1)
        except BrokenEncodingError:
            # RFC 9110 means the zlib format; some clients send the bare deflate stream.
            return _inflate_members(data, _RAW_WBITS, limit_bytes, members_max=1)
    raise BrokenEncodingError(f"unknown content encoding {name!r}")


def _inflate_members(data: bytes, wbits: int, limit_bytes: int, members_max: int) -> bytes:
    """Inflates concatenated streams; anything left over after the last one is damage.

    Input goes in small pieces because a stream's leftover (`unused_data`) is a copy: with the whole input in
    one piece, many tiny members would copy the rest of the body once each.
    """
    view = memoryview(data)
    out: list[bytes] = []
    total = position = members = 0
    while position < len(data):
        members += 1
        if members > members_max:
            raise BrokenEncodingError("input after the end of the compressed stream")
        stream = zlib.decompressobj(wbits)
        while not stream.eof:
            if position >= len(data):
                raise BrokenEncodingError("truncated compressed body")
            piece = view[position : position + _PIECE_BYTES]
            try:
                chunk = stream.decompress(piece, limit_bytes - total + 1)
            except zlib.error as error:
                raise BrokenEncodingError(str(error)) from None
            total += len(chunk)
            if total > limit_bytes:
                raise InflatedTooLargeError
            out.append(chunk)
            position += len(piece)
        position -= len(stream.unused_data)
    return b"".join(out)


def compress(body: bytes) -> bytes:
    """The body as one gzip member."""
    return zlib.compress(body, COMPRESSION_LEVEL, _GZIP_WBITS)


def accepts_gzip(accept_encoding: bytes | None) -> bool:
    """Whether an Accept-Encoding header allows gzip by name (a bare `*` is not taken as a wish for it)."""
    if accept_encoding is None or b"gzip" not in (value := accept_encoding.lower()):
        return False
    for entry in value.split(b","):
        name, _, parameters = entry.partition(b";")
        if name.strip() in _GZIP_NAMES:
            return not _is_zero(parameters)
    return False


def _is_zero(parameters: bytes) -> bool:
    """Whether the parameters of an Accept-Encoding entry say q=0."""
    key, _, quality = parameters.partition(b"=")
    if key.strip() != b"q":
        return False
    try:
        return float(quality) == 0.0
    except ValueError:
        return False
