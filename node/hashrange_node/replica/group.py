"""One replication group on this node: its Raft core, what is applied, and what is under way.

A write goes propose -> commit -> apply. `Group.propose` gives an entry its raft index and tells the driver, which
does the work of all groups of the node together (`driver`, `applier`). The overlay holds the effects of entries that
were evaluated here and are not applied yet, so that the next write to the same key is evaluated on top of them.
Losing leadership fails everything that is under way and empties the overlay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgpack

from hashrange.errors import ApiError, unavailable
from hashrange.wire.faults import LeadershipLost, NotLeader, Overloaded
from hashrange_node.raft.confchange import Configuration
from hashrange_node.raft.core import RaftCore
from hashrange_node.raft.messages import HardState
from hashrange_node.raft.refusal import Refusal
from hashrange_node.replica.effects import Count, Effects
from hashrange_node.replica.heat import Heat
from hashrange_node.replica.place import Place
from hashrange_node.replica.requests import RequestWindow
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine

if TYPE_CHECKING:
    from hashrange_node.replica.driver import Driver
    from hashrange_node.replica.group_log import GroupLog

Done = Callable[[Any], None]

FIRST_REPLICA = 1
FENCES_MAX = 10_000


class Proposal:
    """The payload of an entry that this leader proposed: the effects, and who waits for the answer.

    `size` counts the bytes of the values. `index` is the raft index.
    """

    __slots__ = ("done", "effects", "index", "size")

    def __init__(self, effects: Effects, done: Done | None, size: int) -> None:
        self.effects = effects
        self.done = done
        self.size = size
        self.index = 0

    def encode(self) -> bytes:
        """The payload as bytes; made at most once."""
        return self.effects.encode()

    def also(self, done: Done) -> None:
        """Let another caller have the answer too: the same request came again."""
        first = self.done
        if first is None:
            self.done = done
            return

        def both(answer: Any) -> None:
            first(answer)
            done(answer)

        self.done = both


class Listener(Protocol):
    """Told of what happens to a group, on every replica."""

    def applied(self, effects: Effects, index: int) -> None:
        """An entry was applied: in order, before its answer goes out."""
        ...

    def leading(self, serving: bool) -> None:
        """This replica begins to serve as the leader, or has stopped."""
        ...


class Group:
    """The state of one group on this node.

    `stamp` is an upper bound of the stamps in applied entries: kept so that a clock that was set back while
    the node was down cannot make new writes look older than those before. `max_delete` is the highest stamp of a
    deletion and `deletes` the raft index of the last one, as applied; `deleting` is the highest that was evaluated
    here and not applied yet, or 0. `serving`: this replica leads, and
    everything of earlier leaders is applied. `closing`: it has proposed to split the group, and does not know what
    became of it. `alone`: the group has no other member. `nodes` says on which node a
    replica is. `damaged` says why this replica cannot go on, "" while it can. `split_durable`: a flush has made the
    children of its split durable here; until then only this group's log can make them again. `heat` is what a sample
    of the requests tells.
    """

    __slots__ = (
        "alone",
        "applied_index",
        "applied_term",
        "asked",
        "closing",
        "configuration",
        "core",
        "counts",
        "damaged",
        "deletes",
        "deleting",
        "driver",
        "dropped",
        "fences",
        "fencing",
        "hard_state",
        "heat",
        "id",
        "inflight",
        "installing",
        "led",
        "listener",
        "max_delete",
        "nodes",
        "overlay",
        "parked",
        "pending",
        "place",
        "quiet_ticks",
        "reads",
        "reads_served",
        "replica_id",
        "serving",
        "split",
        "split_durable",
        "stamp",
        "starts",
        "storage",
        "touched",
        "unsaved",
        "window",
        "writes_taken",
    )

    def __init__(self, place: Place, driver: Driver, replica_id: int = FIRST_REPLICA) -> None:
        self.place = place
        self.id = place.id
        self.driver = driver
        self.replica_id = replica_id
        self.listener: Listener | None = None
        self.core: RaftCore = None  # type: ignore[assignment]  # set by Driver.start, before anything uses it
        self.storage: GroupLog = None  # type: ignore[assignment]  # likewise
        self.nodes: dict[int, int] = {}
        self.configuration: Configuration | None = None
        self.hard_state = HardState()
        self.applied_index = self.applied_term = 0
        self.stamp = 0
        self.max_delete = self.deletes = self.deleting = 0
        self.counts: dict[int, list[int]] = {}
        self.split: dict[str, Any] | None = None
        self.window = RequestWindow(place.id)
        self.starts: dict[int, int] = {}
        # Of each partition that delivers index entries here: term and sequence of the last delivery, as applied and
        # as evaluated.
        self.fences: dict[int, tuple[int, int]] = {}
        self.fencing: dict[int, tuple[int, int]] = {}
        self.overlay: dict[bytes, tuple[int, bytes | None]] = {}
        self.pending: deque[Proposal] = deque()
        self.inflight: dict[tuple[int, int], Proposal] = {}
        # Reads that wait for a quorum or for entries to be applied; `reads` are those a quorum has confirmed.
        self.asked: dict[Callable[[ApiError | None], None], None] = {}
        self.reads: list[tuple[int, Callable[[ApiError | None], None]]] = []
        self.parked: list[Callable[[], None]] = []
        self.serving = self.led = self.alone = self.closing = False
        self.dropped = self.installing = self.split_durable = False
        self.touched = self.unsaved = False
        self.quiet_ticks = self.reads_served = self.writes_taken = 0
        self.damaged = ""
        self.heat = Heat()

    # ---- the stored state

    def load(self, engine: Engine) -> bool:
        """Take over the state that the engine has: what was applied before the last start. False: none."""
        state = engine.get(keyspace.group_state(self.id))
        if state is None:
            return False
        self.adopt(state)
        self.window.load(engine)
        return True

    def adopt(self, state: bytes) -> None:
        """Take over a state record."""
        self.applied_index, self.applied_term, self.stamp, counts, *more = msgpack.unpackb(
            state, strict_map_key=False
        )
        self.counts = {int(space): list(pair) for space, pair in counts.items()}
        if more:
            replica_id, term, vote, configuration, split, *later = more
            self.fences = {source: (term, sequence) for source, term, sequence in later[0]} if later else {}
            self.max_delete, self.deletes = later[1:3] if len(later) > 1 else (0, 0)
            self.replica_id = replica_id
            self.hard_state = HardState(term, vote)
            self.configuration = Configuration.decode(configuration) if configuration else None
            self.split = split

    def state(self) -> bytes:
        """The state record that goes into every batch applied for this group."""
        return self._record(self.replica_id, self.hard_state)

    def state_for(self, replica_id: int) -> bytes:
        """The state record for another replica, which has voted for nobody."""
        return self._record(replica_id, HardState(self.applied_term, 0))

    def _record(self, replica_id: int, hard_state: HardState) -> bytes:
        configuration = self.configuration
        packed: bytes = msgpack.packb(
            (
                self.applied_index,
                self.applied_term,
                self.stamp,
                self.counts,
                replica_id,
                hard_state.term,
                hard_state.vote,
                configuration.encode() if configuration is not None else b"",
                self.split,
                [(source, *number) for source, number in self.fences.items()],
                self.max_delete,
                self.deletes,
            )
        )
        return packed

    # ---- what is asked of a leader

    @property
    def last_index(self) -> int:
        """Index of the newest entry of the log, applied or not: the next proposal's is one more."""
        return self.core.log.last_index

    @property
    def leader_node(self) -> int | None:
        """The node that leads, as far as this replica knows."""
        return self.nodes.get(self.core.leader) if self.core is not None else None

    @property
    def readable(self) -> bool:
        """Whether the state here is one that the group was in: not while a snapshot comes, nor after damage."""
        return self.core.log.applied > 0 and not self.installing and not self.damaged

    def not_leader(self) -> ApiError:
        """The answer to what only a leader can do."""
        return NotLeader(self.id, self.leader_node)

    def propose(self, effects: Effects, done: Done | None) -> bool:
        """Replicate effects; `done(effects.result)` is called once they are applied, or with an ApiError.

        False: they were not taken, and `done` was told so.
        """
        size = 0
        for _, value in effects.mutations:
            if value is not None:
                size += len(value)
        proposal = Proposal(effects, done, size)
        outcome: int | Refusal
        if self.closing or not self.serving or self.split is not None:
            # Behind a split nothing may follow: its children may have begun to write the same keys.
            outcome = Refusal.NOT_LEADER
        else:
            outcome = self.core.propose(proposal, size)
        if outcome.__class__ is not int:
            if done is not None:
                done(self._refused(outcome))  # type: ignore[arg-type]
            return False
        proposal.index = outcome
        if effects.fence is not None:
            self.fencing[effects.fence[0]] = effects.fence[1:]
        if effects.deleted > self.deleting:
            self.deleting = effects.deleted
        overlay = self.overlay
        for key, value in effects.mutations:
            overlay[key] = (outcome, value)
        request = effects.request
        if request is not None:
            self.inflight[request[0], request[1]] = proposal
        if effects.split is not None:
            self.closing = True
        self.pending.append(proposal)
        self.driver.submit(self, size)
        return True

    def _refused(self, refusal: Refusal) -> ApiError:
        if refusal is Refusal.OVERLOADED:
            return Overloaded(f"partition {self.id}: {refusal.value}")
        if refusal is Refusal.TRANSFERRING or refusal is Refusal.OLD_LEASE:
            return unavailable(f"partition {self.id}: {refusal.value}; retry later")
        return self.not_leader()

    def admits(self, fence: tuple[int, int, int]) -> bool:
        """Whether a delivery of index entries is a new one, by those applied and those under way."""
        source, term, sequence = fence
        held = self.fencing.get(source) or self.fences.get(source)
        return held is None or (term, sequence) > held

    def deleted(self, stamp: int, index: int) -> None:
        """An entry that deletes items has been applied."""
        if stamp > self.max_delete:
            self.max_delete = stamp
        self.deletes = index

    @property
    def watermark(self) -> int:
        """The highest stamp at which an item was deleted, by what is applied and what is under way."""
        return max(self.max_delete, self.deleting)

    def fenced(self, fence: tuple[int, int, int]) -> None:
        """A delivery of index entries has been applied."""
        source, term, sequence = fence
        self.fences.pop(source, None)
        self.fences[source] = (term, sequence)
        if len(self.fences) > FENCES_MAX:
            del self.fences[next(iter(self.fences))]  # the one that was silent for longest

    def fail_pending(self, error: ApiError | None = None) -> None:
        """Answer everything under way: this replica cannot tell any more what becomes of it."""
        pending, self.pending = self.pending, deque()
        self.closing = False
        self.deleting = 0
        self.overlay.clear()
        self.inflight.clear()
        self.fencing.clear()
        self.driver.left(pending)
        for proposal in pending:
            done, proposal.done = proposal.done, None
            if done is not None:
                self.driver.answer(done, error or LeadershipLost(self.id))
        asked, self.asked = self.asked, {}
        self.reads = []
        for read in asked:
            self.driver.answer(read, error or self.not_leader())

    def fail_waiting(self, error: ApiError) -> None:
        """Answer those who wait, while what they wait for may still take effect."""
        for proposal in self.pending:
            done, proposal.done = proposal.done, None
            if done is not None:
                self.driver.answer(done, error)

    # ---- counting

    def count(self, space: int) -> tuple[int, int]:
        """Entries and bytes in a space, as applied.

        A split divides the parent's counts by estimate: what is deleted later may be more than was put down.
        """
        pair = self.counts.get(space)
        return (max(0, pair[0]), max(0, pair[1])) if pair is not None else (0, 0)

    def count_all(self, counts: list[Count]) -> None:
        """Add changes of entry counts and sizes."""
        for space, entries, size in counts:
            pair = self.counts.get(space)
            if pair is None:
                self.counts[space] = [entries, size]
            else:
                pair[0] += entries
                pair[1] += size

    def settle(self, proposal: Proposal) -> None:
        """Forget the overlay of an applied entry, unless a later entry has replaced it."""
        overlay = self.overlay
        index = proposal.index
        for key, _ in proposal.effects.mutations:
            held = overlay.get(key)
            if held is not None and held[0] == index:
                del overlay[key]
        request = proposal.effects.request
        if request is not None:
            self.inflight.pop((request[0], request[1]), None)
