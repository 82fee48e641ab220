"""The flush mark: how much RocksDB had surely on disk, kept outside RocksDB.

RocksDB opens without complaint after its MANIFEST has lost its end, with the newest files forgotten (one
flipped byte in forty did that in an experiment), and makes an empty database where CURRENT is missing. The
node's log is cut by what was flushed, so such a loss could not be made good. After every flush the engine
writes the sequence number that is then on disk to this file; a database that opens with a lower one has lost
data. Layout, little-endian, two slots of 512 bytes written in turn:

    0   8s   magic     b"hrflush\\1"
    8   u64  count     the slot with the higher one counts
    16  u64  sequence  RocksDB's sequence number up to which everything was on disk
    24  u32  CRC-32 of bytes 0..24
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from zlib import crc32

MARK_NAME = "FLUSHED"
SLOT_SIZE = 512

_MAGIC = b"hrflush\1"
_LAYOUT = Struct("<8sQQ")
_CRC = Struct("<I")


class FlushMark:
    """The open mark of one database directory. `sequence` is what it says."""

    def __init__(self, fd: int, count: int, sequence: int) -> None:
        self._fd = fd
        self._count = count
        self.sequence = sequence

    @classmethod
    def create(cls, directory: Path) -> FlushMark:
        """Make the mark of a new database, at sequence number 0. Raises OSError."""
        draft = directory / f"{MARK_NAME}.draft"
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.pwrite(fd, bytes(2 * SLOT_SIZE), 0)
        self = cls(fd, 0, 0)
        self.write(0)
        draft.rename(directory / MARK_NAME)
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(parent)
        os.close(parent)
        return self

    @classmethod
    def open(cls, directory: Path) -> FlushMark | None:
        """The mark in a directory, None when there is none; raises ValueError when it cannot be read."""
        try:
            fd = os.open(directory / MARK_NAME, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        slots = [_decode(os.pread(fd, SLOT_SIZE, offset)) for offset in (0, SLOT_SIZE)]
        readable = [slot for slot in slots if slot]
        if not readable:
            os.close(fd)
            raise ValueError(f"{directory / MARK_NAME} is damaged")
        count, sequence = max(readable)
        return cls(fd, count, sequence)

    def write(self, sequence: int) -> None:
        """Record durably that everything up to `sequence` is on disk. Raises OSError."""
        self._count += 1
        fields = _LAYOUT.pack(_MAGIC, self._count, sequence)
        os.pwrite(self._fd, fields + _CRC.pack(crc32(fields)), self._count % 2 * SLOT_SIZE)
        os.fdatasync(self._fd)
        self.sequence = sequence

    def close(self) -> None:
        """Close the file; writes nothing."""
        os.close(self._fd)


def _decode(slot: bytes) -> tuple[int, int] | None:
    if len(slot) < _LAYOUT.size + _CRC.size:
        return None
    fields, (crc,) = slot[: _LAYOUT.size], _CRC.unpack_from(slot, _LAYOUT.size)
    magic, count, sequence = _LAYOUT.unpack(fields)
    return (count, sequence) if magic == _MAGIC and crc32(fields) == crc else None
