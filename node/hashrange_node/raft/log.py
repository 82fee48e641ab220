"""The log as the core sees it: what storage holds, and behind it the tail that is not durable or not applied.

    storage                    tail (in memory)
    ---------------------------|-----------------------------------------------
    compacted | 8 9 10 11 12   | 13      14      15      16      17      18
                         base ─┘         │applied        │       │       └ last
                                         └ handed_out ≤ min(commit, durable)

The tail begins after `base_index` and holds every entry that is not applied yet, so the way of an entry from
proposal to application never reads storage; only a follower that is behind makes the leader do so.

An entry is in turn: appended (`last_index`), handed out for persistence (`saved`), durable (`durable`). It may
be committed (`commit`) before this replica has it durable, when others have: it is handed out for application
only when it is both. The state machine then never is ahead of the log it would be recovered with.

Persistence is asynchronous: several writes may be under way. Each has a number and the last index that it
makes durable. When a conflicting suffix is cut off, writes under way are cut back with it: what they will
report as durable is then only the part that is still in the log.
"""

from __future__ import annotations

from collections import deque

from .messages import CONFIG, Entry, HardState, Snapshot
from .storage import Storage, within


class Write:
    """A write under way: its number, the last index and the hard state that are durable when it is done."""

    __slots__ = ("hard_state", "last_index", "number", "snapshot")

    def __init__(
        self, number: int, last_index: int, hard_state: HardState, snapshot: Snapshot | None
    ) -> None:
        self.number = number
        self.last_index = last_index
        self.hard_state = hard_state
        self.snapshot = snapshot


