"""Scan: everything exactly once, filters, paging, parallel segments, and refused parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import (
    all_items,
    either,
    error,
    invalid,
    n,
    not_found,
    pages,
    prefixed,
    put_all,
    s,
    same_items,
    table,
    unique,
)

COUNT = 60
ITEMS = [{"p": s(f"key{i % 12}"), "r": n(i), "v": n(i % 5)} for i in range(COUNT)]


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p/r:N") as made:
        put_all(client, made, ITEMS)
        yield made


@pytest.fixture(scope="module")
def hashed(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        put_all(client, made, [{"p": s(f"k{i}"), "v": n(i)} for i in range(40)])
        yield made


def test_everything_once(client: Any, name: str) -> None:
    page = client.scan(TableName=name, ConsistentRead=True)
    assert page["Count"] == page["ScannedCount"] == COUNT
    assert "LastEvaluatedKey" not in page
    assert same_items(page["Items"], ITEMS)


def test_partitions_are_contiguous_and_sorted(client: Any, name: str) -> None:
    items = client.scan(TableName=name, ConsistentRead=True)["Items"]
    order: list[str] = []
    for item in items:
        if not order or order[-1] != item["p"]["S"]:
            order.append(item["p"]["S"])
    assert len(order) == len(set(order)) == 12
    for partition in order:
        numbers = [int(item["r"]["N"]) for item in items if item["p"]["S"] == partition]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("limit", [1, 7, 59, 60, 61])
def test_paging(client: Any, name: str, limit: int) -> None:
    got = pages(client.scan, TableName=name, Limit=limit, ConsistentRead=True)
    assert same_items([item for page in got for item in page["Items"]], ITEMS)
    assert len(got) == COUNT // limit + 1
    for page in got[:-1]:
        last = page["Items"][-1]
        assert page["LastEvaluatedKey"] == {"p": last["p"], "r": last["r"]}
        assert page["Count"] == page["ScannedCount"] == limit


def test_an_empty_table(client: Any) -> None:
    with table(client, "p") as made:
        page = client.scan(TableName=made)
        assert (page["Items"], page["Count"], page["ScannedCount"]) == ([], 0, 0)
        assert "LastEvaluatedKey" not in page


def test_filters(client: Any, name: str) -> None:
    page = client.scan(
        TableName=name, FilterExpression="v = :v", ExpressionAttributeValues={":v": n(3)}, ConsistentRead=True
    )
    assert (page["Count"], page["ScannedCount"]) == (12, 60)
    assert all(item["v"] == n(3) for item in page["Items"])


def test_a_filter_may_use_key_attributes(client: Any, name: str) -> None:
    found = client.scan(
        TableName=name,
        FilterExpression="p = :p AND r >= :r",
        ExpressionAttributeValues={":p": s("key3"), ":r": n(27)},
        ConsistentRead=True,
    )
    assert sorted(int(item["r"]["N"]) for item in found["Items"]) == [27, 39, 51]


def test_filter_and_limit(client: Any, name: str) -> None:
    got = pages(
        client.scan,
        TableName=name,
        FilterExpression="v = :v",
        ExpressionAttributeValues={":v": n(3)},
        Limit=10,
    )
    assert [page["ScannedCount"] for page in got] == [10] * 6 + [0]
    assert sum(page["Count"] for page in got) == 12


@pytest.mark.parametrize("segments", [1, 2, 3, 8, 100])
def test_segments_part_the_table(client: Any, name: str, segments: int) -> None:
    found: list[dict[str, Any]] = []
    for segment in range(segments):
        more = {
            "TableName": name,
            "Segment": segment,
            "TotalSegments": segments,
            "Limit": 4,
            "ConsistentRead": True,
        }
        found += all_items(client.scan, **more)
    assert same_items(found, ITEMS)


def test_segments_of_a_hash_only_table(client: Any, hashed: str) -> None:
    parts = [
        all_items(client.scan, TableName=hashed, Segment=i, TotalSegments=4, ConsistentRead=True)
        for i in range(4)
    ]
    assert sum(map(len, parts)) == 40
    assert len({item["p"]["S"] for part in parts for item in part}) == 40
    assert sum(bool(part) for part in parts) > 1, "the keys should spread over the segments"


def test_a_million_segments(client: Any, hashed: str) -> None:
    page = client.scan(TableName=hashed, Segment=999_999, TotalSegments=1_000_000)
    assert page["Count"] <= 40


def test_a_start_key_of_another_segment(client: Any, hashed: str) -> None:
    parts = [client.scan(TableName=hashed, Segment=i, TotalSegments=2, Limit=1) for i in range(2)]
    refused = error(
        client.scan,
        TableName=hashed,
        Segment=0,
        TotalSegments=2,
        ExclusiveStartKey=parts[1]["LastEvaluatedKey"],
    )
    assert refused == invalid(
        "The provided starting key is invalid: Invalid ExclusiveStartKey. "
        "Please use ExclusiveStartKey with correct Segment. TotalSegments: 2 Segment: 0"
    )


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (
            {"Segment": 0},
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present",
        ),
        (
            {"TotalSegments": 2},
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present",
        ),
        (
            {"Segment": 5, "TotalSegments": 5},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            "Segment: 5 is not less than TotalSegments: 5",
        ),
    ],
)
def test_segment_parameters(client: Any, hashed: str, parameters: dict[str, int], text: str) -> None:
    assert error(client.scan, TableName=hashed, **parameters) == either(text)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (
            {"Limit": 0},
            "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than "
            "or equal to 1",
        ),
        (
            {"Segment": -1, "TotalSegments": 1},
            "Value '-1' at 'segment' failed to satisfy constraint: Member must have value greater "
            "than or equal to 0",
        ),
        (
            {"Segment": 0, "TotalSegments": 0},
            "Value '0' at 'totalSegments' failed to satisfy constraint: Member must have value "
            "greater than or equal to 1",
        ),
        (
            {"Segment": 0, "TotalSegments": 1_000_001},
            "Value '1000001' at 'totalSegments' failed to satisfy constraint: "
            "Member must have value less than or equal to 1000000",
        ),
    ],
)
def test_ranges(client: Any, hashed: str, parameters: dict[str, int], text: str) -> None:
    assert error(client.scan, TableName=hashed, **parameters) == prefixed(text)


@pytest.mark.parametrize(
    "start",
    [{"p": s("x")}, {"p": s("x"), "r": s("1")}, {"p": s("x"), "r": n(1), "v": n(1)}, {"r": n(1)}],
)
def test_bad_start_keys(client: Any, name: str, start: dict[str, Any]) -> None:
    code, message = error(client.scan, TableName=name, ExclusiveStartKey=start)
    assert code == "ValidationException"
    assert message.startswith("The provided starting key is invalid")


def test_a_start_key_need_not_exist(client: Any, name: str) -> None:
    whole = client.scan(TableName=name, ConsistentRead=True)["Items"]
    middle = whole[20]
    start = {"p": middle["p"], "r": n(middle["r"]["N"] + ".5")}
    rest = client.scan(TableName=name, ExclusiveStartKey=start, ConsistentRead=True)["Items"]
    assert rest == whole[21:]


def test_missing_table_and_index(client: Any, name: str) -> None:
    assert error(client.scan, TableName=unique()) == not_found()
    assert error(client.scan, TableName=name, IndexName="nowhere") == invalid(
        "The table does not have the specified index: nowhere"
    )


def test_deleted_items_are_gone(client: Any) -> None:
    with table(client, "p") as made:
        put_all(client, made, [{"p": s(f"k{i}")} for i in range(10)])
        for i in range(0, 10, 2):
            client.delete_item(TableName=made, Key={"p": s(f"k{i}")})
        found = client.scan(TableName=made, ConsistentRead=True)["Items"]
        assert sorted(item["p"]["S"] for item in found) == ["k1", "k3", "k5", "k7", "k9"]


def test_tables_do_not_see_each_other(client: Any) -> None:
    with table(client, "p") as left, table(client, "p") as right:
        client.put_item(TableName=left, Item={"p": s("x"), "v": s("left")})
        client.put_item(TableName=right, Item={"p": s("x"), "v": s("right")})
        assert client.scan(TableName=left, ConsistentRead=True)["Items"] == [{"p": s("x"), "v": s("left")}]


def test_a_name_used_again_starts_empty(client: Any) -> None:
    name = unique()
    for _ in range(2):
        with table(client, "p", TableName=name):
            assert client.scan(TableName=name, ConsistentRead=True)["Count"] == 0
            client.put_item(TableName=name, Item={"p": s("x")})
