"""The query cache, sentence by sentence of what DAX says of it (DAX Developer Guide, Query cache)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hashrange.errors import ApiError
from hashrange.expr import ExpressionContext
from hashrange.expr.compiled import Compiled
from hashrange.expr.tree import PROJECTION
from tests.unit.dax_tier_support import Node, count_of, get_of, query_of, schema

MINUTES_5 = 300.0
START = {"pk": {"S": "a"}}
NAMES = "ExpressionAttributeNames"


def test_a_reply_is_cached_as_it_is() -> None:
    node = Node()
    node.tables.put("a", "1")
    first = node.run("Query", query_of()).query
    second = node.run("Query", query_of()).query
    assert first is not None and first is second
    assert first.body is not None
    assert orjson.loads(first.body) == {
        "Items": [{"pk": START["pk"], "v": {"S": "1"}}],
        "Count": 1,
        "ScannedCount": 1,
    }
    assert node.tables.reads("Query") == 1
    assert (node.metrics.query_hits, node.metrics.query_misses) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"IndexName": "by-v"},
        {"KeyConditionExpression": "pk=:k"},
        {"FilterExpression": "v = :k"},
        {"ProjectionExpression": "pk"},
        {"Limit": 5},
        {"ExclusiveStartKey": START},
        {"ScanIndexForward": False},
        {"Select": "COUNT"},
        {"ExpressionAttributeValues": {":k": {"S": "b"}}},
    ],
)
def test_all_parameters_make_the_key(other: dict[str, Any]) -> None:
    node = Node(schema(gsi=True))
    node.query()
    node.query(**other)
    assert node.tables.reads("Query") == 2
    node.query(**other)
    assert node.tables.reads("Query") == 2


@pytest.mark.parametrize("other", [{"Segment": 0}, {"Segment": 1}, {"TotalSegments": 3}, {"Limit": 1}])
def test_segments_of_a_scan_are_told_apart(other: dict[str, Any]) -> None:
    node = Node()
    node.scan(TotalSegments=2)
    node.scan(TotalSegments=2, **{"Segment": 5, **other}) if "TotalSegments" not in other else node.scan(
        **other
    )
    assert node.tables.reads("Scan") == 2


@pytest.mark.parametrize(
    "same",
    [
        {"ReturnConsumedCapacity": "TOTAL"},
        {"ConsistentRead": False},
        {"ScanIndexForward": True},
    ],
)
def test_what_does_not_change_the_reply_is_no_part_of_the_key(same: dict[str, Any]) -> None:
    node = Node()
    node.query()
    node.query(**same)
    assert node.tables.reads("Query") == 1


def test_query_and_scan_are_counted_apart() -> None:
    node = Node()
    for _ in range(3):
        node.scan()
    node.query()
    told = node.metrics.snapshot()
    assert (told["ScanCacheHits"], told["ScanCacheMisses"]) == (2, 1)
    assert (told["QueryCacheHits"], told["QueryCacheMisses"]) == (0, 1)
    assert (told["ItemCacheHits"], told["ItemCacheMisses"]) == (0, 0)
    assert (told["ScanRequestCount"], told["QueryRequestCount"]) == (3, 1)


def test_query_results_never_fill_the_item_cache() -> None:
    node = Node()
    node.tables.put("a", "1")
    node.query()
    node.scan()
    assert node.cached("a") is None
    assert node.get("a") == "1"
    assert node.tables.reads("GetItem") == 1


def test_time_to_live_is_5_minutes_and_reads_do_not_extend_it() -> None:
    node = Node()
    assert node.query() == 0
    node.tables.put("a", "1")
    node.clock.advance(MINUTES_5 - 1)
    assert node.query() == 0
    node.clock.advance(1)
    assert node.query() == 1


def test_an_empty_result_set_is_cached_for_the_same_time() -> None:
    node = Node()
    for _ in range(2):
        assert node.query() == 0
        assert node.scan() == 0
    assert len(node.tables.log) == 2


def test_queries_are_not_cached_with_a_time_to_live_of_0() -> None:
    node = Node(query_ttl_ms=0)
    for _ in range(2):
        node.query()
        node.scan()
        node.get("a")
    assert (node.tables.reads("Query"), node.tables.reads("Scan"), node.tables.reads("GetItem")) == (2, 2, 1)
    assert node.metrics.query_misses == 2


def test_times_to_live_can_be_set_while_it_runs() -> None:
    node = Node()
    node.query()
    node.store.set_ttls(1_000, 1_000)
    node.clock.advance(1)
    node.query()
    assert node.tables.reads("Query") == 2


def test_nothing_that_is_written_changes_the_query_cache() -> None:
    node = Node()
    assert (node.query(), node.scan()) == (0, 0)
    node.put("a", "1")
    node.update("b", "1")
    node.tables.put("c", "1")
    node.run("BatchWriteItem", {"RequestItems": {"tbl": [{"PutRequest": {"Item": {"pk": {"S": "d"}}}}]}})
    node.run("TransactWriteItems", {"TransactItems": [{"Delete": get_of("a")}]})
    node.tier.clear()
    assert (node.query(), node.scan()) == (0, 0)
    assert node.query(Limit=7) == 3


def test_strong_reads_pass_through_and_change_nothing() -> None:
    node = Node()
    assert (node.query(), node.scan()) == (0, 0)
    node.tables.put("a", "1")
    assert (node.query(ConsistentRead=True), node.scan(ConsistentRead=True)) == (1, 1)
    assert (node.query(), node.scan()) == (0, 0)
    node.query(Limit=1, ConsistentRead=True)
    assert node.store.query_count == 2
    assert (node.metrics.query_hits, node.metrics.query_misses) == (1, 1)


def test_a_hit_has_consumed_nothing_and_what_is_cached_does_not_say_what_was() -> None:
    node = Node()
    node.tables.put("a", "1")
    first = node.run("Query", query_of(ReturnConsumedCapacity="TOTAL"))
    second = node.run("Query", query_of(ReturnConsumedCapacity="TOTAL"))
    assert first.consumed == b'{"CapacityUnits":1.0}'
    assert second.consumed is None
    assert first.query is not None and first.query.body is not None
    assert b"Consumed" not in first.query.body


def test_what_only_names_attributes_is_projected_by_the_tables() -> None:
    node = Node()
    answer = node.run("Query", query_of(ProjectionExpression="pk, v"))
    assert node.tables.log[0][1]["ProjectionExpression"] == "pk, v"
    assert answer.query is not None and answer.query.projection is None
    answer = node.run("Query", query_of(AttributesToGet=["pk"]))
    assert node.tables.log[1][1]["AttributesToGet"] == ["pk"]


def test_paths_into_attributes_are_left_to_the_doors() -> None:
    node = Node()
    names = {"#l": "list", "#x": "x", "#f": "f"}
    request = query_of(
        ProjectionExpression="#l[3].#x, pk, #l[1]", FilterExpression="#f = :k", **{NAMES: names}
    )
    sent = _sent(node, request)
    assert sent[NAMES] == {"#f": "f"}
    assert _heads(sent["ProjectionExpression"]) == ("list", "pk")
    answer = node.run("Query", request)
    assert answer.query is not None and answer.query.projection is not None
    assert answer.query.projection.paths == (("list", 3, "x"), ("pk",), ("list", 1))
    assert node.tables.reads("Query") == 1
    assert NAMES not in _sent(node, query_of(ProjectionExpression="#l[0]", **{NAMES: {"#l": "list"}}))


def test_paths_of_an_expression_that_is_parsed_already_are_left_to_the_doors() -> None:
    node = Node()
    tree = ("projection", (("path", ("#l", 3)), ("path", ("pk",))))
    sent = _sent(node, query_of(ProjectionExpression=Compiled.of(PROJECTION, tree)))
    assert _heads(sent["ProjectionExpression"]) == ("#l", "pk")


def _sent(node: Node, request: dict[str, Any]) -> dict[str, Any]:
    """What the tables are asked, with their expressions as they come."""
    seen: list[dict[str, Any]] = []
    run = node.tables.run

    def watched(operation: str, sent: dict[str, Any], done: Any) -> None:
        seen.append(sent)
        run(operation, sent, done)

    node.tables.run = watched  # type: ignore[method-assign]
    node.run("Query", request)
    return seen[0]


def _heads(text: str) -> tuple[str, ...]:
    projection = ExpressionContext().projection(text)
    assert not projection.nested_heads
    return projection.heads


@pytest.mark.parametrize(
    "wrong",
    [
        {"ProjectionExpression": "v[0] v"},
        {"ProjectionExpression": "v[0]", NAMES: {"#unused": "v"}},
        {"ProjectionExpression": "pk[0]"},
        {"IndexName": "none"},
        {"TableName": "none"},
    ],
)
def test_what_is_wrong_with_a_request_the_tables_say_themselves(wrong: dict[str, Any]) -> None:
    node = Node()
    request = {**query_of(), **wrong}
    for consistent in (False, True):
        node.tables.fails.append(ApiError("ValidationException", "as the API words it"))
        with pytest.raises(ApiError, match="as the API words it"):
            node.run("Query", {**request, "ConsistentRead": consistent})
        assert node.tables.log[-1] == ("Query", {**request, "ConsistentRead": consistent})
    assert (node.metrics.query_misses, node.metrics.errors) == (0, 2)


def test_a_failure_is_not_cached() -> None:
    node = Node()
    node.tables.fails.append(ApiError("ValidationException", "wrong"))
    with pytest.raises(ApiError):
        node.query()
    assert node.query() == 0


def test_an_index_made_anew_is_another_one() -> None:
    node = Node(schema(gsi=True))
    assert node.query(IndexName="by-v") == 0
    node.tables.put("a", "1")
    table = node.tables.schemas["tbl"]
    key = node.tier.query_key("Query", query_of(IndexName="by-v"), table)
    assert node.tier.hit_query(key) is not None
    node.tables.schemas["tbl"] = schema()
    with pytest.raises(ApiError, match="does not have the specified index"):
        node.tier.query_key("Query", query_of(IndexName="by-v"), node.tables.schemas["tbl"])


def test_the_short_way_answers_what_is_cached_and_counts_it() -> None:
    node = Node()
    table = node.tables.schemas["tbl"]
    for operation, request in (("Query", query_of()), ("Scan", {"TableName": "tbl"})):
        key = node.tier.query_key(operation, request, table)
        assert node.tier.hit_query(key) is None
        count_of(node.run(operation, request))
        entry = node.tier.hit_query(key)
        assert entry is not None and entry.kind == operation
    told = node.metrics.snapshot()
    assert (told["QueryCacheHits"], told["ScanCacheHits"], told["TotalRequestCount"]) == (1, 1, 4)
    assert node.tier.query_key("Query", query_of(), schema(table_id="id-2")) != key
