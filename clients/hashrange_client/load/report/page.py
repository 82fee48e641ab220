"""A page from the JSON documents of one run or several."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from hashrange_client.load.report.charts import Line, line_chart, number
from hashrange_client.load.report.sections import SERIES_COLOURS, cards, tiles
from hashrange_client.load.report.style import SCRIPT, css
from hashrange_client.load.series import ALL


def name_of(run: dict[str, Any]) -> str:
    """What a run is called: its own name if it was given one, else its workload."""
    return str(run.get("name") or run["settings"]["mix"] or run["workload"])


def page(runs: list[dict[str, Any]], title: str = "") -> str:
    """The whole page; several runs have a summary in front, and a chapter each."""
    title = title or f"hashrange bench: {', '.join(dict.fromkeys(name_of(run) for run in runs))}"
    machine = runs[0]["machine"]
    told = f"{machine['cores']} cores, {machine['processor']} · hashrange {machine['hashrange']}"
    if len(runs) == 1:
        body = tiles(runs[0]) + cards(runs[0])
    else:
        chapters = "".join(
            f'<h2 id="run-{place}">{escape(name_of(run))}</h2>{tiles(run)}{cards(run)}'
            for place, run in enumerate(runs)
        )
        body = _summary(runs) + chapters
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css()}</style></head>\n"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(told)}</p>{body}</main>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _summary(runs: list[dict[str, Any]]) -> str:
    """All runs in one table and one chart."""
    rows = []
    for place, run in enumerate(runs):
        operations = run["operations"]
        whole = operations.get(ALL) or next(iter(operations.values()), {"p50_us": 0, "p99_us": 0})
        cpu = run["server_cpu_us_per_request"]
        rows.append(
            f'<tr><td><a href="#run-{place}">{escape(name_of(run))}</a></td><td>{run["requests_per_s"]:,.0f}</td>'
            f"<td>{whole['p50_us'] / 1000:.2f}</td><td>{whole['p99_us'] / 1000:.2f}</td>"
            f"<td>{sum(run['errors'].values()):,}</td><td>{'' if cpu is None else number(cpu)}</td>"
            f"<td>{number(run['generator']['cpu_us_per_request'] or 0)}</td></tr>"
        )
    heads = "".join(
        f"<th>{text}</th>"
        for text in ("run", "requests/s", "p50 ms", "p99 ms", "errors", "server CPU µs", "generator CPU µs")
    )
    lines = [
        Line(
            name_of(run),
            f"s{place % SERIES_COLOURS}",
            [
                (row["second"] + 1.0, row["requests"])
                for row in run["seconds_series"]
                if row["second"] + 1 <= run["seconds"] + 0.05
            ],
        )
        for place, run in enumerate(runs)
    ]
    chart = ""
    if len(lines) <= SERIES_COLOURS:  # more could not be told apart
        chart = f'<section class="card"><h3>Throughput</h3>{line_chart(lines, "/s")}</section>'
    return (
        f'<div class="cards"><section class="card"><h3>All runs</h3><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></section>{chart}</div>"
    )


def write_page(path: Path, runs: list[dict[str, Any]], title: str = "") -> None:
    """Write a page to a file."""
    path.write_text(page(runs, title), encoding="utf-8")
