"""ConditionExpression: every operator and function, over every type, for a true and a false outcome.

The error texts of expressions are in test_error_texts_expressions.py; the legacy Expected is in
test_condition_legacy.py. FilterExpression shares the evaluator and is checked on the same cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import CONDITION_FAILED, error, n, s, table, unique

ITEM = {
    "str": {"S": "middle"},
    "accents": {"S": "\u00e9t\u00e9"},
    "num": {"N": "5"},
    "neg": {"N": "-5"},
    "bin": {"B": b"\x7f\x80"},
    "yes": {"BOOL": True},
    "null": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": [b"x", b"y"]},
    "list": {"L": [{"S": "a"}, {"N": "1"}, {"M": {"k": {"S": "v"}}}, {"SS": ["p", "q"]}]},
    "map": {"M": {"a": {"N": "1"}, "b": {"L": [{"N": "2"}]}, "dot.ted": {"S": "odd"}}},
    "twin": {"N": "5.0"},
    "empty": {"S": ""},
    "faces": {"S": "\U0001f600\U0001f600"},
}

VALUES = {
    ":s": s("middle"),
    ":low": s("l"),
    ":high": s("n"),
    ":mid": s("mid"),
    ":dl": s("dl"),
    ":a": s("a"),
    ":v": s("v"),
    ":n5": n(5),
    ":n5exp": n("50e-1"),
    ":n4": n(4),
    ":n6": n(6),
    ":n1": n(1),
    ":n2": n(2),
    ":n3": n(3),
    ":n0": n(0),
    ":bin": {"B": b"\x7f\x80"},
    ":binlow": {"B": b"\x7f"},
    ":binhigh": {"B": b"\x80"},
    ":x": {"B": b"x"},
    ":true": {"BOOL": True},
    ":false": {"BOOL": False},
    ":null": {"NULL": True},
    ":ss": {"SS": ["b", "a"]},
    ":ss1": {"SS": ["a"]},
    ":ns": {"NS": ["2.50", "1"]},
    ":bs": {"BS": [b"y", b"x"]},
    ":map": {"M": {"dot.ted": {"S": "odd"}, "b": {"L": [{"N": "2.0"}]}, "a": {"N": "1"}}},
    ":list": {"L": [{"S": "a"}, {"N": "1.0"}, {"M": {"k": {"S": "v"}}}, {"SS": ["q", "p"]}]},
    ":inner": {"M": {"k": {"S": "v"}}},
    ":S": s("S"),
    ":N": s("N"),
    ":M": s("M"),
    ":L": s("L"),
    ":SS": s("SS"),
    ":BOOL": s("BOOL"),
    ":NULL": s("NULL"),
    ":B": s("B"),
    ":e": s(""),
}
NAMES = {
    "#s": "str",
    "#m": "map",
    "#d": "dot.ted",
    "#n": "num",
    "#list": "list",
    "#null": "null",
    "#empty": "empty",
}

TRUE = [
    "#s = :s",
    ":s = #s",
    "#n = :n5exp",
    "#n = twin",
    "bin = :bin",
    "yes = :true",
    "#null = :null",
    "ss = :ss",
    "ns = :ns",
    "bs = :bs",
    "#m = :map",
    "#list = :list",
    "#s <> :mid",
    "#s <> :n5",
    "gone <> :s",
    "gone <> nothing",
    "#n < :n6",
    "#n <= :n5",
    "#n > :n4",
    "#n >= :n5",
    "neg < :n0",
    "#s > :low",
    "#s < :high",
    "bin > :binlow",
    "bin < :binhigh",
    "#n BETWEEN :n5 AND :n6",
    "#n between :n4 and :n5",
    "#s BETWEEN :low AND :high",
    ":n5 BETWEEN neg AND twin",
    "#n IN (:n4, :n5)",
    "#s in (:n5, :s)",
    "ss IN (:ss1, :ss)",
    "attribute_exists(#s)",
    "attribute_exists(#m.b[0])",
    "attribute_exists(#list[2].k)",
    "attribute_not_exists(gone)",
    "attribute_not_exists(#m.zz)",
    "attribute_not_exists(#list[99])",
    "attribute_not_exists(#n.inside)",
    "attribute_not_exists(#m[0])",
    "attribute_type(#s, :S)",
    "attribute_type(ss, :SS)",
    "attribute_type(#null, :NULL)",
    "attribute_type(#m.b, :L)",
    "begins_with(#s, :mid)",
    "begins_with(bin, :binlow)",
    "begins_with(#s, :e)",
    "contains(#s, :dl)",
    "contains(ss, :a)",
    "contains(ns, :n1)",
    "contains(bs, :x)",
    "contains(#list, :inner)",
    "contains(#list, :ss1) OR contains(#list, :a)",
    "contains(bin, :binhigh)",
    "size(#s) = :n6",
    "size(accents) = :n3",
    "size(bin) = :n2",
    "size(ss) = :n2",
    "size(#m) = :n3",
    "size(#list) > :n3",
    "size(#empty) = :n0",
    "size(faces) = :n4",  # UTF-16 units, as measured
    "size(#s) BETWEEN :n5 AND :n6",
    "size(#s) IN (:n5, :n6)",
    "NOT #s = :mid",
    "NOT (#s = :mid AND #n = :n5)",
    "not attribute_exists(gone)",
    "NOT NOT #n = :n5",
    "#s = :mid OR #n = :n5",
    "#s = :mid AND #n = :n4 OR yes = :true",
    "#n = :n5 OR #s = :mid AND yes = :false",
    "(#n = :n5 OR #s = :mid) AND yes = :true",
    "(#n) = (:n5)",
    "#m.a = :n1",
    "#m.b[0] = :n2",
    "#m.#d <> :s",
    "#list[2].k = :v",
    "#list[0] = :a",
]

FALSE = [
    "#s = :mid",
    "#n = :s",
    "gone = :s",
    "gone = nothing",
    "gone < :n5",
    "gone > :n5",
    "#s <> :s",
    "#n <> twin",
    "#n < :n5",
    "#n > :s",
    "#n < :s",
    "bin < :binlow",
    "gone BETWEEN :n4 AND :n6",
    "#s BETWEEN :n4 AND :n6",
    "gone IN (:n4, :n5)",
    "#n IN (:s, :null)",
    "attribute_exists(gone)",
    "attribute_exists(#s[0])",
    "attribute_exists(#list[4])",
    "attribute_exists(ss[0])",
    "attribute_not_exists(#s)",
    "attribute_type(#s, :N)",
    "attribute_type(gone, :S)",
    "begins_with(#s, :dl)",
    "begins_with(gone, :mid)",
    "begins_with(#n, :mid)",
    "contains(#s, :n5)",
    "contains(gone, :a)",
    "contains(ss, :dl)",
    "contains(ss, :ss1)",
    "contains(#n, :n5)",
    "contains(#m, :a)",
    "size(gone) = :n0",
    "size(gone) <> :n5 AND #n = :n4",
    "size(#n) > :n0",
    "size(yes) > :n0",
    "NOT #n = :n5",
    "#s = :s AND #n = :n4",
    "ss = :ss1",
    "#list = :ss",
    "yes = :false",
    "#null = :false",
]


def parameters(expression: str) -> dict[str, Any]:
    """The expression with just the names and values it uses."""
    words = (
        expression.replace("(", " ")
        .replace(")", " ")
        .replace(",", " ")
        .replace(".", " ")
        .replace("[", " ")
        .split()
    )
    names = {word: NAMES[word] for word in words if word in NAMES}
    values = {word: VALUES[word] for word in words if word in VALUES}
    found: dict[str, Any] = {}
    if names:
        found["ExpressionAttributeNames"] = names
    if values:
        found["ExpressionAttributeValues"] = values
    return found


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        client.put_item(TableName=made, Item={"p": s("k"), **ITEM})
        yield made


@pytest.mark.parametrize("expression", TRUE)
def test_true(client: Any, name: str, expression: str) -> None:
    item = {"p": s("k"), **ITEM}
    client.put_item(TableName=name, Item=item, ConditionExpression=expression, **parameters(expression))
    found = client.scan(
        TableName=name, FilterExpression=expression, **parameters(expression), ConsistentRead=True
    )
    assert (found["Count"], found["ScannedCount"]) == (1, 1)


@pytest.mark.parametrize("expression", FALSE)
def test_false(client: Any, name: str, expression: str) -> None:
    refused = error(
        client.delete_item,
        TableName=name,
        Key={"p": s("k")},
        ConditionExpression=expression,
        **parameters(expression),
    )
    assert refused == CONDITION_FAILED
    found = client.scan(
        TableName=name, FilterExpression=expression, **parameters(expression), ConsistentRead=True
    )
    assert (found["Count"], found["ScannedCount"]) == (0, 1)


@pytest.fixture(scope="module")
def scratch(client: Any) -> Iterator[str]:
    with table(client, "p/r") as made:
        yield made


def test_a_missing_item_has_no_attributes_at_all(client: Any, scratch: str) -> None:
    key = {"p": s(unique()), "r": s("r")}
    where = {"TableName": scratch, "Key": key}
    assert error(client.update_item, **where, ConditionExpression="attribute_exists(p)") == CONDITION_FAILED
    assert error(client.delete_item, **where, ConditionExpression="attribute_exists(r)") == CONDITION_FAILED
    equals_key = {"ConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": key["p"]}}
    assert error(client.put_item, TableName=scratch, Item=key, **equals_key) == CONDITION_FAILED
    assert "Item" not in client.get_item(**where, ConsistentRead=True), (
        "a failed condition must not create an item"
    )


def test_create_only_once(client: Any, scratch: str) -> None:
    item = {"p": s(unique()), "r": s("r"), "v": n(1)}
    once = {"TableName": scratch, "ConditionExpression": "attribute_not_exists(p)"}
    client.put_item(Item=item, **once)
    assert error(client.put_item, Item={**item, "v": n(2)}, **once) == CONDITION_FAILED
    key = {"p": item["p"], "r": item["r"]}
    assert client.get_item(TableName=scratch, Key=key, ConsistentRead=True)["Item"] == item


def test_delete_of_a_missing_item_with_a_true_condition(client: Any, scratch: str) -> None:
    key = {"p": s(unique()), "r": s("r")}
    client.delete_item(TableName=scratch, Key=key, ConditionExpression="attribute_not_exists(p)")


def test_update_with_a_condition(client: Any, scratch: str) -> None:
    key = {"p": s(unique()), "r": s("r")}
    client.put_item(TableName=scratch, Item={**key, "v": n(1)})
    step = {
        "TableName": scratch,
        "Key": key,
        "UpdateExpression": "SET v = :new",
        "ConditionExpression": "v = :old",
    }
    client.update_item(**step, ExpressionAttributeValues={":old": n(1), ":new": n(2)})
    assert (
        error(client.update_item, **step, ExpressionAttributeValues={":old": n(1), ":new": n(3)})
        == CONDITION_FAILED
    )
    assert client.get_item(TableName=scratch, Key=key, ConsistentRead=True)["Item"]["v"] == n(2)


def test_the_failed_item_is_reported_only_when_asked_for(client: Any, scratch: str) -> None:
    item = {"p": s(unique()), "r": s("r"), "v": n(1)}
    client.put_item(TableName=scratch, Item=item)
    key = {"p": item["p"], "r": item["r"]}
    never = {"TableName": scratch, "ConditionExpression": "attribute_not_exists(p)"}
    calls = [
        (client.put_item, {"Item": item}),
        (client.delete_item, {"Key": key}),
        (client.update_item, {"Key": key}),
    ]
    for call, what in calls:
        with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refused:
            call(**never, **what, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        assert refused.value.response["Item"] == item
        with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refused:
            call(**never, **what)
        assert "Item" not in refused.value.response
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refused:
        client.delete_item(
            TableName=scratch,
            Key={"p": s(unique()), "r": s("r")},
            ConditionExpression="attribute_exists(p)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert "Item" not in refused.value.response, "no item, none to report"


def test_three_hundred_operators_and_a_hundred_in_operands(client: Any, name: str) -> None:
    values = {f":v{i}": n(i) for i in range(100)}
    many = "num IN (" + ", ".join(values) + ")"
    found = client.scan(
        TableName=name, FilterExpression=many, ExpressionAttributeValues=values, ConsistentRead=True
    )
    assert found["Count"] == 1
    wide = " AND ".join(["num = :v"] * 150)
    found = client.scan(TableName=name, FilterExpression=wide, ExpressionAttributeValues={":v": n(5)})
    assert found["ScannedCount"] == 1
