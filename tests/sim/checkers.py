"""The rules that no fault may break, checked while a cluster runs: a breach raises `Unsafe` with the rule's name.

- election safety: one leader in a group and term;
- one vote: a replica promises its vote to one candidate in a term, over all its lives;
- leader completeness: a new leader has every entry that was ever applied anywhere;
- log matching: entries of the same group, index and term are the same, whoever appends them;
- state machine safety: nobody applies another entry at an index;
- strong reads: a leader whose lease allows reads has applied everything that was ever acknowledged;
- equal states: replicas that have applied the same index hold the same data and the same counts.

What clients saw is checked at the end of a run (`tests.cluster.histories`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from hashrange_node.log.format import ENTRY, HARD_STATE, TRUNCATE, Entry
from hashrange_node.meta.records import OWN
from hashrange_node.node import Node
from hashrange_node.raft import VoteReply, VoteRequest
from hashrange_node.replica.group import Group
from hashrange_node.storage import keyspace

from hashrange.wire.cluster import CONTROL, RaftBatch

NEWEST = 10


class Unsafe(AssertionError):
    """A rule is broken."""


def check(holds: bool, rule: str, detail: object) -> None:
    """Raise `Unsafe` unless it holds."""
    if not holds:
        raise Unsafe(f"{rule}: {detail}")


class Checker:
    """Watches all nodes of a cluster over all their lives."""

    def __init__(self) -> None:
        self.leaders: dict[tuple[int, int], int] = {}
        self.committed: dict[int, dict[int, tuple[int, int]]] = {}
        """Group, index -> term of the entry that was applied, and the term of the first replica that applied it."""
        self.entries: dict[tuple[int, int, int], tuple[int, int]] = {}
        self.states: dict[tuple[int, int], tuple[int, int]] = {}
        self.payloads: dict[tuple[int, int, int], bytes] = {}
        """Group, index, term -> what the entry does, of entries that do something."""
        self.votes: dict[tuple[int, int, int], int] = {}
        self.acknowledged: dict[int, int] = {}
        self.elections = 0

    def sent(self, batch: RaftBatch) -> None:
        """A node sends Raft messages."""
        for group, message in batch.messages:
            if isinstance(message, VoteReply) and message.granted and not message.pre:
                candidate = message.to
            elif isinstance(message, VoteRequest) and not message.pre:
                candidate = message.sender
            else:
                continue
            known = self.votes.setdefault((group, message.sender, message.term), candidate)
            check(
                known == candidate,
                "one vote",
                f"replica {message.sender} of group {group} votes for {known} and {candidate} in term {message.term}",
            )

    def appended(self, node: int, entries: Sequence[Entry]) -> None:
        """A node has appended records to its log."""
        for group, index, term, payload, kind in entries:
            if kind in (HARD_STATE, TRUNCATE):
                continue
            found = (kind, hash(payload))
            if kind == ENTRY:
                self.payloads[group, index, term] = bytes(payload)
            known = self.entries.setdefault((group, index, term), found)
            check(
                known == found,
                "log matching",
                f"entry {index} of term {term} of group {group} differs at node {node}",
            )

    def look(self, number: int, node: Node, seen: dict[tuple[int, int], int]) -> None:
        """After an event at a node. `seen` is its own: (group, replica) -> applied index at the last look."""
        for group in node.driver.groups.values():
            core = group.core
            if core.is_leader:
                self._leads(number, group)
            applied = core.log.applied
            before = seen.get((group.id, group.replica_id), -1)
            if applied != before and not group.damaged:
                seen[group.id, group.replica_id] = applied
                self._applied(number, node, group, before, applied)
            if group.serving:
                acknowledged = self.acknowledged.get(group.id, 0)
                if applied > acknowledged:
                    self.acknowledged[group.id] = applied
                elif applied < acknowledged and node.strong.leased(group):
                    raise Unsafe(
                        f"strong reads: node {number} may answer reads of group {group.id} at entry {applied}, "
                        f"{acknowledged} is acknowledged"
                    )

    def _leads(self, number: int, group: Group) -> None:
        core = group.core
        key = (group.id, core.term)
        known = self.leaders.get(key)
        if known is None:
            self.leaders[key] = group.replica_id
            self.elections += 1
            log = core.log
            first, last = log.first_index(), log.last_index
            for index, (term, committed_in) in self.committed.get(group.id, {}).items():
                # A candidate may learn late that it won, when a leader of a later term has committed more.
                if index >= first and committed_in < core.term:
                    check(
                        index <= last and log.term(index) == term,
                        "leader completeness",
                        f"node {number} leads term {core.term} of group {group.id} without entry {index}/{term}",
                    )
        else:
            check(
                known == group.replica_id,
                "election safety",
                f"replicas {known} and {group.replica_id} of group {group.id} lead term {core.term}",
            )

    def _applied(self, number: int, node: Node, group: Group, before: int, applied: int) -> None:
        log = group.core.log
        committed = self.committed.setdefault(group.id, {})
        if before >= 0:
            check(
                applied > before,
                "applied index grows",
                f"group {group.id} at node {number}: {before}, {applied}",
            )
            for index in range(max(before + 1, log.first_index()), applied + 1):
                term = log.term(index)
                known, _ = committed.setdefault(index, (term, group.core.term))
                check(
                    known == term,
                    "state machine safety",
                    f"node {number} applies {index}/{term} in group {group.id}, another had {index}/{known}",
                )
        # What was split belongs to the children now; a replica without entries may hold the copy of a catalogue.
        if group.split is None and applied:
            found = (digest(node, group), number)
            state = self.states.setdefault((group.id, applied), found)
            check(
                state[0] == found[0],
                "equal states",
                f"nodes {number} and {state[1]} differ in group {group.id} after entry {applied}",
            )


def digest(node: Node, group: Group, whole: bool = False) -> int:
    """A number for everything that a group's state machine holds, the same on all replicas.

    Of the records of streams, which only become more, the newest are looked at; all of them if `whole`.
    """
    place = group.place
    contents: list[Any] = [sorted((space, *pair) for space, pair in group.counts.items() if any(pair))]
    if group.id == CONTROL:
        catalogue = node.engine.scan(keyspace.CATALOGUE_PREFIX, keyspace.CATALOGUE_PREFIX + b"\xff")
        contents += [entry for entry in catalogue if entry[0] not in OWN]
    for space in (each for each in keyspace.HASHED_SPACES if each != keyspace.STREAM):
        contents += node.engine.scan(*keyspace.hashes_of(place.store, space, place.lo, place.hi))
    records = node.engine.scan(*keyspace.hashes_of(place.store, keyspace.STREAM, place.lo, place.hi), True)
    contents += records if whole else islice(records, NEWEST)
    contents.append((group.max_delete, group.deletes))
    queue = keyspace.queue_prefix(place.id)
    contents += node.engine.scan(queue, queue + b"\xff")
    return hash(tuple(map(tuple, contents)))
