"""`hashrange bench`: options become settings, the load runs under a line of progress, and the result goes
where it should.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import uvloop
from hashrange_client.load.prepare import prepare
from hashrange_client.load.report.page import write_page
from hashrange_client.load.result import LoadResult
from hashrange_client.load.run import Watch, generate
from hashrange_client.load.scrape import Scraper
from hashrange_client.load.series import ALL
from hashrange_client.load.settings import LoadError, LoadSettings
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hashrange.cli.bench import compare, show, targets
from hashrange.cli.bench.command import TO_OUTPUT
from hashrange.cli.cluster.layout import Layout

DEFAULT_ENDPOINT = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class BenchOptions:
    """The options of the command, as given."""

    workload: str
    mix: str
    connections: int
    processes: int
    duration: float
    warm_up: float
    count: int | None
    rate: float | None
    arrivals: str
    backlog: int
    client: str
    items: int
    value_bytes: int | None
    distribution: str
    hot_keys: int | None
    hot_share: float | None
    group: int
    consistent_reads: bool
    table: str
    preload: bool
    seed: int
    endpoint: str | None
    data_dir: str | None
    dax: str
    metrics: list[str] | None
    scrape_interval: float
    server_pid: int | None
    sign: str | None
    region: str
    as_json: str | None
    report: str | None
    compare: tuple[str, str] | None
    max_error_rate: float | None
    expect_p99_ms: float | None

    def settings(self, cluster: Layout | None) -> LoadSettings:
        """The load generator's settings; raises `LoadError` for options that make no sense."""
        access_key, colon, secret = (self.sign or "").partition(":")
        if self.sign is not None and not (access_key and colon and secret):
            raise LoadError("--sign takes KEY:SECRET")
        hot = self.hot_keys is not None or self.hot_share is not None
        if hot and self.distribution not in ("", "hotspot"):
            raise LoadError("--hot-keys and --hot-share belong to --distribution hotspot")
        endpoint = self.endpoint or (cluster.endpoint if cluster is not None else DEFAULT_ENDPOINT)
        dax = self.dax
        if self.client == "dax" and not dax and cluster is not None:
            dax = cluster.dax_endpoint
        asked = LoadSettings(
            endpoint=endpoint,
            workload=self.workload,
            table=self.table,
            connections=self.connections,
            processes=self.processes,
            duration_s=self.duration,
            count=self.count,
            rate=self.rate,
            items=self.items,
            item_bytes=self.value_bytes or 0,
            warm_up_s=self.warm_up,
            access_key=access_key or None,
            secret=secret or None,
            region=self.region,
            seed=self.seed,
            consistent_reads=self.consistent_reads,
            mix=self.mix,
            distribution=self.distribution or ("hotspot" if hot else ""),
            hot_keys=self.hot_keys or 1,
            hot_share=0.8 if self.hot_share is None else self.hot_share,
            group=self.group,
            arrivals=self.arrivals,
            backlog=self.backlog,
            client=self.client,
            dax_endpoint=dax,
        )
        return asked.checked()


