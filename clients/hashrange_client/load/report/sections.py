"""What of a run goes into a report: tiles, charts and tables, each made from the run's JSON document. Pure."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from hashrange_client.load.report.charts import Line, bars, heat_map, line_chart, number, percentile_chart
from hashrange_client.load.series import ALL

Document = dict[str, Any]

SERIES_COLOURS: Final = 8
PERCENTILES: Final = (
    ("p50", "p50_us"),
    ("p90", "p90_us"),
    ("p99", "p99_us"),
    ("p99.9", "p99.9_us"),
    ("max", "max_us"),
)
ERROR_LINES: Final = 6


def tiles(run: Document) -> str:
    """The figures that matter most, in large."""
    whole = _whole(run)
    errors = sum(run["errors"].values())
    shown = [
        (number(run["requests_per_s"]), "requests a second", False),
        (f"{whole.get('p50_us', 0) / 1000:.2f} ms", "median latency", False),
        (f"{whole.get('p99_us', 0) / 1000:.2f} ms", "99th percentile", False),
        (number(errors), "errors", errors > 0),
    ]
    if run["throttled"]:
        shown.append((number(run["throttled"]), "throttled", True))
    if run["unsent"]:
        shown.append((number(run["unsent"]), "due, but never sent", True))
    if run["server_cpu_us_per_request"] is not None:
        shown.append((f"{run['server_cpu_us_per_request']:.1f} µs", "server CPU a request", False))
    cost = run["generator"]["cpu_us_per_request"]
    if cost is not None:
        text = "load generator CPU a request"
        shown.append((f"{cost:.1f} µs", text, run["generator"]["is_bottleneck"]))
    cells = "".join(
        f'<div class="tile{" bad" if bad else ""}"><b>{escape(value)}</b><span>{escape(text)}</span></div>'
        for value, text, bad in shown
    )
    return f'<div class="tiles">{cells}</div>'


def _whole(run: Document) -> dict[str, Any]:
    operations: dict[str, dict[str, Any]] = run["operations"]
    return operations.get(ALL) or next(iter(operations.values()), {})


def cards(run: Document) -> str:
    """All charts and tables of a run."""
    made = [
        _card("Throughput", _throughput(run)),
        _card("Latency over time", _latency(run), "all operations, logarithmic"),
        _card(
            "Distribution of latencies",
            percentile_chart(_curves(run), "ms"),
            "which share of requests took at most how long",
        ),
        _card("Operations", _operations(run)),
    ]
    if run["errors"] or run["throttled"] or run["unsent"]:
        made.append(_card("Errors and throttles", _errors(run)))
    made += _of_processes(run)
    heat = run["heat"]
    if heat["partitions"]:
        note = "requests a second of each partition, reads and writes together"
        if heat["left_out"]:
            note += f"; {heat['left_out']} partitions with less are left out"
        made.append(_card("Heat of partitions", _heat(heat), note))
    made.append(_card("Settings and machine", _settings(run)))
    return f'<div class="cards">{"".join(made)}</div>'


def _card(title: str, body: str, note: str = "", wide: bool = False) -> str:
    text = f"<p>{escape(note)}</p>" if note else ""
    kind = "card wide" if wide else "card"
    return f'<section class="{kind}"><h3>{escape(title)}</h3>{text}{body}</section>'


def _rows(run: Document) -> list[Document]:
    """Whole seconds; the part of one at the end would look like a collapse."""
    rows: list[Document] = run["seconds_series"]
    whole = [row for row in rows if row["second"] + 1 <= run["seconds"] + 0.05]
    return whole or rows


def _throughput(run: Document) -> str:
    rows = _rows(run)
    names = [name for name in run["operations"] if name != ALL]
    lines = [
        Line(
            name,
            f"s{place % SERIES_COLOURS}",
            [(row["second"] + 1.0, row["operations"].get(name, {}).get("requests", 0)) for row in rows],
        )
        for place, name in enumerate(names)
    ]
    if len(names) > 1:
        lines.append(Line("all", "s6", [(row["second"] + 1.0, row["requests"]) for row in rows]))
    backlog = [(row["second"] + 1.0, row["backlog"]) for row in rows]
    if any(waiting for _, waiting in backlog):
        lines.append(Line("waiting for a connection", "s5", backlog))
    return line_chart(lines, "/s")


def _latency(run: Document) -> str:
    rows = [row for row in _rows(run) if row["operations"][ALL]["requests"]]
    lines = [
        Line(
            name,
            f"p{place}",
            [(row["second"] + 1.0, max(row["operations"][ALL][key], 1) / 1000) for row in rows],
        )
        for place, (name, key) in enumerate(PERCENTILES)
    ]
    return line_chart(lines, "ms", log=True)


def _curves(run: Document) -> list[Line]:
    return [
        Line(name, f"s{place % SERIES_COLOURS}", [(percentile, value / 1000) for percentile, value in curve])
        for place, (name, curve) in enumerate(run["distribution"].items())
    ]


def _errors(run: Document) -> str:
    rows = _rows(run)
    kinds = sorted(run["errors"], key=lambda kind: -run["errors"][kind])[:ERROR_LINES]
    lines = [
        Line(
            kind,
            f"s{place % SERIES_COLOURS}",
            [(row["second"] + 1.0, row["errors"].get(kind, 0)) for row in rows],
        )
        for place, kind in enumerate(kinds)
    ]
    for name, key, style in (("throttled", "throttled", "s4"), ("never sent", "unsent", "s6")):
        if run[key] and name not in kinds:
            lines.append(Line(name, style, [(row["second"] + 1.0, row[key]) for row in rows]))
    return line_chart(lines, "/s")


def _operations(run: Document) -> str:
    body = []
    for name, row in run["operations"].items():
        times = "".join(f"<td>{row[key] / 1000:.2f}</td>" for _, key in PERCENTILES)
        figures = f"<td>{row['requests']:,}</td><td>{row['requests_per_s']:,.0f}</td>"
        body.append(f"<tr><td>{escape(name)}</td>{figures}{times}</tr>")
    heads = "".join(f"<th>{name} ms</th>" for name, _ in PERCENTILES)
    return (
        f"<table><thead><tr><th>operation</th><th>requests</th><th>a second</th>{heads}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _of_processes(run: Document) -> list[str]:
    """Processor time, syncs, caches and the rest of what the processes told."""
    processes: list[Document] = run["server_processes"]
    if not processes:
        return []
    costs = [
        (each["name"], each["totals"]["cpu_us_per_request"], f"s{place % SERIES_COLOURS}")
        for place, each in enumerate(processes)
        if "cpu_us_per_request" in each["totals"]
    ]
    note = "of everything that the process did meanwhile, divided by the requests answered"
    made = [_card("Processor time a request, by process", bars(costs, "µs"), note)]
    for title, key, unit, scale, note in (
        ("Processor time over time", "cpu_s", "cores", 1.0, ""),
        ("Memory", "memory_bytes", "MB", 1e-6, ""),
        ("Syncs of the log", "fsyncs", "/s", 1.0, ""),
        ("Consumed read capacity", "read_units", "units/s", 1.0, "as far as processes count it"),
        ("Consumed write capacity", "write_units", "units/s", 1.0, "as far as processes count it"),
        ("Replication lag", "replication_lag_entries", "entries", 1.0, "of the replica furthest behind"),
        ("Iterator age of triggers", "iterator_age_s", "s", 1.0, ""),
    ):
        lines = _process_lines(processes, key, scale)
        if any(y for line in lines for _, y in line.points):
            made.append(_card(title, line_chart(lines, unit), note))
    hits = _cache_lines(processes)
    if hits:
        made.append(_card("Cache hits", line_chart(hits, "%"), "of the reads that came to each cache node"))
    made.append(_card("Processes", _process_table(processes), wide=True))
    return made


def _process_lines(processes: list[Document], key: str, scale: float) -> list[Line]:
    return [
        Line(
            each["name"],
            f"s{place % SERIES_COLOURS}",
            [(row["at_s"], row[key] * scale) for row in each["series"] if key in row],
        )
        for place, each in enumerate(processes)
    ]


def _cache_lines(processes: list[Document]) -> list[Line]:
    lines = []
    for place, each in enumerate(processes):
        points = []
        for row in each["series"]:
            hits = sum(row.get(f"{kind}_hits", 0.0) for kind in ("item", "query", "scan"))
            asked = hits + sum(row.get(f"{kind}_misses", 0.0) for kind in ("item", "query", "scan"))
            if asked:
                points.append((row["at_s"], 100 * hits / asked))
        if points:
            lines.append(Line(each["name"], f"s{place % SERIES_COLOURS}", points))
    return lines


_COLUMNS: Final = (
    ("CPU s", "cpu_s", 1.0),
    ("CPU µs/request", "cpu_us_per_request", 1.0),
    ("memory MB", "memory_bytes_max", 1e-6),
    ("fsyncs", "fsyncs", 1.0),
    ("fsync p50 ms", "fsync_p50_us", 1e-3),
    ("fsync p99 ms", "fsync_p99_us", 1e-3),
    ("log MB", "log_bytes_max", 1e-6),
    ("read units", "read_units", 1.0),
    ("write units", "write_units", 1.0),
    ("throttled", "throttled", 1.0),
    ("routing retries", "routing_retries", 1.0),
    ("conflicts", "transaction_conflicts", 1.0),
)


def _process_table(processes: list[Document]) -> str:
    columns = [column for column in _COLUMNS if any(each["totals"].get(column[1]) for each in processes)]
    heads = "".join(f"<th>{escape(title)}</th>" for title, _, _ in columns)
    body = []
    for each in processes:
        totals = each["totals"]
        cells = "".join(
            f"<td>{number(totals[key] * scale) if key in totals else ''}</td>" for _, key, scale in columns
        )
        body.append(f"<tr><td>{escape(each['name'])}</td>{cells}</tr>")
    return f"<table><thead><tr><th>process</th>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _heat(heat: Document) -> str:
    rows = []
    for each in heat["partitions"]:
        name = f"{each['table']}{'/' + each['index'] if each['index'] else ''} {each['partition']}"
        both = [
            reads + writes for reads, writes in zip(each["reads_per_s"], each["writes_per_s"], strict=True)
        ]
        rows.append((name, both))
    return heat_map(heat["times_s"], rows, "requests/s")


def _settings(run: Document) -> str:
    settings, machine = run["settings"], run["machine"]
    acts = ", ".join(f"{name} {share:.0%}" for name, share in settings["acts"].items())
    loop = (
        "closed loop" if not settings["rate"] else f"{settings['rate']:,.0f}/s, {settings['arrivals']} gaps"
    )
    rows = [
        ("workload", f"{settings['mix'] or run['workload']}: {acts}"),
        ("keys", f"{settings['keys']}, {run['items']:,} items of {run['item_bytes']:,} bytes"),
        (
            "load",
            f"{loop}, {run['connections']} connections, {run['processes']} processes, {run['seconds']:.1f} s",
        ),
        ("reads", "strongly consistent" if settings["consistent_reads"] else "as the workload has them"),
        ("endpoint", f"{run['endpoint']}, client {settings['client']}"),
        (
            "load generator",
            f"busiest process {run['generator']['busiest_core_share']:.0%} of a core"
            + ("; it was the bottleneck" if run["generator"]["is_bottleneck"] else ""),
        ),
        ("machine", f"{machine['cores']} cores, {machine['processor']}, {machine['system']}"),
        ("versions", f"hashrange {machine['hashrange']}, Python {machine['python']}"),
    ]
    body = "".join(
        f'<tr><td>{escape(name)}</td><td class="text">{escape(text)}</td></tr>' for name, text in rows
    )
    return f"<table><tbody>{body}</tbody></table>"
