"""Stalled transactions are finished, decisions kept as long as they are needed, old markers deleted."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_node.replica import collector
from hashrange_node.replica.expiry import ExpirySweeper
from hashrange_node.storage import keyspace
from hashrange_node.transactions import markers

from hashrange.errors import ApiError
from hashrange.expr import compile_condition
from hashrange.model import ledger
from hashrange.model import record as records
from hashrange.model.value import Item, dump, normalise_item
from hashrange.wire.messages import DELETE, PUT, ReadItem, WriteItem, WriteResult
from hashrange.wire.transactions import DONE, LATE, MARKER_KEEP_S, REPEATED, STALLED_S, TransactWrite

from .test_transact_participant import V1, V2
from .transact_support import TransactBench, names_on, txid


def ledger_write(bench: TransactBench, row: Item, absent: bool = True) -> Any:
    schema = bench.schema(ledger.LEDGER_TABLE)
    key = schema.codec.encode(row)
    write = WriteItem(schema.partition_for(key).id, 0, PUT, key)
    write.item_size = normalise_item(row)
    write.item_json = dump(row)
    if absent:
        write.condition = compile_condition("attribute_not_exists(id)")
    return bench.ask(write)


def decide(bench: TransactBench, number: int, committed: bool, *names: str, has_token: bool = False) -> Any:
    hashes = [int.from_bytes(bench.key(name)[:8], "big") for name in names]
    now_s = bench.clock.wall_ms() // 1000
    row = ledger.decision_row(txid(number), committed, [("Things", hashes)], now_s, has_token=has_token)
    return ledger_write(bench, row)


def row_of(bench: TransactBench, number: int) -> Item | None:
    schema = bench.schema(ledger.LEDGER_TABLE)
    key = schema.codec.encode(ledger.transaction_key(txid(number)))
    record = bench.ask(ReadItem(schema.partition_for(key).id, 0, key, True))
    return orjson.loads(records.item_json(record)) if record is not None else None


@pytest.fixture
def bench() -> TransactBench:
    made = TransactBench()
    made.create_ledger()
    made.upkeep.start()
    return made


# ---- stalled transactions


def test_a_stalled_transaction_is_cancelled(bench: TransactBench) -> None:
    bench.write(bench.action("put", "a", V1))
    stamp = bench.stamp()
    bench.prepare(1, stamp, bench.action("put", "a", V2), bench.action("put", "b", V2))
    bench.advance(STALLED_S - 1)
    assert len(bench.replica.locked) == 2
    bench.advance(3)
    assert not bench.replica.locked
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"1"}}'
    row = row_of(bench, 1)
    assert row is not None
    assert row["state"] == {"S": ledger.CANCELLED}
    # Its coordinator, back from a pause, learns of it.
    refused = decide(bench, 1, True, "a", "b")
    assert refused.type_name == "ConditionalCheckFailedException"
    counts = bench.node.transactions.counts
    assert (counts.prepared, counts.cancelled, counts.committed, counts.recovered) == (1, 1, 0, 1)
    assert isinstance(bench.write(bench.action("put", "b", V1)), WriteResult)


def test_a_stalled_transaction_that_was_decided_is_committed(bench: TransactBench) -> None:
    stamp = bench.stamp()
    bench.prepare(1, stamp, bench.action("put", "a", V2))
    assert isinstance(decide(bench, 1, True, "a"), WriteResult)
    bench.advance(STALLED_S + 2)
    assert not bench.replica.locked
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"2"}}'
    assert records.stamp(bench.versions("a").records[0] or b"") == stamp
    counts = bench.node.transactions.counts
    assert (counts.committed, counts.cancelled, counts.recovered) == (1, 0, 1)


def test_all_parts_of_a_stalled_transaction_end_alike(bench: TransactBench) -> None:
    (a,), (b,) = names_on(bench, 1, 1)
    low, high = bench.split()
    for committed, number in ((True, 1), (False, 2)):
        stamp = bench.stamp()
        for name, partition in ((a, low), (b, high)):
            value = {"v": {"N": str(number)}}
            assert (
                bench.prepare(number, stamp, bench.action("put", name, value), partition=partition).verdict
                == DONE
            )
        if committed:
            decide(bench, number, True, a, b)
        bench.advance(STALLED_S + 2)
        found = [bench.versions(name, partition=p) for name, p in ((a, low), (b, high))]
        assert [each.locked for each in found] == [[False], [False]]
        values = [orjson.loads(records.item_json(each.records[0] or b""))["v"] for each in found]
        assert values == [{"N": "1"}, {"N": "1"}]


def test_a_preparation_that_comes_after_the_cancellation_is_released(bench: TransactBench) -> None:
    stamp = bench.stamp()
    bench.finish(1, commit=False)
    assert bench.prepare(1, stamp, bench.action("put", "a")).verdict == DONE
    bench.advance(STALLED_S + 2)
    assert not bench.replica.locked
    assert bench.get("a") is None


def test_the_age_of_a_lock_does_not_rest_on_the_clock_alone(bench: TransactBench) -> None:
    bench.prepare(1, bench.stamp(), bench.action("put", "a"))
    bench.clock.set_wall_ms(bench.clock.wall_ms() - 3_600_000)
    bench.advance(STALLED_S + 3)
    assert not bench.replica.locked


def test_without_a_ledger_nobody_decides() -> None:
    bench = TransactBench()
    bench.upkeep.start()
    bench.prepare(1, bench.stamp(), bench.action("put", "a"))
    bench.advance(STALLED_S + 5)
    assert len(bench.replica.locked) == 1
    assert bench.upkeep.locks.stalled == 1
    assert len(bench.errors) == 1, "it is reported, but not each second"
    bench.create_ledger()
    bench.advance(3)
    assert not bench.replica.locked
    assert bench.upkeep.locks.stalled == 0


def test_a_ledger_that_does_not_answer_is_asked_again(bench: TransactBench) -> None:
    bench.prepare(1, bench.stamp(), bench.action("put", "a"))
    asked: list[Any] = []

    class Silent:
        def send(self, message: Any, done: Any) -> None:
            asked.append(done)

    bench.node.transport = Silent()
    bench.advance(STALLED_S + 3)
    assert len(asked) == 1, "one question at a time"
    asked[0](ApiError("InternalServerError", "gone", status=500))
    bench.advance(2)
    assert len(asked) == 2
    assert len(bench.replica.locked) == 1, "an unknown outcome is none"
    bench.node.transport = bench.node
    asked[1](ApiError("InternalServerError", "gone", status=500))
    bench.advance(2)
    assert not bench.replica.locked


# ---- the ledger


def sweep(bench: TransactBench, seconds: float = 5.0) -> None:
    sweeper = ExpirySweeper(
        lambda: list(bench.node.replicas.values()),
        bench.clock.wall_ms,
        bench.scheduler.call_later,
        0.5,
        lambda what, error: bench.errors.append((what, error)),
        bench.upkeep.ledger.keeps,
    )
    sweeper.start()
    bench.advance(seconds)
    sweeper.stopped = True


def test_a_committed_row_goes_when_all_parts_have_finished(bench: TransactBench) -> None:
    stamp = bench.stamp()
    bench.upkeep.stopped = True  # the ledger's side alone
    bench.prepare(1, stamp, bench.action("put", "a", V2))
    decide(bench, 1, True, "a")
    sweep(bench)
    assert row_of(bench, 1) is not None, "it is not due"
    bench.advance(ledger.COMMITTED_DUE_S)
    bench.replica.group.closing = True  # the participant takes nothing
    sweep(bench)
    assert row_of(bench, 1) is not None
    assert bench.replica.locked
    bench.replica.group.closing = False
    sweep(bench)
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"2"}}'
    assert row_of(bench, 1) is None
    assert bench.upkeep.ledger.finished == 1
    assert not bench.errors


def test_the_decision_stays_while_a_token_may_ask_for_it(bench: TransactBench) -> None:
    decide(bench, 1, True, "a", has_token=True)
    bench.advance(ledger.COMMITTED_DUE_S)
    sweep(bench)
    row = row_of(bench, 1)
    assert row is not None
    assert ledger.committed_in(row)
    assert ledger.participants_in(row) == []
    assert int(row["expires"]["N"]) > bench.clock.wall_ms() // 1000 + ledger.TOKEN_KEEP_S
    bench.clock.advance(ledger.KEEP_S)
    sweep(bench)
    assert row_of(bench, 1) is None


def test_a_row_that_the_coordinator_removed_does_not_come_back(bench: TransactBench) -> None:
    decide(bench, 1, True, "a", has_token=True)
    bench.advance(ledger.COMMITTED_DUE_S)
    row = row_of(bench, 1)
    assert row is not None
    schema = bench.schema(ledger.LEDGER_TABLE)
    delete = WriteItem(schema.partitions.all[0].id, 0, DELETE, schema.codec.encode(row))
    bench.upkeep.ledger._finished(bench.node.replicas[delete.partition], delete.key, row)
    bench.scheduler.run()
    bench.ask(delete)
    bench.upkeep.ledger._finished(bench.node.replicas[delete.partition], delete.key, row)
    bench.scheduler.run()
    assert row_of(bench, 1) is None


def test_cancelled_rows_and_tokens_expire_like_any_item(bench: TransactBench) -> None:
    decide(bench, 1, False)
    token = ledger.token_key("t")
    token["expires"] = {"N": str(bench.clock.wall_ms() // 1000 + 600)}
    ledger_write(bench, token)
    sweep(bench)
    ledger_partition = bench.schema(ledger.LEDGER_TABLE).partitions.all[0].id
    assert bench.node.replicas[ledger_partition].group.count(0)[0] == 2
    bench.clock.advance(ledger.CANCELLED_KEEP_S)
    sweep(bench)
    assert bench.node.replicas[ledger_partition].group.count(0)[0] == 0


def test_a_row_waits_for_a_table_that_is_not_known_yet(bench: TransactBench) -> None:
    now_s = bench.clock.wall_ms() // 1000
    ledger_write(bench, ledger.decision_row(txid(1), True, [("Nowhere", [1])], now_s))
    bench.advance(ledger.COMMITTED_DUE_S)
    sweep(bench)
    assert row_of(bench, 1) is not None
    bench.clock.advance(3_600)
    sweep(bench)
    assert row_of(bench, 1) is None


# ---- markers


def test_old_markers_are_deleted_and_no_others(bench: TransactBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "SLICE", 4)
    for number in range(11):
        bench.commit(number, bench.action("put", f"k{number}", V1))
    bench.advance(5)
    assert len(bench.stored(keyspace.MARKERS)) == 11
    bench.clock.advance(MARKER_KEEP_S)
    for number in range(20, 25):
        bench.commit(number, bench.action("put", f"k{number}", V1))
    bench.clock.advance(markers.SLACK_S)
    bench.advance(20)
    assert sorted(key[8:] for key in bench.stored(keyspace.MARKERS)) == [txid(n) for n in range(20, 25)]
    bench.clock.advance(MARKER_KEEP_S)
    bench.advance(20)
    assert bench.stored(keyspace.MARKERS) == []
    assert bench.upkeep.markers.deleted == 16


def test_a_clock_elsewhere_that_is_ahead_makes_no_marker_old(bench: TransactBench) -> None:
    add = bench.action("update", "a", update="ADD v :one", values={":one": {"N": "1"}})
    assert bench.commit(1, add).verdict == DONE
    bench.node.stamps.observe(
        bench.stamp() + (3_600_000 << 16)
    )  # of an entry that another leader has written
    bench.advance(20)
    assert len(bench.stored(keyspace.MARKERS)) == 1
    assert bench.commit(1, add).verdict == REPEATED
    assert bench.get("a") == b'{"pk":{"S":"a"},"v":{"N":"1"}}'
    bench.commit(2, bench.action("put", "b", V1))
    bench.clock.advance(MARKER_KEEP_S + 1)
    assert bench.commit(2, bench.action("put", "b", V1)).verdict == DONE, "nor keeps it young"


def test_a_walk_costs_nothing_until_something_is_due(bench: TransactBench) -> None:
    bench.commit(1, bench.action("put", "a", V1))
    collector = bench.upkeep.markers
    while collector.step():
        pass
    assert not collector.step()
    bench.clock.advance(MARKER_KEEP_S)
    assert not collector.step(), "the oldest is younger than that"
    bench.clock.advance(markers.SLACK_S + 1)
    assert collector.step()


def test_a_marker_that_is_being_written_again_stays(bench: TransactBench) -> None:
    bench.commit(1, bench.action("put", "a", V1))
    collector = bench.upkeep.markers
    bench.clock.advance(MARKER_KEEP_S + markers.SLACK_S + 5)
    bench.log.held = []
    again = bench.send(TransactWrite(bench.replica.id, 0, txid(1), [bench.action("put", "a", V2)], b"d"))
    while collector.step():
        pass
    bench.release()
    assert again[0].verdict == DONE
    assert len(bench.stored(keyspace.MARKERS)) == 1
    assert bench.prepare(2, again[0].stamp, bench.action("put", "a")).verdict == LATE
