"""The report: a page that is whole by itself, with a chart for everything that was measured."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hashrange_client.load.metrics import ProcessSamples, Sample
from hashrange_client.load.report.charts import Line, bars, heat_map, line_chart, number, ticks
from hashrange_client.load.report.page import page, write_page
from hashrange_client.load.result import FORMAT, LoadResult, histogram_of
from hashrange_client.load.series import Series
from hashrange_client.load.settings import LoadSettings
from hypothesis import given
from hypothesis import strategies as st

VOID = {"meta"}


class Page(HTMLParser):
    """Reads a page; what is opened must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)
        self.text += data


def run(**changes: Any) -> dict[str, Any]:
    """The document of a made-up run of three seconds with everything in it."""
    series = Series(1)
    for second in range(3):
        counts = {"GetItem": [150, 900, 2_000, 90, 40_000, 10], "UpdateItem": [900, 500, 9_000 + second, 5]}
        errors = {"ThrottlingException": second, "<script>alert(1)</script>": 1}
        told = {"second": second, "counts": counts, "errors": errors}
        series.add(told | {"throttled": second, "unsent": 0, "backlog": second})
    series.finish()
    samples = [
        Sample(
            float(at),
            {
                "cpu_s": at * 0.5,
                "memory_bytes": 5e7,
                "fsyncs": at * 100.0,
                "item_hits": at * 90.0,
                "item_misses": at * 10.0,
            },
            {("orders", "", 3): (at * 100.0, 0.0), ("orders", "by-x", 4): (0.0, at * 10.0)},
        )
        for at in (0, 1, 2, 3)
    ]
    result = LoadResult(
        LoadSettings(workload="ycsb-a", **changes),
        seconds=3.02,
        latencies={name: histogram_of(counts) for name, counts in series.operations.items()},
        errors=series.errors,
        server_cpu_s=0.4,
        generator_cpu_s=[0.1],
        rows=series.rows,
        counts=dict(series.operations),
        processes=[ProcessSamples("node-1", "http://x/metrics", samples)],
        throttled=series.throttled,
    )
    document: dict[str, Any] = json.loads(json.dumps(result.to_json()))
    return document


def test_the_document_states_its_format_and_has_no_secret() -> None:
    document = run(access_key="AK", secret="do not tell")
    assert document["format"] == FORMAT == 2
    assert "do not tell" not in json.dumps(document)
    assert document["operations"]["all"]["requests"] == document["requests"] == 3 * 1_505
    assert document["hdr"]["GetItem"].startswith("HIST")
    assert document["machine"]["cores"] >= 1
    curve = document["distribution"]["GetItem"]
    assert [value for _, value in curve] == sorted(value for _, value in curve)


def test_a_report_needs_nothing_but_itself() -> None:
    text = page([run()])
    found = Page(text)
    assert text.startswith("<!doctype html>")
    for tag, attributes in found.attributes:
        for name in ("src", "href"):
            assert attributes.get(name) is None or str(attributes[name]).startswith("#"), tag
    assert "url(" not in text
    assert "@import" not in text
    assert re.findall(r"https?://[\w.]+", text.replace("http://127.0.0.1", "")) == []
    assert "<script>alert" not in text
    assert found.tags["script"] == 1


def test_a_report_shows_all_that_was_measured() -> None:
    found = Page(page([run()]))
    for heading in (
        "Throughput",
        "Latency over time",
        "Distribution of latencies",
        "Errors and throttles",
        "Processor time a request, by process",
        "Memory",
        "Syncs of the log",
        "Cache hits",
        "Heat of partitions",
        "Settings and machine",
    ):
        assert heading in found.headings
    assert found.tags["svg"] >= 8
    charts = [json.loads(str(each["data-chart"])) for _, each in found.attributes if "data-chart" in each]
    throughput = charts[0]
    assert [line[0] for line in throughput["lines"]][:3] == ["GetItem", "UpdateItem", "all"]
    assert throughput["lines"][0][2] == ["1,000"] * 3
    assert all(len(values) == len(chart["x"]) for chart in charts for _, _, values in chart["lines"])
    cells = [each for tag, each in found.attributes if tag == "rect" and each.get("class") == "cell"]
    assert len(cells) == 2 * 3
    assert "2 cores" not in found.text or run()["machine"]["cores"] == 2
    assert "throttled" in found.text


def test_several_runs_have_a_summary_and_a_chapter_each(tmp_path: Path) -> None:
    runs = [run() | {"name": name} for name in ("embedded A", "cluster A")]
    write_page(tmp_path / "report.html", runs, "Two & more")
    found = Page((tmp_path / "report.html").read_text())
    assert found.headings[0] == "Two & more"
    assert {"All runs", "embedded A", "cluster A"} <= set(found.headings)


def test_a_run_without_success_has_a_report_too() -> None:
    result = LoadResult(LoadSettings(), seconds=1.0, errors=Counter({"HTTP 500": 3}))
    found = Page(page([json.loads(json.dumps(result.to_json()))]))
    assert "nothing was measured" in found.text


@given(st.floats(0, 1e9), st.floats(1e-6, 1e9))
def test_ticks_cover_their_range_with_few_round_numbers(low: float, span: float) -> None:
    marks = ticks(low, low + span)
    assert marks[0] <= low * (1 + 1e-9) + 1e-9
    assert marks[-1] >= (low + span) * (1 - 1e-6) - 1e-6
    assert len(marks) <= 12


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1_234, "1,234"),
        (12_345, "12.3k"),
        (0.0512, "0.0512"),
        (2.5e6, "2.5M"),
        (3e9, "3G"),
        (12.34, "12.3"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_charts_of_nothing_say_so() -> None:
    for made in (
        line_chart([], "x"),
        line_chart([Line("a", "s0", [])], "x"),
        bars([], "x"),
        heat_map([], [], "x"),
    ):
        assert "nothing was measured" in made
    assert Page(line_chart([Line("a<b", "s0", [(1.0, 0.0)])], "x", log=True)).tags["circle"] == 1
