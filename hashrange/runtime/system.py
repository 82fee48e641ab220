"""What a process can learn about itself and its host: processor time, memory, file limits."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Inside a container these are its own; outside, those of the whole machine.
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def raise_open_files_limit(wanted: int) -> int:
    """Raise the soft limit of open files towards `wanted`, as far as the hard limit allows; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= goal:
        return soft if soft != resource.RLIM_INFINITY else wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
    return goal


def cpu_seconds(pid: int) -> float | None:
    """Processor time a process and all its descendants have used, ended children included.

    None when there is no such process, or it is another user's on a hardened system. Linux only: reads /proc.
    """
    own = _stat(pid)
    if own is None:
        return None
    total = own
    for child in children(pid):
        total += cpu_seconds(child) or 0.0
    return total


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process and its descendants; None when there is no such process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    return pages * _PAGE_BYTES + sum(resident_bytes(child) or 0 for child in children(pid))


def memory_limit_bytes() -> int:
    """Memory that this process may use: the limit of its control group if there is one, else the machine's."""
    machine = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    for path in _MEMORY_LIMITS:
        try:
            limit = int(Path(path).read_text())
        except (OSError, ValueError):  # not this version of control groups, or "max"
            continue
        return min(limit, machine)
    return machine


def children(pid: int) -> list[int]:
    """Process ids of the direct children of all threads of `pid`."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.extend(int(child) for child in (task / "children").read_text().split())
    except OSError:
        pass
    return found


def _stat(pid: int) -> float | None:
    """Processor seconds of one process and of the children it has waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rsplit(")", 1)[1].split()  # the name before it may hold blanks and parentheses
    return sum(int(field) for field in fields[11:15]) / _TICKS_PER_SECOND
