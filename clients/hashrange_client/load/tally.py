"""What one process counts, second by second: latencies by operation in whole microseconds, errors by type. Pure.

Latencies are counted in plain dictionaries of microseconds: an increment costs a twentieth of what an HDR
histogram takes in Python, and the parent merges the processes' counts into one histogram. Above 2,048 µs they
are rounded down to eleven significant bits, which is what a histogram of three digits keeps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "Throttling",
    }
)
"""Error types that mean: the server could, but will not."""

EXACT_BITS = 11


def rounded(latency_us: int) -> int:
    """A latency with the digits that are kept."""
    surplus = latency_us.bit_length() - EXACT_BITS
    return latency_us >> surplus << surplus if surplus > 0 else latency_us


class Tally:
    """Counts of the second under way, and totals."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.errors: Counter[str] = Counter()
        self.throttled = 0
        """Requests that were refused for want of capacity, and batches of which a part was."""
        self.unsent = 0
        """Requests that were due in this second, but found the backlog full."""
        self.done_before = 0
        self.errors_before = 0

    def fail(self, kind: str) -> None:
        """Count a request that failed."""
        self.errors[kind] += 1
        if kind in THROTTLES:
            self.throttled += 1

    @property
    def done(self) -> int:
        """Requests answered without an error since the start."""
        return self.done_before + sum(sum(counts.values()) for name, counts in self.counts.items() if name)

    @property
    def failed(self) -> int:
        """Requests that failed since the start."""
        return self.errors_before + self.errors.total()

    def take(self, number: int, backlog: int) -> dict[str, Any]:
        """The counts of second `number` as JSON-ready data, and a new second.

        {"second", "counts": {operation: [µs, times, µs, times …]}, "errors": {type: times}, "throttled",
        "unsent", "backlog"}
        """
        self.done_before, self.errors_before = self.done, self.failed
        counts = {name: _flat(found) for name, found in self.counts.items() if name}
        message = {
            "second": number,
            "counts": counts,
            "errors": dict(self.errors),
            "throttled": self.throttled,
            "unsent": self.unsent,
            "backlog": backlog,
        }
        self.counts.clear()
        self.errors.clear()
        self.throttled = self.unsent = 0
        return message

    def reset(self) -> None:
        """Forget the warm-up."""
        self.take(0, 0)
        self.done_before = self.errors_before = 0


def _flat(counts: dict[int, int]) -> list[int]:
    merged: defaultdict[int, int] = defaultdict(int)
    for latency_us, times in counts.items():
        merged[rounded(latency_us)] += times
    return [number for pair in merged.items() for number in pair]
