"""Writes through the cache: the table first, then the item cache, then the answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_dax.contracts import Change

from hashrange.errors import ApiError, internal, unavailable
from hashrange.model.throttling import PROVISIONED_TYPE
from tests.unit.dax_tier_support import Node, Outcome, get_of, put_of, query_of, update_of, value_of

MINUTES_5 = 300.0

PUT = ("PutItem", put_of("a", "2"))
UPDATE = ("UpdateItem", update_of("a", "2"))
DELETE = ("DeleteItem", get_of("a"))
BATCH = ("BatchWriteItem", {"RequestItems": {"tbl": [{"PutRequest": {"Item": put_of("a", "2")["Item"]}}]}})
TRANSACTION = ("TransactWriteItems", {"TransactItems": [{"Put": put_of("a", "2")}]})
ALL = pytest.mark.parametrize("write", [PUT, UPDATE, DELETE, BATCH, TRANSACTION], ids=lambda write: write[0])


def after(write: tuple[str, Any]) -> str | None:
    return None if write is DELETE else "2"


def key_of(node: Node, key: str) -> bytes:
    return node.tables.schemas["tbl"].codec.encode({"pk": {"S": key}})


@pytest.mark.parametrize("write", [PUT, UPDATE, DELETE, BATCH], ids=lambda write: write[0])
@pytest.mark.parametrize("before", [None, "1"])
def test_the_item_cache_has_the_new_state_when_the_write_is_answered(write: Any, before: str | None) -> None:
    node = Node()
    if before:
        node.tables.put("a", before)
    node.get("a")
    cached: list[Any] = []
    outcome = Outcome()
    outcome.then = lambda: cached.append(node.cached("a"))
    node.tier.run(*write, outcome)
    assert outcome.answer.body is not None
    assert cached[0] is not None
    assert cached[0].absent is (after(write) is None)
    assert node.get("a") == after(write)
    assert node.tables.reads("GetItem") == 1


@ALL
def test_nothing_is_cached_before_the_table_has_answered(write: Any) -> None:
    node = Node()
    node.put("a", "1")
    node.tables.held = True
    outcome = node.start(*write)
    node.tables.sent[0].run()
    assert node.get("a") == "1"
    assert not outcome.answers
    node.tables.held = False
    node.tables.sent[0].answer()
    assert node.get("a") == after(write)


@pytest.mark.parametrize("write", [PUT, UPDATE, DELETE, TRANSACTION], ids=lambda write: write[0])
@pytest.mark.parametrize(
    "error",
    [
        ApiError(PROVISIONED_TYPE, "too much"),
        ApiError("ConditionalCheckFailedException", "no", fields={"Item": {"pk": {"S": "a"}}}),
        ApiError("TransactionCanceledException", "no", fields={"CancellationReasons": [{"Code": "None"}]}),
        ApiError("ValidationException", "wrong"),
        unavailable("nothing was done"),
    ],
    ids=lambda error: error.type_name,
)
def test_a_failed_write_changes_no_cache_and_its_error_is_as_it_was(write: Any, error: ApiError) -> None:
    node = Node(peers=True)
    node.put("a", "1")
    node.peers.changes.clear()
    entry = node.cached("a")
    node.tables.fails.append(error)
    outcome = node.start(*write)
    assert outcome.answers == [error]
    assert node.cached("a") is entry
    assert (node.peers.changes, node.peers.dropped) == ([], [])


def test_a_failed_condition_changes_nothing() -> None:
    node = Node()
    node.put("a", "1")
    with pytest.raises(ApiError, match="conditional request failed"):
        node.put("a", "2", ConditionExpression="attribute_not_exists(pk)")
    assert node.get("a") == "1"
    assert node.metrics.errors == 1


@ALL
def test_keys_of_a_write_whose_outcome_nobody_knows_are_forgotten_everywhere(write: Any) -> None:
    node = Node(peers=True)
    node.put("a", "1")
    node.put("b", "1")
    node.tables.fails.append(internal())
    with pytest.raises(ApiError, match="Internal"):
        node.run(*write)
    assert node.cached("a") is None
    assert node.cached("b") is not None
    assert node.peers.dropped == [("id-1", key_of(node, "a"))]
    assert (node.metrics.faults, node.metrics.invalidations) == (1, 1)


def test_a_write_refreshes_an_entry_whatever_its_time_to_live() -> None:
    node = Node()
    node.put("a", "1")
    node.clock.advance(MINUTES_5 + 1)
    node.put("a", "2")
    node.tables.put("a", "past the cache")
    assert node.get("a") == "2"


def test_an_update_stores_the_whole_new_item() -> None:
    node = Node()
    node.run("PutItem", {"TableName": "tbl", "Item": {"pk": {"S": "a"}, "v": {"S": "1"}, "w": {"N": "7"}}})
    node.update("a", "2")
    entry = node.cached("a")
    assert entry is not None and entry.json is not None
    assert orjson.loads(entry.json) == {"pk": {"S": "a"}, "v": {"S": "2"}, "w": {"N": "7"}}


def test_writes_past_the_cache_leave_stale_items_until_a_write_through_it() -> None:
    node = Node()
    node.put("a", "1")
    node.tables.put("a", "past the cache")
    assert node.get("a") == "1"
    node.update("a", "2")
    assert node.get("a") == "2"


def test_a_batch_stores_what_was_written_of_it() -> None:
    node = Node()
    node.put("a", "1")
    node.put("b", "1")
    node.tables.unprocessed.add(key_of(node, "b"))
    entries = [{"PutRequest": {"Item": put_of(key, "2")["Item"]}} for key in "bc"]
    delete = {"DeleteRequest": {"Key": get_of("a")["Key"]}}
    body = node.run("BatchWriteItem", {"RequestItems": {"tbl": [*entries, delete]}}).body
    assert body is not None
    assert orjson.loads(body)["UnprocessedItems"] == {"tbl": [entries[0]]}
    assert (node.get("a"), node.get("c")) == (None, "2")
    assert node.tables.reads("GetItem") == 0


def test_items_that_a_batch_did_not_process_are_read_again_as_nobody_knows_if_they_were_written() -> None:
    node = Node(peers=True)
    for key in "ab":
        node.put(key, "1")
    node.tables.unprocessed.add(key_of(node, "b"))
    entries = [{"PutRequest": {"Item": put_of(key, "2")["Item"]}} for key in "ab"]
    node.tables.put("b", "made after all")
    node.run("BatchWriteItem", {"RequestItems": {"tbl": entries}})
    assert node.peers.dropped == [("id-1", key_of(node, "b"))]
    assert (node.get("a"), node.get("b")) == ("2", "made after all")
    assert node.tables.reads("GetItem") == 1


@pytest.mark.parametrize(
    "error", [ApiError("ValidationException", "wrong"), ApiError(PROVISIONED_TYPE, "no")]
)
def test_a_batch_that_failed_may_have_written_some_items_so_that_all_are_read_again(error: ApiError) -> None:
    node = Node(peers=True)
    node.put("a", "1")
    node.put("b", "1")
    node.tables.put("a", "2")
    node.tables.fails.append(error)
    assert node.start(*BATCH).answers == [error]
    assert node.peers.dropped == [("id-1", key_of(node, "a"))]
    assert (node.get("a"), node.get("b")) == ("2", "1")
    assert node.tables.reads("GetItem") == 1


def test_a_transaction_that_another_attempt_is_still_making_has_its_keys_forgotten() -> None:
    node = Node()
    node.put("a", "1")
    node.tables.fails.append(ApiError("TransactionInProgressException", "in progress"))
    with pytest.raises(ApiError, match="in progress"):
        node.run(*TRANSACTION)
    assert node.cached("a") is None


def test_who_reads_in_the_moment_of_the_answer_does_not_keep_a_transaction_from_refilling() -> None:
    node = Node()
    node.put("a", "1")
    node.tables.held = True
    outcome = node.start(*TRANSACTION)
    early: list[Outcome] = []
    outcome.then = lambda: early.append(node.start("GetItem", get_of("a")))
    node.tables.sent[0].answer()
    read, refill = node.tables.sent
    assert refill.request["ConsistentRead"] is True
    read.run(version=-2)  # by a replica that has not heard of the transaction yet
    refill.answer()
    read.answer()
    node.tables.held = False
    assert value_of(early[0].answer.item) == "1"
    assert node.get("a") == "2"


def test_a_reply_is_passed_on_as_it_is() -> None:
    node = Node()
    answer = node.put("a", "1", ReturnConsumedCapacity="TOTAL")
    assert answer.body == b'{"ConsumedCapacity":{"CapacityUnits":1.0}}'


def test_an_answer_that_is_older_than_what_is_known_changes_nothing() -> None:
    """Two writes of a key whose answers come in the other order."""
    node = Node()
    node.tables.held = True
    node.start("PutItem", put_of("a", "1"))
    node.start("PutItem", put_of("a", "2"))
    first, second = node.tables.sent
    first.run()
    second.run()
    second.answer()
    first.answer()
    assert node.get("a") == "2"


def test_a_transaction_takes_its_keys_out_before_it_is_answered_and_reads_them_after() -> None:
    node = Node(peers=True)
    for key in "abcd":
        node.put(key, "1")
    node.peers.changes.clear()
    node.query()
    seen: list[Any] = []
    outcome = Outcome()
    outcome.then = lambda: seen.append(([node.cached(key) for key in "abc"], list(node.peers.dropped)))
    node.tier.run(
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Put": put_of("a", "2")},
                {"Update": update_of("b", "2")},
                {"Delete": get_of("c")},
                {"ConditionCheck": get_of("d", ConditionExpression="attribute_exists(pk)")},
            ]
        },
        outcome,
    )
    assert outcome.answer.body == b"{}"
    assert seen == [([None, None, None], [("id-1", key_of(node, key)) for key in "abc"])]
    assert [request for operation, request in node.tables.log if operation == "GetItem"] == [
        get_of(key, ConsistentRead=True) for key in "abc"
    ]
    assert [(change.key, change.written) for change in node.peers.changes] == [
        (key_of(node, key), True) for key in "abc"
    ]
    assert [node.get(key) for key in "abcd"] == ["2", "2", None, "1"]
    assert node.tables.reads("GetItem") == 3
    assert node.metrics.refills == 3


def test_who_misses_a_key_that_is_being_refilled_waits_for_the_refill() -> None:
    node = Node()
    node.put("a", "1")
    node.tables.held = True
    node.start("TransactWriteItems", TRANSACTION[1])
    node.tables.sent[0].answer()
    get = node.start("GetItem", get_of("a"))
    batch = node.start("BatchGetItem", {"RequestItems": {"tbl": {"Keys": [{"pk": {"S": "a"}}]}}})
    assert len(node.tables.sent) == 1
    node.tables.sent[0].answer()
    assert get.answer.item is node.cached("a")
    assert batch.answer.groups is not None
    assert batch.answer.groups[0].items[0][1] is node.cached("a")


def test_what_a_refill_has_found_missing_stays_so_whatever_was_read_before() -> None:
    """An answer from another node's older read must not bring back what the transaction has deleted."""
    node = Node()
    node.put("a", "1")
    old = node.cached("a")
    assert old is not None
    node.tables.held = True
    node.start("TransactWriteItems", {"TransactItems": [{"Delete": get_of("a")}]})
    node.tables.sent[0].answer()
    node.tier.accept([Change("id-1", old.key, old.json, old.stamp, False)])
    node.tables.sent[0].answer()
    node.tables.held = False
    assert node.get("a") is None


