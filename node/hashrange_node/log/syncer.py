"""The thread that makes the log durable: fdatasync, the mark, finished and removed segments.

The log's owner (the event loop) hands it commands through a queue and gets the news back through the
injected `call_soon`, one wake-up per fdatasync. os.fdatasync releases the interpreter's lock, so the loop
goes on meanwhile. This thread is the only writer of the mark.

A failed fdatasync or mark is never tried again: the kernel may have marked the pages clean and dropped the
data, after which a second call would succeed and lie (Rebello et al., "Can Applications Recover from fsync
Failures?", USENIX ATC 2020). `fatal` is called instead and the thread ends.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from .files import OsFiles
from .mark import MARK_INTERVAL_MS, Mark, MarkFile

EXIT_STATUS = 70
FULL_ERRNOS = frozenset((errno.ENOSPC, errno.EDQUOT))


def end_process(message: str) -> None:
    """Write the message to standard error and end the process at once, without any clean-up."""
    sys.stderr.write(f"hashrange: {message}\n")
    sys.stderr.flush()
    os._exit(EXIT_STATUS)


class Syncer:
    """Owns the sync thread. Methods without underscore are called by the log's owner and return at once.

    `on_synced(position, seconds)` is what `call_soon` gets after every fdatasync that was asked for.
    """

    def __init__(
        self,
        directory: Path,
        fd: int,
        mark_file: MarkFile,
        mark: Mark,
        *,
        on_synced: Callable[[int, float], object],
        call_soon: Callable[..., object],
        fatal: Callable[[str], object],
        files: OsFiles,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._fd = fd
        self._mark_file = mark_file
        self._mark = mark
        self._marked = mark
        self._on_synced = on_synced
        self._call_soon = call_soon
        self._fatal = fatal
        self._files = files
        self._clock = clock
        self._queue: SimpleQueue[tuple[Callable[..., None], tuple[object, ...]]] = SimpleQueue()
        self._removable: list[Path] = []
        self._mark_due: float | None = None
        self._wake_due: float | None = None
        self._wake: Callable[[], object] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="log-sync", daemon=True)
        self._thread.start()

    def sync(self, position: int, checksum: int) -> None:
        """Make everything up to `position`, whose last record has `checksum`, durable; then report."""
        self._queue.put((self._sync, (position, checksum)))

    def wake_after(self, seconds: float, wake: Callable[[], object]) -> None:
        """Have `wake` called through `call_soon` after this time."""
        self._queue.put((self._set_wake, (seconds, wake)))

    def roll(self, fd: int, size: int) -> None:
        """A new segment, open as `fd`, has been started; the one before it ends at byte `size`."""
        self._queue.put((self._roll, (fd, size)))

    def remove(self, first_base: int, paths: Sequence[Path]) -> None:
        """The log starts at `first_base` from now on; delete the segments before it."""
        self._queue.put((self._remove, (first_base, paths)))

    def close(self, position: int, checksum: int) -> bool:
        """Sync, write a clean mark, end the thread and wait for it. True when all of that worked."""
        self._queue.put((self._close, (position, checksum)))
        self._thread.join()
        return self._marked.clean

    def _run(self) -> None:
        try:
            while not self._stopped:
                try:
                    command, arguments = self._queue.get(timeout=self._time_left())
                except Empty:
                    pass
                else:
                    command(*arguments)
                self._do_what_is_due()
        except OSError as error:
            self._fatal(
                f"the log could not be made durable ({error}). The kernel may have dropped what was written, "
                "so the process ends now; nothing that was not durable has been acknowledged. Check the disk "
                f"that holds {self._directory}, then start again."
            )

    def _time_left(self) -> float | None:
        due = [each for each in (self._mark_due, self._wake_due) if each is not None]
        return max(0.0, min(due) - self._clock()) if due else None

    def _do_what_is_due(self) -> None:
        if self._mark_due is not None and self._clock() >= self._mark_due:
            self._write_mark()
        if self._wake_due is not None and self._clock() >= self._wake_due and self._wake is not None:
            self._wake_due = None
            self._tell(self._wake)

    def _sync(self, position: int, checksum: int) -> None:
        started = self._clock()
        self._files.fdatasync(self._fd)
        self._tell(self._on_synced, position, self._clock() - started)
        self._mark = self._mark._replace(position=position, checksum=checksum)
        if self._mark_due is None:
            self._mark_due = self._clock() + MARK_INTERVAL_MS / 1000

    def _set_wake(self, seconds: float, wake: Callable[[], object]) -> None:
        self._wake_due = self._clock() + seconds
        self._wake = wake

    def _roll(self, fd: int, size: int) -> None:
        self._files.ftruncate(self._fd, size)
        self._files.fdatasync(self._fd)
        self._files.close(self._fd)
        self._files.sync_directory(self._directory)
        self._fd = fd

    def _remove(self, first_base: int, paths: Sequence[Path]) -> None:
        self._mark = self._mark._replace(first_base=first_base)
        self._removable.extend(paths)
        self._write_mark()

    def _close(self, position: int, checksum: int) -> None:
        self._stopped = True
        self._files.fdatasync(self._fd)
        self._mark = self._mark._replace(position=position, checksum=checksum, clean=True)
        self._write_mark()

    def _write_mark(self) -> None:
        """Write the mark unless the disk is full (then it stays behind for a while, which is safe)."""
        self._mark_due = None
        try:
            self._mark_file.write(self._mark)
        except OSError as error:
            if error.errno not in FULL_ERRNOS:
                raise
            self._mark_due = self._clock() + MARK_INTERVAL_MS / 1000
            return
        self._marked = self._mark
        if self._removable:
            # Only now: files before the mark's first base are leftovers, a missing file behind it is damage.
            for path in self._removable:
                self._files.unlink(path)
            self._removable.clear()
            self._files.sync_directory(self._directory)

    def _tell(self, callback: Callable[..., object], *arguments: object) -> None:
        try:
            self._call_soon(callback, *arguments)
        except RuntimeError:
            # The loop is closed: nobody waits for the news any more.
            pass
