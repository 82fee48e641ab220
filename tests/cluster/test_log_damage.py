"""Damage to the files of a real log: every changed, cut or missing byte is noticed or provably harmless.

Harmless means: the log opens and holds everything that was appended, in order.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hashrange_node.log import Entry, LogDamaged
from hashrange_node.log.mark import FILE_SIZE, MARK_NAME, SLOT_OFFSETS, SLOT_SIZE
from hashrange_node.log.segment import SEGMENT_HEADER_SIZE, list_segments

from tests.unit.log_support import (
    BOOT,
    LATER_BOOT,
    Owner,
    crash_copy,
    entries,
    open_log,
    sync_now,
    wait_for_mark,
)


@pytest.fixture(autouse=True)
def few_zeros_ahead(monkeypatch):
    """Small files: thousands of them are written here."""
    monkeypatch.setattr("hashrange_node.log.log.ZERO_FILL_BYTES", 4096)


def flip(path: Path, offset: int, mask: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ mask]))


def outcome(directory: Path, expected: list[Entry], boot: bytes) -> str:
    """'noticed', 'harmless', or what went wrong."""
    try:
        log, found = open_log(directory, boot_id=boot)
    except LogDamaged as damage:
        assert damage.last_good_position >= 0
        assert damage.path.is_relative_to(directory)
        return "noticed"
    log.close()
    return "harmless" if found == expected else f"silently lost or changed: {len(found)} of {len(expected)}"


def closed_log(directory: Path, written: list[Entry], **options: object) -> Path:
    log, _ = open_log(directory, **options)
    for entry in written:
        log.append([entry])
    log.close()
    return directory


def killed_log(directory: Path, written: list[Entry], marked: int, **options: object) -> tuple[Path, int]:
    """A log whose process was killed, all of it durable, with the mark covering the first `marked` entries.

    Returns the copy and the position after the marked ones.
    """
    owner = Owner()
    log, _ = open_log(directory, owner, **options)
    for entry in written[:marked]:
        log.append([entry])
    sync_now(log, owner)
    position = log.position
    wait_for_mark(directory, position)
    for entry in written[marked:]:
        log.append([entry])
    copy = crash_copy(directory, directory.with_name(directory.name + "-killed"))
    log.close()
    return copy, position


@pytest.mark.parametrize("boot", [BOOT, LATER_BOOT])
def test_one_flipped_byte_in_forty_places_is_always_noticed(tmp_path: Path, boot: bytes):
    written = entries(1, 200, size=500)
    source = closed_log(tmp_path / "log", written, segment_bytes=30_000)
    segments = list_segments(source)
    assert len(segments) > 3
    body = sum(each.size - SEGMENT_HEADER_SIZE for each in segments[:-1])
    for place in range(40):
        position = body * place // 40 + 11
        segment = [each for each in segments if each.base <= position][-1]
        copy = shutil.copytree(source, tmp_path / f"copy-{place}")
        flip(copy / segment.path.name, SEGMENT_HEADER_SIZE + position - segment.base, 1 << place % 8)
        assert outcome(copy, written, boot) == "noticed", place


@pytest.mark.parametrize("boot", [BOOT, LATER_BOOT])
def test_every_single_byte_of_a_closed_log_is_guarded(tmp_path: Path, boot: bytes):
    written = [*entries(1, 3, size=16), Entry(9, 0, 7, b"", 2), *entries(4, 1, size=16)]
    source = closed_log(tmp_path / "log", written, durability="os")
    segment = list_segments(source)[0]
    copy = shutil.copytree(source, tmp_path / "copy")
    whole = segment.path.read_bytes()
    for offset in range(len(whole)):
        (copy / segment.path.name).write_bytes(whole)
        shutil.copy(source / MARK_NAME, copy / MARK_NAME)
        flip(copy / segment.path.name, offset, 1 << offset % 8)
        assert outcome(copy, written, boot) == "noticed", offset


def test_every_single_byte_of_a_killed_processs_log_is_guarded(tmp_path: Path):
    written = [*entries(1, 3, size=16), Entry(9, 0, 7, b"", 2), *entries(4, 2, size=16)]
    for marked in (0, 3, len(written)):
        source, _ = killed_log(tmp_path / f"log-{marked}", written, marked)
        segment = list_segments(source)[0]
        whole = segment.path.read_bytes()
        copy = shutil.copytree(source, tmp_path / f"copy-{marked}")
        end = len(whole.rstrip(b"\0"))
        assert end + 8 < 4096, "all within one page: no flip can look like a write cut by a kill"
        # The records, and a stretch of the zeros behind them.
        for offset in range(0, end + 200, 1 if marked == 3 else 5):
            (copy / segment.path.name).write_bytes(whole)
            shutil.copy(source / MARK_NAME, copy / MARK_NAME)
            flip(copy / segment.path.name, offset, 1 << offset % 8)
            assert outcome(copy, written, BOOT) == "noticed", (marked, offset)


def test_after_a_power_cut_only_what_was_written_last_can_go_unnoticed(tmp_path: Path):
    owner = Owner()
    log, _ = open_log(tmp_path / "log", owner)
    ends = []
    for entry in entries(1, 30):
        ends.append(log.append([entry]))
        sync_now(log, owner)
    copy = crash_copy(tmp_path / "log", tmp_path / "copy")
    log.close()
    segment = list_segments(copy)[0]
    whole, mark = segment.path.read_bytes(), (copy / MARK_NAME).read_bytes()
    # The last record knows that all before it were durable: only itself it cannot vouch for.
    for offset in range(SEGMENT_HEADER_SIZE, SEGMENT_HEADER_SIZE + ends[-2], 7):
        segment.path.write_bytes(whole)
        (copy / MARK_NAME).write_bytes(mark)
        flip(segment.path, offset)
        assert outcome(copy, entries(1, 30), LATER_BOOT) == "noticed", offset


def test_every_single_byte_of_the_mark_is_guarded_or_harmless(tmp_path: Path):
    written = entries(1, 20)
    source, _ = killed_log(tmp_path / "log", written, 10)
    for boot in (BOOT, LATER_BOOT):
        for offset in [*range(0, SLOT_SIZE, 3), *range(SLOT_OFFSETS[1], SLOT_OFFSETS[1] + SLOT_SIZE, 3)]:
            copy = shutil.copytree(source, tmp_path / "copy")
            flip(copy / MARK_NAME, offset)
            assert outcome(copy, written, boot) in ("noticed", "harmless"), offset
            shutil.rmtree(copy)


@pytest.mark.parametrize("content", [None, b"", bytes(FILE_SIZE), b"\xff" * FILE_SIZE])
def test_a_missing_or_unreadable_mark_is_damage(tmp_path: Path, content: bytes | None):
    source = closed_log(tmp_path / "log", entries(1, 3))
    if content is None:
        (source / MARK_NAME).unlink()
    else:
        (source / MARK_NAME).write_bytes(content)
    assert outcome(source, entries(1, 3), BOOT) == "noticed"


@pytest.mark.parametrize("boot", [BOOT, LATER_BOOT])
def test_a_missing_segment_is_damage_whichever_it_is(tmp_path: Path, boot: bytes):
    written = entries(1, 60, size=1000)
    closed = closed_log(tmp_path / "log", written, segment_bytes=10_000)
    killed, _ = killed_log(tmp_path / "log2", written, 60, segment_bytes=10_000)
    for source in (closed, killed):
        names = [each.path.name for each in list_segments(source)]
        assert len(names) > 5
        for name in names:
            copy = shutil.copytree(source, tmp_path / "copy")
            (copy / name).unlink()
            assert outcome(copy, written, boot) == "noticed", name
            shutil.rmtree(copy)
        copy = shutil.copytree(source, tmp_path / "copy")
        for name in names:
            (copy / name).unlink()
        assert outcome(copy, written, boot) == "noticed"
        shutil.rmtree(copy)


@pytest.mark.parametrize("boot", [BOOT, LATER_BOOT])
def test_swapped_segments_are_damage(tmp_path: Path, boot: bytes):
    written = entries(1, 60, size=1000)
    source = closed_log(tmp_path / "log", written, segment_bytes=10_000)
    first, second = (each.path for each in list_segments(source)[1:3])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert outcome(source, written, boot) == "noticed"


@pytest.mark.parametrize("boot", [BOOT, LATER_BOOT])
def test_an_older_copy_of_a_segment_is_damage(tmp_path: Path, boot: bytes):
    """A file system that brings back an old version of a file: every record in it is intact."""
    owner = Owner()
    log, _ = open_log(tmp_path / "log", owner)
    log.append(entries(1, 10))
    sync_now(log, owner)
    path = list_segments(tmp_path / "log")[0].path
    old = path.read_bytes()
    log.append(entries(11, 10))
    log.close()
    path.write_bytes(old)
    assert outcome(tmp_path / "log", entries(1, 20), boot) == "noticed"


@pytest.mark.parametrize("boot", [BOOT, LATER_BOOT])
def test_a_log_cut_before_its_mark_is_damage_at_every_length(tmp_path: Path, boot: bytes):
    written = entries(1, 6, size=40)
    source, marked = killed_log(tmp_path / "log", written, 6)
    path = list_segments(source)[0].path
    whole, mark = path.read_bytes(), (source / MARK_NAME).read_bytes()
    for size in range(SEGMENT_HEADER_SIZE + marked):
        path.write_bytes(whole[:size])
        (source / MARK_NAME).write_bytes(mark)
        assert outcome(source, written, boot) == "noticed", size


@pytest.mark.parametrize("boot", [BOOT, LATER_BOOT])
def test_an_unsynced_tail_cut_anywhere_leaves_all_that_was_synced(tmp_path: Path, boot: bytes):
    written = entries(1, 8, size=40)
    source, marked = killed_log(tmp_path / "log", written, 5)
    path = list_segments(source)[0].path
    whole, mark = path.read_bytes(), (source / MARK_NAME).read_bytes()
    end = len(whole.rstrip(b"\0"))
    for size in range(SEGMENT_HEADER_SIZE + marked, end, 3):
        path.write_bytes(whole[:size])
        (source / MARK_NAME).write_bytes(mark)
        log, found = open_log(source, boot_id=boot)
        assert 5 <= len(found) < 8
        assert found == written[: len(found)]
        log.append(entries(len(found) + 1, 1, size=64))
        log.close()
        log, again = open_log(source, boot_id=boot)
        assert again == [*found, *entries(len(found) + 1, 1, size=64)]
        log.close()


@pytest.mark.parametrize("boot", [BOOT, LATER_BOOT])
def test_what_is_left_of_a_cut_write_never_shows_again(tmp_path: Path, boot: bytes):
    """A long write was cut; a short one takes its place, and the process is killed once more."""
    written = [*entries(1, 3), Entry(1, 4, 1, b"x" * 9000)]
    source, _ = killed_log(tmp_path / "log", written, 3)
    path = list_segments(source)[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    log, found = open_log(source, boot_id=boot, durability="os")
    assert found == written[:3]
    log.append(entries(4, 1))
    copy = crash_copy(source, tmp_path / "copy")
    log.close()
    log, found = open_log(copy, boot_id=boot)
    assert found == entries(1, 4)
    log.close()


def test_noticing_damage_changes_nothing_on_disk(tmp_path: Path):
    source = closed_log(tmp_path / "log", entries(1, 50))
    flip(list_segments(source)[0].path, 1000)
    before = {each.name: each.read_bytes() for each in source.iterdir()}
    for _ in range(2):
        assert outcome(source, entries(1, 50), BOOT) == "noticed"
    assert {each.name: each.read_bytes() for each in source.iterdir()} == before
