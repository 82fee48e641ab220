"""What projections take out of items."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.errors import ApiError
from hashrange.expr import Projection, attributes_to_get, compile_projection, touched_attributes

ITEM: dict[str, Any] = {
    "pk": {"S": "k"},
    "a": {"M": {"b": {"S": "bb"}, "c": {"M": {"d": {"N": "1"}, "e": {"N": "2"}}}}},
    "l": {"L": [{"S": "l0"}, {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}, {"S": "l2"}, {"L": [{"N": "9"}]}]},
    "x.y": {"S": "dot"},
    "s": {"SS": ["p"]},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pk", {"pk": {"S": "k"}}),
        ("pk, gone, s", {"pk": {"S": "k"}, "s": {"SS": ["p"]}}),
        ("gone", {}),
        ("a.b", {"a": {"M": {"b": {"S": "bb"}}}}),
        ("a.c.d, a.b", {"a": {"M": {"c": {"M": {"d": {"N": "1"}}}, "b": {"S": "bb"}}}}),
        ("a.nothing", {}),
        ("a.b.c", {}),
        ("a[0]", {}),
        ("l.x", {}),
        ("l[2], l[0]", {"l": {"L": [{"S": "l0"}, {"S": "l2"}]}}),
        ("l[1].y, l[1].x", {"l": {"L": [{"M": {"x": {"N": "1"}, "y": {"N": "2"}}}]}}),
        ("l[1].x, l[9], l[0].x", {"l": {"L": [{"M": {"x": {"N": "1"}}}]}}),
        ("l[3][0]", {"l": {"L": [{"L": [{"N": "9"}]}]}}),
        ("l[7]", {}),
        ("#d", {"x.y": {"S": "dot"}}),
        ("s.p", {}),
    ],
)
def test_projections(text: str, expected: dict[str, Any]) -> None:
    names = {"#d": "x.y"} if "#" in text else None
    assert compile_projection(text, names).apply(ITEM) == expected


def test_the_item_is_left_alone() -> None:
    before = repr(ITEM)
    compile_projection("a.c.d, l[1].x, l[0]").apply(ITEM)
    assert repr(ITEM) == before


def test_heads() -> None:
    projection = compile_projection("a.b, pk, l[0], l[1]")
    assert projection.heads == ("a", "pk", "l")
    assert projection.nested_heads == ("a", "l")


def test_projections_travel_and_are_shared() -> None:
    projection = compile_projection("a.b, l[1].x")
    kind, paths = projection.to_portable()
    as_lists = [kind, [list(path) for path in paths]]
    assert Projection.from_portable(as_lists).apply(ITEM) == projection.apply(ITEM)
    assert Projection.from_portable((kind, paths)) is Projection.of(projection.paths)


def test_attributes_to_get() -> None:
    assert attributes_to_get(["pk", "x.y"]).apply(ITEM) == {"pk": {"S": "k"}, "x.y": {"S": "dot"}}
    with pytest.raises(ApiError) as caught:
        attributes_to_get(["a", "b", "a"])
    assert caught.value.message == (
        "One or more parameter values were invalid: Duplicate value in attribute name: a"
    )


def test_touched_attributes_looks_paths_up_as_written() -> None:
    assert touched_attributes(ITEM, (("a", "b"), ("pk",))) == {
        "a": {"M": {"b": {"S": "bb"}}},
        "pk": {"S": "k"},
    }
    assert touched_attributes(ITEM, (("l", 100),)) == {}
    assert touched_attributes(ITEM, ()) == {}


def test_long_projections_are_not_kept() -> None:
    """They are bounded by their number, and names by 64 KB."""
    short, long = [("a", "b")], [("a", "b" * 5000)]
    assert Projection.of(short) is Projection.of(short)
    assert Projection.of(long) is not Projection.of(long)
    assert Projection.of(long).paths == tuple(long)
