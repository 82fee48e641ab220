"""What the hot path writes to: counters and latencies of one operation on one table, in plain slots.

prometheus_client's own counters cost 0.5 µs and a lock for every increment; `observe()` is one bisection and
two additions. prometheus_client would also need 14 µs a line to write these out, a quarter of a second for a
thousand series, during which the event loop stands still. So the seven families of operations are written as
text here (0.4 µs a line); `telemetry.py` leaves everything else to prometheus_client.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

LATENCY_BOUNDS = (
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
"""Upper bounds, in seconds, of the latency buckets: from a cached read to a stalled disk."""

_BOUND_TEXTS = (*map(str, LATENCY_BOUNDS), "+Inf")


class Histogram:
    """Counts of observations by bucket, and their sum; one writer."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS) -> None:
        if list(bounds) != sorted(set(bounds)):
            raise ValueError("bucket bounds must increase")
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation, in the base unit of the metric (seconds or bytes)."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """Bucket bounds as text with the number of observations at or below each, ending with `+Inf`."""
        running = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            rows.append(("+Inf" if bound == float("inf") else str(bound), running))
        return rows


class OperationStats:
    """What is counted for one operation on one table. Attributes may be added to directly."""

    __slots__ = ("counts", "errors", "operation", "read_units_half", "returned_bytes", "returned_items",
                 "seconds", "table", "write_units_half")  # fmt: skip

    def __init__(self, operation: str, table: str) -> None:
        self.operation = operation
        self.table = table
        self.counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.seconds = 0.0
        self.errors: dict[str, int] = {}
        self.read_units_half = 0
        """Consumed read capacity in half units, as DynamoDB counts."""
        self.write_units_half = 0
        self.returned_items = 0
        self.returned_bytes = 0

    def observe(self, seconds: float, _bisect: Callable[..., int] = bisect_left,
                _bounds: tuple[float, ...] = LATENCY_BOUNDS) -> None:  # fmt: skip
        """Count one successful request that took `seconds`."""
        self.counts[_bisect(_bounds, seconds)] += 1
        self.seconds += seconds

    def fail(self, error_type: str) -> None:
        """Count one request answered with an error of this type (the part of `__type` after `#`)."""
        self.errors[error_type] = self.errors.get(error_type, 0) + 1

    def requests(self) -> int:
        """Requests answered, with success or an error."""
        return sum(self.counts) + sum(self.errors.values())

    def labels(self) -> str:
        """The labels of this series as the text format writes them."""
        return f'operation="{_escaped(self.operation)}",table="{_escaped(self.table)}"'


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_FAMILIES: tuple[tuple[str, str, Callable[[OperationStats], float]], ...] = (
    ("hashrange_requests_total", "Requests answered.", OperationStats.requests),
    (
        "hashrange_consumed_read_units_total",
        "Read capacity units consumed.",
        lambda stats: stats.read_units_half / 2,
    ),
    (
        "hashrange_consumed_write_units_total",
        "Write capacity units consumed.",
        lambda stats: stats.write_units_half / 2,
    ),
    ("hashrange_returned_items_total", "Items in answers to reads.", lambda stats: stats.returned_items),
    (
        "hashrange_returned_bytes_total",
        "Bytes of items in answers to reads.",
        lambda stats: stats.returned_bytes,
    ),
)
_ERRORS = "hashrange_request_errors_total"
_DURATION = "hashrange_request_duration_seconds"

FAMILY_NAMES = (*(name for name, _, _ in _FAMILIES), _ERRORS, _DURATION)
"""Names of the metrics that `exposition` writes."""


def exposition(all_stats: Iterable[OperationStats]) -> bytes:
    """The metrics of all operations in the Prometheus text format, one family after the other."""
    rows = [(stats, stats.labels()) for stats in all_stats]
    lines: list[str] = []
    for name, help_text, read in _FAMILIES:
        lines.append(f"# HELP {name} {help_text}\n# TYPE {name} counter")
        lines.extend(f"{name}{{{labels}}} {read(stats)}" for stats, labels in rows)
    lines.append(f"# HELP {_ERRORS} Requests answered with an error.\n# TYPE {_ERRORS} counter")
    for stats, labels in rows:
        lines.extend(
            f'{_ERRORS}{{{labels},error="{_escaped(error_type)}"}} {count}'
            for error_type, count in list(stats.errors.items())
        )
    lines.append(f"# HELP {_DURATION} Server time of successful requests.\n# TYPE {_DURATION} histogram")
    for stats, labels in rows:
        running = 0
        for bound, count in zip(_BOUND_TEXTS, stats.counts, strict=True):
            running += count
            lines.append(f'{_DURATION}_bucket{{{labels},le="{bound}"}} {running}')
        lines.append(f"{_DURATION}_count{{{labels}}} {running}\n{_DURATION}_sum{{{labels}}} {stats.seconds}")
    lines.append("")
    return "\n".join(lines).encode()
