"""The safety rules of Raft, checked while a simulation runs: each breach raises `Unsafe` with the rule's name.

Figure 3 of the Raft paper, and what this system promises beyond it: an entry that is committed is durable at a
majority, a strong read sees every write that was acknowledged before it, a replica votes once in a term.
"""

from __future__ import annotations

from typing import Any

from hashrange_node.raft import AppendReply, Configuration, Entry, Message, Ready, RoleName, VoteReply
from hashrange_node.raft.quorum import has_quorum

from tests.unit.raft_support import Cluster, Host, Watcher, log_of


class Unsafe(AssertionError):
    """A rule is broken."""


def check(holds: bool, rule: str, detail: object) -> None:
    if not holds:
        raise Unsafe(f"{rule}: {detail}")


class Checker(Watcher):
    """Watches all hosts of a cluster. `look` compares states; the rest is noticed as it happens."""

    def __init__(self) -> None:
        self.cluster: Cluster | None = None
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], int] = {}
        self.committed: dict[int, tuple[int, int, Any]] = {}
        self.committed_in: dict[int, int] = {}
        self.entries: dict[tuple[int, int], tuple[int, int, Any]] = {}
        self.configurations: dict[int, list[Configuration]] = {}
        self.commits: dict[int, int] = {}
        self.acknowledged = 0
        self.elections = 0
        self.reads_checked = 0

    # ---- as it happens

    def worked(self, host: Host, work: Ready) -> None:
        core = host.core
        announced = work.leadership
        if announced is not None and announced.role is RoleName.LEADER:
            self._elected(host, announced.term)
        if core.is_leader and work.truncate_from is not None:
            raise Unsafe(f"leader append-only: {host.id} removes entries from {work.truncate_from} on")

    def _elected(self, host: Host, term: int) -> None:
        self.elections += 1
        check(
            self.leaders.setdefault(term, host.id) == host.id,
            "election safety",
            f"{self.leaders[term]} and {host.id} lead term {term}",
        )
        log = host.core.log
        for index, committed in self.committed.items():
            if self.committed_in[index] < term and index >= log.first_index():
                check(
                    log.term(index) == committed[0],
                    "leader completeness",
                    f"leader {host.id} of term {term} does not have {index} of term {committed[0]}",
                )

    def sent(self, host: Host, message: Message) -> None:
        if isinstance(message, VoteReply) and message.granted and not message.pre:
            voted = self.votes.setdefault((host.id, message.term), message.to)
            check(voted == message.to, "one vote a term", f"{host.id} votes for {voted} and {message.to}")
        if isinstance(message, AppendReply) and not message.rejected:
            last = host.storage.last_index()
            check(last >= message.index, "durable before acknowledged", (host.id, message.index, last))

    def applied(self, host: Host, entry: Entry) -> None:
        found = (entry.term, entry.kind, entry.payload)
        known = self.committed.setdefault(entry.index, found)
        check(known == found, "state machine safety", f"{host.id} applies {found}, another {known}")
        self.committed_in.setdefault(entry.index, host.core.term)
        check(host.storage.last_index() >= entry.index, "durable before applied", (host.id, entry.index))
        configurations = self.configurations.setdefault(host.id, [])
        if not configurations or configurations[-1] != host.core.configuration:
            configurations.append(host.core.configuration)
        if host.core.is_leader:
            # From here on the leader may tell a client that its write is done.
            self.acknowledged = max(self.acknowledged, entry.index)

    # ---- at any moment

    def look_at_commit(self, host: Host) -> None:
        """What a leader takes for committed is durable at a majority, now."""
        log = host.core.log
        index = log.commit
        if not host.up or not host.core.is_leader or index <= self.commits.get(host.id, 0):
            return
        self.commits[host.id] = index
        term = log.term(index)
        assert self.cluster is not None
        holders = [
            other.id
            for other in self.cluster.hosts.values()
            if other.storage.first_index() > index
            or (other.storage.last_index() >= index and other.storage.term(index) == term)
        ]
        # A change of membership may have been applied since; at most one.
        configurations = [host.core.configuration, *self.configurations.get(host.id, [])[-2:]]
        check(
            any(has_quorum(c.voters, c.outgoing, holders) for c in configurations),
            "committed at a majority",
            f"{index} is durable only at {holders}",
        )

    def look(self) -> None:
        """Log matching and commitment, over all hosts that are up."""
        assert self.cluster is not None
        for host in self.cluster.hosts.values():
            self.look_at_commit(host)
            if host.up:
                previous = 0
                for entry in log_of(host):
                    found = (previous, entry.kind, entry.payload)
                    known = self.entries.setdefault((entry.index, entry.term), found)
                    check(
                        known[1:] == found[1:] and (not previous or not known[0] or known[0] == previous),
                        "log matching",
                        f"entry {entry.index} of term {entry.term} at {host.id} is {found}, elsewhere {known}",
                    )
                    previous = entry.term

    def strong_read(self, host: Host, now: int) -> None:
        """A read from the lease at this moment, if the lease allows it, sees all that was acknowledged."""
        if host.up and host.core.lease_valid(now):
            self.reads_checked += 1
            check(
                host.applied >= self.acknowledged,
                "strong reads",
                f"{host.id} answers at {host.applied}, {self.acknowledged} is acknowledged",
            )

    def confirmed_read(self, host: Host, index: int, acknowledged_when_asked: int) -> None:
        """A read by quorum may see what was acknowledged when it was asked."""
        self.reads_checked += 1
        check(index >= acknowledged_when_asked, "reads by quorum", (host.id, index, acknowledged_when_asked))


def checked(cluster: Cluster, checker: Checker) -> Cluster:
    """Let a checker watch a cluster that was built with it."""
    checker.cluster = cluster
    return cluster
