"""What the control plane does next: a pure function of what should be and what is.

`plan(view, settings)` compares placements with what nodes report and returns actions: changes of placements and node
records (proposed to group 0) and requests to leaders of partitions. It keeps no memory: every round starts from the
records, so a new control leader goes on where the last one stopped, and an action that got lost is simply found again.

A replica is replaced in steps, each visible in the placement or in the leader's report before the next:

    placement: the old replica is leaving, the new one is added          (one change of the record)
    group:     the new replica is a learner, and catches up
    group:     voters become those that stay, by joint consensus         (the leader moves first if it is leaving)
    placement: the old replica goes; its node destroys it

No partition has two changes under way, and none begins that would leave fewer live voters than a majority.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from hashrange.wire.cluster import CONTROL, GroupReport, NodeRecord, Placement, ReplicaPlace
from hashrange_node.meta import placement as places
from hashrange_node.meta.placement import DRAINING, REMOVED, Candidate

LEADER = "leader"


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    """When the control plane acts.

    grace_s: a node that is silent for so long has lost its replicas. alive_s: one that was heard within it is alive.
    behind_max: entries that a replica may lack and still count as caught up. moves_max: voluntary moves (draining,
    balance, spread) under way at once in the cluster. transfers_max: leaders moved for balance in one round.
    split_bytes: a partition larger than this is split. split_reads_per_s, split_writes_per_s: one with more than
    either for split_hot_s seconds is split by heat. splits_max: splits under way at once. balance: whether leaders
    and replicas are spread evenly without being asked.
    """

    grace_s: float = 300.0
    alive_s: float = 5.0
    behind_max: int = 1_000
    moves_max: int = 4
    transfers_max: int = 16
    split_bytes: int = 10 << 30
    split_reads_per_s: float = 3_000.0
    split_writes_per_s: float = 1_000.0
    split_hot_s: float = 60.0
    splits_max: int = 4
    balance: bool = True


def with_balance(settings: ReconcileSettings) -> ReconcileSettings:
    """The same settings, with balance on."""
    return replace(settings, balance=True)


@dataclass(slots=True)
class View:
    """What the control leader knows. Reports are those of the last seconds only, by partition and replica id.

    `silent_s` is for how long a node has not been heard, at least since the control leader began to listen. `hot_s`
    is for how long a partition has had more load than one should have. `steady` are the tables that have no change
    under way (by name): only those are split. `unsplittable` are partitions whose leaders lately found no place
    to split them.
    """

    placements: Mapping[int, Placement]
    nodes: Mapping[int, NodeRecord]
    silent_s: Mapping[int, float]
    reports: Mapping[int, Mapping[int, GroupReport]]
    hot_s: Mapping[int, float] = field(default_factory=dict)
    steady: frozenset[str] = frozenset()
    unsplittable: frozenset[int] = frozenset()
    _leaders: dict[int, GroupReport | None] = field(default_factory=dict, init=False, repr=False)
    _stable: dict[int, GroupReport | None] = field(default_factory=dict, init=False, repr=False)

    def leader(self, partition: int) -> GroupReport | None:
        """The report of the partition's leader: of the highest term when two think so."""
        try:
            return self._leaders[partition]
        except KeyError:
            pass
        best: GroupReport | None = None
        for report in self.reports.get(partition, {}).values():
            if report.role == LEADER and (best is None or report.term > best.term):
                best = report
        self._leaders[partition] = best
        return best

    def alive(self, node: int, settings: ReconcileSettings) -> bool:
        """Whether a node was heard lately."""
        return self.silent_s.get(node, settings.grace_s) <= settings.alive_s

    def replica_alive(self, replica: ReplicaPlace, settings: ReconcileSettings) -> bool:
        """Whether the node of a replica is alive, and still the one that has its data."""
        record = self.nodes.get(replica["node"])
        return (
            record is not None
            and record["generation"] == replica["generation"]
            and record["state"] != REMOVED
            and self.alive(replica["node"], settings)
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Propose a placement, as the successor of the version before it."""

    after: Placement
    why: str


@dataclass(frozen=True, slots=True)
class Members:
    """Ask a leader to change its group's members (`ChangeMembers`)."""

    partition: int
    learners: tuple[int, ...] = ()
    voters: tuple[int, ...] = ()
    remove: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """Ask a leader to let another replica lead (`TransferLeader`)."""

    partition: int
    replica: int


@dataclass(frozen=True, slots=True)
class BeginSplit:
    """Decide on a split. `at` None: ask the leader for the middle first."""

    partition: int
    at: int | None
    why: str


@dataclass(frozen=True, slots=True)
class SendSplit:
    """Ask a leader to carry a decided split out (`SplitPartition`)."""

    partition: int
    at: int
    children: tuple[int, int]


@dataclass(frozen=True, slots=True)
class FinishSplit:
    """A split was applied: propose the children in the parent's place."""

    partition: int


@dataclass(frozen=True, slots=True)
class Retire:
    """Propose to remove the placement of a parent whose children have taken over."""

    partition: int


@dataclass(frozen=True, slots=True)
class RemoveNode:
    """Propose that a decommissioned node is removed: nothing is on it any more."""

    node: int


Action = Place | Members | Transfer | BeginSplit | SendSplit | FinishSplit | Retire | RemoveNode


def stable(view: View, placement: Placement, settings: ReconcileSettings) -> GroupReport | None:
    """The leader's report, if the partition has no change under way and all its voters are there; else None."""
    partition = placement["id"]
    if partition not in view._stable:
        view._stable[partition] = _stable(view, placement, settings)
    return view._stable[partition]


def _stable(view: View, placement: Placement, settings: ReconcileSettings) -> GroupReport | None:
    leader = view.leader(placement["id"])
    if leader is None or leader.joint or leader.learners or "split" in placement or "successors" in placement:
        return None
    replicas = placement["replicas"]
    if any(replica.get("leaving") for replica in replicas):
        return None
    if {replica["id"] for replica in replicas} != set(leader.voters):
        return None
    reports = view.reports[placement["id"]]
    for replica in replicas:
        if not view.replica_alive(replica, settings) or not caught_up(leader, replica["id"], settings):
            return None
        report = reports.get(replica["id"])
        if report is not None and report.damaged:
            return None
    return leader


def caught_up(leader: GroupReport, replica: int, settings: ReconcileSettings) -> bool:
    """Whether a replica has, as far as its leader knows, nearly the whole log."""
    return replica == leader.replica or 0 <= leader.behind.get(replica, -1) <= settings.behind_max


def moving(placement: Placement) -> bool:
    """Whether a replica of the partition is on its way out."""
    return any(replica.get("leaving") for replica in placement["replicas"])


class Membership:
    """One round over the members of all partitions. The load of nodes counts what the round has decided so far."""

    def __init__(self, view: View, settings: ReconcileSettings) -> None:
        self.view = view
        self.settings = settings
        self.load = places.loads(view.placements.values(), view.nodes)
        self.moves = sum(moving(placement) for placement in view.placements.values())
        self.factor = places.replication_factor(view.nodes.values())
        self.draining = any(record["state"] == DRAINING for record in view.nodes.values())

    def step(self, placement: Placement) -> Action | None:
        """The next step of one partition, or None."""
        if "split" in placement or "successors" in placement:
            return None
        leader = stable(self.view, placement, self.settings)
        if leader is not None:
            return self._grow(placement, leader) or self._move(placement, leader)
        leader = self.view.leader(placement["id"])
        if leader is not None and not leader.joint and moving(placement):
            members = {*leader.voters, *leader.learners}
            gone = [r["id"] for r in placement["replicas"] if r.get("leaving") and r["id"] not in members]
            if gone:
                return Place(places.without_replicas(placement, gone), f"replicas {gone} have left")
        if leader is None:
            return None  # without one nothing can be changed
        return (
            self._replace_lost(placement, leader)
            or self._progress(placement, leader)
            or self._grow(placement, leader)
        )

    # ---- what should be

    def _lost(self, replica: ReplicaPlace, placement: Placement) -> str:
        """Why a replica has to be replaced, "" when it need not."""
        view = self.view
        record = view.nodes.get(replica["node"])
        if record is None or record["state"] == REMOVED:
            return f"node {replica['node']} was removed"
        if record["generation"] != replica["generation"]:
            return f"node {replica['node']} has lost its data"
        report = view.reports.get(placement["id"], {}).get(replica["id"])
        if report is not None and report.damaged:
            return f"replica {replica['id']} is damaged: {report.damaged}"
        silent_s = view.silent_s.get(replica["node"], 0.0)
        if silent_s >= self.settings.grace_s:
            return f"node {replica['node']} has been silent for {silent_s:.0f} s"
        return ""

    def _replace_lost(self, placement: Placement, leader: GroupReport) -> Action | None:
        """Mark a lost replica and add another for it: one at a time, unless the lost one is new itself."""
        under_way = moving(placement)
        for replica in placement["replicas"]:
            if replica.get("leaving") or (under_way and replica["id"] in leader.voters):
                continue
            why = self._lost(replica, placement)
            if not why:
                continue
            chosen = self._candidates(placement, 1, without=replica["id"])
            if chosen:
                return self._add(placement, chosen[0], replica["id"], why)
            if self._can_spare(placement, leader, replica["id"]):
                return Place(places.leaving_replica(placement, replica["id"]), why)
            if under_way and self._may_stay(placement, leader):
                return Place(
                    places.called_off(placement, replica["id"]), f"{why}, and there is no other node"
                )
        return None

    def _may_stay(self, placement: Placement, leader: GroupReport) -> bool:
        """Whether those that are to leave are voters yet, and nothing has happened to them."""
        leaving = [each for each in placement["replicas"] if each.get("leaving")]
        return all(each["id"] in leader.voters and not self._lost(each, placement) for each in leaving)

    def _can_spare(self, placement: Placement, leader: GroupReport, replica_id: int) -> bool:
        """Whether a damaged replica may go before there is another: its node can take a new one only then."""
        report = self.view.reports.get(placement["id"], {}).get(replica_id)
        if report is None or not report.damaged or replica_id == leader.replica:
            return False
        others = [r for r in placement["replicas"] if r["id"] != replica_id]
        return len(others) >= 2 and all(
            r["id"] in leader.voters
            and not r.get("leaving")
            and self.view.replica_alive(r, self.settings)
            and caught_up(leader, r["id"], self.settings)
            for r in others
        )

    def _grow(self, placement: Placement, leader: GroupReport) -> Action | None:
        """Add what is missing: after a damaged replica was taken out, or once the cluster has more AZs."""
        missing = self.factor - len(placement["replicas"])
        if missing <= 0 or moving(placement) or leader.joint:
            return None
        chosen = self._candidates(placement, missing)
        after = placement
        for node in chosen:
            after = places.with_replica(after, node)
            self.load[node["id"]] += 1
        if after is placement:
            return None
        after["conf"] = placement["conf"] + 1
        return Place(after, f"{len(placement['replicas'])} of {self.factor} replicas")

    def _move(self, placement: Placement, leader: GroupReport) -> Action | None:
        """Move a replica off a node that is being drained, or out of an AZ that has two."""
        if self.moves >= self.settings.moves_max:
            return None
        nodes = self.view.nodes
        replicas = placement["replicas"]
        if not self.draining and len({nodes[r["node"]]["az"] for r in replicas}) == len(replicas):
            return None
        for replica in replicas:
            if nodes[replica["node"]]["state"] == DRAINING:
                chosen = self._candidates(placement, 1, without=replica["id"])
                if chosen:
                    return self._add(
                        placement, chosen[0], replica["id"], f"node {replica['node']} is drained"
                    )
        seen: dict[str, ReplicaPlace] = {}
        for replica in placement["replicas"]:
            first = seen.setdefault(nodes[replica["node"]]["az"], replica)
            if first is replica:
                continue
            mover = first if replica["id"] == leader.replica else replica
            chosen = self._candidates(placement, 1, without=mover["id"])
            azs = {nodes[r["node"]]["az"] for r in placement["replicas"]}
            if chosen and chosen[0]["az"] not in azs:
                return self._add(placement, chosen[0], mover["id"], "two replicas are in one AZ")
        return None

    def _add(self, placement: Placement, node: NodeRecord, leaving: int, why: str) -> Place:
        self.load[node["id"]] += 1
        self.moves += 1
        return Place(places.with_replica(placement, node, leaving), why)

    def _candidates(self, placement: Placement, count: int, without: int | None = None) -> list[NodeRecord]:
        """Live nodes for more replicas, if `without` goes. A node can hold one replica of a partition, not two."""
        view = self.view
        hosts: set[int] = set()
        azs: list[str] = []
        staying = 0
        for replica in placement["replicas"]:
            record = view.nodes.get(replica["node"])
            if record is not None and record["generation"] == replica["generation"]:
                hosts.add(replica["node"])
            if not replica.get("leaving") and replica["id"] != without:
                staying += 1
                if record is not None:
                    azs.append(record["az"])
        candidates = [
            Candidate(record, view.alive(node, self.settings), self.load[node])
            for node, record in view.nodes.items()
            if node not in hosts
        ]
        sharing = places.may_share(view.nodes.values(), staying + count)
        return places.choose(candidates, count, sharing=sharing, taken_azs=azs, must_live=True)

    # ---- how to get there

    def _progress(self, placement: Placement, leader: GroupReport) -> Action | None:
        """The next request to the leader on the way from its group's members to those that stay."""
        if leader.joint:
            return None  # it ends by itself
        partition = placement["id"]
        staying = {r["id"]: r for r in placement["replicas"] if not r.get("leaving")}
        voters, learners = set(leader.voters), set(leader.learners)
        stray = learners - staying.keys()
        if stray:
            return Members(partition, remove=tuple(sorted(stray)))
        missing = [r for r in staying if r not in voters and r not in learners]
        if missing:
            return Members(partition, learners=tuple(sorted(missing)))
        if voters == staying.keys() or not staying:
            return None
        live = {r for r, place in staying.items() if self.view.replica_alive(place, self.settings)}
        newcomers = staying.keys() - voters
        if newcomers - live or not all(caught_up(leader, r, self.settings) for r in newcomers):
            return None
        if len(live) <= len(staying) // 2:
            return None
        if leader.replica not in staying:
            heirs = [r for r in sorted(live & voters) if caught_up(leader, r, self.settings)]
            if heirs:
                return Transfer(partition, heirs[0])
        return Members(partition, voters=tuple(sorted(staying)))


def emptied(view: View) -> list[RemoveNode]:
    """Nodes taken out of service that have no replica left."""
    hosting = {r["node"] for placement in view.placements.values() for r in placement["replicas"]}
    return [
        RemoveNode(node)
        for node, record in view.nodes.items()
        if record["state"] == DRAINING and record.get("retiring") and node not in hosting
    ]


def group_order(placements: Mapping[int, Placement]) -> Iterable[Placement]:
    """The control plane's own group first, then by id."""
    return sorted(placements.values(), key=lambda p: (p["id"] != CONTROL, p["id"]))
