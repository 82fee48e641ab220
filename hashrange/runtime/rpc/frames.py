"""Frames in a stream of bytes: u32 length, u8 kind, u64 id, body (proto/rpc.proto).

`FrameReader.feed` takes whatever a socket gives and returns the frames that are complete; a stream that is none
raises FrameError, after which the reader is of no more use.
"""

from __future__ import annotations

from struct import Struct

from hashrange.wire.fields import FrameError
from hashrange.wire.pb import rpc_pb2 as pb

HELLO: int = pb.FRAME_HELLO
REFUSED: int = pb.FRAME_REFUSED
PING: int = pb.FRAME_PING
PONG: int = pb.FRAME_PONG
REQUEST: int = pb.FRAME_REQUEST
REPLY: int = pb.FRAME_REPLY
CAST: int = pb.FRAME_CAST

FRAME_BYTES_MAX = 64 << 20
"""Longer frames end the connection: nothing that programs say to one another comes near."""

HEADER = Struct("<IBQ")
HEADER_SIZE = HEADER.size
COUNTED = HEADER_SIZE - 4
"""What the length counts besides the body: kind and id."""

Frame = tuple[int, int, bytes]


def encode_frame(kind: int, frame_id: int, body: bytes) -> bytes:
    """One frame."""
    return HEADER.pack(len(body) + COUNTED, kind, frame_id) + body


class FrameReader:
    """Cuts a stream into frames. Keeps at most one incomplete frame."""

    __slots__ = ("_kept", "_kept_bytes", "_max", "_needed")

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._max = frame_bytes_max
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._needed = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames (kind, id, body) that `data` completes, in order. Raises FrameError."""
        if self._kept_bytes:
            self._kept.append(data)
            self._kept_bytes += len(data)
            if self._kept_bytes < self._needed:
                return []
            data = b"".join(self._kept)
            self._kept.clear()
            self._kept_bytes = 0
        frames: list[Frame] = []
        at, end = 0, len(data)
        unpack = HEADER.unpack_from
        while end - at >= HEADER_SIZE:
            length, kind, frame_id = unpack(data, at)
            if not COUNTED <= length <= self._max:
                raise FrameError(f"a frame of {length} bytes")
            stop = at + 4 + length
            if stop > end:
                self._needed = stop - at
                break
            frames.append((kind, frame_id, data[at + HEADER_SIZE : stop]))
            at = stop
        else:
            self._needed = HEADER_SIZE
        if at < end:
            self._kept.append(data[at:] if at else data)
            self._kept_bytes = end - at
        return frames
