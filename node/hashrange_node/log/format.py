"""The byte layout of the log's records: a pure codec, no files, no clock.

A record is a header of 56 bytes, little-endian, and its payload:

    0   u32  checksum      CRC-32 of the payload, started from `header_check`: covers the whole record
    4   u32  header_check  CRC-32 of bytes 8..56, started from the log's seed
    8   u16  magic         0x7268
    10  u8   kind          ENTRY, HARD_STATE, TRUNCATE, NOOP, CONFIG, or one a later release adds
    11  u8   flags         0
    12  u32  length        bytes of payload
    16  u32  previous      `checksum` of the record before this one (of the segment header for the first)
    20  u32  pending       bytes before this record not known to be durable when it was written (saturating)
    24  u64  position      where the record starts in the log, counted over all segments, headers excluded
    32  u64  group         replication group
    40  u64  index         Raft index; of HARD_STATE the vote, of TRUNCATE the first index removed
    48  u64  term          Raft term
    56  ...  payload

The position inside the checked bytes and a seed of the log's own mean that a stale or copied record never
passes for a live one, whatever users store in their items. `previous` chains the records, so that a lost or
swapped stretch is noticed even when every record in it is intact. `pending` lets recovery tell a write that
a power cut tore (nothing after the hole was promised) from damage to promised records.

CRC-32 is zlib's: it is in the standard library, runs at memory speed and finds every burst of up to 32 bits.
CRC-32C would need a new dependency or run a hundred times slower in Python, and finds the same single flips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple, Protocol
from zlib import crc32

MAGIC = 0x7268
MAGIC_BYTES = MAGIC.to_bytes(2, "little")
MAGIC_OFFSET = 8
HEADER_SIZE = 56
PAYLOAD_BYTES_MAX = 256 << 20
PENDING_MAX = 0xFFFFFFFF

ENTRY = 1  # an entry of a group that carries data
HARD_STATE = 2
TRUNCATE = 3
NOOP = 4  # an entry without data, the first of a leader's term
CONFIG = 5  # an entry that changes a group's membership
ENTRY_KINDS = frozenset((ENTRY, NOOP, CONFIG))

_CHECKS = Struct("<II")
_CHECKED = Struct("<HBBIIIQQQQ")
_HEADER = Struct("<IIHBBIIIQQQQ")
_ZERO_HEADER = bytes(HEADER_SIZE)


class LazyPayload(Protocol):
    """A payload that is turned into bytes only when a log really writes it."""

    def encode(self) -> bytes: ...


class Entry(NamedTuple):
    """One record of the log, as it is appended and as it is read back."""

    group: int
    index: int  # type: ignore[assignment]  # the Raft term; tuple.index is of no use here
    term: int
    payload: bytes
    kind: int = ENTRY


# What `append` takes: entries, or plain tuples of the same five fields, whose payload may be lazy.
Appendable = tuple[int, int, int, bytes | LazyPayload, int]


def hard_state(group: int, term: int, vote: int) -> Entry:
    """The record of a group's Raft term and vote (a replica id, 0 for none)."""
    return Entry(group, vote, term, b"", HARD_STATE)


VOID = (1, 0)
"""Index and term of the record that ends the life of a replica."""


def truncate(group: int, index: int, term: int) -> Entry:
    """The record that voids a group's entries from `index` on, appended in `term`.

    Index 1 voids all of them: what follows continues a snapshot, or, in term 0 (`VOID`), the replica is gone and
    what follows belongs to another one of the group.
    """
    return Entry(group, index, term, b"", TRUNCATE)


def seed_of(log_id: bytes) -> int:
    """The start value of every header check of the log with this id."""
    return crc32(log_id)


def start_of(after: int, payload: bytes) -> int:
    """The position at which a record starts that ends at position `after`."""
    return after - HEADER_SIZE - len(payload)


def encode(
    entries: Iterable[Appendable],
    position: int,
    durable: int,
    previous: int,
    seed: int,
    parts: list[bytes] | None = None,
) -> tuple[bytes, int]:
    """The bytes of a batch that starts at `position`, and the checksum of its last record.

    `durable` is the position known to be on stable storage, `previous` the checksum of the record before the
    batch. An empty list given as `parts` holds what `starts` needs afterwards. Raises ValueError for a payload
    of more than PAYLOAD_BYTES_MAX bytes, struct.error for a field out of its range.
    """
    if parts is None:
        parts = []
    extend = parts.extend
    pack_checked = _CHECKED.pack
    pack_checks = _CHECKS.pack
    for group, index, term, payload, kind in entries:
        if payload.__class__ is not bytes:
            payload = payload.encode()  # type: ignore[union-attr]
        length = len(payload)
        if length > PAYLOAD_BYTES_MAX:
            raise ValueError(f"a log record holds at most {PAYLOAD_BYTES_MAX} bytes, not {length}")
        pending = position - durable
        if pending > PENDING_MAX:
            pending = PENDING_MAX
        checked = pack_checked(MAGIC, kind, 0, length, previous, pending, position, group, index, term)
        header_check = crc32(checked, seed)
        previous = crc32(payload, header_check)
        extend((pack_checks(previous, header_check), checked, payload))
        position += HEADER_SIZE + length
    return b"".join(parts), previous


