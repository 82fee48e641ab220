"""Query with KeyConditionExpression: operators, order, paging, filters, start keys, and refused conditions.

Index queries are in test_gsi.py and test_lsi.py, the legacy KeyConditions in test_query_legacy.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key

from tests.conformance.support import (
    Containing,
    column,
    either,
    error,
    invalid,
    n,
    not_found,
    pages,
    put_all,
    s,
    table,
    unique,
)

WORDS = ["a", "aa", "ab", "abc", "b", "ba", "c", "\u00e9", "\uffff", "\U0001f600"]


@pytest.fixture(scope="module")
def numbers(client: Any) -> Iterator[str]:
    """Twenty items r = 0..19 in partition x, three in y."""
    with table(client, "p/r:N") as name:
        put_all(
            client,
            name,
            [{"p": s("x"), "r": n(i), "even": {"BOOL": i % 2 == 0}, "v": n(i * i)} for i in range(20)]
            + [{"p": s("y"), "r": n(i)} for i in range(3)],
        )
        yield name


@pytest.fixture(scope="module")
def words(client: Any) -> Iterator[str]:
    """Strings as sort keys."""
    with table(client, "p/r") as name:
        put_all(client, name, [{"p": s("x"), "r": s(word)} for word in reversed(WORDS)])
        yield name


def query(client: Any, name: str, condition: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One strongly consistent Query of partition x unless the values say otherwise."""
    return client.query(
        TableName=name,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values,
        ConsistentRead=True,
        **more,
    )


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("p = :p", {}, range(20)),
        (":p = p", {}, range(20)),
        ("p = :p AND r = :a", {":a": n(7)}, [7]),
        ("r = :a AND p = :p", {":a": n("7.0")}, [7]),
        ("p = :p AND :a = r", {":a": n(7)}, [7]),
        ("p = :p AND r < :a", {":a": n(3)}, [0, 1, 2]),
        ("p = :p AND r <= :a", {":a": n(3)}, [0, 1, 2, 3]),
        ("p = :p AND r > :a", {":a": n(17)}, [18, 19]),
        ("p = :p AND r >= :a", {":a": n(17)}, [17, 18, 19]),
        ("p = :p AND :a < r", {":a": n(17)}, [18, 19]),
        ("p = :p and r between :a and :b", {":a": n(3), ":b": n("5.5")}, [3, 4, 5]),
        ("p = :p AND r BETWEEN :a AND :b", {":a": n(4), ":b": n(4)}, [4]),
        ("(p = :p) AND (r > :a)", {":a": n(18)}, [19]),
        ("p = :p AND r > :a", {":a": n("-1e20")}, range(20)),
        ("p = :p AND r > :a", {":a": n("1e20")}, []),
        ("p = :p AND r < :a", {":a": n(0)}, []),
    ],
)
def test_numeric_conditions(
    client: Any, numbers: str, condition: str, values: dict[str, Any], expected: Any
) -> None:
    found = query(client, numbers, condition, {":p": s("x"), **values})
    assert column(found["Items"], "r") == [str(i) for i in expected]
    assert found["Count"] == found["ScannedCount"] == len(list(expected))
    backward = query(client, numbers, condition, {":p": s("x"), **values}, ScanIndexForward=False)
    assert backward["Items"] == found["Items"][::-1]


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("p = :p AND begins_with(r, :a)", {":a": s("a")}, ["a", "aa", "ab", "abc"]),
        ("p = :p AND begins_with(r, :a)", {":a": s("ab")}, ["ab", "abc"]),
        ("p = :p AND begins_with(r, :a)", {":a": s("zz")}, []),
        ("p = :p AND begins_with(r, :a)", {":a": s("\uffff")}, ["\uffff"]),
        ("p = :p AND r > :a", {":a": s("c")}, ["\u00e9", "\uffff", "\U0001f600"]),
        ("p = :p AND r BETWEEN :a AND :b", {":a": s("aa"), ":b": s("b")}, ["aa", "ab", "abc", "b"]),
        ("p = :p AND r < :a", {":a": s("aa")}, ["a"]),
    ],
)
def test_string_conditions_follow_utf8_order(
    client: Any, words: str, condition: str, values: dict[str, Any], expected: list[str]
) -> None:
    assert column(query(client, words, condition, {":p": s("x"), **values})["Items"], "r") == expected


