"""The stored record: fields come back, and the layout on disk is fixed."""

from __future__ import annotations

import struct

import pytest

from hashrange.model import record

ITEM = b'{"p":{"S":"x"}}'


def test_fields_come_back() -> None:
    packed = record.pack(ITEM, 409_600, (1_754_000_000_123 << 16) | 7, 2**64 - 1, flags=0x81)
    assert len(packed) == record.HEADER_SIZE + len(ITEM)
    assert record.version(packed) == record.VERSION
    assert record.flags(packed) == 0x81
    assert record.size(packed) == 409_600
    assert record.stamp(packed) == (1_754_000_000_123 << 16) | 7
    assert record.index(packed) == 2**64 - 1
    assert record.item_json(packed) == ITEM


def test_flags_are_zero_by_default() -> None:
    assert record.flags(record.pack(ITEM, 1, 2, 3)) == 0


def test_the_layout_is_fixed() -> None:
    assert record.pack(b"{}", 0x01020304, 0x1122334455667788, 0x0A, flags=2).hex() == (
        "010200000403020188776655443322110a000000000000007b7d"
    )


def test_a_field_that_does_not_fit_is_refused() -> None:
    with pytest.raises(struct.error):
        record.pack(ITEM, 2**32, 0, 0)
