"""A partition's replica on this node: reads, evaluated writes, and what follows from applied entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError, internal, resource_not_found, transaction_conflict, unavailable
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.model.table_units import write_units_half
from hashrange.wire.faults import Overloaded
from hashrange.wire.messages import Done, WriteEntries, WriteItem
from hashrange_node.replica.budget import PartitionBudget, index_behind
from hashrange_node.replica.effects import Count, Effects, Marked, Mutation
from hashrange_node.replica.evaluate import evaluate
from hashrange_node.replica.group import Group
from hashrange_node.replica.requests import TOO_OLD, encode_result
from hashrange_node.replica.secondary import find_global_index
from hashrange_node.replica.strong import StrongReads
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine, EngineError
from hashrange_node.transactions.locks import Counts as TransactionCounts
from hashrange_node.transactions.locks import LockTable, decode_lock

if TYPE_CHECKING:
    from hashrange_node.streams.keeper import StreamKeeper
    from hashrange_node.streams.recording import Recording

QueueSink = Callable[["Replica", list[tuple[bytes, list[Any]]]], None]
MarkSink = Callable[["Replica", list[Marked]], None]
LeadSink = Callable[["Replica", bool], None]
SplitSink = Callable[["Replica"], None]


class Replica:
    """One replica. `index_name` is None for a partition of a table, else the global index it belongs to.

    `stamps` gives the next hybrid timestamp; `on_queued` is told about index changes once they are
    applied, so that they can be sent on; `on_leading`
    when this replica begins to serve, and when it has stopped; `on_split` when it has been replaced by two.
    While `congested`, no writes are taken: their index changes would queue without end. While `splitting`, none
    either: the partition is about to be replaced by two. Nor when `closed`: its table was deleted. `locks` are those of
    transactions, while this replica leads; `locked` are the same by the keys of their items. `budget` bounds what the
    replica does in a second, None without a bound; `behind` is the global index that last held the queue up. `stream`
    keeps the shards of a table's partition; `recording` records changes while one is open, or has to be; `on_recorded`
    is told when something was applied that readers wait for, `on_marked` of items of a global table that were changed
    for other regions.
    """

    __slots__ = (
        "_strong",
        "behind",
        "budget",
        "closed",
        "congested",
        "engine",
        "epoch",
        "group",
        "id",
        "index_name",
        "items",
        "locked",
        "locks",
        "on_leading",
        "on_marked",
        "on_queued",
        "on_recorded",
        "on_split",
        "place",
        "recording",
        "schema",
        "splitting",
        "stamps",
        "stream",
    )

    def __init__(
        self,
        schema: TableSchema,
        index_name: str | None,
        group: Group,
        engine: Engine,
        stamps: Callable[[], int],
        on_queued: QueueSink,
        on_leading: LeadSink,
        on_split: SplitSink,
        transactions: TransactionCounts,
    ) -> None:
        self.id = group.id
        self.place = group.place
        self.congested = self.splitting = self.closed = False
        self.budget: PartitionBudget | None = None
        self.behind = ""
        self.epoch = 1
        self.schema = schema
        self.index_name = index_name
        self.group = group
        self.engine = engine
        self.stamps = stamps
        self.on_queued = on_queued
        self.on_leading = on_leading
        self.on_split = on_split
        self.stream: StreamKeeper | None = None
        self.recording: Recording | None = None
        self.on_recorded: Callable[[StreamKeeper], None] = _nothing
        self.on_marked: MarkSink = _not_shipped
        self.items = keyspace.space_prefix(group.place.store, keyspace.ITEMS)
        self.locks = LockTable(transactions)
        self.locked = self.locks.held
        self._strong = StrongReads(group.driver)
        group.listener = self

    def read(self, key: bytes) -> bytes | None:
        """The record of the item at a relative key, as last committed."""
        return self.engine.get(self.items + key)

    def newest(self, full_key: bytes) -> bytes | None:
        """The newest evaluated record of a key, committed or not: what the next write builds on."""
        held = self.group.overlay.get(full_key)
        if held is not None:
            return held[1]
        return self.engine.get(full_key)

    def write(self, write: WriteItem, done: Done) -> None:
        """Evaluate and propose; `done` gets a `WriteResult` once it is durable, or an ApiError.

        Only for a replica whose group is `serving`. A write whose request id was seen before is not applied again:
        it gets the first one's answer.
        """
        group = self.group
        held = None
        group.writes_taken += 1
        request = write.request_id
        if request is not None and self._seen(request, done):
            return
        try:
            group.driver.admit(group)
            if self.congested or self.splitting or self.closed:
                raise self.busy()
            budget = self.budget if write.expiry_s is None else None
            if budget is not None:
                budget.admit_write(self.schema)
            full_key = self.items + write.key
            held = group.overlay.get(full_key)
            if self.locked and self.locks.barring(write.key) is not None:
                if write.expiry_s is None:  # a sweep comes again until it can have the item
                    self.locks.counts.conflicts += 1
                raise transaction_conflict()
            recording = self.recording
            if recording is not None and recording.shard is None:
                recording = self.recorder()
            current = self.engine.get(full_key) if held is None else held[1]
            stamp = self.stamps()
            if current is None and stamp <= group.watermark:
                stamp = group.watermark + 1
            index = group.core.log.last_index + 1
            effects = evaluate(write, self.schema, self.place, full_key, current, stamp, index)
            if recording is not None:
                recording.add(effects, full_key, write.key, current, index, 0, write.expiry_s is not None)
            if budget is not None:
                budget.charge_result(effects.result)
        except ApiError as error:
            if self.budget is not None:
                self.budget.charge_failed(error)
            if held is None:
                self.answer_led(error, done)
            else:
                # Judged on top of a write that is not durable yet: the verdict must not be known before it.
                verdict = error
                group.propose(Effects([], [], None), lambda answer: done(answer or verdict))
            return
        if effects.mutations or held is not None:
            if request is not None:
                effects.request = (request[0], request[1], stamp, encode_result(effects.result))
            group.propose(effects, done)
        else:
            self.answer_led(effects.result, done)

    def recorder(self) -> Recording | None:
        """How a change is recorded that is proposed now; ServiceUnavailable while the shard cannot be opened."""
        recording = self.recording
        if recording is not None and recording.shard is None and self.stream is not None:
            self.stream.begin()
            return self.recording
        return recording

    def busy(self) -> ApiError:
        """Why no writes are taken while `congested` or `splitting`, or when `closed`."""
        if self.closed:
            return resource_not_found()
        if self.congested:
            if self.throttles and find_global_index(self.schema, self.behind) is not None:
                return index_behind(self.schema, self.behind)
            return unavailable("The global indexes of the table do not keep up with its writes; retry later")
        return unavailable("The partition is being split; retry later")

    @property
    def throttles(self) -> bool:
        """Whether requests are refused for want of capacity."""
        return self.budget is not None and self.budget.enforced(self.schema)

    def answer_led(self, answer: Any, done: Done) -> None:
        """Answer a write that changes nothing: like a strong read, it must come from the one that leads now."""
        if self._strong.leased(self.group):
            done(answer)
        else:
            self._strong.confirm(self.group, lambda: answer, done)

    def _seen(self, request: tuple[int, int], done: Done) -> bool:
        """Whether a request was taken before; then `done` gets its answer, now or when it is known."""
        group = self.group
        proposal = group.inflight.get(request)
        if proposal is not None:
            proposal.also(done)
            return True
        known = group.window.find(request[0], request[1])
        if known is None:
            return False
        if known is TOO_OLD:
            done(
                internal(
                    "The request came again after its first answer was forgotten; its outcome is unknown"
                )
            )
        else:
            done(known)
        return True

    def write_entries(self, message: WriteEntries, done: Done) -> None:
        """Apply entries of a global index, each only if it is not older than what is stored."""
        if self.splitting:
            done(unavailable("The partition is being split; retry later"))
            return
        if self.budget is not None and self.budget.holds_back(self.schema):
            done(Overloaded("the partition of the global index has reached its ceiling"))
            return
        if message.fence is not None and not self.group.admits(message.fence):
            # Delivered before. What came after it may be under way: the answer waits for that.
            self.group.propose(Effects([], [], None), done)
            return
        mutations: list[Mutation] = []
        counts: list[Count] = []
        seen: dict[bytes, bytes | None] = {}
        for key, record, stamp in message.entries:
            full_key = self.items + key
            current = seen[full_key] if full_key in seen else self.newest(full_key)
            if current is not None and records.stamp(current) > stamp:
                continue  # with the same stamp a version of another region may have won
            if current is None and record is None:
                continue
            mutations.append((full_key, record))
            seen[full_key] = record
            before = records.size(current) if current is not None else 0
            after = records.size(record) if record is not None else 0
            counts.append((0, (record is not None) - (current is not None), after - before))
            if self.budget is not None:
                self.budget.charge_write(write_units_half(max(before, after)))
        effects = Effects(mutations, counts, None)
        effects.fence = message.fence
        if mutations or self.group.overlay or message.fence is not None:
            self.group.propose(effects, done)
        else:
            done(None)

    def applied(self, effects: Effects, index: int) -> None:
        """An entry of this replica was applied: pass its queued index changes on, if we evaluated them."""
        queued = effects.queued
        if queued is not None and self.group.serving:
            self.on_queued(self, queued)
        if effects.marked is not None and self.group.serving:
            self.on_marked(self, effects.marked)
        if effects.recorded and self.stream is not None and self.stream.readers:
            self.on_recorded(self.stream)
        if effects.released is not None:
            for lock in effects.released:
                self.locks.remove(lock)
        if effects.split is not None:
            self.locks.clear()  # they are its children's now
            self.recording = None
            self.on_split(self)

    def leading(self, serving: bool) -> None:
        """This replica begins to serve as the leader, or has stopped. The leader knows the locks that there are."""
        self.locks.clear()
        if serving and self.index_name is None:
            self._load_locks()
        self.on_leading(self, serving)

    def _load_locks(self) -> None:
        place = self.place
        bounds = keyspace.hashes_of(place.store, keyspace.LOCKS, place.lo, place.hi)
        try:
            for full_key, stored in self.engine.scan(*bounds):
                self.locks.add(decode_lock(full_key[len(self.items) :], stored))
        except (EngineError, ValueError) as error:
            self.group.driver.report(f"the locks of partition {self.id} cannot be read", error)
            self.group.driver.disable(self.group, f"its locks cannot be read: {error}")


def _nothing(keeper: StreamKeeper) -> None:
    """Nobody waits for records."""


def _not_shipped(replica: Replica, marked: list[Marked]) -> None:
    """No link to another region: the marks stay until there is one."""
