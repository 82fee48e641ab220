"""What a router counts of capacity, on its metrics page: units consumed and provisioned, and requests throttled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from hashrange_router.capacity.admission import Meter
from hashrange_router.capacity.resource import Resource

from hashrange.runtime.telemetry import SERIES_MAX, Telemetry

Rows = dict[tuple[str, ...], float]


def register_capacity_metrics(telemetry: Telemetry, meter: Meter) -> None:
    """Make the counts of a meter visible on /metrics."""

    def rows(read: Callable[[Resource], float]) -> Callable[[], Rows]:
        return lambda: {
            (each.table, each.index): read(each) / 2 for each in islice(meter.resources(), SERIES_MAX)
        }

    def nonzero(read: Callable[[Resource], float]) -> Callable[[], Rows]:
        return lambda: {names: units for names, units in rows(read)().items() if units}

    labels = ("table", "index")
    telemetry.counter(
        "hashrange_capacity_consumed_read_units_total",
        "Read capacity units consumed of a table or global index.",
        rows(lambda each: each.reads.used),
        labels,
    )
    telemetry.counter(
        "hashrange_capacity_consumed_write_units_total",
        "Write capacity units consumed of a table or global index.",
        rows(lambda each: each.writes.used),
        labels,
    )
    telemetry.gauge(
        "hashrange_capacity_provisioned_read_units",
        "Provisioned read capacity units a second.",
        nonzero(lambda each: each.reads.provisioned),
        labels,
    )
    telemetry.gauge(
        "hashrange_capacity_provisioned_write_units",
        "Provisioned write capacity units a second.",
        nonzero(lambda each: each.writes.provisioned),
        labels,
    )
    telemetry.counter(
        "hashrange_throttled_requests_total",
        "Requests refused for want of capacity.",
        lambda: {key: float(count) for key, count in islice(meter.throttles.items(), SERIES_MAX)},
        ("table", "reason"),
    )
