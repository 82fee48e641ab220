"""One TCP connection that carries frames: what both ends have in common.

Frames that are sent within one tick of the event loop leave in one write. While the socket does not take more, they
wait here, and `full` tells senders to hold back. A connection ends with a reason, which is logged by its owner.
Nothing raises: a stream that is none of ours, a frame that is too long or a peer that does not read end the
connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hashrange.runtime.logging import get_logger
from hashrange.runtime.rpc.frames import COUNTED, HEADER, HEADER_SIZE, Frame, FrameReader
from hashrange.wire.fields import FrameError

WRITE_BUFFER_BYTES = 1 << 20
"""What the socket's own buffer holds before frames wait here instead."""

QUEUE_BYTES_MAX = 32 << 20
"""What may wait to be sent on one connection before senders are turned away."""

log = get_logger("rpc")


class Connection(asyncio.Protocol):
    """Frames in and out. Subclasses say what frames mean."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue_bytes_max: int = QUEUE_BYTES_MAX) -> None:
        self.loop = loop
        self.transport: asyncio.Transport | None = None
        self.reader = FrameReader()
        self.closed = False
        self.muted = False
        """Whether frames are dropped in both directions: injected faults."""
        self.lossy = False
        """Whether a frame has been dropped since the connection was muted."""
        self.idle_ticks = 0
        """Ticks of the owner's timer since anything was heard."""
        self.heard_at = loop.time()
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._queue_bytes_max = queue_bytes_max
        self._paused = False
        self._flush_planned = False
        self._closed_callbacks: list[Callable[[], None]] = []
        self._lost = False
        self._gone: asyncio.Future[None] | None = None

    # ---- what subclasses fill in

    def on_open(self) -> None:
        """The socket is connected."""

    def on_frame(self, kind: int, frame_id: int, body: bytes) -> None:
        """A frame has arrived. FrameError ends the connection."""

    def on_room(self) -> None:
        """What waited has been handed to the socket, which would take more."""

    def on_close(self, reason: str) -> None:
        """The connection has ended; called once."""

    # ---- sending

    @property
    def full(self) -> bool:
        """Whether more than the limit waits to be sent."""
        return self._queued_bytes > self._queue_bytes_max

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait here for the end of the tick, or for the socket to take more."""
        return self._queued_bytes

    def send(self, kind: int, frame_id: int, body: bytes) -> None:
        """Send a frame with what else is sent in this tick; nothing happens on a closed connection."""
        if self.closed:
            return
        if self.muted:
            self.lossy = True
            return
        self._queue += (HEADER.pack(len(body) + COUNTED, kind, frame_id), body)
        self._queued_bytes += len(body) + HEADER_SIZE
        if not self._flush_planned:
            self._flush_planned = True
            self.loop.call_soon(self._end_tick)

    def _end_tick(self) -> None:
        self._flush_planned = False
        self.flush()

    def flush(self) -> None:
        """Hand what waits to the socket now."""
        transport = self.transport
        # uvloop raises on a write to a closed transport.
        if self._paused or self.closed or transport is None or transport.is_closing() or not self._queue:
            return
        data = b"".join(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        transport.write(data)
        if not self._paused:
            self.on_room()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        if self.closed:
            self.transport.abort()
            return
        self.on_open()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._queue:
            self.flush()
        else:
            self.on_room()

    def data_received(self, data: bytes) -> None:
        if self.muted:
            self._drop(data)
            return
        self.idle_ticks = 0
        self.heard_at = self.loop.time()
        frames: list[Frame]
        try:
            frames = self.reader.feed(data)
        except FrameError as error:
            self.close(f"it sent {error}")
            return
        on_frame = self.on_frame
        for kind, frame_id, body in frames:
            if self.closed:
                return
            try:
                on_frame(kind, frame_id, body)
            except FrameError as error:
                self.close(f"it sent {error}")
            except Exception:
                # Whoever was called has failed, not the connection: the others on it go on.
                log.error("a callback failed", exc_info=True)

    def _drop(self, data: bytes) -> None:
        """Keep to the boundaries of frames while dropping them."""
        self.lossy = True
        try:
            self.reader.feed(data)
        except FrameError as error:
            self.close(f"it sent {error}")

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self.close(f"the connection was lost: {error}" if error else "it closed the connection")

    # ---- ending

    def close(self, reason: str, *, flush: bool = False) -> None:
        """End the connection. `flush`: after what was sent so far has gone out; otherwise at once."""
        if self.closed:
            return
        if flush:
            self.flush()
        self.closed = True
        self._queue.clear()
        self._queued_bytes = 0
        transport = self.transport
        if transport is not None and not transport.is_closing():
            if flush:
                transport.close()
            else:
                transport.abort()
        self.on_close(reason)
        callbacks, self._closed_callbacks = self._closed_callbacks, []
        for callback in callbacks:
            self.guarded(callback)

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Call back once when the connection ends; at once if it has."""
        if self.closed:
            callback()
        else:
            self._closed_callbacks.append(callback)

    def gone(self) -> asyncio.Future[None]:
        """Done when the socket is closed: what was sent before a `close` with `flush` has gone out, or never will."""
        if self._gone is None:
            self._gone = self.loop.create_future()
            if self._lost:
                self._gone.set_result(None)
        return self._gone

    def mute(self, muted: bool) -> None:
        """Drop all frames, or no longer; a connection that lost some ends when that stops, as nobody repeats them."""
        if muted:
            self.muted = True
        elif self.muted:
            self.muted = False
            if self.lossy:
                self.close("frames were dropped while the peer was blocked")

    def guarded(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call what belongs to others: its errors are logged and stop nothing here."""
        try:
            callback(*arguments)
        except Exception:
            log.error("a callback failed", exc_info=True)
