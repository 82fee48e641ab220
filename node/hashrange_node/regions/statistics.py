"""What the sender and the receiver of a node count, by table and region, for metrics and pages."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from hashrange.runtime.operation_stats import Histogram
from hashrange_node.regions.receiving import Received

BOUNDS: Final = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    0.75,
    1.0,
    1.5,
    2.0,
    3.0,
    5.0,
    7.5,
    10.0,
    15.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    1_800.0,
    3_600.0,
)
"""Upper bounds of replication latencies, in seconds."""

HELD_S: Final = 10
"""Entries that were held back are shown for so long."""


class TableLink:
    """One table on its way to one region, over all partitions led here.

    `error` is why the region takes nothing of the table now, "" while it does; nothing is sent before `resume_at`
    (seconds of the monotonic clock). `shipped` are items that the region has confirmed.
    """

    __slots__ = ("alarmed_at", "error", "failures", "latency", "resume_at", "shipped")

    def __init__(self) -> None:
        self.error = ""
        self.failures = 0
        self.resume_at = 0.0
        self.shipped = 0
        self.latency = Histogram(BOUNDS)
        self.alarmed_at = -1e9


class HeldBack:
    """How many entries were held back within the last `HELD_S` seconds, by table and source; `tick` once a second."""

    def __init__(self, counts: Mapping[tuple[str, str], Received]) -> None:
        self._counts = counts
        self._history: deque[dict[tuple[str, str], int]] = deque(maxlen=HELD_S + 1)

    def tick(self) -> None:
        """A second has passed."""
        self._history.append({key: received.held for key, received in self._counts.items()})

    def read(self) -> dict[tuple[str, str], float]:
        """The numbers now."""
        before = self._history[0] if self._history else {}
        return {
            key: float(max(0, received.held - before.get(key, 0))) for key, received in self._counts.items()
        }


def quantile_s(histogram: Histogram, share: float) -> float | None:
    """The latency that this share of the items had at most, by interpolation within a bucket; None without any."""
    cumulative = [(float(bound), count) for bound, count in histogram.cumulative()]
    total = cumulative[-1][1] if cumulative else 0
    if not total:
        return None
    wanted = share * total
    low, below = 0.0, 0.0
    for bound, count in cumulative:
        if count >= wanted:
            if bound == float("inf"):
                return low
            return low + (bound - low) * ((wanted - below) / (count - below) if count > below else 1.0)
        low, below = bound, count
    return low
