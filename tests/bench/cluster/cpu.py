"""Processor time of one process, split by kind of thread and into user and kernel time. Linux only: reads /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ENGINE_THREADS = "rocksdb"


@dataclass(frozen=True)
class Cpu:
    """Seconds (or, divided by requests, microseconds). `loop` is the thread of the event loop, the others add up
    to the same total: `engine` are RocksDB's background threads, `other` the rest, such as the one that syncs the log.
    """

    user: float = 0.0
    system: float = 0.0
    loop_user: float = 0.0
    loop_system: float = 0.0
    engine: float = 0.0
    other: float = 0.0

    @property
    def total(self) -> float:
        """User and kernel time together."""
        return self.user + self.system

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(Cpu)))

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cpu)))

    def scaled(self, factor: float) -> Cpu:
        """Every member times a factor."""
        return Cpu(*(getattr(self, f.name) * factor for f in fields(Cpu)))


def read(pid: int) -> Cpu:
    """What a process has used so far; zero when it is gone. Threads that have ended count as user and kernel time
    only.
    """
    try:
        _, user, system = _times(Path(f"/proc/{pid}/stat"))
        threads = sorted(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return Cpu()
    loop_user = loop_system = engine = other = 0.0
    for thread in threads:
        try:
            name, thread_user, thread_system = _times(thread / "stat")
        except OSError:
            continue  # it has ended since the directory was listed
        if thread.name == str(pid):
            loop_user, loop_system = thread_user, thread_system
        elif name.startswith(ENGINE_THREADS):
            engine += thread_user + thread_system
        else:
            other += thread_user + thread_system
    return Cpu(user, system, loop_user, loop_system, engine, other)


def _times(path: Path) -> tuple[str, float, float]:
    """Name, user and kernel seconds of a process or a thread."""
    before, _, after = path.read_text().rpartition(")")
    words = after.split()
    return before.partition("(")[2], int(words[11]) / _TICKS_PER_S, int(words[12]) / _TICKS_PER_S
