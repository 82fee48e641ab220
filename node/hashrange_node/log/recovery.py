"""Reading a log back: one pass that checks every byte, ends where the log ends, and refuses damage.

`Recovery` reads the mark and lists the segments; iterating `records()` yields every entry in order; when it
is exhausted, `end` says where the log goes on. Nothing on disk is changed here. LogDamaged is raised where
the log is not what was written (tail.py has the rules for its end); what was yielded before is intact.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .errors import LogDamaged
from .files import PAGE_SIZE, OsFiles
from .format import END_OF_RECORDS, Entry, decode, seed_of
from .mark import MARK_NAME, Mark, read_mark
from .segment import SEGMENT_HEADER_SIZE, Segment, decode_header, list_segments
from .tail import Circumstances, Region, damage_behind

CHUNK_BYTES = 1 << 20
UNKNOWN_BOOT = bytes(16)


class End(NamedTuple):
    """Where a log goes on: in `segment` (None: start a new one) after `position`, chained to `checksum`.

    `surplus` are segment files that hold nothing of worth, `cut_bytes` counts the bytes of unfinished last
    writes (0 when the log ended cleanly).
    """

    segment: Segment | None
    position: int
    checksum: int
    surplus: tuple[Path, ...]
    cut_bytes: int


class Recovery:
    """One reading of a log directory. Raises LogDamaged at once for what the names alone give away.

    `mark` is None, and there is nothing to read, for a directory that holds no log at all. A mark that is
    given takes the place of the one on disk.
    """

    def __init__(self, directory: Path, boot_id: bytes, files: OsFiles, mark: Mark | None = None) -> None:
        self._directory = directory
        self._boot_id = boot_id
        self._files = files
        self.mark = mark or read_mark(directory, files)
        self.end: End | None = None
        self.segments: list[Segment] = []
        self.leftovers: tuple[Path, ...] = ()
        self._position = 0
        found = list_segments(directory)
        if self.mark is None:
            if found:
                raise LogDamaged(directory / MARK_NAME, 0, "the durable mark is missing", 0)
            if any(each.is_dir() for each in directory.iterdir()):
                raise LogDamaged(directory / MARK_NAME, 0, "a repair was begun and not finished", 0)
            return
        self.leftovers = tuple(each.path for each in found if each.base < self.mark.first_base)
        self.segments = [each for each in found if each.base >= self.mark.first_base]
        if not self.segments and self.mark.position:
            raise LogDamaged(directory, 0, "all segments are missing", 0)
        self._seed = seed_of(self.mark.log_id)
        # What has been read so far, and where the reading of the current segment stands.
        self._position = self.mark.first_base
        self._checksum = self.mark.checksum
        self._offset = 0
        self._fault = ""

    @property
    def position(self) -> int:
        """The position up to which every record has been read and found intact."""
        return self._position

    def records(self) -> Iterator[tuple[int, Entry]]:
        """(position after it, entry) of every record kept, in order. Sets `end` when it is exhausted."""
        mark = self.mark
        if mark is None:
            self.end = End(None, 0, 0, (), 0)
            return
        rest = b""
        for number, segment in enumerate(self.segments):
            fd = self._files.open(segment.path)
            try:
                refusal = self._enter(mark, segment, self._files.pread(fd, SEGMENT_HEADER_SIZE, 0))
                if refusal:
                    self.end = self._judge(mark, number - 1, rest, refusal)
                    return
                yield from self._read(mark, segment, fd)
                rest = self._files.pread(fd, max(0, segment.size - self._offset), self._offset)
            finally:
                self._files.close(fd)
            if self._fault or rest.strip(b"\0"):
                self.end = self._judge(mark, number, rest, self._fault)
                return
        self.end = self._judge(mark, len(self.segments) - 1, rest, "")

    def _enter(self, mark: Mark, segment: Segment, data: bytes) -> str:
        """Check a segment's header against what came before it; the reason why it cannot be next, or ''."""
        name = segment.path.name
        header = decode_header(data)
        if isinstance(header, str):
            return f"{name}: {header}"
        if header.log_id != mark.log_id:
            return f"{name} belongs to another log"
        if header.base != segment.base:
            return f"{name} says that it starts at position {header.base}"
        if segment.base != self._position:
            return f"the next segment is {name}: one is missing or has lost its end"
        if segment is self.segments[0] and mark.position != self._position:
            self._checksum = header.previous
        if header.previous != self._checksum:
            return f"{name} does not follow from what comes before it"
        return ""

    def _read(self, mark: Mark, segment: Segment, fd: int) -> Iterator[tuple[int, Entry]]:
        """Yield a segment's records; leaves where and why it ended in `_offset` and `_fault`."""
        self._offset, self._fault = SEGMENT_HEADER_SIZE, ""
        buffer, needed = b"", 0
        while True:
            want = max(CHUNK_BYTES, needed)
            ahead = mark.position - self._position
            if ahead > 0:
                # A chunk ends exactly at the mark, so that the chain can be compared with it there.
                want = min(want, ahead)
            size = want - len(buffer)
            data = self._files.pread(fd, size, self._offset + len(buffer)) if size > 0 else b""
            if not data:
                if buffer:
                    cut_off = size > 0
                    self._fault = "a record is not whole" if cut_off else "no record ends at the mark"
                return
            buffer += data
            records: list[tuple[int, Entry]] = []
            before = self._position
            stop = decode(buffer, 0, before, self._checksum, self._seed, records)
            buffer = buffer[stop.offset :]
            needed = stop.needed
            self._offset += stop.offset
            self._position, self._checksum = stop.position, stop.previous
            if stop.position == mark.position and stop.previous != mark.checksum:
                reason = "the records are not those that the durable mark knows"
                raise LogDamaged(segment.path, self._offset, reason, before)
            yield from records
            if stop.reason:
                self._fault = "" if stop.reason == END_OF_RECORDS else stop.reason
                return

    def _judge(self, mark: Mark, number: int, rest: bytes, fault: str) -> End:
        """What can be read ends in segment `number` (-1: before the first): accept that, or raise LogDamaged.

        `rest` is what follows in that segment's file, `fault` why it cannot be read.
        """
        segment = self.segments[number] if number >= 0 else None
        later = self.segments[number + 1 :]
        known = Circumstances(
            durable=mark.position,
            clean=mark.clean,
            same_boot=mark.boot_id == self._boot_id != UNKNOWN_BOOT,
            page_size=PAGE_SIZE,
            seed=self._seed,
        )
        bodies = [self._body(each) for each in later]
        damage = damage_behind(self._position, self._offset, rest, bodies, known)
        if damage:
            path = segment.path if segment else (later[0].path if later else self._directory)
            clauses = f"{fault}; {damage}" if fault else damage
            raise LogDamaged(path, self._offset, clauses, self._position)
        surplus = tuple(each.path for each in later)
        cut = len(rest.rstrip(b"\0")) + sum(len(body.data) for body in bodies)
        return End(segment, self._position, self._checksum, surplus, cut)

    def _body(self, segment: Segment) -> Region:
        fd = self._files.open(segment.path)
        try:
            return Region(segment.base, self._files.pread(fd, segment.size, SEGMENT_HEADER_SIZE))
        finally:
            self._files.close(fd)
