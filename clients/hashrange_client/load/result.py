"""What a run has measured: merged over processes, as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

from hashrange_client.load.connection import new_histogram
from hashrange_client.load.settings import LoadSettings

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass
class LoadResult:
    """Requests and latencies (µs) by operation, errors by type, over `seconds`.

    `server_cpu_s` is the processor time of the server during the measurement, None when it is unknown.
    """

    settings: LoadSettings
    seconds: float = 0.0
    latencies: dict[str, HdrHistogram] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    server_cpu_s: float | None = None

    def add(self, part: dict[str, Any]) -> None:
        """Add the result of one process."""
        self.seconds = max(self.seconds, part["seconds"])
        self.errors.update(part["errors"])
        for operation, encoded in part["latencies"].items():
            if operation not in self.latencies:
                self.latencies[operation] = new_histogram()
            self.latencies[operation].decode_and_add(encoded.encode())

    @property
    def requests(self) -> int:
        """Requests answered without an error."""
        return sum(histogram.get_total_count() for histogram in self.latencies.values())

    @property
    def rate(self) -> float:
        """Successful requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def server_cpu_us(self) -> float | None:
        """Processor time of the server a request, failed ones counted in."""
        answered = self.requests + self.errors.total()
        return self.server_cpu_s * 1e6 / answered if self.server_cpu_s is not None and answered else None

    def rows(self) -> list[tuple[str, HdrHistogram]]:
        """Histograms by operation, and of all together when there are several."""
        rows = sorted(self.latencies.items())
        if len(rows) > 1:
            whole = new_histogram()
            for histogram in self.latencies.values():
                whole.add(histogram)
            rows.append(("all", whole))
        return rows

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; units last in the names."""
        return {
            "workload": self.settings.workload,
            "endpoint": self.settings.endpoint,
            "connections": self.settings.connections,
            "processes": self.settings.processes,
            "items": self.settings.items,
            "item_bytes": self.settings.item_bytes,
            "seconds": round(self.seconds, 3),
            "requests": self.requests,
            "requests_per_s": round(self.rate, 1),
            "server_cpu_us_per_request": _rounded(self.server_cpu_us),
            "errors": dict(self.errors),
            "operations": {name: self._operation(histogram) for name, histogram in self.rows()},
        }

    def _operation(self, histogram: HdrHistogram) -> dict[str, Any]:
        count = histogram.get_total_count()
        latencies = {
            f"p{percentile:g}_us": histogram.get_value_at_percentile(percentile) for percentile in PERCENTILES
        }
        return {
            "requests": count,
            "requests_per_s": round(count / self.seconds, 1) if self.seconds else 0.0,
            "mean_us": round(histogram.get_mean_value(), 1),
            **latencies,
            "max_us": histogram.get_max_value(),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
