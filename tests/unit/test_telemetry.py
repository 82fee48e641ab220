"""Metrics: what is counted, the text format, bounded series, and a page that names every one of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hashrange.runtime.operation_stats import FAMILY_NAMES, LATENCY_BOUNDS, Histogram
from hashrange.runtime.telemetry import OTHER_TABLE, Telemetry

ROOT = Path(__file__).resolve().parents[2]

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(telemetry: Telemetry) -> Samples:
    """Name and labels to value, as Prometheus would read them."""
    found: Samples = {}
    for family in text_string_to_metric_families(telemetry.render().decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} appears twice"
            found[key] = sample.value
    return found


def labels(operation: str, table: str, **more: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"operation": operation, "table": table, **more}.items()))


def test_what_is_observed_is_what_is_read() -> None:
    telemetry = Telemetry(process=False)
    stats = telemetry.operation("GetItem", "Music")
    stats.observe(0.000_3)
    stats.observe(0.000_3)
    stats.observe(100.0)
    stats.fail("ValidationException")
    stats.read_units_half += 3
    stats.write_units_half += 4
    stats.returned_items += 2
    stats.returned_bytes += 900
    assert telemetry.operation("GetItem", "Music") is stats
    found = samples(telemetry)
    key = labels("GetItem", "Music")
    assert found["hashrange_requests_total", key] == 4
    assert (
        found["hashrange_request_errors_total", labels("GetItem", "Music", error="ValidationException")] == 1
    )
    assert found["hashrange_consumed_read_units_total", key] == 1.5
    assert found["hashrange_consumed_write_units_total", key] == 2
    assert found["hashrange_returned_items_total", key] == 2
    assert found["hashrange_returned_bytes_total", key] == 900
    assert found["hashrange_request_duration_seconds_count", key] == 3
    assert found["hashrange_request_duration_seconds_sum", key] == pytest.approx(100.000_6)
    buckets = [
        found["hashrange_request_duration_seconds_bucket", labels("GetItem", "Music", le=bound)]
        for bound in (*map(str, LATENCY_BOUNDS), "+Inf")
    ]
    assert buckets == [0, 0, 0, *[2] * (len(LATENCY_BOUNDS) - 3), 3]


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert histogram.cumulative() == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
    assert (histogram.count(), histogram.total) == (5, 7.5)
    with pytest.raises(ValueError, match="increase"):
        Histogram((2.0, 1.0))


def test_gauges_counters_and_histograms_of_others() -> None:
    telemetry = Telemetry("1.2.3", process=False)
    telemetry.gauge("hashrange_open_connections", "Open.", lambda: 7)
    telemetry.gauge("hashrange_lag", "Lag.", lambda: {("a",): 1.0, ("b",): 2.0}, labels=("table",))
    telemetry.counter("hashrange_bytes_total", "Bytes.", lambda: 12)
    telemetry.histogram("hashrange_log_fsync_seconds", "Fsync.").observe(0.002)
    found = samples(telemetry)
    assert found["hashrange_open_connections", ()] == 7
    assert found["hashrange_lag", (("table", "b"),)] == 2
    assert found["hashrange_bytes_total", ()] == 12
    assert found["hashrange_log_fsync_seconds_count", ()] == 1
    assert found["hashrange_build_info", (("version", "1.2.3"),)] == 1


@pytest.mark.parametrize(
    "name", ["requests_total", "hashrange_Upper", "hashrange_requests_total", "hashrange_twice"]
)
def test_wrong_and_repeated_names_are_refused(name: str) -> None:
    telemetry = Telemetry(process=False)
    telemetry.gauge("hashrange_twice", "Twice.", lambda: 0)
    with pytest.raises(ValueError, match="metric"):
        telemetry.gauge(name, "Text.", lambda: 0)


def test_a_metric_that_cannot_be_read_hides_no_other() -> None:
    telemetry = Telemetry(process=False)
    telemetry.gauge("hashrange_broken", "Broken.", lambda: 1 / 0)
    telemetry.gauge("hashrange_whole", "Whole.", lambda: 1)
    assert samples(telemetry) == {("hashrange_whole", ()): 1}


def test_a_counter_is_called_total() -> None:
    with pytest.raises(ValueError, match="_total"):
        Telemetry(process=False).counter("hashrange_bytes", "Bytes.", lambda: 0)


def test_series_are_bounded_and_nothing_is_lost() -> None:
    telemetry = Telemetry(series_max=3, process=False)
    for number in range(10):
        telemetry.operation("PutItem", f"t{number}").observe(0.001)
    telemetry.operation("GetItem", "t0").observe(0.001)
    found = samples(telemetry)
    requests = {key: value for (name, key), value in found.items() if name == "hashrange_requests_total"}
    assert requests[labels("PutItem", OTHER_TABLE)] == 7
    assert requests[labels("GetItem", OTHER_TABLE)] == 1
    assert sum(requests.values()) == 11
    assert len(requests) == 5


def test_a_deleted_table_leaves_no_series() -> None:
    telemetry = Telemetry(process=False)
    telemetry.operation("PutItem", "gone").observe(0.001)
    telemetry.operation("PutItem", "kept").observe(0.001)
    telemetry.forget_table("gone")
    assert "gone" not in telemetry.render().decode()
    assert "kept" in telemetry.render().decode()


def test_labels_are_escaped() -> None:
    telemetry = Telemetry(process=False)
    odd = 'a"b\\c\nd'
    telemetry.operation("PutItem", odd).fail(odd)
    assert samples(telemetry)["hashrange_requests_total", labels("PutItem", odd)] == 1


def test_processor_time_and_memory_of_the_process_are_there() -> None:
    found = samples(Telemetry())
    assert found["process_cpu_seconds_total", ()] > 0
    assert found["process_resident_memory_bytes", ()] > 0


def test_every_metric_is_documented_and_the_page_names_no_other() -> None:
    page = (ROOT / "hashrange/runtime/METRICS.md").read_text()
    documented = set(re.findall(r"^\| `(hashrange_[a-z0-9_]+)`", page, re.MULTILINE))
    registered = set(FAMILY_NAMES)
    for folder in ("hashrange", "node", "router"):
        for source in (ROOT / folder).rglob("*.py"):
            registered.update(re.findall(r'"(hashrange_[a-z0-9_]*[a-z0-9])"', source.read_text()))
    registered -= {"hashrange_node", "hashrange_router", "hashrange_dax", "hashrange_client"}
    assert registered - documented == set()
    assert documented - registered == set()
