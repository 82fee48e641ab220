"""The control plane's leader: registers nodes, hears their reports, and carries out what the planner decides.

It runs on every member of group 0 and does something only while it leads; elsewhere its messages are answered with
NotLeader. Nothing it knows besides the catalogue is kept: reports come again, requests that got lost are found to be
necessary again by the next round of the planner (`plan`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.errors import ApiError, resource_not_found, unavailable
from hashrange.wire import messages as wire
from hashrange.wire.cluster import (
    ChangeMembers,
    ClusterCommand,
    ClusterStatus,
    NodeRecord,
    NodeReport,
    Placement,
    RegisterNode,
    SplitHint,
    SplitPartition,
    TransferLeader,
    WorkDone,
)
from hashrange.wire.messages import Done
from hashrange_node.meta import placement as places
from hashrange_node.meta import reconcile
from hashrange_node.meta.changes import NewPartition
from hashrange_node.meta.commands import Commands
from hashrange_node.meta.controller import Controller
from hashrange_node.meta.observed import Observed
from hashrange_node.meta.plan import plan
from hashrange_node.meta.reconcile import Action, ReconcileSettings, View
from hashrange_node.meta.registry import UNREGISTERED, register
from hashrange_node.meta.splits import valid_at
from hashrange_node.meta.status import status

ROUND_S = 1.0
ROUND_SHARE = 20
"""The pause between rounds is at least so many times what a round takes."""

SETTLE_S = 5.0
"""Time in which a new leader only listens: whoever is there reports within it."""

BUSY_AFTER_S = 1.5
"""Time after an answer in which a partition is left alone: until its leader's next report tells of the effect."""

BUSY_MAX_S = 15.0
UNSPLITTABLE_S = 600.0

CLAIM_S = 2.0
"""A node heard so long after its id was claimed by another directory is there: no report was under way so long."""


