"""Control groups, version 1: one hierarchy each for memory, processes and CPU."""

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
from hashrange_router.triggers.limits.mounts import Mount, own_paths, read_mounts

_CONTROLLERS = ("memory", "pids", "cpu")
_SHARES_OF_ONE_CPU = 1024
_PERIOD_US = 100_000


class V1Group:
    """One worker's directories, one for each controller that this machine has."""

    def __init__(self, directories: dict[str, Path]) -> None:
        self._directories = directories
        self._memory = directories["memory"]

    @property
    def join(self) -> list[Path]:
        return [path / "cgroup.procs" for path in self._directories.values()]

    @property
    def memory_file(self) -> Path | None:
        return self._memory / "memory.max_usage_in_bytes"

    def peak_mb(self) -> int:
        return peak_mb(self._memory / "memory.max_usage_in_bytes")

    def killed_for_memory(self) -> bool:
        return read_count(self._memory / "memory.oom_control", "oom_kill") > 0

    def kill(self) -> None:
        kill_members(self._memory)

    def remove(self) -> None:
        for directory in self._directories.values():
            remove(directory)


class V1Limits:
    """Groups below one directory for each controller."""

    name = "cgroup v1"

    def __init__(self, directories: dict[str, Path]) -> None:
        self._directories = directories

    def create(self, worker: str, bounds: Bounds) -> Group | None:
        directories = {}
        for controller, parent in self._directories.items():
            directory = parent / worker
            directory.mkdir(exist_ok=True)
            directories[controller] = directory
        limit = bounds.memory_mb * 1024 * 1024
        write(directories["memory"] / "memory.limit_in_bytes", limit)
        write(directories["memory"] / "memory.memsw.limit_in_bytes", limit)
        if "pids" in directories:
            write(directories["pids"] / "pids.max", PROCESSES_MAX)
        if "cpu" in directories:
            share = bounds.memory_mb / MB_OF_ONE_CPU
            write(directories["cpu"] / "cpu.shares", max(2, round(_SHARES_OF_ONE_CPU * share)))
            if bounds.cpu_quota:
                write(directories["cpu"] / "cpu.cfs_period_us", _PERIOD_US)
                write(directories["cpu"] / "cpu.cfs_quota_us", max(1000, round(_PERIOD_US * share)))
        return V1Group(directories)

    def close(self) -> None:
        for directory in self._directories.values():
            for group in [path for path in directory.iterdir() if path.is_dir()]:
                kill_members(group)
                remove(group)
            remove(directory)


def find(tag: str) -> Limits | None:
    """Groups of version 1, if those of memory can be made."""
    directories = {}
    for controller in _CONTROLLERS:
        for base in _bases(read_mounts(), controller):
            directory = base / tag
            try:
                directory.mkdir(exist_ok=True)
            except OSError:
                continue
            directories[controller] = directory
            break
    if "memory" in directories:
        if "cpu" in directories:
            # Together the workers may compete for all CPUs; what each gets of that is by its memory.
            write(directories["cpu"] / "cpu.shares", _SHARES_OF_ONE_CPU * (os.cpu_count() or 1))
        return V1Limits(directories)
    for directory in directories.values():
        remove(directory)
    return None


def bases() -> list[Path]:
    """Where groups of guards may lie."""
    mounts = read_mounts()
    return [base for controller in _CONTROLLERS for base in _bases(mounts, controller)]


def _bases(mounts: list[Mount], controller: str) -> list[Path]:
    """Below the group this process is in, so that its own bounds hold for workers too; else at the top."""
    found = []
    for mount in mounts:
        if mount.kind == "cgroup" and controller in mount.options:
            own = own_paths().get(controller, "/").lstrip("/")
            found += [mount.target / own, mount.target] if own else [mount.target]
    return [path for path in found if path.is_dir()]
