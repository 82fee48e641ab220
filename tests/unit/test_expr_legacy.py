"""The legacy conditional parameters: what they mean and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.errors import ApiError
from hashrange.expr import (
    Bound,
    legacy_expected,
    legacy_filter,
    legacy_key_conditions,
    legacy_update,
    resolve_key_condition,
)
from hashrange.model.key import KeyPart

INVALID = "One or more parameter values were invalid: "
ITEM: dict[str, Any] = {
    "s": {"S": "hello"},
    "n": {"N": "5"},
    "b": {"B": "aGkgdGhlcmU="},
    "nu": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["2", "4"]},
    "l": {"L": [{"N": "2"}, {"S": "x"}]},
    "t": {"BOOL": True},
}


def message(function: Any, *arguments: Any) -> str:
    with pytest.raises(ApiError) as caught:
        function(*arguments)
    assert caught.value.type_name == "ValidationException"
    return str(caught.value.message)


def holds(attribute: str, operator: str, *arguments: Any) -> bool:
    condition = {"ComparisonOperator": operator, "AttributeValueList": [dict(value) for value in arguments]}
    bound = legacy_filter({attribute: condition})
    assert isinstance(bound, Bound)
    return bound.matches(ITEM)


@pytest.mark.parametrize(
    ("attribute", "operator", "arguments", "expected"),
    [
        ("n", "EQ", [{"N": "5.0"}], True),
        ("n", "EQ", [{"S": "5"}], False),
        ("t", "EQ", [{"BOOL": True}], True),
        ("ss", "EQ", [{"SS": ["b", "a"]}], True),
        ("gone", "EQ", [{"N": "5"}], False),
        ("n", "NE", [{"S": "5"}], True),
        ("n", "NE", [{"N": "5"}], False),
        ("gone", "NE", [{"N": "5"}], True),
        ("n", "LE", [{"N": "5"}], True),
        ("n", "LT", [{"N": "5"}], False),
        ("n", "GE", [{"S": "1"}], False),
        ("s", "GT", [{"S": "hell"}], True),
        ("nu", "NOT_NULL", [], True),
        ("nu", "NULL", [], False),
        ("gone", "NULL", [], True),
        ("gone", "NOT_NULL", [], False),
        ("s", "CONTAINS", [{"S": "ell"}], True),
        ("b", "CONTAINS", [{"B": "aGVyZQ=="}], True),
        ("ss", "CONTAINS", [{"S": "a"}], True),
        ("ns", "CONTAINS", [{"N": "4.0"}], True),
        ("l", "CONTAINS", [{"N": "2"}], True),
        ("n", "CONTAINS", [{"N": "5"}], False),
        ("s", "NOT_CONTAINS", [{"S": "dog"}], True),
        ("s", "NOT_CONTAINS", [{"N": "1"}], True),
        ("ss", "NOT_CONTAINS", [{"S": "a"}], False),
        ("gone", "NOT_CONTAINS", [{"N": "1"}], False),
        ("gone", "CONTAINS", [{"N": "1"}], False),
        ("s", "BEGINS_WITH", [{"S": "he"}], True),
        ("n", "BEGINS_WITH", [{"S": "5"}], False),
        ("n", "IN", [{"N": "1"}, {"N": "5"}], True),
        ("ns", "IN", [{"N": "2"}, {"N": "4"}], False),
        ("n", "BETWEEN", [{"N": "1"}, {"N": "10"}], True),
        ("n", "BETWEEN", [{"S": "1"}, {"S": "9"}], False),
        ("gone", "BETWEEN", [{"N": "0"}, {"N": "9"}], False),
    ],
)
def test_operators(attribute: str, operator: str, arguments: list[Any], expected: bool) -> None:
    assert holds(attribute, operator, *arguments) is expected


def test_several_conditions() -> None:
    true = {"ComparisonOperator": "EQ", "AttributeValueList": [{"N": "5"}]}
    false = {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "other"}]}

    def check(operator: str | None) -> bool:
        bound = legacy_filter({"n": true, "s": false}, operator)
        assert bound is not None
        return bound.matches(ITEM)

    assert not check(None)
    assert not check("AND")
    assert check("OR")
    single = legacy_filter({"n": true}, None)
    assert single is not None
    assert single.program.tree[0] == "="
    assert legacy_filter(None) is None
    assert legacy_filter({}) is None
    assert legacy_expected({}) is None


def test_conditional_operator_needs_two_conditions() -> None:
    one = {"a": {"ComparisonOperator": "NULL"}}
    for function in (legacy_filter, legacy_expected):
        for nothing in (None, {}):
            assert message(function, nothing, "AND") == (
                "ConditionalOperator cannot be used without Filter or Expected"
            )
        assert message(function, one, "OR") == (
            "ConditionalOperator can only be used when Filter or Expected has two or more elements"
        )


@pytest.mark.parametrize(
    ("expected", "matches"),
    [
        ({"n": {"Value": {"N": "5"}}}, True),
        ({"n": {"Value": {"N": "5"}, "Exists": True}}, True),
        ({"n": {"Value": {"N": "6"}}}, False),
        ({"n": {"Exists": False}}, False),
        ({"gone": {"Exists": False}}, True),
        ({"n": {"ComparisonOperator": "GE", "Value": {"N": "5"}}}, True),
        ({"n": {"ComparisonOperator": "NOT_NULL", "AttributeValueList": []}}, True),
        ({"s": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": "he"}]}}, True),
    ],
)
def test_expected(expected: Any, matches: bool) -> None:
    bound = legacy_expected(expected)
    assert bound is not None
    assert bound.matches(ITEM) is matches


def test_expected_sees_nothing_where_no_item_is() -> None:
    absent = legacy_expected({"pk": {"Exists": False}})
    present = legacy_expected({"pk": {"ComparisonOperator": "NOT_NULL"}})
    assert absent is not None and absent.matches(None)
    assert present is not None and not present.matches(None)


@pytest.mark.parametrize(
    ("expectation", "problem"),
    [
        ({}, "Value must be provided when Exists is null"),
        ({"Exists": True}, "Value must be provided when Exists is true"),
        ({"Exists": False, "Value": {"S": "a"}}, "Value cannot be used when Exists is false"),
        (
            {"ComparisonOperator": "LT"},
            "Value or AttributeValueList must be used with ComparisonOperator: LT",
        ),
        (
            {"Exists": True, "ComparisonOperator": "LT"},
            "Exists and ComparisonOperator cannot be used together",
        ),
        (
            {"AttributeValueList": [{"S": "a"}], "Value": {"S": "a"}, "ComparisonOperator": "LT"},
            "Value and AttributeValueList cannot be used together",
        ),
        (
            {"AttributeValueList": [{"S": "a"}]},
            "AttributeValueList can only be used with a ComparisonOperator",
        ),
        (
            {"Exists": True, "AttributeValueList": [{"S": "a"}]},
            "AttributeValueList can only be used with a ComparisonOperator",
        ),
    ],
)
def test_expected_refused(expectation: Any, problem: str) -> None:
    assert message(legacy_expected, {"a": expectation}) == f"{INVALID}{problem} for Attribute: a"


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        *((operator, 0) for operator in ("EQ", "NE", "LE", "LT", "GE", "GT", "CONTAINS", "NOT_CONTAINS")),
        *((operator, 2) for operator in ("EQ", "NE", "LE", "LT", "GE", "GT", "CONTAINS", "BEGINS_WITH")),
        ("IN", 0),
        ("BETWEEN", 1),
        ("BETWEEN", 3),
        ("NULL", 1),
        ("NOT_NULL", 2),
    ],
)
def test_number_of_arguments(operator: str, arguments: int) -> None:
    condition = {"ComparisonOperator": operator, "AttributeValueList": [{"S": "a"}] * arguments}
    text = f"{INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator"
    for function in (legacy_filter, legacy_expected, legacy_key_conditions):
        assert message(function, {"a": condition}) == text


@pytest.mark.parametrize(
    ("operator", "tags"),
    [
        *((operator, ["BOOL", "NULL", "SS", "NS", "BS", "M", "L"]) for operator in ("LT", "GE", "IN")),
        ("CONTAINS", ["SS", "NS", "BS", "M", "L"]),
        ("NOT_CONTAINS", ["SS", "L"]),
        ("BEGINS_WITH", ["N", "BOOL", "NULL", "SS", "M", "L"]),
        ("BETWEEN", ["BOOL", "SS", "L"]),
    ],
)
def test_types_of_arguments(operator: str, tags: list[str]) -> None:
    contents: dict[str, Any] = {
        "N": "1",
        "BOOL": True,
        "NULL": True,
        "SS": ["a"],
        "NS": ["1"],
        "BS": ["YQ=="],
        "M": {},
        "L": [],
    }
    for tag in tags:
        arguments = [{tag: contents[tag]}] * (2 if operator == "BETWEEN" else 1)
        condition = {"ComparisonOperator": operator, "AttributeValueList": arguments}
        assert message(legacy_filter, {"a": condition}) == (
            f"{INVALID}ComparisonOperator {operator} is not valid for {tag} AttributeValue type"
        )


def test_arguments_that_do_not_go_together() -> None:
    def refused(operator: str, *arguments: Any) -> str:
        return message(
            legacy_filter, {"a": {"ComparisonOperator": operator, "AttributeValueList": list(arguments)}}
        )

    mixed = f"{INVALID}AttributeValues inside AttributeValueList must be of same type"
    assert refused("IN", {"S": "b"}, {"N": "1"}) == mixed
    assert refused("BETWEEN", {"N": "4"}, {"S": "dog"}) == mixed
    assert refused("BETWEEN", {"S": "b"}, {"S": "a"}) == (
        "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
    )
    bound = legacy_filter(
        {"n": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "5"}, {"N": "5.0"}]}}
    )
    assert bound is not None
    assert bound.matches(ITEM)
    twice = {"a": {"ComparisonOperator": "EQ", "AttributeValueList": [{"SS": ["x", "x"]}]}}
    assert '["x", "x"] contains duplicates' in message(legacy_filter, twice, None, "2026")
    assert "[x, x] contains duplicates" in message(legacy_filter, twice, None, "classic")
    # Values come before their number.
    assert refused("EQ", {"N": "1"}, {"N": "x"}).startswith(
        "The parameter cannot be converted to a numeric value"
    )


def test_key_conditions() -> None:
    def condition(operator: str, *arguments: Any) -> dict[str, Any]:
        return {"ComparisonOperator": operator, "AttributeValueList": list(arguments)}

    pk, sk = [KeyPart("pk", "S")], [KeyPart("sk", "S")]
    equal = condition("EQ", {"S": "p"})
    resolved = resolve_key_condition(
        legacy_key_conditions({"sk": condition("BETWEEN", {"S": "a"}, {"S": "b"}), "pk": equal}), pk, sk
    )
    assert (resolved.hash_values, resolved.op, resolved.operands) == (
        [{"S": "p"}],
        "BETWEEN",
        [{"S": "a"}, {"S": "b"}],
    )
    length = "Conditions can be of length 1 or 2 only"
    null = condition("NULL")
    assert message(legacy_key_conditions, {}) == length
    assert message(legacy_key_conditions, {"a": null, "b": null, "c": null}) == length
    not_indexable = "Attempted conditional constraint is not an indexable operation"
    for operator, arguments in [
        ("NULL", []),
        ("NE", [{"N": "1"}]),
        ("CONTAINS", [{"S": "a"}]),
        ("IN", [{"S": "a"}]),
    ]:
        for conditions in (
            {"pk": condition(operator, *arguments)},
            {"pk": equal, "sk": condition(operator, *arguments)},
        ):
            assert message(resolve_key_condition, legacy_key_conditions(conditions), pk, sk) == not_indexable
    assert message(
        resolve_key_condition, legacy_key_conditions({"pk": condition("LE", {"S": "a"})}), pk, sk
    ) == ("Query key condition not supported")
    assert (
        message(resolve_key_condition, legacy_key_conditions({"pk": equal, "x": null}), pk, sk)
        == "Query condition missed key schema element: sk"
    )


def apply(updates: Any, item: Any) -> Any:
    bound = legacy_update(updates)
    assert bound is not None
    return bound.apply(item, {"pk": {"S": "k"}}).new_item


def test_attribute_updates() -> None:
    item = {"pk": {"S": "k"}, **ITEM}
    new = apply(
        {
            "s": {"Value": {"S": "put by default"}},
            "n": {"Action": "ADD", "Value": {"N": "2"}},
            "ss": {"Action": "DELETE", "Value": {"SS": ["a"]}},
            "ns": {"Action": "ADD", "Value": {"NS": ["3"]}},
            "l": {"Action": "ADD", "Value": {"L": [{"S": "y"}]}},
            "t": {"Action": "DELETE"},
            "made": {"Action": "ADD", "Value": {"L": []}},
        },
        item,
    )
    assert new["s"] == {"S": "put by default"}
    assert new["n"] == {"N": "7"}
    assert new["ss"] == {"SS": ["b"]}
    assert new["ns"] == {"NS": ["2", "3", "4"]}
    assert new["l"] == {"L": [{"N": "2"}, {"S": "x"}, {"S": "y"}]}
    assert "t" not in new
    assert new["made"] == {"L": []}
    assert legacy_update(None) is None
    assert legacy_update({}) is None


def test_attribute_updates_without_an_item() -> None:
    assert apply({"a": {"Action": "ADD", "Value": {"N": "1"}}}, None) == {"pk": {"S": "k"}, "a": {"N": "1"}}
    assert apply({"a": {"Action": "DELETE"}}, None) is None


def test_attribute_updates_refused() -> None:
    assert message(legacy_update, {"a": {}}) == (
        f"{INVALID}Only DELETE action is allowed when no attribute value is specified"
    )
    for value in ({"S": "1"}, {"N": "1"}, {"L": []}, {"M": {}}, {"BOOL": True}):
        [tag] = value
        assert message(legacy_update, {"a": {"Action": "DELETE", "Value": value}}) == (
            f"{INVALID}DELETE action with value is not supported for the type {tag}"
        )
    for value in ({"S": "1"}, {"B": "Yg=="}, {"NULL": True}, {"M": {}}):
        [tag] = value
        assert message(legacy_update, {"a": {"Action": "ADD", "Value": value}}) == (
            f"{INVALID}ADD action is not supported for the type {tag}"
        )
    for attribute, action, value in [
        ("ss", "DELETE", {"NS": ["1"]}),
        ("n", "DELETE", {"NS": ["1"]}),
        ("ss", "ADD", {"NS": ["1"]}),
        ("s", "ADD", {"N": "1"}),
    ]:
        assert message(apply, {attribute: {"Action": action, "Value": value}}, ITEM) == (
            "Type mismatch for attribute to update"
        )
    assert message(apply, {"pk": {"Value": {"S": "x"}}}, ITEM) == (
        f"{INVALID}Cannot update attribute pk. This attribute is part of the key"
    )
