"""What every process tells of itself on its metrics page: whether it is ready, its clock, the memory it may use."""

from __future__ import annotations

from collections.abc import Callable

from hashrange.runtime.clock import Clock
from hashrange.runtime.system import memory_limit_bytes
from hashrange.runtime.telemetry import Telemetry


def register_process_metrics(telemetry: Telemetry, not_ready: Callable[[], str], clock: Clock) -> None:
    """Make them visible on /metrics; `not_ready()` is why the process cannot serve, "" when it can."""
    limit = memory_limit_bytes()
    telemetry.gauge(
        "hashrange_ready", "1 while the process can serve, as /health/ready says.", lambda: not not_ready()
    )
    telemetry.gauge(
        "hashrange_clock_seconds",
        "Wall clock of the process, in seconds since the epoch.",
        lambda: clock.wall_ms() / 1000,
    )
    telemetry.gauge(
        "hashrange_memory_limit_bytes",
        "Memory that the process may use: its container's limit, else the machine's memory.",
        lambda: limit,
    )
