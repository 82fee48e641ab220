"""The result of a run for people, on a terminal."""

from __future__ import annotations

from typing import Any

from hashrange_client.load.workloads import READ_MODIFY_WRITE
from rich import box
from rich.console import Console
from rich.table import Table

ERRORS_SHOWN = 8


def show(document: dict[str, Any], console: Console) -> None:
    """Print the JSON document of a run as tables."""
    settings = document["settings"]
    console.print(_operations(document, settings))
    if READ_MODIFY_WRITE in document["operations"]:
        _say(console, f"{READ_MODIFY_WRITE} is both requests together, which are counted above as well")
    processes = [each for each in document["server_processes"] if each["totals"]]
    if processes:
        console.print(_processes(processes))
    cpu = document["server_cpu_us_per_request"]
    if cpu is not None:
        _say(console, f"server: {cpu:.1f} µs of processor time a request")
    _say(console, generator_sentence(document["generator"]))
    if settings["rate"]:
        _say(console, _schedule_sentence(document, settings))
    if document["throttled"]:
        _say(console, f"throttled: {document['throttled']:,} requests")
    kinds = sorted(document["errors"].items(), key=lambda pair: -pair[1])
    for kind, count in kinds[:ERRORS_SHOWN]:
        _say(console, f"errors: {count:,} × {kind}")


def generator_sentence(generator: dict[str, Any]) -> str:
    """What the load generator itself has used, and whether it was in the way."""
    cost = generator["cpu_us_per_request"]
    if cost is None:
        return "load generator: no request was answered"
    text = (
        f"load generator: {cost:.1f} µs a request, its busiest process "
        f"{generator['busiest_core_share']:.0%} of a core"
    )
    if generator["is_bottleneck"]:
        text += "; it was the bottleneck: give it more --processes"
    return text


def _schedule_sentence(document: dict[str, Any], settings: dict[str, Any]) -> str:
    text = f"asked for {settings['rate']:,.0f}/s with {settings['arrivals']} gaps, "
    text += f"done {document['requests_per_s']:,.0f}/s"
    waiting = max((row["backlog"] for row in document["seconds_series"]), default=0)
    if waiting:
        text += f"; up to {waiting:,} requests waited for a connection"
    if document["unsent"]:
        text += f"; {document['unsent']:,} were never sent: the server cannot keep up, or --connections are too few"
    return text


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _operations(document: dict[str, Any], settings: dict[str, Any]) -> Table:
    name = settings["mix"] or document["workload"]
    table = Table(
        title=f"{name}: {document['connections']} connections, {document['items']:,} items of "
        f"{document['item_bytes']:,} bytes, keys {settings['keys']}, {document['seconds']:.1f} s",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("operation")
    for heading in ("requests", "per second", "p50 ms", "p90", "p99", "p99.9", "max"):
        table.add_column(heading, justify="right")
    for operation, figures in document["operations"].items():
        times = (figures[name] for name in ("p50_us", "p90_us", "p99_us", "p99.9_us", "max_us"))
        table.add_row(
            operation,
            f"{figures['requests']:,}",
            f"{figures['requests_per_s']:,.0f}",
            *(f"{microseconds / 1000:.2f}" for microseconds in times),
        )
    return table


def _processes(processes: list[dict[str, Any]]) -> Table:
    table = Table(
        title="processes: CPU of each for a request of the load, memory, syncs of the log and their times",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("process")
    for heading in ("CPU µs", "MB", "fsyncs", "p50 ms", "p99 ms", "cache hits"):
        table.add_column(heading, justify="right")
    for process in processes:
        totals = process["totals"]
        table.add_row(
            process["name"],
            _number(totals.get("cpu_us_per_request"), ".1f"),
            _number(totals.get("memory_bytes_max", 0) / 1e6 or None, ",.0f"),
            _number(totals.get("fsyncs"), ",.0f"),
            _number(totals.get("fsync_p50_us", 0) / 1000 or None, ".2f"),
            _number(totals.get("fsync_p99_us", 0) / 1000 or None, ".2f"),
            _number(hit_share(totals), ".1%"),
        )
    return table


def hit_share(totals: dict[str, float]) -> float | None:
    """The share of reads that a cache has answered; None when none was asked."""
    hits = sum(totals.get(f"{kind}_hits", 0.0) for kind in ("item", "query", "scan"))
    misses = sum(totals.get(f"{kind}_misses", 0.0) for kind in ("item", "query", "scan"))
    return hits / (hits + misses) if hits + misses else None


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
