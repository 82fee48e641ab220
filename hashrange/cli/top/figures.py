"""Figures as `hashrange top` prints them: short, aligned, and with a unit where one is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING = "·"
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def rate(per_s: float | None) -> str:
    """A number per second: `12,345`, `87`, `3.4`, and a dot for nothing."""
    if not per_s:
        return NOTHING
    if per_s < 0.05:
        return "<0.1"
    return f"{per_s:,.1f}" if per_s < 9.95 else f"{per_s:,.0f}"


def rate_or_zero(per_s: float) -> str:
    """The same, with a plain zero: for figures that stand in a sentence."""
    return rate(per_s) if per_s else "0"


def seconds(value: float | None) -> str:
    """A latency: `85 µs`, `1.2 ms`, `340 ms`, `2.1 s`."""
    if value is None:
        return NOTHING
    if value < 0.000_995:
        return f"{value * 1e6:.0f} µs"
    if value < 0.995:
        milliseconds = value * 1e3
        return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"
    return f"{value:.1f} s"


def size(size_bytes: float | None) -> str:
    """A size: `840 B`, `12 kB`, `3.4 GB`."""
    if not size_bytes:
        return NOTHING
    value = float(size_bytes)
    for unit in _SIZES:
        if value < 999.5 or unit == _SIZES[-1]:
            return f"{value:.1f} {unit}" if value < 9.95 and unit != "B" else f"{value:.0f} {unit}"
        value /= 1000
    return ""


def count(number: int | None) -> str:
    """A number of things: `950`, `12.3 k`, `4.1 M`."""
    if not number:
        return NOTHING
    if number < 10_000:
        return f"{number:,}"
    value = float(number)
    for unit in ("", "k", "M", "G"):
        if value < 999.5 or unit == "G":
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
        value /= 1000
    return ""


def units(consumed: float, provisioned: float) -> str:
    """Capacity units a second: `37/50` of what is provisioned, or what is consumed on demand."""
    return f"{rate_or_zero(consumed)}/{provisioned:,.0f}" if provisioned else rate(consumed)


def share(value: float) -> str:
    """A share in per cent."""
    return f"{value:.0%}"


def duration(value_s: float) -> str:
    """How long something runs: `42 s`, `3 min`, `5 h 20 min`, `12 d 4 h`."""
    whole = int(value_s)
    if whole < 120:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if minutes < 120:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def bar(value: float, width: int) -> str:
    """A bar for a share, `width` cells when it is full."""
    eighths = round(max(0.0, min(1.0, value)) * width * 8)
    whole, part = divmod(eighths, 8)
    return "█" * whole + (" ▏▎▍▌▋▊▉"[part] if part else "")


def sparkline(values: Sequence[float]) -> str:
    """One block a value, the highest for the largest one."""
    top = max(values, default=0.0)
    if top <= 0:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[min(7, int(value / top * 7.999))] for value in values)


def key(value: dict[str, Any]) -> str:
    """A key as DynamoDB JSON on one line; control characters come escaped."""
    return orjson.dumps(value).decode()


def hash_range(bounds: Sequence[int]) -> str:
    """Which hashes a partition has: `all`, or the first digits of its bounds."""
    low, high = bounds
    if low == 0 and high == 2**64 - 1:
        return "all"
    return f"{low >> 48:04x}-{high >> 48:04x}"