class LogView:
    """Reads and changes of one replica's log. Indices are positive; index 0 with term 0 is its beginning."""

    __slots__ = (
        "applied",
        "base_index",
        "base_term",
        "commit",
        "durable",
        "durable_hard_state",
        "handed_out",
        "last_config_index",
        "last_index",
        "last_term",
        "saved",
        "snapshot",
        "snapshot_unsaved",
        "storage",
        "tail",
        "truncated_from",
        "unapplied_configs",
        "writes",
    )

    def __init__(self, storage: Storage, applied: int, hard_state: HardState) -> None:
        first, last = storage.first_index(), storage.last_index()
        assert first - 1 <= applied <= last, f"applied index {applied} is outside the log [{first}, {last}]"
        self.storage = storage
        self.base_index = applied
        self.base_term = storage.term(applied)
        self.tail: list[Entry] = []
        while applied + len(self.tail) < last:
            self.tail += storage.entries(applied + len(self.tail) + 1, last + 1, 1 << 62)
        self.last_index = last
        self.last_term = storage.term(last)
        self.saved = last
        self.durable = last
        self.durable_hard_state = hard_state
        self.commit = applied
        self.handed_out = applied
        self.applied = applied
        self.truncated_from: int | None = None
        self.snapshot: Snapshot | None = None
        self.snapshot_unsaved = False
        self.unapplied_configs: deque[int] = deque()
        self.writes: deque[Write] = deque()
        configs = [entry.index for entry in self.tail if entry.kind == CONFIG]
        # Not below any change of membership in the log that is not applied.
        self.last_config_index = configs[-1] if configs else applied
        if len(configs) > 1:
            # A change is proposed only when the one before is applied: all but the last are committed.
            # Knowing that keeps a restarted replica from standing for election with old voters.
            self.commit = configs[-2]

    # ---- reading

    def first_index(self) -> int:
        """The oldest entry that can still be sent to a follower."""
        return self.storage.first_index() if self.snapshot is None else self.snapshot.index + 1

    def term(self, index: int) -> int:
        """Term of the entry at `index`; -1 when that is not known here (compacted, or past the end)."""
        if index == self.last_index:
            return self.last_term
        position = index - self.base_index
        if position > 0:
            return self.tail[position - 1].term if index < self.last_index else -1
        if position == 0:
            return self.base_term
        if self.snapshot is not None or index < self.storage.first_index() - 1:
            return -1
        return self.storage.term(index)

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends like this is at least as new as ours (the Raft paper, 5.4.1)."""
        if last_term != self.last_term:
            return last_term > self.last_term
        return last_index >= self.last_index

    def entries_from(self, low: int, max_bytes: int) -> list[Entry] | None:
        """Entries from `low` on, at least one, as many as fit; None when `low` has been compacted away."""
        position = low - self.base_index - 1
        if position >= 0:
            return within(self.tail, position, len(self.tail), max_bytes)
        if low < self.first_index():
            return None
        return self.storage.entries(low, self.base_index + 1, max_bytes)

    def conflict_hint(self, index: int, term: int) -> tuple[int, int]:
        """(index, its term): the last entry up to `index` whose term is not above `term`.

        No entry after it can be in a log whose entry at `index` is of `term`, because terms only grow along
        a log. The term is 0 when it has been compacted away.
        """
        index = min(index, self.last_index)
        while True:
            found = self.term(index)
            if found <= term:
                return index, max(found, 0)
            index -= 1

    def committed_configs_wait(self) -> bool:
        """Whether a change of membership is committed and not applied yet."""
        if self.last_config_index <= self.applied:
            return False
        start, end = self.applied - self.base_index, self.commit - self.base_index
        return any(entry.kind == CONFIG for entry in self.tail[max(start, 0) : max(end, 0)])

    # ---- appending

    def append(self, entry: Entry) -> None:
        """Add one entry at the end."""
        index = entry.index
        assert index == self.last_index + 1 and entry.term >= self.last_term
        self.tail.append(entry)
        self.last_index = index
        self.last_term = entry.term
        if entry.kind == CONFIG:
            self.last_config_index = index

    def accept(self, prev_index: int, prev_term: int, entries: list[Entry]) -> bool:
        """Append what a leader sent, cutting off what conflicts; False when our log does not reach or agree.

        Entries we already have are left alone: a late message must not cut off newer ones.
        """
        if prev_index != self.last_index:
            if self.term(prev_index) != prev_term:
                return False
            entries = self._news(entries)
        elif prev_term != self.last_term:
            return False
        for entry in entries:
            self.append(entry)
        return True

    def _news(self, entries: list[Entry]) -> list[Entry]:
        for position, entry in enumerate(entries):
            index = entry.index
            if index > self.last_index:
                return entries[position:]
            if self.term(index) != entry.term:
                self._truncate(index)
                return entries[position:]
        return []

    def _truncate(self, index: int) -> None:
        """Forget the entries from `index` on, which a leader has replaced."""
        assert index > self.commit, f"entry {index} is committed and may not be replaced"
        assert index > self.base_index
        del self.tail[index - self.base_index - 1 :]
        self.last_term = self.tail[-1].term if self.tail else self.base_term
        self.last_index = index - 1
        self.last_config_index = min(self.last_config_index, index - 1)
        if index <= self.saved:
            if self.truncated_from is None or index < self.truncated_from:
                self.truncated_from = index
            self.saved = index - 1
            self.durable = min(self.durable, index - 1)
            for write in self.writes:
                write.last_index = min(write.last_index, index - 1)

    def restore(self, snapshot: Snapshot) -> None:
        """Replace everything by a snapshot that is to be installed."""
        assert snapshot.index > self.commit
        self.snapshot = snapshot
        self.snapshot_unsaved = True
        self.truncated_from = None
        self.tail = []
        self.base_index = self.last_index = self.saved = snapshot.index
        self.base_term = self.last_term = snapshot.term
        self.commit = self.handed_out = self.last_config_index = snapshot.index
        self.unapplied_configs.clear()
        self.durable = 0
        for write in self.writes:
            write.last_index = 0

    # ---- from appended to durable to applied

    def commit_to(self, index: int) -> bool:
        """Raise the commit index; says whether that changed anything."""
        if index <= self.commit:
            return False
        assert index <= self.last_index, f"commit index {index} is past the end of the log {self.last_index}"
        self.commit = index
        return True

    def take_unsaved(self) -> list[Entry]:
        """Entries not yet handed out for persistence; they count as handed out from now on."""
        if self.saved == self.last_index:
            return []
        entries = self.tail[self.saved - self.base_index :]
        self.saved = self.last_index
        return entries

    def unsaved_snapshot(self) -> Snapshot | None:
        """A snapshot not yet handed out for installation."""
        return self.snapshot if self.snapshot_unsaved else None

    def begin_write(self, number: int, hard_state: HardState) -> None:
        """A write of everything handed out so far is under way."""
        snapshot = self.unsaved_snapshot()
        self.snapshot_unsaved = False
        self.truncated_from = None
        self.writes.append(Write(number, self.saved, hard_state, snapshot))

    def persisted(self, number: int) -> None:
        """All writes up to this one are durable."""
        writes = self.writes
        while writes and writes[0].number <= number:
            write = writes.popleft()
            self.durable_hard_state = write.hard_state
            if write.last_index > self.durable:
                self.durable = write.last_index
            if write.snapshot is not None and write.snapshot is self.snapshot:
                self.applied = write.snapshot.index
                self.snapshot = None

    def take_committed(self, max_bytes: int) -> list[Entry]:
        """Entries to apply next: committed, durable here, not handed out before."""
        low = self.handed_out
        high = self.commit if self.commit < self.durable else self.durable
        if high <= low:
            return []
        base = self.base_index
        entries = within(self.tail, low - base, high - base, max_bytes)
        self.handed_out = entries[-1].index
        if self.last_config_index > low:
            self.unapplied_configs.extend(entry.index for entry in entries if entry.kind == CONFIG)
        return entries

    def applied_to(self, index: int) -> None:
        """The state machine has the effects of everything up to `index`; the tail forgets it."""
        if index <= self.applied:
            return
        assert index <= self.handed_out, f"entry {index} was never handed out for application"
        assert not self.unapplied_configs or self.unapplied_configs[0] > index, (
            f"the change of membership at {self.unapplied_configs[0]} was not applied to the core"
        )
        self.applied = index
        if index > self.base_index:
            count = index - self.base_index
            self.base_term = self.tail[count - 1].term
            self.base_index = index
            del self.tail[:count]