def test_binary_order_is_unsigned(client: Any) -> None:
    keys = [b"\x00", b"\x00\x00", b"\x00\xff", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\x00", b"\xff\xff"]
    with table(client, "p:B/r:B") as name:
        put_all(client, name, [{"p": {"B": b"x"}, "r": {"B": key}} for key in reversed(keys)])
        found = query(client, name, "p = :p", {":p": {"B": b"x"}})
        assert column(found["Items"], "r") == keys
        found = query(
            client, name, "p = :p AND begins_with(r, :a)", {":p": {"B": b"x"}, ":a": {"B": b"\xff"}}
        )
        assert column(found["Items"], "r") == [b"\xff", b"\xff\x00", b"\xff\xff"]


def test_a_partition_of_its_own(client: Any, numbers: str) -> None:
    assert query(client, numbers, "p = :p", {":p": s("y")})["Count"] == 3
    empty = query(client, numbers, "p = :p", {":p": s("nobody")})
    assert (empty["Count"], empty["ScannedCount"], empty["Items"]) == (0, 0, [])
    assert "LastEvaluatedKey" not in empty


def test_keys_that_prefix_each_other(client: Any) -> None:
    partitions = ["a", "ab", "a\x00", "a\x00b", "b"]
    with table(client, "p/r") as name:
        put_all(client, name, [{"p": s(p), "r": s(r)} for p in partitions for r in ("1", "2")])
        for partition in partitions:
            found = query(client, name, "p = :p", {":p": s(partition)})["Items"]
            assert found == [{"p": s(partition), "r": s("1")}, {"p": s(partition), "r": s("2")}]


def test_a_hash_only_table(client: Any) -> None:
    with table(client, "p") as name:
        client.put_item(TableName=name, Item={"p": s("x")})
        assert query(client, name, "p = :p", {":p": s("x")})["Items"] == [{"p": s("x")}]
        refused = error(
            client.query,
            TableName=name,
            KeyConditionExpression="p = :p",
            ExpressionAttributeValues={":p": s("x")},
            ExclusiveStartKey={"p": s("x")},
        )
        assert refused[0] == "ValidationException"


@pytest.mark.parametrize("limit", [1, 3, 7, 19, 20, 21])
@pytest.mark.parametrize("forward", [True, False])
def test_paging(client: Any, numbers: str, limit: int, forward: bool) -> None:
    got = pages(
        client.query,
        TableName=numbers,
        KeyConditionExpression="p = :p",
        ExpressionAttributeValues={":p": s("x")},
        Limit=limit,
        ScanIndexForward=forward,
    )
    found = [int(item["r"]["N"]) for page in got for item in page["Items"]]
    assert found == (list(range(20)) if forward else list(range(19, -1, -1)))
    assert all(page["Count"] == limit for page in got[:-1])
    for page in got[:-1]:
        assert page["LastEvaluatedKey"] == {"p": s("x"), "r": page["Items"][-1]["r"]}
    # A limit that is hit exactly on the last item still gives a key; the next page is empty.
    assert len(got) == 20 // limit + 1


def test_the_limit_counts_before_the_filter(client: Any, numbers: str) -> None:
    page = query(
        client,
        numbers,
        "p = :p",
        {":p": s("x"), ":t": {"BOOL": True}},
        FilterExpression="even = :t",
        Limit=5,
    )
    assert (page["Count"], page["ScannedCount"]) == (3, 5)
    assert page["LastEvaluatedKey"] == {"p": s("x"), "r": n(4)}


def test_a_filter_that_matches_nothing(client: Any, numbers: str) -> None:
    page = query(client, numbers, "p = :p", {":p": s("x"), ":z": s("z")}, FilterExpression="v = :z")
    assert (page["Items"], page["Count"], page["ScannedCount"]) == ([], 0, 20)


def test_the_start_key_need_not_exist(client: Any, numbers: str) -> None:
    page = query(client, numbers, "p = :p", {":p": s("x")}, ExclusiveStartKey={"p": s("x"), "r": n("16.5")})
    assert column(page["Items"], "r") == ["17", "18", "19"]
    page = query(
        client,
        numbers,
        "p = :p",
        {":p": s("x")},
        ExclusiveStartKey={"p": s("x"), "r": n("1.5")},
        ScanIndexForward=False,
    )
    assert column(page["Items"], "r") == ["1", "0"]


@pytest.mark.parametrize(
    ("condition", "start", "text"),
    [
        (
            "p = :p",
            {"p": s("x")},
            "The provided starting key is invalid: The provided key element does not match the schema",
        ),
        (
            "p = :p",
            {"p": s("x"), "r": s("1")},
            "The provided starting key is invalid: The provided key element does not match the schema",
        ),
        (
            "p = :p",
            {"p": s("x"), "r": n(1), "v": n(1)},
            Containing("The provided starting key is invalid"),
        ),
        (
            "p = :p",
            {"p": s("y"), "r": n(1)},
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            "p = :p AND r > :a",
            {"p": s("x"), "r": n(1)},
            "The provided starting key does not match the range key predicate",
        ),
    ],
)
def test_bad_start_keys(client: Any, numbers: str, condition: str, start: dict[str, Any], text: Any) -> None:
    values = {":p": s("x"), **({":a": n(5)} if ":a" in condition else {})}
    refused = error(
        client.query,
        TableName=numbers,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values,
        ExclusiveStartKey=start,
    )
    assert refused == invalid(text)


KCE = "Invalid KeyConditionExpression: "
OPERATOR = "Invalid operator used in KeyConditionExpression: "


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("r = :n", "Query condition missed key schema element: p"),
        ("p > :p", Containing("Query key condition not supported")),
        ("p BETWEEN :p AND :p2", Containing("Query key condition not supported")),
        ("begins_with(p, :p)", Containing("Query key condition not supported")),
        ("p = :p AND v = :n", Containing("Query condition missed key schema element: r")),
        ("v = :n", Containing("Query condition missed key schema element: p")),
        ("p = :p OR r = :n", OPERATOR + "OR"),
        ("NOT p = :p", OPERATOR + "NOT"),
        ("p = :p AND NOT r = :n", OPERATOR + "NOT"),
        ("p <> :p", OPERATOR + "<>"),
        ("p = :p AND r <> :n", OPERATOR + "<>"),
        ("p = :p AND r IN (:n)", OPERATOR + "IN"),
        ("p = :p AND attribute_exists(r)", OPERATOR + "attribute_exists"),
        ("p = :p AND contains(r, :n)", OPERATOR + "contains"),
        ("p = :p AND size(r) = :n", Containing("KeyConditionExpression")),
        ("p = :p AND p = :p2", Containing("KeyConditionExpressions must only contain one condition per key")),
        (
            "p = :p AND r > :n AND r < :n2",
            Containing("KeyConditionExpressions must only contain one condition per key"),
        ),
        ("p.a = :p", Containing("KeyConditionExpressions cannot have conditions on nested attributes")),
        (
            "p = :p AND r[0] = :n",
            Containing("KeyConditionExpressions cannot have conditions on nested attributes"),
        ),
        (
            "p = :n",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "p = :p AND r = :p2",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "p = :p AND r BETWEEN :n2 AND :n",
            Containing(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
            ),
        ),
        ("p = :p AND begins_with(r, :n)", Containing("begins_with, operand type: N")),
        ("", KCE + "The expression can not be empty;"),
        ("p = :p AND", KCE + 'Syntax error; token: "<EOF>", near: "AND"'),
        ("p", KCE + 'Syntax error; token: "<EOF>", near: "p"'),
    ],
)
def test_refused_conditions(client: Any, numbers: str, condition: str, text: Any) -> None:
    values = {":p": s("x"), ":p2": s("y"), ":n": n(1), ":n2": n(2)}
    used = {
        word: value
        for word, value in values.items()
        if word in condition.replace("(", " ").replace(")", " ").split()
    }
    more = {"ExpressionAttributeValues": used} if used else {}
    code, message = error(client.query, TableName=numbers, KeyConditionExpression=condition, **more)
    assert code == "ValidationException"
    assert message == text or message.removeprefix(KCE) == text


