"""Processes of this machine, named by process id and start time so that a reused id is never mistaken.

Signals go through a pidfd: between the check of the start time and the signal the id cannot pass to another
process. Linux only: reads /proc.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

RUNNING = "running"
PAUSED = "paused"
GONE = "gone"


def boot_id() -> str:
    """What names this run of the machine: process ids and start times of another run mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """When a process began, in the kernel's ticks since boot; None when there is none, or only its zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    return int(fields[19])


def state_of(pid: int | None, started: int | None) -> str:
    """Whether exactly that process is running, paused (stopped by a signal) or gone."""
    if pid is None:
        return GONE
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X") or int(fields[19]) != started:
        return GONE
    return PAUSED if fields[0] in ("T", "t") else RUNNING


def send(pid: int | None, started: int | None, number: signal.Signals) -> bool:
    """Signal exactly that process; False when it is gone. A foreign process is never signalled."""
    if pid is None:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if state_of(pid, started) == GONE:
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold blanks and parentheses itself. First after it: the state (field 3).
    return text.rsplit(")", 1)[1].split()
