"""A node's part in transactions: what it answers, what it leaves behind, and messages that come twice or late."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_node.storage import keyspace
from hashrange_node.transactions import evaluate

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.messages import TableStatistics, WriteResult
from hashrange.wire.transactions import (
    AHEAD,
    DONE,
    LATE,
    MARKER_KEEP_S,
    MAX_AHEAD_MS,
    MISMATCH,
    REFUSED,
    REPEATED,
    TransactFinish,
    TransactPrepare,
    TransactRead,
    TransactWrite,
)

from .transact_support import TransactBench, txid

V1: dict[str, Any] = {"v": {"N": "1"}}
V2: dict[str, Any] = {"v": {"N": "2"}}


def sizes(outcome: Any) -> list[tuple[int, int]]:
    return [(result.old_size, result.new_size) for result in outcome.results]


def kinds(outcome: Any) -> list[str | None]:
    return [each.type_name if isinstance(each, ApiError) else None for each in outcome.results]


# ---- one partition


def test_a_transaction_of_one_partition_is_one_entry() -> None:
    bench = TransactBench()
    bench.write(bench.action("put", "b", V1))
    bench.write(bench.action("put", "c", V1))
    bench.write(bench.action("put", "d", V1))
    before = bench.replica.group.applied_index
    outcome = bench.commit(
        1,
        bench.action("put", "a", V1),
        bench.action("update", "b", update="SET v = :v", values={":v": {"N": "22"}}),
        bench.action("delete", "c"),
        bench.action("check", "d", condition="attribute_exists(pk)"),
    )
    assert outcome.verdict == DONE
    assert bench.replica.group.applied_index == before + 1
    assert sizes(outcome) == [(0, 6), (6, 6), (6, 0), (6, 6)]
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"1"}}'
    assert bench.get("b") == b'{"pk":{"S":"b"},"v":{"N":"22"}}'
    assert bench.get("c") is None
    assert bench.ask(TableStatistics("Things")) == {None: (3, 18)}


def test_all_items_of_a_transaction_carry_its_stamp() -> None:
    bench = TransactBench()
    bench.write(bench.action("put", "b", V1))
    bench.write(bench.action("put", "same", V1))
    outcome = bench.commit(
        1,
        bench.action("put", "a", V1),
        bench.action("check", "b", condition="attribute_exists(pk)"),
        bench.action("update", "same", update="REMOVE nothing"),
    )
    found = bench.versions("a", "b", "same").records
    assert [records.stamp(each or b"") for each in found] == [outcome.stamp] * 3
    # Whoever compares the bytes of two reads sees that the item was part of a transaction in between.
    assert {records.index(each or b"") for each in found} == {bench.replica.group.applied_index}


def test_the_stamp_is_above_all_that_the_items_have_seen() -> None:
    bench = TransactBench()
    stamp = bench.stamp() + (MAX_AHEAD_MS - 1 << LOGICAL_BITS)
    bench.prepare(1, stamp, bench.action("put", "a", V1), bench.action("check", "absent"))
    bench.finish(1)
    for name in ("a", "absent"):
        bench.node.stamps._last = 0  # as a leader whose clock is behind
        outcome = bench.commit(2 + len(name), bench.action("put", "b"), bench.action("put", name, V2))
        assert outcome.stamp > stamp
        found = bench.versions("b", name).records
        assert [records.stamp(each or b"") for each in found] == [outcome.stamp] * 2


@pytest.mark.parametrize(
    "kind, extra", [("check", {"condition": "attribute_not_exists(pk)"}), ("delete", {}), ("update", {})]
)
def test_an_absent_item_that_stays_absent_raises_the_watermark(kind: str, extra: Any) -> None:
    bench = TransactBench()
    if kind == "update":
        extra = {"update": "REMOVE nothing"}
    outcome = bench.commit(1, bench.action(kind, "a", **extra))
    assert outcome.verdict == DONE
    assert bench.replica.group.max_delete == outcome.stamp
    assert bench.prepare(2, outcome.stamp, bench.action("put", "a")).verdict == LATE
    assert bench.prepare(2, outcome.stamp + 1, bench.action("put", "a")).verdict == DONE


def test_every_action_is_evaluated_and_nothing_is_done_when_one_fails() -> None:
    bench = TransactBench()
    bench.write(bench.action("put", "a", V1))
    bench.write(bench.action("put", "b", {"v": {"S": "text"}}))
    bench.prepare(9, bench.stamp(), bench.action("put", "locked"))
    outcome = bench.commit(
        1,
        bench.action("put", "new", V1),
        bench.action("put", "a", V2, condition="v = :v", values={":v": {"N": "7"}}, old=True),
        bench.action("update", "b", update="SET v = v + :v", values={":v": {"N": "7"}}),
        bench.action("delete", "locked"),
        bench.action("check", "a", condition="attribute_not_exists(pk)"),
    )
    assert outcome.verdict == REFUSED
    assert kinds(outcome) == [
        None,
        "ConditionalCheckFailedException",
        "ValidationException",
        "TransactionConflictException",
        "ConditionalCheckFailedException",
    ]
    held: Any = outcome.results[1]
    assert orjson.loads(held.body())["Item"] == {"pk": {"S": "a"}, "v": {"N": "1"}}
    assert bench.get("new") is None
    assert bench.stored(keyspace.MARKERS) == []
    assert bench.node.transactions.counts.conflicts == 1


def test_an_item_that_has_grown_too_large_is_refused() -> None:
    bench = TransactBench()
    bench.write(bench.action("put", "a", {"v": {"S": "x" * 300_000}}))
    grown = bench.action("update", "a", update="SET w = v")
    outcome = bench.commit(1, grown)
    assert (outcome.verdict, kinds(outcome)) == (REFUSED, ["ValidationException"])
    outcome = bench.prepare(1, bench.stamp(), grown)
    assert (outcome.verdict, kinds(outcome)) == (REFUSED, ["ValidationException"])


def test_the_same_transaction_again_is_answered_by_its_marker() -> None:
    bench = TransactBench()
    add = {"update": "ADD v :one", "values": {":one": {"N": "1"}}}
    assert bench.commit(1, bench.action("update", "a", **add)).verdict == DONE
    again = bench.commit(1, bench.action("update", "a", **add))
    assert (again.verdict, sizes(again)) == (REPEATED, [(0, 6)])
    assert bench.commit(1, bench.action("update", "a", **add), digest=b"other").verdict == MISMATCH
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"1"}}'
    bench.clock.advance(MARKER_KEEP_S + 1)
    assert bench.commit(1, bench.action("update", "a", **add)).verdict == DONE
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"2"}}'


def test_two_of_the_same_at_once_are_applied_once() -> None:
    bench = TransactBench()
    bench.log.held = []
    message = TransactWrite(
        bench.replica.id,
        0,
        txid(1),
        [bench.action("update", "a", update="ADD v :one", values={":one": {"N": "1"}})],
        b"d",
    )
    first, second = bench.send(message), bench.send(message)
    bench.scheduler.run()
    assert first == second == []
    bench.release()
    assert [first[0].verdict, second[0].verdict] == [DONE, REPEATED]
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"1"}}'


def test_transactions_and_writes_build_on_what_is_under_way() -> None:
    bench = TransactBench()
    bench.log.held = []
    bench.send(bench.put_message({"pk": {"S": "a"}, **V1}))
    partition = bench.replica.id
    held = {"condition": "v = :v", "values": {":v": {"N": "1"}}}
    good = bench.send(TransactWrite(partition, 0, txid(1), [bench.action("put", "a", V2, **held)]))
    bad = bench.send(TransactWrite(partition, 0, txid(2), [bench.action("put", "a", V1, **held)]))
    single = bench.send(bench.put_message({"pk": {"S": "a"}, "v": {"N": "3"}}))
    bench.scheduler.run()
    assert good == bad == single == [], "nothing is known of what is not durable"
    bench.release()
    assert (good[0].verdict, bad[0].verdict, single[0].old_size) == (DONE, REFUSED, 6)


def test_indexes_follow_all_items_of_a_transaction_and_keep_apart_what_they_queue() -> None:
    bench = TransactBench(
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "l", "g")],
        LocalSecondaryIndexes=[
            {
                "IndexName": "local",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "l", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )

    def put(name: str) -> Any:
        item = {"pk": {"S": name}, "sk": {"S": "s"}, "l": {"S": "x"}, "g": {"S": "G"}}
        return bench.put_message(item)

    answers = bench.send(TransactWrite(bench.replica.id, 0, txid(1), [put("a"), put("b")]))
    bench.tick_until_applied()
    queued = keyspace.queue_prefix(bench.replica.id)
    assert len(list(bench.engine.scan(queued, queued + b"\xff" * 13))) == 2
    outcome = answers[0]
    assert outcome.verdict == DONE
    assert [sorted(unit[:2] for unit in result.index_units) for result in outcome.results] == [
        [("GSI", "by"), ("LSI", "local")]
    ] * 2
    stamp = bench.stamp()
    prepared = bench.prepare(2, stamp, put("c"), put("d"))
    assert [result.index_units for result in prepared.results] == [
        result.index_units for result in outcome.results
    ]
    bench.finish(2)
    bench.scheduler.run(seconds=0.1)
    assert len(bench.stored(1)) == 4
    index = bench.schema().index("by").partitions.all[0].id
    assert bench.node.replicas[index].group.count(0)[0] == 4, "no queued change has taken another's place"


# ---- several partitions


def test_what_is_prepared_is_invisible_until_it_is_committed() -> None:
    bench = TransactBench()
    bench.write(bench.action("put", "a", V1))
    before = bench.ask(TableStatistics("Things"))
    stamp = bench.stamp()
    outcome = bench.prepare(1, stamp, bench.action("put", "a", V2), bench.action("put", "b", V2))
    assert (outcome.verdict, sizes(outcome)) == (DONE, [(6, 6), (0, 6)])
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"1"}}'
    assert bench.get("b") is None
    assert len(bench.stored(keyspace.ITEMS)) == 1
    assert bench.ask(TableStatistics("Things")) == before
    assert bench.finish(1) is None
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"2"}}'
    assert bench.get("b") == b'{"pk":{"S":"b"},"v":{"N":"2"}}'
    assert [records.stamp(each or b"") for each in bench.versions("a", "b").records] == [stamp, stamp]
    assert bench.ask(TableStatistics("Things")) == {None: (2, 12)}
    assert bench.stored(keyspace.LOCKS) == []
    assert not bench.replica.locked


def test_a_cancelled_transaction_leaves_nothing() -> None:
    bench = TransactBench()
    bench.write(bench.action("put", "a", V1))
    stored = bench.versions("a", "b").records
    bench.prepare(1, bench.stamp(), bench.action("delete", "a"), bench.action("put", "b"))
    assert bench.finish(1, commit=False) is None
    assert bench.versions("a", "b").records == stored
    assert bench.stored(keyspace.LOCKS) == []
    assert isinstance(bench.write(bench.action("put", "a", V2)), WriteResult)


def test_updates_deletions_and_checks_are_carried_out_as_prepared() -> None:
    bench = TransactBench()
    for name in "abc":
        bench.write(bench.action("put", name, V1))
    stamp = bench.stamp()
    bench.prepare(
        1,
        stamp,
        bench.action("update", "a", update="ADD v :v", values={":v": {"N": "4"}}),
        bench.action("delete", "b"),
        bench.action("check", "c", condition="attribute_exists(pk)"),
        bench.action("check", "absent", condition="attribute_not_exists(pk)"),
    )
    deletes = bench.replica.group.deletes
    bench.finish(1)
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"5"}}'
    assert bench.get("b") is None
    assert bench.get("c") == b'{"pk":{"S":"c"},"v":{"N":"1"}}'
    assert records.stamp(bench.versions("c").records[0] or b"") == stamp
    assert bench.replica.group.max_delete == stamp
    assert bench.versions("b").deletes == bench.replica.group.deletes > deletes


def test_a_locked_item_is_refused_to_others() -> None:
    bench = TransactBench()
    stamp = bench.stamp()
    bench.prepare(1, stamp, bench.action("check", "a", condition="attribute_not_exists(pk)"))
    for refused in (bench.action("put", "a"), bench.action("delete", "a")):
        error = bench.write(refused)
        assert (error.type_name, error.status) == ("TransactionConflictException", 400)
        assert error.message == "Transaction is ongoing for the item"
    assert kinds(bench.prepare(2, stamp + 5, bench.action("put", "a"))) == ["TransactionConflictException"]
    assert kinds(bench.commit(3, bench.action("put", "a"))) == ["TransactionConflictException"]
    assert bench.versions("a", "b").locked == [True, False]
    assert isinstance(bench.write(bench.action("put", "b")), WriteResult)
    assert bench.node.transactions.counts.conflicts == 4


def test_a_transaction_that_comes_too_late_is_told_the_stamp_to_be_above() -> None:
    bench = TransactBench()
    stamp = bench.stamp()
    bench.write(bench.action("put", "a", V1))
    written = records.stamp(bench.versions("a").records[0] or b"")
    outcome = bench.prepare(1, stamp, bench.action("put", "a"), bench.action("put", "b"))
    assert (outcome.verdict, outcome.stamp) == (LATE, written)
    assert not bench.replica.locked
    assert bench.prepare(1, written + 1, bench.action("put", "a"), bench.action("put", "b")).verdict == DONE


def test_a_stamp_far_ahead_of_the_clock_is_refused() -> None:
    bench = TransactBench()
    now = bench.node.stamps.now
    limit = now + (MAX_AHEAD_MS << LOGICAL_BITS)
    outcome = bench.prepare(1, limit + 1, bench.action("put", "a"))
    assert (outcome.verdict, outcome.stamp) == (AHEAD, now)
    assert bench.node.stamps.now == now
    assert bench.prepare(1, limit, bench.action("put", "a")).verdict == DONE
    bench.finish(1)
    bench.write(bench.action("put", "b"))
    assert records.stamp(bench.versions("b").records[0] or b"") > limit


def test_preparing_again_is_answered_as_the_first_time() -> None:
    bench = TransactBench()
    stamp = bench.stamp()
    first = bench.prepare(1, stamp, bench.action("put", "a", V1))
    entries = bench.replica.group.applied_index
    again = bench.prepare(1, stamp, bench.action("put", "a", V1))
    assert (again.verdict, sizes(again)) == (DONE, sizes(first))
    assert bench.replica.group.applied_index == entries
    assert len(bench.stored(keyspace.LOCKS)) == 1
    bench.finish(1, commit=False)


def test_a_preparation_under_way_answers_for_its_repetition_when_it_is_durable() -> None:
    bench = TransactBench()
    bench.log.held = []
    message = TransactPrepare(bench.replica.id, 0, txid(1), bench.stamp(), [bench.action("put", "a", V1)])
    first, second = bench.send(message), bench.send(message)
    bench.scheduler.run()
    assert first == second == []
    bench.release()
    assert [first[0].verdict, second[0].verdict] == [DONE, DONE]


@pytest.mark.parametrize("kind", ["put", "delete", "check", "check absent"])
def test_a_late_duplicate_of_a_preparation_is_refused_by_what_the_commit_left(kind: str) -> None:
    bench = TransactBench()
    if kind != "check absent":
        bench.write(bench.action("put", "a", V1))
    exists = "attribute_not_exists(pk)" if kind == "check absent" else None
    action = lambda: bench.action(kind.split()[0], "a", condition=exists)  # noqa: E731
    stamp = bench.stamp()
    bench.prepare(1, stamp, action())
    bench.finish(1)
    assert bench.prepare(1, stamp, action()).verdict == LATE
    assert bench.finish(1) is None
    assert not bench.replica.locked


def _carried_out_twice(bench: TransactBench) -> bool:
    """Prepare, commit, then another client deletes the item and puts it again; then the first two messages come
    again."""
    stamp = bench.stamp()
    bench.prepare(1, stamp, bench.action("put", "a", V1))
    bench.finish(1)
    bench.write(bench.action("delete", "a"))
    again = bench.prepare(1, stamp, bench.action("put", "a", V1))
    bench.finish(1)
    return again.verdict == DONE and bench.get("a") is not None


def test_without_the_watermark_of_deletions_a_late_duplicate_would_bring_an_item_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not _carried_out_twice(TransactBench())
    monkeypatch.setattr(
        evaluate,
        "seen_stamp",
        lambda current, watermark: records.stamp(current) if current is not None else 0,
    )
    assert _carried_out_twice(TransactBench())


def test_an_item_that_comes_back_is_newer_than_any_deletion() -> None:
    bench = TransactBench()
    stamp = bench.stamp() + (MAX_AHEAD_MS - 1 << LOGICAL_BITS)
    bench.prepare(1, stamp, bench.action("put", "a"))
    bench.finish(1)
    bench.node.stamps._last = 0  # as a leader whose clock is behind
    bench.write(bench.action("delete", "a"))
    assert bench.replica.group.max_delete > stamp
    bench.node.stamps._last = 0
    bench.write(bench.action("put", "a"))
    assert records.stamp(bench.versions("a").records[0] or b"") > bench.replica.group.max_delete
    assert bench.prepare(1, stamp, bench.action("put", "a")).verdict == LATE


def test_the_end_of_what_was_never_prepared_is_no_error() -> None:
    bench = TransactBench()
    assert bench.finish(1) is None
    assert bench.finish(1, commit=False) is None


def test_a_second_end_waits_for_the_first() -> None:
    bench = TransactBench()
    bench.prepare(1, bench.stamp(), bench.action("put", "a", V1))
    bench.log.held = []
    message = TransactFinish(bench.replica.id, 0, txid(1), True, [])
    first, second = bench.send(message), bench.send(message)
    assert bench.versions("a").locked == [True], "until it is applied"
    assert first == second == []
    bench.release()
    assert first == second == [None]
    assert bench.versions("a").locked == [False]


def test_what_is_prepared_next_keeps_its_lock_when_the_last_end_is_applied() -> None:
    bench = TransactBench()
    bench.prepare(1, bench.stamp(), bench.action("put", "a", V1))
    bench.log.held = []
    partition = bench.replica.id
    bench.send(TransactFinish(partition, 0, txid(1), True, []))
    stamp = bench.stamp()
    held = {"condition": "v = :v", "values": {":v": {"N": "1"}}}
    second = bench.send(TransactPrepare(partition, 0, txid(2), stamp, [bench.action("put", "a", V2, **held)]))
    bench.scheduler.run()
    bench.release()
    assert second[0].verdict == DONE, "it builds on the end that was under way"
    assert bench.versions("a").locked == [True]
    assert len(bench.stored(keyspace.LOCKS)) == 1
    bench.finish(2)
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"2"}}'


def test_a_second_end_waits_for_the_first_though_the_item_is_locked_anew() -> None:
    bench = TransactBench()
    bench.prepare(1, bench.stamp(), bench.action("put", "a", V1))
    bench.log.held = []
    message = TransactFinish(bench.replica.id, 0, txid(1), True, [])
    first = bench.send(message)
    bench.send(TransactPrepare(bench.replica.id, 0, txid(2), bench.stamp(), [bench.action("put", "a", V2)]))
    second = bench.send(message)
    bench.scheduler.run(ticks=3)
    # Told that it is finished, a coordinator would clear the decision away; a new leader might still have the lock.
    assert first == second == []
    bench.release()
    assert first == second == [None]
    assert set(bench.replica.locks.transactions()) == {txid(2)}


def test_an_end_is_taken_while_writes_are_not() -> None:
    bench = TransactBench()
    bench.prepare(1, bench.stamp(), bench.action("put", "a", V1))
    bench.replica.congested = bench.replica.splitting = True
    for refused in (
        bench.commit(2, bench.action("put", "b")),
        bench.prepare(3, bench.stamp(), bench.action("put", "b")),
    ):
        assert (refused.type_name, refused.status) == ("ServiceUnavailable", 503)
    assert bench.finish(1) is None
    assert bench.get("a") is not None


def test_a_refused_proposal_locks_nothing() -> None:
    bench = TransactBench()
    bench.replica.group.closing = True
    answer = bench.prepare(1, bench.stamp(), bench.action("put", "a"))
    assert isinstance(answer, ApiError)
    bench.replica.group.closing = False
    assert not bench.replica.locked
    bench.prepare(1, bench.stamp(), bench.action("put", "a"))
    bench.replica.group.closing = True
    assert isinstance(bench.finish(1), ApiError)
    bench.replica.group.closing = False
    assert not next(iter(bench.replica.locked.values())).finishing


def test_a_marker_answers_for_what_a_split_made_several_parts_of() -> None:
    bench = TransactBench()
    bench.commit(1, bench.action("put", "a", V1), bench.action("put", "b", V1))
    outcome = bench.prepare(2, bench.stamp(), bench.action("put", "a", V2), marker=txid(1))
    assert outcome.verdict == REPEATED
    assert bench.prepare(2, bench.stamp(), bench.action("put", "a", V2), marker=txid(7)).verdict == DONE


def test_reads_see_what_is_applied_and_deletions_between_them() -> None:
    bench = TransactBench()
    first = bench.versions("a")
    bench.write(bench.action("put", "a", V1))
    bench.write(bench.action("delete", "a"))
    second = bench.versions("a")
    assert first.records == second.records == [None]
    assert first.partition == second.partition == bench.replica.id
    assert second.deletes > first.deletes
    bench.log.held = []
    bench.send(bench.put_message({"pk": {"S": "a"}}))
    assert bench.send(TransactRead(bench.replica.id, 0, [bench.key("a")]))[0].records == [None]


def test_a_put_prepared_before_an_index_was_created_is_carried_out_all_the_same() -> None:
    from .test_fill import create_index

    bench = TransactBench()
    bench.prepare(1, bench.stamp(), bench.action("put", "a", {"g": {"N": "1"}}))
    create_index(bench, "g")
    bench.scheduler.run(seconds=0.2)
    assert bench.finish(1) is None
    assert bench.get("a") == b'{"g":{"N":"1"},"pk":{"S":"a"}}'
    assert not bench.errors
