"""Charts as SVG text: lines over time, latencies over percentiles, bars, heat maps. Pure.

Colours are classes (`s0` … for series, `p0` … for percentiles, light to dark) that the page's style gives a
colour each for light and for dark surroundings. A line chart carries its points as `data-chart`, from which
the page's script shows values where the pointer is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 250
LEFT: Final = 62
RIGHT: Final = 14
TOP: Final = 12
BOTTOM: Final = 30
TICKS: Final = 5
HEAT_ROW: Final = 16
HEAT_LABEL: Final = 190

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line; `style` is the class that gives it its colour."""

    name: str
    style: str
    points: Sequence[Point]


def ticks(low: float, high: float, wanted: int = TICKS) -> list[float]:
    """Round numbers that cover low to high."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / wanted
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = floor(low / step)
    return [round(step * number, 10) for number in range(first, ceil(high / step - 1e-9) + 1)]


def number(value: float) -> str:
    """A short text of a number: 1,234 · 12.3k · 0.05."""
    size = abs(value)
    if size >= 1e9:
        return f"{value / 1e9:.3g}G"
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 10_000:
        return f"{value / 1e3:.3g}k"
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def line_chart(lines: Sequence[Line], unit: str, x_unit: str = "s", log: bool = False) -> str:
    """Lines over time. With `log` the vertical axis is logarithmic; a line without points is left out."""
    shown = [line for line in lines if line.points]
    if not shown:
        return '<p class="none">nothing was measured</p>'
    xs = [x for line in shown for x, _ in line.points]
    ys = [y for line in shown for _, y in line.points if not log or y > 0]
    place_x, x_marks = _linear(min(0.0, *xs), max(*xs, 1e-9), LEFT, WIDTH - RIGHT)
    place_y, y_marks = _vertical(ys, log)
    body = [_grid(x_marks, y_marks, x_unit)]
    for line in shown:
        path = " ".join(
            f"{'M' if first else 'L'}{place_x(x):.1f},{place_y(y):.1f}"
            for first, (x, y) in zip([True, *[False] * len(line.points)], line.points, strict=False)
        )
        body.append(f'<path class="line {line.style}" d="{path}"/>')
        if len(line.points) == 1:
            x, y = line.points[0]
            body.append(
                f'<circle class="dot {line.style}" cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="3"/>'
            )
    return _legend(shown) + _svg(body, HEIGHT, _hover(shown, place_x, unit, x_unit))


def percentile_chart(curves: Sequence[Line], unit: str) -> str:
    """Latencies over percentiles: the axis has as much room for 99 to 99.9 as for 90 to 99. Points are
    (percentile, y).
    """
    shown = [line for line in curves if line.points]
    if not shown:
        return '<p class="none">nothing was measured</p>'
    nines = [0, 90, 99, 99.9, 99.99, 99.999]
    last = -log10(1 - 99.999 / 100)

    def place(percentile: float) -> float:
        return min(last, -log10(max(1e-5, 1 - percentile / 100)))

    lines = [
        Line(each.name, each.style, [(place(x), max(y, 1e-6)) for x, y in each.points]) for each in shown
    ]
    place_x, _ = _linear(0, last, LEFT, WIDTH - RIGHT)
    place_y, y_marks = _vertical([y for line in lines for _, y in line.points], log=True)
    x_marks = [(place_x(place(each)), f"{each:g} %") for each in nines]
    body = [_grid(x_marks, y_marks, "")]
    for line in lines:
        path = "M" + " L".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in line.points)
        body.append(f'<path class="line {line.style}" d="{path}"/>')
    labels = [f"{x:g} %" for x, _ in shown[0].points]
    hover = _hover(lines, place_x, unit, "", labels)
    return _legend(shown) + _svg(body, HEIGHT, hover)


def bars(rows: Sequence[tuple[str, float, str]], unit: str) -> str:
    """Horizontal bars: name, value, class of the colour."""
    if not rows:
        return '<p class="none">nothing was measured</p>'
    most = max(value for _, value, _ in rows) or 1.0
    body = []
    for place, (name, value, style) in enumerate(rows):
        y = 8 + place * 26
        width = max(1.0, (WIDTH - 190 - 110) * value / most)
        body.append(f'<text class="label" x="180" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect class="bar {style}" x="190" y="{y}" width="{width:.1f}" height="18" rx="2"/>')
        body.append(
            f'<text class="value" x="{196 + width:.1f}" y="{y + 13}">{number(value)} {escape(unit)}</text>'
        )
    return _svg(body, 16 + len(rows) * 26)


def heat_map(times_s: Sequence[float], rows: Sequence[tuple[str, Sequence[float]]], unit: str) -> str:
    """A row for each name, a cell for each time; the darker the more, relative to the greatest of all."""
    if not rows or not times_s:
        return '<p class="none">nothing was measured</p>'
    most = max(max(values, default=0.0) for _, values in rows) or 1.0
    span = WIDTH - HEAT_LABEL - RIGHT
    width = span / len(times_s)
    body = []
    for place, (name, values) in enumerate(rows):
        y = 4 + place * HEAT_ROW
        label = (
            f'<text class="label" x="{HEAT_LABEL - 8}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
        )
        body.append(label)
        for column, value in enumerate(values):
            tip = f"{name}, {times_s[column]:.0f} s: {number(value)} {unit}"
            body.append(
                f'<rect class="cell" x="{HEAT_LABEL + column * width:.1f}" y="{y}" width="{max(width - 1, 1):.1f}" '
                f'height="{HEAT_ROW - 1}" style="--heat:{value / most:.3f}"><title>{escape(tip)}</title></rect>'
            )
    bottom = 4 + len(rows) * HEAT_ROW
    for column in sorted({0, len(times_s) // 2, len(times_s) - 1}):
        x = HEAT_LABEL + (column + 0.5) * width
        body.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{times_s[column]:.0f} s</text>'
        )
    return _svg(body, bottom + 20)


Place = Callable[[float], float]
Marks = list[tuple[float, str]]


def _linear(low: float, high: float, start: float, end: float) -> tuple[Place, Marks]:
    marks = [mark for mark in ticks(low, high, 8) if low <= mark <= high * 1.0001]

    def place(value: float) -> float:
        return start + (value - low) / ((high - low) or 1.0) * (end - start)

    return place, [(place(mark), number(mark)) for mark in marks]


def _vertical(values: Sequence[float], log: bool) -> tuple[Place, Marks]:
    """Where values are, and round ones for the axis; from 0 up unless logarithmic."""
    floor_y, roof_y = HEIGHT - BOTTOM, TOP
    top = max(values, default=1.0) or 1.0
    if not log:
        marks = ticks(0.0, top)
        high = marks[-1] or 1.0
        return lambda value: floor_y - value / high * (floor_y - roof_y), [
            (floor_y - mark / high * (floor_y - roof_y), number(mark)) for mark in marks
        ]
    low = floor(log10(min(values, default=1.0)))
    high_log = max(ceil(log10(top)), low + 1)

    def place(value: float) -> float:
        return floor_y - (log10(max(value, 10.0**low)) - low) / (high_log - low) * (floor_y - roof_y)

    return place, [(place(10.0**power), number(10.0**power)) for power in range(low, high_log + 1)]


def _grid(x_marks: Marks, y_marks: Marks, x_unit: str) -> str:
    parts = []
    for y, text in y_marks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        )
    for x, text in x_marks:
        label = f"{text} {x_unit}".strip()
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(label)}</text>'
        )
    return "".join(parts)


def _legend(lines: Sequence[Line]) -> str:
    if len(lines) < 2:
        return ""
    keys = "".join(f'<span><i class="{line.style}"></i>{escape(line.name)}</span>' for line in lines)
    return f'<div class="legend">{keys}</div>'


def _hover(
    lines: Sequence[Line], place_x: Place, unit: str, x_unit: str, labels: Sequence[str] | None = None
) -> str:
    """The points for the page's script: places on the horizontal axis, their labels, and each line's values there."""
    xs = sorted({x for line in lines for x, _ in line.points})
    texts = (
        labels
        if labels is not None and len(labels) == len(xs)
        else [f"{number(x)} {x_unit}".strip() for x in xs]
    )
    values = []
    for line in lines:
        at = dict(line.points)
        values.append([line.name, line.style, [None if x not in at else number(at[x]) for x in xs]])
    document = {"x": [round(place_x(x), 1) for x in xs], "labels": list(texts), "unit": unit, "lines": values}
    return f" data-chart='{escape(json.dumps(document), quote=True)}'"


def _svg(body: Sequence[str], height: float, attributes: str = "") -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img"{attributes}>'
        + "".join(body)
        + '<line class="cross" y1="12" y2="'
        + f'{height - BOTTOM:.0f}"/></svg>'
    )
