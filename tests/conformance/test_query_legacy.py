"""Query with KeyConditions, QueryFilter and ConditionalOperator, and Scan with ScanFilter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import Containing, column, either, error, invalid, n, put_all, s, table


def condition(operator: str, *values: dict[str, Any]) -> dict[str, Any]:
    """One legacy condition."""
    made: dict[str, Any] = {"ComparisonOperator": operator}
    if values:
        made["AttributeValueList"] = list(values)
    return made


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p/r:N") as made:
        put_all(
            client,
            made,
            [
                {
                    "p": s("x"),
                    "r": n(i),
                    "v": n(i % 3),
                    "w": s(f"word{i}"),
                    **({"odd": s("yes")} if i % 2 else {}),
                }
                for i in range(10)
            ],
        )
        yield made


@pytest.fixture(scope="module")
def strings(client: Any) -> Iterator[str]:
    with table(client, "p/r") as made:
        put_all(client, made, [{"p": s("x"), "r": s(word)} for word in ("a", "ab", "abc", "b", "c")])
        yield made


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (condition("EQ", n(3)), [3]),
        (condition("LT", n(3)), [0, 1, 2]),
        (condition("LE", n(3)), [0, 1, 2, 3]),
        (condition("GT", n(7)), [8, 9]),
        (condition("GE", n(7)), [7, 8, 9]),
        (condition("BETWEEN", n(2), n(4)), [2, 3, 4]),
        (None, range(10)),
    ],
)
def test_key_conditions(client: Any, name: str, key: dict[str, Any] | None, expected: Any) -> None:
    conditions = {"p": condition("EQ", s("x"))}
    if key:
        conditions["r"] = key
    found = client.query(TableName=name, KeyConditions=conditions, ConsistentRead=True)
    assert column(found["Items"], "r") == [str(i) for i in expected]


def test_begins_with(client: Any, strings: str) -> None:
    conditions = {"p": condition("EQ", s("x")), "r": condition("BEGINS_WITH", s("ab"))}
    assert column(client.query(TableName=strings, KeyConditions=conditions)["Items"], "r") == ["ab", "abc"]


# One table of cases for QueryFilter and ScanFilter: conditions -> matching r.
FILTERS: list[tuple[dict[str, Any], str | None, list[int]]] = [
    ({"v": condition("EQ", n(1))}, None, [1, 4, 7]),
    ({"v": condition("NE", n(1))}, None, [0, 2, 3, 5, 6, 8, 9]),
    ({"v": condition("LT", n(1))}, None, [0, 3, 6, 9]),
    ({"v": condition("LE", n(0))}, None, [0, 3, 6, 9]),
    ({"v": condition("GT", n(1))}, None, [2, 5, 8]),
    ({"v": condition("GE", n(2))}, None, [2, 5, 8]),
    ({"v": condition("IN", n(0), n("2.0"))}, None, [0, 2, 3, 5, 6, 8, 9]),
    ({"v": condition("BETWEEN", n(1), n(2))}, None, [1, 2, 4, 5, 7, 8]),
    ({"odd": condition("NULL")}, None, [0, 2, 4, 6, 8]),
    ({"odd": condition("NOT_NULL")}, None, [1, 3, 5, 7, 9]),
    ({"w": condition("CONTAINS", s("d3"))}, None, [3]),
    ({"w": condition("NOT_CONTAINS", s("d3"))}, None, [0, 1, 2, 4, 5, 6, 7, 8, 9]),
    ({"w": condition("BEGINS_WITH", s("word1"))}, None, [1]),
    ({"v": condition("EQ", n(1)), "odd": condition("NOT_NULL")}, None, [1, 7]),
    ({"v": condition("EQ", n(1)), "odd": condition("NOT_NULL")}, "AND", [1, 7]),
    ({"v": condition("EQ", n(1)), "odd": condition("NOT_NULL")}, "OR", [1, 3, 4, 5, 7, 9]),
    ({"v": condition("EQ", s("1"))}, None, []),
    ({"gone": condition("EQ", n(1))}, None, []),
    ({"gone": condition("NE", n(1))}, None, list(range(10))),
]


@pytest.mark.parametrize(("filters", "operator", "expected"), FILTERS)
def test_filters(
    client: Any, name: str, filters: dict[str, Any], operator: str | None, expected: list[int]
) -> None:
    more = {"ConditionalOperator": operator} if operator else {}
    scanned = client.scan(TableName=name, ScanFilter=filters, ConsistentRead=True, **more)
    assert column(scanned["Items"], "r") == [str(i) for i in expected]
    assert scanned["ScannedCount"] == 10
    queried = client.query(
        TableName=name,
        KeyConditions={"p": condition("EQ", s("x"))},
        QueryFilter=filters,
        ConsistentRead=True,
        **more,
    )
    assert queried["Items"] == scanned["Items"]
    assert (queried["Count"], queried["ScannedCount"]) == (len(expected), 10)


def test_scan_filter_on_keys(client: Any, name: str) -> None:
    found = client.scan(TableName=name, ScanFilter={"r": condition("GE", n(8)), "p": condition("EQ", s("x"))})
    assert column(found["Items"], "r") == ["8", "9"]


def test_query_filter_on_keys(client: Any, name: str) -> None:
    refused = error(
        client.query,
        TableName=name,
        KeyConditions={"p": condition("EQ", s("x"))},
        QueryFilter={"r": condition("GE", n(8))},
    )
    assert refused == (
        "ValidationException",
        Containing("QueryFilter can only contain non-primary key attributes", "r"),
    )


def test_key_conditions_may_go_with_a_filter_expression(client: Any, name: str) -> None:
    found = client.query(
        TableName=name,
        KeyConditions={"p": condition("EQ", s("x"))},
        FilterExpression="attribute_exists(odd)",
    )
    assert column(found["Items"], "r") == ["1", "3", "5", "7", "9"]


COUNT = (
    "One or more parameter values were invalid: Invalid number of argument(s) for the {} ComparisonOperator"
)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (condition("EQ"), COUNT.format("EQ")),
        (condition("EQ", n(1), n(2)), COUNT.format("EQ")),
        (condition("NULL", n(1)), COUNT.format("NULL")),
        (condition("BETWEEN", n(1)), COUNT.format("BETWEEN")),
        (condition("IN"), COUNT.format("IN")),
        (
            condition("LT", {"BOOL": True}),
            "One or more parameter values were invalid: "
            "ComparisonOperator LT is not valid for BOOL AttributeValue type",
        ),
        (
            condition("BEGINS_WITH", n(1)),
            "One or more parameter values were invalid: "
            "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type",
        ),
        (
            condition("GE", {"SS": ["a"]}),
            "One or more parameter values were invalid: ComparisonOperator GE is not valid for SS "
            "AttributeValue type",
        ),
    ],
)
def test_refused_conditions(client: Any, name: str, bad: dict[str, Any], text: str) -> None:
    assert error(client.scan, TableName=name, ScanFilter={"v": bad}) == either(text)
    refused = error(
        client.query, TableName=name, KeyConditions={"p": condition("EQ", s("x"))}, QueryFilter={"v": bad}
    )
    assert refused == either(text)


def test_an_unknown_operator(client: Any, name: str) -> None:
    code, message = error(client.scan, TableName=name, ScanFilter={"v": condition("LIKE", n(1))})
    assert code == "ValidationException"
    assert message.endswith(
        "Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, "
        "BEGINS_WITH, GE, CONTAINS]"
    )


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ({"r": condition("EQ", n(1))}, Containing("Query condition missed key schema element")),
        ({"p": condition("GT", s("x"))}, Containing("Query key condition not supported")),
        (
            {"p": condition("EQ", s("x")), "v": condition("EQ", n(1))},
            Containing("Query condition missed key schema element: r"),
        ),
        ({"p": condition("EQ", n(1))}, Containing("Condition parameter type does not match schema type")),
        (
            {"p": condition("EQ", s("x")), "r": condition("NE", n(1))},
            Containing("Attempted conditional constraint is not an indexable operation"),
        ),
        ({"p": condition("EQ", s("x")), "r": condition("CONTAINS", n(1))}, Containing("")),
    ],
)
def test_refused_key_conditions(client: Any, name: str, conditions: dict[str, Any], text: Any) -> None:
    assert error(client.query, TableName=name, KeyConditions=conditions) == ("ValidationException", text)


def test_conditional_operator_needs_conditions(client: Any, name: str) -> None:
    refused = error(client.scan, TableName=name, ConditionalOperator="OR")
    assert refused == ("ValidationException", Containing("ConditionalOperator"))
    single = error(
        client.scan, TableName=name, ScanFilter={"v": condition("EQ", n(1))}, ConditionalOperator="MAYBE"
    )
    assert single[0] == "ValidationException"


def test_start_keys(client: Any, name: str) -> None:
    found = client.query(
        TableName=name,
        KeyConditions={"p": condition("EQ", s("x"))},
        ExclusiveStartKey={"p": s("x"), "r": n(7)},
    )
    assert column(found["Items"], "r") == ["8", "9"]
    refused = error(
        client.query,
        TableName=name,
        KeyConditions={"p": condition("EQ", s("x"))},
        ExclusiveStartKey={"p": s("x")},
    )
    assert refused == invalid(
        "The provided starting key is invalid: The provided key element does not match the schema"
    )
