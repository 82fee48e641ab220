"""Pages of /metrics, reduced to what a report shows, and joined to the load that caused it. Pure.

A sample of one process at one moment: {"at_s": since the measurement began, "values": {name: number}, "partitions":
{(table, index, id): (reads, writes)}}. Values of a name are summed over labels; of
`hashrange_log_fsync_seconds` the buckets are kept as `fsync_le_<bound>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

PartitionKey = tuple[str, str, int]
"""Table, index (empty for the table itself), partition."""

VALUES: Final = {
    "process_cpu_seconds_total": "cpu_s",
    "process_resident_memory_bytes": "memory_bytes",
    "hashrange_log_fsync_seconds_count": "fsyncs",
    "hashrange_log_fsync_seconds_sum": "fsync_s",
    "hashrange_log_bytes": "log_bytes",
    "hashrange_proposals_queued": "proposals_queued",
    "hashrange_replication_lag_entries": "replication_lag_entries",
    "hashrange_requests_in_flight": "requests_in_flight",
    "hashrange_capacity_consumed_read_units_total": "read_units",
    "hashrange_capacity_consumed_write_units_total": "write_units",
    "hashrange_throttled_requests_total": "throttled",
    "hashrange_routing_retries_total": "routing_retries",
    "hashrange_transactions_conflicts_total": "transaction_conflicts",
    "hashrange_dax_item_cache_hits_total": "item_hits",
    "hashrange_dax_item_cache_misses_total": "item_misses",
    "hashrange_dax_query_cache_hits_total": "query_hits",
    "hashrange_dax_query_cache_misses_total": "query_misses",
    "hashrange_dax_scan_cache_hits_total": "scan_hits",
    "hashrange_dax_scan_cache_misses_total": "scan_misses",
    "hashrange_trigger_iterator_age_seconds": "iterator_age_s",
}
"""Metrics that are kept, and what they are called in a report."""

GAUGES: Final = frozenset(
    {
        "memory_bytes",
        "log_bytes",
        "proposals_queued",
        "replication_lag_entries",
        "requests_in_flight",
        "iterator_age_s",
    }
)
"""Values that are levels; all others are counters."""

GREATEST: Final = frozenset({"iterator_age_s", "replication_lag_entries"})
"""Values of which the greatest of all labels counts, not the sum."""

READS: Final = "hashrange_partition_reads_total"
WRITES: Final = "hashrange_partition_writes_total"
FSYNC_BUCKET: Final = "hashrange_log_fsync_seconds_bucket"
FSYNC_LE: Final = "fsync_le_"

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(slots=True)
class Sample:
    """What one process told at one moment."""

    at_s: float
    values: dict[str, float] = field(default_factory=dict)
    partitions: dict[PartitionKey, tuple[float, float]] = field(default_factory=dict)


@dataclass(slots=True)
class ProcessSamples:
    """One process over the run."""

    name: str
    url: str
    samples: list[Sample] = field(default_factory=list)


def parse(page: str, at_s: float) -> Sample:
    """A sample from a page in Prometheus' text format."""
    sample = Sample(at_s)
    values = sample.values
    for line in page.splitlines():
        if not line or line[0] == "#":
            continue
        series, _, number = line.rpartition(" ")
        name, brace, labels = series.partition("{")
        if name in VALUES:
            short, value = VALUES[name], float(number)
            greatest = short in GREATEST and short in values
            values[short] = max(values[short], value) if greatest else values.get(short, 0.0) + value
        elif name == FSYNC_BUCKET and brace:
            bound = dict(_LABEL.findall(labels)).get("le", "+Inf")
            values[FSYNC_LE + bound] = float(number)
        elif name in (READS, WRITES):
            _add_heat(sample, name == READS, dict(_LABEL.findall(labels)), float(number))
    return sample


def _add_heat(sample: Sample, is_read: bool, labels: dict[str, str], value: float) -> None:
    key = (labels.get("table", ""), labels.get("index", ""), int(labels.get("partition", "0") or 0))
    reads, writes = sample.partitions.get(key, (0.0, 0.0))
    sample.partitions[key] = (reads + value, writes) if is_read else (reads, writes + value)


def grown(samples: list[Sample], name: str) -> float | None:
    """How much a counter has grown over the run, restarts of the process left out; None when it is not told."""
    told = [sample.values[name] for sample in samples if name in sample.values]
    if len(told) < 2:
        return None
    return sum(later - earlier if later >= earlier else later for earlier, later in pairwise(told))


