"""The figures of all runs as one picture (matplotlib, of the `bench` extra)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashrange_client.load.series import ALL
from hashrange_client.load.workloads import READ_MODIFY_WRITE

COLOURS = {"embedded": "#2563c9", "cluster": "#d9622b", "dax": "#12856a"}
TITLES = {
    "embedded": "embedded server, fsync",
    "cluster": "cluster, 3 zones, fsync",
    "dax": "embedded server through DAX",
}
INK, QUIET, RULE = "#1a1f29", "#667085", "#e4e7ec"
TOLD = {
    "a": "half reads,\nhalf updates",
    "b": "95 % reads,\n5 % updates",
    "c": "reads",
    "d": "reads of latest,\n5 % inserts",
    "e": "scans,\n5 % inserts",
    "f": "reads, read-\nmodify-writes",
}


def operations_per_s(run: dict[str, Any]) -> float:
    """Operations as YCSB counts them: a read-modify-write is one, not two."""
    both = run["operations"].get(READ_MODIFY_WRITE, {"requests": 0})["requests"]
    return float(run["requests"] - both) / float(run["seconds"])


def whole(run: dict[str, Any]) -> dict[str, Any]:
    """The latencies of all operations together."""
    operations: dict[str, dict[str, Any]] = run["operations"]
    return operations.get(ALL) or next(iter(operations.values()))


def draw(runs: dict[str, dict[str, dict[str, Any]]], path: Path, note: str) -> None:
    """`runs` by place, then by workload (a to f)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    letters = sorted({letter for found in runs.values() for letter in found})
    figure, axes = pyplot.subplots(3, 1, figsize=(9.6, 8.4), dpi=90, sharex=True)
    panels = (
        ("operations a second", operations_per_s, False),
        ("latency: p50 (dot) and p99 (bar end), ms", None, True),
        ("processor time of all servers, µs a request", lambda run: run["server_cpu_us_per_request"], False),
    )
    width = 0.8 / max(len(runs), 1)
    for axis, (label, value, log) in zip(axes, panels, strict=True):
        for number, (place, found) in enumerate(runs.items()):
            offset = (number - (len(runs) - 1) / 2) * width
            at = [letters.index(letter) + offset for letter in found]
            colour = COLOURS.get(place, QUIET)
            if value is None:
                low = [whole(run)["p50_us"] / 1000 for run in found.values()]
                high = [whole(run)["p99_us"] / 1000 for run in found.values()]
                axis.vlines(at, low, high, colors=colour, linewidth=4, alpha=0.55)
                axis.plot(at, low, "o", color=colour, markersize=6)
                continue
            values = [value(run) or 0.0 for run in found.values()]
            bars = axis.bar(at, values, width * 0.9, color=colour, label=TITLES.get(place, place))
            axis.bar_label(bars, [f"{each:,.0f}" for each in values], fontsize=7, padding=2, color=INK)
        axis.set_title(label, fontsize=9.5, loc="left", color=INK)
        axis.yaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
        if log:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(lambda value, _place: f"{value:g}")
            axis.yaxis.set_minor_formatter(lambda _value, _place: "")
        axis.grid(axis="y", color=RULE, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8, colors=QUIET, length=0)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    axes[0].legend(
        fontsize=8,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(runs),
        borderaxespad=0.2,
    )
    axes[2].set_xticks(range(len(letters)), [f"{each.upper()}: {TOLD[each]}" for each in letters])
    figure.suptitle(f"YCSB core workloads, {note}", fontsize=11, color=INK, x=0.01, ha="left")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
