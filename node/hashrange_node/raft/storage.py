"""What the core needs of a log that is already durable, and the one implementation that memory allows.

The core reads old entries through this when a follower is behind; the recent ones (not yet durable or not yet
applied) it keeps itself. It never writes: the driver stores what a `Ready` hands out, and must make it
readable here no later than it calls `RaftCore.persisted` for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .confchange import Configuration
from .messages import Entry, HardState, Snapshot


class Storage(Protocol):
    """The durable log of one replica. Entries up to `first_index() - 1` have been compacted away."""

    def first_index(self) -> int:
        """Index of the oldest entry kept; one more than `last_index()` when none is."""
        ...

    def last_index(self) -> int:
        """Index of the newest entry; of the snapshot or compaction point when none is kept."""
        ...

    def term(self, index: int) -> int:
        """Term of the entry at `index`, which is in [first_index() - 1, last_index()]; 0 for index 0."""
        ...

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """Entries in [low, high), oldest first: as many as fit into `max_bytes`, at least one.

        `low` is not below first_index() and `high` at most last_index() + 1. The list becomes the caller's;
        the entries are shared and not changed by anyone.
        """
        ...

    def snapshot(self) -> Snapshot | None:
        """A snapshot not older than first_index() - 1, of at least one entry; None: not now, ask again."""
        ...


@dataclass(frozen=True, slots=True)
class InitialState:
    """What a replica knows when it starts.

    hard_state: the last one persisted; the default for a replica that is new.
    applied: index up to which the state machine has the log's effects.
    configuration: membership at `applied`. A group begins with the same one at all its first replicas; a
        replica that joins later starts with the empty default and gets a snapshot.
    fresh: the replica has been made just now and never answered anybody: it is bound by no promise.
    """

    hard_state: HardState = field(default_factory=HardState)
    applied: int = 0
    configuration: Configuration = field(default_factory=Configuration)
    fresh: bool = False


def within(entries: list[Entry], start: int, end: int, max_bytes: int) -> list[Entry]:
    """Of entries[start:end] the first that together fit into `max_bytes`; at least one, so there is progress."""
    total = 0
    for position in range(start, end):
        total += entries[position].size
        if total > max_bytes and position > start:
            return entries[start:position]
    return entries[start:end]


class MemoryStorage:
    """A log in memory: for tests, and as the cache of a driver whose real log cannot be read by index."""

    __slots__ = ("_base_index", "_base_term", "_entries", "_snapshot")

    def __init__(self, base_index: int = 0, base_term: int = 0) -> None:
        self._base_index = base_index
        self._base_term = base_term
        self._entries: list[Entry] = []
        self._snapshot: Snapshot | None = None

    def first_index(self) -> int:
        return self._base_index + 1

    def last_index(self) -> int:
        return self._base_index + len(self._entries)

    def term(self, index: int) -> int:
        if index == self._base_index:
            return self._base_term
        assert index > self._base_index, f"entry {index} has been compacted away"
        return self._entries[index - self._base_index - 1].term

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        assert self._base_index < low <= high <= self.last_index() + 1
        base = self._base_index + 1
        return within(self._entries, low - base, high - base, max_bytes)

    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries; those from the first one's index on are replaced."""
        if not entries:
            return
        keep = entries[0].index - self._base_index - 1
        assert 0 <= keep <= len(self._entries), "a gap in the log"
        if keep < len(self._entries):
            del self._entries[keep:]
        self._entries.extend(entries)

    def truncate(self, index: int) -> None:
        """Forget the entries from `index` on."""
        assert index > self._base_index
        del self._entries[index - self._base_index - 1 :]

    def compact(self, index: int, snapshot: Snapshot | None) -> None:
        """Forget the entries up to `index`; `snapshot` stands for them and is not older."""
        assert self._base_index <= index <= self.last_index()
        assert snapshot is None or snapshot.index >= index
        term = self.term(index)
        del self._entries[: index - self._base_index]
        self._base_index = index
        self._base_term = term
        self._snapshot = snapshot

    def install(self, snapshot: Snapshot) -> None:
        """Put a snapshot in the place of everything."""
        self._entries = []
        self._base_index = snapshot.index
        self._base_term = snapshot.term
        self._snapshot = snapshot
