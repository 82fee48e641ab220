"""The pool: runs functions on workers, warm or new, within the limits of concurrency.

pool = Pool(directory, code, settings=PoolSettings(work_dir), metrics=TriggerMetrics(), clock=SystemClock())
await pool.start()
result = await pool.invoke(Invocation(directory.resolve("hello"), b"{}", request_id, arn))
pool.logs.read("hello", after=0, limit=100)
await pool.stop()
"""

from __future__ import annotations

from hashrange.runtime.clock import Clock
from hashrange_router.triggers.contracts import (
    CodeStore,
    FunctionDirectory,
    FunctionVersion,
    Invocation,
    InvocationResult,
    TriggerMetrics,
)
from hashrange_router.triggers.settings import PoolSettings


class Pool:
    """Implements contracts.Invoker. One for each process; started and stopped on the event loop it works on."""

    def __init__(
        self,
        directory: FunctionDirectory,
        code: CodeStore,
        *,
        settings: PoolSettings,
        metrics: TriggerMetrics,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._code = code
        self._settings = settings
        self._metrics = metrics
        self._clock = clock

    async def start(self) -> None:
        """Clean up what a killed pool left, start the guard, follow the directory. OSError when it cannot."""

    async def stop(self) -> None:
        """Kill every worker, end the guard, remove directories and cgroups. Code and logs stay."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run it on a worker, warm or new; see contracts.Invoker."""
        raise RuntimeError("the pool has not been started")

    async def warm(self, function: FunctionVersion) -> None:
        """See that a worker of this version is ready. Returns when it is, or when its start has failed."""

    def share(self, pools: int) -> None:
        """So many pools live: this one takes its part of the limits of concurrency."""

    def statistics(self) -> dict[str, int]:
        """Workers idle, busy and starting; invocations waiting; all plain integers."""
        return {}
