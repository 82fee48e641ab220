"""Texts of refused update and projection expressions, and of values that break the rules of an update."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import PREFIX, Containing, error, invalid, n, prefixed, s, table

VALUES: dict[str, Any] = {
    ":v": s("x"),
    ":n": n(1),
    ":b": {"BOOL": True},
    ":l": {"L": []},
    ":ss": {"SS": ["a"]},
    ":nul": {"NULL": True},
    ":m": {"M": {}},
}

ONCE = 'The "{}" section can only be used once in an update expression;'
OVERLAP = "Two document paths overlap with each other; must remove or rewrite one of these paths; "
CONFLICT = "Two document paths conflict with each other; must remove or rewrite one of these paths; "
TYPE = "Incorrect operand type for operator or function; "
COUNT = "Incorrect number of operands for operator or function; operator or function: "


def syntax(token: str, near: str) -> str:
    """The text of a syntax error."""
    return f'Syntax error; token: "{token}", near: "{near}"'


UPDATES: list[tuple[str, object]] = [
    ("", "The expression can not be empty;"),
    ("SET", syntax("<EOF>", "SET")),
    ("SET a", syntax("<EOF>", "a")),
    ("SET a =", syntax("<EOF>", "=")),
    ("SET a = :v,", syntax("<EOF>", ",")),
    ("a = :v", syntax("a", "a =")),
    ("UPDATE a = :v", syntax("UPDATE", "UPDATE a")),
    ("SET a = :v b = :v", syntax("b", ":v b =")),
    ("SET a = :n + :n + :n", syntax("+", ":n + :n")),
    ("SET a = :n * :n", syntax("*", ":n * :n")),
    ("SET a = :n +", syntax("<EOF>", "+")),
    ("SET a = (:n + :n) - :n", syntax("-", ") - :n")),
    ("SET a = if_not_exists(b, :n + :n)", syntax("+", ":n + :n")),
    ("SET :v = :v", syntax(":v", "SET :v =")),
    ("SET a = b c", syntax("c", "b c")),
    ("ADD a", syntax("<EOF>", "a")),
    ("ADD a b", syntax("b", "a b")),
    ("ADD a :n + :n", syntax("+", ":n + :n")),
    ("DELETE a", syntax("<EOF>", "a")),
    ("REMOVE", syntax("<EOF>", "REMOVE")),
    ("REMOVE :v", syntax(":v", "REMOVE :v")),
    ("REMOVE a = :v", syntax("=", "a = :v")),
    ("REMOVE a b", syntax("b", "a b")),
    ("SET a = ((:n))", "The expression has redundant parentheses;"),
    ("SET a = :v SET b = :v", ONCE.format("SET")),
    ("REMOVE a REMOVE b", ONCE.format("REMOVE")),
    ("ADD a :n add b :n", ONCE.format("ADD")),
    ("SET a = :v ADD b :n SET c = :v", ONCE.format("SET")),
    ("SET list = :v", "Attribute name is a reserved keyword; reserved keyword: list"),
    ("SET a.list = :v", "Attribute name is a reserved keyword; reserved keyword: list"),
    (
        "SET #a = :v",
        "An expression attribute name used in the document path is not defined; attribute name: #a",
    ),
    (
        "SET a = :nope",
        "An expression attribute value used in expression is not defined; attribute value: :nope",
    ),
    ("SET a = foo(:l)", "Invalid function name; function: foo"),
    ("SET a = size(b)", "The function is not allowed in an update expression; function: size"),
    (
        "SET a = attribute_exists(b)",
        "The function is not allowed in an update expression; function: attribute_exists",
    ),
    ("SET a = if_not_exists(b)", COUNT + "if_not_exists, number of operands: 1"),
    ("SET a = list_append(:l)", COUNT + "list_append, number of operands: 1"),
    ("SET a = list_append(:l, :l, :l)", COUNT + "list_append, number of operands: 3"),
    (
        "SET a = if_not_exists(:n, :n)",
        "Operator or function requires a document path; operator or function: if_not_exists",
    ),
    ("SET a = list_append(:l, :v)", TYPE + "operator or function: list_append, operand type: S"),
    ("SET a = list_append(:n, a)", TYPE + "operator or function: list_append, operand type: N"),
    ("SET a = :v + :n", TYPE + "operator or function: +, operand type: S"),
    ("SET a = :n - :ss", TYPE + "operator or function: -, operand type: SS"),
    ("ADD a :v", Containing(TYPE + "operator: ADD, operand type: STRING")),
    ("ADD a :b", Containing(TYPE + "operator: ADD, operand type: BOOL")),
    ("ADD a :l", Containing(TYPE + "operator: ADD, operand type: LIST")),
    ("ADD a :m", Containing(TYPE + "operator: ADD, operand type: MAP")),
    ("ADD a :nul", Containing(TYPE + "operator: ADD, operand type: NULL")),
    ("DELETE a :n", Containing(TYPE + "operator: DELETE, operand type: NUMBER")),
    ("DELETE a :l", Containing(TYPE + "operator: DELETE, operand type: LIST")),
    ("SET a = :v, a = :n", OVERLAP + "path one: [a], path two: [a]"),
    ("SET a.b = :v, a = :n", OVERLAP + "path one: [a, b], path two: [a]"),
    ("SET a = :v REMOVE a", OVERLAP + "path one: [a], path two: [a]"),
    ("SET a[1] = :v REMOVE a[1]", OVERLAP + "path one: [a, [1]], path two: [a, [1]]"),
    ("SET a = :v REMOVE a.b.c", OVERLAP + "path one: [a], path two: [a, b, c]"),
    ("SET a[0] = :v, a.b = :v", CONFLICT + "path one: [a, [0]], path two: [a, b]"),
    ("SET a = " + "b" * 4090, Containing("Expression size has exceeded the maximum allowed size;")),
]

PROJECTIONS: list[tuple[str, str]] = [
    ("", "The expression can not be empty;"),
    ("a,", syntax("<EOF>", ",")),
    ("a,,b", syntax(",", ",,b")),
    ("a b", syntax("b", "a b")),
    (",a", syntax(",", ",a")),
    ("(a)", syntax("(", "(a")),
    ("a[0", syntax("<EOF>", "0")),
    ("*", syntax("*", "*")),
    ("list", "Attribute name is a reserved keyword; reserved keyword: list"),
    ("#a", "An expression attribute name used in the document path is not defined; attribute name: #a"),
    ("a, a", OVERLAP + "path one: [a], path two: [a]"),
    ("a, a.b", OVERLAP + "path one: [a], path two: [a, b]"),
    ("a[0].b, a[0]", OVERLAP + "path one: [a, [0], b], path two: [a, [0]]"),
    ("a.b, a[0]", CONFLICT + "path one: [a, b], path two: [a, [0]]"),
]


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


def used(expression: str) -> dict[str, Any]:
    """The values an expression names, as parameters."""
    values = {word: VALUES[word] for word in re.findall(r":\w+", expression) if word in VALUES}
    return {"ExpressionAttributeValues": values} if values else {}


@pytest.mark.parametrize(("expression", "text"), UPDATES)
def test_update(client: Any, name: str, expression: str, text: object) -> None:
    code, message = error(
        client.update_item, TableName=name, Key={"p": s("x")}, UpdateExpression=expression, **used(expression)
    )
    lead = PREFIX + "Invalid UpdateExpression: "
    assert (code, message[: len(lead)]) == ("ValidationException", lead)
    assert message.removeprefix(lead) == text
    assert "Item" not in client.get_item(TableName=name, Key={"p": s("x")}, ConsistentRead=True)


@pytest.mark.parametrize(("expression", "text"), PROJECTIONS)
def test_projection(client: Any, name: str, expression: str, text: str) -> None:
    text = "Invalid ProjectionExpression: " + text
    more = {"TableName": name, "ProjectionExpression": expression}
    assert error(client.get_item, Key={"p": s("x")}, **more) == invalid(text)
    assert error(client.scan, **more) == invalid(text)


@pytest.mark.parametrize(
    "expression",
    [
        "SET a = (:n)",
        "SET b = (:n + :n)",
        "SET c=:n+:n",
        "SET d = if_not_exists(d, if_not_exists(e, :n))",
        "\n\tSET f = :n\n",
        "REMOVE g SET h = :n",
        "ADD n1 :n, n2 :n",
    ],
)
def test_accepted(client: Any, name: str, expression: str) -> None:
    client.update_item(TableName=name, Key={"p": s("ok")}, UpdateExpression=expression, **used(expression))


def test_unused_in_an_update(client: Any, name: str) -> None:
    assert error(
        client.update_item,
        TableName=name,
        Key={"p": s("x")},
        UpdateExpression="SET a = :n",
        ExpressionAttributeValues={":n": n(1), ":other": n(2)},
    ) == prefixed("Value provided in ExpressionAttributeValues unused in expressions: keys: {:other}")


def test_names_serve_all_expressions_of_a_request(client: Any, name: str) -> None:
    client.update_item(
        TableName=name,
        Key={"p": s("shared")},
        UpdateExpression="SET #u = :u",
        ConditionExpression="attribute_not_exists(#c)",
        ExpressionAttributeNames={"#u": "u", "#c": "c"},
        ExpressionAttributeValues={":u": n(1)},
    )
