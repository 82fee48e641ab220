"""A replication group and the driver that commits for all groups of a node.

A write goes propose -> commit -> apply. `Group.propose` gives an entry its raft index and puts it on the
driver's list; the driver appends everything that queued in one tick of the event loop with one write, asks
for one sync, and when the log is durable applies all those entries with one engine batch and answers. A
group with a single voter commits when its own log is durable; a larger one will commit when a majority's
logs are.

The overlay holds the effects of entries that were evaluated but are not applied yet, so that the next write
to the same key is evaluated on top of them. When an append fails, everything of that batch fails and the
overlay is rebuilt from what is still in flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgpack

from hashrange.errors import internal, unavailable
from hashrange_node.log.errors import LogFull
from hashrange_node.log.format import ENTRY
from hashrange_node.log.protocol import NodeLog
from hashrange_node.replica.effects import Count, Effects
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine, EngineBusy, EngineError, EngineFull

Done = Callable[[Any], None]


class Proposal:
    """One entry on its way: effects, raft index, who waits for the answer; `size` of its values in bytes."""

    __slots__ = ("done", "effects", "group", "index", "size")

    def __init__(self, group: Group, index: int, effects: Effects, done: Done | None, size: int) -> None:
        self.group = group
        self.index = index
        self.effects = effects
        self.done = done
        self.size = size


class Listener(Protocol):
    """Told about every applied entry of a group, in order, before its answer goes out."""

    def applied(self, proposal: Proposal) -> None: ...


class Group:
    """The state of one replication group on this node. Its term is 1 while it has a single voter.

    `stamp` is an upper bound of the stamps in applied entries: kept so that a clock that was set back while
    the node was down cannot make new writes look older than those before.
    """

    __slots__ = (
        "applied_index",
        "counts",
        "driver",
        "dropped",
        "id",
        "last_index",
        "listener",
        "overlay",
        "stamp",
        "term",
    )

    def __init__(self, group_id: int, driver: Driver, listener: Listener | None = None) -> None:
        self.id = group_id
        self.driver = driver
        self.listener = listener
        self.term = 1
        self.dropped = False
        self.stamp = 0
        self.applied_index = 0
        self.last_index = 0
        self.counts: dict[int, list[int]] = {}
        self.overlay: dict[bytes, tuple[int, bytes | None]] = {}

    def load(self, engine: Engine) -> None:
        """Take over the state that the engine has: what was applied before the last start."""
        state = engine.get(keyspace.group_state(self.id))
        if state is not None:
            self.applied_index, self.term, self.stamp, counts = msgpack.unpackb(state, strict_map_key=False)
            self.counts = {int(space): list(pair) for space, pair in counts.items()}
        self.last_index = self.applied_index

    def state(self) -> bytes:
        """The state record that goes into every batch applied for this group."""
        packed: bytes = msgpack.packb((self.applied_index, self.term, self.stamp, self.counts))
        return packed

    def propose(self, effects: Effects, done: Done | None) -> int:
        """Replicate effects; `done(effects.result)` is called once they are applied. Returns the index."""
        index = self.last_index + 1
        self.last_index = index
        overlay = self.overlay
        size = 0
        for key, value in effects.mutations:
            overlay[key] = (index, value)
            if value is not None:
                size += len(value)
        self.driver.submit(Proposal(self, index, effects, done, size))
        return index

    def count(self, space: int) -> tuple[int, int]:
        """Entries and bytes in a space, as applied."""
        pair = self.counts.get(space)
        return (pair[0], pair[1]) if pair is not None else (0, 0)

    def advance(self, proposal: Proposal) -> None:
        """Account for an entry whose mutations go into the current batch."""
        self.applied_index = proposal.index
        self.count_all(proposal.effects.counts)

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

    def rebuild_overlay(self, inflight: Iterable[Proposal]) -> None:
        """After a failed append: the overlay and the last index are those of what is still in flight."""
        self.overlay.clear()
        self.last_index = self.applied_index
        for proposal in inflight:
            if proposal.group is self:
                self.last_index = proposal.index
                for key, value in proposal.effects.mutations:
                    self.overlay[key] = (proposal.index, value)


class Driver:
    """Commits and applies for all groups of a node: one append, one sync and one batch a tick.

    `call_soon` schedules a callable for the end of the tick and `call_later` after a delay in seconds; both
    are the event loop's in a running node. `last_stamp` is the highest stamp given out so far. `fatal` ends
    the process: it is called when the engine fails in a way that leaves its state unknown. Once `closed` is set,
    log and engine are no longer touched.
    """

    GATHER_TICKS = 6
    MAX_QUEUED = 20_000
    MAX_QUEUED_BYTES = 256 * 1024 * 1024
    RETRY_DELAY_S = 0.25
    BUSY_DELAY_S = 0.01

    def __init__(
        self,
        log: NodeLog,
        engine: Engine,
        *,
        call_soon: Callable[[Callable[[], None]], Any],
        call_later: Callable[[float, Callable[[], None]], Any],
        last_stamp: Callable[[], int],
        fatal: Callable[[str], None],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self.log = log
        self.engine = engine
        self.applied_position = 0
        self.stalled: str | None = None
        self.closed = False
        self.groups: dict[int, Group] = {}
        self._call_soon = call_soon
        self._call_later = call_later
        self._last_stamp = last_stamp
        self._fatal = fatal
        self._on_error = on_error
        self._pending: list[Proposal] = []
        self._inflight: deque[tuple[int, list[Proposal]]] = deque()
        self._durable_position = 0
        self._queued = self._queued_bytes = 0
        self._scheduled = False
        self._syncing = False
        self._gathered = self._deferred = 0
        self._on_idle: list[Callable[[], object]] = []
        self._unapplied = False

    @property
    def queued(self) -> int:
        """Entries proposed and not yet applied."""
        return self._queued

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call once nothing is queued: at once, or when the last entry has been applied or refused."""
        if self._queued:
            self._on_idle.append(callback)
        else:
            callback()

    def _tell_idle(self) -> None:
        if self._on_idle and not self._queued:
            callbacks, self._on_idle = self._on_idle, []
            for callback in callbacks:
                callback()

    def admit(self) -> None:
        """Raise ServiceUnavailable when a write cannot be taken now: the queue is full, or the disk is."""
        if self._queued >= self.MAX_QUEUED or self._queued_bytes >= self.MAX_QUEUED_BYTES:
            raise unavailable("Too many writes are waiting for the log; retry later")
        if self.stalled is not None:
            raise internal(self.stalled)

    def submit(self, proposal: Proposal) -> None:
        """Take an entry into this tick's batch."""
        self._pending.append(proposal)
        self._queued += 1
        self._queued_bytes += proposal.size
        if not self._scheduled and not self._syncing:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._gathered = self._deferred = 0
        self._call_soon(self._gather)

    def _gather(self) -> None:
        """Flush once a tick has brought nothing new: clients that were answered together write again within
        a tick or two of each other, and a sync costs the same for one entry as for sixteen."""
        pending = len(self._pending)
        if pending > self._gathered and self._deferred < self.GATHER_TICKS:
            self._gathered = pending
            self._deferred += 1
            self._call_soon(self._gather)
        else:
            self._flush()

    def _flush(self) -> None:
        """Append what is pending and sync it. While a sync runs nothing is appended: what comes meanwhile
        would have to wait for the next sync anyway."""
        self._scheduled = False
        batch = self._pending
        if not batch or self.closed:
            return
        self._pending = []
        log = self.log
        try:
            position = log.append([(p.group.id, p.index, p.group.term, p.effects, ENTRY) for p in batch])
        except LogFull as error:
            self._reject(batch, f"The disk is full: {error}")
            return
        except Exception as error:  # an entry that cannot be encoded, or a log that is closed
            self._on_error("the log did not take a batch", error)
            self._reject(batch, "The log did not take the write")
            return
        self._inflight.append((position, batch))
        self._syncing = True
        log.sync(position, self._durable)

    def _reject(self, batch: list[Proposal], reason: str) -> None:
        batch = batch + self._pending
        self._pending = []
        self._leave(batch)
        remaining = [proposal for _, proposals in self._inflight for proposal in proposals]
        for group in {proposal.group for proposal in batch}:
            group.rebuild_overlay(remaining)
        error = internal(reason)
        for proposal in batch:
            if proposal.done is not None:
                self._answer(proposal.done, error)
        self._tell_idle()

    def _durable(self, position: int) -> None:
        self._syncing = False
        if position > self._durable_position:
            self._durable_position = position
        if not self._unapplied:
            self._apply_ready()
        if self._pending and not self._scheduled and not self._syncing:
            self._schedule()

    def _apply_ready(self) -> None:
        if self.closed:
            return
        inflight = self._inflight
        durable = self._durable_position
        ready: list[Proposal] = []
        position = self.applied_position
        taken = 0
        for end, batch in inflight:
            if end > durable:
                break
            ready.extend(batch)
            position = end
            taken += 1
        if not ready:
            return
        if not self._write(ready):
            return
        for _ in range(taken):
            inflight.popleft()
        self.applied_position = position
        self._leave(ready)
        self._finish(ready)

    def _leave(self, proposals: list[Proposal]) -> None:
        self._queued -= len(proposals)
        for proposal in proposals:
            self._queued_bytes -= proposal.size

    def _write(self, ready: list[Proposal]) -> bool:
        """One engine batch for entries that are durable in the log. False: not now, a retry is scheduled."""
        mutations = []
        ranges = []
        groups = set()
        for proposal in ready:
            # In a retry some were accounted for before the batch failed, newer ones were not.
            if not self._unapplied or proposal.index > proposal.group.applied_index:
                proposal.group.advance(proposal)
        for proposal in ready:
            if proposal.group.dropped:
                continue  # its table was deleted meanwhile: nothing of it may come back
            mutations.extend(proposal.effects.mutations)
            ranges.extend(proposal.effects.ranges)
            groups.add(proposal.group)
        if ranges:  # whole partitions that go: what this batch still writes into them goes too
            mutations = [m for m in mutations if not any(low <= m[0] < high for low, high in ranges)]
            groups = {g for g in groups if not any(_within(g, low, high) for low, high in ranges)}
        stamp = self._last_stamp()
        for group in groups:
            group.stamp = stamp
            mutations.append((keyspace.group_state(group.id), group.state()))
        try:
            self.engine.write(mutations, ranges)
        except EngineFull as error:
            self._stall(ready, f"The disk is full: {error}")
            return False
        except EngineBusy:
            self._unapplied = True
            self._call_later(self.BUSY_DELAY_S, self._apply_ready)
            return False
        except EngineError as error:
            self._fatal(f"The storage engine failed while applying committed entries: {error}")
            return False
        self.stalled = None
        self._unapplied = False
        return True

    def _stall(self, ready: list[Proposal], reason: str) -> None:
        """The log has these entries but the engine cannot take them yet: they are applied when it can.

        Their outcome is unknown to the client (they will take effect), so the answer is a 500.
        """
        self.stalled = reason
        self._unapplied = True
        error = internal(reason)
        for proposal in ready:
            done, proposal.done = proposal.done, None
            if done is not None:
                self._answer(done, error)
        self._call_later(self.RETRY_DELAY_S, self._apply_ready)

    def _finish(self, ready: list[Proposal]) -> None:
        for proposal in ready:
            group = proposal.group
            group.settle(proposal)
            if group.listener is not None:
                try:
                    group.listener.applied(proposal)
                except Exception as error:
                    self._on_error("a listener of applied entries failed", error)
        for proposal in ready:
            if proposal.done is not None:
                self._answer(proposal.done, proposal.effects.result)
        self._tell_idle()

    def _answer(self, done: Done, value: Any) -> None:
        try:
            done(value)
        except Exception as error:
            self._on_error("answering a write failed", error)


def _within(group: Group, low: bytes, high: bytes) -> bool:
    return low <= keyspace.group_state(group.id) < high
