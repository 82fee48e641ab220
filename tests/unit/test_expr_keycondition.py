"""Key conditions: shapes that no schema can take, and the rules of single and multi-attribute keys."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.errors import ApiError
from hashrange.expr import ExpressionContext, ExpressionError, KeyCondition, compile_key_condition
from hashrange.model.key import KeyPart

PK = [KeyPart("pk", "S")]
SK = [KeyPart("sk", "S")]
NUMBER = [KeyPart("sk", "N")]
MULTI_HASH = [KeyPart("h1", "S"), KeyPart("h2", "N")]
MULTI_RANGE = [KeyPart("a", "S"), KeyPart("b", "S"), KeyPart("c", "S"), KeyPart("d", "S")]
VALUES: dict[str, Any] = {
    ":p": {"S": "p"},
    ":s": {"S": "s"},
    ":t": {"S": "t"},
    ":n": {"N": "1"},
    ":e": {"S": ""},
}


def resolve(text: str, hash_parts: Any = PK, range_parts: Any = SK) -> KeyCondition:
    values = {name: dict(value) for name, value in VALUES.items() if name in text}
    return compile_key_condition(text, None, values or None, hash_parts, range_parts)


def error(text: str, hash_parts: Any = PK, range_parts: Any = SK) -> str:
    with pytest.raises(ApiError) as caught:
        resolve(text, hash_parts, range_parts)
    assert not isinstance(caught.value, ExpressionError)
    return str(caught.value.message)


def parts(condition: KeyCondition) -> tuple[Any, ...]:
    return (condition.hash_values, condition.range_equals, condition.op, condition.operands)


P, S, T, N = (VALUES[name] for name in (":p", ":s", ":t", ":n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pk = :p", ([P], [], None, [])),
        ("(pk = :p)", ([P], [], None, [])),
        (":p = pk", ([P], [], None, [])),
        ("pk = :p AND sk = :s", ([P], [S], None, [])),
        ("(sk = :s AND (pk = :p))", ([P], [S], None, [])),
        ("pk = :p AND sk < :s", ([P], [], "<", [S])),
        ("pk = :p AND :s <= sk", ([P], [], ">=", [S])),
        ("pk = :p AND :s > sk", ([P], [], "<", [S])),
        ("pk = :p AND sk BETWEEN :s AND :t", ([P], [], "BETWEEN", [S, T])),
        ("pk = :p and begins_with(sk, :s)", ([P], [], "begins_with", [S])),
    ],
)
def test_single_keys(text: str, expected: Any) -> None:
    assert parts(resolve(text)) == expected


def test_hash_only_key_and_typed_range() -> None:
    assert parts(resolve("pk = :p", PK, [])) == ([P], [], None, [])
    assert parts(resolve("pk = :p AND sk > :n", PK, NUMBER)) == ([P], [], ">", [N])


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("a > b and size(b) > c or a > c", "OR"),
        ("a in (b, size(c), d)", "IN"),
        ("attribute_exists(a)", "attribute_exists"),
        ("attribute_not_exists(a)", "attribute_not_exists"),
        ("attribute_type(a, :t2)", "attribute_type"),
        ("contains(a.d, b)", "contains"),
        ("not a > b", "NOT"),
        ("a <> b", "<>"),
    ],
)
def test_operators_that_no_key_condition_can_use(text: str, operator: str) -> None:
    context = ExpressionContext(None, {":t2": {"S": "S"}} if ":t2" in text else None)
    context.key_condition(text)
    with pytest.raises(ApiError) as caught:
        context.finish()
    assert caught.value.message == f"Invalid operator used in KeyConditionExpression: {operator}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ":p between size(b) and size(a) and b > :s",
            "Invalid condition in KeyConditionExpression: "
            "BETWEEN operator must have the key attribute as its first operand",
        ),
        (
            "begins_with(:p, b) and a > :s",
            "Invalid condition in KeyConditionExpression: "
            "begins_with operator must have the key attribute as its first operand",
        ),
        (
            "size(b) > a AND a.b > b AND b > c",
            "Invalid KeyConditionExpression: KeyConditionExpressions cannot contain nested operations",
        ),
        (
            "a > size(b.d)",
            "Invalid KeyConditionExpression: KeyConditionExpressions cannot contain nested operations",
        ),
        (
            "a between size(b) and size(a)",
            "Invalid KeyConditionExpression: KeyConditionExpressions cannot contain nested operations",
        ),
        (
            "b > a.b",
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
        ),
        (
            "begins_with(a, b)",
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
        ),
        (
            "b.d > a AND c.d > e.f",
            "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes",
        ),
        (
            "pk = :p AND sk[0] = :s",
            "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes",
        ),
        (
            "pk = :p AND :s < sk.foo",
            "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes",
        ),
        (
            ":s > :p AND a < :s",
            "Invalid condition in KeyConditionExpression: No key attribute specified",
        ),
        (
            "pk = :p AND pk = :s",
            "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key",
        ),
        (
            "(a > :p and b > :p) and (b > :p and c > :p)",
            "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key",
        ),
        (
            " AND ".join(f"k{number} = :p" for number in range(9)),
            "The number of query conditions (9) exceeds the number of key attributes defined in the schema (2)",
        ),
        ("sk = :s", "Query condition missed key schema element: pk"),
        ("extra = :s", "Query condition missed key schema element: pk"),
        ("pk = :p AND extra = :s", "Query condition missed key schema element: sk"),
        (
            "pk = :p AND sk = :s AND extra = :s",
            "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)",
        ),
        ("pk > :p", "Query key condition not supported"),
        ("begins_with(pk, :p)", "Query key condition not supported"),
        ("pk between :p and :p", "Query key condition not supported"),
        (
            "pk = :n",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            ":n > pk",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "pk = :p AND sk = :n",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "pk = :e",
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
        (
            "pk = :p AND sk > :e",
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: sk",
        ),
    ],
)
def test_refused(text: str, message: str) -> None:
    assert error(text) == message


def test_a_second_condition_on_a_hash_only_key() -> None:
    refused = (
        "The number of query conditions (2) exceeds the number of key attributes defined in the schema (1)"
    )
    assert error("pk = :p AND sk = :s", PK, []) == refused
    assert error("y = :p AND z = :p", PK, []) == refused


def test_expression_errors_keep_their_prefix() -> None:
    with pytest.raises(ExpressionError) as caught:
        resolve("pk = :p AND begins_with(sk, :n)", PK, NUMBER)
    assert caught.value.message == (
        "Invalid KeyConditionExpression: Incorrect operand type for operator or function; "
        "operator or function: begins_with, operand type: N"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h1 = :p", ([P], [], None, [])),
        ("h1 = :p AND a = :s", ([P], [S], None, [])),
        ("b = :t AND h1 = :p AND a = :s", ([P], [S, T], None, [])),
        ("h1 = :p AND a = :s AND b < :t", ([P], [S], "<", [T])),
        ("h1 = :p AND begins_with(a, :s)", ([P], [], "begins_with", [S])),
        (
            "h1 = :p AND a = :s AND b = :t AND c = :s AND d BETWEEN :s AND :t",
            ([P], [S, T, S], "BETWEEN", [S, T]),
        ),
    ],
)
def test_multi_attribute_ranges(text: str, expected: Any) -> None:
    assert parts(resolve(text, MULTI_HASH[:1], MULTI_RANGE)) == expected


@pytest.mark.parametrize(
    ("text", "needed", "present"),
    [
        ("h1 = :p AND a = :s AND c = :s", "b", "c"),
        ("h1 = :p AND a = :s AND b > :s AND c = :s", "b", "c"),
        ("h1 = :p AND b = :s", "a", "b"),
        ("h1 = :p AND d = :s", "a, b, c", "d"),
    ],
)
def test_gaps_in_multi_attribute_ranges(text: str, needed: str, present: str) -> None:
    assert error(text, MULTI_HASH[:1], MULTI_RANGE) == (
        f"RANGE key attributes {needed} must have equality conditions specified in the query "
        f"because a condition is present on key attribute {present}"
    )


def test_at_most_eight_conditions() -> None:
    hash_parts = [KeyPart(f"h{number}", "S") for number in range(4)]
    range_parts = [KeyPart(f"r{number}", "S") for number in range(4)]
    names = [part.name for part in (*hash_parts, *range_parts)]
    text = " AND ".join(f"{name} = :p" for name in names)
    values = {":p": {"S": "x"}}
    condition = compile_key_condition(text, None, values, hash_parts, range_parts)
    assert parts(condition) == ([values[":p"]] * 4, [values[":p"]] * 4, None, [])
    with pytest.raises(
        ApiError,
        match=r"query conditions \(9\) exceeds the number of key attributes defined in the schema \(8\)",
    ):
        compile_key_condition(text + " AND r5 = :p", None, dict(values), hash_parts, range_parts)


def test_multi_attribute_hash() -> None:
    condition = resolve("h2 = :n AND h1 = :p AND a > :s", MULTI_HASH, MULTI_RANGE)
    assert parts(condition) == ([P, N], [], ">", [S])
    for text in ("h1 = :p", "h1 = :p AND h2 > :n"):
        assert error(text, MULTI_HASH, MULTI_RANGE) == (
            "HASH key attributes h2 must have equality conditions specified in the query"
        )
    assert error("a = :s", MULTI_HASH[:1], MULTI_RANGE) == "Query condition missed key schema element: h1"
    assert error("h1 > :p", MULTI_HASH[:1], MULTI_RANGE) == "Query key condition not supported"
    assert error("h1 = :p AND z = :s", MULTI_HASH[:1], MULTI_RANGE) == "Query key condition not supported"
    assert error("h1 = :p AND h2 = :s", MULTI_HASH, []).endswith(
        "Condition parameter type does not match schema type"
    )