def test_no_condition_at_all(client: Any, numbers: str) -> None:
    refused = error(client.query, TableName=numbers)
    assert refused == either(
        "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
    )


def test_filters_on_key_attributes(client: Any, numbers: str) -> None:
    for key in ("p", "r"):
        refused = error(
            client.query,
            TableName=numbers,
            KeyConditionExpression="p = :p",
            FilterExpression=f"attribute_exists({key})",
            ExpressionAttributeValues={":p": s("x")},
        )
        assert refused == invalid(
            f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {key}"
        )


def test_the_limit_is_at_least_one(client: Any, numbers: str) -> None:
    refused = error(
        client.query,
        TableName=numbers,
        KeyConditionExpression="p = :p",
        ExpressionAttributeValues={":p": s("x")},
        Limit=0,
    )
    # the local oracle differs: it has the wording of before 2026
    assert refused == invalid(
        "1 validation error detected: Value at 'Limit' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1"
    )


def test_missing_tables_and_indexes(client: Any, numbers: str) -> None:
    what = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": s("x")}}
    assert error(client.query, TableName=unique(), **what) == not_found()
    refused = error(client.query, TableName=numbers, IndexName="nowhere", **what)
    assert refused == invalid("The table does not have the specified index: nowhere")


def test_the_arn_is_a_table_name(client: Any, numbers: str) -> None:
    arn = client.describe_table(TableName=numbers)["Table"]["TableArn"]
    assert query(client, arn, "p = :p", {":p": s("y")})["Count"] == 3


