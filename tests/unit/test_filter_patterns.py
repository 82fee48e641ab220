"""Filter patterns of event source mappings: each operator, how leaves are found, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hashrange_router.triggers.mapping.filters import compile_patterns


def record(
    new: dict[str, Any] | None = None, old: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A stream record with these images."""
    change: dict[str, Any] = {
        "ApproximateCreationDateTime": 1693997155.0,
        "Keys": {"Id": {"N": "101"}},
        "SequenceNumber": "111000000000000000000001",
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    if new is not None:
        change["NewImage"] = new
    if old is not None:
        change["OldImage"] = old
    return {"eventID": "x", "eventName": "INSERT", "eventVersion": "1.1", "dynamodb": change} | more


def wanted(pattern: Any, of: dict[str, Any]) -> bool:
    return compile_patterns([json.dumps(pattern)]).matches(of)


def of_image(leaf: Any, value: Any) -> bool:
    """Whether `leaf` as the pattern of attribute a matches an item with that value."""
    return wanted({"dynamodb": {"NewImage": {"a": leaf}}}, record({"a": value}))


@pytest.mark.parametrize(
    ("leaf", "value", "expected"),
    [
        ({"S": ["x", "y"]}, {"S": "y"}, True),
        ({"S": ["x"]}, {"S": "X"}, False),
        ({"S": [""]}, {"S": ""}, True),
        ({"S": [""]}, {"S": "a"}, False),
        ({"NULL": [True]}, {"NULL": True}, True),
        ({"BOOL": [True]}, {"BOOL": False}, False),
        ({"BOOL": [1]}, {"BOOL": True}, False),
        ({"N": ["5"]}, {"N": "5"}, True),
        ({"N": [5]}, {"N": "5"}, False),
        ({"B": ["AP8="]}, {"B": "AP8="}, True),
        ({"B": [{"prefix": "AP"}]}, {"B": "AP8="}, True),
        ({"S": [{"prefix": "ab"}]}, {"S": "abc"}, True),
        ({"S": [{"prefix": "ab"}]}, {"S": "ba"}, False),
        ({"S": [{"prefix": {"equals-ignore-case": "AB"}}]}, {"S": "abc"}, True),
        ({"S": [{"suffix": ".png"}]}, {"S": "x.png"}, True),
        ({"S": [{"suffix": ".png"}]}, {"S": "x.PNG"}, False),
        ({"S": [{"suffix": {"equals-ignore-case": ".png"}}]}, {"S": "x.PNG"}, True),
        ({"S": [{"equals-ignore-case": "Straße"}]}, {"S": "STRASSE"}, True),
        ({"S": [{"anything-but": "x"}]}, {"S": "x"}, False),
        ({"S": [{"anything-but": "x"}]}, {"S": "y"}, True),
        ({"S": [{"anything-but": "x"}]}, {"N": "1"}, False),
        ({"S": [{"anything-but": ["x", "y"]}]}, {"S": "y"}, False),
        ({"S": [{"anything-but": ["x", 5]}]}, {"S": "z"}, True),
        ({"S": [{"anything-but": {"prefix": "ab"}}]}, {"S": "abc"}, False),
        ({"S": [{"anything-but": {"prefix": ["ab", "c"]}}]}, {"S": "cd"}, False),
        ({"S": [{"anything-but": {"suffix": "c"}}]}, {"S": "abd"}, True),
        ({"S": [{"anything-but": {"equals-ignore-case": ["ABC"]}}]}, {"S": "abc"}, False),
        ({"S": [{"exists": True}]}, {"S": "abc"}, True),
        ({"S": [{"exists": True}]}, {"N": "1"}, False),
        ({"S": [{"exists": False}]}, {"N": "1"}, True),
        ({"S": [{"exists": False}]}, {"S": "1"}, False),
        ([{"exists": True}], {"S": "x"}, False),  # an object is no leaf
        ({"S": ["x", {"prefix": "y"}, {"exists": False}]}, {"S": "yes"}, True),
    ],
)
def test_operators(leaf: Any, value: Any, expected: bool) -> None:
    assert of_image(leaf, value) is expected


@pytest.mark.parametrize(
    ("comparison", "number", "expected"),
    [
        (["=", 5], "5", True),
        (["=", 5.0], "5", True),
        ([">", 5], "40", True),  # as texts it would be the other way round
        ([">", 5], "-40", False),
        ([">", 5], "5", False),
        ([">=", 5], "5", True),
        (["<", 0.3], "0.29999999999999999999999999999999999999", True),
        (["<=", 5], "5.00001", False),
        ([">", 0, "<=", 5], "5", True),
        ([">", 0, "<", 5], "5", False),
        ([">=", -1.5, "<", 5], "-1.5", True),
    ],
)
def test_numeric_compares_exactly(comparison: list[Any], number: str, expected: bool) -> None:
    assert of_image({"N": [{"numeric": comparison}]}, {"N": number}) is expected


def test_numeric_with_38_digits() -> None:
    """Neither side passes through a float."""
    pattern = (
        '{"dynamodb":{"NewImage":{"a":{"N":[{"numeric":["=",12345678901234567890123456789012345678]}]}}}}'
    )
    filters = compile_patterns([pattern])
    assert filters.matches(record({"a": {"N": "12345678901234567890123456789012345678"}}))
    assert not filters.matches(record({"a": {"N": "12345678901234567890123456789012345679"}}))


def test_numeric_is_for_numbers_alone() -> None:
    assert not of_image({"S": [{"numeric": [">", 1]}]}, {"S": "5"})
    assert of_image({"NS": [{"numeric": [">", 4]}]}, {"NS": ["1", "5"]})
    assert wanted({"dynamodb": {"SizeBytes": [{"numeric": [">", 25]}]}}, record({}))
    assert wanted({"dynamodb": {"ApproximateCreationDateTime": [1693997155]}}, record({}))


def test_every_field_of_a_record() -> None:
    """Samples use eventName and userIdentity as well as the images."""
    expired = record(old={}, userIdentity={"type": "Service", "principalId": "dynamodb.amazonaws.com"})
    expired["eventName"] = "REMOVE"
    by_identity = {"userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]}}
    assert wanted(by_identity, expired)
    assert not wanted(by_identity, record({}))
    assert wanted({"eventName": ["REMOVE", "MODIFY"]}, expired)
    assert not wanted({"eventName": ["REMOVE", "MODIFY"]}, record({}))
    assert wanted({"userIdentity": {"type": [{"exists": False}]}}, record({}))


def test_all_fields_and_any_filter() -> None:
    both = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"a": {"S": ["x"]}}}}
    assert wanted(both, record({"a": {"S": "x"}}))
    assert not wanted(both, record({"a": {"S": "y"}}))
    either = compile_patterns([json.dumps({"eventName": ["REMOVE"]}), json.dumps({"eventName": ["INSERT"]})])
    assert either.matches(record({}))
    assert compile_patterns([]).matches(record({}))


