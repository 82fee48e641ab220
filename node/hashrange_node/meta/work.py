"""What the leaders of partitions do about documents: fill indexes, drain queues, keep the expiry index, and empty
the partitions of deleted tables that are kept for their streams.

It is a loop of small reactions. When a replica on this node begins to lead, and whenever its table's document is
changed, what the document asks of the partition is compared with what is going on. The end of a piece of work is told
to the control plane (`WorkDone`), again and again until the document has moved on: the message, or the control
leader's memory of it, may be lost. When a replica stops leading its work stops; the next leader goes on from the
cursors, which are replicated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError
from hashrange.model import regions
from hashrange.model.deleted_table import is_deleted
from hashrange.model.regions import ReplicaTarget
from hashrange.model.table_document import CREATING, DELETING, TableDocument
from hashrange.wire.cluster import WorkDone
from hashrange_node.meta.transitions import drained, filled, replicated, switched
from hashrange_node.regions.fill import ReplicaFill
from hashrange_node.replica.effects import Effects, Mutation
from hashrange_node.replica.fill import ExpiryFill, Fill, IndexFill
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace

if TYPE_CHECKING:
    from hashrange_node.node import Node

RETRY_DELAY_S = 0.2
REPEAT_S = 2.0
DROP_STEP = 2_000
ITEM_SPACES = [space for space in keyspace.HASHED_SPACES if space < keyspace.EXPIRY]
"""Where items and the entries of local indexes lie."""


class _Task:
    """One piece of work of one partition for one index: a fill, or waiting until its changes are delivered."""

    __slots__ = ("fill", "finished", "index", "replica", "stopped", "what")

    def __init__(self, replica: Replica, index: str, what: str) -> None:
        self.replica = replica
        self.index = index
        self.what = what
        self.fill: Fill | None = None
        self.finished = self.stopped = False

    def stop(self) -> None:
        self.stopped = True
        if self.fill is not None:
            self.fill.stopped = True


class Work:
    """The work on the partitions that are led on one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tasks: dict[tuple[int, str], _Task] = {}
        self._expiry: dict[tuple[int, str], Fill] = {}
        self._repeating = False
        self.stopped = False

    @property
    def filling(self) -> int:
        """Background fills going on."""
        fills = sum(task.fill is not None and not task.finished for task in self._tasks.values())
        return fills + len(self._expiry)

    def start(self) -> None:
        """Pick up what is to do for the partitions that are led here already."""
        for replica in list(self._node.replicas.values()):
            if replica.group.serving:
                self.leading(replica, True)

    def stop(self) -> None:
        """End all work; it goes on from the cursors after the next start."""
        self.stopped = True
        for task in self._tasks.values():
            task.stop()
        for fill in self._expiry.values():
            fill.stopped = True

    def leading(self, replica: Replica, serving: bool) -> None:
        """A replica begins to lead, or has stopped."""
        if self._node.shipping is not None:
            self._node.shipping.leading(replica, serving)
        if serving:
            document = self._node.catalogue.documents.get(replica.schema.name)
            if document is not None and replica.index_name is None:
                self._act(replica, document)
            return
        for key in [key for key in self._tasks if key[0] == replica.id]:
            self._tasks.pop(key).stop()
        for expiry in [key for key in self._expiry if key[0] == replica.id]:
            self._expiry.pop(expiry).stopped = True

    def changed(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        """A document was changed."""
        self._forget(name, after)
        if after is None:
            if self._node.shipping is not None:
                self._node.shipping.forget(name)
            return
        for part in after["Partitions"]:
            replica = self._node.replicas.get(part["id"])
            if replica is not None and replica.group.serving:
                if self._node.shipping is not None:
                    self._node.shipping.changed(replica)
                self._act(replica, after)

    def closed(self, partition: int) -> None:
        """A partition is not on this node any more."""
        if self._node.shipping is not None:
            self._node.shipping.closed(partition)
        for key in [key for key in self._tasks if key[0] == partition]:
            self._tasks.pop(key).stop()
        for expiry in [key for key in self._expiry if key[0] == partition]:
            self._expiry.pop(expiry).stopped = True

    def _forget(self, name: str, after: TableDocument | None) -> None:
        """Stop what the document does not ask for any more; cursors of fills that are over go."""
        wanted: set[str] = set()
        for index in after["GlobalSecondaryIndexes"] if after is not None else ():
            if index["Status"] == CREATING:
                wanted.add(filled(index))
            elif index["Status"] == DELETING:
                wanted.add(drained(index))
        if after is not None and "StreamChanging" in after:
            wanted.add(switched(after))
        wanted |= {replicated(target) for target in regions.targets(after or {}) if not target.filled}
        for key, task in list(self._tasks.items()):
            if task.replica.schema.name == name and task.what not in wanted:
                del self._tasks[key]
                task.stop()
                if task.fill is not None and after is not None and task.replica.group.serving:
                    task.fill.forget()

    def _act(self, replica: Replica, document: TableDocument) -> None:
        if self.stopped or replica.group.split is not None or document["Status"] in (CREATING, DELETING):
            return
        for index in document["GlobalSecondaryIndexes"]:
            if index["Status"] == CREATING:
                self._fill_index(replica, index["IndexName"], filled(index))
            elif index["Status"] == DELETING:
                self._drain_index(replica, index["IndexName"], drained(index))
        for target in regions.targets(document):
            if not target.filled:
                self._fill_replica(replica, target)
        self._keep_expiry(replica, document)
        if "StreamChanging" in document:
            self._switch_stream(replica, document)
        if is_deleted(document):
            self._empty(replica)

    # ---- streams

    def _switch_stream(self, replica: Replica, document: TableDocument) -> None:
        """Report once the entry that opens or closes the partition's shard is applied.

        A document that came meanwhile keeps the one before from being reported: asked again for each.
        """
        what = switched(document)
        task = self._tasks.get((replica.id, what)) or self._task(replica, "", what)
        if task is not None and not task.finished:
            self._node.streams.keep(replica, document, lambda: self._finish(task))

    # ---- deleted tables

    def _empty(self, replica: Replica) -> None:
        """The table was deleted and the partition is kept for its streams: the items go, and no more are taken."""
        replica.closed = True
        group, place = replica.group, replica.place
        ranges = [keyspace.hashes_of(place.store, space, place.lo, place.hi) for space in ITEM_SPACES]
        ranges.append((keyspace.queue_prefix(replica.id), keyspace.queue_prefix(replica.id + 1)))
        if self.stopped or not group.serving:
            return
        if not group.overlay and all(next(replica.engine.scan(*each), None) is None for each in ranges):
            return
        counts = [(space, -n, -size) for space, (n, size) in group.counts.items() if n or size]
        effects = Effects([], counts, None)
        effects.ranges = ranges

        def emptied(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self._node.scheduler.call_later(RETRY_DELAY_S, lambda: self._empty(replica))

        group.propose(effects, emptied)

    # ---- global indexes

    def _task(self, replica: Replica, index: str, what: str) -> _Task | None:
        """A new task, or None when there is one already."""
        key = (replica.id, what)
        if key in self._tasks:
            return None
        task = self._tasks[key] = _Task(replica, index, what)
        return task

    def _fill_index(self, replica: Replica, index: str, what: str) -> None:
        task = self._task(replica, index, what)
        if task is None:
            return
        shipper = self._node.shipper(replica)
        task.fill = IndexFill(
            replica,
            index,
            self._node.scheduler.call_later,
            lambda: shipper.when_delivered(lambda: self._finish(task)),
            self._node.report,
            shipper.when_delivered,
        )
        task.fill.start()

    def _fill_replica(self, replica: Replica, target: ReplicaTarget) -> None:
        """Mark everything for a replica in another region; report once it has it."""
        shipping = self._node.shipping
        if shipping is None:
            return  # nothing is sent from here
        task = self._task(replica, "", replicated(target))
        if task is None:
            return
        task.fill = ReplicaFill(
            replica,
            target,
            self._node.scheduler.call_later,
            lambda: shipping.when_passed(replica, target.region, lambda: self._finish(task)),
            self._node.report,
            lambda: shipping.has_room(replica, target.region),
        )
        task.fill.start()

    def _drain_index(self, replica: Replica, index: str, what: str) -> None:
        """Report once no change for the index is queued: a later one of its name must not get them."""
        task = self._task(replica, index, what)
        if task is not None:
            self._drain(task)

    def _drain(self, task: _Task) -> None:
        """What is under way now has to be applied first, and then what it queued delivered."""
        if task.stopped or self.stopped:
            return

        def applied(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self._node.scheduler.call_later(RETRY_DELAY_S, lambda: self._drain(task))
            elif not task.stopped:
                self._node.shipper(task.replica).when_delivered(lambda: self._finish(task))

        task.replica.group.propose(Effects([], [], None), applied)

    def _finish(self, task: _Task) -> None:
        if not task.stopped and not task.finished and not self.stopped:
            task.finished = True
            self._announce(task)
            self._repeat_later()

    def _announce(self, task: _Task) -> None:
        schema = task.replica.schema
        message = WorkDone(schema.name, schema.table_id, task.replica.id, task.what)
        self._node.transport.send(message, _ignore)  # type: ignore[arg-type]

    def _repeat_later(self) -> None:
        if not self._repeating and not self.stopped:
            self._repeating = True
            self._node.scheduler.call_later(REPEAT_S, self._repeat)

    def _repeat(self) -> None:
        self._repeating = False
        finished = [task for task in self._tasks.values() if task.finished]
        if finished and not self.stopped:
            for task in finished:
                self._announce(task)
            self._repeat_later()

    # ---- time to live

    def _keep_expiry(self, replica: Replica, document: TableDocument) -> None:
        """Fill the expiry index while time to live is on; while it is off, see that nothing is left of it."""
        wanted = ExpiryFill.name_of(document["TimeToLive"])
        for key in [key for key in self._expiry if key[0] == replica.id and key[1] != wanted]:
            self._expiry.pop(key).stopped = True
        if wanted is None:
            self._drop_expiry(replica)
        elif (replica.id, wanted) not in self._expiry:
            self._fill_expiry(replica, wanted)

    def _fill_expiry(self, replica: Replica, name: str) -> None:
        key = (replica.id, name)
        fill = self._expiry[key] = ExpiryFill(
            replica,
            name,
            self._node.scheduler.call_later,
            lambda: self._expiry_filled(key),
            self._node.report,
        )
        fill.start()

    def _expiry_filled(self, key: tuple[int, str]) -> None:
        self._expiry.pop(key, None)

    def _drop_expiry(self, replica: Replica) -> None:
        """Time to live is off: the expiry index and the cursors of its fills go, if there are any."""
        group = replica.group
        if self.stopped or not group.serving or replica.schema.ttl_attribute is not None:
            return
        effects = Effects([], [], None)
        more = _leftovers(replica, effects)
        if not effects.mutations and not effects.ranges:
            return

        def dropped(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self._node.scheduler.call_later(RETRY_DELAY_S, lambda: self._drop_expiry(replica))
            elif more:
                self._drop_expiry(replica)

        group.propose(effects, dropped)


def _leftovers(replica: Replica, effects: Effects) -> bool:
    """Add the removal of what time to live has left to `effects`; True when that was not everything."""
    place = replica.place
    engine = replica.engine
    cursors = (keyspace.fill_cursor(replica.id, "ttl:"), keyspace.fill_cursor(replica.id, "ttl;"))
    entries = (
        keyspace.space_prefix(place.store, keyspace.EXPIRY),
        keyspace.space_prefix(place.store, keyspace.EXPIRY + 1),
    )
    if place.whole:
        if any(next(engine.scan(low, high), None) is not None for low, high in (cursors, entries)):
            effects.ranges = [*effects.ranges, cursors, entries]
        return False
    # Entries of other partitions lie between those of this one: they are told apart by their hash.
    first, last = place.lo.to_bytes(8, "big"), place.hi.to_bytes(8, "big")
    mutations: list[Mutation] = [(key, None) for key, _ in engine.scan(*cursors)]
    for key, _ in engine.scan(*entries):
        if first <= keyspace.expiry_hash(key) <= last:
            mutations.append((key, None))
            if len(mutations) >= DROP_STEP:
                break
    effects.mutations = mutations
    return len(mutations) >= DROP_STEP


def _ignore(answer: Any) -> None:
    """The report is repeated until it had its effect."""
