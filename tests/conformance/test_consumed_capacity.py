"""ReturnConsumedCapacity and ReturnItemCollectionMetrics: exact units for every operation and index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import OneOf, error, n, prefixed, put_all, s, table, unique, wait_until


def of_size(size: int, key: str | None = None) -> dict[str, Any]:
    """An item of exactly `size` bytes (one key attribute `p`, one filler `f`)."""
    name = key or unique()
    return {"p": s(name), "f": s("x" * (size - 2 - len(name)))}


def units(answer: dict[str, Any]) -> float:
    """The capacity units of an answer."""
    return answer["ConsumedCapacity"]["CapacityUnits"]


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.fixture(scope="module")
def ranged(client: Any) -> Iterator[str]:
    """Partition x: eight items of 1,000 bytes; partition y: empty."""
    with table(client, "p/r:N") as made:
        items = [{"p": s("x"), "r": n(i), "f": s("")} for i in range(1, 9)]
        for item in items:
            item["f"] = s("y" * (1000 - 1 - 1 - 1 - 2 - 1))
        put_all(client, made, items)
        yield made


@pytest.mark.parametrize(
    ("size", "strong", "eventual"),
    [(100, 1, 0.5), (4096, 1, 0.5), (4097, 2, 1), (8192, 2, 1), (8193, 3, 1.5), (409_600, 100, 50)],
)
def test_get(client: Any, name: str, size: int, strong: float, eventual: float) -> None:
    item = of_size(size)
    client.put_item(TableName=name, Item=item)
    get = {"TableName": name, "Key": {"p": item["p"]}, "ReturnConsumedCapacity": "TOTAL"}
    assert units(client.get_item(**get, ConsistentRead=True)) == strong
    assert units(client.get_item(**get)) == eventual
    assert units(client.get_item(**get, ProjectionExpression="p")) == eventual


def test_get_of_a_missing_item(client: Any, name: str) -> None:
    get = {"TableName": name, "Key": {"p": s(unique())}, "ReturnConsumedCapacity": "TOTAL"}
    assert units(client.get_item(**get, ConsistentRead=True)) == 1
    assert units(client.get_item(**get)) == 0.5


@pytest.mark.parametrize(
    ("size", "cost"), [(50, 1), (1024, 1), (1025, 2), (2048, 2), (2049, 3), (10_240, 10)]
)
def test_put_and_delete(client: Any, name: str, size: int, cost: int) -> None:
    item = of_size(size)
    key = {"p": item["p"]}
    total = {"TableName": name, "ReturnConsumedCapacity": "TOTAL"}
    assert units(client.put_item(Item=item, **total)) == cost
    assert units(client.put_item(Item=key, **total)) == cost, "the larger of old and new counts"
    assert units(client.put_item(Item=key, **total)) == 1
    assert units(client.put_item(Item=item, **total)) == cost
    assert units(client.delete_item(Key=key, **total)) == cost
    assert units(client.delete_item(Key=key, **total)) == 1, "a missing item counts one"


def test_update(client: Any, name: str) -> None:
    item = of_size(2500)
    client.put_item(TableName=name, Item=item)
    total = {"TableName": name, "Key": {"p": item["p"]}, "ReturnConsumedCapacity": "TOTAL"}
    assert (
        units(
            client.update_item(**total, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": n(1)})
        )
        == 3
    )
    assert units(client.update_item(**total, UpdateExpression="REMOVE f")) == 3
    assert units(client.update_item(**total, UpdateExpression="REMOVE a")) == 1
    fresh = {**total, "Key": {"p": s(unique())}}
    assert units(client.update_item(**fresh)) == 1


@pytest.mark.parametrize(
    ("conditions", "strong", "eventual"),
    [
        ({":a": n(1), ":b": n(1)}, 1, 0.5),
        ({":a": n(1), ":b": n(4)}, 1, 0.5),
        ({":a": n(1), ":b": n(5)}, 2, 1),
        ({":a": n(1), ":b": n(8)}, 2, 1),
    ],
)
def test_query_sums_then_rounds(
    client: Any, ranged: str, conditions: dict[str, Any], strong: float, eventual: float
) -> None:
    query = {
        "TableName": ranged,
        "KeyConditionExpression": "p = :p AND r BETWEEN :a AND :b",
        "ExpressionAttributeValues": {":p": s("x"), **conditions},
        "ReturnConsumedCapacity": "TOTAL",
    }
    assert units(client.query(**query, ConsistentRead=True)) == strong
    assert units(client.query(**query)) == eventual
    assert units(client.query(**query, ProjectionExpression="p")) == eventual
    assert units(client.query(**query, Select="COUNT")) == eventual
    filtered = {**query, "FilterExpression": "attribute_exists(gone)"}
    assert units(client.query(**filtered)) == eventual


def test_scan_sums_then_rounds(client: Any, ranged: str) -> None:
    scan = {"TableName": ranged, "ReturnConsumedCapacity": "TOTAL"}
    assert units(client.scan(**scan, ConsistentRead=True)) == 2
    assert units(client.scan(**scan)) == 1
    assert units(client.scan(**scan, FilterExpression="attribute_exists(gone)", Select="COUNT")) == 1


def test_batch_get_rounds_each_item(client: Any, ranged: str, name: str) -> None:
    item = of_size(4097)
    client.put_item(TableName=name, Item=item)
    request = {
        ranged: {"Keys": [{"p": s("x"), "r": n(i)} for i in (1, 2, 99)]},
        name: {"Keys": [{"p": item["p"]}], "ConsistentRead": True},
    }
    answer = client.batch_get_item(RequestItems=request, ReturnConsumedCapacity="TOTAL")
    counted = {entry["TableName"]: entry["CapacityUnits"] for entry in answer["ConsumedCapacity"]}
    assert counted == {ranged: 1.5, name: 2}
    assert "ConsumedCapacity" not in client.batch_get_item(RequestItems=request)


def test_batch_write_sums_per_table(client: Any, ranged: str, name: str) -> None:
    old = of_size(3000)
    client.put_item(TableName=name, Item=old)
    request = {
        name: [
            {"PutRequest": {"Item": of_size(1500)}},
            {"DeleteRequest": {"Key": {"p": old["p"]}}},
            {"DeleteRequest": {"Key": {"p": s(unique())}}},
        ],
        ranged: [{"PutRequest": {"Item": {"p": s("other"), "r": n(1)}}}],
    }
    answer = client.batch_write_item(RequestItems=request, ReturnConsumedCapacity="TOTAL")
    counted = {entry["TableName"]: entry["CapacityUnits"] for entry in answer["ConsumedCapacity"]}
    assert counted == {name: 2 + 3 + 1, ranged: 1}


def test_shapes(client: Any, name: str) -> None:
    item = {"p": s(unique())}
    assert "ConsumedCapacity" not in client.put_item(TableName=name, Item=item)
    assert "ConsumedCapacity" not in client.put_item(TableName=name, Item=item, ReturnConsumedCapacity="NONE")
    total = client.put_item(TableName=name, Item=item, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert total == {"TableName": name, "CapacityUnits": 1.0}
    indexes = client.put_item(TableName=name, Item=item, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert indexes == {"TableName": name, "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}
    got = client.get_item(TableName=name, Key=item, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert got == {"TableName": name, "CapacityUnits": 0.5, "Table": {"CapacityUnits": 0.5}}


def test_an_unknown_mode(client: Any, name: str) -> None:
    assert error(
        client.get_item, TableName=name, Key={"p": s("x")}, ReturnConsumedCapacity="cat"
    ) == prefixed(
        "Value 'cat' at 'returnConsumedCapacity' failed to satisfy constraint: "
        "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
    )


@pytest.fixture(scope="module")
def indexed(client: Any) -> Iterator[str]:
    """A table with a GSI of keys and one attribute, a GSI of everything, and an LSI."""
    with table(
        client,
        "p/r:N",
        gsi=(("some", "g", "INCLUDE", ["inc"]), ("everything", "h", "ALL")),
        lsi=(("local", "p/l:N", "KEYS_ONLY"),),
    ) as made:
        yield made


def arms(answer: dict[str, Any]) -> dict[str, float]:
    """The units of table and indexes, by name."""
    consumed = answer["ConsumedCapacity"]
    found = {"table": consumed["Table"]["CapacityUnits"]}
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        found.update({name: arm["CapacityUnits"] for name, arm in consumed.get(kind, {}).items()})
    assert consumed["CapacityUnits"] == sum(found.values())
    assert kind_is_absent_when_empty(consumed)
    return found


def kind_is_absent_when_empty(consumed: dict[str, Any]) -> bool:
    """Whether no index map is present and empty."""
    return all(consumed.get(kind, True) for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"))


def test_writes_cost_what_changes_in_each_index(client: Any, indexed: str) -> None:
    key = {"p": s(unique()), "r": n(1)}
    how = {"TableName": indexed, "ReturnConsumedCapacity": "INDEXES"}

    def put(**attributes: Any) -> dict[str, float]:
        return arms(client.put_item(Item={**key, **attributes}, **how))

    assert put() == {"table": 1}
    assert put(g=s("a"), l=n(1)) == {"table": 1, "some": 1, "local": 1}
    assert put(g=s("a"), l=n(1)) == {"table": 1}, "an identical overwrite costs the indexes nothing"
    assert put(g=s("b"), l=n(1)) == {"table": 1, "some": 2}, "a key that moves costs a delete and an insert"
    assert put(g=s("b"), l=n(1), inc=n(5)) == {"table": 1, "some": 1}
    assert put(g=s("b"), l=n(1), inc=n(5), other=n(7)) == {"table": 1}, "an unprojected change costs nothing"
    assert put(g=s("b"), l=n(1), inc=n(5), other=n(7), h=s("h")) == {"table": 1, "everything": 1}
    assert put(g=s("b"), l=n(1), inc=n(5), other=n(8), h=s("h")) == {"table": 1, "everything": 1}
    assert put(g=s("b"), l=n(2), inc=n(5), other=n(8), h=s("h")) == {"table": 1, "everything": 1, "local": 2}
    deleted = arms(client.delete_item(Key=key, **how))
    assert deleted == {"table": 1, "some": 1, "everything": 1, "local": 1}


def test_total_counts_the_indexes(client: Any, indexed: str) -> None:
    item = {"p": s(unique()), "r": n(1), "g": s("a"), "h": s("b"), "l": n(1)}
    answer = client.put_item(TableName=indexed, Item=item, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": indexed, "CapacityUnits": 4.0}


def test_a_big_entry_costs_by_its_size(client: Any, indexed: str) -> None:
    item = {
        "p": s(unique()),
        "r": n(1),
        "g": s("a"),
        "h": s("b"),
        "inc": s("x" * 3000),
        "other": s("y" * 3000),
    }
    found = arms(client.put_item(TableName=indexed, Item=item, ReturnConsumedCapacity="INDEXES"))
    assert found == {"table": 6, "some": 3, "everything": 6}


def test_updates_of_indexed_items(client: Any, indexed: str) -> None:
    key = {"p": s(unique()), "r": n(1)}
    client.put_item(TableName=indexed, Item={**key, "g": s("a"), "inc": n(1)})
    how = {"TableName": indexed, "Key": key, "ReturnConsumedCapacity": "INDEXES"}

    def update(expression: str, **values: Any) -> dict[str, float]:
        more = (
            {"ExpressionAttributeValues": {":" + name: value for name, value in values.items()}}
            if values
            else {}
        )
        return arms(client.update_item(UpdateExpression=expression, **more, **how))

    assert update("SET inc = :v", v=n(2)) == {"table": 1, "some": 1}
    assert update("SET elsewhere = :v", v=n(2)) == {"table": 1}
    assert update("SET g = :v", v=s("z")) == {"table": 1, "some": 2}
    assert update("REMOVE g") == {"table": 1, "some": 1}


def test_reads_of_indexes(client: Any, indexed: str) -> None:
    partition = s(unique())
    client.put_item(TableName=indexed, Item={"p": partition, "r": n(1), "h": partition, "l": n(1)})
    query = {
        "TableName": indexed,
        "IndexName": "everything",
        "KeyConditionExpression": "h = :h",
        "ExpressionAttributeValues": {":h": partition},
        "ReturnConsumedCapacity": "INDEXES",
    }
    wait_until(lambda: client.query(**query)["Count"] == 1, "the index entry")
    consumed = client.query(**query)["ConsumedCapacity"]
    assert consumed["CapacityUnits"] == 0.5
    assert consumed["GlobalSecondaryIndexes"] == {"everything": {"CapacityUnits": 0.5}}
    assert consumed["Table"] == {"CapacityUnits": 0.0}
    query |= {"IndexName": "local", "KeyConditionExpression": "p = :h", "ConsistentRead": True}
    consumed = client.query(**query)["ConsumedCapacity"]
    assert consumed["CapacityUnits"] == 1
    assert consumed["LocalSecondaryIndexes"] == {"local": {"CapacityUnits": 1.0}}


def test_a_local_index_that_fetches_costs_each_whole_item(client: Any, indexed: str) -> None:
    partition = s(unique())
    for number in (1, 2):
        item = {"p": partition, "r": n(number), "l": n(number), "other": s("x" * 5000)}
        client.put_item(TableName=indexed, Item=item)
    query = {
        "TableName": indexed,
        "IndexName": "local",
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": partition},
        "ReturnConsumedCapacity": "INDEXES",
    }
    assert arms(client.query(**query)) == {"table": 0, "local": 0.5}
    assert arms(client.query(**query, Select="ALL_ATTRIBUTES")) == {"table": 2, "local": 0.5}
    names = {"ExpressionAttributeNames": {"#o": "other"}}
    strong = client.query(**query, ProjectionExpression="#o", ConsistentRead=True, **names)
    assert arms(strong) == {"table": 4, "local": 1}


def test_item_collection_metrics(client: Any, indexed: str, ranged: str) -> None:
    key = {"p": s(unique()), "r": n(1)}
    size = {"ReturnItemCollectionMetrics": "SIZE"}
    for answer in (
        client.put_item(TableName=indexed, Item=key, **size),
        client.update_item(TableName=indexed, Key=key, **size),
        client.delete_item(TableName=indexed, Key=key, **size),
    ):
        metrics = answer["ItemCollectionMetrics"]
        assert metrics["ItemCollectionKey"] == {"p": key["p"]}
        low, high = metrics["SizeEstimateRangeGB"]
        assert 0 <= low <= high
    assert "ItemCollectionMetrics" not in client.put_item(TableName=indexed, Item=key)
    assert "ItemCollectionMetrics" not in client.put_item(
        TableName=ranged, Item={"p": s("z"), "r": n(1)}, **size
    )
    batch = {
        indexed: [{"PutRequest": {"Item": key}}],
        ranged: [{"PutRequest": {"Item": {"p": s("z"), "r": n(1)}}}],
    }
    answer = client.batch_write_item(RequestItems=batch, **size)
    assert set(answer["ItemCollectionMetrics"]) == {indexed}
    assert answer["ItemCollectionMetrics"][indexed][0]["ItemCollectionKey"] == {"p": key["p"]}


def test_an_unknown_metrics_mode(client: Any, name: str) -> None:
    assert error(
        client.delete_item, TableName=name, Key={"p": s("x")}, ReturnItemCollectionMetrics="cat"
    ) == (
        "ValidationException",
        OneOf(
            "1 validation error detected: ReturnItemCollectionMetrics can only be SIZE or NONE",
            "1 validation error detected: Value 'cat' at 'returnItemCollectionMetrics' failed to satisfy "
            "constraint: Member must satisfy enum value set: [SIZE, NONE]",
        ),
    )