def test_a_write_while_a_refill_is_under_way_wins() -> None:
    node = Node()
    node.put("a", "1")
    node.tables.held = True
    node.start("TransactWriteItems", {"TransactItems": [{"Delete": get_of("a")}]})
    node.tables.sent[0].answer()
    (refill,) = node.tables.sent
    refill.run()
    node.tables.held = False
    node.put("a", "3")
    refill.answer()
    assert node.get("a") == "3"


@pytest.mark.parametrize("refilled", [False, True])
@pytest.mark.parametrize("deleted", [False, True])
def test_the_late_answer_of_a_write_from_before_a_transaction_brings_nothing_back(
    refilled: bool, deleted: bool
) -> None:
    node = Node(peers=True)
    node.tables.held = True
    late = node.start("PutItem", put_of("a", "old"))
    (put,) = node.tables.sent
    put.run()
    action = {"Delete": get_of("a")} if deleted else {"Put": put_of("a", "new")}
    node.start("TransactWriteItems", {"TransactItems": [action]})
    node.tables.sent[1].answer()
    if refilled:
        node.tables.sent[1].answer()
    put.answer()
    assert late.answer.body == b"{}"
    assert node.cached("a") is None
    assert all(change.item_json is None or b"old" not in change.item_json for change in node.peers.changes)
    while node.tables.sent:
        node.tables.sent[0].answer()
    assert value_of(node.cached("a")) == (None if deleted else "new")
    assert not node.tier._items._doubts._forgotten
    node.tables.held = False
    node.put("a", "newer")
    assert node.get("a") == "newer"


