"""What the tests of the log share: an owner's thread without an event loop, logs to fill, disks that fail."""

from __future__ import annotations

import errno
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from hashrange_node.log import Entry, FileLog
from hashrange_node.log.files import OsFiles

LOG_ID = b"0123456789abcdef"
BOOT = b"a boot of the pc"
LATER_BOOT = b"the boot after.."


class Owner:
    """The thread that owns a log: what other threads hand to `call_soon` runs when the test says so."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        self._calls.put((callback, arguments))

    def run_until(self, done: Callable[[], object], timeout_s: float = 30.0) -> None:
        """Run calls as they come in until `done()` is true."""
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, "nothing more happened"
            try:
                callback, arguments = self._calls.get(timeout=0.01)
            except Empty:
                continue
            callback(*arguments)


def open_log(directory: Path, owner: Owner | None = None, **options: object) -> tuple[FileLog, list[Entry]]:
    """Open a log and replay it; returns it with the entries found."""
    options.setdefault("boot_id", BOOT)
    options.setdefault("call_soon", (owner or Owner()).call_soon)
    directory.mkdir(exist_ok=True)
    log = FileLog.open(directory, LOG_ID, **options)  # type: ignore[arg-type]
    return log, [entry for _, entry in log.replay()]


def entries(first: int, count: int, size: int = 100, group: int = 1) -> list[Entry]:
    """`count` entries of one group, with payloads that tell them apart and end in a byte that is not 0."""
    return [
        Entry(group, index, 1, b"%08d" % index * (size // 8) + b"}") for index in range(first, first + count)
    ]


def sync_now(log: FileLog, owner: Owner) -> None:
    """Make everything appended durable."""
    done: list[int] = []
    log.sync(log.position, done.append)
    owner.run_until(lambda: done)


def wait_for_mark(directory: Path, position: int) -> None:
    """Wait until the durable mark covers `position`."""
    from hashrange_node.log.mark import read_mark

    deadline = time.monotonic() + 30
    while True:
        mark = read_mark(directory, OsFiles())
        if mark is not None and mark.position >= position:
            return
        assert time.monotonic() < deadline, "the mark was not written"
        time.sleep(0.01)


def crash_copy(directory: Path, target: Path) -> Path:
    """What a process that is killed now would leave behind."""
    shutil.copytree(directory, target)
    return target


class FailingFiles(OsFiles):
    """Files on a disk that fails when told to.

    `room` is how many bytes pwritev still takes (None: no limit), `sync_error` what fdatasync raises.
    """

    def __init__(self) -> None:
        self.room: int | None = None
        self.sync_error: OSError | None = None
        self.syncs = 0

    def pwritev(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if self.room is None:
            return super().pwritev(fd, buffers, offset)
        data = b"".join(bytes(each) for each in buffers)[: self.room]
        if not data:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        return super().pwritev(fd, [data], offset)

    def fdatasync(self, fd: int) -> None:
        self.syncs += 1
        if self.sync_error is not None:
            raise self.sync_error
        super().fdatasync(fd)


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A tmpfs of the given size; skips the test where mounting is not permitted."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def grow_disk(path: Path, size: str) -> None:
    """Give a small disk more room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(path)], check=True)
