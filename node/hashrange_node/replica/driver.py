"""Drives all groups of a node: one append, one sync, one engine batch and one message per node and turn.

A group to which something happened (a proposal, a message, a tick, a finished sync) is touched; the next turn asks
its core for work (`raft/ready.py` has the contract), writes what all groups want persisted with one append and asks
for one sync, sends their messages together, one batch to each node, and applies what is committed (`applier`). When
the sync is done the next turn follows at once. A group that is alone commits when its own log is durable.

While a sync runs, proposals alone start no turn: they would have to wait for the next sync anyway. A disk that is
full stops everything but reads, until there is room again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hashrange.errors import ApiError, internal, unavailable
from hashrange.wire.cluster import RaftBatch
from hashrange_node.log.errors import LogError, LogFull
from hashrange_node.log.format import CONFIG as LOG_CONFIG
from hashrange_node.log.format import ENTRY as LOG_DATA
from hashrange_node.log.format import ENTRY_KINDS, VOID, hard_state, truncate
from hashrange_node.log.format import NOOP as LOG_NOOP
from hashrange_node.log.protocol import NodeLog
from hashrange_node.raft.messages import Entry, InstallSnapshot, Message
from hashrange_node.raft.ready import Leadership, Ready, RoleName
from hashrange_node.replica.applier import Applier
from hashrange_node.replica.group import Done, Group, Proposal
from hashrange_node.replica.hooks import Hooks
from hashrange_node.replica.retention import Retention
from hashrange_node.settings import ReplicationSettings
from hashrange_node.storage.engine import Engine

# How an entry's kind is recorded in the log, by raft kind: DATA, NOOP, CONFIG.
LOG_KINDS = (LOG_DATA, LOG_NOOP, LOG_CONFIG)

Later = Callable[[float, Callable[[], None]], Any]
Persisting = list[tuple[Group, int, Sequence[Message]]]


class Driver:
    """Commits and applies for all groups of a node.

    `call_soon` schedules a callable for the end of the tick and `call_later` after a delay in seconds; both
    are the event loop's in a running node. `now_tick` is the present tick of the monotonic clock, `last_stamp` the
    highest stamp given out or seen. `fatal` ends the process: it is called when the engine fails in a way that
    leaves its state unknown. Once `closed` is set, log and engine are no longer touched.
    """

    GATHER_TICKS = 6
    GATHER_ABOVE = 2
    MAX_QUEUED = 20_000
    MAX_QUEUED_BYTES = 256 * 1024 * 1024
    RETRY_DELAY_S = 0.25

    def __init__(
        self,
        log: NodeLog,
        engine: Engine,
        settings: ReplicationSettings,
        *,
        call_soon: Callable[[Callable[[], None]], Any],
        call_later: Later,
        now_tick: Callable[[], int],
        last_stamp: Callable[[], int],
        observe_stamp: Callable[[int], None],
        fatal: Callable[[str], None],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self.log = log
        self.engine = engine
        self.settings = settings
        self.hooks: Hooks = None  # type: ignore[assignment]  # set by the node before the first group starts
        self.groups: dict[int, Group] = {}
        self.active: dict[Group, None] = {}
        self.closed = False
        self.log_stalled: str | None = None
        self.call_later = call_later
        self.now_tick = now_tick
        self.last_stamp = last_stamp
        self.observe_stamp = observe_stamp
        self.fatal = fatal
        self.report = on_error
        self._call_soon = call_soon
        self.applier = Applier(self)
        self.retention = Retention(self)
        self._dirty: list[Group] = []
        self._writing: deque[tuple[int, Persisting]] = deque()
        self._blocked: tuple[list[Any], Persisting] | None = None
        self._outbox: dict[int, list[tuple[int, Message]]] = {}
        self._scheduled = self._turning = False
        self._arrived = self._gathered = self._deferred = self._batched = 0
        self._queued = self._queued_bytes = 0
        self._on_idle: list[Callable[[], object]] = []
        self.on_active: Callable[[], None] = lambda: None

    # ---- groups

    def start(self, group: Group) -> None:
        """Take a group whose core has been made; a group of one replica stands for election at once."""
        self.groups[group.id] = group
        self.configured(group)
        if group.alone:
            group.core.campaign()
        self._activate(group)
        self.touch(group)

    def remove(self, group: Group) -> None:
        """Let go of a group for good."""
        group.dropped = True
        if group.core is not None:
            self._lose(group)
        self.applier.forget(group)
        if group.storage is not None:
            group.storage.close()
        if self.groups.get(group.id) is group:
            del self.groups[group.id]
        self.active.pop(group, None)

    def disable(self, group: Group, reason: str) -> None:
        """A replica cannot go on: it takes part in nothing any more, until another one is put in its place."""
        group.damaged = reason
        group.core.step_down()  # no lease, and nothing to keep the log for
        self.applier.forget(group)
        self._lose(group)
        self.active.pop(group, None)

    def void(self, group_id: int) -> None:
        """What the log has of a group is of no more use."""
        if not self.closed:
            self._append([truncate(group_id, *VOID)], [])

    def configured(self, group: Group) -> None:
        """The membership of a group has changed."""
        group.alone = group.core.configuration.all_voters == {group.replica_id} and not (
            group.core.configuration.learners
        )
        if not group.alone:
            self._activate(group)

    def _activate(self, group: Group) -> None:
        if group not in self.active:
            self.active[group] = None
            group.quiet_ticks = 0
            if len(self.active) == 1:
                self.on_active()

    def tick(self, now: int) -> None:
        """The clock is in tick `now`: let the groups that are not idle know."""
        for group in list(self.active):
            core = group.core
            try:
                core.tick(now)
            except Exception as error:
                self._failed(group, error)
                continue
            self.touch(group)
            if core.quiesced or (group.alone and group.serving):
                del self.active[group]
            elif core.is_leader:
                group.quiet_ticks += 1
                quiet = group.quiet_ticks >= self.settings.quiet_ticks and not group.pending
                if quiet and self.hooks.may_rest(group):
                    core.quiesce()

    def wake_reads(self, group: Group) -> None:
        """A read waits for a quorum: the group goes on at once."""
        group.quiet_ticks = 0
        self._activate(group)
        self.touch(group)

    def wake(self, group: Group, silent_ticks: int = 0) -> None:
        """Let a group be idle no longer."""
        if group.damaged:
            return
        group.core.wake(silent_ticks)
        self._activate(group)
        self.touch(group)

    # ---- what happens

    @property
    def queued(self) -> int:
        """Entries proposed here and not yet applied."""
        return self._queued

    @property
    def stalled(self) -> str | None:
        """Why no write can be taken, or None."""
        return self.log_stalled or self.applier.stalled

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call once nothing is queued: at once, or when the last entry has been applied or refused."""
        if self._queued:
            self._on_idle.append(callback)
        else:
            callback()

    def tell_idle(self) -> None:
        """Something was applied or refused: perhaps that was the last."""
        if self._on_idle and not self._queued:
            callbacks, self._on_idle = self._on_idle, []
            for callback in callbacks:
                callback()

    def admit(self, group: Group) -> None:
        """Raise ServiceUnavailable when a write cannot be taken now: the queue is full, or the disk is.

        A full disk is an InternalServerError where nobody else can take the write.
        """
        if self._queued >= self.MAX_QUEUED or self._queued_bytes >= self.MAX_QUEUED_BYTES:
            raise unavailable("Too many writes are waiting for the log; retry later")
        stalled = self.log_stalled or self.applier.stalled
        if stalled is not None:
            raise internal(stalled) if group.alone else unavailable(stalled)

    def submit(self, group: Group, size: int) -> None:
        """A group has a new proposal, of `size` bytes."""
        self._queued += 1
        self._queued_bytes += size
        self._arrived += 1
        group.quiet_ticks = 0
        if not group.touched:
            group.touched = True
            self._dirty.append(group)
            if not group.alone:
                self._activate(group)
        if not self._scheduled and not self._writing:
            self._schedule()

    def left(self, proposals: Iterable[Proposal]) -> None:
        """Proposals are under way no longer."""
        for proposal in proposals:
            self._queued -= 1
            self._queued_bytes -= proposal.size

    def stepped(self, batch: Iterable[tuple[int, Message]]) -> None:
        """Messages of one tick of another node have been handed to their groups: go on without waiting for more.

        A follower persists at once. A leader applies what is committed now, and gathers its next entries as ever.
        """
        if self._turning or self.closed:
            return
        follows = False
        for group_id, _ in batch:
            group = self.groups.get(group_id)
            if group is None or group.installing or group.damaged:
                continue
            if not group.led:
                follows = True
            elif committed := group.core.ready_committed():
                self.applier.add(group, committed)
        if follows:
            self.run()
        else:
            self.applier.run()

    def step(self, group: Group, message: Message) -> None:
        """A message for a replica of this node has arrived."""
        if group.damaged:
            return
        core = group.core
        try:
            core.step(message)
        except Exception as error:
            self._failed(group, error)
            return
        if not core.quiesced:
            self._activate(group)
        self.touch(group)

    def touch(self, group: Group) -> None:
        """Something happened to a group: it has a place in the next turn."""
        self._arrived += 1
        if not group.touched:
            group.touched = True
            self._dirty.append(group)
        if not self._scheduled and not self._turning:
            self._schedule()

    def _schedule(self) -> None:
        if self._turning:
            return
        self._scheduled = True
        self._gathered = -1
        self._deferred = 0 if self._batched > self.GATHER_ABOVE else self.GATHER_TICKS
        self._call_soon(self._gather)

    def _gather(self) -> None:
        """Take the turn once a tick has brought nothing new: clients that were answered together write again
        within a tick or two of each other, and a sync costs the same for one entry as for sixteen. After a batch of
        one or two nobody else is writing, and waiting would only cost time."""
        if self._arrived != self._gathered and self._deferred < self.GATHER_TICKS:
            self._gathered = self._arrived
            self._deferred += 1
            self._call_soon(self._gather)
        else:
            self._scheduled = False
            self.run()

    # ---- a turn

    def run(self) -> None:
        """Do all work that there is now."""
        if self._turning or self.closed:
            return
        self._turning = True
        try:
            while self._dirty and self._blocked is None:
                dirty, self._dirty = self._dirty, []
                records: list[Any] = []
                persisting: Persisting = []
                for group in dirty:
                    group.touched = False
                    if not group.dropped and not group.installing and not group.damaged:
                        self._collect_safely(group, records, persisting)
                self._post()  # first: the other disks can begin while this one is written to
                if persisting:
                    self._append(records, persisting)
                self._post()  # what has become durable within the call
                self.applier.run()
        finally:
            self._turning = False
        if self._dirty and not self._scheduled and self._blocked is None and not self._writing:
            self._schedule()

    def _collect_safely(self, group: Group, records: list[Any], persisting: Persisting) -> None:
        try:
            self._collect(group, records, persisting)
        except LogError as error:
            # An old entry that a follower lacks cannot be read back: it gets a snapshot instead.
            self.report(f"the log of partition {group.id} has entries that cannot be read", error)
            group.storage.compact(group.applied_index, group.applied_term)
            self.touch(group)
        except Exception as error:
            self._failed(group, error)

    def _failed(self, group: Group, error: Exception) -> None:
        """Something impossible has happened in a group, and part of its work is lost: only the others go on."""
        self.report(f"the replica of partition {group.id} here failed", error)
        self.disable(group, f"it failed: {error!r}")

    def _collect(self, group: Group, records: list[Any], persisting: Persisting) -> None:
        """Take what a group's core has to be done. Its order is that of `Ready`."""
        core = group.core
        while (work := core.ready()) is not None:
            if work.leadership is not None:
                self._led(group, work.leadership)
            for message in work.messages:
                self._send(group, message)
            if work.number:
                if work.hard_state is not None:
                    group.hard_state = work.hard_state
                    group.unsaved = True
                if work.snapshot is not None:
                    self._install(group, work)
                    return
                if work.hard_state is not None:
                    records.append(hard_state(group.id, work.hard_state.term, work.hard_state.vote))
                if work.truncate_from is not None:
                    records.append(truncate(group.id, work.truncate_from, core.term))
                for entry in work.entries:
                    payload = entry.payload if entry.payload is not None else b""
                    records.append((group.id, entry.index, entry.term, payload, LOG_KINDS[entry.kind]))
                persisting.append((group, work.number, work.messages_after_persist))
            if work.committed:
                self.applier.add(group, work.committed)
            for read in work.reads:
                # Not those that were answered when leadership was lost, in this turn or the one before.
                if read.context in group.asked:
                    group.reads.append((read.index, read.context))
            if group.reads:
                self._answer_reads(group)

    def _append(self, records: list[Any], persisting: Persisting) -> None:
        """Write what groups want persisted and sync it; what needs no writing waits for the writes before."""
        if self._blocked is not None:
            self._blocked[0].extend(records)
            self._blocked[1].extend(persisting)
            return
        if not records:
            if self._writing:
                self._writing[-1][1].extend(persisting)
            else:
                self._persisted(persisting)
            return
        self._batched = len(records)
        try:
            position = self.log.append(records)
        except LogFull as error:
            self._block(records, persisting, f"The disk is full: {error}")
            return
        except Exception as error:  # an entry that cannot be encoded, or a log that is closed
            self.report("the log did not take a batch", error)
            self._block(records, persisting, "The log did not take the write")
            return
        self._written(records, position, persisting)

    def _written(self, records: list[Any], position: int, persisting: Persisting) -> None:
        """The log has taken records: remember where they are, for followers that will be behind, and sync."""
        if self.log.readable and not all(group.alone for group, _, _ in persisting):
            for record, start in zip(records, self.log.last_starts(), strict=True):
                group = self.groups.get(record[0])
                if record[4] in ENTRY_KINDS and group is not None and not group.alone:
                    group.starts[record[1]] = start
        self.retention.written((group for group, _, _ in persisting), position)
        self._writing.append((position, persisting))
        self.log.sync(position, self._durable)

    def _block(self, records: list[Any], persisting: Persisting, reason: str) -> None:
        """Nothing can be written: hand over what is led here, refuse writes, and try again.

        What is under way may still take effect, here or under another leader: its outcome is unknown.
        """
        self._blocked = (records, persisting)
        self.log_stalled = reason
        for group in list(self.groups.values()):
            if group.alone:
                group.fail_waiting(internal(reason))
            elif group.led:
                # The core's own word comes with its next work, which has to wait for room on the disk.
                group.core.step_down()
                self._activate(group)  # it may have been idle, and nobody else will wake its followers
                self._lose(group)
        self.tell_idle()
        self.call_later(self.RETRY_DELAY_S, self._unblock)

    def _unblock(self) -> None:
        if self._blocked is None or self.closed:
            return
        records, persisting = self._blocked
        try:
            position = self.log.append(records)
        except Exception:
            self.call_later(self.RETRY_DELAY_S, self._unblock)
            return
        self._blocked = None
        self.log_stalled = None
        self._written(records, position, persisting)
        self.run()

    def _durable(self, position: int) -> None:
        """The log is durable up to `position`."""
        writing = self._writing
        alone = True
        while writing and writing[0][0] <= position:
            persisting = writing.popleft()[1]
            self._persisted(persisting)
            alone = alone and all(group.alone for group, _, _ in persisting)
        if self._turning or self.closed:
            return
        if not alone:
            self.run()
            return
        # Apply now, but gather what comes next: the clients that get their answers now write again at once.
        for group in self._dirty:
            if not group.dropped and not group.installing and not group.damaged:
                committed = group.core.ready_committed()
                if committed:
                    self.applier.add(group, committed)
        self.applier.run()
        if self._dirty and not self._scheduled and self._blocked is None:
            self._schedule()

    def _persisted(self, persisting: Persisting) -> None:
        for group, number, messages in persisting:
            if group.dropped:
                continue
            group.core.persisted(number)
            for message in messages:
                self._send(group, message)
            if not group.touched:
                group.touched = True
                self._dirty.append(group)

    # ---- messages

    def _send(self, group: Group, message: Message) -> None:
        node = group.nodes.get(message.to)
        if node is None:
            return
        if message.__class__ is InstallSnapshot:
            self.hooks.send_snapshot(group, message, node)
            return
        held = self._outbox.get(node)
        if held is None:
            self._outbox[node] = [(group.id, message)]
        else:
            held.append((group.id, message))

    def _post(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for node, messages in outbox.items():
            self.hooks.post(node, RaftBatch(messages))

    # ---- leadership

    def _led(self, group: Group, leadership: Leadership) -> None:
        if leadership.role is RoleName.LEADER:
            group.led = True
        elif group.led:
            self._lose(group)
        else:
            self.hooks.serving(group, False)

    def _lose(self, group: Group) -> None:
        group.led = False
        was_serving, group.serving = group.serving, False
        group.fail_pending()
        if was_serving and group.listener is not None:
            group.listener.leading(False)
        self.hooks.serving(group, False)
        self.tell_idle()

    def _serve(self, group: Group) -> None:
        """Everything of earlier leaders is applied: this replica may evaluate writes."""
        group.serving = True
        if group.listener is not None:
            group.listener.leading(True)
        self.hooks.serving(group, True)

    # ---- applied

    def applied(self, group: Group, entries: list[Entry]) -> None:
        """Entries of a group are in the engine."""
        core = group.core
        if group.dropped:
            return
        members = core.configuration
        self.retention.keep(group, entries)
        core.applied(group.applied_index)
        if core.configuration is not members or entries[-1].kind != 0:
            self.configured(group)
        if group.led and not group.serving and core.is_leader:
            role: Any = core.role
            if core.log.applied >= role.term_start and not role.wait_calls:
                self._serve(group)
        if group.reads:
            self._answer_reads(group)
        if not group.touched:
            group.touched = True
            self._dirty.append(group)

    def _answer_reads(self, group: Group) -> None:
        waiting: list[tuple[int, Callable[[ApiError | None], None]]] = []
        reads, group.reads = group.reads, []
        applied = group.core.log.applied  # what the engine has: a batch that it does not take is not there
        for index, read in reads:
            if index <= applied:
                group.asked.pop(read, None)
                self.answer(read, None)
            else:
                waiting.append((index, read))
        group.reads += waiting

    def _install(self, group: Group, work: Ready) -> None:
        """A snapshot replaces the state of a group; nothing else of the group goes on until it is there."""
        group.installing = True
        self.applier.forget(group)

        def installed() -> None:
            group.installing = False
            if group.dropped:
                return
            # All that came before is void: it must not come back below the snapshot at a replay.
            records: list[Any] = [truncate(group.id, 1, group.core.term)]
            if work.hard_state is not None:
                records.append(hard_state(group.id, work.hard_state.term, work.hard_state.vote))
            group.starts.clear()
            for entry in work.entries:
                payload = entry.payload if entry.payload is not None else b""
                records.append((group.id, entry.index, entry.term, payload, LOG_KINDS[entry.kind]))
            self.configured(group)
            self._append(records, [(group, work.number, work.messages_after_persist)])
            self.touch(group)

        self.hooks.install(group, work, installed)

    # ---- checkpoints

    def prepare_checkpoint(self) -> None:
        """Put into the engine what only the log has besides entries. Raises EngineError; EngineBusy: not now."""
        self.retention.prepare()

    def log_floor(self) -> int:
        """The log position up to which nothing is needed any more once the engine is flushed."""
        return self.retention.floor()

    def log_removed(self) -> None:
        """The log has removed segments."""
        self.retention.removed()

    def answer(self, done: Done, value: Any) -> None:
        """Give an answer; whoever takes it badly does not stop the others."""
        try:
            done(value)
        except Exception as error:
            self.report("answering a write failed", error)