def run(options: BenchOptions) -> None:
    """Prepare, measure and tell; ends the program with code 1 when that is not possible, or not as it should be."""
    console = Console(stderr=True)
    try:
        if options.compare is not None:
            first, second = options.compare
            compare.show(Path(first), Path(second), Console())
            return
        cluster = targets.cluster_of(options.data_dir, options.endpoint or DEFAULT_ENDPOINT)
        settings = options.settings(cluster)
        _check_files(options)
        stop = asyncio.Event()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_measure(options, settings, cluster, console, stop))
        _deliver(options, result)
    except LoadError as error:
        console.print(f"hashrange: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None
    if stop.is_set():
        console.print(f"hashrange: stopped after {result.seconds:.1f} s", highlight=False)
        raise typer.Exit(130)
    wrong = complaints(options, result)
    for complaint in wrong:
        console.print(f"hashrange: {complaint}", markup=False, highlight=False, soft_wrap=True)
    if wrong:
        raise typer.Exit(1)


def complaints(options: BenchOptions, result: LoadResult) -> list[str]:
    """What is not as it should be, a sentence each."""
    if not result.requests:
        kinds = ", ".join(f"{count:,} × {kind}" for kind, count in result.errors.most_common(3))
        return [f"no request succeeded: {kinds or 'the server has answered nothing'}"]
    found = []
    limit = options.max_error_rate
    failed = result.errors.total() + result.unsent
    share = failed / (failed + result.requests)
    if limit is not None and share > limit:
        found.append(f"{share:.3%} of the requests failed or were never sent, not at most {limit:.3%}")
    if options.expect_p99_ms is not None:
        operations = result.operations()
        p99_ms = (operations.get(ALL) or next(iter(operations.values())))["p99_us"] / 1000
        if p99_ms > options.expect_p99_ms:
            found.append(f"the 99th percentile is {p99_ms:.1f} ms, not at most {options.expect_p99_ms:g} ms")
    return found


def _check_files(options: BenchOptions) -> None:
    """Raise `LoadError` for files that cannot be written, before anything is measured for them."""
    for name in (options.report, options.as_json):
        if name is None or name == TO_OUTPUT:
            continue
        path = Path(name)
        place = path if path.exists() else path.absolute().parent
        if path.is_dir() or not os.access(place, os.W_OK):
            raise LoadError(f"{name} cannot be written: give a file in a directory that is there")


def _deliver(options: BenchOptions, result: LoadResult) -> None:
    document: dict[str, Any] = result.to_json()
    if options.as_json == TO_OUTPUT:
        typer.echo(json.dumps(document, indent=2))
    else:
        show.show(document, Console())
    try:
        if options.report is not None:
            write_page(Path(options.report), [document])
        if options.as_json is not None and options.as_json != TO_OUTPUT:
            Path(options.as_json).write_text(json.dumps(document) + "\n")
    except OSError as error:
        raise LoadError(f"the result cannot be written: {error}") from None


async def _measure(
    options: BenchOptions,
    settings: LoadSettings,
    cluster: Layout | None,
    console: Console,
    stop: asyncio.Event,
) -> LoadResult:
    """Prepare and measure. The first Ctrl-C of a measurement sets `stop`, any other one cancels this."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        if options.preload:
            loading = progress.add_task("preloading", total=settings.items, note="")
            await prepare(settings, lambda written: progress.update(loading, completed=written))
            progress.remove_task(loading)
        scraper = None
        if options.scrape_interval > 0:
            found = await targets.find(settings, options.metrics or [], cluster)
            scraper = Scraper(found, options.scrape_interval) if found else None
        follower = _Follower(progress, settings)
        watch = Watch(follower.count, follower.second, scraper, stop)
        with _interruptible(stop, follower):
            return await generate(settings, server_pid=options.server_pid, watch=watch)


@contextmanager
def _interruptible(stop: asyncio.Event, follower: _Follower) -> Iterator[None]:
    """Within this, Ctrl-C ends the measurement that goes on, and whatever else there is."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupted() -> None:
        if stop.is_set() or not follower.measuring:
            task.cancel()
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


class _Follower:
    """A bar that fills with time or with requests, whichever ends the run, and what the last second was like."""

    def __init__(self, progress: Progress, settings: LoadSettings) -> None:
        self._progress = progress
        self._by_count = settings.count is not None
        total = settings.count if settings.count is not None else settings.duration_s
        self._task = progress.add_task(settings.workload, total=total, note="")
        self._last = ""
        self.measuring = False
        """Whether the warm-up is over."""

    def count(self, done: int, errors: int) -> None:
        """So many requests are answered, so many failed."""
        self.measuring = True
        elapsed = self._progress.tasks[-1].elapsed or 0.0
        note = f"{done:,} requests" + (f", {errors:,} errors" if errors else "")
        self._progress.update(
            self._task, completed=done if self._by_count else elapsed, note=note + self._last
        )

    def second(self, row: dict[str, Any]) -> None:
        """A second is over."""
        whole = row["operations"][ALL]
        times = " · ".join(f"{name} {whole[f'{name}_us'] / 1000:.2f} ms" for name in ("p50", "p99"))
        self._last = f" · {row['requests']:,}/s · {times}"
        if row["throttled"]:
            self._last += f" · {row['throttled']:,} throttled/s"
        if row["backlog"]:
            self._last += f" · {row['backlog']:,} waiting"