def test_a_write_that_was_sent_after_a_key_was_forgotten_is_cached() -> None:
    node = Node()
    node.tables.held = True
    node.start("PutItem", put_of("b", "1"))
    node.tier.drop([("id-1", key_of(node, "a"))])
    node.start("PutItem", put_of("a", "2"))
    node.tables.sent[1].answer()
    assert value_of(node.cached("a")) == "2"
    node.tables.sent[0].answer()
    assert value_of(node.cached("b")) == "1"


def test_a_node_that_forgot_everything_trusts_no_write_from_before() -> None:
    node = Node()
    node.tables.held = True
    node.start("PutItem", put_of("a", "1"))
    node.tier.clear()
    node.tables.sent[0].answer()
    assert node.cached("a") is None
    node.tables.sent[0].answer()
    assert value_of(node.cached("a")) == "1"


def test_a_refill_that_fails_leaves_the_key_unknown_and_who_waits_reads_it_himself() -> None:
    node = Node()
    node.put("a", "1")
    node.tables.held = True
    node.start("TransactWriteItems", TRANSACTION[1])
    node.tables.sent[0].answer()
    get = node.start("GetItem", get_of("a"))
    node.tables.fails.append(ApiError(PROVISIONED_TYPE, "too much"))
    node.tables.sent[0].answer()
    assert node.cached("a") is None
    assert not get.answers
    node.tables.sent[0].answer()
    assert get.answer.item is node.cached("a")
    assert node.metrics.errors == 0


