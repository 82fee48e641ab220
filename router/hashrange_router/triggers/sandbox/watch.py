"""What a worker uses, where the kernel does not count it: memory of its processes, bytes of its directory."""

from __future__ import annotations

import os
from pathlib import Path

_MIB = 1024 * 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DEPTH_MAX = 64


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
    """MiB of disk taken by what lies in a directory."""
    return _blocks(str(directory), 0) * 512 // _MIB


def _blocks(directory: str, depth: int) -> int:
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_blocks
                    if depth < _DEPTH_MAX and entry.is_dir(follow_symlinks=False):
                        total += _blocks(entry.path, depth + 1)
                except OSError:
                    continue
    except OSError:
        pass
    return total
