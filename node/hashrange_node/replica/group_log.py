"""The log of one replication group: what its Raft core reads, laid over the node's one log.

The driver writes records of all groups to the node's log and tells each group's `GroupLog` where its entries are.
The newest entries stay in memory, as far as the node's `LogBudget` allows; of the older ones only the position is
kept, and they are read back one by one when a follower is behind. With a log that keeps nothing (`read` None) an
entry that leaves memory is compacted away, once it is applied; a follower that needs it gets a snapshot.

    compacted            read back by position         in memory
    ---------------------|------------------------------|--------------------
                   base ─┘                 _cached_from ─┘               last

After a start the driver feeds the group's records to `replay`, then calls `anchor` with what the engine has.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from hashrange_node.log.errors import LogError, RecordGone
from hashrange_node.log.format import CONFIG, ENTRY, NOOP, TRUNCATE, Appendable
from hashrange_node.log.format import Entry as Record
from hashrange_node.raft import messages as raft
from hashrange_node.raft.messages import Entry, Snapshot
from hashrange_node.raft.storage import within

ENTRY_OVERHEAD_BYTES = 400
"""What an entry in memory costs besides its values: the objects around them."""

_RECORD_KINDS = (ENTRY, NOOP, CONFIG)
_ENTRY_KINDS = {ENTRY: raft.DATA, NOOP: raft.NOOP, CONFIG: raft.CONFIG}
_UNKNOWN_TERM = -1


class LogGap(LogError):  # noqa: N818
    """The log lacks entries between what the engine has of a group and what the log has of it."""


def records_of(group: int, entries: Sequence[Entry]) -> list[Appendable]:
    """The records of entries, for the node's log."""
    kinds = _RECORD_KINDS
    return [
        (group, entry.index, entry.term, b"" if entry.payload is None else entry.payload, kinds[entry.kind])
        for entry in entries
    ]


def entry_of(record: Record) -> Entry:
    """The entry that a record holds, its payload as bytes. KeyError for records that are no entries."""
    payload = record.payload
    return Entry(record.index, record.term, _ENTRY_KINDS[record.kind], payload, len(payload))


