"""Counts of a group: what is told of them after a split has divided them by estimate."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hashrange_node.replica.group import Group
from hashrange_node.replica.place import Place


def test_counts_below_nothing_are_told_as_nothing() -> None:
    driver: Any = SimpleNamespace()
    group = Group(Place(7, 7, 0, 1), driver, 1)
    group.counts = {0: [0, 16], 1: [2, 50]}
    group.count_all([(0, -1, -25), (1, -1, -25)])
    assert group.count(0) == (0, 0)
    assert group.count(1) == (1, 25)
    assert group.count(2) == (0, 0)
    group.count_all([(0, 3, 80)])
    assert group.count(0) == (2, 71), "what was told too little is not added to what comes"
