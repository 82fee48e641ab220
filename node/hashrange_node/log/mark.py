"""The durable mark: a small file that remembers how far the log was surely on stable storage.

Without it a log that lost its end looks just like a shorter log. The mark is written by the thread that
fsyncs the log: about every MARK_INTERVAL_MS while there is traffic, whenever a segment is finished or
removed, and at a clean close. Two slots of one block each are written in turn, so that a torn write leaves
the older one. Layout of a slot, little-endian:

    0    8s   magic        b"hrmark\\1\\n"
    8    u32  format       FORMAT of the log
    12   16s  log id
    28   16s  boot id      of the machine's run during which it was written
    44   u64  sequence     the slot with the higher one counts
    52   u64  position     every record before it is durable
    60   u32  checksum     of the last record before `position`
    64   u64  first base   position at which the oldest segment kept starts
    72   u8   clean        1: the log was closed here, nothing follows
    73   51s  zeros
    124  u32  CRC-32 of bytes 0..124

What the mark cannot show: records made durable after its last update (at most MARK_INTERVAL_MS and one fsync
earlier than a crash). Recovery has further rules for those (recovery.py).
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from .errors import LogDamaged
from .files import OsFiles
from .segment import FORMAT

MARK_NAME = "mark"
DRAFT_NAME = "mark.draft"
MARK_INTERVAL_MS = 100
SLOT_SIZE = 128
SLOT_OFFSETS = (0, 4096)
FILE_SIZE = 8192

_MAGIC = b"hrmark\1\n"
_LAYOUT = Struct("<8sI16s16sQQIQB51x")
_CRC = Struct("<I")


class Mark(NamedTuple):
    """What the mark file says. `position` and `first_base` are log positions."""

    log_id: bytes
    boot_id: bytes
    position: int
    checksum: int
    first_base: int
    clean: bool = False


def encode_slot(mark: Mark, sequence: int) -> bytes:
    """The SLOT_SIZE bytes of one slot."""
    fields = _LAYOUT.pack(
        _MAGIC,
        FORMAT,
        mark.log_id,
        mark.boot_id,
        sequence,
        mark.position,
        mark.checksum,
        mark.first_base,
        mark.clean,
    )
    return fields + _CRC.pack(crc32(fields))


def decode_slot(data: bytes) -> tuple[int, Mark] | str:
    """(sequence, mark) of one slot, or one clause that says why there is none."""
    if len(data) < SLOT_SIZE:
        return "it is too short"
    fields, (crc,) = data[: SLOT_SIZE - 4], _CRC.unpack_from(data, SLOT_SIZE - 4)
    if crc32(fields) != crc or fields[:8] != _MAGIC:
        return "its checksum does not match"
    _, version, log_id, boot, sequence, position, checksum, first_base, clean = _LAYOUT.unpack(fields)
    if version != FORMAT:
        return f"it has format {version}, this release reads format {FORMAT}"
    return sequence, Mark(log_id, boot, position, checksum, first_base, bool(clean))


class MarkFile:
    """The open mark file of a log: one writer, two slots."""

    def __init__(self, path: Path, fd: int, sequence: int, files: OsFiles) -> None:
        self._path = path
        self._fd = fd
        self._sequence = sequence
        self._files = files

    @classmethod
    def create(cls, directory: Path, mark: Mark, files: OsFiles) -> MarkFile:
        """Make the mark file of a new log and write `mark` to it durably. Raises OSError."""
        path = directory / MARK_NAME
        draft = directory / DRAFT_NAME
        draft.unlink(missing_ok=True)
        fd = files.open(draft, create=True)
        files.write_all(fd, bytes(FILE_SIZE), 0)
        self = cls(path, fd, 0, files)
        self.write(mark)
        files.rename(draft, path)
        files.sync_directory(directory)
        return self

    @classmethod
    def open(cls, directory: Path, files: OsFiles) -> tuple[MarkFile, Mark]:
        """Open the mark file and read the newer slot. Raises FileNotFoundError, LogDamaged."""
        path = directory / MARK_NAME
        fd = files.open(path)
        try:
            sequence, mark = _read(path, fd, files)
        except BaseException:
            files.close(fd)
            raise
        return cls(path, fd, sequence, files), mark

    def write(self, mark: Mark) -> None:
        """Write `mark` to the older slot and wait until it is durable. Raises OSError."""
        self._sequence += 1
        slot = encode_slot(mark, self._sequence)
        self._files.write_all(self._fd, slot, SLOT_OFFSETS[self._sequence % 2])
        self._files.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; writes nothing."""
        self._files.close(self._fd)


def read_mark(directory: Path, files: OsFiles) -> Mark | None:
    """The mark of a log directory, None when there is no mark file. Raises LogDamaged."""
    try:
        opened, mark = MarkFile.open(directory, files)
    except FileNotFoundError:
        return None
    opened.close()
    return mark


def _read(path: Path, fd: int, files: OsFiles) -> tuple[int, Mark]:
    slots = [decode_slot(files.pread(fd, SLOT_SIZE, offset)) for offset in SLOT_OFFSETS]
    readable = [slot for slot in slots if not isinstance(slot, str)]
    if not readable:
        raise LogDamaged(path, 0, f"the durable mark cannot be read: {slots[0]}", 0)
    return max(readable)
