"""Receiving snapshots: chunks of a stream are staged until all are there; then raft gets the message.

Nothing of the replica's own state is touched here. The message that is delivered carries the staged snapshot in
`snapshot.data`; when the core hands that out in a Ready, the driver gives it to the installer. A stream that begins
for a replica ends the one before: of two senders the later has the newer state, or the earlier is told so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hashrange.errors import ApiError, internal
from hashrange.wire.cluster import SnapshotChunk
from hashrange.wire.faults import Overloaded
from hashrange_node.raft.messages import InstallSnapshot
from hashrange_node.replica.staging import Stage, Staged, Staging

# Streams that arrive at the same time. Beyond it the longest silent one makes room if it was silent for long.
STREAMS_MAX = 16
SILENT_S = 120.0

Done = Callable[[Any], None]
Deliver = Callable[[InstallSnapshot], None]


@dataclass(slots=True)
class _Stream:
    """One stream on its way in: `arrived` chunks are staged, and one more while `busy`."""

    number: int
    stage: Stage
    heard_at: float
    arrived: int = 0
    busy: bool = False
    ended: bool = False


class SnapshotReceiver:
    """All snapshots that arrive at a node. `monotonic` is the clock in seconds that tells silent streams."""

    def __init__(self, staging: Staging, monotonic: Callable[[], float] = lambda: 0.0) -> None:
        self._staging = staging
        self._monotonic = monotonic
        self._streams: dict[tuple[int, int], _Stream] = {}
        self._delivered: dict[tuple[int, int], tuple[int, Staged]] = {}

    @property
    def receiving(self) -> int:
        """Streams of which more is to come."""
        return len(self._streams)

    def on_chunk(self, message: SnapshotChunk, done: Done, deliver: Deliver) -> None:
        """Stage a chunk; `done(None)` when that is done, or an ApiError.

        With the last chunk, once all is on disk, `deliver` gets the InstallSnapshot, with the staged snapshot in
        its `snapshot.data`, just before `done`. A chunk that is sent again is answered again.
        """
        place = (message.group, message.replica)
        if place in self._delivered and self._delivered[place][0] == message.stream:
            done(None)  # the answer to its last chunk was lost
            return
        if message.number == 0 and not self._begin(place, message.stream):
            done(Overloaded("as many snapshots arrive as this node stages at a time"))
            return
        stream = self._streams.get(place)
        if stream is None or stream.number != message.stream:
            done(_refused(message, "is not under way"))
        elif stream.busy:
            done(Overloaded("the chunk before is still being staged"))
        elif message.number == stream.arrived - 1:
            done(None)
        elif message.number != stream.arrived:
            done(_refused(message, f"continues with chunk {stream.arrived}"))
        else:
            self._stage(place, stream, message, done, deliver)

    def forget(self, group: int) -> None:
        """A replica of the group goes out of service: drop what has arrived for it."""
        for place in [place for place in self._streams if place[0] == group]:
            self._end(place)
        for place in [place for place in self._delivered if place[0] == group]:
            _, staged = self._delivered.pop(place)
            if not staged.in_use:
                staged.remove()

    def stop(self) -> None:
        """Drop everything that has not arrived in full."""
        for place in list(self._streams):
            self._end(place)

    def _begin(self, place: tuple[int, int], number: int) -> bool:
        """Make room for a stream. False: there is none."""
        before = self._streams.get(place)
        if before is not None and before.number == number:
            return True  # its first chunk is sent again
        if before is not None:
            self._end(place)
        now = self._monotonic()
        if len(self._streams) >= STREAMS_MAX:
            silent = min(self._streams, key=lambda each: self._streams[each].heard_at)
            if self._streams[silent].heard_at > now - SILENT_S:
                return False
            self._end(silent)
        name = f"{place[0]}-{place[1]}-{number}"
        self._streams[place] = _Stream(number, self._staging.begin(name), now)
        return True

    def _stage(
        self, place: tuple[int, int], stream: _Stream, message: SnapshotChunk, done: Done, deliver: Deliver
    ) -> None:
        stream.heard_at = self._monotonic()
        stream.busy = True

        def added(error: BaseException | None) -> None:
            if error is not None or stream.ended:
                self._fail(place, stream, message, error, done)
            elif message.message is None:
                stream.arrived += 1
                stream.busy = False
                done(None)
            else:
                stream.stage.finish(finished)

        def finished(result: Staged | BaseException) -> None:
            if isinstance(result, BaseException) or stream.ended:
                error = result if isinstance(result, BaseException) else None
                self._fail(place, stream, message, error, done)
                return
            stream.ended = True
            del self._streams[place]
            before = self._delivered.pop(place, None)
            if before is not None and not before[1].in_use:
                before[1].remove()  # raft had no use for it
            self._delivered[place] = (message.stream, result)
            install: InstallSnapshot = message.message
            deliver(replace(install, snapshot=replace(install.snapshot, data=result)))
            done(None)

        stream.stage.add(message.entries, added)

    def _fail(
        self,
        place: tuple[int, int],
        stream: _Stream,
        message: SnapshotChunk,
        error: BaseException | None,
        done: Done,
    ) -> None:
        """A chunk could not be staged, or its stream was ended meanwhile."""
        if not stream.ended:
            self._end(place)
        if error is not None:
            done(internal(f"A snapshot cannot be staged: {error}"))
        else:
            done(_refused(message, "has made way for a later one"))

    def _end(self, place: tuple[int, int]) -> None:
        stream = self._streams.pop(place)
        stream.ended = True
        stream.stage.discard()


def _refused(message: SnapshotChunk, why: str) -> ApiError:
    return internal(f"Stream {message.stream} of partition {message.group} {why}")
