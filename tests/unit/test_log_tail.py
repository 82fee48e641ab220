"""May the end of a log be cut: one test for each rule of hashrange_node.log.tail."""

from __future__ import annotations

from hashrange_node.log.format import Entry, encode, seed_of
from hashrange_node.log.tail import Circumstances, Region, damage_behind

SEED = seed_of(b"0123456789abcdef")
PAGE = 4096
START = 1000  # position of the first byte that cannot be read
OFFSET = 64 + START  # the same place in the file


def known(durable: int = START, clean: bool = False, same_boot: bool = False) -> Circumstances:
    return Circumstances(durable, clean, same_boot, PAGE, SEED)


def record(size: int, position: int = START, durable: int = START, previous: int = 1) -> bytes:
    return encode([Entry(1, 1, 1, b"p" * size)], position, durable, previous, SEED)[0]


def flipped(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def test_nothing_or_zeros_behind_the_durable_mark_is_a_clean_end():
    for rest in (b"", bytes(5000)):
        for boot in (True, False):
            assert damage_behind(START, OFFSET, rest, [], known(same_boot=boot)) is None
            assert damage_behind(START, OFFSET, rest, [], known(clean=True, same_boot=boot)) is None


def test_a_log_that_ends_before_its_mark_is_damaged():
    assert "acknowledged" in (damage_behind(START, OFFSET, bytes(99), [], known(durable=START + 1)) or "")


def test_after_a_clean_close_anything_behind_the_end_is_damage():
    assert damage_behind(START, OFFSET, bytes(50) + b"\1" + bytes(50), [], known(clean=True))
    assert damage_behind(START, OFFSET, b"", [Region(5000, b"x")], known(clean=True))


def test_after_a_power_cut_a_torn_record_is_cut():
    torn = flipped(record(300), 100) + bytes(4000)
    assert damage_behind(START, OFFSET, torn, [], known()) is None


def test_after_a_power_cut_later_records_of_the_same_unsynced_write_are_cut_too():
    first = record(300)
    later = record(300, START + len(first), START)
    assert damage_behind(START, OFFSET, flipped(first, 70) + later + bytes(99), [], known()) is None
    assert (
        damage_behind(START, OFFSET, bytes(len(first)), [Region(START + len(first), later)], known()) is None
    )


def test_after_a_power_cut_a_record_that_was_durable_when_a_later_one_was_written_is_damage():
    first = record(300)
    later = record(300, START + len(first), START + len(first))
    assert "durable" in (damage_behind(START, OFFSET, flipped(first, 70) + later, [], known()) or "")
    elsewhere = [Region(START + len(first), later)]
    assert damage_behind(START, OFFSET, bytes(len(first)), elsewhere, known())


def test_while_the_machine_ran_on_an_intact_record_behind_a_hole_is_damage():
    first = record(300)
    later = record(300, START + len(first), START)
    rest = flipped(first, 70) + later
    assert "intact record follows" in (damage_behind(START, OFFSET, rest, [], known(same_boot=True)) or "")


def test_while_the_machine_ran_on_a_whole_record_that_cannot_be_read_is_damage():
    whole = record(300)
    for offset in range(len(whole)):
        rest = flipped(whole, offset) + bytes(4000)
        assert damage_behind(START, OFFSET, rest, [], known(same_boot=True)), offset


def test_a_write_that_a_kill_cut_at_a_page_boundary_is_cut():
    whole = record(9000)
    for boundary in (PAGE, 2 * PAGE):
        cut = whole[: boundary - OFFSET]
        for rest in (cut, cut + bytes(20000)):
            assert damage_behind(START, OFFSET, rest, [], known(same_boot=True)) is None


def test_a_write_that_ends_with_the_file_is_cut():
    whole = record(300)
    for size in range(1, len(whole)):
        assert damage_behind(START, OFFSET, whole[:size], [], known(same_boot=True)) is None


def test_a_header_cut_by_a_page_boundary_is_cut():
    offset = PAGE - 30
    rest = record(300)[:30] + bytes(5000)
    assert damage_behind(START, offset, rest, [], known(same_boot=True)) is None


def test_a_changed_byte_in_the_zeros_written_ahead_is_noticed_while_the_machine_ran_on():
    rest = bytes(500) + b"\x10" + bytes(500)
    assert damage_behind(START, OFFSET, rest, [], known(same_boot=True))
    assert damage_behind(START, OFFSET, rest, [], known()) is None
