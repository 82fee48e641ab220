"""What updates make of items, and what they refuse when they meet one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hashrange.errors import ApiError
from hashrange.expr import BoundUpdate, ExpressionError, compile_update, touched_attributes

KEY: dict[str, Any] = {"pk": {"S": "k"}}
ITEM: dict[str, Any] = {
    "pk": {"S": "k"},
    "n": {"N": "5"},
    "s": {"S": "text"},
    "tags": {"SS": ["b", "d"]},
    "nums": {"NS": ["-1", "2"]},
    "bins": {"BS": ["AQ==", "Aw=="]},
    "l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}, {"N": "3"}]},
    "m": {"M": {"x": {"N": "1"}, "deep": {"M": {"lines2": {"L": [{"M": {"y": {"S": "z"}}}]}}}}},
}


def run(text: str, values: Any = None, item: Any = ITEM, names: Any = None) -> Any:
    """The new item, without what stayed the same object in it; checks that the old one is left alone."""
    before = copy.deepcopy(item)
    result = compile_update(text, names, values).apply(item, KEY)
    assert item == before
    return result.new_item


def changed(text: str, values: Any = None, item: Any = ITEM, names: Any = None) -> dict[str, Any]:
    """Attributes that are new or different, None for those that went away."""
    new = run(text, values, item, names)
    return {
        name: new.get(name)
        for name in [*item, *(name for name in new if name not in item)]
        if new.get(name) != item.get(name)
    }


def refusal(text: str, values: Any = None, item: Any = ITEM, names: Any = None) -> str:
    with pytest.raises(ApiError) as caught:
        run(text, values, item, names)
    assert not isinstance(caught.value, ExpressionError)
    assert caught.value.type_name == "ValidationException"
    return str(caught.value.message)


MISSING = "The provided expression refers to an attribute that does not exist in the item"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"
INVALID_PATH = "The document path provided in the update expression is invalid for update"


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("SET a = :v", {":v": {"M": {}}}, {"a": {"M": {}}}),
        ("SET n = :v, a = n", {":v": {"N": "9"}}, {"n": {"N": "9"}, "a": {"N": "5"}}),
        ("SET a = pk", None, {"a": {"S": "k"}}),
        ("SET n = n + :v", {":v": {"N": "0.5"}}, {"n": {"N": "5.5"}}),
        ("SET n = :v - n", {":v": {"N": "1"}}, {"n": {"N": "-4"}}),
        ("SET a = (n + n)", None, {"a": {"N": "10"}}),
        ("SET a = m.x + l[3]", None, {"a": {"N": "4"}}),
        ("SET a = if_not_exists(n, :v) + :v", {":v": {"N": "2"}}, {"a": {"N": "7"}}),
        ("SET a = if_not_exists(q, :v)", {":v": {"N": "2"}}, {"a": {"N": "2"}}),
        ("SET a = if_not_exists(q.r, if_not_exists(n, :v))", {":v": {"N": "2"}}, {"a": {"N": "5"}}),
        ("SET a = list_append(:v, l)", {":v": {"L": []}}, {"a": ITEM["l"]}),
        (
            "SET a = list_append(if_not_exists(q, :v), :v)",
            {":v": {"L": [{"N": "1"}]}},
            {"a": {"L": [{"N": "1"}, {"N": "1"}]}},
        ),
        ("REMOVE n, q", None, {"n": None}),
        ("SET a = n REMOVE n", None, {"a": {"N": "5"}, "n": None}),
        ("ADD n :v, a :v", {":v": {"N": "-5"}}, {"n": {"N": "0"}, "a": {"N": "-5"}}),
        ("ADD tags :v", {":v": {"SS": ["c", "a", "b"]}}, {"tags": {"SS": ["a", "b", "c", "d"]}}),
        ("ADD nums :v", {":v": {"NS": ["-10", "1.5"]}}, {"nums": {"NS": ["-10", "-1", "1.5", "2"]}}),
        ("ADD bins :v", {":v": {"BS": ["/w==", "AA=="]}}, {"bins": {"BS": ["AA==", "AQ==", "Aw==", "/w=="]}}),
        ("ADD bins :v", {":v": {"BS": ["Ag==", "AA=="]}}, {"bins": {"BS": ["AA==", "AQ==", "Ag==", "Aw=="]}}),
        ("ADD a :v", {":v": {"SS": ["x"]}}, {"a": {"SS": ["x"]}}),
        ("ADD tags :v", {":v": {"SS": ["d"]}}, {}),
        ("DELETE tags :v", {":v": {"SS": ["b", "z"]}}, {"tags": {"SS": ["d"]}}),
        ("DELETE tags :v", {":v": {"SS": ["b", "d"]}}, {"tags": None}),
        ("DELETE nums :v", {":v": {"NS": ["2.0"]}}, {"nums": {"NS": ["-1"]}}),
        ("DELETE q :v", {":v": {"SS": ["b"]}}, {}),
    ],
)
def test_top_level(text: str, values: Any, expected: dict[str, Any]) -> None:
    assert changed(text, values) == expected


def test_nested_targets_copy_only_the_way_to_them() -> None:
    new = run("SET m.deep.lines2[0].y = :v, m.fresh = :v", {":v": {"N": "1"}})
    assert new["m"] == {
        "M": {
            "x": {"N": "1"},
            "deep": {"M": {"lines2": {"L": [{"M": {"y": {"N": "1"}}}]}}},
            "fresh": {"N": "1"},
        }
    }
    assert new["m"]["M"]["x"] is ITEM["m"]["M"]["x"]
    assert new["l"] is ITEM["l"]


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("SET l[1] = :v", {":v": {"S": "a"}}, ["0", "a", "2", "3"]),
        ("SET l[99] = :v", {":v": {"S": "a"}}, ["0", "1", "2", "3", "a"]),
        (
            "SET l[84] = :a, l[37] = :b, l[17] = :c",
            {":a": {"S": "a"}, ":b": {"S": "b"}, ":c": {"S": "c"}},
            ["0", "1", "2", "3", "c", "b", "a"],
        ),
        ("REMOVE l[1]", None, ["0", "2", "3"]),
        ("REMOVE l[0], l[2], l[9]", None, ["1", "3"]),
        ("REMOVE l[1] SET l[3] = :v", {":v": {"S": "a"}}, ["0", "2", "a"]),
        ("REMOVE l[1] SET l[4] = :v, l[0] = l[1]", {":v": {"S": "a"}}, ["1", "2", "3", "a"]),
        ("REMOVE l[0], l[1], l[2], l[3]", None, []),
        ("ADD l[2] :v", {":v": {"N": "10"}}, ["0", "1", "12", "3"]),
        ("ADD l[7] :v", {":v": {"N": "10"}}, ["0", "1", "2", "3", "10"]),
    ],
)
def test_list_positions_are_those_before_the_update(text: str, values: Any, expected: list[str]) -> None:
    elements = run(text, values)["l"]["L"]
    assert [next(iter(element.values())) for element in elements] == expected


def test_containers_may_become_empty_but_sets_may_not() -> None:
    item = {"pk": {"S": "k"}, "m": {"M": {"b": {"N": "1"}}}, "l": {"L": [{"SS": ["a"]}, {"N": "1"}]}}
    assert changed("REMOVE m.b", None, item) == {"m": {"M": {}}}
    assert changed("DELETE l[0] :v", {":v": {"SS": ["a"]}}, item) == {"l": {"L": [{"N": "1"}]}}


@pytest.mark.parametrize(
    "text",
    ["REMOVE q", "REMOVE m.q", "REMOVE l[17]", "DELETE tags :v", "DELETE m.q :v", "DELETE q :v"],
)
def test_an_update_that_changes_nothing_gives_the_same_item(text: str) -> None:
    values = {":v": {"SS": ["nothing"]}} if ":v" in text else None
    assert run(text, values) is ITEM


@pytest.mark.parametrize("text", ["SET a = q", "SET a = q + n", "SET a = m.q", "SET a = l[9]", "SET q = q"])
def test_missing_sources(text: str) -> None:
    assert refusal(text) == MISSING


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SET a = s + :v", {"N": "1"}),
        ("SET a = list_append(n, :v)", {"L": []}),
        ("SET a = list_append(n, if_not_exists(q, :v))", {"L": []}),
        ("ADD s :v", {"N": "1"}),
        ("ADD tags :v", {"N": "1"}),
        ("ADD tags :v", {"NS": ["1"]}),
        ("ADD m :v", {"SS": ["1"]}),
        ("ADD l :v", {"N": "1"}),
        ("DELETE tags :v", {"NS": ["1"]}),
        ("DELETE n :v", {"NS": ["1"]}),
        ("DELETE m.x :v", {"BS": ["AQ=="]}),
    ],
)
def test_wrong_types_in_the_item(text: str, value: Any) -> None:
    assert refusal(text, {":v": value}) == WRONG_TYPE


@pytest.mark.parametrize(
    "text",
    [
        "SET s.a = :v",
        "SET s[1] = :v",
        "SET q.a = :v",
        "SET q[0] = :v",
        "SET m[1] = :v",
        "SET l.a = :v",
        "SET m.q.r = :v",
        "SET l[9].a = :v",
        "REMOVE s.a SET a = :v",
        "REMOVE q.a SET a = :v",
        "REMOVE m[1] SET a = :v",
        "DELETE l.a :v",
        "ADD q[1] :v",
    ],
)
def test_paths_whose_parent_is_no_map_or_list(text: str) -> None:
    assert refusal(text, {":v": {"SS": ["a"]}}) == INVALID_PATH


def test_numbers_stay_exact_or_are_refused() -> None:
    item = {"n": {"N": "1" + "0" * 50}}
    assert refusal("ADD n :v", {":v": {"N": "1"}}, item) == (
        "Attempting to store more than 38 significant digits in a Number"
    )
    item = {"n": {"N": "9" * 38 + "0" * 88}}
    assert refusal("SET n = n + n", None, item).startswith("Number overflow.")


def test_nesting_limit_after_the_update() -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {"N": "1"}
        for _ in range(levels):
            value = {"M": {"a": value}}
        return value

    item = {"m": {"M": {"x": {"M": {}}}}}
    run("SET m.x.y = :v", {":v": nested(29)}, item)
    assert refusal("SET m.x.y = :v", {":v": nested(30)}, item).startswith(
        "Nesting Levels have exceeded supported limits"
    )
    run("SET m = :v", {":v": nested(31)}, item)
    assert "levels beyond supported limit" in refusal("SET m.x.y = :v", {":v": {"L": [nested(29)]}}, item)
    run("SET m.x.y = :v", {":v": {"L": [nested(28), {"N": "1"}]}}, item)


def test_items_that_do_not_exist() -> None:
    assert run("SET a = :v", {":v": {"N": "1"}}, None) == {"pk": {"S": "k"}, "a": {"N": "1"}}
    assert run("ADD a :v", {":v": {"N": "1"}}, None) == {"pk": {"S": "k"}, "a": {"N": "1"}}
    assert run("SET a = pk", None, None) == {"pk": {"S": "k"}, "a": {"S": "k"}}
    assert run("SET a = :v REMOVE b", {":v": {"N": "1"}}, None) == {"pk": {"S": "k"}, "a": {"N": "1"}}
    for text in ("REMOVE a", "REMOVE a.b, c[0]"):
        assert run(text, None, None) is None
    assert run("DELETE a :v", {":v": {"SS": ["x"]}}, None) is None
    assert refusal("SET a.b = :v", {":v": {"N": "1"}}, None) == INVALID_PATH
    assert refusal("REMOVE a.b SET c = :v", {":v": {"N": "1"}}, None) == INVALID_PATH
    assert refusal("SET a = b", None, None) == MISSING


@pytest.mark.parametrize("text", ["SET pk = n", "SET pk.a = n", "REMOVE n, pk", "SET a = n REMOVE pk[0]"])
def test_key_attributes_cannot_be_updated(text: str) -> None:
    message = (
        "One or more parameter values were invalid: "
        "Cannot update attribute pk. This attribute is part of the key"
    )
    assert refusal(text) == message
    assert refusal(text, None, None) == message
    with pytest.raises(ApiError) as caught:
        compile_update(text).check_keys(["other", "pk"])
    assert caught.value.message == message
    compile_update(text).check_keys(["other"])


def test_touched_paths() -> None:
    update = compile_update("SET m.x = :v, l[1] = :v REMOVE s ADD n :v", None, {":v": {"N": "1"}})
    result = update.apply(ITEM, KEY)
    assert result.touched == update.paths == (("m", "x"), ("l", 1), ("s",), ("n",))
    assert touched_attributes(ITEM, result.touched) == {
        "m": {"M": {"x": {"N": "1"}}},
        "l": {"L": [{"N": "1"}]},
        "s": {"S": "text"},
        "n": {"N": "5"},
    }
    assert touched_attributes(result.new_item, result.touched)["n"] == {"N": "6"}
    assert "s" not in touched_attributes(result.new_item, result.touched)


def test_assigned_values() -> None:
    update = compile_update(
        "SET a = :v, b = n + :n, c = s, d.e = :v ADD f :n REMOVE g",
        None,
        {":v": {"S": "x"}, ":n": {"N": "2"}},
    )
    assert update.assigned_values() == [("a", {"S": "x"}), ("b", {"N": "0"}), ("f", {"N": "2"})]


def test_updates_travel() -> None:
    update = compile_update(
        "SET m.x = if_not_exists(q, :v) REMOVE l[0] ADD n :n DELETE tags :t",
        None,
        {":v": {"L": [{"SS": ["a"]}]}, ":n": {"N": "1"}, ":t": {"SS": ["b"]}},
    )
    copied = BoundUpdate.from_portable(update.to_portable())
    assert copied.apply(ITEM, KEY).new_item == update.apply(ITEM, KEY).new_item
    assert copied.paths == update.paths
