"""Showing a counterexample to people: a table of its operations with their times drawn as bars."""

from __future__ import annotations

import math

from tests.cluster.histories.history import UNKNOWN, Operation
from tests.cluster.histories.linear import Violation

BAR_WIDTH = 48
MAX_ROWS = 24


def draw(violation: Violation) -> str:
    """Several lines: what is wrong, then the operations by the time they were sent."""
    operations = sorted(violation.operations, key=lambda each: each.start)
    stuck = violation.verdict.stuck
    lines = [f"key {violation.key}: no order of these operations gives these answers"]
    if stuck is None:
        lines = [f"key {violation.key}: the search was given up; {len(operations)} operations"]
    if violation.initial is not None:
        lines.append(f"  before them the register held {violation.initial}")
    shown = operations[-MAX_ROWS:]
    if len(shown) < len(operations):
        lines.append(f"  ({len(operations) - len(shown)} earlier operations left out)")
    if not shown:
        return lines[0]
    first = shown[0].start
    known = [each.end for each in shown if each.end < math.inf]
    last = max([*known, *(each.start for each in shown)])
    span = max(last - first, 1e-9)
    width = max(len(each.text()) for each in shown)
    lines.append(f"  {'client':>6}  {'sent ms':>9}  {'answer ms':>9}  operation")
    for each in shown:
        mark = ">" if each is stuck else " "
        end = "" if each.outcome == UNKNOWN else f"{(each.end - first) * 1000:.1f}"
        lines.append(
            f"{mark} {each.process:>6}  {(each.start - first) * 1000:>9.1f}  {end:>9}  "
            f"{each.text():<{width}}  {_bar(each, first, span)}"
        )
    if stuck is not None:
        values = ", ".join(str(value) for value in violation.verdict.values[:8])
        lines.append(
            f"  for the answers up to the one marked > the register had to hold {values} just before it"
        )
    return "\n".join(lines)


def _bar(operation: Operation, first: float, span: float) -> str:
    start = round((operation.start - first) / span * (BAR_WIDTH - 1))
    if operation.end == math.inf:
        return " " * start + "[" + "." * (BAR_WIDTH - start)
    end = round((operation.end - first) / span * (BAR_WIDTH - 1))
    return " " * start + ("|" if end <= start else "[" + "=" * (end - start - 1) + "]")
