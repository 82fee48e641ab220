"""The record codec: what is written is read back, and nothing else passes for a record."""

from __future__ import annotations

import pytest
from hashrange_node.log import format as codec
from hashrange_node.log import hard_state, truncate
from hashrange_node.log.format import (
    END_OF_RECORDS,
    ENTRY,
    HEADER_SIZE,
    Entry,
    decode,
    encode,
    islands,
    seed_of,
)

SEED = seed_of(b"0123456789abcdef")
ENTRIES = [
    Entry(1, 10, 3, b"first payload"),
    Entry(2**64 - 1, 0, 2**64 - 1, b""),
    hard_state(7, 4, 99),
    truncate(1, 10, 4),
    Entry(1, 10, 4, bytes(range(256)) * 20),
]


def decode_all(data: bytes, position: int = 0, previous: int = 0, seed: int = SEED):
    found: list[tuple[int, Entry]] = []
    return found, decode(data, 0, position, previous, seed, found)


def test_entries_come_back_with_the_positions_after_them():
    data, checksum = encode(ENTRIES, 1000, 1000, 77, SEED)
    found, stop = decode_all(data, 1000, 77)
    assert [entry for _, entry in found] == ENTRIES
    assert found[0][0] == 1000 + HEADER_SIZE + len(b"first payload")
    assert found[-1][0] == 1000 + len(data) == stop.position
    assert stop.previous == checksum
    assert stop.reason == ""


def test_plain_tuples_and_lazy_payloads_are_written_like_entries():
    class Lazy:
        def encode(self) -> bytes:
            return b"made late"

    data, _ = encode([(5, 6, 7, Lazy(), ENTRY)], 0, 0, 0, SEED)
    assert decode_all(data)[0][0][1] == Entry(5, 6, 7, b"made late")


def test_kinds_of_records_carry_their_meaning_in_the_entry_fields():
    assert hard_state(7, 4, 99) == (7, 99, 4, b"", codec.HARD_STATE)
    assert truncate(7, 12, 4) == (7, 12, 4, b"", codec.TRUNCATE)


def test_a_buffer_that_ends_inside_a_record_asks_for_the_whole_of_it():
    data, _ = encode(ENTRIES[:1], 0, 0, 0, SEED)
    for size in range(len(data)):
        found, stop = decode_all(data[:size])
        assert not found
        assert stop.offset == 0
        assert stop.reason == ""
        assert stop.needed == (HEADER_SIZE if size < HEADER_SIZE else len(data))


def test_zeros_behind_the_records_are_the_end():
    data, _ = encode(ENTRIES, 0, 0, 0, SEED)
    found, stop = decode_all(data + bytes(100))
    assert len(found) == len(ENTRIES)
    assert stop.reason == END_OF_RECORDS
    assert stop.offset == len(data)


@pytest.mark.parametrize(
    ("position", "previous", "seed"), [(1, 0, SEED), (0, 1, SEED), (0, 0, seed_of(b"another log id.."))]
)
def test_a_record_from_elsewhere_is_not_accepted(position, previous, seed):
    data, _ = encode(ENTRIES[:1], position, position, previous, seed)
    found, stop = decode_all(data)
    assert not found
    assert stop.reason not in ("", END_OF_RECORDS)


def test_every_flipped_bit_of_every_field_is_noticed():
    data, _ = encode(ENTRIES[:3], 4096, 4096, 5, SEED)
    for offset in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            found, stop = decode_all(bytes(changed), 4096, 5)
            assert len(found) < 3, (offset, bit)
            assert stop.reason not in ("", END_OF_RECORDS)
            assert [entry for _, entry in found] == ENTRIES[: len(found)]


def test_a_payload_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(codec, "PAYLOAD_BYTES_MAX", 10)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        encode([Entry(1, 1, 1, b"12345678901")], 0, 0, 0, SEED)


def test_islands_are_found_behind_damage_with_what_was_durable_then():
    first, middle = encode(ENTRIES[:1], 0, 0, 0, SEED)
    second, _ = encode(ENTRIES[4:], len(first), 20, middle, SEED)
    data = b"\xff" * 7 + first[7:] + second + bytes(500)
    found = list(islands(data, 0, SEED))
    assert [(each.position, each.durable, each.entry) for each in found] == [(len(first), 20, ENTRIES[4])]


def test_a_record_copied_into_an_item_is_not_an_island():
    inner, _ = encode(ENTRIES[:1], 0, 0, 0, SEED)
    outer, _ = encode([Entry(1, 1, 1, b"x" + inner + inner)], 0, 0, 0, SEED)
    assert list(islands(outer[1:], 1, SEED)) == []