class LogBudget:
    """How much memory the entries of all groups of a node may take; shared by their `GroupLog`s.

    When it is used up, the groups in turn give up the older half of what they keep.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._ceiling = limit_bytes
        self._holders: OrderedDict[GroupLog, None] = OrderedDict()

    def take(self, log: GroupLog, size: int, first: bool) -> None:
        """A group keeps `size` bytes more; `first` says that it kept nothing before."""
        if first:
            self._holders[log] = None
        self.used_bytes += size
        if self.used_bytes > self._ceiling:
            self._shrink()

    def give_back(self, log: GroupLog, size: int, last: bool) -> None:
        """A group keeps `size` bytes less; `last` says that it keeps nothing now."""
        self.used_bytes -= size
        if last:
            self._holders.pop(log, None)

    def _shrink(self) -> None:
        target = self.limit_bytes - self.limit_bytes // 8
        for log in list(self._holders):
            if self.used_bytes <= target:
                break
            if log in self._holders:
                self._holders.move_to_end(log)
                log.shed()
        # What cannot be given up now (not applied yet) is not asked for again at every append.
        self._ceiling = max(self.limit_bytes, self.used_bytes + self.limit_bytes // 8)


class GroupLog:
    """Entries of one group; fulfils `raft.storage.Storage`.

    `base_index` and `base_term` name the entry that the log continues. `read(position)` gives back a record of the
    node's log (`NodeLog.read`); None when that keeps nothing. `make_snapshot()` is what `snapshot` answers. The
    driver sets `applied` to the applied index as it grows: nothing behind it is ever compacted for want of memory.
    """

    __slots__ = (
        "_base",
        "_base_term",
        "_budget",
        "_cached",
        "_cached_bytes",
        "_cached_from",
        "_last",
        "_last_term",
        "_make_snapshot",
        "_read",
        "_starts",
        "_terms",
        "applied",
        "group",
    )

    def __init__(
        self,
        group_id: int,
        base_index: int = 0,
        base_term: int = 0,
        *,
        read: Callable[[int], Record] | None,
        budget: LogBudget,
        make_snapshot: Callable[[], Snapshot | None],
    ) -> None:
        self.group = group_id
        self.applied = base_index
        self._read = read
        self._budget = budget
        self._make_snapshot = make_snapshot
        self._cached: list[Entry] = []
        self._cached_bytes = 0
        self._base = self._last = base_index
        self._base_term = self._last_term = base_term
        self._cached_from = base_index + 1
        self._starts: array[int] = array("Q")
        # Where terms begin behind that of the base: (index of the first entry, term).
        self._terms: list[tuple[int, int]] = []

    # ---- reading (raft.storage.Storage)

    def first_index(self) -> int:
        """Index of the oldest entry kept; one more than `last_index()` when none is."""
        return self._base + 1

    def last_index(self) -> int:
        """Index of the newest entry, of the compaction point when none is kept."""
        return self._last

    def term(self, index: int) -> int:
        """Term of the entry at `index`, which is in [first_index() - 1, last_index()]."""
        if index == self._last:
            return self._last_term
        if index == self._base:
            return self._base_term
        assert self._base < index < self._last, f"entry {index} is not in the log"
        run = bisect_right(self._terms, (index, 1 << 64)) - 1
        return self._terms[run][1] if run >= 0 else self._base_term

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """Entries in [low, high): as many as fit into `max_bytes`, at least one.

        Raises RecordDamaged, RecordGone, OSError when older ones cannot be read back.
        """
        assert self._base < low <= high <= self._last + 1
        cached_from = self._cached_from
        if low >= cached_from:
            return within(self._cached, low - cached_from, high - cached_from, max_bytes)
        found: list[Entry] = []
        total = 0
        for index in range(low, high):
            entry = self._cached[index - cached_from] if index >= cached_from else self._read_back(index)
            total += entry.size
            if total > max_bytes and found:
                break
            found.append(entry)
        return found

    def snapshot(self) -> Snapshot | None:
        """A snapshot of the group; None: not now."""
        return self._make_snapshot()

    def start_of(self, index: int) -> int:
        """The position at which the record of an entry kept starts in the node's log; not with `read` None."""
        return self._starts[index - self._base - 1]

    def index_at(self, position: int) -> int:
        """Index of the first entry kept whose record starts at `position` or behind it; last_index() + 1: none."""
        return self._base + 1 + bisect_left(self._starts, position)

    @property
    def cached_bytes(self) -> int:
        """What the entries in memory count against the budget."""
        return self._cached_bytes

    # ---- writing (the driver)

    def append(self, entries: Sequence[Entry], starts: Sequence[int] = ()) -> None:
        """Add entries that the node's log has taken; `starts` are the positions of their records.

        Entries from the first one's index on are replaced.
        """
        if not entries:
            return
        first = entries[0].index
        if first <= self._last:
            self.truncate(first)
        assert first == self._last + 1, f"entry {first} does not follow {self._last}"
        if self._read is not None:
            assert len(starts) == len(entries), "every entry has a position"
            self._starts.extend(starts)
        if entries[-1].term != self._last_term:
            self._note_terms(entries)
        self._cached += entries
        self._last = entries[-1].index
        size = len(entries) * ENTRY_OVERHEAD_BYTES
        for entry in entries:
            size += entry.size
        before = self._cached_bytes
        self._cached_bytes = before + size
        self._budget.take(self, size, not before)

    def truncate(self, index: int) -> None:
        """Forget the entries from `index` on; none of them is applied."""
        assert index > self._base
        if index > self._last:
            return
        if index > self._cached_from:
            self._give_up(self._cached[index - self._cached_from :])
            del self._cached[index - self._cached_from :]
        else:
            self._give_up(self._cached)
            self._cached.clear()
            self._cached_from = index
        del self._starts[index - self._base - 1 :]
        del self._terms[bisect_left(self._terms, (index, 0)) :]
        self._last = index - 1
        self._last_term = self._terms[-1][1] if self._terms else self._base_term

    def compact(self, index: int, term: int | None = None) -> None:
        """Forget the entries up to `index`, which is applied. Nothing happens when they are gone already.

        With `term`, that of `index`, entries need not have been added: a group that is alone adds none.
        """
        base = self._base
        if index <= base:
            return
        if index >= self._last and term is not None:
            self.install(index, term)
            return
        assert index <= self._last, f"entry {index} is not in the log"
        term = self.term(index)
        if index >= self._cached_from:
            count = index + 1 - self._cached_from
            self._give_up(self._cached[:count])
            del self._cached[:count]
            self._cached_from = index + 1
        del self._starts[: index - base]
        del self._terms[: bisect_right(self._terms, (index, 1 << 64))]
        self._base = index
        self._base_term = term

    def compact_before(self, position: int) -> None:
        """Forget the entries whose records start before `position`: the node's log has removed them."""
        if self._read is not None:
            self.compact(self.index_at(position) - 1)

    def install(self, index: int, term: int) -> None:
        """Put a snapshot, or the beginning of another replica, in the place of everything."""
        if self._cached:
            self._give_up(self._cached)
            self._cached.clear()
        self._restart(index, term)
        self.applied = index

    def close(self) -> None:
        """Give back the memory: the group is gone."""
        self.install(self._last, self._last_term)

    # ---- after a start

    def replay(self, record: Record, start: int) -> None:
        """Take a record of this group from the node's log, in order; `start` is where it starts.

        Only entries and truncations matter. Payloads are read back when they are wanted.
        """
        index = record.index
        if record.kind == TRUNCATE:
            if index > self._base:
                self.truncate(index)
            else:
                self._restart(index - 1, _UNKNOWN_TERM)
        elif record.kind in _ENTRY_KINDS:
            if not self._base < index <= self._last + 1 or not self._starts:
                # Its first entry, or the first behind a snapshot.
                self._restart(index - 1, _UNKNOWN_TERM)
            elif index <= self._last:
                self.truncate(index)
            if record.term != self._last_term:
                self._terms.append((index, record.term))
                self._last_term = record.term
            self._starts.append(start)
            self._last = index
            self._cached_from = index + 1

    def anchor(self, applied: int, term: int) -> None:
        """End the replay: the engine has everything up to `applied`, an entry of `term`. Raises LogGap."""
        self.applied = applied
        if not self._starts or self._last < applied:
            self._restart(applied, term)
        elif self._base > applied:
            raise LogGap(
                f"group {self.group}: the engine has the entries up to {applied}, the log goes on at {self._base + 1}"
            )
        elif self._base == applied:
            self._base_term = term
        elif self.term(applied) != term:
            raise LogGap(
                f"group {self.group}: entry {applied} is of term {term} in the engine and of term "
                f"{self.term(applied)} in the log"
            )
        else:
            self.compact(self._base + 1)  # the term before it is not known, so it is what the log continues

    # ---- memory

    def shed(self) -> None:
        """Give up the older half of what is in memory, for the budget."""
        cached = self._cached
        count = (len(cached) + 1) // 2
        if self._read is None:
            self.compact(min(self._cached_from + count - 1, self.applied))
            return
        self._give_up(cached[:count])
        del cached[:count]
        self._cached_from += count

    def _give_up(self, entries: list[Entry]) -> None:
        if entries:
            size = sum(entry.size for entry in entries) + len(entries) * ENTRY_OVERHEAD_BYTES
            self._cached_bytes -= size
            self._budget.give_back(self, size, not self._cached_bytes)

    def _restart(self, index: int, term: int) -> None:
        self._base = self._last = index
        self._base_term = self._last_term = term
        self._cached_from = index + 1
        self._terms.clear()
        del self._starts[:]

    def _note_terms(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.term != self._last_term:
                self._last_term = entry.term
                self._terms.append((entry.index, entry.term))

    def _read_back(self, index: int) -> Entry:
        position = self.start_of(index)
        read: Any = self._read
        record = read(position)
        if record.group != self.group or record.index != index or record.term != self.term(index):
            raise RecordGone(position)
        return entry_of(record)
