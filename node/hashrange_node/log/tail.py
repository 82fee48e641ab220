"""May the end of a log be cut? The judgement, as a pure function of the bytes found there.

A crash can leave the last write unfinished: such a tail was never acknowledged and is cut. Damage to
records that were acknowledged must never be cut away. The rules, in the order they are applied to what lies
behind the last record that can be read:

1. It lies before the durable mark, or the log was closed cleanly: damage.
2. The machine has run on since the log was written (same boot id, so at most the process was killed). The
   kernel then has every byte that was written, in order:
   - any intact record behind the hole: damage;
   - a killed write ends on a page boundary with nothing behind it; a record that had all its bytes was
     complete, so it was changed later: damage.
3. The machine has started anew. A power cut may lose any page that was not yet fsynced, so intact records
   behind a hole are ordinary, unless one of them says that the hole was already durable when it was written
   (`pending` of its header): then it is damage.

So a flipped byte is always noticed after a clean close and after a mere process crash. After a power cut it
is noticed unless it hit the records written last: those that no later record knows to be durable and that
the mark, at most MARK_INTERVAL_MS old, does not cover yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .format import HEADER_SIZE, intended_size, islands


class Region(NamedTuple):
    """Bytes behind the last readable record; `position` is that of the first byte."""

    position: int
    data: bytes


class Circumstances(NamedTuple):
    """What is known besides the bytes: the mark's position and flag, and whether the machine ran on."""

    durable: int
    clean: bool
    same_boot: bool
    page_size: int
    seed: int


def damage_behind(
    position: int, file_offset: int, rest: bytes, later: Sequence[Region], known: Circumstances
) -> str | None:
    """Why the bytes behind `position` are damage, or None when they may be cut (or there are none).

    `rest` is what follows in the same file, from `file_offset` to the file's end; `later` are the bodies of
    the segments after it.
    """
    if position < known.durable:
        return f"the log must reach position {known.durable}, records that were acknowledged are missing"
    written = len(rest.rstrip(b"\0"))
    blank = not written and not any(region.data.strip(b"\0") for region in later)
    if blank:
        return None
    if known.clean:
        return "bytes have changed since the log was closed"
    for region in (Region(position, rest), *later):
        for island in islands(region.data, region.position, known.seed):
            if known.same_boot:
                return f"an intact record follows at position {island.position}"
            if island.durable > position:
                return f"the record at position {island.position} was written after this place was durable"
    if known.same_boot and not _cut_short(position, file_offset, rest, written, known):
        return "the record was written whole and has changed since"
    return None


def _cut_short(position: int, file_offset: int, rest: bytes, written: int, known: Circumstances) -> bool:
    """Whether `rest` looks like a write that a kill ended: it stops at a page boundary, or at the file's end,
    inside the first record. The caller has found no intact record behind it.
    """
    page = known.page_size
    boundary = -(-(file_offset + written) // page) * page
    room = min(boundary - file_offset, len(rest))
    if room < HEADER_SIZE:
        return True
    size = intended_size(rest, position, known.seed)
    return size is not None and size > room
