"""FileLog: the node's append-only log in segment files.

Life: `FileLog.open` reads the mark, `replay()` reads and checks all records (once, to its end), then
`append` and `sync`. Everything runs on the thread that owns the log, except fdatasync, the mark and the
removal of segments (syncer.py).

Group commit: `sync` requests that arrive while an fdatasync runs wait for it and share the next one (the
gate), so the batch grows with the load and no timer is needed.

Zeros are written behind the records in the same system call, ZERO_FILL_BYTES at a time: an fdatasync that
finds the blocks allocated and the size unchanged needs no journal commit. Measured on ext4, 700-byte
records: p50 0.18 ms against 0.28, and half the processor time; fallocate gains nothing, because ext4 has to
journal the conversion of the unwritten extents.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from . import files as system
from .errors import LogDamaged, LogError, LogFailed, LogFull
from .files import OsFiles
from .format import Appendable, Entry, encode, seed_of, starts
from .mark import MARK_NAME, Mark, MarkFile
from .reader import Reader
from .recovery import End, Recovery
from .segment import SEGMENT_HEADER_SIZE, SegmentHeader, encode_header, segment_name
from .syncer import FULL_ERRNOS, Syncer, end_process

SEGMENT_BYTES = 64 << 20
ZERO_FILL_BYTES = 256 << 10
BACKGROUND_SYNC_SECONDS = 1.0
COPY_BYTES = 1 << 20

_ZEROS = memoryview(bytes(ZERO_FILL_BYTES + system.PAGE_SIZE))

Durability = Literal["fsync", "os"]


class Hooks(NamedTuple):
    """What the owner of a log lends it; see `FileLog.open`."""

    call_soon: Callable[..., object]
    fatal: Callable[[str], object]
    observe_fsync: Callable[[float], object] | None


class FileLog:
    """The log in a directory; fulfils NodeLog. Made by `open`."""

    readable = True

    @classmethod
    def open(
        cls,
        directory: Path,
        log_id: bytes,
        *,
        call_soon: Callable[..., object],
        durability: Durability = "fsync",
        segment_bytes: int = SEGMENT_BYTES,
        must_exist: bool = False,
        fatal: Callable[[str], object] = end_process,
        observe_fsync: Callable[[float], object] | None = None,
        boot_id: bytes | None = None,
        files: OsFiles | None = None,
    ) -> FileLog:
        """Open the log in an existing directory, or begin one there.

        `log_id` are 16 bytes that belong to this data directory. `call_soon(callback, *arguments)` runs the
        callback on the owner's thread and may be called from another (a loop's `call_soon_threadsafe`).
        `must_exist` says that a log has been here before: an empty directory is then damage. `fatal` is told
        when durability is lost and should not return. `observe_fsync(seconds)` sees every fdatasync.

        Raises LogDamaged, LogFull, LogError, OSError.
        """
        if len(log_id) != 16:
            raise ValueError("a log id has 16 bytes")
        files = files or OsFiles()
        boot = system.boot_id() if boot_id is None else boot_id
        recovery = Recovery(directory, boot, files)
        if recovery.mark is None and must_exist:
            reason = "the log is gone, though the data directory had one"
            raise LogDamaged(directory / MARK_NAME, 0, reason, 0)
        if recovery.mark is not None and recovery.mark.log_id != log_id:
            raise LogDamaged(directory / MARK_NAME, 0, "it belongs to another data directory", 0)
        fresh_mark = Mark(log_id, boot, 0, 0, 0)
        hooks = Hooks(call_soon, fatal, observe_fsync)
        return cls(directory, fresh_mark, recovery, files, hooks, durability == "fsync", segment_bytes)

    def __init__(
        self,
        directory: Path,
        fresh_mark: Mark,
        recovery: Recovery,
        files: OsFiles,
        hooks: Hooks,
        fsync: bool,
        segment_bytes: int,
    ) -> None:
        self._directory = directory
        self._fresh_mark = fresh_mark
        self._seed = seed_of(fresh_mark.log_id)
        self._recovery: Recovery | None = recovery
        self._files = files
        self._hooks = hooks
        self._fsync = fsync
        self._segment_bytes = segment_bytes
        self._unusable = "replay() has to run to its end before the log is used"
        self._failed = False
        # The end of the log: position, checksum of the last record, place in the file, written zeros.
        self._end = 0
        self._checksum = 0
        self._fd = -1
        self._offset = 0
        self._zeroed = 0
        self._bases: list[int] = []
        self._reader = Reader(directory, self._seed, files)
        # The last batch: where it starts, and what of its encoding tells its records' sizes.
        self._batch_start = 0
        self._batch_parts: list[bytes] = []
        # Durability: what is known to be durable, and who waits for more.
        self._durable = 0
        self._waiting: deque[tuple[int, Callable[[int], object]]] = deque()
        self._syncing_since: float | None = None
        self._wake_asked = False
        self._appends = 0
        self._fsyncs = 0
        self._fsync_seconds = 0.0
        self._cut_bytes = 0

    def replay(self) -> Iterator[tuple[int, Entry]]:
        """(position after it, entry) of every record kept; the log can be written when it is exhausted."""
        recovery = self._recovery
        if recovery is None:
            raise LogError("the log has been replayed already")
        yield from recovery.records()
        end = recovery.end
        assert end is not None
        try:
            self._begin(recovery, end)
        except OSError as error:
            if error.errno in FULL_ERRNOS:
                raise LogFull(f"no room on the disk that holds {self._directory}") from error
            raise
        self._recovery = None
        self._unusable = ""

    def append(self, entries: Sequence[Appendable]) -> int:
        """Write a batch; returns the position after it. Raises LogFull (nothing appended) or LogFailed."""
        if self._unusable:
            raise LogFailed(self._unusable)
        position = self._end
        parts: list[bytes] = []
        data, checksum = encode(entries, position, self._durable, self._checksum, self._seed, parts)
        size = len(data)
        if self._offset + size > self._segment_bytes and self._offset > SEGMENT_HEADER_SIZE:
            self._roll()
        offset = self._offset
        try:
            if offset + size <= self._zeroed or not self._fsync:
                written = self._files.pwritev(self._fd, (data,), offset)
            else:
                written = self._write_with_zeros(data, offset)
            if written < size:
                self._files.write_all(self._fd, data[written:], offset + written)
        except OSError as error:
            self._take_back(error)
        self._offset = offset + size
        self._end = position + size
        self._checksum = checksum
        self._batch_start = position
        self._batch_parts = parts
        self._appends += 1
        return self._end

    def last_starts(self) -> list[int]:
        """The position at which each record of the last batch appended starts: what `read` takes."""
        return starts(self._batch_parts, self._batch_start)

    def read(self, position: int) -> Entry:
        """The record that starts at `position`, checked. Raises RecordGone, RecordDamaged, OSError."""
        return self._reader.read(position, self._bases, self._end)

    def sync(self, position: int, done: Callable[[int], object]) -> None:
        """Call `done(durable position)` when everything up to `position` is durable ('os': now)."""
        if not self._fsync:
            if not self._wake_asked and not self._unusable:
                self._wake_asked = True
                self._syncer.wake_after(BACKGROUND_SYNC_SECONDS, self._sync_in_background)
            done(self._end)
        elif position <= self._durable:
            done(self._durable)
        else:
            self._waiting.append((position, done))
            if self._syncing_since is None:
                self._start_sync()

    def remove_before(self, position: int) -> None:
        """Forget the finished segments all of whose records end at or before `position`."""
        keep = 0
        while keep + 1 < len(self._bases) and self._bases[keep + 1] <= position:
            keep += 1
        if keep and not self._unusable:
            paths = [self._directory / segment_name(base) for base in self._bases[:keep]]
            del self._bases[:keep]
            self._reader.forget()
            self._syncer.remove(self._bases[0], paths)

    def size_bytes(self) -> int:
        """Bytes of records kept."""
        return self._end - self._bases[0] if self._bases else 0

    @property
    def first_position(self) -> int:
        """The position of the oldest record kept."""
        return self._bases[0] if self._bases else self._end

    @property
    def position(self) -> int:
        """The position after the last record appended."""
        return self._end

    @property
    def durable_position(self) -> int:
        """The position up to which everything is known to be on stable storage."""
        return self._durable

    def statistics(self) -> dict[str, float]:
        """Counters since the log was opened, and gauges. `fsync_running_seconds` shows a stalled disk."""
        since = self._syncing_since
        return {
            "appends": float(self._appends),
            "fsyncs": float(self._fsyncs),
            "fsync_seconds": self._fsync_seconds,
            "fsync_running_seconds": time.monotonic() - since if since is not None else 0.0,
            "segments": float(len(self._bases)),
            "size_bytes": float(self.size_bytes()),
            "not_durable_bytes": float(self._end - self._durable),
            "cut_bytes": float(self._cut_bytes),
        }

    def close(self) -> None:
        """Make everything durable, run the callbacks that wait for it, and release the files."""
        self._reader.forget()
        if self._recovery is not None or self._fd < 0:
            self._unusable = "the log is closed"
            return
        if not self._unusable:
            self._syncer.close(self._end, self._checksum)
        if not self._failed:
            self._durable = self._end
            self._deliver()
        self._unusable = "the log is closed"
        self._files.close(self._fd)
        self._mark_file.close()
        self._fd = -1

    # Recovery's last step

    def _begin(self, recovery: Recovery, end: End) -> None:
        """Take over where the records end: cut what is left of unfinished writes, make the rest durable."""
        files = self._files
        mark = recovery.mark
        if mark is None:
            mark = self._fresh_mark
            self._mark_file = MarkFile.create(self._directory, mark, files)
        else:
            self._mark_file, mark = MarkFile.open(self._directory, files)
        self._end, self._checksum = end.position, end.checksum
        self._cut_bytes = end.cut_bytes
        for path in (*recovery.leftovers, *end.surplus):
            files.unlink(path)
        if end.segment is None:
            self._start_segment()
        else:
            self._bases = [each.base for each in recovery.segments if each.base <= end.segment.base]
            self._fd = files.open(end.segment.path)
            self._offset = SEGMENT_HEADER_SIZE + self._end - end.segment.base
            if end.cut_bytes or end.segment.size < self._offset:
                files.ftruncate(self._fd, self._offset)
            self._zeroed = max(self._offset, end.segment.size if not end.cut_bytes else 0)
            self._rewrite(mark.position)
        files.sync_directory(self._directory)
        mark = self._fresh_mark._replace(
            position=self._end, checksum=self._checksum, first_base=self._bases[0]
        )
        self._mark_file.write(mark)
        self._durable = self._end
        self._syncer = Syncer(
            self._directory,
            self._fd,
            self._mark_file,
            mark,
            on_synced=self._on_synced,
            call_soon=self._hooks.call_soon,
            fatal=self._fail,
            files=files,
        )

    def _rewrite(self, durable: int) -> None:
        """Write the records behind `durable` once more and sync them.

        They were read from the page cache, which after a failed fsync may hold what the disk never got; only
        written again they are sure to reach it.
        """
        files = self._files
        ends = [*self._bases[1:], self._end]
        for base, end in zip(self._bases, ends, strict=True):
            if end <= durable:
                continue
            fd = files.open(self._directory / segment_name(base))
            offset = SEGMENT_HEADER_SIZE + max(durable - base, 0)
            stop = SEGMENT_HEADER_SIZE + end - base
            while offset < stop:
                data = files.pread(fd, min(COPY_BYTES, stop - offset), offset)
                files.write_all(fd, data, offset)
                offset += len(data)
            files.fdatasync(fd)
            files.close(fd)

    # Writing

    def _write_with_zeros(self, data: bytes, offset: int) -> int:
        """Write `data` and zeros up to a page boundary behind it; returns how much of `data` was written."""
        end = offset + len(data)
        target = -(-(end + ZERO_FILL_BYTES) // system.PAGE_SIZE) * system.PAGE_SIZE
        target = min(target, max(self._segment_bytes, end))
        written = self._files.pwritev(self._fd, (data, _ZEROS[: target - end]), offset)
        self._zeroed = offset + written
        return min(written, len(data))

    def _take_back(self, error: OSError) -> None:
        """Undo a write that failed half-way; raises LogFull, or ends the process."""
        if error.errno in FULL_ERRNOS:
            try:
                self._files.ftruncate(self._fd, self._offset)
            except OSError as second:
                error = second
            else:
                self._zeroed = self._offset
                raise LogFull(f"no room on the disk that holds {self._directory}") from error
        self._fail(
            f"the log could not be written ({error}). The process ends; what it acknowledged is intact. "
            f"Check the disk that holds {self._directory}, then start again."
        )
        raise LogFailed(self._unusable) from error

    def _roll(self) -> None:
        """Finish the segment and start the next. Raises LogFull with the log as it was."""
        fd, size = self._fd, self._offset
        try:
            self._start_segment()
        except OSError as error:
            if error.errno in FULL_ERRNOS:
                raise LogFull(f"no room on the disk that holds {self._directory}") from error
            self._fail(f"no new log segment could be made in {self._directory} ({error})")
            raise LogFailed(self._unusable) from error
        assert fd >= 0
        self._syncer.roll(self._fd, size)

    def _start_segment(self) -> None:
        """Create the segment that starts at the end of the log and make it the current one."""
        path = self._directory / segment_name(self._end)
        header = encode_header(SegmentHeader(self._fresh_mark.log_id, self._end, self._checksum))
        fd = self._files.open(path, create=True)
        try:
            self._files.write_all(fd, header, 0)
        except OSError:
            self._files.close(fd)
            self._files.unlink(path)
            raise
        self._fd = fd
        self._offset = self._zeroed = SEGMENT_HEADER_SIZE
        self._bases.append(self._end)

    # Durability

    def _start_sync(self) -> None:
        self._syncing_since = time.monotonic()
        self._syncer.sync(self._end, self._checksum)

    def _sync_in_background(self) -> None:
        """Durability 'os': about every second while there is traffic, so that a power cut costs little."""
        self._wake_asked = False
        if self._syncing_since is None and not self._unusable:
            self._start_sync()

    def _on_synced(self, position: int, seconds: float) -> None:
        """The sync thread's news, on the owner's thread."""
        self._syncing_since = None
        self._fsyncs += 1
        self._fsync_seconds += seconds
        if self._hooks.observe_fsync is not None:
            self._hooks.observe_fsync(seconds)
        if position > self._durable:
            self._durable = position
        try:
            self._deliver()
        finally:
            if self._waiting and self._syncing_since is None and not self._unusable:
                self._start_sync()

    def _deliver(self) -> None:
        waiting, durable = self._waiting, self._durable
        while waiting and waiting[0][0] <= durable:
            waiting.popleft()[1](durable)

    def _fail(self, message: str) -> None:
        self._failed = True
        self._unusable = message
        self._hooks.fatal(message)
