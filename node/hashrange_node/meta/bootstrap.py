"""The first start of a new cluster: how its first nodes agree that there is none yet.

Each of the configured first members asks all the others. Only when every one of them answers that it is empty does
the one with the lowest id make up a cluster id, and a record of it that names all members and their data directories.
That record is the first state of group 0, the same on all its members; it is made durable before anything else
happens, and handed to the others. A member that misses that takes it over when it asks again: it is safe for exactly
the data directories that the record names, because none of them can have taken part before.

A member with another directory than the record names has lost what it had: it joins like a node that is new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError, unavailable
from hashrange.wire.cluster import CONTROL, Bootstrap, ClusterRecord, NodeRecord, Placement
from hashrange.wire.messages import Done
from hashrange_node.meta import placement as places
from hashrange_node.meta import records
from hashrange_node.meta.placement import Candidate
from hashrange_node.raft.confchange import Configuration
from hashrange_node.storage import keyspace

if TYPE_CHECKING:
    from hashrange_node.node import Node

ASK_EVERY_S = 1.0
ASK_TIMEOUT_S = 1.0


def first_control(record: ClusterRecord) -> Placement:
    """Where group 0 of a new cluster is: one member an AZ, or one alone when there are too few; from the record."""
    members = record["members"]
    factor = places.replication_factor(members)
    candidates = [Candidate(member, True, 0) for member in members]
    chosen = places.choose(candidates, factor, sharing=places.may_share(members, factor))
    return places.control_placement(chosen)


def first_entries(record: ClusterRecord) -> list[tuple[bytes, bytes]]:
    """The first state of group 0, the same on every member."""
    entries = [
        (records.CLUSTER, records.dump(record)),
        (records.placement_key(CONTROL), records.dump(first_control(record))),
    ]
    entries += [(records.node_key(member["id"]), records.dump(member)) for member in record["members"]]
    return entries


def install_control(node: Node, replica_id: int, voters: Sequence[int]) -> tuple[bytes, bytes]:
    """Make the node's replica of group 0 what it is to be, before it is opened; returns its state to be written."""
    group = node.groups.control
    group.replica_id = replica_id
    group.configuration = Configuration.of(voters)
    return keyspace.group_state(CONTROL), group.state()


class ClusterStart:
    """Starts a cluster from one of its first members, or finds out that there is one.

    `own()` is this node's record as it would be in a new cluster; `members` are the ids of the first members.
    `new_id()` gives a cluster id, `wall_s()` the time of day. `request(node, message, done, timeout_s)` asks a node.
    `decided()` is called once, when this node has begun or must join a cluster that is there.
    """

    def __init__(
        self,
        node: Node,
        own: Callable[[], NodeRecord],
        members: Sequence[int],
        *,
        request: Callable[[int, Any, Done, float], None],
        new_id: Callable[[], str],
        wall_s: Callable[[], float],
        note: Callable[..., object],
        decided: Callable[[], None],
    ) -> None:
        self._node = node
        self._decided = decided
        self._own = own
        self._members = sorted(members)
        self._request = request
        self._new_id = new_id
        self._wall_s = wall_s
        self._note = note
        self._round = 0
        self._answers: dict[int, NodeRecord] = {}
        self.stopped = False
        self.waiting_for: list[int] = []
        """The members that have not answered in the last round."""

    @property
    def _record(self) -> ClusterRecord | None:
        return self._node.catalogue.cluster

    @property
    def undecided(self) -> bool:
        """Whether this node may still become a first member: it must not join like a new one until then."""
        return self._record is None and not self.stopped and self._own()["id"] in self._members

    def start(self) -> None:
        """Ask until this node belongs to a cluster, or is found to come too late; other nodes do not ask."""
        if self.undecided:
            self._ask()
        else:
            self._decided()

    def handle(self, message: Bootstrap, done: Done) -> None:
        """Another member asks, or hands the record over."""
        if message.commit and message.record is not None and self._record is None:
            if not self._adopt_if_named(message.record):
                done(
                    unavailable(f"node {self._own()['id']} has another data directory than the record names")
                )
                return
        record = self._record
        done(
            {
                "cluster": record["cluster"] if record is not None else "",
                "empty": record is None,
                "node": self._own(),
                "record": record,
            }
        )

    def _ask(self) -> None:
        if self.stopped or self._record is not None:
            return
        self._round += 1
        number = self._round
        own = self._own()
        others = [member for member in self._members if member != own["id"]]
        self.waiting_for = [member for member in others if member not in self._answers]
        answers = self._answers = {own["id"]: own}
        for member in others:
            self._request(
                member,
                Bootstrap("", self._members, False),
                partial(self._heard, number, member, answers),
                ASK_TIMEOUT_S,
            )
        if not others:
            self._begin(answers)
        self._node.scheduler.call_later(ASK_EVERY_S if others else 0.0, self._again)

    def _again(self) -> None:
        if self._record is None and not self.stopped:
            self._ask()

    def _heard(self, number: int, member: int, answers: dict[int, NodeRecord], answer: Any) -> None:
        if isinstance(answer, ApiError) or self._record is not None or self.stopped:
            return
        record = answer.get("record")
        if record is not None:
            if not self._adopt_if_named(record):
                # There is a cluster, and what this node had in it is lost: it registers as a new one.
                self.stopped = True
                self._note("joining the cluster that is there", cluster=record["cluster"])
                self._decided()
            return
        if not answer["empty"] or number != self._round or answer["node"]["id"] != member:
            return
        answers[member] = answer["node"]
        if len(answers) == len(self._members) and self._own()["id"] == self._members[0]:
            self._begin(answers)

    def _begin(self, answers: dict[int, NodeRecord]) -> None:
        """All members are there and empty, and this is the first of them: there is a cluster from now on."""
        record: ClusterRecord = {
            "cluster": self._new_id(),
            "created": self._wall_s(),
            "members": [answers[member] for member in self._members],
        }
        self._adopt(record)
        message = Bootstrap(record["cluster"], self._members, True, record)
        for member in self._members[1:]:
            self._request(member, message, _ignore, ASK_TIMEOUT_S)

    def _adopt_if_named(self, record: ClusterRecord) -> bool:
        """Take a record over if it names this data directory; it has never been in a cluster, then."""
        own = self._own()
        if not any(
            member["id"] == own["id"] and member["incarnation"] == own["incarnation"]
            for member in record["members"]
        ):
            return False
        self._adopt(record)
        return True

    def _adopt(self, record: ClusterRecord) -> None:
        """Begin with the record: durable first, then in service."""
        node = self._node
        control = first_control(record)
        mine = next((r for r in control["replicas"] if r["node"] == node.identity.id), None)
        entries: records.Entries = [*first_entries(record)]
        if mine is not None:
            entries.append(install_control(node, mine["id"], control["initial"]))
        else:
            entries.append((records.COPIED, str(records.FIRST_INDEX).encode()))
        node.engine.write(entries)
        node.engine.flush()
        self._note("the cluster begins", cluster=record["cluster"], members=self._members)
        if mine is not None:
            node.groups.open_control({r["id"]: r["node"] for r in control["replicas"]}, mine["id"])
        node.catalogue.begin([*first_entries(record)])
        self._decided()


def _ignore(answer: Any) -> None:
    """Whoever missed it asks again."""