def test_the_resource_interface(resource: Any, numbers: str) -> None:
    found = resource.Table(numbers).query(
        KeyConditionExpression=Key("p").eq("x") & Key("r").between(2, 6),
        FilterExpression=Attr("even").eq(True),
    )
    assert [item["r"] for item in found["Items"]] == [2, 4, 6]


def test_a_query_for_one_item_ends_with_it(client: Any) -> None:
    with table(client, "p") as made:
        client.put_item(TableName=made, Item={"p": s("x")})
        request = {
            "TableName": made,
            "KeyConditionExpression": "p = :p",
            "ExpressionAttributeValues": {":p": s("x")},
        }
        page = client.query(**request, Limit=1)
        assert page["Items"] == [{"p": s("x")}]
        assert "LastEvaluatedKey" not in page


@pytest.mark.parametrize("condition", ["r = :r", "r < :r", "begins_with(r, :r)", "r BETWEEN :a AND :r"])
def test_no_range_value_is_longer_than_a_range_key(client: Any, condition: str) -> None:
    with table(client, "p/r") as made:
        request = {"TableName": made, "KeyConditionExpression": f"p = :p AND {condition}"}
        values = {":p": s("x"), **({":a": s("a")} if ":a" in condition else {})}
        assert (
            client.query(**request, ExpressionAttributeValues={**values, ":r": s("x" * 1024)})["Count"] == 0
        )
        refused = error(
            client.query, **request, ExpressionAttributeValues={**values, ":r": s("\u00e9" * 513)}
        )
        assert refused == invalid(
            "One or more parameter values were invalid: "
            "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
        )
