"""`hashrange bench --compare`: two runs side by side, as ratios."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hashrange_client.load.result import FORMAT
from hashrange_client.load.settings import LoadError
from rich import box
from rich.console import Console
from rich.table import Table

FIGURES = ("requests_per_s", "p50_us", "p99_us", "p99.9_us")


def show(first: Path, second: Path, console: Console) -> None:
    """Print what the second run did, and its ratio to the first. Raises `LoadError` for files that hold no run."""
    one, other = read(first), read(second)
    table = Table(title=f"{second.name} ÷ {first.name}", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("operation")
    for heading in ("per second", "×", "p50 ms", "×", "p99 ms", "×", "p99.9 ms", "×"):
        table.add_column(heading, justify="right")
    for operation, figures in other["operations"].items():
        before = one["operations"].get(operation, {})
        cells = []
        for name in FIGURES:
            value = figures[name]
            cells.append(f"{value:,.0f}" if name == "requests_per_s" else f"{value / 1000:.2f}")
            cells.append(f"{value / before[name]:.2f}" if before.get(name) else "")
        table.add_row(operation, *cells)
    console.print(table)
    for name, title in (("server_cpu_us_per_request", "server"),):
        if one.get(name) and other.get(name):
            console.print(
                f"{title}: {other[name]:.1f} µs of processor time a request, {other[name] / one[name]:.2f} ×",
                highlight=False,
            )


def read(path: Path) -> dict[str, Any]:
    """The document of a run; raises `LoadError` for what is none."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LoadError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise LoadError(f"{path} is no run of this version's `hashrange bench --json` (format {FORMAT})")
    return document
