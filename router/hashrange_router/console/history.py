"""The last minutes of what was seen, so that a page that is opened has something to draw. Pure.

Kept are points for charts and columns for heat maps, one of each for every look. Nothing is kept of the time in which
nobody looked.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from typing import Any

from hashrange_router.console import heat

LOOKS_MAX = 600
TOTALS = (
    "requests",
    "reads",
    "writes",
    "errors",
    "throttled",
    "conflicts",
    "read_units",
    "write_units",
    "p50_s",
    "p99_s",
)
"""Members of a view's totals that charts are drawn of."""


@dataclass(frozen=True, slots=True)
class Look:
    """One moment. `at_ms` is wall time; `columns` are those of `heat.columns`, as 32-bit floats."""

    number: int
    at_ms: int
    totals: tuple[float | None, ...]
    cpu: dict[str, float]
    columns: dict[heat.Resource, array[float]]


class History:
    """The last looks, oldest first."""

    def __init__(self, looks_max: int = LOOKS_MAX) -> None:
        self._looks: deque[Look] = deque(maxlen=looks_max)
        self._next = 1

    @property
    def newest(self) -> int:
        """The number of the last look; 0 before the first."""
        return self._next - 1

    def add(self, at_ms: int, view: dict[str, Any]) -> None:
        """Keep what a view shows; one without rates is passed over."""
        if not view["interval_s"]:
            return
        totals = view["totals"]
        self._looks.append(
            Look(
                self._next,
                at_ms,
                tuple(totals[name] for name in TOTALS),
                {row["name"]: row["cpu"] for row in view["processes"] if row["cpu"] is not None},
                {name: array("f", cells) for name, cells in heat.columns(view).items()},
            )
        )
        self._next += 1

    def points(self, after: int) -> list[dict[str, Any]]:
        """Charts' points since the look of this number."""
        return [
            {
                "number": look.number,
                "at_ms": look.at_ms,
                "totals": [_short(value) for value in look.totals],
                "cpu": {name: _short(value) for name, value in look.cpu.items()},
            }
            for look in self._looks
            if look.number > after
        ]

    def columns(self, resource: heat.Resource, after: int) -> list[dict[str, Any]]:
        """Columns of one table or index since the look of this number; empty cells where it had no requests."""
        return [
            {
                "number": look.number,
                "at_ms": look.at_ms,
                "cells": [round(cell, 1) for cell in look.columns.get(resource, ())],
            }
            for look in self._looks
            if look.number > after
        ]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
