"""Exact units of every projection, of reads through indexes, of batches, and of writes whose condition fails."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import CONDITION_FAILED, error, n, s, table, unique, wait_until
from tests.conformance.test_consumed_capacity import arms, of_size, units


@pytest.fixture(scope="module")
def indexed(client: Any) -> Iterator[str]:
    """A table with a GSI and an LSI of every projection. All GSIs have the hash key `g`, all LSIs the range key `l`."""
    kinds = (("keys", "KEYS_ONLY"), ("some", "INCLUDE", ["inc"]), ("all", "ALL"))
    with table(
        client,
        "p/r:N",
        gsi=tuple((f"g-{name}", "g", *how) for name, *how in kinds),
        lsi=tuple((f"l-{name}", "p/l:N", *how) for name, *how in kinds),
    ) as made:
        yield made


INDEXES = {"g-keys", "g-some", "g-all", "l-keys", "l-some", "l-all"}


def every(cost: float, *names: str) -> dict[str, float]:
    """The same cost for several indexes."""
    return dict.fromkeys(names, cost)


def big(number: int, **attributes: Any) -> dict[str, Any]:
    """An item in all indexes: 3 KB in `inc`, 6 KB in `other`."""
    return {
        "r": n(number),
        "g": s("g"),
        "l": n(number),
        "inc": s("i" * 3000),
        "other": s("o" * 6000),
        **attributes,
    }


def test_each_projection_costs_the_size_of_its_entries(client: Any, indexed: str) -> None:
    key = {"p": s(unique()), "r": n(1)}
    how = {"TableName": indexed, "ReturnConsumedCapacity": "INDEXES"}

    def put(**attributes: Any) -> dict[str, float]:
        return arms(client.put_item(Item={**big(1, **attributes), **key}, **how))

    keys, some, whole = ("g-keys", "l-keys"), ("g-some", "l-some"), ("g-all", "l-all")
    inserted = {"table": 9, **every(1, *keys), **every(3, *some), **every(9, *whole)}
    assert put() == inserted
    assert put() == {"table": 9}, "nothing changed"
    assert put(other=s("z" * 6000)) == {"table": 9, **every(9, *whole)}, "only those that hold it"
    assert put(other=s("z" * 100)) == {"table": 9, **every(9, *whole)}, "the larger of old and new"
    assert put(inc=s("j" * 3000), other=s("z" * 100)) == {"table": 4, **every(3, *some), **every(4, *whole)}
    moved = put(g=s("h"), inc=s("j" * 3000), other=s("z" * 6000))
    assert moved == {"table": 9, "g-keys": 2, "g-some": 6, "g-all": 4 + 9, "l-all": 9}, "old entry and new"
    gone = arms(client.delete_item(TableName=indexed, Key=key, ReturnConsumedCapacity="INDEXES"))
    assert gone == inserted
    assert arms(client.delete_item(TableName=indexed, Key=key, ReturnConsumedCapacity="INDEXES")) == {
        "table": 1
    }


def test_updates_of_each_projection(client: Any, indexed: str) -> None:
    key = {"p": s(unique()), "r": n(1)}
    client.put_item(TableName=indexed, Item={**big(1), **key})
    how = {"TableName": indexed, "Key": key, "ReturnConsumedCapacity": "INDEXES"}

    def update(expression: str, **values: Any) -> dict[str, float]:
        given = {":" + name: value for name, value in values.items()}
        more = {"ExpressionAttributeValues": given} if given else {}
        names = {"ExpressionAttributeNames": {"#o": "other"}} if "#o" in expression else {}
        return arms(client.update_item(UpdateExpression=expression, **more, **names, **how))

    assert update("SET inc = :v", v=s("k" * 3000)) == {
        "table": 9,
        **every(3, "g-some", "l-some"),
        **every(9, "g-all", "l-all"),
    }
    assert update("SET #o = :v", v=s("z" * 100)) == {"table": 9, **every(9, "g-all", "l-all")}
    assert update("SET l = :v", v=n(1)) == {"table": 4}, "to the value that it had"
    assert update("SET l = :v", v=n(2)) == {
        "table": 4,
        "l-keys": 2,
        "l-some": 6,
        "l-all": 8,
        "g-all": 4,
    }, "an index key of another index is an attribute like others to those that hold everything"
    assert update("REMOVE l") == {"table": 4, "l-keys": 1, "l-some": 3, "l-all": 4, "g-all": 4}
    assert update("SET l = :v, g = :g", v=n(3), g=s("x")) == {
        "table": 4,
        "l-keys": 1,
        "l-some": 3,
        "l-all": 4,
        "g-keys": 2,
        "g-some": 6,
        "g-all": 8,
    }


@pytest.fixture(scope="module")
def filled(client: Any, indexed: str) -> str:
    """The name of a partition with three items of 9 KB that are in all indexes."""
    partition = unique()
    for number in (1, 2, 3):
        client.put_item(TableName=indexed, Item={"p": s(partition), **big(number, g=s(partition))})
    for index in ("g-keys", "g-some", "g-all"):
        wait_until(lambda index=index: page(client, indexed, index, partition)["Count"] == 3, "the entries")
    return partition


def page(client: Any, name: str, index: str | None, partition: str, **more: Any) -> dict[str, Any]:
    """A Query of the table or of an index, for everything of a partition."""
    query: dict[str, Any] = {
        "TableName": name,
        "KeyConditionExpression": ("g" if (index or "").startswith("g-") else "p") + " = :p",
        "ExpressionAttributeValues": {":p": s(partition)},
        "ReturnConsumedCapacity": "INDEXES",
        **more,
    }
    if index is not None:
        query["IndexName"] = index
    found: dict[str, Any] = client.query(**query)
    return found


@pytest.mark.parametrize(
    ("index", "strong", "eventual"),
    [(None, 7, 3.5), ("l-keys", 1, 0.5), ("l-some", 3, 1.5), ("l-all", 7, 3.5), ("g-keys", None, 0.5),
     ("g-some", None, 1.5), ("g-all", None, 3.5)],
)  # fmt: skip
@pytest.mark.parametrize("how", [{}, {"Select": "COUNT"}, {"FilterExpression": "attribute_exists(l)"}])
def test_a_query_costs_what_it_read_rounded_once(
    client: Any,
    indexed: str,
    filled: str,
    index: str | None,
    strong: float | None,
    eventual: float,
    how: dict[str, Any],
) -> None:
    """Three items of about 9,050 bytes: 7 blocks; three entries of about 3,050: 3 blocks; of keys alone: one."""
    if "FilterExpression" in how and index in ("l-keys", "l-some", "l-all"):
        how = (
            {"FilterExpression": "attribute_exists(g) OR attribute_not_exists(g)"} if index == "l-all" else {}
        )
    if "FilterExpression" in how and index in ("g-keys", "g-some"):
        how = {"FilterExpression": "attribute_exists(r)"}
    arm = index or "table"
    rest = {"table": 0} if index else {}
    assert arms(page(client, indexed, index, filled, **how)) == {arm: eventual, **rest}
    if strong is not None:
        assert arms(page(client, indexed, index, filled, ConsistentRead=True, **how)) == {arm: strong, **rest}


def test_a_query_pays_for_what_the_filter_drops_and_the_projection_leaves_out(
    client: Any, indexed: str, filled: str
) -> None:
    dropped = page(client, indexed, "g-all", filled, FilterExpression="attribute_exists(nothing)")
    assert (dropped["Count"], dropped["ScannedCount"], arms(dropped)) == (0, 3, {"table": 0, "g-all": 3.5})
    assert arms(page(client, indexed, "g-all", filled, ProjectionExpression="p")) == {
        "table": 0,
        "g-all": 3.5,
    }
    assert arms(page(client, indexed, None, filled, ProjectionExpression="p")) == {"table": 3.5}
    assert arms(page(client, indexed, None, filled, Limit=1)) == {"table": 1.5}
    assert arms(page(client, indexed, "g-keys", unique())) == {"table": 0, "g-keys": 0.5}, "an empty page"
    assert arms(page(client, indexed, None, unique(), ConsistentRead=True)) == {"table": 1}


def test_what_a_local_index_fetches_is_rounded_item_by_item(client: Any, indexed: str, filled: str) -> None:
    """Three items of 9 KB: 3 blocks each, not 7 together."""
    everything = {"Select": "ALL_ATTRIBUTES"}
    assert arms(page(client, indexed, "l-keys", filled, **everything)) == {"table": 4.5, "l-keys": 0.5}
    strong = page(client, indexed, "l-keys", filled, ConsistentRead=True, **everything)
    assert arms(strong) == {"table": 9, "l-keys": 1}
    names = {"ExpressionAttributeNames": {"#o": "other"}, "ProjectionExpression": "#o"}
    assert arms(page(client, indexed, "l-some", filled, **names)) == {"table": 4.5, "l-some": 1.5}
    assert arms(page(client, indexed, "l-some", filled, ProjectionExpression="inc")) == {
        "table": 0,
        "l-some": 1.5,
    }
    assert arms(page(client, indexed, "l-all", filled, **everything)) == {"table": 0, "l-all": 3.5}
    assert arms(page(client, indexed, "l-keys", filled, Select="COUNT")) == {"table": 0, "l-keys": 0.5}


def test_scans_of_indexes(client: Any) -> None:
    with table(
        client,
        "p/r:N",
        gsi=(("g-all", "g", "ALL"), ("g-keys", "g", "KEYS_ONLY")),
        lsi=(("l-keys", "p/l:N", "KEYS_ONLY"),),
    ) as name:
        for number in (1, 2):
            client.put_item(TableName=name, Item={"p": s("a"), **big(number)})
        client.put_item(TableName=name, Item={"p": s("b"), "r": n(1), "other": s("x" * 4000)})

        def scan(index: str | None = None, **more: Any) -> dict[str, Any]:
            named = {"IndexName": index} if index else {}
            found: dict[str, Any] = client.scan(
                TableName=name, ReturnConsumedCapacity="INDEXES", **named, **more
            )
            return found

        wait_until(lambda: scan("g-all")["Count"] == 2 and scan("g-keys")["Count"] == 2, "the entries")
        assert arms(scan()) == {"table": 3}
        assert arms(scan(ConsistentRead=True)) == {"table": 6}
        assert arms(scan(Select="COUNT", FilterExpression="attribute_exists(nothing)")) == {"table": 3}
        assert arms(scan("g-all")) == {"table": 0, "g-all": 2.5}
        assert arms(scan("g-keys")) == {"table": 0, "g-keys": 0.5}
        assert arms(scan("l-keys")) == {"table": 0, "l-keys": 0.5}
        assert arms(scan("l-keys", ConsistentRead=True, Select="ALL_ATTRIBUTES")) == {"table": 6, "l-keys": 1}
        assert arms(scan(TotalSegments=1, Segment=0, Limit=1, ProjectionExpression="p")) in (
            {"table": 0.5},
            {"table": 1.5},
        )


def test_batches_by_table_and_index(client: Any, indexed: str) -> None:
    with table(client, "p") as plain:
        partition = unique()
        request = {
            indexed: [{"PutRequest": {"Item": {"p": s(partition), **big(number)}}} for number in (1, 2)],
            plain: [{"PutRequest": {"Item": of_size(1500, "a")}}],
        }
        answer = client.batch_write_item(RequestItems=request, ReturnConsumedCapacity="INDEXES")
        by_table = {
            each["TableName"]: arms({"ConsumedCapacity": each}) for each in answer["ConsumedCapacity"]
        }
        keys, some, whole = ("g-keys", "l-keys"), ("g-some", "l-some"), ("g-all", "l-all")
        assert by_table == {
            indexed: {"table": 18, **every(2, *keys), **every(6, *some), **every(18, *whole)},
            plain: {"table": 2},
        }
        assert "ConsumedCapacity" not in client.batch_write_item(RequestItems=request)
        read = {
            indexed: {"Keys": [{"p": s(partition), "r": n(number)} for number in (1, 2, 3)]},
            plain: {"Keys": [{"p": s("a")}, {"p": s("b")}], "ConsistentRead": True},
        }
        answer = client.batch_get_item(RequestItems=read, ReturnConsumedCapacity="INDEXES")
        by_table = {
            each["TableName"]: arms({"ConsumedCapacity": each}) for each in answer["ConsumedCapacity"]
        }
        assert by_table == {indexed: {"table": 1.5 + 1.5 + 0.5}, plain: {"table": 2}}
        removed = {indexed: [{"DeleteRequest": {"Key": {"p": s(partition), "r": n(1)}}}]}
        answer = client.batch_write_item(RequestItems=removed, ReturnConsumedCapacity="TOTAL")
        assert answer["ConsumedCapacity"] == [{"TableName": indexed, "CapacityUnits": 9 + 2 + 6 + 18.0}]


# ---- what fails


def consumed(endpoint: str, name: str, index: str = "") -> dict[str, float]:
    """Read and write units of a table or index since the server's start, from its metrics."""
    with urllib.request.urlopen(endpoint + "/metrics") as answer:
        text = answer.read().decode()
    found = {}
    for kind in ("read", "write"):
        line = rf'^hashrange_capacity_consumed_{kind}_units_total{{index="{index}",table="{name}"}} (\S+)$'
        match = re.search(line, text, re.MULTILINE)
        found[kind] = float(match[1]) if match else 0.0
    return found


