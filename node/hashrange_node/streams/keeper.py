"""The shards of one partition, kept by its leader: opened, closed and continued by entries of its log.

The leader reads them when it begins to lead and knows them until it stops. Whatever it changes it proposes first:
what is written behind that in the log follows it. `rows` are as proposed; what others are told waits until an entry
is applied (`applied`).

    not wanted, none open      nothing
    wanted, not open           an entry opens a shard; no write is taken before it is in the log
    open, not wanted           an entry closes it
    open, another one wanted   one entry closes and opens
    open for too long          one entry closes it and opens the shard that continues it
    partition split            the splitting entry closes it and opens the first shards of the children
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hashrange.errors import ApiError, unavailable
from hashrange.model.stream_sequence import index_of, sequence_bytes, sequence_of
from hashrange.model.table import StreamSettings
from hashrange.wire.streams import Shard
from hashrange_node.replica.effects import Effects, Mutation
from hashrange_node.replica.place import Place
from hashrange_node.replica.replica import Replica
from hashrange_node.storage.engine import EngineError
from hashrange_node.streams import shards
from hashrange_node.streams.recording import Recording
from hashrange_node.streams.shards import ShardRow

RETRY_DELAY_S = 0.2

Later = Callable[[float, Callable[[], None]], Any]


class StreamKeeper:
    """Keeps the shards of one replica's partition while it leads. `readers` wait for records (`reading`)."""

    __slots__ = (
        "_changed_index",
        "_later",
        "_retrying",
        "_waiting",
        "_wall_ms",
        "generation",
        "readers",
        "replica",
        "rows",
        "trim_due_ms",
        "wanted",
    )

    def __init__(self, replica: Replica, wall_ms: Callable[[], int], later: Later) -> None:
        self.replica = replica
        self.rows: dict[str, ShardRow] = {}
        """By shard id, in the order of their numbers; empty while this replica does not lead."""
        self.wanted: StreamSettings | None = None
        self.generation = 0
        self.readers: list[Any] = []
        self.trim_due_ms = 0
        """Before this wall time nothing is old enough to be trimmed."""
        self._wall_ms = wall_ms
        self._later = later
        self._waiting: list[Callable[[], None]] = []
        self._changed_index = 0
        self._retrying = False

    # ---- leadership

    def leading(self, serving: bool) -> None:
        """The replica begins to serve, or has stopped."""
        replica = self.replica
        self.rows = {}
        self._waiting = []
        self._changed_index = self.trim_due_ms = 0
        replica.recording = None
        if serving:
            self._load()
            self.generation = 0
            self.want(replica.schema.generation, replica.schema.stream)

    def _load(self) -> None:
        replica = self.replica
        place, group = replica.place, replica.group
        try:
            for _, stored in replica.engine.scan(*shards.rows_range(place.store, place.lo)):
                row = shards.decode_row(stored)
                self.rows[row.shard.id] = row
        except (EngineError, ValueError, KeyError, TypeError) as error:
            group.driver.report(f"the shards of partition {replica.id} cannot be read", error)
            group.driver.disable(group, f"its shards cannot be read: {error!r}")
            return
        self._record()

    # ---- what there is

    @property
    def latest(self) -> ShardRow | None:
        """The newest shard."""
        return next(reversed(self.rows.values()), None)

    @property
    def open(self) -> ShardRow | None:
        """The shard that gets this partition's records."""
        latest = self.latest
        return latest if latest is not None and latest.shard.open else None

    @property
    def agreed(self) -> bool:
        """Whether the shards are as the document wants them, and what made them so is applied."""
        return self._changed_index <= self._applied and not self._amiss()

    @property
    def _applied(self) -> int:
        applied: int = self.replica.group.core.log.applied
        return applied

    def shown(self, row: ShardRow) -> Shard | None:
        """A shard as far as it is applied; None when not even its beginning is."""
        shard = row.shard
        if shard.partition != self.replica.id:
            return shard
        if index_of(shard.start) > self._applied:
            return None
        if shard.end is not None and index_of(shard.end) > self._applied:
            return replace(shard, end=None, closed_ms=None)
        return shard

    # ---- what there should be

    def want(self, generation: int, stream: StreamSettings | None) -> None:
        """The table's document of a generation has this stream, or none: see to it, if this replica leads."""
        if generation < self.generation or not self.replica.group.serving:
            return
        self.generation, self.wanted = generation, stream
        self.agree()

    def when_agreed(self, on_done: Callable[[], None]) -> None:
        """Call once `agreed`: now, or later; never if leadership is lost before."""
        self._waiting.append(on_done)
        self._settle()

    def _amiss(self) -> bool:
        latest, wanted = self.latest, self.wanted
        if latest is not None and latest.generation > self.generation:
            return False
        label = wanted.label if wanted is not None else None
        return label != (latest.shard.label if latest is not None and latest.shard.open else None)

    def agree(self) -> None:
        """Propose what makes the shards as the document wants them. While it is refused, it is tried again."""
        if not self._amiss():
            self._record()
            self._settle()
            return
        replica = self.replica
        place, latest, wanted = replica.place, self.latest, self.wanted
        index, now_ms = replica.group.last_index + 1, self._wall_ms()
        changed: list[ShardRow] = []
        before = latest.shard if latest is not None else None
        if latest is not None and latest.shard.open:
            end = sequence_of(place.id, index, 0)
            changed.append(shards.closed(latest, end, now_ms, self.generation))
        if wanted is not None:
            start = sequence_of(place.id, index, 1)
            changed.append(shards.opened(place, wanted, self.generation, before, start, now_ms))
        if not self.change(changed, index):
            if wanted is not None:
                replica.recording = Recording(place.store, None)
            self._again()

    def begin(self) -> None:
        """Open the shard that is wanted before something is written; ServiceUnavailable when that cannot be."""
        self.agree()
        recording = self.replica.recording
        if recording is not None and recording.shard is None:
            raise unavailable("The stream of the table is being opened; retry later")

    def roll_over(self) -> None:
        """Close the open shard and continue it with another one."""
        row = self.open
        if row is not None and not self._amiss():
            index = self.replica.group.last_index + 1
            self.change([*shards.rolled_over(row, self.replica.place, index, self._wall_ms())], index)

    def split(self, effects: Effects, children: list[Place], base_index: int) -> None:
        """Let the entry that splits the partition close the open shard and open those of the children."""
        row = self.open
        if row is not None:
            replica = self.replica
            index = replica.group.last_index + 1
            changed = shards.split(row, replica.place, index, children, base_index, self._wall_ms())
            effects.mutations.extend(self._mutations(changed, index))
            effects.recorded = True

    # ---- changing it

    def change(self, changed: list[ShardRow], index: int) -> bool:
        """Propose shards as they are to be; False when that was refused, and nothing is changed."""
        effects = Effects(self._mutations(changed, index), [], None)
        effects.recorded = True
        if not self.replica.group.propose(effects, self._changed):
            return False
        for row in changed:
            self.rows[row.shard.id] = row
        self._changed_index = index
        self._record()
        return True

    def trim(self, row: ShardRow, trimmed: int, done: Callable[[Any], None]) -> None:
        """Drop the records of a shard up to the number `trimmed`."""
        place, group = self.replica.place, self.replica.group
        kept = ShardRow(replace(row.shard, trimmed=trimmed), row.generation)
        first = max(row.shard.start, row.shard.trimmed) + 1
        prefix = shards.records_prefix(place.store, row.shard.lo)
        effects = Effects(self._mutations([kept], group.last_index + 1), [], None)
        effects.ranges = [(prefix + sequence_bytes(first), prefix + sequence_bytes(trimmed + 1))]
        if group.propose(effects, done):
            self.rows[kept.shard.id] = kept

    def forget(self, row: ShardRow, done: Callable[[Any], None]) -> None:
        """Drop a shard that has no records any more."""
        key = shards.row_key(self.replica.place.store, row.shard)
        if self.replica.group.propose(Effects([(key, None)], [], None), done):
            self.rows.pop(row.shard.id, None)

    def _mutations(self, changed: list[ShardRow], index: int) -> list[Mutation]:
        store, stamp = self.replica.place.store, self.replica.stamps()
        return [shards.row_mutation(store, row, stamp, index) for row in changed]

    def _record(self) -> None:
        """Record from now on what the open shard is to have."""
        row = self.open
        held = self.replica.recording
        if row is None:
            self.replica.recording = None
        elif held is None or held.shard != row.shard:
            self.replica.recording = Recording(self.replica.place.store, row.shard)

    def _changed(self, answer: Any) -> None:
        if not isinstance(answer, ApiError):
            self._settle()
        elif self.replica.group.serving:
            self._again()

    def _again(self) -> None:
        if not self._retrying:
            self._retrying = True
            self._later(RETRY_DELAY_S, self._retry)

    def _retry(self) -> None:
        self._retrying = False
        group = self.replica.group
        if group.serving and group.split is None and not group.dropped:
            self.agree()

    def _settle(self) -> None:
        if not self._waiting or self._amiss():
            return
        if self._changed_index > self._applied:
            self._again()  # a look at it, in case its answer came before its end
            return
        waiting, self._waiting = self._waiting, []
        for on_done in waiting:
            on_done()
