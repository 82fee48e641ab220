"""Records and shards that are older than they are kept: trimmed, and nothing else is walked or lost."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.replica.group import Group
from hashrange_node.streams import trimming
from hashrange_node.streams.shards import records_prefix

from hashrange.model.stream_sequence import sequence_bytes
from tests.unit.stream_node_support import StreamBench

DAY_S = 86_400.0


def stored(bench: StreamBench) -> int:
    low = records_prefix(bench.replica.place.store, 0)
    return sum(1 for _ in bench.engine.scan(low, low + b"\xff" * 16))


def pass_time(bench: StreamBench, seconds: float) -> None:
    """Let time pass without roll-overs: the wall moves, and looks are taken."""
    bench.clock.advance(seconds)
    for _ in range(10):
        bench.scheduler.run(1, 1.0)
        bench.scheduler.run(5)


@pytest.fixture
def bench() -> StreamBench:
    found = StreamBench()
    object.__setattr__(found.node.settings, "stream_rollover_s", 1e9)
    return found


def test_records_are_kept_for_a_day(bench: StreamBench) -> None:
    bench.write("a")
    pass_time(bench, DAY_S - 10)
    bench.write("b")
    assert len(bench.records()) == 2
    pass_time(bench, 11)
    [record] = bench.records()
    assert record.key == bench.schema().codec.encode({"pk": {"S": "b"}})
    assert stored(bench) == 1
    assert bench.node.streams.trimmer.trimmed == 1


def test_reading_below_the_horizon_is_refused_but_from_the_beginning(bench: StreamBench) -> None:
    for name in "abc":
        bench.write(name)
    [shard] = bench.shards()
    old = bench.records()
    pass_time(bench, DAY_S)
    bench.write("d")
    pass_time(bench, 1)
    [shard] = bench.shards()
    assert shard.trimmed == old[-1].sequence
    answer = bench.page(shard, old[0].sequence)
    assert answer.type_name == "TrimmedDataAccessException"
    assert len(bench.page(shard, old[-1].sequence).records) == 1
    assert len(bench.page(shard, 0).records) == 1


def test_trimming_goes_on_in_slices(bench: StreamBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "SLICE", 3)
    for number in range(10):
        bench.write(f"k{number}")
    pass_time(bench, DAY_S)
    pass_time(bench, 1)
    assert stored(bench) == 0
    assert bench.node.streams.trimmer.trimmed == 10


def test_a_slice_that_takes_long_does_not_put_off_the_next(
    bench: StreamBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "SLICE", 1)
    bench.write("a")
    bench.clock.advance(2 * DAY_S)
    propose, held = Group.propose, []

    def holding(self: Group, effects: Any, done: Any) -> bool:
        return propose(self, effects, held.append if effects.ranges else done)

    monkeypatch.setattr(Group, "propose", holding)
    keeper, trimmer = bench.replica.stream, trimming.Trimmer()
    now_ms = bench.clock.wall_ms()
    assert trimmer.step(keeper, now_ms, int(DAY_S * 1000))
    assert trimmer.step(keeper, now_ms, int(DAY_S * 1000)), "it is looked at again soon"


def test_a_few_records_are_not_followed_at_once(bench: StreamBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "SLICE", 3)
    for number in range(4):
        bench.write(f"k{number}")
    bench.clock.advance(2 * DAY_S)
    keeper, trimmer = bench.replica.stream, trimming.Trimmer()
    now_ms, day_ms = bench.clock.wall_ms(), int(DAY_S * 1000)
    assert trimmer.step(keeper, now_ms, day_ms), "more may be due"
    bench.scheduler.run(5)
    assert not trimmer.step(keeper, now_ms, day_ms), "nothing more is due"
    bench.scheduler.run(5)
    assert trimmer.trimmed == 4
    assert keeper.trim_due_ms == now_ms + day_ms // 1000


def test_what_cannot_be_read_is_reported_and_looked_at_again(bench: StreamBench) -> None:
    bench.write("a")
    key = records_prefix(bench.replica.place.store, 0) + sequence_bytes(bench.records()[0].sequence)
    value = bench.engine.get(key)
    bench.engine.write([(key, b"short")])
    pass_time(bench, 2 * DAY_S)
    assert bench.errors
    bench.engine.write([(key, value)])
    pass_time(bench, 1)
    assert stored(bench) == 0


def test_only_what_is_trimmed_is_walked(bench: StreamBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "SLICE", 4)
    for number in range(3):
        bench.write(f"old{number}")
    pass_time(bench, DAY_S)
    for number in range(50):
        bench.write(f"new{number}")
    walked: list[bytes] = []
    scan = bench.engine.scan

    def counting(lo: bytes, hi: bytes, reverse: bool = False) -> Any:
        for entry in scan(lo, hi, reverse):
            walked.append(entry[0])
            yield entry

    keeper = bench.replica.stream
    monkeypatch.setattr(bench.engine, "scan", counting)
    trimmer = trimming.Trimmer()
    trimmer.step(keeper, bench.clock.wall_ms(), int(DAY_S * 1000))
    assert len(walked) <= 4


def test_nothing_is_looked_at_before_it_is_due(bench: StreamBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("a")
    bench.wait(1.0)
    scans: list[bytes] = []
    scan = bench.engine.scan

    def noting(lo: bytes, hi: bytes, reverse: bool = False) -> Any:
        scans.append(lo)
        return scan(lo, hi, reverse)

    monkeypatch.setattr(bench.engine, "scan", noting)
    for _ in range(20):
        bench.wait(1.0)
    assert scans == []
    bench.clock.advance(DAY_S - 20)
    bench.wait(1.0)
    assert scans


def test_an_empty_closed_shard_goes_when_it_is_old(bench: StreamBench) -> None:
    bench.write("a")
    bench.redefine(None)
    pass_time(bench, DAY_S - 20)
    assert len(bench.shards()) == 1
    pass_time(bench, 20)
    pass_time(bench, 1)
    assert bench.shards() == []
    assert bench.stored_shards() == []
    assert stored(bench) == 0


def test_an_open_shard_stays_however_old(bench: StreamBench) -> None:
    bench.write("a")
    pass_time(bench, 3 * DAY_S)
    assert [shard.open for shard in bench.shards()] == [True]
    assert bench.records() == []
    bench.write("b")
    assert len(bench.records()) == 1


def test_children_outlive_their_parents(bench: StreamBench) -> None:
    bench.write("a")
    object.__setattr__(bench.node.settings, "stream_rollover_s", DAY_S)
    pass_time(bench, DAY_S)
    first, second = bench.shards()
    bench.write("b")
    pass_time(bench, DAY_S - 20)
    object.__setattr__(bench.node.settings, "stream_rollover_s", 1e9)
    pass_time(bench, 5)
    assert [shard.id for shard in bench.shards()] == [first.id, second.id]
    pass_time(bench, 20)
    pass_time(bench, 1)
    [left] = bench.shards()
    assert left.id == second.id
    assert left.parent == first.id, "though it is gone"


def test_trimming_survives_a_change_of_leader(bench: StreamBench) -> None:
    for name in "ab":
        bench.write(name)
    pass_time(bench, DAY_S)
    pass_time(bench, 1)
    bench.replica.stream.leading(False)
    bench.replica.stream.leading(True)
    [shard] = bench.shards()
    assert shard.trimmed > shard.start
    assert bench.page(shard, shard.start).type_name == "TrimmedDataAccessException"
