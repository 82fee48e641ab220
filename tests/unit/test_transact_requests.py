"""Parts of transactions by themselves: reasons, digests of requests, rows of tokens, grouping, what is charged."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_router.api.call import Call
from hashrange_router.transactions.actions import parse_actions
from hashrange_router.transactions.coordinator import Outcome
from hashrange_router.transactions.grouping import grouped, participants, placed
from hashrange_router.transactions.ledger_rows import TokenRow, in_the_way, may_be_done, row_of
from hashrange_router.transactions.reasons import cancelled, conflict, reason_code
from hashrange_router.transactions.replay import replay_units
from hashrange_router.transactions.replies import charge_outcome
from hashrange_router.transactions.tokens import digest_of, txid_of

from hashrange.errors import (
    ApiError,
    collection_too_large,
    conditional_check_failed,
    internal,
    resource_not_found,
    transaction_conflict,
    unavailable,
    validation,
)
from hashrange.model import ledger
from hashrange.model.throttling import (
    INDEX_ON_DEMAND,
    INDEX_PROVISIONED,
    PROVISIONED_EXCEEDED,
    TABLE_ON_DEMAND,
    TABLE_PROVISIONED,
    throttled,
)
from hashrange.wire.faults import Unreachable
from hashrange.wire.messages import WriteResult

from .transact_router import RouterBench


@pytest.fixture(scope="module")
def bench() -> RouterBench:
    return RouterBench()


# Reasons.


def refused(index: bool, provisioned: bool) -> ApiError:
    return throttled(PROVISIONED_EXCEEDED, "arn", index=index, write=True, provisioned=provisioned)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (conditional_check_failed(), "ConditionalCheckFailed", "The conditional request failed"),
        (transaction_conflict(), "TransactionConflict", "Transaction is ongoing for the item"),
        (collection_too_large(), "ItemCollectionSizeLimitExceeded", "Collection size exceeded."),
        (validation("why"), "ValidationError", "why"),
        (refused(False, True), "ProvisionedThroughputExceeded", TABLE_PROVISIONED),
        (refused(True, True), "ProvisionedThroughputExceeded", INDEX_PROVISIONED),
        (refused(False, False), "ThrottlingError", TABLE_ON_DEMAND),
        (refused(True, False), "ThrottlingError", INDEX_ON_DEMAND),
    ],
)
def test_every_reason(error: ApiError, code: str, text: str) -> None:
    body = orjson.loads(cancelled(3, {1: error}).body())
    assert body == {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons "
        f"[None, {code}, None]",
        "CancellationReasons": [{"Code": "None"}, {"Code": code, "Message": text}, {"Code": "None"}],
    }


def test_an_item_comes_along_as_it_is_stored() -> None:
    body = orjson.loads(cancelled(1, {0: conditional_check_failed(b'{"k":{"S":"v"}}')}).body())
    assert body["CancellationReasons"][0]["Item"] == {"k": {"S": "v"}}


def test_failures_are_no_reasons() -> None:
    for error in (internal(), unavailable("away"), resource_not_found()):
        assert reason_code(error) is None
    assert [each["Code"] for each in conflict(2, [1]).reasons] == ["None", "TransactionConflict"]


# Tokens.


def test_a_digest_tells_requests_apart_and_not_their_spelling() -> None:
    one = [{"Put": {"TableName": "t", "Item": {"a": {"N": "1"}, "b": {"S": "x"}}}}]
    same = [{"Put": {"Item": {"b": {"S": "x"}, "a": {"N": "1"}}, "TableName": "t"}}]
    other = [{"Put": {"TableName": "t", "Item": {"a": {"N": "2"}, "b": {"S": "x"}}}}]
    assert digest_of(one) == digest_of(same) != digest_of(other)


def test_a_member_that_nobody_knows_may_be_nested_as_deeply_as_it_likes() -> None:
    deep: Any = "x"
    for _ in range(600):
        deep = [deep]
    element = {"Put": {"TableName": "t", "Item": {}, "Unknown": deep}, "Other": deep}
    assert len(digest_of([element])) == 16


def test_a_token_always_gives_the_same_txid() -> None:
    assert txid_of("1", "t") == txid_of("1", "t")
    assert len({txid_of("1", "t"), txid_of("1", "u"), txid_of("2", "t")}) == 3


@pytest.mark.parametrize(
    "row",
    [
        TokenRow("t", b"d" * 16, b"x" * 16, ledger.RUNNING, 1_700_000_000_123),
        TokenRow("t", b"d" * 16, b"x" * 16, ledger.RUNNING, 5, local=True),
        TokenRow("t", b"d" * 16, b"x" * 16, ledger.CANCELLED, 5, marked=True),
        TokenRow("t", b"d" * 16, b"x" * 16, ledger.FINISHED, 5, units={"A": 4, "B": 8}),
    ],
)
def test_rows_of_tokens_read_back(row: TokenRow) -> None:
    again = TokenRow.of("t", orjson.loads(orjson.dumps(row.item())))
    for name in TokenRow.__slots__:
        assert getattr(again, name) == getattr(row, name), name


def test_what_stands_in_the_way_is_read_from_the_refusal() -> None:
    near = conditional_check_failed(b'{"id":{"S":"t#1"}}')
    far = ApiError("ConditionalCheckFailedException", "", fields={"Item": {"id": {"S": "t#1"}}})
    for refusal in (near, far):
        assert in_the_way(refusal) and row_of(refusal) == {"id": {"S": "t#1"}}
    assert row_of(conditional_check_failed()) is None
    assert not in_the_way(WriteResult(0, 1)) and not in_the_way(validation("no"))


def test_what_may_have_been_done() -> None:
    assert may_be_done(internal()) and may_be_done(Unreachable(1, True))
    assert not may_be_done(unavailable("no")) and not may_be_done(Unreachable(1, False))


# Actions.


def actions_of(bench: RouterBench, *items: tuple[str, str]) -> Any:
    return parse_actions(bench.context, orjson.loads(orjson.dumps(bench.adding(*items))))


def test_grouping_keeps_the_order_of_the_request(bench: RouterBench) -> None:
    actions = actions_of(bench, ("Bbb", "1"), ("Aaa", "2"), ("Bbb", "3"))
    groups = grouped(bench.context, actions)
    assert [[action.number for action in group.actions] for group in groups] == [[0, 2], [1]]
    assert [group.table for group in groups] == ["Bbb", "Aaa"]
    parts = participants(actions)
    assert {table: len(hashes) for table, hashes in parts} == {"Bbb": 2, "Aaa": 1}
    assert sorted(partition for _, partition, _ in placed(bench.context, parts)) == sorted(
        group.partition for group in groups
    )
    assert placed(bench.context, [("gone", [1, 2])]) == []


def test_a_table_that_was_made_again_is_another_one(bench: RouterBench) -> None:
    actions = actions_of(bench, ("Ccc", "1"))
    actions[0].table = bench.context.tables["Aaa"]
    tables = bench.context.tables
    before = tables["Aaa"]
    tables["Aaa"] = tables["Bbb"]
    try:
        with pytest.raises(ApiError) as caught:
            grouped(bench.context, actions)
    finally:
        tables["Aaa"] = before
    assert caught.value.type_name == "ResourceNotFoundException"


# Units.


class Meter:
    """Notes what is charged."""

    def __init__(self) -> None:
        self.charged: list[tuple[str, int]] = []

    def charge_write(self, table: Any, units_half: int, index_units: Any) -> None:
        self.charged.append((table.name, units_half))

    def charge_read(self, table: Any, index: Any, units_half: int) -> None:
        self.charged.append((table.name, -units_half))


def test_writes_are_charged_to_their_tables_local_indexes_included(bench: RouterBench) -> None:
    actions = actions_of(bench, ("Aaa", "1"), ("Bbb", "2"))
    results = [WriteResult(100, 1500, None, [("LSI", "l", 2), ("GSI", "g", 4)]), WriteResult(0, 10)]
    call = Call("Any", None, None, lambda call, outcome: None)  # type: ignore[arg-type]
    meter = bench.context.admission = Meter()  # type: ignore[assignment]
    try:
        tallies = charge_outcome(bench.context, call, actions, Outcome("spread", results, {}))
    finally:
        bench.context.admission = None
    assert meter.charged == [("Aaa", 2 * 4 + 2), ("Bbb", 2 * 2)]
    assert call.write_units_half == sum(tally.total_half for tally in tallies) == 8 + 2 + 4 + 4


def test_a_replay_is_charged_by_the_sizes_that_are_known(bench: RouterBench) -> None:
    actions = actions_of(bench, ("Aaa", "1"), ("Aaa", "2"), ("Bbb", "3"))
    results = [WriteResult(0, 5000), WriteResult(9000, 0), None]
    assert replay_units(actions, results) == {"Aaa": 2 * (4 + 6), "Bbb": 4}
