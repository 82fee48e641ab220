"""Shards of one partition: opened, closed and continued as the document and time want, by entries of the log."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.raft.refusal import Refusal
from hashrange_node.replica.place import Place
from hashrange_node.storage import keyspace
from hashrange_node.streams import shards as rules
from hashrange_node.streams.shards import ShardRow

from hashrange.errors import ApiError
from hashrange.model.stream_sequence import sequence_of, shard_id
from hashrange.model.table import StreamSettings
from hashrange.wire.streams import Shard
from tests.unit.stream_node_support import StreamBench

STREAM = StreamSettings("arn", "label", "KEYS_ONLY")
PLACE = Place(5, 3, 100, 200)


def test_a_shard_lies_at_the_lowest_hash_of_its_partition() -> None:
    row = rules.opened(PLACE, STREAM, 7, None, sequence_of(5, 20, 1), 1_000)
    shard = row.shard
    assert shard == Shard(
        shard_id(5, 1_000), "label", "KEYS_ONLY", 5, 100, None, sequence_of(5, 20, 1), 1_000
    )
    key, value = rules.row_mutation(3, row, 9 << 16, 20)
    low, high = rules.rows_range(3, 100)
    assert low <= key < high
    assert value is not None
    assert rules.decode_row(value) == row
    assert key.startswith(keyspace.space_prefix(3, keyspace.SHARDS) + (100).to_bytes(8, "big"))


def test_a_shard_is_younger_than_the_one_before_though_the_clock_was_set_back() -> None:
    first = rules.opened(PLACE, STREAM, 7, None, sequence_of(5, 20, 1), 1_000)
    old, new = rules.rolled_over(first, PLACE, 30, 400)
    assert old.shard.end == sequence_of(5, 30, 0) < new.shard.start == sequence_of(5, 30, 1)
    assert old.shard.closed_ms == 1_000
    assert new.shard.opened_ms == 1_001
    assert new.shard.parent == old.shard.id == first.shard.id
    assert new.generation == first.generation


def test_another_stream_has_no_parent() -> None:
    first = rules.opened(PLACE, STREAM, 7, None, 1, 1_000)
    other = rules.opened(PLACE, StreamSettings("arn", "other", "KEYS_ONLY"), 8, first.shard, 2, 2_000)
    assert other.shard.parent is None


def test_a_split_closes_the_shard_and_opens_those_of_the_children() -> None:
    row = rules.opened(PLACE, STREAM, 7, None, sequence_of(5, 20, 1), 1_000)
    children = [Place(8, 3, 100, 149), Place(9, 3, 150, 200)]
    old, low, high = rules.split(row, PLACE, 50, children, 10, 3_000)
    assert old.shard.end == sequence_of(5, 50, 0)
    for child, place in ((low, children[0]), (high, children[1])):
        assert child.shard.parent == row.shard.id
        assert (child.shard.partition, child.shard.lo) == (place.id, place.lo)
        assert child.shard.start == sequence_of(place.id, 10, 0) > sequence_of(5, 50, 0)
        assert child.shard.open


def test_a_new_table_has_an_open_shard_before_anything_is_written() -> None:
    bench = StreamBench()
    [shard] = bench.shards()
    assert shard.open
    assert (shard.label, shard.view_type, shard.parent) == (bench.label, "NEW_AND_OLD_IMAGES", None)
    bench.write("a")
    [record] = bench.records()
    assert record.sequence > shard.start


def test_a_stream_that_is_switched_on_later_has_what_is_written_from_then_on() -> None:
    bench = StreamBench(view_type=None)
    bench.write("before")
    bench.redefine("later")
    bench.write("after")
    [shard] = bench.shards("later")
    assert [each.event for each in bench.records(shard)] == ["INSERT"]
    assert bench.shards("other") == []


def test_a_stream_that_is_switched_off_is_closed_and_stays_readable() -> None:
    bench = StreamBench()
    bench.write("a")
    bench.redefine(None)
    bench.write("b")
    [shard] = bench.shards()
    assert not shard.open
    assert shard.end is not None
    assert [each.sequence <= shard.end for each in bench.records(shard)] == [True]
    assert bench.page(shard).ended
    assert bench.replica.recording is None


def test_a_stream_that_is_switched_off_and_on_is_another_one() -> None:
    bench = StreamBench()
    bench.redefine(None)
    bench.redefine("second", "KEYS_ONLY")
    bench.write("a")
    [first] = bench.shards()
    [second] = bench.shards("second")
    assert not first.open
    assert second.parent is None
    assert [each.new for each in bench.records(second)] == [None]


def test_a_leader_that_missed_the_end_of_a_stream_closes_and_opens_in_one_entry() -> None:
    bench = StreamBench()
    bench.redefine("second")
    [first], [second] = bench.shards(), bench.shards("second")
    assert first.end == second.start - 1
    assert second.open


def test_an_older_document_changes_nothing() -> None:
    bench = StreamBench()
    bench.redefine(None)
    shards = bench.shards()
    old = {**bench.node.catalogue.documents["Things"]}
    told: list[str] = []
    bench.node.streams.keep(bench.replica, old, lambda: told.append("again"))
    bench.scheduler.run(10)
    assert bench.shards() == shards
    # Nor after a change of leader, by one whose catalogue is behind.
    bench.replica.stream.leading(False)
    bench.replica.stream.leading(True)
    bench.scheduler.run(10)
    assert bench.shards() == shards
    assert bench.replica.recording is None
    assert told == []


def test_whoever_asks_is_told_once_the_entry_is_applied() -> None:
    bench = StreamBench(view_type=None)
    document = {
        **bench.node.catalogue.documents["Things"],
        "Generation": 9,
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        "LatestStreamLabel": "late",
        "LatestStreamArn": "arn",
    }
    told: list[str] = []
    bench.log.held = []
    bench.node.streams.keep(bench.replica, document, lambda: told.append("done"))
    bench.scheduler.run(10)
    assert told == []
    assert bench.replica.recording is not None, "what comes behind the entry is recorded already"
    bench.log.release()
    bench.scheduler.run(10)
    assert told == ["done"]
    assert [shard.label for shard in bench.stored_shards()] == ["late"]
    bench.node.streams.keep(bench.replica, document, lambda: told.append("at once"))
    assert told == ["done", "at once"]


def test_nothing_is_written_before_the_shard_is_open() -> None:
    bench = StreamBench(view_type=None)
    core = bench.replica.group.core
    refusals = [Refusal.OVERLOADED] * 2

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def propose(self, proposal: Any, size: int) -> Any:
            return refusals.pop() if refusals else core.propose(proposal, size)

    bench.replica.group.core = Refusing()
    bench.redefine("late")
    assert refusals == [Refusal.OVERLOADED]
    answer = bench.write("a")
    assert isinstance(answer, ApiError)
    assert answer.status == 503
    bench.write("b")  # opens it first
    [shard] = bench.shards("late")
    assert len(bench.records(shard)) == 1


def test_a_refused_change_is_tried_again() -> None:
    bench = StreamBench()
    core = bench.replica.group.core
    refusals = [Refusal.OVERLOADED]

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def propose(self, proposal: Any, size: int) -> Any:
            return refusals.pop() if refusals else core.propose(proposal, size)

    bench.replica.group.core = Refusing()
    bench.redefine(None)
    assert bench.stored_shards()[0].open
    bench.wait(1.0)
    assert not bench.stored_shards()[0].open


def test_a_shard_that_is_old_is_continued() -> None:
    bench = StreamBench()
    bench.write("a")
    bench.wait(14_399.0)
    assert len(bench.shards()) == 1
    bench.wait(2.0)
    first, second = bench.shards()
    assert (first.open, second.open, second.parent) == (False, True, first.id)
    bench.write("b")
    assert [len(bench.records(shard)) for shard in (first, second)] == [1, 1]
    assert bench.page(first).ended
    assert not bench.page(second).ended


def test_the_next_leader_goes_on_with_the_same_shard() -> None:
    bench = StreamBench()
    bench.write("a")
    before = bench.shards()
    bench.replica.stream.leading(False)
    assert bench.replica.recording is None
    assert bench.replica.stream.rows == {}
    bench.replica.stream.leading(True)
    bench.write("b")
    assert bench.shards() == before
    assert len(bench.records()) == 2


def test_shards_that_cannot_be_read_take_the_replica_out_of_service() -> None:
    bench = StreamBench()
    [shard] = bench.stored_shards()
    bench.engine.write([(rules.row_key(bench.replica.place.store, shard), b"?" * 40)])
    bench.replica.stream.leading(False)
    bench.replica.stream.leading(True)
    assert "shards cannot be read" in bench.replica.group.damaged
    assert bench.errors


@pytest.mark.parametrize("value", [b"", b"x" * 24 + b"{}", b"x" * 24 + b"[]"])
def test_what_is_no_shard_is_refused(value: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        rules.decode_row(value)


def test_rows_look_like_records_to_whoever_looks_for_a_stamp() -> None:
    bench = StreamBench()
    replica = bench.replica
    for space in (keyspace.STREAM, keyspace.SHARDS):
        bench.write("a", v=str(space))
        low = keyspace.space_prefix(replica.place.store, space)
        for _, value in bench.engine.scan(low, low + b"\xff" * 30):
            stamp = int.from_bytes(value[8:16], "little")
            assert stamp >> 16 == bench.clock.wall_ms()


def test_generations_are_kept_with_the_shard() -> None:
    row = ShardRow(rules.opened(PLACE, STREAM, 7, None, 1, 1_000).shard, 7)
    assert rules.closed(row, 9, 2_000).generation == 7
    assert rules.closed(row, 9, 2_000, 12).generation == 12
