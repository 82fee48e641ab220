"""A whole measurement: starts the worker processes, follows them, merges what they have counted."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from hashrange.runtime.system import cpu_seconds
from hashrange_client.load.client import Client
from hashrange_client.load.result import LoadResult
from hashrange_client.load.settings import LoadError, LoadSettings

CPU_METRIC = "process_cpu_seconds_total"

Progress = Callable[[int, int], None]
"""Told the requests answered and failed so far, of all processes."""

CpuReading = Callable[[], Awaitable[float | None]]


async def generate(
    settings: LoadSettings, progress: Progress | None = None, server_pid: int | None = None
) -> LoadResult:
    """Put load on the endpoint as `settings` say and return what was measured.

    Processor time of the server is read from /proc when `server_pid` is given, else from its /metrics if it
    has the usual metric. Raises `LoadError` when the load cannot be generated.
    """
    settings.check()
    read_cpu = await _cpu_reading(settings, server_pid)
    result = LoadResult(settings)
    crew = _Crew(settings, progress)
    try:
        await crew.start()
        await crew.measuring()
        before = await read_cpu()
        parts = await crew.results()
        after = await read_cpu()
    finally:
        await crew.stop()
    for part in parts:
        result.add(part)
    if before is not None and after is not None:
        result.server_cpu_s = after - before
    return result


class _Crew:
    """The worker processes of one run."""

    def __init__(self, settings: LoadSettings, progress: Progress | None) -> None:
        self._settings = settings
        self._progress = progress
        self._processes: list[asyncio.subprocess.Process] = []
        self._followers: list[asyncio.Task[dict[str, Any]]] = []
        self._measuring: list[asyncio.Event] = []
        self._counts: dict[int, tuple[int, int]] = {}

    async def start(self) -> None:
        for number in range(self._settings.processes):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hashrange_client.load.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=16 * 1024 * 1024,
            )
            self._processes.append(process)
            self._measuring.append(asyncio.Event())
            assert process.stdin is not None
            process.stdin.write(self._settings.share(number).to_json().encode() + b"\n")
            self._followers.append(asyncio.create_task(self._follow(number, process)))

    async def measuring(self) -> None:
        """Return when all have warmed up (or one has failed, which `results` will tell)."""

        async def all_measuring() -> None:
            for event in self._measuring:
                await event.wait()

        waiting = asyncio.create_task(all_measuring())
        tasks: list[asyncio.Task[Any]] = [waiting, *self._followers]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def results(self) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*self._followers))

    async def stop(self) -> None:
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _follow(self, number: int, process: asyncio.subprocess.Process) -> dict[str, Any]:
        async for message in _messages(process):
            if "measuring" in message:
                self._measuring[number].set()
            elif "failed" in message:
                raise LoadError(message["failed"])
            elif "result" in message:
                return dict(message["result"])
            elif self._progress is not None:
                self._counts[number] = (message["done"], message["errors"])
                self._progress(
                    sum(done for done, _ in self._counts.values()),
                    sum(errors for _, errors in self._counts.values()),
                )
        raise LoadError(f"a process of the load generator ended early, with exit code {await process.wait()}")


async def _messages(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield json.loads(line)


async def _cpu_reading(settings: LoadSettings, server_pid: int | None) -> CpuReading:
    """A function that reads the server's processor time, or None when there is no way."""
    if server_pid is not None:
        if cpu_seconds(server_pid) is None:
            raise LoadError(f"there is no process {server_pid} to measure; correct --server-pid")

        async def from_proc() -> float | None:
            return cpu_seconds(server_pid)

        return from_proc

    async def from_metrics() -> float | None:
        try:
            client = await Client.connect(settings)
            try:
                response = await client.get("/metrics")
            finally:
                client.close()
        except LoadError:
            return None
        return cpu_of_metrics(response.body) if response.status == 200 else None

    return from_metrics


def cpu_of_metrics(body: bytes) -> float | None:
    """The value of process_cpu_seconds_total in a page of metrics."""
    for line in body.decode("utf-8", "replace").splitlines():
        if line.startswith(CPU_METRIC + " "):
            return float(line.split()[1])
    return None