def test_a_failed_condition_costs_by_the_item_that_is_there(client: Any, endpoint: str) -> None:
    with table(client, "p", gsi=(("by-g", "g", "ALL"),)) as name:
        item = of_size(2500, "there")
        client.put_item(TableName=name, Item=item)
        before = consumed(endpoint, name)["write"]
        assert before == 3

        def fails(cost: int, call: Any, **more: Any) -> None:
            nonlocal before
            given = {
                "TableName": name,
                "ConditionExpression": "attribute_exists(never)",
                "ReturnConsumedCapacity": "INDEXES",
                **more,
            }
            try:
                call(**given)
            except client.exceptions.ConditionalCheckFailedException as refused:
                assert set(refused.response) <= {"Error", "ResponseMetadata", "message", "Item"}
                assert ("Item" in refused.response) == ("ReturnValuesOnConditionCheckFailure" in more)
            else:
                raise AssertionError("the condition did not fail")
            after = consumed(endpoint, name)["write"]
            assert after - before == cost
            before = after

        there, absent = {"p": s("there")}, {"p": s("absent")}
        fails(3, client.put_item, Item={**there, "g": s("x"), "big": s("b" * 50_000)})
        fails(3, client.put_item, Item=there, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        fails(3, client.update_item, Key=there, UpdateExpression="REMOVE f")
        fails(3, client.delete_item, Key=there)
        fails(1, client.put_item, Item={**absent, "big": s("b" * 50_000)})
        fails(1, client.update_item, Key=absent, UpdateExpression="REMOVE f")
        fails(1, client.delete_item, Key=absent)
        assert consumed(endpoint, name, "by-g")["write"] == 0
        assert error(
            client.put_item, TableName=name, Item=there, ConditionExpression="attribute_not_exists(p)"
        ) == (CONDITION_FAILED)


def test_what_is_counted_is_what_is_answered(client: Any, endpoint: str) -> None:
    with table(client, "p", gsi=(("by-g", "g", "KEYS_ONLY"),)) as name:
        how = {"TableName": name, "ReturnConsumedCapacity": "INDEXES"}
        item = {"p": s("a"), "g": s("x"), "f": s("y" * 3000)}
        written = arms(client.put_item(Item=item, **how))
        assert written == {"table": 3, "by-g": 1}
        assert consumed(endpoint, name)["write"] == 3
        assert consumed(endpoint, name, "by-g")["write"] == 1
        query = {
            "KeyConditionExpression": "g = :g",
            "ExpressionAttributeValues": {":g": s("x")},
            "IndexName": "by-g",
        }
        got = units(client.get_item(Key={"p": s("a")}, **how))
        found = units(client.query(**query, **how))
        assert consumed(endpoint, name)["read"] == got == 0.5
        assert consumed(endpoint, name, "by-g")["read"] == found == 0.5


def test_a_refused_request_costs_nothing(client: Any, endpoint: str) -> None:
    with table(client, "p") as name:
        client.put_item(TableName=name, Item={"p": s("a")})
        before = consumed(endpoint, name)
        assert error(client.put_item, TableName=name, Item={"q": s("a")})[0] == "ValidationException"
        assert error(client.get_item, TableName=name, Key={"q": s("a")})[0] == "ValidationException"
        assert consumed(endpoint, name) == before


# ---- item collections


def test_collections_of_every_write(client: Any, indexed: str) -> None:
    partition = unique()
    how = {"TableName": indexed, "ReturnItemCollectionMetrics": "SIZE"}
    key = {"p": s(partition), "r": n(1)}
    expected = {"ItemCollectionKey": {"p": s(partition)}, "SizeEstimateRangeGB": [0.0, 1.0]}
    assert client.put_item(Item={**key, **big(1)}, **how)["ItemCollectionMetrics"] == expected
    update = {"UpdateExpression": "SET inc = :v", "ExpressionAttributeValues": {":v": s("")}}
    assert client.update_item(Key=key, **update, **how)["ItemCollectionMetrics"] == expected
    assert client.delete_item(Key=key, **how)["ItemCollectionMetrics"] == expected
    assert "ItemCollectionMetrics" not in client.put_item(
        TableName=indexed, Item={**key, **big(1)}, ReturnItemCollectionMetrics="NONE"
    )
    requests = [{"PutRequest": {"Item": {"p": s(partition), "r": n(2)}}}, {"DeleteRequest": {"Key": key}}]
    answer = client.batch_write_item(RequestItems={indexed: requests}, ReturnItemCollectionMetrics="SIZE")
    assert set(answer["ItemCollectionMetrics"]) == {indexed}
    assert all(each == expected for each in answer["ItemCollectionMetrics"][indexed])
