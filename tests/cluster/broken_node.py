"""`hashrange` with one rule broken, to show that the campaign finds it out: its negative controls.

    python tests/cluster/broken_node.py lease cluster up --data-dir DIR

The first argument names what is changed, the rest is an ordinary command line. Processes that a supervisor started
like this starts are broken the same way.

| name | what is changed |
|---|---|
| power | nothing but the disk: what is not synced is lost when the process is killed, as in a power cut |
| sync | the disk as above, and the log says "durable" at once; it syncs every two seconds |
| lease | a leader believes that its lease is valid as long as nobody has told it otherwise |
| vote | term and vote are never stored; the disk as above |
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

LAZY_SYNC_S = 2.0


class VolatileFiles:
    """The log's files on a disk that forgets, when the process is killed, what was not synced.

    Writes are kept here, by file, until an fdatasync of that file hands them to the operating system.
    """

    def __init__(self, files: type) -> None:
        self._lock = threading.RLock()
        self._pending: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        self._pwritev, self._pread = files.pwritev, files.pread  # type: ignore[attr-defined]
        self._fdatasync, self._ftruncate = files.fdatasync, files.ftruncate  # type: ignore[attr-defined]

    def install(self, files: type) -> None:
        """Take the place of the real calls."""
        disk = self

        def pwritev(own: Any, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
            return disk.write(fd, b"".join(buffers), offset)

        def pread(own: Any, fd: int, size: int, offset: int) -> bytes:
            return disk.read(own, fd, size, offset)

        def fdatasync(own: Any, fd: int) -> None:
            disk.sync(own, fd)

        def ftruncate(own: Any, fd: int, size: int) -> None:
            # What is cut off was either synced or never needed: bring the file up to date first.
            disk.hand_over(own, fd)
            disk._ftruncate(own, fd, size)

        for name, call in (
            ("pwritev", pwritev),
            ("pread", pread),
            ("fdatasync", fdatasync),
            ("ftruncate", ftruncate),
        ):
            setattr(files, name, call)

    def write(self, fd: int, data: bytes, offset: int) -> int:
        """Keep a write."""
        with self._lock:
            self._pending.setdefault(_file(fd), []).append((offset, data))
        return len(data)

    def read(self, own: Any, fd: int, size: int, offset: int) -> bytes:
        """What the process itself sees: the file with the writes that are kept."""
        with self._lock:
            pending = list(self._pending.get(_file(fd), ()))
        if not pending:
            data: bytes = self._pread(own, fd, size, offset)
            return data
        end = max([os.fstat(fd).st_size, *(at + len(data) for at, data in pending)])
        size = max(0, min(size, end - offset))
        buffer = bytearray(self._pread(own, fd, size, offset).ljust(size, b"\0"))
        for at, data in pending:
            low, high = max(at, offset), min(at + len(data), offset + size)
            if low < high:
                buffer[low - offset : high - offset] = data[low - at : high - at]
        return bytes(buffer)

    def sync(self, own: Any, fd: int) -> None:
        """Make the writes of one file real."""
        self.hand_over(own, fd)
        self._fdatasync(own, fd)

    def hand_over(self, own: Any, fd: int) -> None:
        """Write what is kept; a write that was added meanwhile stays for the next time."""
        with self._lock:
            for offset, data in self._pending.pop(_file(fd), []):
                self._pwritev(own, fd, [data], offset)


def _file(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def lose_power() -> None:
    """A disk that forgets what was not synced."""
    from hashrange_node.log.files import OsFiles

    VolatileFiles(OsFiles).install(OsFiles)


def lie_about_sync() -> None:
    """Say "durable" at once, and sync every two seconds."""
    from hashrange_node.log.log import FileLog

    lose_power()

    def sync(self: FileLog, position: int, done: Callable[[int], object]) -> None:
        if not self._wake_asked and not self._unusable:
            self._wake_asked = True
            self._syncer.wake_after(LAZY_SYNC_S, self._sync_in_background)
        done(self._end)

    FileLog.sync = sync  # type: ignore[method-assign]


def trust_the_lease() -> None:
    """A leader does not look at the clock."""
    from hashrange_node.raft.core import RaftCore

    def lease_valid(self: RaftCore, now: int) -> bool:
        return True

    RaftCore.lease_valid = lease_valid  # type: ignore[method-assign]


def forget_votes() -> None:
    """Term and vote are not stored, and nothing waits for them: only entries still tell of a term."""
    from hashrange_node.raft.core import RaftCore
    from hashrange_node.raft.ready import Ready

    lose_power()
    original = RaftCore.ready

    def ready(self: RaftCore) -> Ready | None:
        work = original(self)
        if work is None or work.hard_state is None:
            return work
        work.hard_state = None
        nothing_else = not work.entries and work.snapshot is None and work.truncate_from is None
        if nothing_else and len(self.log.writes) == 1:
            number, work.number = work.number, 0
            work.messages = [*work.messages, *work.messages_after_persist]
            work.messages_after_persist = ()
            self.persisted(number)
        return work

    RaftCore.ready = ready  # type: ignore[method-assign]


SABOTAGE: dict[str, Callable[[], None]] = {
    "power": lose_power,
    "sync": lie_about_sync,
    "lease": trust_the_lease,
    "vote": forget_votes,
}


def main(arguments: list[str]) -> None:
    """Break something, then be `hashrange`."""
    name, *rest = arguments
    if rest[:1] == ["node"]:
        SABOTAGE[name]()
    # A supervisor starts its children with the command that it was itself started with, up to these arguments.
    sys.argv[1:] = rest
    from hashrange.cli.main import main as run

    run()


if __name__ == "__main__":
    main(sys.argv[1:])
