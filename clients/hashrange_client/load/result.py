"""What a run has measured: merged over processes, as JSON with a stated format.

The document: what older versions had (`workload`, `requests_per_s`, `operations` …), and with `"format": 2`

    seconds_series   a row for each second, see `series`
    generator        what the load generator itself used: processor time a request, and whether it was the bottleneck
    server_processes, heat    what /metrics of the processes told meanwhile, see `metrics`
    distribution     of each operation: [[percentile, µs], …] for a plot of latencies
    hdr              of each operation: the HDR histogram in its own compressed encoding, for other tools
    settings, machine
"""

from __future__ import annotations

import dataclasses
import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hdrh.histogram import HdrHistogram

from hashrange import __version__
from hashrange_client.load.metrics import ProcessSamples, heat, process_document
from hashrange_client.load.series import ALL, figures, together
from hashrange_client.load.settings import LoadSettings
from hashrange_client.load.workloads import READ_MODIFY_WRITE

FORMAT: Final = 2
LATENCY_MAX_US: Final = 3_600_000_000
SIGNIFICANT_DIGITS: Final = 3
BUSY: Final = 0.9
"""Share of a core from which on a process of the generator counts as busy."""

CURVE: Final = (
    *range(0, 90, 5),
    *(
        90,
        92.5,
        95,
        96,
        97,
        98,
        98.5,
        99,
        99.3,
        99.5,
        99.7,
        99.8,
        99.9,
        99.95,
        99.98,
        99.99,
        99.995,
        99.999,
        100,
    ),
)
"""Percentiles of a distribution in a report."""


def new_histogram() -> HdrHistogram:
    """A histogram of microseconds, from 1 µs to an hour, exact to three digits."""
    return HdrHistogram(1, LATENCY_MAX_US, SIGNIFICANT_DIGITS)


def histogram_of(counts: Mapping[int, int]) -> HdrHistogram:
    """A histogram with these latencies in µs, so many times each."""
    histogram = new_histogram()
    for latency, times in counts.items():
        histogram.record_value(min(max(1, latency), LATENCY_MAX_US), times)
    return histogram


@dataclass
class LoadResult:
    """Requests and latencies (µs) by operation, errors by type, over `seconds`.

    `server_cpu_s` is the processor time of the server during the measurement, None when it is unknown;
    `generator_cpu_s` that of each process of the load generator. `rows` are the seconds, `unsent` requests
    that were due but never sent.
    """

    settings: LoadSettings
    seconds: float = 0.0
    latencies: dict[str, HdrHistogram] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    server_cpu_s: float | None = None
    generator_cpu_s: list[float] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, Counter[int]] = field(default_factory=dict)
    processes: list[ProcessSamples] = field(default_factory=list)
    throttled: int = 0
    unsent: int = 0

    @property
    def requests(self) -> int:
        """Requests answered without an error."""
        return sum(counts.total() for name, counts in self.counts.items() if name != READ_MODIFY_WRITE)

    @property
    def rate(self) -> float:
        """Successful requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def error_share(self) -> float:
        """The share of answered requests that failed."""
        failed = self.errors.total()
        return failed / (failed + self.requests) if failed else 0.0

    @property
    def server_cpu_us(self) -> float | None:
        """Processor time of the server a request, failed ones counted in."""
        answered = self.requests + self.errors.total()
        return self.server_cpu_s * 1e6 / answered if self.server_cpu_s is not None and answered else None

    @property
    def generator_cpu_us(self) -> float | None:
        """Processor time of the load generator a request, failed ones counted in."""
        answered = self.requests + self.errors.total()
        return sum(self.generator_cpu_s) * 1e6 / answered if answered and self.generator_cpu_s else None

    @property
    def generator_share(self) -> float:
        """How much of a core the busiest process of the generator has used."""
        return max(self.generator_cpu_s, default=0.0) / self.seconds if self.seconds else 0.0

    def operations(self) -> dict[str, dict[str, Any]]:
        """Figures by operation, and of all together when there are several."""
        rows = sorted(self.counts.items())
        if len(rows) > 1:
            rows.append((ALL, together(self.counts)))
        return {name: self._operation(counts) for name, counts in rows}

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; units last in the names."""
        asked = dataclasses.asdict(self.settings)
        asked["secret"] = None
        return {
            "format": FORMAT,
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
            "throttled": self.throttled,
            "unsent": self.unsent,
            "operations": self.operations(),
            "generator": {
                "cpu_us_per_request": _rounded(self.generator_cpu_us),
                "busiest_core_share": round(self.generator_share, 3),
                "is_bottleneck": self.generator_share >= BUSY,
            },
            "seconds_series": self.rows,
            "server_processes": [process_document(each, self.requests) for each in self.processes],
            "heat": heat(self.processes),
            "distribution": {name: _curve(each) for name, each in sorted(self.latencies.items())},
            "hdr": {name: each.encode().decode() for name, each in sorted(self.latencies.items())},
            "settings": asked | {"keys": self.settings.keys_drawn, "acts": dict(self.settings.plan.acts)},
            "machine": machine(),
        }

    def _operation(self, counts: Counter[int]) -> dict[str, Any]:
        found: dict[str, Any] = dict(figures(counts))
        count = found["requests"]
        found["requests_per_s"] = round(count / self.seconds, 1) if self.seconds else 0.0
        mean = sum(latency * times for latency, times in counts.items()) / count if count else 0.0
        found["mean_us"] = round(mean, 1)
        return found


def machine() -> dict[str, Any]:
    """Where the load generator ran."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "hashrange": __version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def _curve(histogram: HdrHistogram) -> list[list[float]]:
    wanted = histogram.get_percentile_to_value_dict(list(CURVE))
    return [[percentile, wanted[percentile]] for percentile in CURVE]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
