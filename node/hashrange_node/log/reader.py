"""Reading single records of the log by position: old entries for followers that are behind.

A piece of a segment is kept in memory, because whoever reads one old entry reads the next ones too. What was
appended never changes, so a piece stays true; it never reaches beyond the end of the log, where bytes still will.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from .errors import RecordDamaged, RecordGone
from .files import OsFiles
from .format import Entry, decode_at
from .segment import SEGMENT_HEADER_SIZE, segment_name

READ_BYTES = 64 << 10


class Reader:
    """Reads records of the segments in a directory; keeps one file open. `forget` lets it go."""

    def __init__(self, directory: Path, seed: int, files: OsFiles) -> None:
        self._directory = directory
        self._seed = seed
        self._files = files
        self._base = -1
        self._fd = -1
        self._at = 0
        self._piece = b""

    def read(self, position: int, bases: list[int], end: int) -> Entry:
        """The record that starts at `position` of a log whose segments start at `bases` and that ends at `end`.

        Raises RecordGone, RecordDamaged, OSError.
        """
        if not bases or not bases[0] <= position < end:
            raise RecordGone(position)
        number = bisect_right(bases, position) - 1
        base = bases[number]
        stop = bases[number + 1] if number + 1 < len(bases) else end
        if base != self._base:
            self._open(base)
        offset = position - self._at
        if not 0 <= offset < len(self._piece):
            self._load(position, READ_BYTES, stop)
            offset = 0
        record = decode_at(self._piece, offset, position, self._seed)
        if record.__class__ is int:
            # Not all of it is in memory; a second time only when the record is larger than a piece.
            self._load(position, READ_BYTES, stop)
            record = decode_at(self._piece, 0, position, self._seed)
            if isinstance(record, int):
                self._load(position, record, stop)
                record = decode_at(self._piece, 0, position, self._seed)
        if isinstance(record, Entry):
            return record
        reason = record if isinstance(record, str) else "the segment ends inside the record"
        path = self._directory / segment_name(base)
        self._piece = b""
        raise RecordDamaged(path, SEGMENT_HEADER_SIZE + position - base, reason, position)

    def forget(self) -> None:
        """Close the file and drop what is in memory: segments are about to be removed."""
        if self._fd >= 0:
            self._files.close(self._fd)
        self._base = self._fd = -1
        self._piece = b""

    def _open(self, base: int) -> None:
        self.forget()
        self._fd = self._files.open(self._directory / segment_name(base))
        self._base = base

    def _load(self, position: int, size: int, stop: int) -> None:
        """Read `size` bytes from `position` on, not beyond position `stop`."""
        size = min(size, stop - position)
        self._piece = self._files.pread(self._fd, size, SEGMENT_HEADER_SIZE + position - self._base)
        self._at = position
