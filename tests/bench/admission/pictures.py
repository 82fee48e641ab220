"""Pictures of admission over time (matplotlib, of the `bench` extra)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.admission.scenes import Accuracy, Series

BLUE, RED, GREY, GREEN, ORANGE = "#2b6cb0", "#c53030", "#a0aec0", "#2f855a", "#dd6b20"


def _figure(title: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.6), dpi=80)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("seconds")
    axes.set_ylabel("write units a second")
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Any, axes: Any, path: Path) -> None:
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(path)


def draw_series(series: Series, path: Path) -> None:
    """What was wanted, what was allowed, and what was admitted."""
    figure, axes = _figure(series.title)
    seconds = range(len(series.admitted))
    axes.step(seconds, series.wanted, color=GREY, linewidth=1, linestyle=":", where="post", label="wanted")
    limits = series.limits or [series.limit] * len(series.admitted)
    axes.step(seconds, limits, color=RED, linewidth=1.2, where="post", label="limit")
    axes.step(seconds, series.admitted, color=BLUE, linewidth=1.2, where="post", label="admitted")
    _save(figure, axes, path)


def draw_accuracy(accuracy: Accuracy, path: Path) -> None:
    """What each router admitted, one upon the other."""
    figure, axes = _figure(
        f"{accuracy.units} WCU, three routers with 70, 25 and 5 % of five times as much traffic"
    )
    seconds = range(accuracy.seconds)
    axes.stackplot(
        seconds,
        *accuracy.per_router.values(),
        labels=list(accuracy.per_router),
        colors=(BLUE, ORANGE, GREEN),
        alpha=0.8,
        step="post",
    )
    axes.axhline(accuracy.units, color=RED, linewidth=1.2, label="provisioned")
    axes.axvline(accuracy.rest_s, color=GREY, linewidth=1, linestyle=":")
    if accuracy.killed_s is not None:
        axes.axvline(accuracy.killed_s, color="black", linewidth=1, linestyle="--", label="vendor killed")
    _save(figure, axes, path)
