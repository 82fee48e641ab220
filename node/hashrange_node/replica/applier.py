"""Applying committed entries of all groups to the engine: one batch for what became committed in a turn.

Entries are applied in their order within a group. A batch that the engine cannot take now is kept as it is and
tried again; nothing behind it is applied before. Every batch carries the state records of its groups, so the
applied index is exact after any crash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hashrange.errors import internal
from hashrange.model import record as records
from hashrange_node.raft.messages import CONFIG, DATA, Entry
from hashrange_node.replica.effects import Effects, KeyRange, Mutation, decode
from hashrange_node.replica.group import Group, Proposal
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineBusy, EngineError, EngineFull

if TYPE_CHECKING:
    from hashrange_node.replica.driver import Driver

RETRY_DELAY_S = 0.25
BUSY_DELAY_S = 0.01

Applied = tuple[Group, int, Effects, "Proposal | None"]
"""Group, raft index, effects, and the proposal if this replica made it."""


def _effects_of(entry: Entry) -> Effects | None:
    """What an entry does to the state; None for entries without data."""
    if entry.kind != DATA:
        return None
    payload = entry.payload
    if payload.__class__ is Proposal:
        effects: Effects = payload.effects
        return effects
    return decode(payload)


class Batch:
    """What one engine write applies, and who has to be told when it is done."""

    __slots__ = ("applied", "groups", "mutations", "ranges", "tail")

    def __init__(self) -> None:
        self.mutations: list[Mutation] = []
        self.tail = 0
        self.ranges: list[KeyRange] = []
        self.applied: list[Applied] = []
        self.groups: dict[Group, list[Entry]] = {}

    def leave_out_dropped(self) -> None:
        """Write nothing of groups that were closed while the batch could not be written: they are erased by now."""
        if not any(group.dropped for group in self.groups):
            return
        kept: list[Mutation] = []
        for group, _, effects, _ in self.applied:
            if not group.dropped:
                kept.extend(effects.mutations)
        own: list[Mutation] = []
        states = {keyspace.group_state(group.id): group for group in self.groups}
        for mutation in self.mutations[self.tail :]:
            own.append(mutation)
            if mutation[0] in states:  # a group's state is the last of what is its own
                if not states[mutation[0]].dropped:
                    kept.extend(own)
                own = []
        self.mutations, self.tail = kept, 0


class Applier:
    """Applies what groups hand out as committed. `stalled` says why nothing can be applied now, or is None."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._engine = driver.engine
        self._waiting: deque[tuple[Group, Sequence[Entry]]] = deque()
        self._stuck: Batch | None = None
        self.stalled: str | None = None

    @property
    def stuck(self) -> bool:
        """Whether groups are ahead of the engine in memory: a batch is built and not written."""
        return self._stuck is not None

    def add(self, group: Group, entries: Sequence[Entry]) -> None:
        """Take committed entries; they are applied by the next `run`."""
        self._waiting.append((group, entries))

    def forget(self, group: Group) -> None:
        """A group is gone, or its state comes from a snapshot: what it still had to apply is void."""
        self._waiting = deque(entry for entry in self._waiting if entry[0] is not group)

    def busy(self, group: Group) -> bool:
        """Whether something of a group is waiting to be applied."""
        return any(waiting is group for waiting, _ in self._waiting) or (
            self._stuck is not None and group in self._stuck.groups
        )

    def run(self) -> None:
        """Apply everything that waits, unless a batch is stuck."""
        while self._waiting and self._stuck is None and not self._driver.closed:
            batch = self._build()
            if not self._write(batch):
                return
            self._finish(batch)

    def _retry(self) -> None:
        batch = self._stuck
        if batch is None or self._driver.closed:
            return
        batch.leave_out_dropped()
        if self._write(batch):
            self._finish(batch)
            self._driver.run()

    # ---- building

    def _build(self) -> Batch:
        """The next batch: up to an entry that must be the last of its batch, or the only one."""
        batch = Batch()
        while self._waiting:
            group, entries = self._waiting.popleft()
            for number, entry in enumerate(entries):
                try:
                    effects = _effects_of(entry)
                    separate = effects is not None and effects.separate
                    if separate and batch.groups:
                        self._waiting.appendleft((group, entries[number:]))
                        self._close(batch)
                        return batch
                    self._add(batch, group, entry, effects)
                except Exception as error:
                    self._refused(group, entry, error)
                    break
                if separate:
                    if number + 1 < len(entries):
                        self._waiting.appendleft((group, entries[number + 1 :]))
                    self._close(batch)
                    return batch
        self._close(batch)
        return batch

    def _refused(self, group: Group, entry: Entry, error: Exception) -> None:
        """An entry cannot be applied: its group stops before it, the others go on."""
        what = f"entry {entry.index} of partition {group.id} cannot be applied"
        self._driver.report(what, error)
        self._driver.disable(group, f"{what}: {error!r}")

    def _add(self, batch: Batch, group: Group, entry: Entry, effects: Effects | None) -> None:
        if entry.kind == CONFIG:
            group.configuration = group.core.apply_config(entry)
        group.applied_index = entry.index
        group.applied_term = entry.term
        held = batch.groups.get(group)
        if held is None:
            batch.groups[group] = [entry]
        else:
            held.append(entry)
        if effects is None:
            return
        proposal: Proposal | None = None
        if entry.payload.__class__ is Proposal:
            proposal = entry.payload
        else:
            self._observe(effects)
        if effects.counts:
            group.count_all(effects.counts)
        if not group.dropped:
            batch.mutations.extend(effects.mutations)
            if effects.ranges:
                batch.ranges.extend(effects.ranges)
        if effects.deleted:
            group.deleted(effects.deleted, entry.index)
            self._driver.observe_stamp(effects.deleted)
        if effects.fence is not None:
            group.fenced(effects.fence)
        request = effects.request
        if request is not None:
            group.window.add(*request)
        batch.applied.append((group, entry.index, effects, proposal))

    def _observe(self, effects: Effects) -> None:
        """A follower's clock never falls behind the stamps it has applied: it may lead next."""
        if effects.request is not None:
            self._driver.observe_stamp(effects.request[2])
            return
        for key, value in effects.mutations:
            if value is not None and key[:1] == b"P" and len(value) >= records.HEADER_SIZE:
                self._driver.observe_stamp(records.stamp(value))
                return

    def _close(self, batch: Batch) -> None:
        """Complete a batch with the records of its groups."""
        stamp = self._driver.last_stamp()
        mutations = batch.mutations
        batch.tail = len(mutations)
        for group, entries in batch.groups.items():
            if group.dropped:
                continue
            group.stamp = stamp
            if group.window.dirty:
                mutations.extend(group.window.flush_batch(entries[0].index, stamp))
            split = batch.applied[-1][2].split if batch.applied else None
            if split is not None:
                group.split = split
                mutations.extend(self._driver.hooks.split_mutations(group, split))
            group.unsaved = False
            mutations.append((keyspace.group_state(group.id), group.state()))

    # ---- writing

    def _write(self, batch: Batch) -> bool:
        """One engine write. False: not now, a retry is scheduled."""
        driver = self._driver
        try:
            self._engine.write(batch.mutations, batch.ranges)
        except EngineFull as error:
            self._stall(batch, f"The disk is full: {error}")
            return False
        except EngineBusy:
            self._stuck = batch
            driver.call_later(BUSY_DELAY_S, self._retry)
            return False
        except EngineError as error:
            driver.fatal(f"The storage engine failed while applying committed entries: {error}")
            return False
        self._stuck = None
        self.stalled = None
        return True

    def _stall(self, batch: Batch, reason: str) -> None:
        """The log has these entries but the engine cannot take them yet: they are applied when it can.

        Their outcome is unknown to the client (they will take effect), so the answer is a 500.
        """
        self._stuck = batch
        self.stalled = reason
        error = internal(reason)
        for _, _, _, proposal in batch.applied:
            if proposal is not None and proposal.done is not None:
                done, proposal.done = proposal.done, None
                self._driver.answer(done, error)
        self._driver.call_later(RETRY_DELAY_S, self._retry)

    def _finish(self, batch: Batch) -> None:
        """Everything of a batch is in the engine: tell those who wait."""
        driver = self._driver
        answers: list[tuple[Callable[[Any], None], Any]] = []
        for group, index, effects, proposal in batch.applied:
            if proposal is not None:
                group.settle(proposal)
                if group.pending and group.pending[0] is proposal:
                    group.pending.popleft()
                    driver.left((proposal,))
                if proposal.done is not None:
                    answers.append((proposal.done, effects.result))
            if effects.scrub is not None:
                driver.hooks.scrub(group, effects.scrub, index)
            if group.listener is not None:
                try:
                    group.listener.applied(effects, index)
                except Exception as error:
                    driver.report("a listener of applied entries failed", error)
        for group, entries in batch.groups.items():
            driver.applied(group, entries)
        for done, answer in answers:
            driver.answer(done, answer)
        driver.tell_idle()
