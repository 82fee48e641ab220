"""A model of a cluster for tests of the planner: it carries actions out in the simplest way that Raft would allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hashrange_node.meta import placement as places
from hashrange_node.meta.plan import plan
from hashrange_node.meta.reconcile import (
    BeginSplit,
    FinishSplit,
    Members,
    Place,
    ReconcileSettings,
    RemoveNode,
    Retire,
    SendSplit,
    Transfer,
    View,
)

from hashrange.model.table_document import HASH_MAX
from hashrange.wire.cluster import GroupReport, NodeRecord, Placement

SETTINGS = ReconcileSettings(grace_s=30.0, alive_s=5.0)


def node(id_: int, az: str, state: str = "up", generation: int = 1) -> NodeRecord:
    return {
        "id": id_,
        "az": az,
        "address": f"127.0.0.1:{7000 + id_}",
        "admin": f"127.0.0.1:{8000 + id_}",
        "incarnation": f"{id_:04x}{generation:04x}",
        "generation": generation,
        "state": state,
    }


@dataclass
class ModelGroup:
    """Raft's part of one partition."""

    voters: set[int]
    learners: set[int] = field(default_factory=set)
    outgoing: set[int] = field(default_factory=set)
    leader: int | None = None
    behind: dict[int, int] = field(default_factory=dict)
    split: tuple[int, tuple[int, int]] | None = None


