"""What an operator's explicit command may do with a damaged log: read what is intact, and go on from there.

Nothing here runs by itself. `salvage` reads; `quarantine` moves the files of a log aside, never deletes;
`rebuild` is the whole repair: the intact records before the damage become a new log, the damaged files stay
in a folder beside it. Whoever calls `rebuild` tells the operator what `Salvage` reports as lost: records that
had been acknowledged are gone for this node, so a replica that was rebuilt this way must not vote under its
old identity.
"""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from .errors import LogDamaged
from .files import OsFiles, boot_id
from .format import ENTRY, Entry, islands, seed_of
from .log import FileLog
from .mark import MARK_NAME, Mark, read_mark
from .recovery import UNKNOWN_BOOT, Recovery
from .segment import SEGMENT_HEADER_SIZE, SegmentHeader, decode_header, list_segments

DRAFT_NAME = "rebuilt"
BATCH_RECORDS = 256

_QUARANTINE = re.compile(r"damaged-(\d+)")


class Salvage:
    """A reading of a log that does not stop at damage.

    Iterate `records()` to its end; then `damage` says what is wrong (None: nothing), and `beyond`, a
    dictionary from group to (first index, last index, count), which intact entries lie behind the damage and
    are therefore unusable. `acknowledged_bytes_lost` is the least that is certainly lost.
    """

    def __init__(self, directory: Path, files: OsFiles | None = None) -> None:
        self._directory = directory
        self._files = files or OsFiles()
        self._seed = 0
        self._durable = 0
        self.damage: LogDamaged | None = None
        self.position = 0
        self.beyond: dict[int, tuple[int, int, int]] = {}

    @property
    def acknowledged_bytes_lost(self) -> int:
        """Bytes of records that the durable mark promised and that cannot be read any more."""
        return max(0, self._durable - self.position)

    def records(self) -> Iterator[tuple[int, Entry]]:
        """(position after it, entry) of every intact record before the first damage."""
        recovery = self._open()
        if recovery is None or recovery.mark is None:
            return
        self._durable = recovery.mark.position
        self._seed = seed_of(recovery.mark.log_id)
        try:
            yield from recovery.records()
        except LogDamaged as damage:
            self.damage = self.damage or damage
        self.position = recovery.position
        if self.damage:
            self._look_beyond()

    def _open(self) -> Recovery | None:
        try:
            return Recovery(self._directory, boot_id(), self._files)
        except LogDamaged as damage:
            self.damage = damage
        for segment in list_segments(self._directory):
            header = decode_header(segment.path.read_bytes()[:SEGMENT_HEADER_SIZE])
            if isinstance(header, SegmentHeader):
                # Without a mark the first segment that can be read says where to begin.
                first = Mark(header.log_id, UNKNOWN_BOOT, segment.base, header.previous, segment.base)
                return Recovery(self._directory, boot_id(), self._files, first)
        return None

    def _look_beyond(self) -> None:
        for segment in list_segments(self._directory):
            body = segment.path.read_bytes()[SEGMENT_HEADER_SIZE:]
            for island in islands(body, segment.base, self._seed):
                entry = island.entry
                if island.position >= self.position and entry.kind == ENTRY:
                    first, last, count = self.beyond.get(entry.group, (entry.index, entry.index, 0))
                    self.beyond[entry.group] = (min(first, entry.index), max(last, entry.index), count + 1)


def quarantine(directory: Path) -> Path:
    """Move all files of the log in `directory` into a new folder `damaged-<number>` in it; returns it.

    The folder appears complete or not at all. When an earlier call was interrupted, it is finished instead.
    """
    files = OsFiles()
    names = [segment.path.name for segment in list_segments(directory)]
    if (directory / MARK_NAME).exists():
        names.append(MARK_NAME)
    number = _last_quarantine(directory)
    target = directory / f"damaged-{number}"
    if number == 0 or not all(_same(directory / name, target / name) for name in names):
        target = directory / f"damaged-{number + 1}"
        draft = directory / "damaged.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        for name in names:
            (draft / name).hardlink_to(directory / name)
        files.sync_directory(draft)
        draft.rename(target)
        files.sync_directory(directory)
    for name in names:
        files.unlink(directory / name)
    files.sync_directory(directory)
    return target


def rebuild(directory: Path, log_id: bytes) -> tuple[Path, Salvage]:
    """Replace a damaged log by one with its intact records; returns the quarantine folder and what was found.

    Can be interrupted and called again. Raises LogFull, OSError.
    """
    draft = directory / DRAFT_NAME
    built = read_mark(draft, OsFiles()) if draft.exists() else None
    moved = draft.exists() and (directory / MARK_NAME).exists()
    if moved or (built is not None and built.clean):
        # An earlier call got as far as moving the new files into place.
        quarantined = directory / f"damaged-{_last_quarantine(directory)}"
        salvage = Salvage(quarantined)
        deque(salvage.records(), maxlen=0)
    else:
        shutil.rmtree(draft, ignore_errors=True)
        quarantined = quarantine(directory)
        salvage = Salvage(quarantined)
        draft.mkdir()
        _write(draft, log_id, salvage.records())
    # The mark last: a log without a mark is refused, so a half-moved log is never taken for a whole one.
    for segment in list_segments(draft):
        segment.path.rename(directory / segment.path.name)
    OsFiles().sync_directory(directory)
    if not moved:
        (draft / MARK_NAME).rename(directory / MARK_NAME)
        OsFiles().sync_directory(directory)
    draft.rmdir()
    return quarantined, salvage


def _write(directory: Path, log_id: bytes, records: Iterator[tuple[int, Entry]]) -> None:
    def call_now(callback: Callable[..., object], *arguments: object) -> None:
        callback(*arguments)

    log = FileLog.open(directory, log_id, call_soon=call_now, durability="os")
    for _ in log.replay():
        raise AssertionError("a draft starts empty")
    while batch := [entry for _, entry in islice(records, BATCH_RECORDS)]:
        log.append(batch)
    log.close()


def _last_quarantine(directory: Path) -> int:
    found = (_QUARANTINE.fullmatch(each.name) for each in directory.iterdir())
    return max((int(name[1]) for name in found if name), default=0)


def _same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)
