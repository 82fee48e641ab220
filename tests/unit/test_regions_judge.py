"""The judge of the campaign of regions, on histories that are wrong in one way each."""

from __future__ import annotations

import pytest

from tests.cluster.regions.judge import Made, judge
from tests.cluster.regions.load import Told
from tests.cluster.regions.stored import Version

Stored = dict[bytes, Version]


def key(name: str) -> bytes:
    return b"\1" * 8 + name.encode()


def item(value: str, stamp: int, region: int = 1) -> Version:
    return Version(stamp, region, b'{"v":{"S":"%s"}}' % value.encode())


def grave(stamp: int, region: int = 1) -> Version:
    return Version(stamp, region, None)


def told() -> Told:
    """Two writes of h1, a fresh item, one that was deleted, one that has expired."""
    acknowledged = {"v1": "h1", "v2": "h1", "v3": "f3", "v4": "g4", "d5": "g4", "v6": "t6"}
    return Told(acknowledged, {"v9": "h1"}, {"v1": "v2", "v4": "d5"}, {"g4"})


def stored() -> Stored:
    return {
        key("h1"): item("v2", 20, 2),
        key("f3"): item("v3", 5),
        key("g4"): grave(40),
        key("t6"): grave(61),
    }


MADE: list[Made] = [
    ("T", key("h1"), 10, 1, "v1"),
    ("T", key("h1"), 20, 2, "v2"),
    ("T", key("f3"), 5, 1, "v3"),
    ("T", key("g4"), 39, 1, "v4"),
    ("T", key("g4"), 40, 1, None),
]


def judged(changes: Stored, both: bool = True) -> str:
    found = {**stored(), **changes}
    return "\n".join(judge(told(), {"a": found, "b": found if both else stored()}, MADE))


def test_what_is_right_is_right() -> None:
    assert judged({}) == ""


def test_a_write_of_unknown_outcome_may_have_won() -> None:
    assert judged({key("h1"): item("v9", 30)}) == ""


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({key("h1"): item("v1", 10)}, "h1 has v1, which v2 had replaced"),
        ({key("h1"): item("v1", 10)}, "v2 at (20, 2) was acknowledged"),
        ({key("h1"): item("v2", 20, 1)}, "v2 at (20, 2) was acknowledged"),
        ({key("h1"): item("v7", 30)}, "h1 has v7, which nobody wrote"),
        ({key("h1"): item("v1", 20, 2)}, "h1 has v1 under the version of v2"),
        ({key("f3"): grave(50)}, "f3 was acknowledged and is deleted"),
        ({key("g4"): item("v4", 39)}, "g4 was deleted and is back as v4"),
        ({key("t6"): item("v6", 60)}, "t6 has expired and is there"),
    ],
)
def test_what_is_wrong_is_found(changes: Stored, complaint: str) -> None:
    assert complaint in judged(changes)


def test_regions_that_differ_are_found() -> None:
    assert "h1 differs (a: v2 at 20/1, b: v2 at 20/2)" in judged({key("h1"): item("v2", 20, 1)}, both=False)
    assert "g9 differs (a: deleted at 1/1, b: nothing)" in judged({key("g9"): grave(1)}, both=False)
