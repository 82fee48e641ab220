"""Reading a shard: pages, waiting for records, positions; what is answered when the reader cannot be served."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.streams import reading

from hashrange.errors import ApiError
from hashrange.model.stream_sequence import sequence_of
from hashrange.wire.faults import NotLeader, StaleRoute
from hashrange.wire.streams import LocateRecord, ReadRecords, ReadShards, RecordPage
from tests.unit.stream_node_support import StreamBench


def filled(count: int = 10) -> StreamBench:
    bench = StreamBench()
    for number in range(count):
        bench.write(f"k{number:03d}", v="x" * 50)
    return bench


def test_pages_go_on_where_the_last_one_ended() -> None:
    bench = filled()
    [shard] = bench.shards()
    found, after = [], 0
    for wanted in (4, 4, 2, 0):
        page = bench.page(shard, after, limit=4)
        assert len(page.records) == wanted
        assert not page.ended
        found += page.records
        after = page.after
    assert [sequence for sequence, _ in found] == sorted({each.sequence for each in bench.records()})
    assert after == found[-1][0]


def test_a_page_ends_at_its_bytes_but_has_one_record_at_least() -> None:
    bench = filled(5)
    [shard] = bench.shards()
    size = len(bench.page(shard).records[0][1])
    assert [
        len(bench.page(shard, max_bytes=limit).records) for limit in (1, size, 2 * size, 2 * size + 1)
    ] == [
        1,
        1,
        2,
        2,
    ]


def test_no_page_is_longer_than_the_node_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = filled(9)
    bench.redefine(None)
    [shard] = bench.shards()
    monkeypatch.setattr(reading, "PAGE_RECORDS_MAX", 5)
    page = bench.page(shard, limit=10_000)
    assert (len(page.records), page.ended) == (5, False)
    monkeypatch.setattr(reading, "PAGE_BYTES_MAX", 1)
    assert len(bench.page(shard, limit=10_000).records) == 1


def test_a_closed_shard_ends_with_its_last_page() -> None:
    bench = filled(4)
    bench.redefine(None)
    [shard] = bench.shards()
    assert [bench.page(shard, limit=limit).ended for limit in (3, 4, 5)] == [False, False, True]
    last = bench.records(shard)[-1].sequence
    page = bench.page(shard, last)
    assert (page.records, page.after, page.ended) == ([], last, True)
    assert shard.end is not None
    assert bench.page(shard, shard.end).ended


def test_unknown_shards_and_partitions_are_refused() -> None:
    bench = filled(1)
    [shard] = bench.shards()
    for message in (
        ReadRecords(1, 1, 0, "shardId-0", 0, 1, 1),
        LocateRecord(1, 1, 0, "shardId-0", None),
        ReadRecords(99, 1, 0, shard.id, 0, 1, 1),
    ):
        answer = bench.do(message)
        assert answer.type_name == "ResourceNotFoundException"


def test_a_hash_of_another_partition_is_sent_elsewhere() -> None:
    bench = filled(1)
    [shard] = bench.shards()
    bench.replica.place = type(bench.replica.place)(1, 1, 5, 9)
    for message in (ReadShards(1, 1, 4, bench.label), ReadRecords(1, 1, 10, shard.id, 0, 1, 1)):
        assert isinstance(bench.do(message), StaleRoute)


# ---- waiting


def waiting(bench: StreamBench, after: int, wait_ms: int = 5_000) -> list[Any]:
    [shard] = [each for each in bench.shards() if each.open]
    return bench.send(ReadRecords(bench.replica.id, 1, shard.lo, shard.id, after, 100, 1 << 20, wait_ms))


def test_a_reader_waits_for_the_next_record() -> None:
    bench = filled(1)
    last = bench.records()[-1].sequence
    answers = waiting(bench, last)
    bench.scheduler.run(10)
    bench.write("k000", v="x" * 50)  # changes nothing
    assert answers == []
    bench.write("new")
    [page] = answers
    assert [sequence > last for sequence, _ in page.records] == [True]
    assert bench.replica.stream.readers == []


def test_a_reader_does_not_wait_when_there_are_records() -> None:
    bench = filled(2)
    [page] = waiting(bench, 0)
    assert len(page.records) == 2


def test_a_reader_is_answered_when_its_time_is_up() -> None:
    bench = filled(1)
    last = bench.records()[-1].sequence
    answers = waiting(bench, last, 2_000)
    bench.wait(1.9)
    assert answers == []
    bench.wait(0.2)
    [page] = answers
    assert (page.records, page.after, page.ended) == ([], last, False)
    bench.write("later")
    assert len(answers) == 1


def test_nobody_waits_longer_than_messages_do() -> None:
    bench = filled(1)
    answers = waiting(bench, bench.records()[-1].sequence, 1_000_000)
    bench.wait(10.1)
    assert len(answers) == 1


def test_a_reader_is_answered_when_its_shard_is_closed() -> None:
    bench = filled(1)
    answers = waiting(bench, bench.records()[-1].sequence)
    bench.redefine(None)
    [page] = answers
    assert (page.records, page.ended) == ([], True)


def test_a_reader_is_told_when_leadership_is_lost() -> None:
    bench = filled(1)
    answers = waiting(bench, bench.records()[-1].sequence)
    bench.node.driver._lose(bench.replica.group)
    bench.scheduler.run(10)
    assert [type(answer) for answer in answers] == [NotLeader]


def test_a_reader_is_told_when_the_node_stops() -> None:
    bench = filled(1)
    answers = waiting(bench, bench.records()[-1].sequence)
    bench.node.stop()
    assert [type(answer) for answer in answers] == [NotLeader]


def test_several_readers_get_the_same() -> None:
    bench = filled(1)
    last = bench.records()[-1].sequence
    many = [waiting(bench, last) for _ in range(3)]
    bench.write("new")
    assert [[len(page.records) for page in answers] for answers in many] == [[1]] * 3


def test_a_reader_is_answered_only_with_what_is_applied() -> None:
    bench = filled(1)
    answers = waiting(bench, bench.records()[-1].sequence)
    bench.log.held = []
    bench.put({"pk": {"S": "late"}})
    bench.scheduler.run(10)
    assert answers == []
    bench.log.release()
    bench.scheduler.run(10)
    assert len(answers) == 1


def test_a_shard_is_not_ended_before_its_end_is_applied() -> None:
    bench = filled(1)
    [shard] = bench.shards()
    last = bench.records()[-1].sequence
    bench.log.held = []
    bench.put({"pk": {"S": "late"}})
    bench.redefine(None)
    [keeper_row] = bench.replica.stream.rows.values()
    assert not keeper_row.shard.open
    page: RecordPage = bench.page(shard, last)
    assert (page.records, page.ended) == ([], False)
    bench.log.release()
    bench.scheduler.run(10)
    page = bench.page(shard, last)
    assert (len(page.records), page.ended) == (1, True)


def test_a_shard_is_not_there_before_its_beginning_is_applied() -> None:
    bench = filled(1)
    bench.log.held = []
    bench.replica.stream.roll_over()
    first, second = (row.shard for row in bench.replica.stream.rows.values())
    assert bench.do(ReadRecords(1, 1, 0, second.id, 0, 1, 1)).type_name == "ResourceNotFoundException"
    bench.log.release()
    bench.scheduler.run(10)
    assert bench.page(second).records == []
    assert bench.page(first).ended


# ---- positions


def test_latest_is_behind_what_has_been_acknowledged() -> None:
    bench = filled(3)
    [shard] = bench.shards()
    after = bench.locate(shard)
    assert after >= bench.records()[-1].sequence
    assert bench.page(shard, after).records == []
    bench.write("new")
    assert len(bench.page(shard, after).records) == 1


def test_latest_of_a_closed_shard_is_its_end() -> None:
    bench = filled(3)
    bench.redefine(None)
    [shard] = bench.shards()
    assert bench.locate(shard) == shard.end


def test_latest_of_a_shard_without_records_is_its_beginning_or_behind() -> None:
    bench = StreamBench()
    [shard] = bench.shards()
    assert bench.locate(shard) >= shard.start


@pytest.mark.parametrize("closed", [False, True])
def test_a_time_is_found(closed: bool) -> None:
    bench = StreamBench()
    start_ms = bench.clock.wall_ms()
    for number in range(30):
        bench.write(f"k{number}")
        bench.clock.advance(1.0)
    if closed:
        bench.redefine(None)
    [shard] = bench.shards()
    sequences = [each.sequence for each in bench.records(shard)]
    for number in range(30):
        at_ms = start_ms + number * 1000
        assert bench.locate(shard, at_ms) == sequences[number] - 1
        assert bench.locate(shard, at_ms - 500) == sequences[number] - 1
    behind = bench.locate(shard, start_ms + 60_000)
    assert behind >= sequences[-1]
    assert bench.page(shard, behind).records == []


def test_shards_are_answered_as_they_are_applied() -> None:
    bench = StreamBench(view_type=None)
    bench.log.held = []
    bench.redefine("late")
    answers = bench.send(ReadShards(bench.replica.id, 1, 0, "late"))
    bench.scheduler.run(10)
    assert answers == [], "the shard is about to be opened"
    bench.log.release()
    bench.scheduler.run(10)
    bench.log.release()
    bench.scheduler.run(10)
    assert [len(answer["shards"]) for answer in answers] == [1]


def test_whoever_asks_while_leadership_is_lost_is_told() -> None:
    bench = StreamBench(view_type=None)
    bench.log.held = []
    bench.redefine("late")
    answers = bench.send(ReadShards(bench.replica.id, 1, 0, "late"))
    bench.node.driver._lose(bench.replica.group)
    assert [isinstance(answer, ApiError) for answer in answers] == [True]


def test_positions_are_texts_of_numbers() -> None:
    bench = filled(1)
    [shard] = bench.shards()
    [answer] = bench.send(LocateRecord(bench.replica.id, 1, 0, shard.id, None))
    index = bench.replica.group.core.log.applied
    assert answer == {"after": str(sequence_of(bench.replica.id, index, 0xFFFF))}
