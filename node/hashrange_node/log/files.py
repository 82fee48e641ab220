"""The handful of operating-system calls the log makes, behind one object so that tests can make them fail.

`OsFiles` is the real thing. A test passes a subclass whose `fdatasync` raises, or whose `pwritev` is short.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


class OsFiles:
    """File calls as the operating system offers them; OSError is passed on unchanged."""

    def open(self, path: Path, *, create: bool = False) -> int:
        """Open for reading and writing; `create` demands that the file is new."""
        flags = os.O_RDWR | os.O_CLOEXEC | ((os.O_CREAT | os.O_EXCL) if create else 0)
        return os.open(path, flags, 0o600)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def pwritev(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        return os.pwritev(fd, buffers, offset)

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def rename(self, path: Path, to: Path) -> None:
        path.rename(to)

    def write_all(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data`, or raise OSError with part of it written."""
        view = memoryview(data)
        done = 0
        while done < len(data):
            done += self.pwritev(fd, [view[done:]], offset + done)


def boot_id() -> bytes:
    """16 bytes that change whenever the machine starts anew; zeros where that cannot be known."""
    try:
        return bytes.fromhex(BOOT_ID_PATH.read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)
