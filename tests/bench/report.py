"""Medians, ratios, and the table of a comparison as text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench.tools import Sample


@dataclass
class Cell:
    """All runs of one operation on one server at one number of connections and items."""

    server: str
    is_peer: bool
    operation: str
    connections: int
    items: int
    samples: list[Sample] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median of requests per second."""
        return float(median(sample.requests_per_s for sample in self.samples))

    @property
    def cpu_us(self) -> float | None:
        """Median of the server's processor time a request."""
        known = [sample.cpu_us for sample in self.samples if sample.cpu_us is not None]
        return median(known) if known else None

    @property
    def errors(self) -> int:
        """Errors over all runs."""
        return sum(sample.errors for sample in self.samples)

    def latency_us(self, name: str) -> float:
        """Median of `p50_us` or `p99_us`."""
        return float(median(getattr(sample, name) for sample in self.samples))

    def spread(self) -> float:
        """(highest - lowest) / median of the rates: how far to trust the figure."""
        rates = [sample.requests_per_s for sample in self.samples]
        return (max(rates) - min(rates)) / self.rate if self.rate else 0.0


HEADINGS = ("operation", "items", "conns", "server", "req/s", "±", "p50 ms", "p99 ms", "CPU µs", "× peer",
            "CPU ÷ peer", "× size", "errors")  # fmt: skip


def rows(cells: list[Cell]) -> list[tuple[str, ...]]:
    """One row a cell.

    `× peer` is the rate as a multiple of the fastest peer's, `CPU ÷ peer` the processor time as a part of the
    least that a peer needs, `× size` the processor time (or the time a request) as a multiple of what it was
    with the fewest items.
    """
    made: list[tuple[str, ...]] = []
    for cell in cells:
        peers = [other for other in cells if other.is_peer and _same_job(cell, other)]
        fastest = max((peer.rate for peer in peers), default=None)
        thriftiest = min((peer.cpu_us for peer in peers if peer.cpu_us), default=None)
        smallest = min((other for other in cells if _same_but_size(cell, other)), key=lambda c: c.items)
        made.append(
            (
                cell.operation,
                f"{cell.items:,}",
                str(cell.connections),
                cell.server,
                f"{cell.rate:,.0f}",
                f"{cell.spread():.0%}",
                f"{cell.latency_us('p50_us') / 1000:.2f}",
                f"{cell.latency_us('p99_us') / 1000:.2f}",
                _figure(cell.cpu_us, "{:.1f}"),
                _figure(cell.rate / fastest if fastest else None, "{:.2f}"),
                _figure(cell.cpu_us / thriftiest if cell.cpu_us and thriftiest else None, "{:.2f}"),
                _figure(growth(smallest, cell) if smallest is not cell else None, "{:.2f}"),
                str(cell.errors),
            )
        )
    return made


def growth(small: Cell, large: Cell) -> float | None:
    """How many times dearer a request is with more items."""
    if small.cpu_us and large.cpu_us:
        return large.cpu_us / small.cpu_us
    return small.rate / large.rate if large.rate else None


def as_text(cells: list[Cell]) -> str:
    """A table for a terminal."""
    table = [HEADINGS, *rows(cells)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(_aligned(row, widths)).rstrip() for row in table)


def as_markdown(cells: list[Cell]) -> str:
    """A table for a README."""
    rules = ["---" if column in (0, 3) else "---:" for column in range(len(HEADINGS))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [HEADINGS, tuple(rules), *rows(cells)])


def as_json(cells: list[Cell], about: dict[str, Any]) -> dict[str, Any]:
    """Every run, and what it ran on."""
    return {
        "about": about,
        "cells": [
            {
                "server": cell.server,
                "operation": cell.operation,
                "connections": cell.connections,
                "items": cell.items,
                "requests_per_s": round(cell.rate, 1),
                "cpu_us": None if cell.cpu_us is None else round(cell.cpu_us, 2),
                "p50_us": cell.latency_us("p50_us"),
                "p99_us": cell.latency_us("p99_us"),
                "errors": cell.errors,
                "runs": [vars(sample) for sample in cell.samples],
            }
            for cell in cells
        ],
    }


def _same_job(one: Cell, other: Cell) -> bool:
    return (one.operation, one.connections, one.items) == (other.operation, other.connections, other.items)


def _same_but_size(one: Cell, other: Cell) -> bool:
    return (one.operation, one.connections, one.server) == (other.operation, other.connections, other.server)


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _aligned(row: Iterable[str], widths: list[int]) -> list[str]:
    return [
        text.ljust(width) if column in (0, 3) else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