def test_or() -> None:
    image = {
        "$or": [{"a": {"S": ["x"]}}, {"n": {"N": [{"numeric": [">", 5]}]}}],
        "b": {"S": [{"exists": True}]},
    }
    pattern = {"dynamodb": {"NewImage": image}}
    assert wanted(pattern, record({"a": {"S": "x"}, "b": {"S": ""}}))
    assert wanted(pattern, record({"n": {"N": "6"}, "b": {"S": ""}}))
    assert not wanted(pattern, record({"n": {"N": "5"}, "b": {"S": ""}}))
    assert not wanted(pattern, record({"a": {"S": "x"}}))
    assert wanted({"dynamodb": {"NewImage": {"$or": {"S": ["x"]}}}}, record({"$or": {"S": "x"}}))


def test_absent_images() -> None:
    assert wanted({"dynamodb": {"OldImage": {"a": {"S": [{"exists": False}]}}}}, record({}))
    assert not wanted({"dynamodb": {"OldImage": {"a": {"S": [{"anything-but": "x"}]}}}}, record({}))


def test_lists_sets_and_maps() -> None:
    """Each element of a list is matched on its own; a set matches with one element."""
    organizations = {"L": [{"S": "a"}, {"M": {"k": {"S": "v"}, "n": {"N": "7"}}}, {"M": {"n": {"N": "9"}}}]}
    assert of_image({"L": {"S": ["a"]}}, organizations)
    assert of_image({"L": [{"S": [{"exists": True}]}]}, organizations)
    assert of_image({"L": {"M": {"n": {"N": [{"numeric": [">", 8]}]}}}}, organizations)
    together = {"L": {"M": {"k": {"S": ["v"]}, "n": {"N": [{"numeric": [">", 8]}]}}}}
    assert not of_image(together, organizations)
    assert of_image({"SS": ["b"]}, {"SS": ["a", "b"]})
    assert not of_image({"L": [{"S": [{"exists": True}]}]}, {"L": []})
    assert of_image({"L": {"S": [{"exists": False}]}}, {"L": []})
    assert of_image({"M": {"k": {"S": ["v"]}}}, {"M": {"k": {"S": "v"}}})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ("{}", "empty object"),
        ('{"a": "x"}', "a must be an object or an array"),
        ('{"a": {"b": []}}', "a.b is an empty array"),
        ('{"a": {}}', "a is an empty object"),
        ('{"a": [["x"]]}', "an array among"),
        ('{"a": [{"between": 1}]}', "unknown operator: between"),
        ('{"a": [{"wildcard": "x*"}]}', "wildcard"),
        ('{"a": [{"prefix": 5}]}', "prefix of a must be a string"),
        ('{"a": [{"prefix": "x", "suffix": "y"}]}', "more than one key"),
        ('{"a": [{"exists": "yes"}]}', "true or false"),
        ('{"a": [{"exists": 0}]}', "true or false"),
        ('{"a": [{"numeric": []}]}', "numeric of a"),
        ('{"a": [{"numeric": ["!=", 5]}]}', "knows ="),
        ('{"a": [{"numeric": [">", "5"]}]}', "with numbers"),
        ('{"a": [{"numeric": [">", 5, "<", 4]}]}', "lower bound"),
        ('{"a": [{"numeric": ["=", 5, "=", 6]}]}', "lower bound"),
        ('{"a": [{"numeric": ["=", NaN]}]}', "not JSON"),
        ('{"a": [{"anything-but": []}]}', "empty array"),
        ('{"a": [{"anything-but": null}]}', "strings or numbers"),
        ('{"a": [{"anything-but": {"exists": true}}]}', "anything-but of a knows"),
        ('{"$or": []}', "array of objects"),
        ('{"$or": ["x"]}', "array of objects"),
        ('{"a": ["' + "x" * 4096 + '"]}', "longer than"),
        ('{"a":' * 300 + '["x"]' + "}" * 300, "nested too deeply"),
        ('{"a":' + "[" * 2000 + "]" * 2000 + "}", "nested too deeply"),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        compile_patterns([text])
    assert says in str(refused.value)


def test_too_many() -> None:
    with pytest.raises(ValueError, match="at most 10"):
        compile_patterns(['{"a": ["x"]}'] * 11)
    branch = {"x": ["1"]}
    deep = {f"f{i}": {"$or": [branch] * 10} for i in range(4)}
    with pytest.raises(ValueError, match="combinations"):
        compile_patterns([json.dumps(deep)])
