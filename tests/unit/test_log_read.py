"""Reading single records of the log by position: from every segment, while it grows and is cut, and damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hashrange_node.log import Entry, FileLog, LogDamaged, LogFull, MemoryLog, RecordDamaged, RecordGone
from hashrange_node.log import reader as reading
from hashrange_node.log.format import CONFIG, HEADER_SIZE, NOOP, start_of
from hashrange_node.log.segment import SEGMENT_HEADER_SIZE, segment_name

from tests.unit.log_support import LOG_ID, FailingFiles, Owner, entries, open_log, sync_now


def fill(log: FileLog, count: int, batch: int = 5, size: int = 100) -> dict[int, Entry]:
    """Append `count` entries in batches; where each starts."""
    found = {}
    for first in range(1, count + 1, batch):
        group = entries(first, min(batch, count + 1 - first), size, group=first % 3)
        log.append(group)
        found.update(zip(log.last_starts(), group, strict=True))
    return found


def test_every_record_can_be_read_in_any_order(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "log", segment_bytes=4096)
    found = fill(log, 200)
    assert log.statistics()["segments"] > 5
    positions = list(found)
    random.Random(1).shuffle(positions)
    for position in positions + sorted(positions):
        assert log.read(position) == found[position]
    log.close()


def test_positions_after_a_start_are_those_before_it(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "log", segment_bytes=4096)
    found = fill(log, 100)
    log.close()
    log = FileLog.open(tmp_path / "log", LOG_ID, call_soon=Owner().call_soon)
    again = {start_of(after, entry.payload): entry for after, entry in log.replay()}
    assert again == found
    assert all(log.read(position) == entry for position, entry in found.items())
    log.close()


def test_what_was_just_appended_is_read_though_a_piece_was_in_memory(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "log")
    for index in range(1, 50):
        log.append(entries(index, 2))
        for position, entry in zip(log.last_starts(), entries(index, 2), strict=True):
            assert log.read(position) == entry
    log.close()


@pytest.mark.parametrize("size", [0, 8, reading.READ_BYTES - HEADER_SIZE, reading.READ_BYTES, 1 << 20])
def test_records_of_all_sizes(tmp_path: Path, size: int) -> None:
    log, _ = open_log(tmp_path / "log")
    batch = [
        Entry(1, 1, 1, b"p" * size),
        Entry(1, 2, 1, b"", NOOP),
        Entry(1, 3, 1, b"c" * size, CONFIG),
        Entry(1, 4, 1, b"q" * size),
    ]
    log.append(batch)
    assert [log.read(position) for position in log.last_starts()] == batch
    log.close()


def test_a_lazy_payload_is_encoded_once_for_writing_and_reading(tmp_path: Path) -> None:
    class Lazy:
        calls = 0

        def encode(self) -> bytes:
            self.calls += 1
            return b"lazy"

    log, _ = open_log(tmp_path / "log")
    lazy = Lazy()
    log.append([(1, 1, 1, lazy, 1), (1, 2, 1, b"", 1)])
    first, second = log.last_starts()
    assert second - first == HEADER_SIZE + 4
    assert log.read(first).payload == b"lazy"
    assert lazy.calls == 1
    log.close()


def test_what_was_removed_is_gone(tmp_path: Path) -> None:
    owner = Owner()
    log, _ = open_log(tmp_path / "log", owner, segment_bytes=4096)
    found = fill(log, 200)
    assert log.first_position == 0
    assert all(log.read(position) for position in found)
    sync_now(log, owner)
    middle = sorted(found)[100]
    log.remove_before(middle)
    assert 0 < log.first_position <= middle
    for position, entry in found.items():
        if position >= log.first_position:
            assert log.read(position) == entry
        else:
            with pytest.raises(RecordGone):
                log.read(position)
    log.close()


@pytest.mark.parametrize("position", [-1, 10_000_000])
def test_what_was_never_there_is_gone(tmp_path: Path, position: int) -> None:
    log, _ = open_log(tmp_path / "log")
    fill(log, 3)
    for absent in (position, log.position):
        with pytest.raises(KeyError):
            log.read(absent)
    log.close()


def test_a_position_between_records_is_refused(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "log")
    found = fill(log, 3)
    for position in range(log.position):
        if position not in found:
            with pytest.raises(LogDamaged):
                log.read(position)
    log.close()


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "log")
    found = fill(log, 3, batch=3)
    position = sorted(found)[1]
    path = tmp_path / "log" / segment_name(0)
    size = HEADER_SIZE + len(found[position].payload)
    for offset in range(SEGMENT_HEADER_SIZE + position, SEGMENT_HEADER_SIZE + position + size):
        with path.open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes((byte[0] ^ 0x20,)))
        log._reader.forget()
        with pytest.raises(RecordDamaged) as damage:
            log.read(position)
        assert damage.value.path == path
        assert damage.value.offset == SEGMENT_HEADER_SIZE + position
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(byte)
    assert log.read(position) == found[position]
    log.close()


def test_an_intact_record_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "log")
    found = fill(log, 3, batch=3)
    first, second, _ = sorted(found)
    with (tmp_path / "log" / segment_name(0)).open("r+b") as file:
        file.seek(SEGMENT_HEADER_SIZE + first)
        record = file.read(second - first)
        file.write(record)
    with pytest.raises(RecordDamaged, match="position 0 is where"):
        log.read(second)
    log.close()


def test_a_removed_segment_is_not_held_open(tmp_path: Path) -> None:
    owner = Owner()
    log, _ = open_log(tmp_path / "log", owner, segment_bytes=4096)
    fill(log, 200)
    log.read(0)
    held = log._reader._fd
    sync_now(log, owner)
    log.remove_before(log.position)
    assert held >= 0 > log._reader._fd
    log.close()


def test_a_batch_that_was_taken_back_leaves_no_positions_behind(tmp_path: Path) -> None:
    files = FailingFiles()
    log, _ = open_log(tmp_path / "log", files=files)
    log.append(entries(1, 2))
    before = log.last_starts()
    files.room = 50
    with pytest.raises(LogFull):
        log.append(entries(3, 2))
    assert log.last_starts() == before
    files.room = None
    log.append(entries(5, 1))
    assert log.read(log.last_starts()[0]) == entries(5, 1)[0]
    log.close()


def test_a_log_that_keeps_nothing_says_so() -> None:
    log = MemoryLog()
    log.append(entries(1, 3))
    assert log.last_starts() == [0, 1, 2]
    assert not log.readable
    assert log.first_position == log.position == 3
    with pytest.raises(RecordGone):
        log.read(0)
