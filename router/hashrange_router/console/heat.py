"""Where in the space of hashes requests go: what a heat map is drawn from. Pure.

A column is one moment of one table (or global index): the hash space in `BINS` equal parts, each with its requests a
second. A partition's requests are spread evenly over its range, except for those for its hot keys, which all fall on
the one place where the key's hash is. So a hot key stands out of its partition, wherever a split would cut it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

BINS = 64
SPACE = 1 << 64
RESOURCES_MAX = 50
"""Tables and indexes of which columns are kept at each moment: those with most requests."""

Resource = tuple[str, str]
"""A table and the name of one of its global indexes, or ""."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A hot key: where its hash is, and its requests a second."""

    partition: int
    position: int
    requests: float


def spread(cells: list[float], low: int, high: int, load: float) -> None:
    """Add a load evenly to the cells that a range of hashes lies in; both ends belong to it."""
    span = high - low + 1
    if load <= 0 or span <= 0:
        return
    count = len(cells)
    first, last = low * count // SPACE, high * count // SPACE
    if first == last:
        cells[first] += load
        return
    for cell in range(first, last + 1):
        begin, end = max(low, cell * SPACE // count), min(high + 1, (cell + 1) * SPACE // count)
        cells[cell] += load * (end - begin) / span


def column(partitions: Iterable[dict[str, Any]], spots: Iterable[Spot]) -> list[float]:
    """One moment of one table: requests a second by part of the hash space.

    `partitions` are rows of a view (`hashrange.cli.top.model.PartitionRow` as a document).
    """
    cells = [0.0] * BINS
    loads: dict[int, float] = {row["id"]: row["reads"] + row["writes"] for row in partitions}
    rest = dict(loads)
    for spot in spots:
        if spot.partition not in rest:
            continue
        taken = min(spot.requests, rest[spot.partition])
        rest[spot.partition] -= taken
        cells[spot.position * BINS // SPACE] += taken
    for row in partitions:
        low, high = row["hash_range"]
        spread(cells, low, high, rest[row["id"]])
    return cells


def columns(view: dict[str, Any]) -> dict[Resource, list[float]]:
    """One moment of all tables and indexes with requests, hottest first, at most `RESOURCES_MAX`.

    Keys of the view have a `position` where it is known.
    """
    rows: dict[Resource, list[dict[str, Any]]] = {}
    spots: dict[Resource, list[Spot]] = {}
    loads: dict[Resource, float] = {}
    for row in view["partitions"]:
        resource = (row["table"], row["index"] or "")
        rows.setdefault(resource, []).append(row)
        loads[resource] = loads.get(resource, 0.0) + row["reads"] + row["writes"]
    for key in view["keys"]:
        if key.get("position") is not None:
            spot = Spot(key["partition"], key["position"], key["requests"])
            spots.setdefault((key["table"], key["index"] or ""), []).append(spot)
    hottest = sorted((each for each in loads if loads[each] > 0), key=lambda each: -loads[each])
    return {each: column(rows[each], spots.get(each, ())) for each in hottest[:RESOURCES_MAX]}
