"""Snapshots on their way: whole, as they were when they began, in slices, at a rate, with every outcome reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.slices import ENTRY_COST, SLICE_BYTES, SLICE_ENTRIES
from hashrange_node.replica.snapshot_receive import STREAMS_MAX as STAGED_MAX
from hashrange_node.replica.snapshot_receive import SnapshotReceiver
from hashrange_node.replica.snapshot_send import ATTEMPTS, STREAMS_MAX, SnapshotSender
from hashrange_node.replica.staging import FileStaging, MemoryStaging
from hashrange_node.storage import EngineError, MemoryEngine, keyspace

from hashrange.errors import internal
from hashrange.wire.cluster import SnapshotChunk
from hashrange.wire.faults import Overloaded, Unreachable
from tests.unit.engine_support import make_engine
from tests.unit.snapshot_support import (
    CONTROL,
    LEFT,
    RIGHT,
    WHOLE,
    Loop,
    Wire,
    data_of,
    install_message,
    own,
)


class Pair:
    """A node that sends and one that stages."""

    def __init__(self, staging: Any = None, rate: float = 32 << 20) -> None:
        self.loop = Loop()
        self.engine = MemoryEngine()
        self.staging = staging if staging is not None else MemoryStaging()
        self.receiver = SnapshotReceiver(self.staging, lambda: self.loop.now)
        self.delivered: list[Any] = []
        self.wire = Wire(self.loop, self._receive)
        self.reports: list[str] = []
        self.sender = SnapshotSender(
            self.wire, self.loop, rate, lambda text, error: self.reports.append(text)
        )
        self.outcomes: list[bool] = []

    def _receive(self, node: int, message: SnapshotChunk, done: Any) -> None:
        self.receiver.on_chunk(message, done, self.delivered.append)

    def start(self, ranges: PartitionRanges, node: int = 2, to: int = 3) -> Any:
        message = install_message(ranges.partition, to)
        return self.sender.start(self.engine, ranges, b"state", message, node, self.outcomes.append)

    def staged_entries(self, number: int = 0) -> dict[bytes, bytes]:
        staged = self.delivered[number].snapshot.data
        return {key: value for chunk in staged.chunks() for key, value in chunk}


@pytest.mark.parametrize("ranges", [LEFT, RIGHT, WHOLE], ids=["left", "right", "whole"])
def test_a_partition_arrives_as_it_was_without_those_of_its_siblings(ranges: PartitionRanges):
    pair = Pair()
    for each in (LEFT, RIGHT):
        pair.engine.write(data_of(each, 3000))
    pair.engine.write([(b"P" + (6).to_bytes(8, "big") + b"\0next", b"x")])
    expected = own(pair.engine, ranges)
    pair.start(ranges)
    for _ in range(30):
        pair.loop.run(steps=7)
        pair.engine.write(data_of(ranges, 400, b"w"), [(b"P", b"Q")])
    pair.loop.run()
    assert pair.outcomes == [True]
    assert pair.staged_entries() == {**expected, keyspace.group_state(ranges.partition): b"state"}


def test_the_control_plane_s_state_is_the_catalogue():
    pair = Pair()
    pair.engine.write([(b"Cn", b"1"), (b"Ct" + b"table", b"{}"), *data_of(WHOLE, 3)])
    pair.start(CONTROL)
    pair.loop.run()
    assert pair.staged_entries() == {b"Cn": b"1", b"Cttable": b"{}", keyspace.group_state(0): b"state"}


def test_the_message_travels_without_the_handle_and_arrives_with_the_staged_snapshot():
    pair = Pair()
    pair.start(LEFT)
    pair.loop.run()
    travelled = pair.wire.sent[-1][1].message
    assert travelled.snapshot.data is None
    (delivered,) = pair.delivered
    assert (delivered.round, delivered.snapshot.index, delivered.to) == (9, 40, 3)
    assert delivered.snapshot.data is pair.staging.finished[f"7-3-{pair.wire.sent[-1][1].stream}"]


def test_chunks_are_slices_and_keep_to_the_rate():
    pair = Pair(rate=1 << 20)
    pair.engine.write(data_of(WHOLE, 4000, size=700))
    pair.start(WHOLE)
    pair.loop.run()
    chunks = [message for _, message, _ in pair.wire.sent]
    sizes = [sum(len(key) + len(value) for key, value in chunk.entries) for chunk in chunks]
    assert len(chunks) > 8
    assert all(size <= SLICE_BYTES + 1000 for size in sizes)
    assert all(len(chunk.entries) <= SLICE_ENTRIES + 1 for chunk in chunks)
    counted = sum(sizes[:-1]) + ENTRY_COST * sum(len(chunk.entries) for chunk in chunks[:-1])
    assert pair.wire.sent[-1][2] == pytest.approx(counted / (1 << 20), rel=0.01)


def test_streams_to_different_nodes_share_the_rate_and_those_to_one_node_wait():
    pair = Pair(rate=1 << 20)
    pair.engine.write([*data_of(LEFT, 2000), *data_of(RIGHT, 2000)])
    pair.start(LEFT, node=2)
    pair.start(RIGHT, node=2, to=4)
    pair.start(RIGHT, node=3, to=5)
    pair.loop.run()
    assert pair.outcomes == [True, True, True]
    order = [(node, message.group) for node, message, _ in pair.wire.sent]
    assert order.index((2, 8)) > max(n for n, each in enumerate(order) if each == (2, 7))
    assert order.index((3, 8)) < max(n for n, each in enumerate(order) if each == (2, 7))


def test_a_lost_answer_is_asked_for_again_and_nothing_is_staged_twice():
    pair = Pair()
    pair.engine.write(data_of(WHOLE, 3000))
    expected = own(pair.engine, WHOLE)
    lost: set[int] = set()

    def lose(node: int, message: SnapshotChunk) -> Any:
        if message.number in lost:
            return None
        lost.add(message.number)
        if message.number % 2 == 0:  # it arrived, its answer did not
            pair.receiver.on_chunk(message, lambda answer: None, pair.delivered.append)
        return Unreachable(node, sent=True)

    pair.wire.lose = lose
    pair.start(WHOLE)
    pair.loop.run()
    assert pair.outcomes == [True]
    assert len(pair.delivered) == 1
    got = {key: value for key, value in pair.staged_entries().items() if key[:1] != b"G"}
    assert got == expected
    entries = [key for chunk in pair.delivered[0].snapshot.data.chunks() for key, _ in chunk]
    assert len(entries) == len(set(entries))


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [(internal("no"), 1), (Unreachable(2, sent=False), ATTEMPTS), (Overloaded("x"), ATTEMPTS)],
)
def test_a_stream_that_is_refused_ends_and_the_next_begins(answer: Any, attempts: int):
    pair = Pair()
    pair.engine.write(data_of(WHOLE, 10))
    pair.wire.lose = lambda node, message: answer if message.replica == 3 else None
    pair.start(WHOLE)
    pair.start(WHOLE, to=4)
    pair.loop.run()
    assert pair.outcomes == [False, True]
    assert len([message for _, message, _ in pair.wire.sent if message.replica == 3]) == attempts
    assert len(pair.delivered) == 1


def test_a_cancelled_stream_says_so_at_once_and_sends_no_more():
    pair = Pair()
    pair.engine.write(data_of(WHOLE, 5000))
    stream = pair.start(WHOLE)
    waiting = pair.start(WHOLE, to=4)
    pair.loop.run(steps=6)
    sent = len(pair.wire.sent)
    waiting.cancel()
    stream.cancel()
    stream.cancel()
    assert pair.outcomes == [False, False]
    pair.loop.run()
    assert len(pair.wire.sent) == sent
    assert pair.delivered == []
    assert not pair.sender.busy
    pair.start(WHOLE)
    pair.loop.run()
    assert pair.outcomes == [False, False, True]


def test_more_streams_than_a_node_holds_are_refused_but_never_within_the_call():
    pair = Pair()
    for to in range(STREAMS_MAX + 2):
        pair.start(LEFT, to=to)
    assert pair.sender.busy
    assert pair.outcomes == []
    pair.loop.run()
    assert sorted(pair.outcomes) == [False, False] + [True] * STREAMS_MAX
    assert not pair.sender.busy


def test_streams_of_two_leaders_never_mix():
    old, new = Pair(), Pair()
    new.receiver, new.delivered = old.receiver, old.delivered
    streams = set()
    for term, pair in ((4, old), (5, new)):
        pair.engine.write(data_of(WHOLE, 3000, b"%d" % term))
        pair.sender.start(pair.engine, WHOLE, b"s", install_message(5, term=term), 2, pair.outcomes.append)
    for _ in range(200):
        old.loop.run(steps=3)
        new.loop.run(steps=3)
    streams = {message.stream for pair in (old, new) for _, message, _ in pair.wire.sent}
    assert len(streams) == 2
    assert (old.outcomes, new.outcomes) == ([False], [True])
    assert {value[:1] for value in old.staged_entries().values() if value} == {b"5", b"s"}


def test_stopping_cancels_everything():
    pair = Pair()
    pair.engine.write(data_of(WHOLE, 3000))
    pair.start(WHOLE)
    pair.start(WHOLE, to=4)
    pair.loop.run(steps=3)
    pair.sender.stop()
    pair.receiver.stop()
    assert pair.outcomes == [False, False]
    assert pair.receiver.receiving == 0


def test_an_engine_that_cannot_be_read_ends_the_stream_with_a_report():
    class Damaged(MemoryEngine):
        def view(self, ranges: Any) -> Any:
            view = super().view(ranges)
            entries = view.entries

            def failing() -> Any:
                yield next(entries())
                raise EngineError("checksum mismatch")

            view.entries = failing
            return view

    pair = Pair()
    pair.engine = Damaged()
    pair.engine.write(data_of(WHOLE, 10))
    pair.start(WHOLE)
    pair.loop.run()
    assert pair.outcomes == [False]
    assert pair.reports == ["partition 5 cannot be read"]
    assert pair.delivered == []

    class Closed(MemoryEngine):
        def view(self, ranges: Any) -> Any:
            raise EngineError("closed")

    pair.engine = Closed()
    pair.start(WHOLE)
    assert pair.outcomes == [False]
    pair.loop.run()
    assert pair.outcomes == [False, False]


def test_files_hold_what_arrived(tmp_path: Path):
    loop_of: list[Pair] = []
    staging = FileStaging(tmp_path, lambda work, done: loop_of[0].loop.run_off_loop(work, done))
    pair = Pair(staging)
    loop_of.append(pair)
    rocks = make_engine("rocks", tmp_path / "db")
    pair.engine = rocks
    rocks.write(data_of(WHOLE, 3000))
    expected = own(rocks, WHOLE)
    pair.start(WHOLE)
    for _ in range(10):
        pair.loop.run(steps=5)
        rocks.write(data_of(WHOLE, 300, b"w"))
    pair.loop.run()
    assert pair.outcomes == [True]
    pair.delivered[0].snapshot.data.verify()
    assert pair.staged_entries() == {**expected, keyspace.group_state(5): b"state"}
    rocks.close()


# ---- the receiver alone


def chunk(stream: int, number: int, last: bool = False, replica: int = 3, group: int = 7) -> SnapshotChunk:
    message = install_message(group, replica) if last else None
    return SnapshotChunk(group, replica, stream, number, [(b"k%d" % number, b"v")], message)


class Receiving:
    """A receiver and what it answered."""

    def __init__(self, staging: Any = None) -> None:
        self.now = 0.0
        self.staging = staging if staging is not None else MemoryStaging()
        self.receiver = SnapshotReceiver(self.staging, lambda: self.now)
        self.delivered: list[Any] = []

    def take(self, message: SnapshotChunk) -> str:
        answers: list[Any] = []
        self.receiver.on_chunk(message, answers.append, self.delivered.append)
        if not answers:
            return "nothing yet"
        return "" if answers[0] is None else str(answers[0].message)


def test_chunks_out_of_order_or_of_another_stream_are_refused():
    there = Receiving()
    assert "not under way" in there.take(chunk(1, 1))
    assert there.take(chunk(1, 0)) == ""
    assert "continues with chunk 1" in there.take(chunk(1, 2))
    assert there.take(chunk(1, 1)) == there.take(chunk(1, 1)) == ""
    assert "not under way" in there.take(chunk(2, 2))
    assert there.take(chunk(2, 0)) == ""
    assert "not under way" in there.take(chunk(1, 2))
    assert there.take(chunk(2, 1, last=True)) == ""
    assert list(there.delivered[0].snapshot.data.chunks()) == [
        [(b"k0", b"v")],
        [(b"k1", b"v")],
    ]
    assert there.take(chunk(2, 1, last=True)) == ""
    assert len(there.delivered) == 1


def test_a_stream_silent_for_long_makes_room_a_live_one_does_not():
    there = Receiving()
    for replica in range(STAGED_MAX):
        there.now += 1
        assert there.take(chunk(1, 0, replica=replica)) == ""
    assert "as many snapshots" in there.take(chunk(1, 0, replica=99))
    there.now = 121.5
    assert there.take(chunk(1, 1, replica=0)) == ""
    assert "as many snapshots" in there.take(chunk(1, 0, replica=99))
    there.now = 122.5
    assert there.take(chunk(1, 0, replica=99)) == ""
    assert "not under way" in there.take(chunk(1, 1, replica=1))
    assert there.take(chunk(1, 2, replica=0)) == ""


def test_what_raft_has_no_use_for_goes_when_the_next_arrives():
    there = Receiving()
    for stream in (1, 2, 3):
        assert there.take(chunk(stream, 0, last=True)) == ""
        if stream == 2:
            there.delivered[-1].snapshot.data.in_use = True
    assert sorted(there.staging.finished) == ["7-3-2", "7-3-3"]
    there.receiver.forget(7)
    assert sorted(there.staging.finished) == ["7-3-2"]


def test_errors_of_the_disk_end_the_stream_and_leave_no_file(tmp_path: Path):
    loop = Loop()
    fail = [False]

    def run(work: Any, done: Any) -> None:
        def failing() -> None:
            if fail[0]:
                raise OSError(28, "No space left on device")
            work()

        loop.run_off_loop(failing, done)

    there = Receiving(FileStaging(tmp_path, run))
    assert there.take(chunk(1, 0)) == "nothing yet"
    answers: list[Any] = []
    there.receiver.on_chunk(chunk(1, 1), answers.append, there.delivered.append)
    assert isinstance(answers.pop(), Overloaded)
    loop.run()
    fail[0] = True
    there.receiver.on_chunk(chunk(1, 1, last=True), answers.append, there.delivered.append)
    loop.run()
    assert "No space left" in answers[0].message
    assert there.delivered == []
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_is_replaced_while_it_is_written_leaves_no_file(tmp_path: Path):
    loop = Loop()
    there = Receiving(FileStaging(tmp_path, loop.run_off_loop))
    answers: list[Any] = []
    there.receiver.on_chunk(chunk(1, 0, last=True), answers.append, there.delivered.append)
    loop.run(steps=1)  # the chunk is being written
    assert there.take(chunk(2, 0)) == "nothing yet"
    loop.run()
    assert "has made way" in answers[0].message
    assert [path.name for path in tmp_path.iterdir()] == ["7-3-2.part"]
    (tmp_path / "7-3-9.part").touch()
    there.receiver.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["7-3-9.part"]
    FileStaging(tmp_path, loop.run_off_loop).clean(())
    assert list(tmp_path.iterdir()) == []