class Control:
    """The control plane on one member. `now` gives monotonic seconds, `note` writes what is done to the log."""

    def __init__(
        self,
        controller: Controller,
        *,
        now: Callable[[], float],
        settings: ReconcileSettings | None = None,
        note: Callable[..., object] = lambda event, **details: None,
    ) -> None:
        self.settings = settings or ReconcileSettings()
        self.catalogue = controller.node.catalogue
        self.changes = self.catalogue.changes
        self.now = now
        self.note = note
        self.stopped = False
        self.observed = Observed(now())
        self.balancing = False
        """An operator has asked for balance: until nothing is left to balance."""
        self._node = controller.node
        self._transitions = controller.transitions
        self._transitions.ready = self._ready
        self._busy: dict[int, float] = {}
        self._unsplittable: dict[int, float] = {}
        self._claims: dict[tuple[int, str], float] = {}
        self._commands = Commands(self)
        self.changes.placer = self._place_new
        self.catalogue.on_control.append(self._lead)
        handlers: dict[type, Callable[[Any, Done], None]] = {
            RegisterNode: self._register,
            NodeReport: self._reported,
            WorkDone: self._transitions.work_done,
            ClusterCommand: self._commands.run,
            ClusterStatus: self._status,
            wire.WhenSettled: self._transitions.when_settled,
            wire.TableStatistics: self._statistics,
        }
        for message_type, handler in handlers.items():
            self._node.handle(message_type, self._led(handler))

    def start(self) -> None:
        """Begin the rounds."""
        if self.leading:
            self._lead(True)
        self._node.scheduler.call_later(ROUND_S, self._round)

    @property
    def leading(self) -> bool:
        """Whether the control plane is led here."""
        return self.catalogue.group.serving

    @property
    def settled(self) -> bool:
        """Whether this leader has listened long enough to conclude something from silence."""
        return self.now() - self.observed.since >= SETTLE_S

    def view(self) -> View:
        """What is known now."""
        now = self.now()
        unsplittable = frozenset(p for p, until in self._unsplittable.items() if until > now)
        catalogue = self.catalogue
        return self.observed.view(
            catalogue.placements, catalogue.nodes, catalogue.documents, unsplittable, now
        )

    def _lead(self, leading: bool) -> None:
        self.observed = Observed(self.now())
        self._busy.clear()
        self._unsplittable.clear()
        self._claims.clear()
        self.balancing = False

    def _led(self, handler: Callable[[Any, Done], None]) -> Callable[[Any, Done], None]:
        """Let a message be handled only while the control plane is led here."""

        def handle(message: Any, done: Done) -> None:
            if self.leading:
                handler(message, done)
            else:
                done(self.catalogue.group.not_leader())

        return handle

    # ---- nodes

    def _register(self, message: RegisterNode, done: Done) -> None:
        record = self.changes.newest_node(message.node)
        cluster = self.catalogue.cluster
        now = self.now()
        claimed = self._claims.setdefault((message.node, message.incarnation), now)
        outcome = register(
            message,
            record,
            cluster["cluster"] if cluster is not None else "",
            self.observed.silent_s(message.node, now),
            self.observed.heard_at(message.node) > claimed + CLAIM_S,
        )
        if isinstance(outcome, ApiError) or outcome == record:
            done(outcome)
        else:
            if record is not None and record["generation"] != outcome["generation"]:
                self.observed.forget(message.node)
            self.note("a node has registered", **outcome)
            self.changes.node(outcome, done)

    def _reported(self, message: NodeReport, done: Done) -> None:
        record = self.catalogue.nodes.get(message.node)
        if record is None or record["generation"] != message.generation:
            done(ApiError(UNREGISTERED, f"node {message.node} has to register first", status=409))
            return
        self.observed.take(message, self.now(), self.settings)
        done(self.catalogue.index)
        self._transitions.poke()

    # ---- tables

    def _ready(self, partition: int) -> bool:
        """Whether a partition has a leader, as far as is known."""
        replica = self._node.replicas.get(partition)
        if replica is not None and replica.group.serving:
            return True
        return self.observed.led(partition, self.now())

    def _place_new(self, wanted: list[NewPartition]) -> list[Placement]:
        """Place the partitions of a new table or index (`Changes.placer`)."""
        nodes, now = self.catalogue.nodes, self.now()
        load = places.loads(self.catalogue.placements.values(), nodes)
        factor = places.replication_factor(nodes.values())
        sharing = places.may_share(nodes.values(), factor)
        found: list[Placement] = []
        for partition, table, index, lo, hi in wanted:
            alive = {n for n in nodes if self.observed.silent_s(n, now) <= self.settings.alive_s}
            candidates = [places.Candidate(record, n in alive, load[n]) for n, record in nodes.items()]
            chosen = places.choose(candidates, factor, sharing=sharing)
            if sum(record["id"] in alive for record in chosen) <= factor // 2:
                raise unavailable("Too few nodes answer for a new partition; retry later")
            for record in chosen:
                load[record["id"]] += 1
            found.append(places.new_placement(partition, table, index, lo, hi, chosen))
        return found

    def _statistics(self, message: wire.TableStatistics, done: Done) -> None:
        document = self.catalogue.documents.get(message.name)
        if document is None:
            done(resource_not_found())
        else:
            done(self.observed.totals(document, self.now()))

    def _status(self, message: ClusterStatus, done: Done) -> None:
        done(status(self.catalogue, self.observed, self.settings, self.now()))

    # ---- rounds

    def _round(self) -> None:
        if self.stopped:
            return
        began = self.now()
        if self.leading and self.settled:
            try:
                self._carry_out()
            except Exception as error:
                self._node.report("a round of the control plane failed", error)
        # With very many partitions a round takes its time: it must not keep the node from its other work.
        pause_s = max(ROUND_S, (self.now() - began) * ROUND_SHARE)
        self._node.scheduler.call_later(pause_s, self._round)

    def _carry_out(self) -> None:
        now = self.now()
        self._busy = {partition: until for partition, until in self._busy.items() if until > now}
        settings = self.settings
        if self.balancing and not settings.balance:
            settings = reconcile.with_balance(settings)
        actions = plan(self.view(), settings, frozenset(self._busy))
        if not actions and not self._busy:
            self.balancing = False
        for action in actions:
            self.execute(action)

    def execute(self, action: Action) -> None:
        """Carry one action out: a proposal to group 0, or a request to a partition's leader."""
        match action:
            case reconcile.Place(after, why):
                self.note("placing replicas", partition=after["id"], replicas=after["replicas"], why=why)
                self.changes.place(after, self._proposed(after["id"]))
            case reconcile.RemoveNode(node):
                record: NodeRecord = {**self.catalogue.nodes[node], "state": places.REMOVED}
                record.pop("retiring", None)
                self.note("a node is empty and removed", node=node)
                self.changes.node(record, _ignore)
            case reconcile.Members(partition, learners, voters, remove):
                self.note(
                    "changing members", partition=partition, learners=learners, voters=voters, remove=remove
                )
                message: Any = ChangeMembers(partition, list(learners), list(voters), list(remove))
                self._request(partition, message)
            case reconcile.Transfer(partition, replica):
                self.note("moving a leader", partition=partition, replica=replica)
                self._request(partition, TransferLeader(partition, replica))
            case reconcile.BeginSplit(partition, at, why):
                self.begin_split(partition, at, why)
            case reconcile.SendSplit(partition, at, children):
                self._request(partition, SplitPartition(partition, at, list(children)))
            case reconcile.FinishSplit(partition):
                self.note("a split is applied", partition=partition)
                self.changes.finish_split(partition, self._proposed(partition))
            case reconcile.Retire(partition):
                self.note("a partition is replaced by its children", partition=partition)
                self.changes.retire(partition, self._proposed(partition))

    def begin_split(self, partition: int, at: int | None, why: str, done: Done | None = None) -> None:
        """Decide on a split; asks the leader for the place first if none is given. Answers with the placement."""
        answer: Done = done or _ignore

        def decided(result: Any) -> None:
            self._busy.pop(partition, None)
            if isinstance(result, ApiError):
                answer(result)
                return
            placement = self.catalogue.placements.get(partition)
            if placement is None or result is None or not valid_at(placement, result):
                self._unsplittable[partition] = self.now() + UNSPLITTABLE_S
                answer(unavailable(f"Partition {partition} has no place where it could be split"))
                return
            self.note("splitting", partition=partition, at=result, why=why)
            self.changes.begin_split(partition, result, self._voters(partition), answer)

        self._busy[partition] = self.now() + BUSY_MAX_S
        if at is not None:
            decided(at)
        else:
            self._node.transport.send(SplitHint(partition), decided)  # type: ignore[arg-type]

    def _voters(self, partition: int) -> list[int]:
        """The voters of a partition as its leader reported them last."""
        reports = self.observed.fresh(self.now()).get(partition, {}).values()
        leading = [report for report in reports if report.role == reconcile.LEADER]
        return max(leading, key=lambda report: report.term).voters if leading else []

    def _request(self, partition: int, message: Any) -> None:
        """Ask a leader; the partition is left alone until its effect can be seen."""
        self._busy[partition] = self.now() + BUSY_MAX_S

        def answered(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self.note("a request to a leader failed", partition=partition, reason=str(answer))
            self._busy[partition] = self.now() + BUSY_AFTER_S

        self._node.transport.send(message, answered)

    def _proposed(self, partition: int) -> Done:
        self._busy[partition] = self.now() + BUSY_MAX_S

        def done(answer: Any) -> None:
            self._busy.pop(partition, None)

        return done


def _ignore(answer: Any) -> None:
    """The next round finds out what became of it."""