def test_a_transaction_that_failed_reads_nothing() -> None:
    node = Node()
    node.put("a", "1")
    node.tables.fails.append(ApiError("TransactionCanceledException", "no"))
    with pytest.raises(ApiError):
        node.run(*TRANSACTION)
    assert node.get("a") == "1"
    assert node.tables.reads("GetItem") == 0


def test_a_write_that_is_wrong_is_the_tables_to_refuse() -> None:
    node = Node()
    node.put("a", "1")
    wrong = {"TransactItems": [{"Put": {"TableName": "tbl", "Item": {"v": {"S": "no key"}}}}]}
    node.tables.fails.append(ApiError("ValidationException", "as the API words it"))
    with pytest.raises(ApiError, match="as the API words it"):
        node.run("TransactWriteItems", wrong)
    with pytest.raises(ApiError, match="wrong"):
        node.run("PutItem", put_of("a", "2", Wrong=True))
    assert node.get("a") == "1"


def test_requests_are_counted_by_operation() -> None:
    node = Node()
    for write in (PUT, UPDATE, DELETE, BATCH, TRANSACTION):
        node.run(*write)
    node.run("TransactGetItems", {"TransactItems": [{"Get": get_of("a")}]})
    node.run("BatchGetItem", {"RequestItems": {"tbl": {"Keys": [{"pk": {"S": "a"}}]}}})
    node.run("Query", query_of())
    told = node.metrics.snapshot()
    for name in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "BatchGetItem", "Query"):
        assert told[f"{name}RequestCount"] == 1
    assert (told["TransactWriteItemsCount"], told["TransactGetItemsCount"]) == (1, 1)
    assert told["TotalRequestCount"] == 8
    assert told["EstimatedDbSize"] == node.store.used_bytes > 0
    assert told["FailedRequestCount"] == 0
