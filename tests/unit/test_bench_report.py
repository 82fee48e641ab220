"""The comparison of servers: scripts for wrk, medians and ratios, the command line."""

from __future__ import annotations

import json
import re

import pytest
from hashrange_client.load import shape
from hashrange_client.load.settings import LoadSettings

from tests.bench import report
from tests.bench.compare import arguments
from tests.bench.report import Cell
from tests.bench.tools import Sample, lua_script


def cell(server: str, rates: list[float], cpu_us: float | None = None, items: int = 10) -> Cell:
    samples = [Sample(rate, 1_000, 2_000, cpu_us, 0) for rate in rates]
    return Cell(server, not server.startswith("hashrange"), "get", 16, items, samples)


def row(cells: list[Cell], server: str, items: int = 10) -> dict[str, str]:
    made = [dict(zip(report.HEADINGS, values, strict=True)) for values in report.rows(cells)]
    (found,) = (each for each in made if each["server"] == server and each["items"] == str(items))
    return found


def test_medians_and_ratios_to_the_fastest_and_the_thriftiest_peer() -> None:
    cells = [
        cell("hashrange-os", [900, 1_000, 5_000], 30),
        cell("dynalite", [500, 400, 600], 100),
        cell("local", [250], 90),
    ]
    ours = row(cells, "hashrange-os")
    assert ours["req/s"] == "1,000"
    assert ours["× peer"] == "2.00"
    assert ours["CPU ÷ peer"] == "0.33"
    assert row(cells, "local")["× peer"] == "0.50"


def test_growth_is_told_against_the_smallest_size_of_the_same_server() -> None:
    cells = [cell("hashrange-os", [1_000], 20, items=10), cell("hashrange-os", [800], 25, items=90)]
    assert row(cells, "hashrange-os", 10)["× size"] == ""
    assert row(cells, "hashrange-os", 90)["× size"] == "1.25"
    assert report.growth(cell("a", [1_000]), cell("a", [500])) == 2.0


def test_figures_that_are_not_known_are_left_out() -> None:
    alone = row([cell("hashrange-os", [1_000])], "hashrange-os")
    assert (alone["CPU µs"], alone["× peer"], alone["CPU ÷ peer"]) == ("", "", "")


def test_text_markdown_and_json_tell_the_same() -> None:
    cells = [cell("hashrange-os", [1_000], 30), cell("dynalite", [500], 60)]
    text, markdown = report.as_text(cells).splitlines(), report.as_markdown(cells).splitlines()
    assert len(text) == 3
    assert len(markdown) == 4
    assert [part.strip() for part in markdown[2].strip("|").split("|")] == list(report.rows(cells)[0])
    document = report.as_json(cells, {"runs": 1})
    assert json.loads(json.dumps(document)) == document
    assert document["cells"][0]["requests_per_s"] == 1_000


def unescaped(literal: str) -> str:
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1])), literal.strip('"'))


@pytest.mark.parametrize("workload", ["get", "put", "update", "query"])
def test_the_script_for_wrk_sends_the_requests_of_the_load_generator(workload: str) -> None:
    settings = LoadSettings(workload=workload, items=1_234)
    script = lua_script(settings)
    line = next(line for line in script.splitlines() if line.startswith("local before"))
    before, between, after = (unescaped(part) for part in line.partition(" = ")[2].split(", "))
    sort = "s7" if workload != "query" else ""
    request = before + shape.partition_key(567) + between + sort + after
    head, _, body = request.partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    assert shape.partition_key(567) in json.dumps(json.loads(body))
    assert "math.random(0, 1229)" in script


def test_the_command_line() -> None:
    options = arguments(["--servers", "hashrange-os,dynalite-disk", "--sizes", "10_000,1000000"])
    assert options.servers == ["hashrange-os", "dynalite-disk"]
    assert options.sizes == [10_000, 1_000_000]
    assert options.operations == ["get", "put", "update", "query"]
