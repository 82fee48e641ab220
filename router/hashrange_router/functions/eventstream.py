"""Frames of `application/vnd.amazon.eventstream`, which InvokeWithResponseStream answers with.

A frame is its length and that of its headers (4 bytes each), the CRC-32 of those eight, the headers, the payload, and
the CRC-32 of everything before. A header is a name behind its length in a byte, the type 7 (a string), and a value
behind its length in two bytes. (Amazon Transcribe Developer Guide, Event stream encoding.)
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack
from zlib import crc32

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
CHUNK_BYTES = 64 * 1024
_STRING = 7


def event(kind: str, payload: bytes, content_type: str) -> bytes:
    """One event as a frame."""
    headers = b"".join(
        pack(">B", len(name)) + name.encode() + pack(">BH", _STRING, len(value)) + value.encode()
        for name, value in (
            (":event-type", kind),
            (":content-type", content_type),
            (":message-type", "event"),
        )
    )
    prelude = pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + pack(">I", crc32(prelude)) + headers + payload
    return message + pack(">I", crc32(message))


def chunks(payload: bytes) -> Iterator[bytes]:
    """A payload as PayloadChunk events."""
    for start in range(0, len(payload), CHUNK_BYTES):
        piece = payload[start : start + CHUNK_BYTES]
        yield event("PayloadChunk", piece, "application/octet-stream")
