"""The item cache, sentence by sentence of what DAX says of it (DAX Developer Guide, Item cache)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hashrange.errors import ApiError
from hashrange.expr.compiled import Compiled
from hashrange.expr.tree import PROJECTION
from hashrange.model.throttling import ON_DEMAND_TYPE
from tests.unit.dax_tier_support import Node, batch_of, get_of, put_of, schema, update_of, value_of

MINUTES_5 = 300.0


def throttled() -> ApiError:
    return ApiError(ON_DEMAND_TYPE, "too much")


def test_a_miss_reads_the_table_eventually_consistently_and_fills_the_cache() -> None:
    node = Node()
    node.tables.put("a", "1")
    assert node.get("a") == "1"
    assert node.tables.log == [("GetItem", get_of("a"))]
    assert node.get("a") == "1"
    assert node.tables.reads("GetItem") == 1
    assert (node.metrics.item_hits, node.metrics.item_misses) == (1, 1)


def test_items_are_keyed_by_table_and_primary_key() -> None:
    node = Node(schema("tbl", "id-1", "N"), schema("two", "id-2", "N"))
    for name in ("tbl", "two"):
        for number in (1, 2):
            key = {"pk": {"S": "a"}, "sk": {"N": str(number)}}
            node.run("PutItem", {"TableName": name, "Item": {**key, "v": {"S": f"{name}{number}"}}})
    for number in ("1", "1.0", "1e0"):
        key = {"pk": {"S": "a"}, "sk": {"N": number}}
        assert value_of(node.run("GetItem", {"TableName": "two", "Key": key}).item) == "two1"
    key = {"sk": {"N": "2"}, "pk": {"S": "a"}}
    assert value_of(node.run("GetItem", {"TableName": "tbl", "Key": key}).item) == "tbl2"
    assert node.tables.reads("GetItem") == 0


def test_a_table_goes_by_its_arn_too() -> None:
    node = Node()
    node.put("a", "1")
    assert node.get("a", TableName=node.tables.schemas["tbl"].arn) == "1"
    assert node.tables.reads("GetItem") == 0


def test_batch_get_looks_at_each_key_separately() -> None:
    node = Node()
    for key in "abc":
        node.tables.put(key, key)
    node.get("a")
    assert node.batch("a", "b", "c", "d") == {"a": "a", "b": "b", "c": "c"}
    assert node.tables.log[-1] == ("BatchGetItem", batch_of("b", "c", "d"))
    assert (node.metrics.item_hits, node.metrics.item_misses) == (1, 4)
    assert node.get("c") == "c"
    assert node.get("d") is None
    assert node.batch("a", "b", "d") == {"a": "a", "b": "b"}
    assert len(node.tables.log) == 2


def test_time_to_live_is_5_minutes_from_the_write_into_the_cache() -> None:
    node = Node()
    node.tables.put("a", "1")
    assert node.get("a") == "1"
    node.tables.put("a", "2")
    node.clock.advance(MINUTES_5 - 1)
    assert node.get("a") == "1"
    node.clock.advance(1)
    assert node.get("a") == "2"


def test_reads_do_not_extend_the_time_to_live_but_writes_start_it_anew() -> None:
    node = Node()
    node.put("a", "1")
    node.clock.advance(200)
    node.put("a", "2")
    node.tables.put("a", "past the cache")
    for _ in range(2):
        node.clock.advance(149)
        assert node.get("a") == "2"
    node.clock.advance(2)
    assert node.get("a") == "past the cache"


def test_items_never_expire_with_a_time_to_live_of_0() -> None:
    node = Node(item_ttl_ms=0)
    node.put("a", "1")
    node.tables.put("a", "past the cache")
    node.clock.advance(1e9)
    assert node.get("a") == "1"
    node.put("a", "2")
    assert node.get("a") == "2"


def test_a_missing_item_is_cached_for_the_same_time() -> None:
    node = Node()
    assert node.get("a") is None
    node.tables.put("a", "past the cache")
    node.clock.advance(MINUTES_5 - 1)
    assert node.get("a") is None
    assert node.tables.reads("GetItem") == 1
    node.clock.advance(1)
    assert node.get("a") == "past the cache"


@pytest.mark.parametrize("write", ["PutItem", "UpdateItem", "BatchWriteItem"])
def test_a_write_through_the_cache_replaces_a_missing_item(write: str) -> None:
    node = Node()
    assert node.get("a") is None
    requests: dict[str, Any] = {
        "PutItem": put_of("a", "1"),
        "UpdateItem": update_of("a", "1"),
        "BatchWriteItem": {"RequestItems": {"tbl": [{"PutRequest": {"Item": put_of("a", "1")["Item"]}}]}},
    }
    node.run(write, requests[write])
    assert node.get("a") == "1"
    assert node.tables.reads("GetItem") == 1


def test_a_strong_read_passes_through_and_changes_nothing() -> None:
    node = Node()
    assert node.get("a") is None
    node.tables.put("a", "past the cache")
    assert node.get("a", ConsistentRead=True) == "past the cache"
    assert node.get("a") is None
    assert node.get("b", ConsistentRead=True) is None
    assert node.cached("b") is None
    assert (node.metrics.item_hits, node.metrics.item_misses) == (1, 1)


def test_strong_reads_of_a_batch_pass_through_and_change_nothing() -> None:
    node = Node(schema(), schema("two", "id-2"))
    assert node.get("a") is None
    node.tables.put("a", "new")
    node.tables.put("a", "two", "two")
    strong = batch_of("a", "b", ConsistentRead=True)["RequestItems"]["tbl"]
    weak = batch_of("a")["RequestItems"]["tbl"]
    answer = node.run("BatchGetItem", {"RequestItems": {"tbl": strong, "two": weak}})
    assert answer.groups is not None
    found = {group.name: [value_of(entry) for _, entry in group.items] for group in answer.groups}
    assert found == {"tbl": ["new"], "two": ["two"]}
    assert node.get("a") is None
    assert node.cached("b") is None
    assert node.get("a", TableName="two") == "two"
    assert node.tables.reads("GetItem", "BatchGetItem") == 2


def test_transact_get_items_passes_through_and_changes_nothing() -> None:
    node = Node()
    assert node.get("a") is None
    node.tables.put("a", "1")
    request = {"TransactItems": [{"Get": get_of("a")}, {"Get": get_of("b")}]}
    body = node.run("TransactGetItems", request).body
    assert body is not None
    assert orjson.loads(body)["Responses"][0]["Item"]["v"] == {"S": "1"}
    assert node.get("a") is None
    assert node.cached("b") is None


def test_whole_items_are_cached_whatever_the_projection() -> None:
    node = Node()
    node.tables.put("a", "1")
    answer = node.run("GetItem", get_of("a", ProjectionExpression="v"))
    assert answer.projection is not None
    assert answer.projection.paths == (("v",),)
    assert answer.item is not None
    assert answer.item.json == b'{"pk":{"S":"a"},"v":{"S":"1"}}'
    names = {"#x": "x", "#v": "v"}
    answer = node.run(
        "GetItem", get_of("a", ProjectionExpression="#x[2].y, #v", ExpressionAttributeNames=names)
    )
    assert answer.projection is not None
    assert answer.projection.paths == (("x", 2, "y"), ("v",))
    tree = ("projection", (("path", ("#v",)), ("path", ("x", 0))))
    answer = node.run("GetItem", get_of("a", ProjectionExpression=Compiled.of(PROJECTION, tree)))
    assert answer.projection is not None
    assert answer.projection.paths == (("#v",), ("x", 0))
    answer = node.run("GetItem", get_of("a", AttributesToGet=["v"]))
    assert answer.projection is not None
    assert node.tables.log == [("GetItem", get_of("a"))]


def test_a_batch_has_a_projection_for_each_table() -> None:
    node = Node(schema(), schema("two", "id-2"))
    parts: dict[str, Any] = {
        "tbl": {"Keys": [{"pk": {"S": "a"}}], "ProjectionExpression": "v.w"},
        "two": {"Keys": [{"pk": {"S": "a"}}]},
    }
    answer = node.run("BatchGetItem", {"RequestItems": parts})
    assert answer.groups is not None
    assert [group.projection.paths if group.projection else None for group in answer.groups] == [
        (("v", "w"),),
        None,
    ]
    assert "ProjectionExpression" not in node.tables.log[0][1]["RequestItems"]["tbl"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ProjectionExpression": "v v"},
        {"ProjectionExpression": "v", "ExpressionAttributeNames": {"#unused": "v"}},
        {"ProjectionExpression": "pk.v"},
        {"AttributesToGet": ["v", "v"]},
        {"Key": {"other": {"S": "a"}}},
        {"Key": {"pk": {"N": "1"}}},
        {"TableName": "none"},
    ],
)
def test_what_is_wrong_with_a_request_the_tables_say_themselves(wrong: dict[str, Any]) -> None:
    node = Node()
    node.put("a", "1")
    node.tables.fails.append(ApiError("ValidationException", "as the API words it"))
    with pytest.raises(ApiError, match="as the API words it"):
        node.run("GetItem", {**get_of("a"), **wrong})
    assert node.tables.log[-1] == ("GetItem", {**get_of("a"), **wrong})
    part = {"Keys": [{"pk": {"S": "a"}}], **wrong}
    if "TableName" not in wrong and "Key" not in wrong:
        node.tables.fails.append(ApiError("ValidationException", "as the API words it"))
        with pytest.raises(ApiError, match="as the API words it"):
            node.run("BatchGetItem", {"RequestItems": {"tbl": part}})
    assert node.get("a") == "1"
    assert (node.metrics.item_hits, node.metrics.item_misses) == (1, 0)
    assert node.metrics.errors == node.tables.reads("GetItem", "BatchGetItem")


def test_a_request_is_held_against_the_model_first_unless_it_was() -> None:
    node = Node()
    node.put("a", "1")
    with pytest.raises(ApiError, match="wrong"):
        node.get("a", Wrong=True)
    answers: list[Any] = []
    node.tier.run("GetItem", get_of("a", Wrong=True), answers.append, checked=True)
    assert value_of(answers[0].item) == "1"


def test_a_failed_read_is_not_cached() -> None:
    node = Node()
    node.tables.fails.append(throttled())
    with pytest.raises(ApiError, match="too much"):
        node.get("a")
    assert node.cached("a") is None
    assert (node.metrics.errors, node.metrics.throttled, node.metrics.faults) == (1, 1, 0)


def test_a_hit_has_consumed_nothing() -> None:
    node = Node()
    node.tables.put("a", "1")
    first = node.run("GetItem", get_of("a", ReturnConsumedCapacity="TOTAL"))
    assert first.consumed == b'{"CapacityUnits":1.0}'
    assert node.run("GetItem", get_of("a", ReturnConsumedCapacity="TOTAL")).consumed is None
    assert node.run("BatchGetItem", {**batch_of("a"), "ReturnConsumedCapacity": "TOTAL"}).consumed is None
    batch = node.run("BatchGetItem", {**batch_of("a", "b"), "ReturnConsumedCapacity": "TOTAL"})
    assert batch.consumed == b'{"CapacityUnits":1.0}'


def test_a_batch_leaves_out_what_its_tables_leave_out() -> None:
    node = Node()
    for key in "abc":
        node.tables.put(key, key)
    node.get("a")
    node.tables.unprocessed.add(node.tables.schemas["tbl"].codec.encode({"pk": {"S": "b"}}))
    answer = node.run("BatchGetItem", batch_of("a", "b", "c", ProjectionExpression="v"))
    assert answer.unprocessed == {"tbl": {"Keys": [{"pk": {"S": "b"}}], "ProjectionExpression": "v"}}
    assert answer.groups is not None
    assert [key["pk"]["S"] for key, _ in answer.groups[0].items] == ["a", "c"]
    assert node.cached("b") is None


def test_a_batch_that_cannot_read_its_misses_for_now_gives_its_hits() -> None:
    node = Node()
    node.put("a", "1")
    node.tables.fails.append(throttled())
    answer = node.run("BatchGetItem", batch_of("a", "b"))
    assert answer.unprocessed == {"tbl": {"Keys": [{"pk": {"S": "b"}}]}}
    node.tables.fails.append(throttled())
    with pytest.raises(ApiError, match="too much"):
        node.run("BatchGetItem", batch_of("b", "c"))
    node.tables.fails.append(ApiError("AccessDeniedException", "not yours"))
    with pytest.raises(ApiError, match="not yours"):
        node.run("BatchGetItem", batch_of("a", "b"))


def test_a_batch_gives_no_more_than_16_mb() -> None:
    node = Node(budget=1 << 30)
    large, keys = "x" * 390_000, [f"k{number}" for number in range(50)]
    for key in keys:
        node.put(key, large)
    answer = node.run("BatchGetItem", batch_of(*keys))
    assert answer.groups is not None and answer.unprocessed is not None
    assert len(answer.groups[0].items) == 43
    assert [key["pk"]["S"] for key in answer.unprocessed["tbl"]["Keys"]] == keys[43:]


def test_the_short_way_answers_what_is_cached_and_counts_it() -> None:
    node = Node()
    table = node.tables.schemas["tbl"]
    key = table.codec.encode({"pk": {"S": "a"}})
    assert node.tier.hit(table, key) is None
    assert node.metrics.snapshot()["TotalRequestCount"] == 0
    node.put("a", "1")
    assert value_of(node.tier.hit(table, key)) == "1"
    node.delete("a")
    entry = node.tier.hit(table, key)
    assert entry is not None and entry.absent
    told = node.metrics.snapshot()
    assert (told["GetItemRequestCount"], told["ItemCacheHits"], told["ItemCacheMisses"]) == (2, 2, 0)
    node.clock.advance(MINUTES_5)
    assert node.tier.hit(table, key) is None


def test_entries_die_with_their_table() -> None:
    node = Node()
    node.put("a", "1")
    node.query()
    old = node.tables.schemas.pop("tbl")
    with pytest.raises(ApiError, match="not found"):
        node.get("a")
    assert (node.store.item_count, node.store.query_count) == (0, 0)
    node.tables.schemas["tbl"] = old
    node.put("a", "1")
    node.get("a")
    node.tables.schemas["tbl"] = schema(table_id="id-2")
    assert node.get("a") is None
    assert node.store.item_count == 1
    assert node.query() == 0


def test_an_item_that_is_too_large_for_the_cache_is_read_each_time() -> None:
    node = Node(budget=32_000)
    node.put("a", "small")
    node.put("a", "x" * 3_000)
    assert node.cached("a") is None
    for _ in range(2):
        assert node.get("a") == "x" * 3_000
    assert node.tables.reads("GetItem") == 2
