"""What was measured second by second, merged over the processes. Pure.

    seconds = Series(processes=2)
    row = seconds.add(message)     # the second's row once every process has told its counts, else None

A row: {"second", "requests", "errors": {type: n}, "throttled", "unsent", "backlog", "operations": {name: {"requests",
"p50_us", "p90_us", "p99_us", "p99.9_us", "max_us"}}}; operations together are under "all".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, Final

from hashrange_client.load.workloads import READ_MODIFY_WRITE

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)
ALL: Final = "all"

Counts = Counter[int]
"""Latencies in µs, and how often."""


def figures(counts: Mapping[int, int]) -> dict[str, int]:
    """Requests and percentiles of latencies: the least latency that so many per cent of requests do not exceed."""
    total = sum(counts.values())
    wanted = [(f"p{percentile:g}_us", max(1, ceil(total * percentile / 100))) for percentile in PERCENTILES]
    found: dict[str, int] = {"requests": total}
    seen, at = 0, 0
    latency = 0
    for latency in sorted(counts):
        seen += counts[latency]
        while at < len(wanted) and seen >= wanted[at][1]:
            found[wanted[at][0]] = latency
            at += 1
    for name, _ in wanted[at:]:
        found[name] = latency
    found["max_us"] = latency
    return found


def together(operations: Mapping[str, Mapping[int, int]]) -> Counts:
    """The latencies of all requests; a read-modify-write is two requests, which are there already."""
    whole: Counts = Counter()
    for name, counts in operations.items():
        if name != READ_MODIFY_WRITE:
            whole.update(counts)
    return whole


class Series:
    """Rows of seconds, and totals of the run."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._open: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        self.rows: list[dict[str, Any]] = []
        self.operations: defaultdict[str, Counts] = defaultdict(Counter)
        self.errors: Counter[str] = Counter()
        self.throttled = 0
        self.unsent = 0

    def add(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Add a second of one process; its row when it was the last process to tell."""
        number = message["second"]
        self._open[number].append(message)
        if len(self._open[number]) < self._processes:
            return None
        return self._close(number)

    def finish(self) -> None:
        """No more will come: rows of seconds that not all processes had (the last one, as a rule)."""
        for number in sorted(self._open):
            self._close(number)
        self.rows.sort(key=lambda row: row["second"])

    def _close(self, number: int) -> dict[str, Any]:
        messages = self._open.pop(number)
        operations: defaultdict[str, Counts] = defaultdict(Counter)
        errors: Counter[str] = Counter()
        for message in messages:
            errors.update(message["errors"])
            for name, flat in message["counts"].items():
                counts = operations[name]
                for latency, times in _pairs(flat):
                    counts[latency] += times
        for name, counts in operations.items():
            self.operations[name].update(counts)
        self.errors.update(errors)
        row = {
            "second": number,
            "requests": sum(
                counts.total() for name, counts in operations.items() if name != READ_MODIFY_WRITE
            ),
            "errors": dict(errors),
            "throttled": sum(message["throttled"] for message in messages),
            "unsent": sum(message["unsent"] for message in messages),
            "backlog": sum(message["backlog"] for message in messages),
            "operations": {name: figures(counts) for name, counts in sorted(operations.items())},
        }
        row["operations"][ALL] = figures(together(operations))
        self.throttled += row["throttled"]
        self.unsent += row["unsent"]
        self.rows.append(row)
        return row


def _pairs(flat: list[int]) -> Iterable[tuple[int, int]]:
    return zip(flat[::2], flat[1::2], strict=True)
