"""Metrics: recorded in plain Python slots on the hot path, turned into Prometheus text when scraped.

The hot path keeps to `OperationStats` (see operation_stats.py). Gauges, totals kept elsewhere and histograms
are read by a collector at scrape time and written by prometheus_client, with its metrics of the process.
Everything happens on one event loop thread, but one other thread may own the `observe` of a histogram.

    telemetry = Telemetry()
    stats = telemetry.operation("GetItem", "Music")     # once for a table and operation; keep the object
    stats.observe(0.000_31)                              # answered; seconds
    stats.read_units_half += 1                               # consumed capacity in half units
    stats.fail("ConditionalCheckFailedException")        # answered with an error
    telemetry.gauge("hashrange_open_connections", "Open client connections.", lambda: len(connections))
    body = telemetry.render()

Every name is explained in METRICS.md, beside CloudWatch's; a test keeps that page complete.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from hashrange.runtime.logging import get_logger
from hashrange.runtime.operation_stats import (
    FAMILY_NAMES,
    LATENCY_BOUNDS,
    Histogram,
    OperationStats,
    exposition,
)

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["CONTENT_TYPE", "LATENCY_BOUNDS", "OTHER_TABLE", "Histogram", "OperationStats", "Telemetry"]

_log = get_logger("telemetry")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The Content-Type that goes with `Telemetry.render()`."""

SERIES_MAX = 1_000
"""Pairs of operation and table that get a series of their own; later ones share `OTHER_TABLE`."""

OTHER_TABLE = "~other"
"""Label of everything beyond the limit; no table can have this name (`~` is not allowed in one)."""

_NAME = re.compile(r"hashrange_[a-z][a-z0-9_]*")

Family = Literal["gauge", "counter"]
Reading = float | Mapping[tuple[str, ...], float]
"""What a callback returns: one number, or one for each combination of label values."""


class Telemetry:
    """All metrics of one process. Make one for each program (or test) and hand it down."""

    def __init__(self, version: str = "", series_max: int = SERIES_MAX, process: bool = True) -> None:
        """`process` adds process_cpu_seconds_total, process_resident_memory_bytes and their kind."""
        self._operations: dict[tuple[str, str], OperationStats] = {}
        self._series_max = series_max
        self._callbacks: dict[str, tuple[Family, str, tuple[str, ...], Callable[[], Reading]]] = {}
        self._histograms: dict[str, tuple[str, Histogram]] = {}
        self._families: dict[
            str, tuple[str, tuple[str, ...], Callable[[], Mapping[tuple[str, ...], Histogram]]]
        ] = {}
        self._process = process
        self._registry: Any = None
        if version:
            self.gauge("hashrange_build_info", "Always 1; the label is the version.",
                       lambda: {(version,): 1.0}, labels=("version",))  # fmt: skip

    def operation(self, operation: str, table: str) -> OperationStats:
        """The counters of this operation on this table; the same object for the same names."""
        stats = self._operations.get((operation, table))
        if stats is None:
            if len(self._operations) >= self._series_max and table != OTHER_TABLE:
                return self.operation(operation, OTHER_TABLE)
            stats = self._operations[operation, table] = OperationStats(operation, table)
        return stats

    def operations(self) -> list[OperationStats]:
        """The counters of every operation and table, for whoever shows them."""
        return list(self._operations.values())

    def forget_table(self, table: str) -> None:
        """Drop the series of a deleted table. Objects handed out before count on, unseen."""
        for key in [key for key in self._operations if key[1] == table]:
            del self._operations[key]

    def gauge(
        self, name: str, help_text: str, read: Callable[[], Reading], labels: tuple[str, ...] = ()
    ) -> None:
        """A value that goes up and down, read by calling `read` at each scrape."""
        self._add_callback("gauge", name, help_text, read, labels)

    def counter(
        self, name: str, help_text: str, read: Callable[[], Reading], labels: tuple[str, ...] = ()
    ) -> None:
        """A total that only grows, kept elsewhere and read at each scrape; the name ends in `_total`."""
        if not name.endswith("_total"):
            raise ValueError(f"the name of a counter ends in _total: {name}")
        self._add_callback("counter", name, help_text, read, labels)

    def histogram(self, name: str, help_text: str, bounds: tuple[float, ...] = LATENCY_BOUNDS) -> Histogram:
        """A histogram without labels, such as the duration of fsync, to observe into."""
        self._check_name(name)
        histogram = Histogram(bounds)
        self._histograms[name] = (help_text, histogram)
        return histogram

    def histograms(
        self,
        name: str,
        help_text: str,
        read: Callable[[], Mapping[tuple[str, ...], Histogram]],
        labels: tuple[str, ...],
    ) -> None:
        """Histograms of one name that somebody else observes into, one for each combination of label values."""
        self._check_name(name)
        self._families[name] = (help_text, labels, read)

    def find_histogram(self, name: str) -> Histogram | None:
        """A histogram that somebody observes into, or None."""
        found = self._histograms.get(name)
        return found[1] if found is not None else None

    def render(self) -> bytes:
        """Everything in the Prometheus text format: about 1 ms, and 10 µs for each series of `operation`."""
        # Imported by the first scrape: it brings an HTTP server along, a tenth of the server's start.
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

        if self._registry is None:
            self._registry = CollectorRegistry()
            self._registry.register(self)
            if self._process:
                ProcessCollector(registry=self._registry)
        return exposition(list(self._operations.values())) + generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The collector protocol of prometheus_client; not for other callers."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, (help_text, histogram) in list(self._histograms.items()):
            yield HistogramMetricFamily(
                name, help_text, buckets=histogram.cumulative(), sum_value=histogram.total
            )
        for name, (help_text, labels, each) in list(self._families.items()):
            histograms = HistogramMetricFamily(name, help_text, labels=labels)
            for values, found in each().items():
                histograms.add_metric(values, buckets=found.cumulative(), sum_value=found.total)
            yield histograms
        for name, (kind, help_text, labels, read) in list(self._callbacks.items()):
            family_type = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
            family = family_type(name, help_text, labels=labels)
            try:
                reading = read()
            except Exception as error:
                # One part in trouble must not blind its operator to all the others.
                _log.warning("a metric could not be read", metric=name, error=repr(error))
                continue
            rows = reading.items() if isinstance(reading, Mapping) else [((), reading)]
            for values, value in rows:
                family.add_metric(values, value)
            yield family

    def describe(self) -> Iterable[Metric]:
        """Keeps registration from calling `collect` before anything is there."""
        return []

    def _add_callback(
        self,
        family: Family,
        name: str,
        help_text: str,
        read: Callable[[], Reading],
        labels: tuple[str, ...],
    ) -> None:
        self._check_name(name)
        self._callbacks[name] = (family, help_text, labels, read)

    def _check_name(self, name: str) -> None:
        """Wrong or repeated names are mistakes in the program, found when it starts."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"a metric's name is hashrange_ and lower-case words: {name}")
        if (
            name in self._callbacks
            or name in self._histograms
            or name in self._families
            or name in FAMILY_NAMES
        ):
            raise ValueError(f"there is a metric {name} already")
