"""`hashrange bench`: the load generator with a progress bar and a table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

import typer
import uvloop
from hashrange_client.load.prepare import prepare
from hashrange_client.load.result import LoadResult
from hashrange_client.load.run import generate
from hashrange_client.load.settings import LoadError, LoadSettings
from hashrange_client.load.shape import MIN_ITEM_BYTES
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


@dataclass(frozen=True)
class BenchOptions:
    """The options of the command, as given."""

    workload: str
    endpoint: str
    table: str
    connections: int
    processes: int
    duration_s: float
    count: int | None
    rate: float | None
    items: int
    value_bytes: int
    warm_up_s: float
    sign: str | None
    region: str
    server_pid: int | None
    preload: bool
    consistent_reads: bool
    as_json: bool

    def settings(self) -> LoadSettings:
        """The load generator's settings; raises `LoadError` for options that make no sense."""
        access_key, colon, secret = (self.sign or "").partition(":")
        if self.sign is not None and not (access_key and colon and secret):
            raise LoadError("--sign takes KEY:SECRET")
        if self.value_bytes < MIN_ITEM_BYTES:
            raise LoadError(f"an item has at least {MIN_ITEM_BYTES} bytes; raise --value-bytes")
        return LoadSettings(
            endpoint=self.endpoint,
            workload=self.workload,
            table=self.table,
            connections=self.connections,
            processes=self.processes,
            duration_s=self.duration_s,
            count=self.count,
            rate=self.rate,
            items=self.items,
            item_bytes=self.value_bytes,
            warm_up_s=self.warm_up_s,
            access_key=access_key or None,
            secret=secret or None,
            region=self.region,
            consistent_reads=self.consistent_reads,
        )


def run(options: BenchOptions) -> None:
    """Prepare, measure and print; ends the program with code 1 when that is not possible."""
    console = Console(stderr=True)
    try:
        settings = options.settings()
        settings.check()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_measure(options, settings, console))
    except LoadError as error:
        console.print(f"hashrange: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if options.as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        show(result, Console())


async def _measure(options: BenchOptions, settings: LoadSettings, console: Console) -> LoadResult:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        if options.preload:
            loading = progress.add_task("preloading", total=settings.items, note="")
            await prepare(settings, lambda written: progress.update(loading, completed=written))
            progress.remove_task(loading)
        return await generate(settings, _follow(progress, settings), options.server_pid)


def _follow(progress: Progress, settings: LoadSettings) -> Callable[[int, int], None]:
    """A bar that fills with time or with requests, whichever ends the run."""
    total = settings.count if settings.count is not None else settings.duration_s
    task = progress.add_task(settings.workload, total=total, note="")

    def update(done: int, errors: int) -> None:
        elapsed = progress.tasks[-1].elapsed or 0.0
        note = f"{done:,} requests" + (f", {errors:,} errors" if errors else "")
        progress.update(task, completed=done if settings.count is not None else elapsed, note=note)

    return update


def show(result: LoadResult, console: Console) -> None:
    """Print a result for people."""
    settings = result.settings
    table = Table(
        title=f"{settings.workload}: {settings.connections} connections, {settings.items:,} items of "
        f"{settings.item_bytes} bytes, {result.seconds:.1f} s",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("operation")
    for heading in ("requests", "per second", "p50 ms", "p90", "p99", "p99.9", "max"):
        table.add_column(heading, justify="right")
    for operation, figures in result.to_json()["operations"].items():
        times = (figures[name] for name in ("p50_us", "p90_us", "p99_us", "p99.9_us", "max_us"))
        table.add_row(
            operation,
            f"{figures['requests']:,}",
            f"{figures['requests_per_s']:,.0f}",
            *(f"{microseconds / 1000:.2f}" for microseconds in times),
        )
    console.print(table)
    cpu = result.server_cpu_us
    if cpu is not None:
        console.print(f"server: {cpu:.1f} µs of processor time a request", highlight=False)
    for kind, count in result.errors.most_common():
        console.print(f"errors: {count:,} × {kind}", markup=False, highlight=False)
