"""Reads expressions of Prometheus as far as tests need it: which metrics, with which labels in matchers and groupings.

No grammar: promtool and Prometheus check that. Strings are recognised, so that braces and names within them are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s+|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<range>\[[^\]]*\])"""
    r"""|(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?[a-z]*)|(?P<mark>[=!]~|[!=<>]=?|.)"""
)
_GROUPING = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
_WORDS = frozenset(("and", "or", "unless", "offset", "bool", "inf", "nan"))


@dataclass
class Reading:
    """What an expression names. `matched` are pairs of metric and label, `by` the labels of its `by (...)`."""

    metrics: set[str] = field(default_factory=set)
    matched: set[tuple[str, str]] = field(default_factory=set)
    grouped: set[str] = field(default_factory=set)
    by: set[str] = field(default_factory=set)
    outermost: set[str] | None = None
    """Labels of the first `by`; None without any."""


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(expression):
        if match.lastgroup is not None:
            yield match.lastgroup, match.group()


def _until(tokens: list[tuple[str, str]], start: int, end: str) -> list[tuple[str, str]]:
    stop = tokens.index(("mark", end), start)
    return tokens[start:stop]


def read(expression: str) -> Reading:
    """Metrics, matchers and groupings of an expression."""
    tokens, found, position = list(_tokens(expression)), Reading(), 0
    while position < len(tokens):
        kind, text = tokens[position]
        following = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        position += 1
        if kind != "name" or text.lower() in _WORDS:
            continue
        if text in _GROUPING:
            if following == "(":
                inside = _until(tokens, position + 1, ")")
                labels = {name for each, name in inside if each == "name"}
                position += len(inside) + 2
                found.grouped |= labels
                if text == "by":
                    found.by |= labels
                    found.outermost = labels if found.outermost is None else found.outermost
            continue
        if following == "(" or following in _GROUPING:
            continue  # a function, an aggregation
        found.metrics.add(text)
        if following == "{":
            inside = _until(tokens, position + 1, "}")
            position += len(inside) + 2
            found.matched |= {(text, name) for each, name in inside if each == "name"}
    return found
