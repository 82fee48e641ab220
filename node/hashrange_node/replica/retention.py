"""What of the node's log must be kept, and what a checkpoint has to write before the rest may go.

The driver tells of every batch that the log took; the checkpointer (`checkpoint.LogUser`) asks.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from hashrange_node.raft.messages import Entry
from hashrange_node.replica.effects import Mutation
from hashrange_node.replica.group import Group, Proposal
from hashrange_node.replica.log_use import LogUse
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineBusy

if TYPE_CHECKING:
    from hashrange_node.replica.driver import Driver


class Retention:
    """The groups' use of the log of one node."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._use: LogUse[int] = LogUse()
        self._unopened: Container[int] = ()

    def recovered(self, position: int, last: dict[int, int], unopened: Container[int]) -> None:
        """The log has been replayed up to `position`; `last` are the last entries of groups that are to be opened.

        `unopened` holds those that have not been opened yet: nobody knows what of their entries is needed.
        """
        self._use = LogUse(position, last.items())
        self._unopened = unopened

    def written(self, groups: Iterable[Group], position: int) -> None:
        """The log has taken a batch of these groups and ends at `position`."""
        for group in groups:
            self._use.note(group.id, group.core.log.saved)
        self._use.grown(position)

    def keep(self, group: Group, entries: list[Entry]) -> None:
        """Keep applied entries for followers that are behind. (What is not applied the core has itself.)"""
        storage = group.storage
        if group.alone:
            storage.install(group.applied_index, group.applied_term)
            return
        storage.applied = group.applied_index
        if not self._driver.log.readable:
            known = 0 if entries[0].index <= storage.last_index() + 1 else -1
            starts: list[int] = []
        else:
            starts = [group.starts.pop(entry.index, -1) for entry in entries]
            # Those that a replay found have their place in the storage already.
            known = sum(1 for start in starts if start < 0)
            if -1 in starts[known:] or (known and entries[known - 1].index > storage.last_index()):
                known = -1
        for entry in entries:
            if entry.payload.__class__ is Proposal:
                # Kept as bytes: what was proposed holds on to the whole request and to whoever asked.
                entry.payload = entry.payload.encode()
        if known < 0:  # written while the group was alone: nobody needed to know where
            storage.install(group.applied_index, group.applied_term)
        elif known < len(entries):
            storage.append(entries[known:], starts[known:])

    def prepare(self) -> None:
        """Put into the engine what only the log has besides entries: terms and votes. Raises EngineError."""
        driver = self._driver
        groups = driver.groups.values()
        # An installation that failed is over, though its group never goes on.
        if driver.applier.stuck or any(group.installing and not group.damaged for group in groups):
            raise EngineBusy("the state of a group is being written; the next checkpoint will do")
        mutations: list[Mutation] = [
            (keyspace.group_state(group.id), group.state()) for group in groups if group.unsaved
        ]
        if mutations:
            driver.engine.write(mutations)
        for group in groups:
            group.unsaved = False

    def floor(self) -> int:
        """The log position up to which nothing is needed any more once the engine is flushed.

        What is not applied is needed, and what a follower that is behind lacks, up to `retention_bytes`.
        """
        driver = self._driver
        floor = self._use.floor(self._settled)
        if not driver.log.readable:
            return floor
        oldest = driver.log.position - driver.settings.retention_bytes
        for group in driver.groups.values():
            if group.led and not group.alone and oldest < floor:
                storage = group.storage
                behind = group.core.replicated_by_all() + 1
                if storage.first_index() <= behind <= storage.last_index():
                    floor = min(floor, max(oldest, storage.start_of(behind)))
        return floor

    def removed(self) -> None:
        """The log has removed segments: forget where their entries were."""
        for group in self._driver.groups.values():
            group.storage.compact_before(self._driver.log.first_position)

    def _settled(self, group_id: int, index: int) -> bool:
        """Whether a group needs nothing of the log up to an index: applied, replaced, or gone."""
        group = self._driver.groups.get(group_id)
        if group is None:
            return group_id not in self._unopened
        return group.applied_index >= index or group.core.log.last_index < index