def fsync_percentile_us(samples: list[Sample], percentile: float) -> float | None:
    """A percentile of the log's syncs during the run, interpolated within its bucket."""
    bounds = sorted(
        (float(name.removeprefix(FSYNC_LE)), name)
        for name in (samples[-1].values if samples else ())
        if name.startswith(FSYNC_LE)
    )
    counts = [(bound, grown(samples, name) or 0.0) for bound, name in bounds]
    if not counts or counts[-1][1] <= 0:
        return None
    wanted = counts[-1][1] * percentile / 100
    below_bound, below = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            if bound == float("inf") or count == below:
                return below_bound * 1e6
            return (below_bound + (bound - below_bound) * (wanted - below) / (count - below)) * 1e6
        below_bound, below = bound, count
    return below_bound * 1e6


def process_document(process: ProcessSamples, requests: int) -> dict[str, Any]:
    """One process in a report: totals of the run, and rates between the samples."""
    samples = process.samples
    totals: dict[str, Any] = {}
    for name in dict.fromkeys(VALUES.values()):
        if name in GAUGES:
            told = [sample.values[name] for sample in samples if name in sample.values]
            if told:
                totals[f"{name}_max"] = round(max(told), 3)
        elif (growth := grown(samples, name)) is not None:
            totals[name] = round(growth, 6)
    if "cpu_s" in totals and requests:
        totals["cpu_us_per_request"] = round(totals["cpu_s"] * 1e6 / requests, 2)
    if totals.get("fsyncs") and "fsync_s" in totals:
        totals["fsync_mean_us"] = round(totals["fsync_s"] * 1e6 / totals["fsyncs"], 1)
        for percentile in (50, 99):
            found = fsync_percentile_us(samples, percentile)
            if found is not None:
                totals[f"fsync_p{percentile}_us"] = round(found, 1)
    return {"name": process.name, "url": process.url, "totals": totals, "series": _rates(samples)}


def _rates(samples: list[Sample]) -> list[dict[str, Any]]:
    """Counters as growth per second up to each sample, gauges as they were then."""
    rows = []
    for earlier, later in pairwise(samples):
        span = later.at_s - earlier.at_s
        if span <= 0:
            continue
        row: dict[str, Any] = {"at_s": round(later.at_s, 2)}
        for name, value in later.values.items():
            if name.startswith(FSYNC_LE):
                continue
            if name in GAUGES:
                row[name] = round(value, 3)
            elif value >= earlier.values.get(name, 0.0):
                row[name] = round((value - earlier.values.get(name, 0.0)) / span, 4)
        rows.append(row)
    return rows


def heat(processes: Iterable[ProcessSamples], most: int = 60) -> dict[str, Any]:
    """Requests a second of each partition over time, summed over processes; the `most` used ones, busiest first.

    {"times_s": [...], "partitions": [{"table", "index", "partition", "reads_per_s": [...], "writes_per_s": [...]}],
    "left_out": how many partitions are not among them}
    """
    rows: dict[PartitionKey, dict[int, tuple[float, float]]] = {}
    times: dict[int, float] = {}
    for process in processes:
        for place, (earlier, later) in enumerate(pairwise(process.samples)):
            span = later.at_s - earlier.at_s
            if span <= 0:
                continue
            times[place] = max(times.get(place, 0.0), later.at_s)
            for key, (reads, writes) in later.partitions.items():
                reads_before, writes_before = earlier.partitions.get(key, (0.0, 0.0))
                row = rows.setdefault(key, {})
                before = row.get(place, (0.0, 0.0))
                row[place] = (
                    before[0] + max(0.0, reads - reads_before) / span,
                    before[1] + max(0.0, writes - writes_before) / span,
                )
    used = {key: row for key, row in rows.items() if any(sum(pair) > 0 for pair in row.values())}
    busiest = sorted(used, key=lambda key: (-sum(sum(pair) for pair in used[key].values()), key))
    places = sorted(times)
    partitions = [
        {
            "table": table,
            "index": index,
            "partition": number,
            "reads_per_s": [
                round(used[table, index, number].get(place, (0.0, 0.0))[0], 2) for place in places
            ],
            "writes_per_s": [
                round(used[table, index, number].get(place, (0.0, 0.0))[1], 2) for place in places
            ],
        }
        for table, index, number in busiest[:most]
    ]
    return {
        "times_s": [round(times[place], 2) for place in places],
        "partitions": partitions,
        "left_out": max(0, len(busiest) - most),
    }
