"""What links between regions have done, from the metrics pages of the nodes that ship. Pure.

Every node tells of the partitions that it leads; a link of a table is the sum of them: pending keys and shipped items
are added up, the oldest pending change is the oldest of all, latencies are those of all nodes together.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

PREFIX = "hashrange_region_"
_LINE = re.compile(r"hashrange_region_(\w+)\{([^}]*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Key = tuple[str, str, str]
"""Table, source, destination."""


@dataclass(slots=True)
class Link:
    """One table on the way from one region to another; `buckets`: upper bound in seconds to what was at most that."""

    pending: int = 0
    oldest_s: float = 0.0
    shipped: int = 0
    latency_s: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)

    @property
    def shipped_timed(self) -> int:
        """Changes whose latency is known."""
        return int(max(self.buckets.values(), default=0))

    def since(self, before: Link) -> Link:
        """The same with the latencies since an earlier look."""
        buckets = {bound: count - before.buckets.get(bound, 0.0) for bound, count in self.buckets.items()}
        if min(buckets.values(), default=0.0) < 0:
            # A node was started anew, and counts from the beginning.
            buckets = dict(self.buckets)
        latency = self.latency_s - before.latency_s
        return Link(self.pending, self.oldest_s, self.shipped, latency, buckets)

    def quantile_s(self, share: float) -> float | None:
        """The latency that this share of changes had at most, by interpolation within a bucket; None without any."""
        bounds = sorted(self.buckets)
        counts = [self.buckets[bound] for bound in bounds]
        if not counts or counts[-1] <= 0:
            return None
        wanted = share * counts[-1]
        place = bisect_left(counts, wanted)
        low = bounds[place - 1] if place else 0.0
        if bounds[place] == float("inf"):
            return low
        below = counts[place - 1] if place else 0.0
        within = counts[place] - below
        return low + (bounds[place] - low) * ((wanted - below) / within if within else 1.0)


def add_page(links: dict[Key, Link], page: str) -> None:
    """Add the figures of one node's metrics page (Prometheus text)."""
    for name, labels, value in samples(page):
        if not {"table", "source", "destination"} <= labels.keys():
            continue
        link = links.setdefault((labels["table"], labels["source"], labels["destination"]), Link())
        if name == "pending_keys":
            link.pending += int(value)
        elif name == "oldest_pending_seconds":
            link.oldest_s = max(link.oldest_s, value)
        elif name == "shipped_items_total":
            link.shipped += int(value)
        elif name == "replication_latency_seconds_sum":
            link.latency_s += value
        elif name == "replication_latency_seconds_bucket":
            bound = float(labels["le"])
            link.buckets[bound] = link.buckets.get(bound, 0.0) + value


def samples(page: str) -> Iterable[tuple[str, dict[str, str], float]]:
    """Name without prefix, labels and value of every sample about regions."""
    for match in _LINE.finditer(page):
        yield match[1], {name: _unescape(text) for name, text in _LABEL.findall(match[2])}, float(match[3])


def _unescape(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")


def document(key: Key, link: Link) -> dict[str, Any]:
    """A link as JSON; latencies in milliseconds, None where nothing was shipped."""
    table, source, destination = key
    p50, p99 = link.quantile_s(0.50), link.quantile_s(0.99)
    return {
        "table": table,
        "source": source,
        "destination": destination,
        "pending_keys": link.pending,
        "oldest_pending_s": round(link.oldest_s, 3),
        "shipped_items": link.shipped,
        "latency_p50_ms": None if p50 is None else round(1000 * p50, 1),
        "latency_p99_ms": None if p99 is None else round(1000 * p99, 1),
    }
