"""TransactGetItems through the SDK, and what transactions cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import n, s, table, unique
from tests.conformance.test_transact_write import check, delete, put, reasons, update


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.fixture(scope="module")
def other(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


def get(table_name: str, key: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Get": {"TableName": table_name, "Key": key, **more}}


def of_size(size: int) -> dict[str, Any]:
    key = unique()
    return {"p": s(key), "f": s("x" * (size - 2 - len(key)))}


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"p": item["p"]}


# What is read.


@pytest.mark.parametrize("spread", [False, True])
def test_items_come_in_the_order_of_the_request(client: Any, name: str, other: str, spread: bool) -> None:
    second = other if spread else name
    one, two = {"p": s(unique()), "v": n(1)}, {"p": s(unique()), "v": n(2)}
    client.put_item(TableName=name, Item=one)
    client.put_item(TableName=second, Item=two)
    answer = client.transact_get_items(
        TransactItems=[
            get(second, key_of(two)),
            get(name, {"p": s("missing")}),
            get(name, key_of(one)),
        ]
    )
    assert answer["Responses"] == [{"Item": two}, {}, {"Item": one}]
    assert "ConsumedCapacity" not in answer


def test_projections(client: Any, name: str) -> None:
    item = {"p": s(unique()), "m": {"M": {"a": n(1), "b": n(2)}}, "v": s("x")}
    client.put_item(TableName=name, Item=item)
    empty = {"p": s(unique())}
    client.put_item(TableName=name, Item=empty)
    answer = client.transact_get_items(
        TransactItems=[
            get(
                name,
                key_of(item),
                ProjectionExpression="#m.a, v",
                ExpressionAttributeNames={"#m": "m"},
            ),
            get(name, empty, ProjectionExpression="nothing"),
        ]
    )
    assert answer["Responses"] == [{"Item": {"m": {"M": {"a": n(1)}}, "v": s("x")}}, {}]


def test_values_come_back_as_they_are(client: Any, name: str) -> None:
    item = {
        "p": s(unique()),
        "b": {"B": b"\x00\xff"},
        "set": {"NS": ["1", "2"]},
        "l": {"L": [{"NULL": True}, {"BOOL": False}]},
        "u": s("ünï"),
    }
    client.transact_write_items(TransactItems=[put(name, item)])
    [response] = client.transact_get_items(TransactItems=[get(name, key_of(item))])["Responses"]
    assert response["Item"]["b"] == item["b"] and response["Item"]["u"] == item["u"]
    assert sorted(response["Item"]["set"]["NS"]) == ["1", "2"] and response["Item"]["l"] == item["l"]


# What is consumed.


def consumed(answer: dict[str, Any]) -> dict[str, Any]:
    return {each.pop("TableName"): each for each in answer["ConsumedCapacity"]}


def test_reads_cost_twice_as_much(client: Any, name: str, other: str) -> None:
    small, large = of_size(100), of_size(5000)
    client.put_item(TableName=name, Item=small)
    client.put_item(TableName=other, Item=large)
    items = [get(name, key_of(small)), get(name, {"p": s("missing")}), get(other, key_of(large))]
    total = consumed(client.transact_get_items(TransactItems=items, ReturnConsumedCapacity="TOTAL"))
    four = {"CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}
    assert total == {name: four, other: four}
    whole = consumed(client.transact_get_items(TransactItems=items, ReturnConsumedCapacity="INDEXES"))
    assert whole == {name: {**four, "Table": four}, other: {**four, "Table": four}}
    none = client.transact_get_items(TransactItems=items, ReturnConsumedCapacity="NONE")
    assert "ConsumedCapacity" not in none


@pytest.mark.parametrize("spread", [False, True])
def test_writes_cost_twice_as_much(client: Any, name: str, other: str, spread: bool) -> None:
    second = other if spread else name
    large, small, checked = of_size(3000), of_size(500), of_size(1500)
    client.put_item(TableName=second, Item=checked)
    answer = client.transact_write_items(
        TransactItems=[
            put(name, large),
            put(second, small),
            check(second, key_of(checked), "attribute_exists(p)"),
            delete(second, {"p": s("missing")}),
            update(second, {"p": s(unique())}, "SET a = :a", {":a": n(1)}),
        ],
        ReturnConsumedCapacity="TOTAL",
    )
    # Kilobytes: 3; 1; 2 for the checked item; 1 for none; 1.
    expected = {name: 6.0, second: 10.0} if spread else {name: 16.0}
    assert consumed(answer) == {
        each: {"CapacityUnits": units, "WriteCapacityUnits": units} for each, units in expected.items()
    }


@pytest.mark.parametrize("spread", [False, True])
def test_indexes_cost_once(client: Any, other: str, spread: bool) -> None:
    with table(client, "p/r", lsi=(("local", "p/l"),), gsi=(("global", "g", "KEYS_ONLY"),)) as indexed:
        item = {"p": s("x"), "r": s("1"), "l": s("2"), "g": s("3"), "f": s("y" * 1500)}
        more = [put(other, {"p": s(unique())})] if spread else []
        answer = client.transact_write_items(
            TransactItems=[put(indexed, item), *more], ReturnConsumedCapacity="INDEXES"
        )

        def arm(units: float) -> dict[str, float]:
            return {"CapacityUnits": units, "WriteCapacityUnits": units}

        assert consumed(answer)[indexed] == {
            **arm(7.0),
            "Table": arm(4.0),
            "LocalSecondaryIndexes": {"local": arm(2.0)},
            "GlobalSecondaryIndexes": {"global": arm(1.0)},
        }


def test_a_cancelled_transaction_reports_nothing(client: Any, name: str) -> None:
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(
            TransactItems=[check(name, {"p": s("missing")}, "attribute_exists(p)")],
            ReturnConsumedCapacity="TOTAL",
        )
    assert "ConsumedCapacity" not in cancelled.value.response


@pytest.mark.parametrize("spread", [False, True])
def test_a_repeat_costs_reading_the_items(client: Any, name: str, other: str, spread: bool) -> None:
    second = other if spread else name
    request = {
        "TransactItems": [put(name, of_size(5000)), put(second, of_size(100))],
        "ReturnConsumedCapacity": "INDEXES",
        "ClientRequestToken": unique(),
    }
    client.transact_write_items(**request)
    answer = consumed(client.transact_write_items(**request))

    def arm(units: float) -> dict[str, Any]:
        units_read = {"CapacityUnits": units, "ReadCapacityUnits": units}
        return {**units_read, "Table": units_read}

    assert answer == ({name: arm(4.0), second: arm(2.0)} if spread else {name: arm(6.0)})


def test_item_collection_metrics(client: Any, name: str) -> None:
    with table(client, "p/r", lsi=(("local", "p/l"),)) as indexed:
        actions = [
            put(indexed, {"p": s("x"), "r": s("1")}),
            put(indexed, {"p": s("x"), "r": s("2")}),
            put(indexed, {"p": s("y"), "r": s("1")}),
            put(name, {"p": s(unique())}),
        ]
        answer = client.transact_write_items(TransactItems=actions, ReturnItemCollectionMetrics="SIZE")
        metrics = answer["ItemCollectionMetrics"]
        assert set(metrics) == {indexed}
        assert [each["ItemCollectionKey"] for each in metrics[indexed]] == [{"p": s("x")}, {"p": s("y")}]
        assert all(each["SizeEstimateRangeGB"] == [0.0, 1.0] for each in metrics[indexed])
    answer = client.transact_write_items(
        TransactItems=[put(name, {"p": s(unique())})], ReturnItemCollectionMetrics="SIZE"
    )
    assert "ItemCollectionMetrics" not in answer


def test_reasons_align_with_a_hundred_actions(client: Any, name: str, other: str) -> None:
    actions = [put(name if i % 2 else other, {"p": s(unique())}) for i in range(99)]
    found = reasons(client, *actions, check(name, {"p": s("missing")}, "attribute_exists(p)"))
    assert [reason["Code"] for reason in found] == ["None"] * 99 + ["ConditionalCheckFailed"]
