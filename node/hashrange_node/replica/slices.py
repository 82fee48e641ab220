"""Long work in small pieces: what snapshots and scrubs share so that they never hold the event loop for long.

A piece is at most SLICE_BYTES or SLICE_ENTRIES, whichever comes first (about 2 ms); between pieces the event loop
gets its turn, and the pauses keep to a rate. A small entry costs more time than its bytes say, so each counts
ENTRY_COST bytes on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from hashrange_node.replica.ranges import PartitionRanges

SLICE_BYTES = 256 << 10
SLICE_ENTRIES = 1_000
ENTRY_COST = 64

Entry = tuple[bytes, bytes]
RunOffLoop = Callable[[Callable[[], None], Callable[[BaseException | None], None]], None]


class Scheduler(Protocol):
    """What long work needs of an event loop."""

    def call_soon(self, callback: Callable[[], None]) -> Any: ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any: ...


def take(
    entries: Iterator[Entry], ranges: PartitionRanges, *, keep_foreign: bool = False
) -> tuple[list[Entry], int, bool]:
    """The next slice of a partition's entries: (entries, their bytes with ENTRY_COST, whether it was the last).

    Entries of the expiry index that belong to other partitions of the store are left out, unless `keep_foreign`,
    but count as seen. Where more entries may follow, at least one was seen.
    """
    taken: list[Entry] = []
    size = seen = 0
    mixed, past, lo, hi = ranges.mixed_bounds
    for entry in entries:
        key, value = entry
        seen += 1
        if keep_foreign or not mixed <= key < past or lo <= key[18:26] <= hi:
            taken.append(entry)
            size += len(key) + len(value)
        if size >= SLICE_BYTES or seen >= SLICE_ENTRIES:
            return taken, size + seen * ENTRY_COST, False
    return taken, size + seen * ENTRY_COST, True
