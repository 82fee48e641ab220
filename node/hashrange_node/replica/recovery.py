"""Bringing groups back from log and engine at the start of a node.

The engine has, for every group, the state record of what was applied before the last flush; the log has what came
after it. A group that never had another member (in the embedded server) has committed everything in its log: its
entries are applied at once, in bounded batches. Of other groups the entries above the applied index are kept for the
core: which of them are committed is learnt from the next leader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import sleep

from hashrange.model import record as records
from hashrange_node.log import format as log_format
from hashrange_node.log.protocol import NodeLog
from hashrange_node.raft.confchange import ConfChange, Configuration
from hashrange_node.raft.confchange import apply as apply_change
from hashrange_node.raft.messages import CONFIG, DATA, NOOP, Entry, HardState
from hashrange_node.replica.driver import Driver
from hashrange_node.replica.effects import KeyRange, Mutation, decode
from hashrange_node.replica.group import Group
from hashrange_node.replica.group_log import GroupLog
from hashrange_node.replica.place import Place
from hashrange_node.replica.split import split_mutations
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine, EngineBusy

REPLAY_BATCH = 2_000
REPLAY_BATCH_BYTES = 4 << 20
BUSY_PAUSE_S = 0.02

RAFT_KINDS = {log_format.ENTRY: DATA, log_format.NOOP: NOOP, log_format.CONFIG: CONFIG}


@dataclass(slots=True)
class Recovered:
    """What is known of a group before it is opened: its state, and its log (None: nothing of it was replayed).

    `void`: the replica was given up. If the engine has a state of it all the same, that is from before.
    """

    group: Group
    storage: GroupLog | None = None
    void: bool = False


class Recovery:
    """One replay. `found` has every group that engine or log know, by id.

    `standalone`: every group here has one member, also those without a stored configuration.
    `make_log(group)` makes the log of a group that is not alone. `pause(seconds)` is called while the engine does not
    keep up.
    """

    def __init__(
        self,
        driver: Driver,
        log: NodeLog,
        engine: Engine,
        *,
        standalone: bool,
        observe_stamp: Callable[[int], None],
        make_log: Callable[[int], GroupLog],
        pause: Callable[[float], None] = sleep,
    ) -> None:
        self.found: dict[int, Recovered] = {}
        self.applied = 0
        self.position = 0
        self._driver = driver
        self._log = log
        self._engine = engine
        self._standalone = standalone
        self._observe = observe_stamp
        self._make_log = make_log
        self._pause = pause
        self._mutations: list[Mutation] = []
        # Groups of the batch that is being gathered, with the index of their first entry in it.
        self._touched: dict[Group, int] = {}
        self._size = 0

    def run(self, progress: Callable[[int], None] | None = None) -> None:
        """Replay the log on top of the engine."""
        for key, _ in list(self._engine.scan(b"G", b"H")):
            self._group(int.from_bytes(key[1:], "big"))
        for position, entry in self._log.replay():
            kind = entry.kind
            recovered = self.found.get(entry.group) or self._group(entry.group)
            group = recovered.group
            if kind == log_format.TRUNCATE and entry.index == 1:
                recovered.void = (entry.index, entry.term) == log_format.VOID
            if kind == log_format.HARD_STATE:
                if entry.term >= group.hard_state.term:
                    group.hard_state = HardState(entry.term, entry.index)
                    group.unsaved = True
            elif not self._alone(group):
                if recovered.storage is None:
                    recovered.storage = self._make_log(group.id)
                recovered.storage.replay(entry, log_format.start_of(position, entry.payload))
            elif entry.index > group.applied_index and kind in RAFT_KINDS:
                raft = Entry(entry.index, entry.term, RAFT_KINDS[kind], entry.payload, len(entry.payload))
                self._apply(group, raft)
                if progress is not None and not self._mutations:
                    progress(self.applied)
            self.position = position
        self._write([])

    def _group(self, group_id: int) -> Recovered:
        group = Group(Place.only(group_id), self._driver)
        group.load(self._engine)
        recovered = self.found[group_id] = Recovered(group)
        self._observe(group.stamp)
        return recovered

    def _alone(self, group: Group) -> bool:
        """Whether all that the log has of a group is committed: it never had another member.

        In a cluster a group that is alone now may have had others: the log then has entries that were replaced.
        """
        if not self._standalone:
            return False
        configuration = group.configuration
        return configuration is None or configuration == Configuration.of([group.replica_id])

    def _apply(self, group: Group, entry: Entry) -> None:
        """Apply an entry of a group that is alone."""
        effects = decode(entry.payload) if entry.kind == DATA else None
        if effects is not None and effects.ranges:  # not in one batch with what was written into them before
            self._write([])
        group.applied_index, group.applied_term = entry.index, entry.term
        self.applied += 1
        if entry.kind == CONFIG:
            before = group.configuration or Configuration.of([group.replica_id])
            group.configuration = apply_change(before, ConfChange.decode(entry.payload))
        elif effects is not None:
            for key, value in effects.mutations:
                if value is not None and key[:1] == b"P" and len(value) >= records.HEADER_SIZE:
                    self._observe(records.stamp(value))
            group.count_all(effects.counts)
            self._mutations.extend(effects.mutations)
            if effects.deleted:
                group.deleted(effects.deleted, entry.index)
                self._observe(effects.deleted)
            if effects.fence is not None:
                group.fenced(effects.fence)
            if effects.request is not None:
                group.window.add(*effects.request)
                self._observe(effects.request[2])
            if effects.split is not None:
                group.split = effects.split
                self._mutations.extend(split_mutations(group, effects.split))
            self._touched.setdefault(group, entry.index)
            self._size += len(entry.payload)
            if effects.ranges or len(self._mutations) >= REPLAY_BATCH or self._size >= REPLAY_BATCH_BYTES:
                self._write(effects.ranges)
            return
        self._touched.setdefault(group, entry.index)

    def _write(self, ranges: list[KeyRange]) -> None:
        if not self._touched:
            return
        stamp = self._driver.last_stamp()
        for group, first in self._touched.items():
            group.stamp = max(group.stamp, stamp)
            if group.window.dirty:
                self._mutations.extend(group.window.flush_batch(first, stamp))
            self._mutations.append((keyspace.group_state(group.id), group.state()))
        store(self._engine, self._mutations, ranges, self._pause)
        self._mutations = []
        self._touched = {}
        self._size = 0


def store(
    engine: Engine, mutations: list[Mutation], ranges: list[KeyRange], pause: Callable[[float], None] = sleep
) -> None:
    """Write, and wait as long as it takes while the engine is busy with what came before."""
    while mutations or ranges:
        try:
            engine.write(mutations, ranges)
            return
        except EngineBusy:
            pause(BUSY_PAUSE_S)
