"""Counts of seconds merged over processes, and pages of metrics joined to them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hashrange_client.load.metrics import (
    ProcessSamples,
    Sample,
    fsync_percentile_us,
    grown,
    heat,
    parse,
    process_document,
)
from hashrange_client.load.result import LoadResult, histogram_of
from hashrange_client.load.series import PERCENTILES, Series, figures
from hashrange_client.load.settings import LoadSettings
from hashrange_client.load.tally import Tally, rounded
from hypothesis import given
from hypothesis import strategies as st

LATENCIES = st.dictionaries(st.integers(1, 50_000), st.integers(1, 50), min_size=1, max_size=60)


@given(LATENCIES)
def test_percentiles_are_those_of_the_sorted_latencies(counts: dict[int, int]) -> None:
    whole = sorted(Counter(counts).elements())
    found = figures(counts)
    assert found["requests"] == len(whole)
    assert found["max_us"] == whole[-1]
    for percentile in PERCENTILES:
        value = found[f"p{percentile:g}_us"]
        assert sum(each <= value for each in whole) >= len(whole) * percentile / 100
        assert sum(each < value for each in whole) < max(1, len(whole) * percentile / 100)


@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=300), st.integers(1, 4))
def test_what_processes_counted_is_one_histogram(latencies: list[int], processes: int) -> None:
    tallies = [Tally() for _ in range(processes)]
    for number, latency in enumerate(latencies):
        tallies[number % processes].counts["GetItem"][latency] += 1
    series = Series(processes)
    rows = [series.add(tally.take(0, number)) for number, tally in enumerate(tallies)]
    assert rows[:-1] == [None] * (processes - 1)
    row = rows[-1]
    assert row is not None
    assert row["operations"]["GetItem"] == figures(Counter(map(rounded, latencies)))
    assert row["operations"]["all"] == row["operations"]["GetItem"]
    assert row["backlog"] == sum(range(processes))
    histogram = histogram_of(series.operations["GetItem"])
    assert histogram.get_total_count() == len(latencies)
    exact = sorted(max(1, each) for each in latencies)[-1]
    assert histogram.get_max_value() == pytest.approx(exact, rel=0.002)


def test_rounding_keeps_three_digits() -> None:
    assert [rounded(value) for value in (0, 1, 2_047)] == [0, 1, 2_047]
    for value in (2_048, 123_457, 59_999_999):
        assert value * 0.999 < rounded(value) <= value


def test_seconds_come_in_any_order_and_the_last_one_may_be_a_part() -> None:
    def told(second: int, errors: dict[str, int], unsent: int = 0) -> dict[str, Any]:
        empty = {"counts": {"PutItem": [100, 2]}, "throttled": sum(errors.values()), "backlog": 0}
        return {"second": second, "errors": errors, "unsent": unsent, **empty}

    series = Series(2)
    for message in (
        told(0, {}),
        told(1, {"ThrottlingException": 1}),
        told(1, {}),
        told(0, {}),
        told(2, {}, 5),
    ):
        series.add(message)
    series.finish()
    assert [row["second"] for row in series.rows] == [0, 1, 2]
    assert [row["requests"] for row in series.rows] == [4, 4, 2]
    assert (series.errors, series.throttled, series.unsent) == ({"ThrottlingException": 1}, 1, 5)


def test_a_read_modify_write_is_not_counted_twice() -> None:
    tally = Tally()
    for name in ("GetItem", "UpdateItem", "ReadModifyWrite"):
        tally.counts[name][1_000] += 1
    series = Series(1)
    row = series.add(tally.take(0, 0))
    assert row is not None
    assert row["requests"] == row["operations"]["all"]["requests"] == 2
    result = LoadResult(LoadSettings(), 1.0, counts=dict(series.operations))
    assert result.requests == 2


PAGE = """
# HELP process_cpu_seconds_total x
process_cpu_seconds_total {cpu}
process_resident_memory_bytes 5e+07
hashrange_log_fsync_seconds_bucket{{le="0.001"}} {fast}
hashrange_log_fsync_seconds_bucket{{le="0.002"}} {slow}
hashrange_log_fsync_seconds_bucket{{le="+Inf"}} {slow}
hashrange_log_fsync_seconds_count {slow}
hashrange_log_fsync_seconds_sum 0.5
hashrange_throttled_requests_total{{table="a",reason="x"}} {cpu}
hashrange_throttled_requests_total{{table="b",reason="y"}} 1.0
hashrange_partition_reads_total{{partition="3",table="a\\"b",index=""}} {reads}
hashrange_partition_writes_total{{partition="3",table="a\\"b",index=""}} {cpu}
hashrange_partition_reads_total{{partition="4",table="c",index="by-x"}} 7
hashrange_trigger_iterator_age_seconds{{shard="1"}} 2.5
hashrange_trigger_iterator_age_seconds{{shard="2"}} 0.5
unknown_metric 12
"""


def pages(*samples: tuple[float, float, float, float, float]) -> ProcessSamples:
    found = [
        parse(PAGE.format(cpu=cpu, fast=fast, slow=slow, reads=reads), at_s)
        for at_s, cpu, fast, slow, reads in samples
    ]
    return ProcessSamples("node-1", "http://x/metrics", found)


def test_a_page_is_reduced_to_what_a_report_shows() -> None:
    sample = pages((1.0, 2.0, 5, 10, 3)).samples[0]
    assert sample.values["cpu_s"] == 2.0
    assert sample.values["throttled"] == 3.0
    assert sample.values["iterator_age_s"] == 2.5
    assert sample.values["fsync_le_+Inf"] == 10
    assert sample.partitions[('a\\"b', "", 3)] == (3.0, 2.0)
    assert not any(name.startswith("unknown") for name in sample.values)


def test_processes_are_charged_for_the_requests_of_the_run() -> None:
    process = pages((0.0, 1.0, 0, 0, 0), (2.0, 2.0, 50, 100, 10), (4.0, 4.0, 100, 200, 50))
    document = process_document(process, requests=10_000)
    totals = document["totals"]
    assert totals["cpu_us_per_request"] == pytest.approx(300.0)
    assert totals["fsyncs"] == 200
    assert totals["memory_bytes_max"] == 5e7
    assert [row["cpu_s"] for row in document["series"]] == [0.5, 1.0]
    assert fsync_percentile_us(process.samples, 50) == pytest.approx(1_000.0)
    assert fsync_percentile_us(process.samples, 75) == pytest.approx(1_500.0)
    assert fsync_percentile_us([], 50) is None


def test_a_process_that_started_anew_counts_from_zero() -> None:
    samples = [Sample(at, {"cpu_s": value}) for at, value in ((0, 10.0), (1, 12.0), (2, 1.0), (3, 4.0))]
    assert grown(samples, "cpu_s") == 2.0 + 1.0 + 3.0
    assert grown(samples, "fsyncs") is None


def test_heat_is_summed_over_processes_and_idle_partitions_are_left_out() -> None:
    one = pages((0.0, 0.0, 0, 0, 0), (2.0, 4.0, 0, 0, 20), (4.0, 4.0, 0, 0, 20))
    other = pages((0.0, 0.0, 0, 0, 0), (2.0, 0.0, 0, 0, 40), (4.0, 2.0, 0, 0, 40))
    found = heat([one, other])
    assert found["times_s"] == [2.0, 4.0]
    (row,) = found["partitions"]
    assert (row["table"], row["partition"]) == ('a\\"b', 3)
    assert row["reads_per_s"] == [30.0, 0.0]
    assert row["writes_per_s"] == [2.0, 1.0]
    assert heat([one, other], most=0)["left_out"] == 1
