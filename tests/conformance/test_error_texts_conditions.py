"""Texts of refused condition expressions: syntax errors, names, values, operands, functions.

Every case goes through DeleteItem, whose texts carry the prefix of one detected error, as PutItem's and
UpdateItem's do; one test shows that reads have none. No item needs to exist: an expression is refused before
any lookup. Clauses are checked in the order they are written, and the first problem is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import (
    PREFIX,
    Containing,
    OneOf,
    error,
    invalid,
    n,
    not_found,
    prefixed,
    s,
    table,
    unique,
)

VALUES: dict[str, Any] = {
    ":v": s("x"),
    ":n": n(1),
    ":n9": n(9),
    ":b": {"BOOL": True},
    ":m": {"M": {}},
    ":l": {"L": []},
    ":ss": {"SS": ["a"]},
    ":nul": {"NULL": True},
    ":bad": s("STRING"),
    ":S": s("S"),
}

START = PREFIX + "Invalid ConditionExpression: "

SYNTAX = [
    ("a =", "<EOF>", "="),
    ("= :v", "=", "= :v"),
    ("a = :v AND", "<EOF>", "AND"),
    ("a :v", ":v", "a :v"),
    ("a = :v b", "b", ":v b"),
    ("a == :v", "=", "== :v"),
    ("a = = :v", "=", "= = :v"),
    ("(a = :v", "<EOF>", ":v"),
    ("a = :v)", ")", ":v)"),
    ("a = 5", "5", "= 5"),
    ('a = "x"', '"', '= "x'),
    ("a in :v", ":v", "in :v"),
    ("a in ()", ")", "()"),
    ("a BETWEEN :v", "<EOF>", ":v"),
    ("a BETWEEN :v AND", "<EOF>", "AND"),
    ("a = :v OR OR b = :v", "OR", "OR OR b"),
    ("$ = :v", "$", "$ ="),
    ("a[:v] = :v", ":v", "[:v]"),
    ("a[x] = :v", "x", "[x]"),
    ("a[-1] = :v", "-", "[-1"),
    ("a.5 = :v", "5", ".5 ="),
    ("a..b = :v", ".", "..b"),
    (".a = :v", ".", ".a"),
    ("a. = :v", "=", ". = :v"),
    ("a", "<EOF>", "a"),
    (":v", "<EOF>", ":v"),
    ("a = :v:v", ":v", ":v:v"),
    ("NOT", "<EOF>", "NOT"),
    ("attribute_exists()", ")", "()"),
    ("attribute_exists(a", "<EOF>", "a"),
    ("a = :v ;", ";", ":v ;"),
    ("a ! :v", "!", "a ! :v"),
    ("a >< :v", "<", ">< :v"),
    ("a <= = :v", "=", "<= = :v"),
    ("a[] = :v", "]", "[] ="),
    ("a = :v NOT", "NOT", ":v NOT"),
    ("a = :v AND (b)", "<EOF>", ")"),
    ("(a) AND a = :v", "AND", ") AND a"),
    ("a = b = :v", "=", "b = :v"),
    ("a-b = :v", "-", "a-b"),
    ("a = :v, b = :v", ",", ":v, b"),
    ("SET a = :v", "SET", "SET a"),
    ("a = :v or   \n b", "<EOF>", "b"),
]

DISTINCT = "The first operand must be distinct from the remaining operands for this operator or function; "
MISPLACED = "The function is not allowed to be used this way in an expression; function: "
COUNT = "Incorrect number of operands for operator or function; operator or function: "
TYPE = "Incorrect operand type for operator or function; "


def order_type(operator: str, kind: str) -> OneOf:
    """A literal that has no order; the recordings differ in how they name the operator."""
    return OneOf(
        f"{TYPE}operator: {operator}, operand type: {kind}",
        f"{TYPE}operator or function: {operator}, operand type: {kind}",
    )


MEANING: list[tuple[str, object]] = [
    ("", "The expression can not be empty;"),
    ("((a = :v))", "The expression has redundant parentheses;"),
    ("((a)) = :v", "The expression has redundant parentheses;"),
    ("NOT ((a = :v))", "The expression has redundant parentheses;"),
    ("((a = :v AND b = :v))", "The expression has redundant parentheses;"),
    ("a = ((:v))", "The expression has redundant parentheses;"),
    ("status = :v", "Attribute name is a reserved keyword; reserved keyword: status"),
    ("a.Status = :v", "Attribute name is a reserved keyword; reserved keyword: Status"),
    ("#x = :v", "An expression attribute name used in the document path is not defined; attribute name: #x"),
    (
        "a = :undefined",
        "An expression attribute value used in expression is not defined; attribute value: :undefined",
    ),
    ("foo(a)", "Invalid function name; function: foo"),
    ("Size(a) = :v", "Invalid function name; function: Size"),
    ("BEGINS_WITH(a, :v)", "Invalid function name; function: BEGINS_WITH"),
    ("size(a)", MISPLACED + "size"),
    ("NOT size(a)", MISPLACED + "size"),
    ("a = :v AND size(b)", MISPLACED + "size"),
    ("a = attribute_exists(b)", MISPLACED + "attribute_exists"),
    ("attribute_exists(a) = :b", MISPLACED + "attribute_exists"),
    ("begins_with(a, attribute_exists(b))", MISPLACED + "attribute_exists"),
    ("begins_with(a)", COUNT + "begins_with, number of operands: 1"),
    ("begins_with(a, :v, :v)", COUNT + "begins_with, number of operands: 3"),
    ("attribute_exists(a, b)", COUNT + "attribute_exists, number of operands: 2"),
    ("size(a, b) = :n", COUNT + "size, number of operands: 2"),
    ("contains(a)", COUNT + "contains, number of operands: 1"),
    ("a < :m", order_type("<", "M")),
    ("a <= :nul", order_type("<=", "NULL")),
    ("a > :ss", order_type(">", "SS")),
    ("a >= :l", order_type(">=", "L")),
    ("a < :b", order_type("<", "BOOL")),
    ("a BETWEEN :b AND :b", Containing(TYPE, "BETWEEN, operand type: BOOL")),
    ("begins_with(a, :n)", TYPE + "operator or function: begins_with, operand type: N"),
    ("begins_with(a, :m)", TYPE + "operator or function: begins_with, operand type: M"),
    ("size(:n) = :n", TYPE + "operator or function: size, operand type: N"),
    ("attribute_type(a, :n)", TYPE + "operator or function: attribute_type, operand type: N"),
    (
        "attribute_type(a, :bad)",
        Containing("Invalid attribute type name found; type: STRING, valid types: {"),
    ),
    ("attribute_type(a, b)", Containing("operator or function: attribute_type, operand type: ")),
    (
        "attribute_exists(:v)",
        "Operator or function requires a document path; operator or function: attribute_exists",
    ),
    (
        "attribute_not_exists(:v)",
        "Operator or function requires a document path; operator or function: attribute_not_exists",
    ),
    (
        "if_not_exists(a, :v) = :v",
        "The function is not allowed in a condition expression; function: if_not_exists",
    ),
    (
        "a = list_append(b, :l)",
        "The function is not allowed in a condition expression; function: list_append",
    ),
    ("contains(a, a)", DISTINCT + "operator: contains, first operand: [a]"),
    ("begins_with(a, a)", DISTINCT + "operator: begins_with, first operand: [a]"),
    ("contains(a.b, a.b)", DISTINCT + "operator: contains, first operand: [a, b]"),
    ("a = a", DISTINCT + "operator: =, first operand: [a]"),
    ("a <> a", DISTINCT + "operator: <>, first operand: [a]"),
    ("a BETWEEN a AND :v", DISTINCT + "operator: BETWEEN, first operand: [a]"),
    ("a IN (:v, a)", DISTINCT + "operator: IN, first operand: [a]"),
    (
        "a BETWEEN :n9 AND :n",
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
        "lower bound operand: AttributeValue: {N:9}, upper bound operand: AttributeValue: {N:1}",
    ),
    (
        "a BETWEEN :n AND :v",
        "The BETWEEN operator requires same data type for lower and upper bounds; "
        "lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:x}",
    ),
    (
        "a IN (" + ", ".join([":v"] * 101) + ")",
        Containing("The IN operator is provided with too many operands; number of operands: 101"),
    ),
    (" AND ".join(["a = :v"] * 151), "The expression contains too many operators; operator count: 301"),
    (
        "attribute_exists(" + "a" * 4095 + ")",
        "Expression size has exceeded the maximum allowed size; expression size: 4113",
    ),
]


def used(expression: str) -> dict[str, Any]:
    """The values an expression names, as parameters."""
    values = {word: VALUES[word] for word in re.findall(r":\w+", expression) if word in VALUES}
    return {"ExpressionAttributeValues": values} if values else {}


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


def refusal(client: Any, name: str, expression: str, **more: Any) -> tuple[str, str]:
    """The error of a DeleteItem with this condition."""
    parameters = {**used(expression), **more}
    return error(
        client.delete_item, TableName=name, Key={"p": s("x")}, ConditionExpression=expression, **parameters
    )


@pytest.mark.parametrize(("expression", "token", "near"), SYNTAX)
def test_syntax(client: Any, name: str, expression: str, token: str, near: str) -> None:
    code, message = refusal(client, name, expression)
    assert code == "ValidationException"
    assert message.startswith(f'{START}Syntax error; token: "{token}", near: "{near}')


@pytest.mark.parametrize(("expression", "text"), MEANING)
def test_meaning(client: Any, name: str, expression: str, text: object) -> None:
    code, message = refusal(client, name, expression)
    assert code == "ValidationException"
    assert message.startswith(START)
    assert message.removeprefix(START) == text


@pytest.mark.parametrize(
    "expression",
    [
        "(a) = (:v)",
        "(a = :v) AND (b = :v)",
        "((a = :v) AND b = :v)",
        "(a = :v AND (b = :v))",
        "a = :v or\n\tb = :v",
    ],
)
def test_accepted(client: Any, name: str, expression: str) -> None:
    assert refusal(client, name, expression)[0] == "ConditionalCheckFailedException"


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("((status = :v))", "The expression has redundant parentheses"),
        ("status = #x", "Attribute name is a reserved keyword"),
        ("#x = :nope", "An expression attribute name used in the document path is not defined"),
        (
            "begins_with(a, :nope) AND a < :m",
            "An expression attribute value used in expression is not defined",
        ),
        ("begins_with(a, :n) AND a = :nope", "Incorrect operand type for operator or function"),
        ("begins_with(a) AND b = :nope", "Incorrect number of operands for operator or function"),
    ],
)
def test_order_of_checks(client: Any, name: str, expression: str, first: str) -> None:
    message = refusal(client, name, expression)[1]
    assert message.startswith(START + first)


UNUSED = "Value provided in ExpressionAttribute{} unused in expressions: keys: {{{}}}"


def test_unused_values_and_names(client: Any, name: str) -> None:
    values = {":v": s("x"), ":z": s("y")}
    assert refusal(client, name, "a = :v", ExpressionAttributeValues=values) == prefixed(
        UNUSED.format("Values", ":z")
    )
    names = {"#q": "z"}
    assert refusal(client, name, "a = :v", ExpressionAttributeNames=names) == prefixed(
        UNUSED.format("Names", "#q")
    )
    values[":zz"] = n(1)
    message = refusal(client, name, "a = :v", ExpressionAttributeValues=values)[1]
    assert sorted(re.findall(r":z+", message)) == [":z", ":zz"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"ExpressionAttributeNames": {"q": "z"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "q"',
        ),
        (
            {"ExpressionAttributeNames": {"#q-": "z"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "#q-"',
        ),
        (
            {"ExpressionAttributeValues": {"v": s("")}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"',
        ),
        ({"ExpressionAttributeNames": {}}, "ExpressionAttributeNames must not be empty"),
        ({"ExpressionAttributeValues": {}}, "ExpressionAttributeValues must not be empty"),
    ],
)
def test_bad_placeholders(client: Any, name: str, more: dict[str, Any], text: str) -> None:
    refused = error(
        client.delete_item,
        TableName=name,
        Key={"p": s("x")},
        ConditionExpression="attribute_exists(a)",
        **more,
    )
    assert refused == prefixed(text)


def test_without_any_expression(client: Any, name: str) -> None:
    key = {"p": s("x")}
    text = "ExpressionAttributeNames can only be specified when using expressions"
    names = {"TableName": name, "ExpressionAttributeNames": {"#a": "a"}}
    assert error(client.delete_item, Key=key, **names) == prefixed(text)
    assert error(client.get_item, Key=key, **names) == invalid(text)
    assert error(client.put_item, Item=key, **names) == prefixed(text)
    assert error(client.update_item, Key=key, **names) == prefixed(text)
    text = "ExpressionAttributeValues can only be specified when using expressions"
    values = {"TableName": name, "ExpressionAttributeValues": {":a": s("a")}}
    assert error(client.put_item, Item=key, **values) == prefixed(text)
    assert error(client.update_item, Key=key, **values) == prefixed(text)
    assert error(client.delete_item, Key=key, **values) == prefixed(text)


def test_only_writes_carry_the_prefix(client: Any, name: str) -> None:
    text = 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "a"'
    key = {"p": s("x")}
    assert error(client.put_item, TableName=name, Item=key, ConditionExpression="a") == prefixed(text)
    assert error(client.update_item, TableName=name, Key=key, ConditionExpression="a") == prefixed(text)
    assert error(client.delete_item, TableName=name, Key=key, ConditionExpression="a") == prefixed(text)
    text = text.replace("Condition", "Filter")
    assert error(client.scan, TableName=name, FilterExpression="a") == invalid(text)
    query = {"KeyConditionExpression": "p = :v", "ExpressionAttributeValues": {":v": s("x")}}
    assert error(client.query, TableName=name, FilterExpression="a", **query) == invalid(text)


def test_expressions_are_checked_before_the_table(client: Any) -> None:
    missing = {"TableName": unique(), "Key": {"p": s("x")}}
    assert error(client.delete_item, **missing, ConditionExpression="a")[0] == "ValidationException"
    assert error(client.get_item, **missing, ProjectionExpression="a b")[0] == "ValidationException"
    assert error(client.get_item, **missing, ProjectionExpression="a") == not_found()


MIX = (
    "Can not use both expression and non-expression parameters in the same request: "
    "Non-expression parameters: {%s} Expression parameters: {%s}"
)
EQ = {"p": {"ComparisonOperator": "EQ", "AttributeValueList": [s("x")]}}


def test_expressions_and_legacy_parameters_do_not_mix(client: Any, name: str) -> None:
    key = {"p": s("x")}
    condition = {
        "TableName": name,
        "ConditionExpression": "attribute_exists(a)",
        "Expected": {"a": {"Exists": False}},
    }
    assert error(client.put_item, Item=key, **condition) == prefixed(
        MIX % ("Expected", "ConditionExpression")
    )
    assert error(client.delete_item, Key=key, **condition) == prefixed(
        MIX % ("Expected", "ConditionExpression")
    )
    assert error(
        client.update_item,
        TableName=name,
        Key=key,
        UpdateExpression="REMOVE a",
        AttributeUpdates={"a": {"Action": "DELETE"}},
    ) == prefixed(MIX % ("AttributeUpdates", "UpdateExpression"))
    assert error(
        client.get_item, TableName=name, Key=key, ProjectionExpression="a", AttributesToGet=["b"]
    ) == invalid(MIX % ("AttributesToGet", "ProjectionExpression"))
    assert error(
        client.query,
        TableName=name,
        KeyConditionExpression="p = :v",
        ExpressionAttributeValues={":v": s("x")},
        KeyConditions=EQ,
    ) == invalid(MIX % ("KeyConditions", "KeyConditionExpression"))
    assert error(
        client.scan,
        TableName=name,
        FilterExpression="a = :v",
        ExpressionAttributeValues={":v": s("x")},
        ScanFilter=EQ,
    ) == invalid(MIX % ("ScanFilter", "FilterExpression"))
