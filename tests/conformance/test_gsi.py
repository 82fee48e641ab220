"""Global secondary indexes: sparse, projections, several attributes in a key, paging, order, refused reads.

A GSI follows its table after a moment: every expectation of new contents is polled until a deadline.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import (
    Containing,
    Item,
    all_items,
    column,
    error,
    invalid,
    n,
    pages,
    put_all,
    s,
    same_items,
    table,
    unique,
    wait_until,
)

KEY = {"p": s("some"), "r": s("r")}
INTO_H = (
    "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: h"
)


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    """Indexes on g with range n: everything, keys only, and keys with two attributes."""
    with table(
        client,
        "p/r",
        gsi=(
            ("all", "g/n:N", "ALL"),
            ("keys", "g/n:N", "KEYS_ONLY"),
            ("some", "g/n:N", "INCLUDE", ["x", "y"]),
            ("hash_only", "h", "ALL"),
        ),
    ) as made:
        yield made


def query(
    client: Any, name: str, index: str, value: dict[str, Any], key: str = "g", **more: Any
) -> list[Item]:
    """All items of one key of an index."""
    return all_items(
        client.query,
        TableName=name,
        IndexName=index,
        KeyConditionExpression=f"{key} = :v",
        ExpressionAttributeValues={":v": value, **more.pop("values", {})},
        **more,
    )


def eventually(
    client: Any, name: str, index: str, value: dict[str, Any], expected: list[Item], key: str = "g"
) -> None:
    """Wait until the index holds exactly these items for the value."""
    wait_until(
        lambda: same_items(query(client, name, index, value, key), expected),
        f"{index} holds {expected} for {value}; it holds {query(client, name, index, value, key)}",
    )


def item(group: dict[str, Any], number: int, **more: Any) -> Item:
    """An item of a new partition that all indexes on g hold."""
    return {"p": s(unique()), "r": s("r"), "g": group, "n": n(number), **more}


def test_put_change_and_delete_reach_the_index(client: Any, name: str) -> None:
    group, moved = s(unique()), s(unique())
    stored = item(group, 1, x=s("x"))
    key = {"p": stored["p"], "r": stored["r"]}
    client.put_item(TableName=name, Item=stored)
    eventually(client, name, "all", group, [stored])
    client.update_item(
        TableName=name, Key=key, UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": s("new")}
    )
    eventually(client, name, "all", group, [{**stored, "x": s("new")}])
    client.update_item(
        TableName=name, Key=key, UpdateExpression="SET g = :g", ExpressionAttributeValues={":g": moved}
    )
    eventually(client, name, "all", group, [])
    eventually(client, name, "all", moved, [{**stored, "x": s("new"), "g": moved}])
    client.update_item(TableName=name, Key=key, UpdateExpression="REMOVE g")
    eventually(client, name, "all", moved, [])
    client.put_item(TableName=name, Item=stored)
    eventually(client, name, "all", group, [stored])
    client.delete_item(TableName=name, Key=key)
    eventually(client, name, "all", group, [])


def test_projections(client: Any, name: str) -> None:
    group = s(unique())
    stored = item(group, 1, x=s("x"), y=n(2), z=s("z"))
    client.put_item(TableName=name, Item=stored)
    keys = {key: stored[key] for key in ("p", "r", "g", "n")}
    eventually(client, name, "all", group, [stored])
    eventually(client, name, "keys", group, [keys])
    eventually(client, name, "some", group, [{**keys, "x": s("x"), "y": n(2)}])
    assert query(client, name, "all", group, ProjectionExpression="z") == [{"z": s("z")}]
    assert query(client, name, "some", group, Select="ALL_PROJECTED_ATTRIBUTES") == [
        {**keys, "x": s("x"), "y": n(2)}
    ]


@pytest.mark.parametrize("index", ["keys", "some"])
def test_all_attributes_need_an_all_projection(client: Any, name: str, index: str) -> None:
    for call, more in (
        (client.scan, {}),
        (client.query, {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": s("x")}}),
    ):
        assert error(call, TableName=name, IndexName=index, Select="ALL_ATTRIBUTES", **more) == invalid(
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported "
            "for global "
            f"secondary index {index} because its projection type is not ALL"
        )


def test_unprojected_attributes_cannot_be_asked_for(client: Any, name: str) -> None:
    refused = error(
        client.query,
        TableName=name,
        IndexName="keys",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": s("x")},
        ProjectionExpression="g, z",
    )
    assert refused == ("ValidationException", Containing("z", "keys"))


def test_sparse(client: Any, name: str) -> None:
    group = s(unique())
    whole = item(group, 1)
    put_all(
        client,
        name,
        [
            whole,
            {"p": s(unique()), "r": s("r"), "g": group},
            {"p": s(unique()), "r": s("r"), "n": n(1)},
            {"p": s(unique()), "r": s("r")},
        ],
    )
    eventually(client, name, "all", group, [whole])


def test_order_and_ranges(client: Any, name: str) -> None:
    group = s(unique())
    put_all(client, name, [item(group, number) for number in (5, -3, 10, 0, 7)])
    wait_until(lambda: len(query(client, name, "all", group)) == 5, "five entries")
    assert column(query(client, name, "all", group), "n") == ["-3", "0", "5", "7", "10"]
    assert column(query(client, name, "all", group, ScanIndexForward=False), "n") == [
        "10",
        "7",
        "5",
        "0",
        "-3",
    ]
    found = all_items(
        client.query,
        TableName=name,
        IndexName="all",
        KeyConditionExpression="g = :g AND n BETWEEN :a AND :b",
        ExpressionAttributeValues={":g": group, ":a": n(0), ":b": n(7)},
    )
    assert column(found, "n") == ["0", "5", "7"]


def test_equal_keys_of_many_items(client: Any, name: str) -> None:
    group = s(unique())
    stored = [item(group, 1) for _ in range(9)]
    put_all(client, name, stored)
    eventually(client, name, "all", group, stored)
    got = pages(
        client.query,
        TableName=name,
        IndexName="all",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": group},
        Limit=2,
    )
    assert same_items([i for page in got for i in page["Items"]], stored)
    for page in got[:-1]:
        last = page["Items"][-1]
        assert page["LastEvaluatedKey"] == {key: last[key] for key in ("p", "r", "g", "n")}


def test_start_keys_must_hold_both_keys(client: Any, name: str) -> None:
    query_ = {
        "TableName": name,
        "IndexName": "all",
        "KeyConditionExpression": "g = :g",
        "ExpressionAttributeValues": {":g": s("x")},
    }
    for start in (
        {"p": s("a"), "r": s("b")},
        {"g": s("x"), "n": n(1)},
        {"p": s("a"), "r": s("b"), "g": s("x")},
        {"p": s("a"), "r": s("b"), "g": s("x"), "n": s("1")},
    ):
        code, message = error(client.query, ExclusiveStartKey=start, **query_)
        assert code == "ValidationException"
        assert message.startswith("The provided starting key is invalid")
    other = {"p": s("a"), "r": s("b"), "g": s("y"), "n": n(1)}
    assert error(client.query, ExclusiveStartKey=other, **query_)[0] == "ValidationException"


def test_scan_of_an_index(client: Any) -> None:
    with table(client, "p", gsi=(("by_g", "g"),)) as made:
        stored = [{"p": s(f"k{i}"), "g": s(f"g{i % 4}")} for i in range(20)]
        put_all(client, made, [*stored, {"p": s("sparse")}])
        wait_until(lambda: client.scan(TableName=made, IndexName="by_g")["Count"] == 20, "twenty entries")
        got = pages(client.scan, TableName=made, IndexName="by_g", Limit=3)
        assert same_items([i for page in got for i in page["Items"]], stored)
        parts = [
            all_items(client.scan, TableName=made, IndexName="by_g", Segment=i, TotalSegments=3)
            for i in range(3)
        ]
        assert same_items([i for part in parts for i in part], stored)
        filtered = client.scan(
            TableName=made,
            IndexName="by_g",
            FilterExpression="p = :p",
            ExpressionAttributeValues={":p": s("k3")},
        )
        assert filtered["Items"] == [{"p": s("k3"), "g": s("g3")}]


def test_filters_may_use_table_keys_but_not_index_keys(client: Any, name: str) -> None:
    query_ = {"TableName": name, "IndexName": "all", "KeyConditionExpression": "g = :g"}
    values = {"ExpressionAttributeValues": {":g": s("x")}}
    client.query(**query_, **values, FilterExpression="attribute_exists(p)")
    assert error(client.query, **query_, **values, FilterExpression="attribute_exists(n)") == invalid(
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: n"
    )


def test_no_strong_reads(client: Any, name: str) -> None:
    text = Containing("Consistent reads are not supported on global secondary indexes")
    assert error(client.scan, TableName=name, IndexName="all", ConsistentRead=True) == (
        "ValidationException",
        text,
    )
    refused = error(
        client.query,
        TableName=name,
        IndexName="all",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": s("x")},
        ConsistentRead=True,
    )
    assert refused == ("ValidationException", text)


TYPE = (
    "One or more parameter values were invalid: "
    "Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: {}"
)


def test_index_keys_are_checked_on_every_write(client: Any, name: str) -> None:
    base = {"p": s(unique()), "r": s("r")}
    for value, kind in ((n(1), "N"), ({"NULL": True}, "NULL"), ({"M": {}}, "M"), ({"BOOL": True}, "BOOL")):
        refused = error(client.put_item, TableName=name, Item={**base, "h": value})
        assert refused == invalid(TYPE.format("h", "S", kind, "hash_only"))
        refused = error(
            client.update_item,
            TableName=name,
            Key=base,
            UpdateExpression="SET h = :h",
            ExpressionAttributeValues={":h": value},
        )
        assert refused == invalid(TYPE.format("h", "S", kind, "hash_only"))
        refused = error(
            client.batch_write_item, RequestItems={name: [{"PutRequest": {"Item": {**base, "h": value}}}]}
        )
        assert refused == invalid(TYPE.format("h", "S", kind, "hash_only"))
    assert "Item" not in client.get_item(TableName=name, Key=base, ConsistentRead=True)


def test_empty_index_keys(client: Any, name: str) -> None:
    refused = error(client.put_item, TableName=name, Item={"p": s("x"), "r": s("r"), "h": s("")})
    assert refused == (
        "ValidationException",
        Containing("One or more parameter values are not valid. ", "IndexName: hash_only, IndexKey: h"),
    )


def test_long_index_keys(client: Any, name: str) -> None:
    base = {"p": s(unique()), "r": s("r")}
    client.put_item(TableName=name, Item={**base, "h": s("x" * 2048)})
    assert (
        error(client.put_item, TableName=name, Item={**base, "h": s("x" * 2049)})[0] == "ValidationException"
    )


def test_a_path_into_an_index_key(client: Any, name: str) -> None:
    key = {"p": s(unique()), "r": s("r")}
    for path in ("h.x", "h[0]"):
        refused = error(
            client.update_item,
            TableName=name,
            Key=key,
            UpdateExpression=f"SET {path} = :v",
            ExpressionAttributeValues={":v": n(1)},
        )
        assert refused == (
            "ValidationException",
            Containing(
                "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed",
                "h",
            ),
        )


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("get_item", {"Key": KEY, "ProjectionExpression": "a, h.x"}),
        ("put_item", {"Item": KEY, "ConditionExpression": "attribute_not_exists(h[0])"}),
        ("delete_item", {"Key": KEY, "ConditionExpression": "attribute_not_exists(h.x)"}),
        ("update_item", {"Key": KEY, "ConditionExpression": "attribute_not_exists(h.x)"}),
        ("scan", {"FilterExpression": "attribute_exists(h.x)"}),
        ("scan", {"ProjectionExpression": "h[1]"}),
    ],
)
def test_no_expression_looks_into_an_index_key(
    client: Any, name: str, operation: str, parameters: dict[str, Any]
) -> None:
    assert error(getattr(client, operation), TableName=name, **parameters) == invalid(INTO_H)


def test_a_batch_does_not_look_into_an_index_key(client: Any, name: str) -> None:
    request = {name: {"Keys": [KEY], "ProjectionExpression": "h.x"}}
    assert error(client.batch_get_item, RequestItems=request) == invalid(INTO_H)


def test_a_bad_index_key_refuses_the_whole_batch(client: Any, name: str) -> None:
    good, bad = {"p": s(unique()), "r": s("1")}, {"p": s(unique()), "r": s("2"), "h": n(1)}
    refused = error(
        client.batch_write_item,
        RequestItems={name: [{"PutRequest": {"Item": good}}, {"PutRequest": {"Item": bad}}]},
    )
    assert refused == (
        "ValidationException",
        Containing("Type mismatch for Index Key h Expected: S Actual: N"),
    )
    assert "Item" not in client.get_item(TableName=name, Key=good, ConsistentRead=True)


@pytest.mark.parametrize(
    "parameters",
    [
        {"FilterExpression": "attribute_exists(z)"},
        {"FilterExpression": "attribute_exists(z)", "Select": "COUNT"},
    ],
)
def test_a_query_filters_only_what_the_index_holds(
    client: Any, name: str, parameters: dict[str, Any]
) -> None:
    refused = error(
        client.query,
        TableName=name,
        IndexName="keys",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": s("x")},
        **parameters,
    )
    assert refused == invalid(
        "One or more parameter values were invalid: "
        "Secondary index keys does not project one or more filter attributes: [z]"
    )


def test_an_index_on_the_tables_own_keys(client: Any) -> None:
    with table(client, "p/r", gsi=(("swapped", "r/p", "KEYS_ONLY"),)) as made:
        stored = [{"p": s(f"p{i}"), "r": s("same")} for i in range(4)]
        put_all(client, made, stored)
        wait_until(lambda: query(client, made, "swapped", s("same"), "r") == stored, "the swapped order")


# --- keys of several attributes ---


@pytest.fixture(scope="module")
def wide(client: Any) -> Iterator[str]:
    """An index with two hash and three range attributes."""
    with table(client, "p", gsi=(("wide", "a,b:N/c,d:N,e", "ALL"),)) as made:
        put_all(
            client,
            made,
            [
                {"p": s(f"{c}{d}{e}"), "a": s("x"), "b": n(1), "c": s(c), "d": n(d), "e": s(e)}
                for c in "uv"
                for d in (-1, 2, 10)
                for e in "yz"
            ]
            + [{"p": s("lacks e"), "a": s("x"), "b": n(1), "c": s("u"), "d": n(1)}]
            + [{"p": s("lacks b"), "a": s("x"), "c": s("u"), "d": n(1), "e": s("y")}]
            + [{"p": s("other b"), "a": s("x"), "b": n(2), "c": s("u"), "d": n(1), "e": s("y")}],
        )
        wait_until(lambda: client.scan(TableName=made, IndexName="wide")["Count"] == 13, "thirteen entries")
        yield made


BOTH = "a = :a AND b = :b"


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        (
            "",
            {},
            ["u-1y", "u-1z", "u2y", "u2z", "u10y", "u10z", "v-1y", "v-1z", "v2y", "v2z", "v10y", "v10z"],
        ),
        (" AND c = :c", {":c": s("u")}, ["u-1y", "u-1z", "u2y", "u2z", "u10y", "u10z"]),
        (" AND c > :c", {":c": s("u")}, ["v-1y", "v-1z", "v2y", "v2z", "v10y", "v10z"]),
        (" AND begins_with(c, :c)", {":c": s("v")}, ["v-1y", "v-1z", "v2y", "v2z", "v10y", "v10z"]),
        (" AND c = :c AND d = :d", {":c": s("u"), ":d": n(2)}, ["u2y", "u2z"]),
        (" AND c = :c AND d < :d", {":c": s("u"), ":d": n(10)}, ["u-1y", "u-1z", "u2y", "u2z"]),
        (
            " AND c = :c AND d BETWEEN :d AND :e",
            {":c": s("v"), ":d": n(0), ":e": n(10)},
            ["v2y", "v2z", "v10y", "v10z"],
        ),
        (" AND c = :c AND d = :d AND e = :e", {":c": s("v"), ":d": n(10), ":e": s("z")}, ["v10z"]),
        (" AND c = :c AND d = :d AND e > :e", {":c": s("v"), ":d": n(10), ":e": s("y")}, ["v10z"]),
    ],
)
def test_wide_keys(
    client: Any, wide: str, condition: str, values: dict[str, Any], expected: list[str]
) -> None:
    more = {
        "TableName": wide,
        "IndexName": "wide",
        "KeyConditionExpression": BOTH + condition,
        "ExpressionAttributeValues": {":a": s("x"), ":b": n(1), **values},
    }
    assert column(all_items(client.query, **more), "p") == expected
    assert column(all_items(client.query, **more, Limit=1), "p") == expected
    assert column(all_items(client.query, **more, ScanIndexForward=False), "p") == expected[::-1]


@pytest.mark.parametrize(
    "condition",
    [
        "a = :a",
        "b = :b",
        "a = :a AND b > :b",
        BOTH + " AND d = :d",
        BOTH + " AND e = :e",
        BOTH + " AND c = :c AND e = :e",
        BOTH + " AND c > :c AND d = :d",
        BOTH + " AND c BETWEEN :c AND :c2 AND d = :d",
    ],
)
def test_wide_keys_refused(client: Any, wide: str, condition: str) -> None:
    every = {":a": s("x"), ":b": n(1), ":c": s("u"), ":c2": s("v"), ":d": n(1), ":e": s("y")}
    words = condition.split()
    refused = error(
        client.query,
        TableName=wide,
        IndexName="wide",
        KeyConditionExpression=condition,
        ExpressionAttributeValues={key: value for key, value in every.items() if key in words},
    )
    assert refused[0] == "ValidationException"


def test_wide_keys_are_described(client: Any, wide: str) -> None:
    (found,) = client.describe_table(TableName=wide)["Table"]["GlobalSecondaryIndexes"]
    assert [(k["AttributeName"], k["KeyType"]) for k in found["KeySchema"]] == [
        ("a", "HASH"),
        ("b", "HASH"),
        ("c", "RANGE"),
        ("d", "RANGE"),
        ("e", "RANGE"),
    ]