def starts(parts: list[bytes], position: int) -> list[int]:
    """Where the records of a batch start, from the `parts` of its encoding and the position of the first."""
    found = []
    for payload in parts[2::3]:
        found.append(position)
        position += HEADER_SIZE + len(payload)
    return found


class Stop(NamedTuple):
    """Where `decode` stopped and why.

    `offset` is in the buffer, `position` in the log, `previous` the checksum of the last good record.
    `reason` is empty when the buffer ended inside a record (then `needed` bytes from `offset` on are wanted),
    END_OF_RECORDS at bytes that were never written, else what is wrong with the record at `offset`.
    """

    offset: int
    position: int
    previous: int
    reason: str
    needed: int


END_OF_RECORDS = "end of records"


def decode(
    buffer: bytes,
    offset: int,
    position: int,
    previous: int,
    seed: int,
    into: list[tuple[int, Entry]],
) -> Stop:
    """Read records from `buffer` at `offset` until it ends or something is wrong.

    Appends (position after the record, entry) to `into`. `position`, `previous` and `seed` are those the
    writer had at this place: a record that does not continue them is not accepted.
    """
    unpack = _HEADER.unpack_from
    append = into.append
    view = memoryview(buffer)
    size = len(buffer)
    while True:
        start = offset + HEADER_SIZE
        if start > size:
            return Stop(offset, position, previous, "", HEADER_SIZE)
        checksum, check, magic, kind, _, length, before, _, at, group, index, term = unpack(buffer, offset)
        if crc32(view[offset + 8 : start], seed) != check or magic != MAGIC:
            return Stop(offset, position, previous, _header_fault(buffer, offset), 0)
        if at != position:
            reason = f"a record of position {at} is where position {position} belongs"
            return Stop(offset, position, previous, reason, 0)
        if before != previous:
            return Stop(offset, position, previous, "the record does not follow from the one before it", 0)
        end = start + length
        if end > size:
            return Stop(offset, position, previous, "", HEADER_SIZE + length)
        payload = buffer[start:end]
        if crc32(payload, check) != checksum:
            return Stop(offset, position, previous, "the record's checksum does not match", 0)
        previous = checksum
        position += end - offset
        offset = end
        append((position, Entry(group, index, term, payload, kind)))


def decode_at(buffer: bytes, offset: int, position: int, seed: int) -> Entry | int | str:
    """The record of `position`, which begins at `offset` of the buffer, whatever came before it.

    An int is the size that the buffer must have from `offset` on; a str says why there is no such record.
    """
    start = offset + HEADER_SIZE
    if start > len(buffer):
        return HEADER_SIZE
    checksum, check, magic, kind, _, length, _, _, at, group, index, term = _HEADER.unpack_from(
        buffer, offset
    )
    if crc32(buffer[offset + 8 : start], seed) != check or magic != MAGIC:
        return "the checksum of the record's header does not match"
    if at != position:
        return f"a record of position {at} is where position {position} belongs"
    end = start + length
    if end > len(buffer):
        return HEADER_SIZE + int(length)
    payload = buffer[start:end]
    if crc32(payload, check) != checksum:
        return "the record's checksum does not match"
    return Entry(group, index, term, payload, kind)


def _header_fault(buffer: bytes, offset: int) -> str:
    if buffer[offset : offset + HEADER_SIZE] == _ZERO_HEADER:
        return END_OF_RECORDS
    return "the checksum of the record's header does not match"


class Island(NamedTuple):
    """An intact record found behind damage: `durable` is what was known durable when it was written."""

    position: int
    durable: int
    entry: Entry


def islands(buffer: bytes, position: int, seed: int) -> Iterator[Island]:
    """Every intact record of this log in `buffer`, whose first byte has `position`, in order.

    Used to judge what lies behind a record that cannot be read.
    """
    view = memoryview(buffer)
    found = buffer.find(MAGIC_BYTES, MAGIC_OFFSET)
    while found >= 0:
        offset = found - MAGIC_OFFSET
        start = offset + HEADER_SIZE
        if start > len(buffer):
            return
        header = _HEADER.unpack_from(buffer, offset)
        checksum, check, _, kind, _, length, _, pending, at, group, index, term = header
        end = start + length
        if (
            at == position + offset
            and end <= len(buffer)
            and crc32(view[offset + 8 : start], seed) == check
            and crc32(view[start:end], check) == checksum
        ):
            yield Island(at, at - pending, Entry(group, index, term, buffer[start:end], kind))
            found = buffer.find(MAGIC_BYTES, end + MAGIC_OFFSET)
        else:
            found = buffer.find(MAGIC_BYTES, found + 1)


def intended_size(rest: bytes, position: int, seed: int) -> int | None:
    """How many bytes the record at the start of `rest` was to have, or None when its header is not intact."""
    if len(rest) < HEADER_SIZE:
        return None
    _, check, magic, _, _, length, _, _, at, _, _, _ = _HEADER.unpack_from(rest)
    if magic != MAGIC or at != position or crc32(rest[8:HEADER_SIZE], seed) != check:
        return None
    return HEADER_SIZE + int(length)
