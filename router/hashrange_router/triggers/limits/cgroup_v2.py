"""Control groups, version 2: one hierarchy with all controllers.

A group whose members are processes cannot hand controllers on to groups below it, so the place for workers is
looked for: below the group of this process where controllers were handed on already, beside it, or at the top.
"""

from __future__ import annotations

import os
from pathlib import Path

from hashrange_router.triggers.limits.group import (
    MB_OF_ONE_CPU,
    PROCESSES_MAX,
    Bounds,
    Group,
    Limits,
    kill_members,
    peak_mb,
    read_count,
    remove,
    write,
)
from hashrange_router.triggers.limits.mounts import own_paths, read_mounts

_WEIGHT_OF_ONE_CPU = 100
_PERIOD_US = 100_000


class V2Group:
    """One worker's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def join(self) -> list[Path]:
        return [self._directory / "cgroup.procs"]

    @property
    def memory_file(self) -> Path | None:
        peak = self._directory / "memory.peak"  # since Linux 5.19
        return peak if peak.exists() else self._directory / "memory.current"

    def peak_mb(self) -> int:
        path = self.memory_file
        return peak_mb(path) if path is not None else 0

    def killed_for_memory(self) -> bool:
        return read_count(self._directory / "memory.events", "oom_kill") > 0

    def kill(self) -> None:
        if not write(self._directory / "cgroup.kill", 1):  # since Linux 5.14
            kill_members(self._directory)

    def remove(self) -> None:
        remove(self._directory)


class V2Limits:
    """Groups below one directory."""

    name = "cgroup v2"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(self, worker: str, bounds: Bounds) -> Group | None:
        directory = self._directory / worker
        directory.mkdir(exist_ok=True)
        write(directory / "memory.max", bounds.memory_mb * 1024 * 1024)
        write(directory / "memory.swap.max", 0)
        write(directory / "pids.max", PROCESSES_MAX)
        share = bounds.memory_mb / MB_OF_ONE_CPU
        write(directory / "cpu.weight", min(10_000, max(1, round(_WEIGHT_OF_ONE_CPU * share))))
        if bounds.cpu_quota:
            write(directory / "cpu.max", f"{max(1000, round(_PERIOD_US * share))} {_PERIOD_US}")
        return V2Group(directory)

    def close(self) -> None:
        for group in [path for path in self._directory.iterdir() if path.is_dir()]:
            V2Group(group).kill()
            remove(group)
        remove(self._directory)


def find(tag: str) -> Limits | None:
    """Groups of version 2, if there is a place where memory can be bounded."""
    for base in bases():
        directory = base / tag
        try:
            directory.mkdir(exist_ok=True)
        except OSError:
            continue
        if "memory" in _controllers(directory / "cgroup.controllers") and _hand_on(directory):
            return V2Limits(directory)
        remove(directory)
    return None


def bases() -> list[Path]:
    """Where groups of guards may lie, the best place first."""
    found: list[Path] = []
    for mount in read_mounts():
        if mount.kind == "cgroup2":
            own = mount.target / own_paths().get("", "/").lstrip("/")
            found += [path for path in (own, own.parent, mount.target) if path not in found]
            found = [path for path in found if path == mount.target or mount.target in path.parents]
    return [path for path in found if path.is_dir() and "memory" in _controllers(path / "cgroup.controllers")]


def _hand_on(directory: Path) -> bool:
    """Let groups below bound memory, and what else there is."""
    control = directory / "cgroup.subtree_control"
    # Together the workers may compete for all CPUs; what each gets of that is by its memory.
    write(directory / "cpu.weight", min(10_000, _WEIGHT_OF_ONE_CPU * (os.cpu_count() or 1)))
    for controller in ("pids", "cpu"):
        write(control, f"+{controller}")
    return write(control, "+memory")


def _controllers(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
