"""A node presents itself to the control plane, and tells it about once a second how its replicas are.

    Reporter.start  ->  RegisterNode, until it is accepted  ->  NodeReport every second
                                 ^-----------------------------  refused: the control plane knows us no more

A node whose id is used by another data directory that is alive is told so, and must not go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError
from hashrange.wire.cluster import GroupReport, NodeRecord, NodeReport, RegisterNode
from hashrange_node.meta.registry import REFUSED, UNREGISTERED
from hashrange_node.raft.leader import Leader
from hashrange_node.raft.progress import SNAPSHOT
from hashrange_node.replica.group import Group

if TYPE_CHECKING:
    from hashrange_node.node import Node

REPORT_S = 1.0
BUSY_PER_S = 50.0


def group_report(group: Group, interval_s: float, last: tuple[int, int] = (0, 0)) -> GroupReport:
    """What is to tell of one group. `last` are the reads and writes counted `interval_s` seconds ago."""
    core = group.core
    configuration = core.configuration
    if group.serving:
        role = "leader"
    elif group.replica_id in configuration.learners:
        role = "learner"
    else:
        role = "candidate" if core.is_leader else core.leadership().role.value
    report = GroupReport(group.id, group.replica_id, role, core.term, group.applied_index)
    report.damaged = group.damaged
    # Not before the children are durable here: then the parent may go, and with it the log that makes them.
    report.split_applied = group.split is not None and group.split_durable
    report.counts = {space: group.count(space) for space in group.counts}
    report.size_bytes = sum(size for _, size in report.counts.values())
    if interval_s > 0:
        report.reads_per_s = max(0, group.reads_served - last[0]) / interval_s
        report.writes_per_s = max(0, group.writes_taken - last[1]) / interval_s
    leader = core.role
    if group.serving and isinstance(leader, Leader):
        report.voters = sorted(configuration.voters)
        report.learners = sorted(configuration.learners | configuration.learners_next)
        report.joint = configuration.joint
        newest = core.log.last_index
        for member in leader.tracker.followers:
            lacks = newest - member.match
            unknown = member.state is SNAPSHOT or (member.match == 0 and newest > 0)
            report.behind[member.id] = -1 if unknown else lacks
    return report


class Reporter:
    """Registers one node and reports for it.

    `presence` is the RegisterNode to send; `usage()` gives (free bytes of the disk, CPU seconds of the process);
    `registered(record)` is called with the answer; `refused(reason)` when this node must not take part; `behind()`
    when the control plane has a later catalogue than this node and nothing of it arrives.

    Where the load of a busy partition is, its sampled requests tell.
    """

    def __init__(
        self,
        node: Node,
        presence: Callable[[], RegisterNode],
        *,
        now: Callable[[], float],
        usage: Callable[[], tuple[int, float]],
        registered: Callable[[NodeRecord], None],
        refused: Callable[[str], None],
        behind: Callable[[], None] = lambda: None,
    ) -> None:
        self._node = node
        self._presence = presence
        self._now = now
        self._usage = usage
        self._registered = registered
        self._refused = refused
        self._behind = behind
        self._index_behind = -1
        self._counted: dict[int, tuple[int, int]] = {}
        self._counted_at: float | None = None
        self._waiting = False
        self.accepted = False
        self.stopped = False

    def start(self) -> None:
        """Register, and report from then on."""
        self._beat()

    def _beat(self) -> None:
        if self.stopped:
            return
        if not self._waiting:
            self._waiting = True
            message: Any = self.report() if self.accepted else self._presence()
            answered = self._reported if self.accepted else self._presented
            self._node.transport.send(message, answered)
        self._node.scheduler.call_later(REPORT_S, self._beat)

    def _presented(self, answer: Any) -> None:
        self._waiting = False
        if isinstance(answer, ApiError):
            if answer.type_name == REFUSED:
                self.stopped = True
                self._refused(answer.message or "")
            return
        self.accepted = True
        self._registered(answer)

    def _reported(self, answer: Any) -> None:
        self._waiting = False
        if isinstance(answer, ApiError):
            if answer.type_name == UNREGISTERED:
                self.accepted = False
            return
        index = self._node.catalogue.index
        if answer > index == self._index_behind:
            # Nothing has come since the report before: whoever is followed is behind as well.
            self._behind()
        self._index_behind = index if answer > index else -1

    def report(self) -> NodeReport:
        """The news of this moment; rates are since the report before."""
        node = self._node
        now = self._now()
        interval_s = now - self._counted_at if self._counted_at is not None else 0.0
        counted: dict[int, tuple[int, int]] = {}
        groups: list[GroupReport] = []
        for group in node.driver.groups.values():
            if group.core is None or group.dropped:
                continue
            report = group_report(group, interval_s, self._counted.get(group.id, (0, 0)))
            counted[group.id] = (group.reads_served, group.writes_taken)
            shipper = node.shippers.get(group.id)
            report.queued = shipper.backlog if shipper is not None else 0
            if report.role == "leader" and report.reads_per_s + report.writes_per_s >= BUSY_PER_S:
                report.heat_at = group.heat.sample.halving()
            groups.append(report)
        self._counted, self._counted_at = counted, now
        free, cpu = self._usage()
        return NodeReport(node.identity.id, node.identity.generation, free, cpu, groups)
