"""Scrubbing the partitions of a node: proposes slices where this node leads, computes checksums on every replica.

The node calls `applied` for every entry with a slice, at the moment when the engine has exactly the entries up to it:
a view is taken then, and read piece by piece afterwards. One slice at a time is under way on a node, so scrubbing
takes a small and steady share of it. What the leader misses (a replica that is down, an entry that is lost with its
leader) is left out: the next pass comes.

A replica that the leader finds damaged is told so with `ReplicaDamaged`, which the node answers as it does
`damaged`: the replica takes part no longer, and its reports tell the control plane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, count
from typing import Any, Protocol

from hashrange.errors import ApiError
from hashrange.wire.cluster import ReplicaDamaged, ScrubReport
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.place import Place
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.scrub import END, Check, Finding, Walk, checksum, within
from hashrange_node.replica.slices import Scheduler, take
from hashrange_node.replica.snapshot_send import Peers
from hashrange_node.storage.engine import Engine, EngineError

SLICE_PAUSE_S = 0.25
PIECE_PAUSE_S = 0.005
CHECK_TIMEOUT_S = 30.0


class ScrubbedGroup(Protocol):
    """What is needed of a group."""

    id: int
    replica_id: int
    place: Place
    nodes: dict[int, int]
    core: Any
    serving: bool
    dropped: bool
    damaged: str
    split: Any

    def propose(self, effects: Effects, done: Callable[[Any], None] | None) -> Any: ...


class Scrubber:
    """Scrubs the groups of one node.

    `groups` lists them. Each group that is led here is walked through once, then again `interval_s` seconds after the
    last slice. `damaged(group, reason)` is told when a replica of this node turns out to be damaged.
    """

    def __init__(
        self,
        engine: Engine,
        scheduler: Scheduler,
        peers: Peers,
        *,
        groups: Callable[[], Iterable[ScrubbedGroup]],
        damaged: Callable[[Any, str], None],
        report: Callable[[str, BaseException], None],
        interval_s: float,
        slice_pause_s: float = SLICE_PAUSE_S,
    ) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._peers = peers
        self._groups = groups
        self._damaged = damaged
        self._report = report
        self._interval_s = interval_s
        self._slice_pause_s = slice_pause_s
        self._rounds = count(1)
        self._left: list[ScrubbedGroup] = []
        self._walk: Walk | None = None
        self._check: Check | None = None
        self._checked: ScrubbedGroup | None = None
        self.slices = self.passes = self.undecided = 0
        self.stopped = False

    def start(self) -> None:
        """Begin scrubbing."""
        self._scheduler.call_later(self._interval_s, self._pass)

    def stop(self) -> None:
        """Begin nothing new; what is being read goes no further."""
        self.stopped = True

    # ---- at the leader

    def _pass(self) -> None:
        """Begin with all groups that are led here."""
        self._left = [group for group in self._groups() if group.serving]
        self._walk = None
        self._next()

    def _next(self) -> None:
        """Propose the next slice of the group that is being walked, or of the next group."""
        if self.stopped:
            return
        while self._left:
            group = self._left[-1]
            walk = self._walk
            if walk is not None and walk.finished:
                self.passes += 1
            elif group.serving and not group.dropped and not group.damaged and group.split is None:
                if walk is None:
                    walk = self._walk = Walk()
                if self._propose(group, walk):
                    return
            self._left.pop()
            self._walk = None
        self._scheduler.call_later(self._interval_s, self._pass)

    def _propose(self, group: ScrubbedGroup, walk: Walk) -> bool:
        """Propose the next slice of a walk. False: its data cannot be read."""
        ranges = PartitionRanges(*group.place)
        try:
            rest = (self._engine.scan(*each) for each in within(ranges.scrubbed, walk.low, END))
            entries, _, last = take(chain.from_iterable(rest), ranges, keep_foreign=True)
        except EngineError as error:
            self._report(f"partition {group.id} cannot be read", error)
            self._damaged(group, f"its data cannot be read: {error}")
            return False
        high = walk.end_of(entries, last)
        # Distinct from those of earlier leaders: a term has one leader.
        round_ = (group.core.term << 24) | (next(self._rounds) & 0xFFFFFF)
        check = Check(round_, walk.low, high, group.core.configuration.members)
        self._check, self._checked = check, group
        effects = Effects([], [], None)
        effects.scrub = (round_, walk.low, high)

        def proposed(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self._conclude(check, lost=True)

        self._scheduler.call_later(CHECK_TIMEOUT_S, lambda: self._conclude(check))
        try:
            group.propose(effects, proposed)
        except ApiError:
            self._conclude(check, lost=True)
        return True

    def on_report(self, message: ScrubReport, done: Callable[[Any], None]) -> None:
        """A replica reports what it found (a message of another node)."""
        self._found(message)
        done(None)

    def _found(self, message: ScrubReport) -> None:
        check, group = self._check, self._checked
        if check is None or group is None or check.round != message.round or group.id != message.partition:
            return
        found = Finding(message.entries, message.checksum, message.error)
        check.add(message.replica, message.index, found)
        if check.complete:
            self._conclude(check)

    def _conclude(self, check: Check, lost: bool = False) -> None:
        """All have answered, or time is over, or the proposal was `lost`: judge, and go on."""
        group, walk = self._checked, self._walk
        if self._check is not check or group is None or walk is None or self.stopped:
            return
        self._check = self._checked = None
        if lost or not check.findings:
            self._left.remove(group)  # led elsewhere, or too busy
            self._walk = None
        else:
            self.slices += 1
            self.undecided += check.verdict().undecided
            for replica, reason in walk.judge(check).items():
                self._convict(group, replica, reason)
        self._scheduler.call_later(self._slice_pause_s, self._next)

    def _convict(self, group: ScrubbedGroup, replica: int, reason: str) -> None:
        if replica == group.replica_id:
            self._damaged(group, reason)
            return
        node = group.nodes.get(replica)
        if node is not None:
            # If it does not arrive, the next pass finds the same.
            self._peers.request(node, ReplicaDamaged(group.id, replica, reason), lambda answer: None)

    # ---- at every replica

    def applied(self, group: ScrubbedGroup, index: int, scrub: tuple[int, bytes, bytes]) -> None:
        """An entry with a slice is applied, and nothing behind it yet: compute the checksum of the slice."""
        round_, low, high = scrub
        ranges = PartitionRanges(*group.place)
        report = ScrubReport(group.id, group.replica_id, round_, index, 0, 0, "")
        try:
            view = self._engine.view(within(ranges.scrubbed, low, high))
        except EngineError as error:
            self._unreadable(group, report, error)
            return
        entries = view.entries()

        def piece() -> None:
            if self.stopped or group.dropped:
                view.close()
                return
            try:
                taken, _, last = take(entries, ranges)
            except EngineError as error:
                view.close()
                self._unreadable(group, report, error)
                return
            report.entries += len(taken)
            report.checksum = checksum(taken, report.checksum)
            if last:
                view.close()
                self._send(group, report)
            else:
                self._scheduler.call_later(PIECE_PAUSE_S, piece)

        self._scheduler.call_soon(piece)

    def _unreadable(self, group: ScrubbedGroup, report: ScrubReport, error: EngineError) -> None:
        self._report(f"partition {group.id} cannot be read", error)
        report.error = f"its data cannot be read: {error}"
        self._send(group, report)
        self._damaged(group, report.error)

    def _send(self, group: ScrubbedGroup, report: ScrubReport) -> None:
        leader = group.core.leader
        if leader == group.replica_id:
            self._found(report)
            return
        node = group.nodes.get(leader)
        if node is not None:
            self._peers.request(node, report, lambda answer: None)
