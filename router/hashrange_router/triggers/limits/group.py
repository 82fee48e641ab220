"""What control groups of both versions have in common, and what is left without them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PREFIX = "hashrange-"
"""Directories of guards are called `hashrange-<process id>-<its start in clock ticks>`."""

PROCESSES_MAX = 1024
"""Processes and threads of one worker, as in the service."""

MB_OF_ONE_CPU = 1769
"""A function with so much memory has one CPU's time, as in the service."""

_MIB = 1024 * 1024
_REMOVE_TRIES = 50
_REMOVE_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one worker may use. Memory in MiB; CPU time follows from it."""

    memory_mb: int
    cpu_quota: bool = False


class Group(Protocol):
    """One worker's group."""

    @property
    def join(self) -> list[Path]:
        """Files to which a process writes "0" to become a member."""
        ...

    @property
    def memory_file(self) -> Path | None:
        """A file that holds the highest use of memory in bytes; None when it has to be asked of the process."""
        ...

    def peak_mb(self) -> int:
        """The highest use of memory so far."""
        ...

    def killed_for_memory(self) -> bool:
        """Whether the kernel has killed a member for want of memory."""
        ...

    def kill(self) -> None:
        """Kill every member."""
        ...

    def remove(self) -> None:
        """Take the group away; its members must have ended."""
        ...


class Limits(Protocol):
    """A means of bounding workers."""

    name: str

    def create(self, worker: str, bounds: Bounds) -> Group | None:
        """A group for a worker, None when this machine has none."""
        ...

    def close(self) -> None:
        """Remove what is left of all groups."""
        ...


class NoLimits:
    """A machine without control groups: the guard looks at the memory of workers itself."""

    name = "watch"

    def create(self, worker: str, bounds: Bounds) -> Group | None:
        return None

    def close(self) -> None:
        pass


def read_int(path: Path) -> int:
    """The number in a file of the kernel, 0 when there is none."""
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def read_count(path: Path, name: str) -> int:
    """The count after a name in a file of the kernel that has `name count` lines."""
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0


def peak_mb(path: Path) -> int:
    """MiB, rounded up, of a file that holds bytes."""
    return -(-read_int(path) // _MIB)


def write(path: Path, value: int | str) -> bool:
    """Set a file of the kernel; whether it took the value."""
    try:
        path.write_text(str(value))
    except OSError:
        return False
    return True


def kill_members(directory: Path) -> None:
    """Kill the processes of one group, also those that were forked while it was being done."""
    for _ in range(_REMOVE_TRIES):
        try:
            members = (directory / "cgroup.procs").read_text().split()
        except OSError:
            return
        if not members:
            return
        for member in members:
            try:
                os.kill(int(member), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        time.sleep(_REMOVE_PAUSE_S)


def remove(directory: Path) -> None:
    """Remove a group; the kernel refuses for a moment after the last member ended."""
    for _ in range(_REMOVE_TRIES):
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(_REMOVE_PAUSE_S)
        else:
            return


def process_tag(pid: int) -> str:
    """The name of what belongs to a process: its id may be another's later, its start time tells them apart."""
    return f"{PREFIX}{pid}-{started_at(pid)}"


def started_at(pid: int) -> int:
    """When a process began, in clock ticks since the machine did; 0 when it is no more."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def is_stale(name: str) -> bool:
    """Whether a directory's name is that of a process which is no more."""
    pid, _, start = name.removeprefix(PREFIX).partition("-")
    if not name.startswith(PREFIX) or not pid.isdigit() or not start.isdigit():
        return False
    return started_at(int(pid)) != int(start)


def sweep(base: Path) -> None:
    """Remove the groups below a directory whose guard is no more."""
    try:
        stale = [path for path in base.iterdir() if is_stale(path.name)]
    except OSError:
        return
    for directory in stale:
        for group in [path for path in directory.iterdir() if path.is_dir()]:
            kill_members(group)
            remove(group)
        remove(directory)
