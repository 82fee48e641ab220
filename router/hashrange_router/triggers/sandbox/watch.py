"""What a worker uses, where the kernel does not count it: memory of its processes, bytes of its directory."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

_MIB = 1024 * 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DEPTH_MAX = 64
_BLOCK_SECTORS = 8
_FEW = 100


def resident_mb(pid: int) -> int:
    """Resident memory in MiB of a process and all that descend from it, without what they share counted once."""
    total, waiting = 0, [pid]
    while waiting:
        process = waiting.pop()
        try:
            fields = Path(f"/proc/{process}/statm").read_text().split()
            total += (int(fields[1]) - int(fields[2])) * _PAGE
            for thread in Path(f"/proc/{process}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except (OSError, ValueError, IndexError):
            continue
    return total // _MIB


def directory_mb(directory: Path) -> int:
    """MiB of disk taken by what lies in a directory. A file counts as a block at least: empty ones take room, too."""
    return _blocks(str(directory), 0) * 512 // _MIB


def has_few_files(directory: Path) -> bool:
    """Whether a directory is removed in no time."""
    try:
        with os.scandir(directory) as entries:
            return (
                sum(_FEW if entry.is_dir(follow_symlinks=False) else 1 for entry in islice(entries, _FEW))
                < _FEW
            )
    except OSError:
        return True


def _blocks(directory: str, depth: int) -> int:
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    total += max(entry.stat(follow_symlinks=False).st_blocks, _BLOCK_SECTORS)
                    if depth < _DEPTH_MAX and entry.is_dir(follow_symlinks=False):
                        total += _blocks(entry.path, depth + 1)
                except OSError:
                    continue
    except OSError:
        pass
    return total
