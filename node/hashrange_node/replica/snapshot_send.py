"""Sending snapshots: the state of a group here, as a stream of chunks to a replica that is too far behind.

`SnapshotSender.start` takes a view of the engine at once, so it is called in the tick in which the applied index
of the message was read; the state record goes along as the last entry. Chunks are requests: each is answered before
the next one of its stream leaves, and the last brings the `InstallSnapshot`. The node as a whole keeps to one rate,
streams take turns; to one node goes one stream at a time, the others wait with their views. What fails ends the
stream: the leader starts another one with a newer state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any, Protocol

from hashrange.errors import ApiError
from hashrange.wire.cluster import SnapshotChunk
from hashrange.wire.faults import Overloaded, Unreachable
from hashrange_node.raft.messages import InstallSnapshot
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.slices import Entry, Scheduler, take
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine, EngineError, View

RATE_BYTES_PER_S = 32 << 20
# Each holds a view, and with it files and buffers that the engine would have let go of.
STREAMS_MAX = 16
CHUNK_TIMEOUT_S = 30.0
RETRY_DELAY_S = 0.5
ATTEMPTS = 6


class Peers(Protocol):
    """What is needed of the connections to other nodes."""

    def request(
        self, node: int, message: Any, done: Callable[[Any], None], timeout_s: float = 10.0
    ) -> None: ...


class SnapshotStream:
    """One snapshot on its way; made by `SnapshotSender.start`, which gives it to the caller to cancel it."""

    def __init__(
        self,
        sender: SnapshotSender,
        number: int,
        view: View,
        ranges: PartitionRanges,
        record: bytes,
        message: InstallSnapshot,
        node: int,
        done: Callable[[bool], None],
    ) -> None:
        self.node = node
        self.group = ranges.partition
        self.bytes_sent = 0
        self._sender = sender
        # Distinct for all streams that a replica may ever be sent: a term has one leader, on one process.
        self._stream = (message.term << 24) | (number & 0xFFFFFF)
        self._view = view
        self._entries: Iterator[Entry] | None = view.entries()
        self._ranges = ranges
        self._record = record
        self._message = message
        self._done: Callable[[bool], None] | None = done
        self._next = 0
        self._attempts = 0
        self._chunk: SnapshotChunk | None = None

    @property
    def ended(self) -> bool:
        """Whether `done` has been called."""
        return self._done is None

    def cancel(self) -> None:
        """Send no more; `done(False)` is called before this returns, unless the stream has ended already."""
        self.end(False)

    def end(self, arrived: bool) -> None:
        """Release everything and report; only the first call counts."""
        done, self._done = self._done, None
        if done is None:
            return
        self._view.close()
        self._entries = self._chunk = None
        self._sender.ended(self)
        done(arrived)

    def send(self, peers: Peers) -> int:
        """Send the next chunk, or the last one again; returns what it counts against the rate, in bytes."""
        size = 0
        if self._chunk is None:
            assert self._entries is not None
            entries, size, last = take(self._entries, self._ranges)
            message = None
            if last:
                entries.append((keyspace.group_state(self.group), self._record))
                message = replace(self._message, snapshot=replace(self._message.snapshot, data=None))
            to = self._message.to
            self._chunk = SnapshotChunk(self.group, to, self._stream, self._next, entries, message)
            self._next += 1
            self._attempts = 0
            self.bytes_sent += size
        chunk = self._chunk
        peers.request(self.node, chunk, lambda answer: self._answered(chunk, answer), CHUNK_TIMEOUT_S)
        return size

    def _answered(self, chunk: SnapshotChunk, answer: Any) -> None:
        if self._done is None:
            return
        if isinstance(answer, Overloaded | Unreachable):
            self._attempts += 1
            if self._attempts < ATTEMPTS:
                self._sender.again(self)
                return
        if isinstance(answer, ApiError):
            self.end(False)
        elif chunk.message is not None:
            self.end(True)
        else:
            self._chunk = None
            self._sender.go_on(self)


class SnapshotSender:
    """All snapshots that a node sends. Everything runs on the event loop, a slice at a time.

    `report(text, error)` is told when the engine cannot read its own data: this replica then needs one itself.
    """

    def __init__(
        self,
        peers: Peers,
        scheduler: Scheduler,
        rate_bytes_per_s: float = RATE_BYTES_PER_S,
        report: Callable[[str, BaseException], None] = lambda text, error: None,
    ) -> None:
        self._peers = peers
        self._scheduler = scheduler
        self._rate = rate_bytes_per_s
        self._report = report
        self._numbers = count(1)
        self._active: dict[int, SnapshotStream] = {}
        self._waiting: deque[SnapshotStream] = deque()
        self._ready: deque[SnapshotStream] = deque()
        self._pacing = False
        self.sent = 0
        self.failed = 0

    @property
    def busy(self) -> bool:
        """Whether `start` would refuse: as many streams are under way or waiting as a node holds."""
        return len(self._active) + len(self._waiting) >= STREAMS_MAX

    def start(
        self,
        engine: Engine,
        group_ranges: PartitionRanges,
        group_state_record: bytes,
        message: InstallSnapshot,
        node: int,
        done: Callable[[bool], None],
    ) -> SnapshotStream:
        """Begin to send the state of a group as it is now to the replica `message.to` on `node`.

        `done(arrived)` is called exactly once, never before this returns: True when the other node has staged
        everything and has been handed the message.
        """
        ranges = [] if self.busy else group_ranges.all
        try:
            view = engine.view(ranges)
        except EngineError as error:
            self._report(f"partition {group_ranges.partition} cannot be read", error)
            view = _NoView()
        stream = SnapshotStream(
            self, next(self._numbers), view, group_ranges, group_state_record, message, node, done
        )
        if not ranges or isinstance(view, _NoView):
            self._scheduler.call_soon(lambda: stream.end(False))
        elif node in self._active:
            self._waiting.append(stream)
        else:
            self._active[node] = stream
            self.go_on(stream)
        return stream

    def stop(self) -> None:
        """Cancel everything; the engine may be closed afterwards."""
        for stream in [*self._waiting, *self._active.values()]:
            stream.cancel()

    def go_on(self, stream: SnapshotStream) -> None:
        """Let a stream send its next chunk when it is its turn."""
        self._ready.append(stream)
        if not self._pacing:
            self._pacing = True
            self._scheduler.call_soon(self._turn)

    def again(self, stream: SnapshotStream) -> None:
        """Let a stream send the same chunk again after a pause."""
        self._scheduler.call_later(RETRY_DELAY_S, lambda: None if stream.ended else self.go_on(stream))

    def ended(self, stream: SnapshotStream) -> None:
        """Forget a stream, and begin with the next one to its node."""
        if self._active.get(stream.node) is not stream:
            if stream in self._waiting:
                self._waiting.remove(stream)
            return
        del self._active[stream.node]
        for waiting in self._waiting:
            if waiting.node == stream.node:
                self._waiting.remove(waiting)
                self._active[stream.node] = waiting
                self.go_on(waiting)
                return

    def _turn(self) -> None:
        """One slice of one stream; the pause after it keeps the node to its rate."""
        while self._ready:
            stream = self._ready.popleft()
            if stream.ended:
                continue
            try:
                size = stream.send(self._peers)
            except EngineError as error:
                self._report(f"partition {stream.group} cannot be read", error)
                stream.end(False)
                continue
            self._scheduler.call_later(size / self._rate, self._turn)
            return
        self._pacing = False


class _NoView:
    """The view of an engine that could not make one."""

    def entries(self) -> Iterator[Entry]:
        return iter(())

    def close(self) -> None: ...
