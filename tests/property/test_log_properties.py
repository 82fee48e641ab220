"""Properties of the log: the codec, and recovery after any crash the rules of the disk allow."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hashrange_node.log import Entry, LogDamaged
from hashrange_node.log.files import PAGE_SIZE
from hashrange_node.log.format import END_OF_RECORDS, decode, encode, islands, seed_of
from hashrange_node.log.mark import MARK_NAME
from hashrange_node.log.segment import SEGMENT_HEADER_SIZE, list_segments
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.log_support import BOOT, LATER_BOOT, Owner, open_log, sync_now, wait_for_mark

SEED = seed_of(b"0123456789abcdef")
U64 = st.integers(0, 2**64 - 1)
ENTRY = st.builds(Entry, U64, U64, U64, st.binary(max_size=300), st.integers(0, 255))
POSITION = st.integers(0, 2**60)


@given(st.lists(ENTRY, max_size=8), POSITION, st.integers(0, 2**40), st.integers(0, 2**32 - 1))
def test_what_is_encoded_is_decoded(batch: list[Entry], position: int, behind: int, previous: int):
    data, checksum = encode(batch, position, max(0, position - behind), previous, SEED)
    found: list[tuple[int, Entry]] = []
    stop = decode(data + bytes(60), 0, position, previous, SEED, found)
    assert [entry for _, entry in found] == batch
    assert stop.position == position + len(data)
    assert stop.previous == checksum
    assert stop.reason == END_OF_RECORDS
    assert [each.entry for each in islands(data, position, SEED)] == batch


@given(st.lists(ENTRY, min_size=1, max_size=5), st.data())
def test_a_changed_stretch_never_yields_a_record_that_was_not_written(
    batch: list[Entry], data: st.DataObject
):
    encoded, _ = encode(batch, 0, 0, 0, SEED)
    start = data.draw(st.integers(0, len(encoded) - 1))
    change = data.draw(st.binary(min_size=1, max_size=64))
    changed = (encoded[:start] + change + encoded[start + len(change) :])[: max(len(encoded), start)]
    found: list[tuple[int, Entry]] = []
    decode(changed, 0, 0, 0, SEED, found)
    assert [entry for _, entry in found] == batch[: len(found)]


@given(st.lists(ENTRY, max_size=4), st.integers(1, 400), st.integers(0, 5))
def test_decoding_in_pieces_finds_the_same(batch: list[Entry], piece: int, skip: int):
    encoded, _ = encode(batch, 0, 0, 0, SEED)
    found: list[tuple[int, Entry]] = []
    buffer, position, previous, given_ = b"", 0, 0, 0
    while given_ < len(encoded):
        buffer += encoded[given_ : given_ + piece]
        given_ += piece
        stop = decode(buffer, 0, position, previous, SEED, found)
        buffer, position, previous = buffer[stop.offset :], stop.position, stop.previous
        assert stop.reason == ""
    assert [entry for _, entry in found] == batch


class Written:
    """A log that was killed: batches, of which the first `synced` were acknowledged and marked."""

    def __init__(self, batches: list[list[int]], synced: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hashrange-log-"))
        owner = Owner()
        log, _ = open_log(self.folder / "log", owner)
        self.entries: list[Entry] = []
        self.ends: list[int] = []
        self.synced_entries = 0
        for number, sizes in enumerate(batches):
            first = len(self.entries) + 1
            batch = [
                Entry(1, first + i, 1, b"%05d" % size * (size // 5) + b"}") for i, size in enumerate(sizes)
            ]
            self.entries += batch
            self.ends.append(log.append(batch))
            if number + 1 == synced:
                sync_now(log, owner)
                wait_for_mark(self.folder / "log", log.position)
                self.synced_entries = len(self.entries)
        self.synced_end = self.ends[synced - 1] if synced else 0
        self.copy = self.folder / "copy"
        shutil.copytree(self.folder / "log", self.copy)
        log.close()
        self.path = list_segments(self.copy)[0].path
        self.whole = self.path.read_bytes()
        self.mark = (self.copy / MARK_NAME).read_bytes()

    def recover(self, content: bytes, boot: bytes) -> list[Entry]:
        self.path.write_bytes(content)
        (self.copy / MARK_NAME).write_bytes(self.mark)
        log, found = open_log(self.copy, boot_id=boot)
        log.close()
        return found

    def remove(self) -> None:
        shutil.rmtree(self.folder)


SIZES = st.lists(
    st.lists(st.sampled_from([0, 40, 700, 3000, 9000]), min_size=1, max_size=4), min_size=1, max_size=5
)


@settings(max_examples=20, deadline=None)
@given(SIZES, st.data())
def test_a_killed_write_leaves_a_prefix_with_everything_synced(batches: list[list[int]], data: st.DataObject):
    """A kill ends the last write on a page boundary; recovery on the same boot must take that."""
    synced = data.draw(st.integers(0, len(batches) - 1))
    written = Written(batches, synced)
    try:
        end = SEGMENT_HEADER_SIZE + written.ends[-1]
        begin = SEGMENT_HEADER_SIZE + ([0, *written.ends])[-2]
        boundaries = [begin, *(each for each in range(0, end, PAGE_SIZE) if each > begin)]
        cut = data.draw(st.sampled_from(boundaries))
        found = written.recover(written.whole[:cut] + bytes(len(written.whole) - cut), BOOT)
        assert found == written.entries[: len(found)]
        assert len(found) >= len(written.entries) - len(batches[-1])
        assert len(found) >= written.synced_entries
    finally:
        written.remove()


@settings(max_examples=25, deadline=None)
@given(SIZES, st.data())
def test_a_power_cut_leaves_a_prefix_with_everything_synced(batches: list[list[int]], data: st.DataObject):
    """Any set of pages that were not yet fsynced may be lost, also in the middle."""
    synced = data.draw(st.integers(0, len(batches)))
    written = Written(batches, synced)
    try:
        content = bytearray(written.whole)
        safe = SEGMENT_HEADER_SIZE + written.synced_end
        pages = range(safe // PAGE_SIZE, len(content) // PAGE_SIZE + 1)
        for page in data.draw(st.sets(st.sampled_from(pages))):
            first, last = max(page * PAGE_SIZE, safe), min((page + 1) * PAGE_SIZE, len(content))
            content[first:last] = bytes(max(0, last - first))
        found = written.recover(bytes(content), LATER_BOOT)
        assert found == written.entries[: len(found)]
        assert len(found) >= written.synced_entries
    finally:
        written.remove()


@settings(max_examples=25, deadline=None)
@given(SIZES, st.data())
def test_damage_never_loses_what_was_synced_in_silence(batches: list[list[int]], data: st.DataObject):
    synced = data.draw(st.integers(1, len(batches)))
    written = Written(batches, synced)
    try:
        content = bytearray(written.whole)
        offset = data.draw(st.integers(0, SEGMENT_HEADER_SIZE + written.synced_end - 1))
        content[offset] ^= data.draw(st.integers(1, 255))
        for boot in (BOOT, LATER_BOOT):
            try:
                found = written.recover(bytes(content), boot)
            except LogDamaged:
                continue
            raise AssertionError(f"{len(found)} of {len(written.entries)} without a word")
    finally:
        written.remove()