class ModelCluster:
    """Nodes, placements and groups. Time passes by `round`: reports, a plan, its execution, Raft's steps."""

    def __init__(self, azs: list[str], settings: ReconcileSettings = SETTINGS) -> None:
        self.settings = settings
        self.nodes: dict[int, NodeRecord] = {n: node(n, az) for n, az in enumerate(azs, start=1)}
        self.down: dict[int, float] = {}
        self.placements: dict[int, Placement] = {}
        self.groups: dict[int, ModelGroup] = {}
        self.damaged: dict[tuple[int, int], str] = {}
        self.sizes: dict[int, int] = {}
        self.hot: dict[int, float] = {}
        self.next_id = 1
        self.now = 0.0
        self.history: list[Any] = []

    def create(self, count: int = 1) -> None:
        for _ in range(count):
            load = places.loads(self.placements.values(), self.nodes)
            candidates = [
                places.Candidate(record, id_ not in self.down, load[id_])
                for id_, record in self.nodes.items()
            ]
            factor = places.replication_factor(self.nodes.values())
            sharing = places.may_share(self.nodes.values(), factor)
            chosen = places.choose(candidates, factor, sharing=sharing)
            placement = places.new_placement(self.next_id, "T", None, 0, HASH_MAX, chosen)
            self.placements[self.next_id] = placement
            self.groups[self.next_id] = ModelGroup(set(placement["initial"]))
            self.next_id += 1

    # ---- what happens to it

    def kill(self, *ids: int) -> None:
        for id_ in ids:
            self.down.setdefault(id_, self.now)

    def revive(self, id_: int) -> None:
        self.down.pop(id_, None)

    def wipe(self, id_: int) -> None:
        """The node comes back with an empty directory."""
        self.down.pop(id_, None)
        record = self.nodes[id_]
        self.nodes[id_] = node(id_, record["az"], record["state"], record["generation"] + 1)

    def add(self, az: str) -> int:
        id_ = max(self.nodes) + 1
        self.nodes[id_] = node(id_, az)
        return id_

    def state(self, id_: int, state: str, retiring: bool = False) -> None:
        self.nodes[id_] = {**self.nodes[id_], "state": state}
        if retiring:
            self.nodes[id_]["retiring"] = True

    # ---- what is true

    def lives(self, partition: int, replica: int) -> bool:
        for place in self.placements[partition]["replicas"]:
            if place["id"] == replica:
                record = self.nodes.get(place["node"])
                return (
                    record is not None
                    and record["generation"] == place["generation"]
                    and place["node"] not in self.down
                    and (partition, replica) not in self.damaged
                )
        return False

    def quorum(self, partition: int, voters: set[int]) -> bool:
        return sum(self.lives(partition, replica) for replica in voters) > len(voters) // 2

    def led(self, partition: int) -> bool:
        group = self.groups[partition]
        return self.quorum(partition, group.voters) and (
            not group.outgoing or self.quorum(partition, group.outgoing)
        )

    def view(self) -> View:
        reports: dict[int, dict[int, GroupReport]] = {}
        for partition, group in self.groups.items():
            for place in self.placements[partition]["replicas"]:
                replica = place["id"]
                record = self.nodes.get(place["node"])
                if (
                    record is None
                    or place["node"] in self.down
                    or record["generation"] != place["generation"]
                ):
                    continue
                report = GroupReport(partition, replica, "follower", 1, 10)
                report.damaged = self.damaged.get((partition, replica), "")
                report.split_applied = group.split is not None
                if group.leader == replica:
                    report.role = "leader"
                    report.voters, report.learners = sorted(group.voters), sorted(group.learners)
                    report.joint = bool(group.outgoing)
                    members = group.voters | group.learners | group.outgoing
                    report.behind = {m: group.behind.get(m, 0) for m in members if m != replica}
                    report.size_bytes = self.sizes.get(partition, 0)
                reports.setdefault(partition, {})[replica] = report
        silent = {id_: self.now - self.down[id_] if id_ in self.down else 0.5 for id_ in self.nodes}
        return View(self.placements, self.nodes, silent, reports, self.hot, frozenset({"T"}))

    # ---- time

    def elect(self) -> None:
        for partition, group in self.groups.items():
            if not self.led(partition):
                group.leader = None
            elif group.leader is None or not (
                group.leader in group.voters and self.lives(partition, group.leader)
            ):
                alive = [v for v in sorted(group.voters) if self.lives(partition, v)]
                caught = [v for v in alive if group.behind.get(v, 0) == 0]
                group.leader = (caught or alive)[0]

    def round(self, seconds: float = 1.0, busy: frozenset[int] = frozenset()) -> list[Any]:
        """One round of the control plane; returns its actions."""
        self.now += seconds
        self.elect()
        actions = plan(self.view(), self.settings, busy)
        touched = [getattr(a, "partition", None) or getattr(a, "after", {"id": None})["id"] for a in actions]
        seen = [p for p in touched if p is not None]
        assert len(seen) == len(set(seen)), "two actions for one partition"
        for action in actions:
            self.execute(action)
            self.history.append(action)
        for partition, group in self.groups.items():
            if self.led(partition):
                group.outgoing = set()
                for member in group.voters | group.learners:
                    if self.lives(partition, member):
                        group.behind[member] = 0
        return actions

    def rest(self, seconds: float) -> None:
        """Let time pass, a second a round."""
        for _ in range(round(seconds)):
            self.round(1.0)

    def settle(self, rounds: int = 200, seconds: float = 1.0) -> int:
        """Rounds until nothing is left to do."""
        for number in range(rounds):
            if not self.round(seconds):
                return number
        raise AssertionError(f"still busy after {rounds} rounds: {self.history[-5:]}")

    def execute(self, action: Any) -> None:
        if isinstance(action, Place):
            assert action.after["conf"] == self.placements[action.after["id"]]["conf"] + 1
            self.placements[action.after["id"]] = action.after
        elif isinstance(action, Members):
            self.change(action)
        elif isinstance(action, Transfer):
            group = self.groups[action.partition]
            assert action.replica in group.voters
            if self.lives(action.partition, action.replica):  # else nobody knew yet that it died
                group.leader = action.replica
        elif isinstance(action, BeginSplit):
            placement = self.placements[action.partition]
            at = action.at if action.at is not None else (placement["lo"] + placement["hi"] + 1) // 2
            children = [self.next_id, self.next_id + 1]
            self.next_id += 2
            self.placements[action.partition] = {
                **placement,
                "split": {"at": at, "children": children},
                "conf": placement["conf"] + 1,
            }
        elif isinstance(action, SendSplit):
            self.groups[action.partition].split = (action.at, action.children)
        elif isinstance(action, FinishSplit):
            self.finish(action.partition)
        elif isinstance(action, Retire):
            del self.placements[action.partition], self.groups[action.partition]
        elif isinstance(action, RemoveNode):
            self.state(action.node, "removed")

    def finish(self, partition: int) -> None:
        parent = self.placements[partition]
        intent = parent["split"]
        for child in places.child_placements(parent, intent["at"], intent["children"]):
            self.placements[child["id"]] = child
            self.groups[child["id"]] = ModelGroup(set(self.groups[partition].voters))
        after = {**parent, "successors": intent["children"], "conf": parent["conf"] + 1}
        del after["split"]  # type: ignore[misc]
        self.placements[partition] = after  # type: ignore[assignment]

    def change(self, action: Members) -> None:
        group = self.groups[action.partition]
        assert not group.outgoing, "a change in a joint configuration"
        known = {r["id"] for r in self.placements[action.partition]["replicas"]}
        if action.learners:
            assert not set(action.learners) & group.voters and set(action.learners) <= known
            group.learners |= set(action.learners)
            group.behind.update(dict.fromkeys(action.learners, 1 << 20))
        elif action.remove:
            assert not set(action.remove) & group.voters
            group.learners -= set(action.remove)
        else:
            after = set(action.voters)
            assert after <= group.voters | group.learners, "a voter that was no learner"
            assert self.quorum(action.partition, group.voters), "a change without a quorum"
            assert self.quorum(action.partition, after), "a change to members without a quorum"
            for replica in after - group.voters:
                assert group.behind[replica] <= self.settings.behind_max, "a voter that has not caught up"
            group.outgoing, group.voters = set(group.voters), after
            group.learners -= after

    # ---- judgements

    def azs_of(self, partition: int) -> list[str]:
        return [self.nodes[r["node"]]["az"] for r in self.placements[partition]["replicas"]]

    def leaders(self) -> dict[int, int]:
        counts = dict.fromkeys(self.nodes, 0)
        for partition, group in self.groups.items():
            for place in self.placements[partition]["replicas"]:
                if place["id"] == group.leader:
                    counts[place["node"]] += 1
        return counts

    def check(self) -> None:
        """What must hold when everything is settled."""
        for partition, group in self.groups.items():
            placement = self.placements[partition]
            ids = {r["id"] for r in placement["replicas"]}
            assert ids == group.voters, (placement, group)
            assert not any(r.get("leaving") for r in placement["replicas"])
            hosts = [r["node"] for r in placement["replicas"]]
            assert len(hosts) == len(set(hosts))
            azs = self.azs_of(partition)
            if len({n["az"] for n in self.nodes.values() if n["state"] == "up"}) >= len(azs):
                assert len(azs) == len(set(azs)), placement
