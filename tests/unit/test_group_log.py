"""The log of one group: against a plain list, with entries in memory, read back, and after a start."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hashrange_node.log.errors import RecordGone
from hashrange_node.log.format import CONFIG, ENTRY, HARD_STATE, NOOP, TRUNCATE
from hashrange_node.log.format import Entry as Record
from hashrange_node.raft import messages as raft
from hashrange_node.raft.confchange import Configuration
from hashrange_node.raft.messages import Entry, Snapshot
from hashrange_node.replica.group_log import (
    ENTRY_OVERHEAD_BYTES,
    GroupLog,
    LogBudget,
    LogGap,
    entry_of,
    records_of,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

GROUP = 7


class RecordList:
    """A node's log as a list of records; a position is ten times its place, so that none passes for an index."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.first_position = 0
        self.reads = 0

    def append(self, records: Sequence[Record]) -> list[int]:
        starts = [10 * (len(self.records) + number) for number in range(len(records))]
        self.records += records
        return starts

    def read(self, position: int) -> Record:
        self.reads += 1
        if position < self.first_position:
            raise RecordGone(position)
        return self.records[position // 10]

    @property
    def end(self) -> int:
        return 10 * len(self.records)


def data(index: int, term: int = 1, size: int = 10) -> Entry:
    return Entry(index, term, raft.DATA, b"%010d" % index * (size // 10), size)


def stored(entries: Sequence[Entry], group: int = GROUP) -> list[Record]:
    """The records as a log gives them back."""
    return [
        Record(*fields[:3], payload if isinstance(payload, bytes) else payload.encode(), kind)
        for *fields, payload, kind in records_of(group, entries)
    ]


def group_log(log: RecordList | None, base: int = 0, term: int = 0, limit: int = 1 << 30) -> GroupLog:
    read = None if log is None else log.read
    return GroupLog(GROUP, base, term, read=read, budget=LogBudget(limit), make_snapshot=lambda: None)


class Life(RuleBasedStateMachine):
    """A group's log beside a list of all its entries: (index, term) from 1 on, of which some are compacted."""

    def __init__(self) -> None:
        super().__init__()
        self.log = RecordList()
        self.budget = LogBudget(20 * (ENTRY_OVERHEAD_BYTES + 10))
        self.entries: list[Entry] = []
        self.base = self.base_term = 0
        self.applied = 0
        self.compacted_terms = {0: 0}
        self.group = self.make()

    def make(self) -> GroupLog:
        return GroupLog(
            GROUP,
            read=self.log.read if self.readable else None,
            budget=self.budget,
            make_snapshot=lambda: None,
        )

    readable = True

    @property
    def last(self) -> int:
        return self.base + len(self.entries)

    @property
    def last_term(self) -> int:
        return self.entries[-1].term if self.entries else self.base_term

    @rule(count=st.integers(1, 12), later=st.integers(0, 1), foreign=st.booleans())
    def append(self, count: int, later: int, foreign: bool) -> None:
        if foreign:
            self.log.append([Record(GROUP + 1, 1, 1, b"of another group")])
        term = max(self.last_term, 1)
        entries = [data(self.last + 1, term)]
        entries += [data(self.last + 1 + number, term + later) for number in range(1, count)]
        starts = self.log.append(stored(entries))
        self.group.append(entries, starts if self.readable else ())
        self.entries += entries

    @precondition(lambda self: self.last > self.applied)
    @rule(where=st.floats(0, 1))
    def truncate(self, where: float) -> None:
        index = self.applied + 1 + int(where * (self.last - self.applied - 1))
        self.log.append([Record(GROUP, index, self.last_term, b"", TRUNCATE)])
        self.group.truncate(index)
        del self.entries[index - self.base - 1 :]

    @precondition(lambda self: self.last > self.applied)
    @rule(where=st.floats(0, 1))
    def apply(self, where: float) -> None:
        self.applied += int(where * (self.last - self.applied))
        self.group.applied = self.applied

    @rule(where=st.floats(0, 1))
    def compact(self, where: float) -> None:
        index = self.base + int(where * (self.applied - self.base))
        self.group.compact(index)
        self.forget(index)

    @rule()
    def install(self) -> None:
        self.log.append([Record(GROUP, 1, self.last_term, b"", TRUNCATE)])
        self.applied = self.base = self.last + 5
        self.base_term = self.last_term + 1
        self.entries.clear()
        self.group.install(self.base, self.base_term)

    def forget(self, index: int) -> None:
        if index > self.base:
            self.base_term = self.entries[index - self.base - 1].term
            del self.entries[: index - self.base]
            self.base = index

    @invariant()
    def says_what_the_list_says(self) -> None:
        group = self.group
        if not self.readable:
            assert group.first_index() - 1 <= self.applied, "what is not applied is never given up"
            self.forget(group.first_index() - 1)
        assert (group.first_index(), group.last_index()) == (self.base + 1, self.last)
        terms = [group.term(index) for index in range(self.base, self.last + 1)]
        assert terms == [self.base_term, *(entry.term for entry in self.entries)]
        if self.entries:
            assert group.entries(self.base + 1, self.last + 1, 1 << 60) == self.entries
            low = self.base + 1 + len(self.entries) // 3
            part = self.entries[low - self.base - 1 :]
            assert group.entries(low, self.last + 1, 35) == part[:3]
            assert group.entries(low, low + 1, 0) == part[:1]

    @invariant()
    def counts_what_is_in_memory(self) -> None:
        in_memory = self.group._last + 1 - self.group._cached_from
        assert self.group.cached_bytes == self.budget.used_bytes == in_memory * (ENTRY_OVERHEAD_BYTES + 10)
        if self.readable:
            assert self.budget.used_bytes <= self.budget.limit_bytes


class ReadableLife(Life):
    """With a log that can be read: it can be cut, and found again after a start."""

    @precondition(lambda self: self.entries)
    @rule(where=st.floats(0, 1))
    def cut(self, where: float) -> None:
        index = self.base + int(where * (self.applied - self.base))
        position = self.group.start_of(index + 1) if index < self.last else self.log.end
        self.log.first_position = max(position, self.log.first_position)
        self.group.compact_before(position)
        self.forget(index)

    @rule()
    def start_anew(self) -> None:
        self.group.close()
        self.group = self.make()
        for number, record in enumerate(self.log.records):
            if record.group == GROUP and number * 10 >= self.log.first_position:
                self.group.replay(record, number * 10)
        applied_term = self.entries[self.applied - self.base - 1].term if self.applied > self.base else None
        self.group.anchor(self.applied, self.base_term if applied_term is None else applied_term)
        # It may know more than before, entries that were compacted and are still in the log; and never less but one.
        assert self.group.first_index() - 1 <= self.base + 1
        assert self.group.last_index() == self.last
        if self.group.first_index() - 1 < self.base:
            self.group.compact(self.base)
        self.forget(self.group.first_index() - 1)


class UnreadableLife(Life):
    """With a log that keeps nothing."""

    readable = False


TestReadable = ReadableLife.TestCase
TestReadable.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestUnreadable = UnreadableLife.TestCase
TestUnreadable.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_only_what_left_memory_is_read_back() -> None:
    log = RecordList()
    group = group_log(log)
    entries = [data(index) for index in range(1, 9)]
    group.append(entries, log.append(stored(entries)))
    assert group.entries(1, 9, 1000)[0] is entries[0]
    assert log.reads == 0
    group.shed()
    assert group.entries(3, 7, 1000) == entries[2:6]
    assert log.reads == 2


def test_kinds_and_payloads_survive_the_log() -> None:
    class Lazy:
        def encode(self) -> bytes:
            return b"lazy"

    entries = [
        Entry(1, 1, raft.NOOP, None, 0),
        Entry(2, 1, raft.CONFIG, b"change", 6),
        Entry(3, 1, raft.DATA, Lazy(), 99),
    ]
    records = stored(entries)
    assert [record.kind for record in records] == [NOOP, CONFIG, ENTRY]
    back = [entry_of(record) for record in records]
    assert [(entry.kind, entry.payload) for entry in back] == [
        (raft.NOOP, b""),
        (raft.CONFIG, b"change"),
        (raft.DATA, b"lazy"),
    ]
    assert back[2].size == 4
    with pytest.raises(KeyError):
        entry_of(Record(1, 0, 1, b"", HARD_STATE))


def test_a_record_of_something_else_is_not_taken() -> None:
    log = RecordList()
    group = group_log(log)
    entries = [data(1), data(2)]
    group.append(entries, log.append(stored(entries)))
    group.shed()
    log.records[0] = log.records[0]._replace(group=GROUP + 1)
    with pytest.raises(RecordGone):
        group.entries(1, 3, 1000)


def test_groups_share_a_budget_in_turn() -> None:
    budget = LogBudget(100 * (ENTRY_OVERHEAD_BYTES + 10))
    log = RecordList()
    groups = [
        GroupLog(number, read=log.read, budget=budget, make_snapshot=lambda: None) for number in range(1, 5)
    ]
    for index in range(1, 201):
        for group in groups:
            entry = data(index)
            group.append([entry], log.append(stored([entry], group.group)))
            assert budget.used_bytes <= budget.limit_bytes
    assert budget.used_bytes == sum(group.cached_bytes for group in groups)
    assert all(group.cached_bytes for group in groups)
    for group in groups:
        assert len(group.entries(1, 201, 1 << 60)) == 200
        group.close()
    assert budget.used_bytes == 0


def test_a_budget_that_nobody_can_keep_does_not_stop_anything() -> None:
    group = group_log(None, limit=1000)
    for index in range(1, 100):
        group.append([data(index)])
    assert group.first_index() == 1, "nothing is applied yet"
    group.applied = 99
    for index in range(100, 200):
        group.append([data(index)])
        group.applied = index
    assert group.cached_bytes < 200 * ENTRY_OVERHEAD_BYTES
    assert group.first_index() > 90


def test_a_group_that_is_alone_only_moves_on() -> None:
    group = group_log(None)
    group.compact(50, 3)
    assert (group.first_index(), group.last_index(), group.term(50)) == (51, 50, 3)
    group.compact(40, 3)
    assert group.last_index() == 50


def test_positions_and_indices() -> None:
    log = RecordList()
    group = group_log(log, base=10, term=1)
    entries = [data(index) for index in range(11, 15)]
    starts = log.append(stored(entries))
    group.append(entries, starts)
    assert [group.start_of(index) for index in range(11, 15)] == starts
    assert [group.index_at(position) for position in (0, 1, 10, 30, 31)] == [11, 12, 12, 14, 15]


def test_the_snapshot_is_asked_for() -> None:
    snapshot = Snapshot(5, 1, Configuration.of([1]))
    group = GroupLog(1, read=None, budget=LogBudget(1), make_snapshot=lambda: snapshot)
    assert group.snapshot() is snapshot


def replayed(records: list[Record], applied: int, term: int) -> GroupLog:
    log = RecordList()
    group = group_log(log)
    for record, start in zip(records, log.append(records), strict=True):
        group.replay(record, start)
    group.anchor(applied, term)
    return group


def test_after_a_start_the_log_goes_back_beyond_what_is_applied() -> None:
    group = replayed(stored([data(index) for index in range(5, 21)]), 12, 1)
    assert (group.first_index(), group.last_index(), group.term(5)) == (6, 20, 1)
    assert group.entries(6, 21, 1 << 60) == [data(index) for index in range(6, 21)]


def test_what_was_void_at_a_start_does_not_come_back() -> None:
    """The log of a replica that was removed, then that of another replica of the group: with a snapshot at 60."""
    old = stored([data(index, 9) for index in range(1, 101)])
    new = stored([data(index, 5) for index in range(61, 71)])
    group = replayed([*old, Record(GROUP, 1, 5, b"", TRUNCATE), *new], 60, 5)
    assert (group.first_index(), group.last_index(), group.term(60), group.term(70)) == (61, 70, 5, 5)


def test_an_engine_ahead_of_the_log_is_the_base() -> None:
    group = replayed(stored([data(index) for index in range(1, 5)]), 9, 2)
    assert (group.first_index(), group.last_index(), group.term(9)) == (10, 9, 2)


@pytest.mark.parametrize(("applied", "term"), [(3, 1), (12, 2)])
def test_a_log_that_does_not_continue_the_engine_is_refused(applied: int, term: int) -> None:
    with pytest.raises(LogGap):
        replayed(stored([data(index) for index in range(5, 21)]), applied, term)
