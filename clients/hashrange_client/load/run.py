"""A whole measurement: starts the worker processes, follows them, merges what they have counted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from hashrange.runtime.system import cpu_seconds
from hashrange_client.load.client import Client
from hashrange_client.load.metrics import grown
from hashrange_client.load.result import LoadResult, histogram_of
from hashrange_client.load.scrape import Scraper
from hashrange_client.load.series import Series
from hashrange_client.load.settings import LoadError, LoadSettings

CPU_METRIC = "process_cpu_seconds_total"
HEAD_START_S = 0.02
LINE_BYTES_MAX = 16 * 1024 * 1024

Progress = Callable[[int, int], None]
"""Told the requests answered and failed so far, of all processes; first when the warm-up is over."""

OnSecond = Callable[[dict[str, Any]], None]
"""Told the row of each second, see `series`."""

CpuReading = Callable[[], Awaitable[float | None]]


@dataclass(frozen=True)
class Watch:
    """Who follows a run: `progress` several times a second, `on_second` with every second's row, a scraper of
    metrics. `stop`, once it is set, ends the measurement early, with what was counted so far.
    """

    progress: Progress | None = None
    on_second: OnSecond | None = None
    scraper: Scraper | None = None
    stop: asyncio.Event | None = None


async def generate(
    settings: LoadSettings,
    progress: Progress | None = None,
    server_pid: int | None = None,
    watch: Watch | None = None,
) -> LoadResult:
    """Put load on the endpoint as `settings` say and return what was measured.

    Processor time of the server is read from /proc when `server_pid` is given, else from its /metrics if it
    has the usual metric; with a scraper it is the sum over all its processes. Raises `LoadError` when the load
    cannot be generated.
    """
    settings.check()
    watch = watch or Watch(progress)
    read_cpu = await _cpu_reading(settings, server_pid)
    crew = _Crew(settings, watch)
    scraper = watch.scraper
    try:
        await crew.start()
        measured_from = await crew.begin()
        await asyncio.sleep(max(0.0, measured_from - perf_counter()))
        if watch.progress is not None:
            watch.progress(0, 0)
        if scraper is not None:
            await scraper.begin(measured_from)
        before = await read_cpu()
        parts = await crew.results(watch.stop)
        after = await read_cpu()
        if scraper is not None:
            await scraper.end()
    finally:
        if scraper is not None:
            await scraper.close()
        await crew.stop()
    result = _merged(settings, crew.series, parts)
    if before is not None and after is not None:
        result.server_cpu_s = after - before
    if scraper is not None:
        result.processes = scraper.processes
        used = [grown(each.samples, "cpu_s") for each in result.processes]
        if server_pid is None and any(seconds is not None for seconds in used):
            result.server_cpu_s = sum(seconds or 0.0 for seconds in used)
    return result


def _merged(settings: LoadSettings, series: Series, parts: list[dict[str, float]]) -> LoadResult:
    series.finish()
    return LoadResult(
        settings,
        seconds=max(part["seconds"] for part in parts),
        latencies={name: histogram_of(counts) for name, counts in series.operations.items()},
        errors=series.errors,
        generator_cpu_s=[part["cpu_s"] for part in parts],
        rows=series.rows,
        counts=dict(series.operations),
        throttled=series.throttled,
        unsent=series.unsent,
    )


class _Crew:
    """The worker processes of one run."""

    def __init__(self, settings: LoadSettings, watch: Watch) -> None:
        self._settings = settings
        self._watch = watch
        self.series = Series(settings.processes)
        self._processes: list[asyncio.subprocess.Process] = []
        self._followers: list[asyncio.Task[dict[str, float]]] = []
        self._ready: list[asyncio.Event] = []
        self._counts: dict[int, tuple[int, int]] = {}

    async def start(self) -> None:
        for number in range(self._settings.processes):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hashrange_client.load.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_BYTES_MAX,
            )
            self._processes.append(process)
            self._ready.append(asyncio.Event())
            _tell(process, self._settings.share(number).to_json())
            self._followers.append(asyncio.create_task(self._follow(number, process)))

    async def begin(self) -> float:
        """When all have connected, set them off at one moment; when the measurement begins, by `perf_counter`."""

        async def all_ready() -> None:
            for event in self._ready:
                await event.wait()

        waiting = asyncio.create_task(all_ready())
        tasks: list[asyncio.Task[Any]] = [waiting, *self._followers]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        begin = perf_counter() + HEAD_START_S
        for process in self._processes:
            _tell(process, json.dumps({"begin": begin}))
        return begin + (self._settings.warm_up_s if all(event.is_set() for event in self._ready) else 0.0)

    async def results(self, stop: asyncio.Event | None) -> list[dict[str, float]]:
        stopper = asyncio.create_task(self._interrupt(stop)) if stop is not None else None
        try:
            return list(await asyncio.gather(*self._followers))
        finally:
            if stopper is not None:
                stopper.cancel()

    async def _interrupt(self, stop: asyncio.Event) -> None:
        """Processes in the foreground of a terminal have had its SIGINT already; another does nothing."""
        await stop.wait()
        for process in self._processes:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)

    async def stop(self) -> None:
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)
        for process, follower in zip(self._processes, self._followers, strict=True):
            if process.returncode is None and (follower.cancelled() or follower.exception() is not None):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)  # Process.kill may reap it before asyncio does
            await process.wait()

    async def _follow(self, number: int, process: asyncio.subprocess.Process) -> dict[str, float]:
        async for message in _messages(process):
            if "second" in message:
                row = self.series.add(message)
                if row is not None and self._watch.on_second is not None:
                    self._watch.on_second(row)
            elif "ready" in message:
                self._ready[number].set()
            elif "failed" in message:
                raise LoadError(message["failed"])
            elif "result" in message:
                return dict(message["result"])
            elif self._watch.progress is not None:
                self._counts[number] = (message["done"], message["errors"])
                self._watch.progress(
                    sum(done for done, _ in self._counts.values()),
                    sum(errors for _, errors in self._counts.values()),
                )
        raise LoadError(f"a process of the load generator ended early, with exit code {await process.wait()}")


def _tell(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")


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
