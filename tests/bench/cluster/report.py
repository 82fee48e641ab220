"""The figures of a run as tables (text and Markdown are the same) and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.cluster.failover import Failover
from tests.bench.cluster.load import Result
from tests.bench.cluster.plane import PlaneCost
from tests.bench.cluster.profile import Profile

PUT_CPU_US, PUT_RATE = 220.0, 6_000.0
READ_CPU_US, READ_RATE = 80.0, 12_000.0
SINGLE_PUT_RATIO = 3.0
FAILOVER_S = 5.0
FLAT = 0.15
"""What the cluster is to reach on a machine of two cores."""

TOP_LINES = 25


@dataclass
class Scaling:
    """The same table with the same partitions on clusters of different sizes."""

    nodes: int
    partitions: int
    led: dict[int, int]
    idle_percent: float
    results: list[Result]


@dataclass
class Figures:
    """All that one run has measured; parts that were left out are empty."""

    about: dict[str, Any] = field(default_factory=dict)
    throughput: list[Result] = field(default_factory=list)
    single: list[Result] = field(default_factory=list)
    fsync_us: float = 0.0
    fsync_at_once_us: float = 0.0
    frame_us: float = 0.0
    idle_percent: dict[str, float] = field(default_factory=dict)
    failover: list[Failover] = field(default_factory=list)
    scaling: list[Scaling] = field(default_factory=list)
    profiles: list[tuple[Profile, Result]] = field(default_factory=list)
    plane: PlaneCost | None = None
    signs: list[str] = field(default_factory=list)
    """Failures that processes wrote to their logs while they were measured: there should be none."""

    @property
    def single_put_ratio(self) -> float:
        """p50 of a single PutItem as a multiple of (fsync + one frame's round trip)."""
        floor = self.fsync_us + self.frame_us
        return self.single[0].latency_us("p50_us") / floor if self.single and floor else 0.0


def as_markdown(figures: Figures) -> str:
    """Everything as tables."""
    parts = [_about(figures), _goals(figures), _throughput(figures), _processes(figures), _single(figures)]
    parts += [_failover(figures), _scaling(figures), _profiles(figures), _plane(figures)]
    return "\n\n".join(part for part in parts if part)


def _about(figures: Figures) -> str:
    about = figures.about
    return (
        f"{about['cores']} cores, Python {about['python']}, {about['system']}; load by {about['tool']}; "
        f"{about['items']:,} items of {about['item_bytes']} bytes; medians of {about['runs']} runs of "
        f"{about['seconds']:g} s; load average before {about['load_before']:.1f}, after {about['load_after']:.1f}"
    )


def goals(figures: Figures) -> list[tuple[str, str, str, bool]]:
    """What is to be reached: name, goal, measured, reached."""
    found: list[tuple[str, str, str, bool]] = []

    def add(name: str, goal: str, measured: str, reached: bool) -> None:
        found.append((name, goal, measured, reached))

    if len(figures.throughput) > 1:
        put, read = figures.throughput[:2]
        reader = read.role_us("router") + read.role_us("leader")
        add("PutItem, CPU of all processes", f"≤ {PUT_CPU_US:.0f} µs", f"{put.total_us:.0f} µs",
            put.total_us <= PUT_CPU_US)  # fmt: skip
        add("PutItem at 64 connections", f"≥ {PUT_RATE:,.0f}/s", f"{put.rate:,.0f}/s", put.rate >= PUT_RATE)
        add("strong GetItem, CPU of router and leader", f"≤ {READ_CPU_US:.0f} µs", f"{reader:.0f} µs",
            reader <= READ_CPU_US)  # fmt: skip
        add("strong GetItem at 64 connections", f"≥ {READ_RATE:,.0f}/s", f"{read.rate:,.0f}/s",
            read.rate >= READ_RATE)  # fmt: skip
    if figures.single:
        ratio = figures.single_put_ratio
        add("p50 of a single PutItem ÷ (fsync + frame round trip)", f"≤ {SINGLE_PUT_RATIO:.0f}", f"{ratio:.2f}",
            ratio <= SINGLE_PUT_RATIO)  # fmt: skip
    for failover in figures.failover:
        worst = max(failover.gaps_s)
        add(
            f"writes again after {failover.what}",
            f"≤ {FAILOVER_S:.0f} s",
            f"{worst:.2f} s",
            worst <= FAILOVER_S,
        )
    if len(figures.scaling) > 1:
        sizes = ", ".join(str(each.nodes) for each in figures.scaling)
        # The first two workloads of each size: as many connections for each node.
        for number in range(2):
            costs = [each.results[number].total_us for each in figures.scaling]
            name = figures.scaling[0].results[number].workload.name
            change = max(costs) / min(costs) - 1
            add(f"CPU of {name} at {sizes} nodes", f"within {FLAT:.0%}", f"{change:.0%}", change <= FLAT)
    return found


def _goals(figures: Figures) -> str:
    rows = [(name, goal, measured, "yes" if ok else "no") for name, goal, measured, ok in goals(figures)]
    return table(("to reach", "goal", "measured", "reached"), rows) if rows else ""


def _throughput(figures: Figures) -> str:
    rows = [
        (
            result.workload.name,
            f"{result.rate:,.0f}",
            f"{result.spread():.0%}",
            f"{result.latency_us('p50_us') / 1000:.2f}",
            f"{result.latency_us('p99_us') / 1000:.2f}",
            f"{result.role_us('router'):.1f}",
            f"{result.role_us('leader'):.1f}",
            f"{result.role_us('follower'):.1f}",
            f"{result.total_us:.1f}",
            f"{result.spread(total=True):.0%}",
            str(result.errors),
        )
        for result in figures.throughput
    ]
    heads = ("64 connections, one partition", "req/s", "±", "p50 ms", "p99 ms", "router µs", "leader µs",
             "2 followers µs", "all µs", "±", "errors")  # fmt: skip
    return table(heads, rows) if rows else ""


def _processes(figures: Figures) -> str:
    rows = []
    for result in figures.throughput[:2]:
        for name, role in sorted(result.roles.items(), key=lambda each: (each[1] != "router", each[0])):
            used = result.process_us(name)
            rows.append(
                (
                    result.workload.name,
                    f"{name}, {role}",
                    f"{used.total:.1f}",
                    f"{used.loop_user:.1f}",
                    f"{used.loop_system:.1f}",
                    f"{used.other:.1f}",
                    f"{used.engine:.1f}",
                    f"{figures.idle_percent.get(name, 0.0):.1f}",
                )
            )
    heads = ("operation", "process", "CPU µs", "loop, user", "loop, kernel", "other threads", "RocksDB threads",
             "idle % of a core")  # fmt: skip
    return table(heads, rows) if rows else ""


def _single(figures: Figures) -> str:
    if not figures.single:
        return ""
    rows = [
        (
            f"{result.workload.name}, one connection",
            f"{result.latency_us('p50_us'):.0f}",
            f"{result.latency_us('p99_us'):.0f}",
            f"{result.role_us('router'):.0f}",
            f"{result.role_us('leader'):.0f}",
            f"{result.role_us('follower'):.0f}",
        )
        for result in figures.single
    ]
    for name, figure in (
        ("write and fdatasync, one at a time", f"{figures.fsync_us:.0f}"),
        ("write and fdatasync, three files at once", f"{figures.fsync_at_once_us:.0f}"),
        ("round trip of a frame", f"{figures.frame_us:.0f}"),
        ("PutItem ÷ (fsync + frame)", f"{figures.single_put_ratio:.2f} ×"),
    ):
        rows.append((name, figure, "", "", "", ""))
    heads = ("latency", "p50 µs", "p99 µs", "router CPU µs", "leader CPU µs", "2 followers CPU µs")
    return table(heads, rows)


def _failover(figures: Figures) -> str:
    rows = [
        (each.what, " / ".join(f"{gap:.2f}" for gap in sorted(each.gaps_s)), str(each.errors))
        for each in figures.failover
    ]
    return table(("fault", "longest time without a write, s", "errors seen"), rows) if rows else ""


def _scaling(figures: Figures) -> str:
    rows = []
    for each in figures.scaling:
        led = "–".join(str(count) for count in sorted({min(each.led.values()), max(each.led.values())}))
        for result in each.results:
            rows.append(
                (
                    result.workload.name,
                    str(result.workload.connections),
                    str(each.nodes),
                    str(each.partitions),
                    led,
                    f"{result.rate:,.0f}",
                    f"{result.role_us('router'):.1f}",
                    f"{result.role_us('node'):.1f}",
                    f"{result.total_us:.1f}",
                    f"{result.spread(total=True):.0%}",
                    f"{each.idle_percent:.1f}",
                )
            )
    heads = ("operation", "connections", "nodes", "partitions", "led by a node", "req/s", "router µs", "nodes µs",
             "all µs", "±", "idle, % of a core")  # fmt: skip
    return table(heads, sorted(rows, key=lambda row: row[0])) if rows else ""


def _profiles(figures: Figures) -> str:
    if not figures.profiles:
        return ""
    split = [profile.user_us(result) for profile, result in figures.profiles]
    names = sorted(
        {name for each in split for name in each}, key=lambda n: -sum(e.get(n, 0.0) for e in split)
    )
    rows = [(name, *(f"{each.get(name, 0.0):.1f}" for each in split)) for name in names]
    rows.append(("all", *(f"{sum(each.values()):.1f}" for each in split)))
    heads = ("PutItem, µs by package", *(profile.role for profile, _ in figures.profiles))
    return table(heads, rows)


def lines(figures: Figures) -> str:
    """The functions and lines of this project with the most samples, for whoever wants to make them fewer."""
    parts = []
    for profile, _ in figures.profiles:
        for title, counts in (("function", profile.functions), ("line", profile.lines)):
            rows = [
                (where, f"{100 * count / max(1, profile.samples):.1f}")
                for where, count in counts.most_common(TOP_LINES)
            ]
            parts.append(table((f"{profile.role}: {title}", "% of user time"), rows))
    return "\n\n".join(parts)


def _plane(figures: Figures) -> str:
    cost = figures.plane
    if cost is None:
        return ""
    rows = [
        ("a report, at the node", f"{cost.report_send.each_us:.1f} per replica"),
        ("a report, at the control leader", f"{cost.report_take.each_us:.1f} per replica"),
        ("a round of the planner", f"{cost.round.fixed_us:.0f} + {cost.round.each_us:.1f} per partition"),
        ("a changed placement, to each watcher", f"{cost.change_send_us:.1f}"),
        ("a changed placement, at the watcher", f"{cost.change_take_us:.1f}"),
    ]
    return table(("control plane", "CPU µs"), rows)


def as_json(figures: Figures) -> dict[str, Any]:
    """Every run, and what it ran on."""
    return {
        "about": figures.about,
        "signs": figures.signs,
        "goals": [dict(zip(("name", "goal", "measured", "reached"), g, strict=True)) for g in goals(figures)],
        "throughput": [_result(each) for each in figures.throughput],
        "single": [_result(each) for each in figures.single],
        "probes": {
            "fsync_us": figures.fsync_us,
            "fsync_at_once_us": figures.fsync_at_once_us,
            "frame_us": figures.frame_us,
            "single_put_ratio": figures.single_put_ratio,
        },
        "idle_percent": figures.idle_percent,
        "failover": [dataclasses.asdict(each) for each in figures.failover],
        "scaling": [
            {
                "nodes": each.nodes,
                "partitions": each.partitions,
                "led": each.led,
                "idle_percent": each.idle_percent,
                "results": [_result(result) for result in each.results],
            }
            for each in figures.scaling
        ],
        "profiles": [
            {
                "process": profile.process,
                "role": profile.role,
                "samples": profile.samples,
                "us": profile.user_us(result),
                "functions": dict(profile.functions.most_common(4 * TOP_LINES)),
                "lines": dict(profile.lines.most_common(4 * TOP_LINES)),
            }
            for profile, result in figures.profiles
        ],
        "plane": dataclasses.asdict(figures.plane) if figures.plane is not None else None,
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "workload": dataclasses.asdict(result.workload),
        "roles": result.roles,
        "requests_per_s": result.rate,
        "cpu_us": result.total_us,
        "p50_us": result.latency_us("p50_us"),
        "p99_us": result.latency_us("p99_us"),
        "errors": result.errors,
        "runs": [
            {**vars(run.sample), "processes": {n: dataclasses.asdict(used) for n, used in run.cpu_us.items()}}
            for run in result.runs
        ],
    }


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in a terminal as well."""
    table = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(table[0]), line(rule), *(line(row) for row in table[1:])])
