"""What the control plane does about its documents: opens and drops partitions, fills indexes, settles states.

It is a loop of small reactions. Every applied change of a document is compared with what this node runs;
whatever a document leaves unfinished (a table CREATING, an index to fill or to drop, a stream to switch) is
carried out, and its end is proposed as the next change of the document. After a restart the same function
runs over all documents, so an interrupted change is picked up where its document stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.errors import ApiError
from hashrange.model import table_state
from hashrange.model.table import TableSchema
from hashrange.model.table_document import CREATING, DELETING, TableDocument, find_global_index
from hashrange.wire.messages import ChangeTable, ConflictError, Done, WhenSettled
from hashrange_node.meta.catalogue import partitions_of
from hashrange_node.node import Node
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.fill import ExpiryFill, Fill, IndexFill
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace

RETRY_DELAY_S = 0.2
Transition = Callable[[TableDocument], TableDocument | None]


class Controller:
    """Acts on the documents of one node's catalogue.

    `transient_delay_s` holds tables and indexes in their transient states (CREATING, DELETING) for a
    while, for programs that want to see them. `now` is the wall clock in seconds.
    """

    def __init__(self, node: Node, now: Callable[[], float], transient_delay_s: float = 0.0) -> None:
        self.node = node
        self._now = now
        self._delay_s = transient_delay_s
        self._fills: dict[tuple[int, str], Fill] = {}
        # Partitions still to be filled, or to be emptied of changes, by (table, index). The set stands for one
        # life of an index: another index of the same name has another set.
        self._unfilled: dict[tuple[str, str], set[int]] = {}
        self._removing: dict[tuple[str, str], set[int]] = {}
        self._pending: set[tuple[str, str]] = set()
        self._waiting: dict[str, list[Done]] = {}
        self.stopped = False
        node.catalogue.subscribe(self._changed)
        node.handle(WhenSettled, self._when_settled)

    def start(self) -> None:
        """Pick up whatever was unfinished when the node stopped."""
        for name, document in list(self.node.catalogue.documents.items()):
            self._act(name, document)

    def stop(self) -> None:
        """End all fills; they go on from their cursors after the next start."""
        self.stopped = True
        for fill in self._fills.values():
            fill.stopped = True

    @property
    def filling(self) -> int:
        """Background fills going on."""
        return len(self._fills)

    def _changed(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        gone = partitions_of(before).keys() - partitions_of(after).keys()
        for partition in gone:
            self.node.close_replica(partition)
            for key in [key for key in self._fills if key[0] == partition]:
                self._fills.pop(key).stopped = True
        self._forget_fills(name, after)
        if after is None or after["Status"] not in (CREATING, DELETING):
            for done in self._waiting.pop(name, ()):
                # Not before the other subscribers know: the answer may bring on the next request at once.
                self.node.scheduler.call_soon(lambda done=done: done(None))  # type: ignore[misc]
        if after is None:
            return
        schema = self.node.catalogue.schemas[name]
        self._open(schema, after)
        self._act(name, after)

    def _when_settled(self, message: WhenSettled, done: Done) -> None:
        document = self.node.catalogue.documents.get(message.name)
        if self._delay_s > 0 or document is None or document["Status"] not in (CREATING, DELETING):
            done(None)
        else:
            self._waiting.setdefault(message.name, []).append(done)

    def _forget_fills(self, name: str, after: TableDocument | None) -> None:
        """Stop the fills of indexes that were deleted before they were filled."""
        for table, index in list(self._unfilled):
            if table == name and (after is None or find_global_index(after, index) is None):
                del self._unfilled[table, index]
                for key in [key for key in self._fills if key[1] == index]:
                    fill = self._fills[key]
                    if fill.replica.schema.name == name:
                        del self._fills[key]
                        fill.stopped = True
                        fill.forget()
        for table, index in list(self._removing):
            if table == name and (after is None or find_global_index(after, index) is None):
                del self._removing[table, index]

    def _open(self, schema: TableSchema, document: TableDocument) -> None:
        for partition, index_name in partitions_of(document).items():
            replica = self.node.replicas.get(partition)
            if replica is None:
                self.node.open_replica(partition, schema, index_name)
            else:
                replica.schema = schema

    def _act(self, name: str, document: TableDocument) -> None:
        status = document["Status"]
        if status == CREATING:
            self._later(name, "activate", lambda d: table_state.table_activated(d, self._now()))
        elif status == DELETING:
            self._later(name, "delete", lambda d: None if d["Status"] == DELETING else d)
        else:
            for index in document["GlobalSecondaryIndexes"]:
                if index["Status"] == CREATING:
                    self._fill_index(name, index["IndexName"])
                elif index["Status"] == DELETING:
                    self._remove_index(name, index["IndexName"])
            if "StreamChanging" in document:
                self._later(name, "stream", table_state.stream_settled)
            self._keep_expiry(name, document)

    def _remove_index(self, name: str, index: str) -> None:
        """Remove an index once no change for it is queued: a later one of its name must not get them."""
        if (name, index) in self._removing:
            return
        partitions = self.node.catalogue.schemas[name].partitions.all
        left = self._removing[name, index] = {partition.id for partition in partitions}

        def delivered(partition: int) -> None:
            left.discard(partition)
            if not left and self._removing.get((name, index)) is left:
                self._later(name, "remove:" + index, lambda d: table_state.index_removed(d, index))

        for partition in partitions:
            self._drained(self.node.replicas[partition.id], lambda part=partition.id: delivered(part))  # type: ignore[misc]

    def _drained(self, replica: Replica, callback: Callable[[], None]) -> None:
        """Call when what is under way now has been applied, and what it queued for indexes delivered."""

        def applied(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self.node.scheduler.call_later(RETRY_DELAY_S, lambda: self._drained(replica, callback))
            else:
                self.node.shipper(replica).when_delivered(callback)

        if not self.stopped and not replica.group.dropped:
            replica.group.propose(Effects([], [], None), applied)

    def _later(self, name: str, what: str, transition: Transition) -> None:
        """Apply a transition to the newest document soon; a second request for the same is one."""
        key = (name, what)
        if key in self._pending:
            return
        self._pending.add(key)
        if self._delay_s > 0:
            self.node.scheduler.call_later(self._delay_s, lambda: self._transit(name, key, transition))
        else:
            self._transit(name, key, transition)

    def _transit(self, name: str, key: tuple[str, str], transition: Transition) -> None:
        document = self.node.catalogue.documents.get(name)
        after = transition(document) if document is not None else document
        if self.stopped or document is None or after is document:
            self._pending.discard(key)
            return

        def done(answer: Any) -> None:
            if isinstance(answer, ConflictError):
                self.node.scheduler.call_soon(lambda: self._transit(name, key, transition))
            elif isinstance(answer, Exception):
                self.node.scheduler.call_later(RETRY_DELAY_S, lambda: self._transit(name, key, transition))
            else:
                self._pending.discard(key)

        expected = (document["TableId"], document["Generation"])
        self.node.send(ChangeTable(name, expected, after, []), done)

    def _fill_index(self, name: str, index: str) -> None:
        schema = self.node.catalogue.schemas[name]
        if (name, index) in self._unfilled:
            return
        left = self._unfilled[name, index] = {partition.id for partition in schema.partitions.all}
        for partition in schema.partitions.all:
            replica = self.node.replicas[partition.id]
            fill = IndexFill(
                replica,
                index,
                self.node.scheduler.call_later,
                lambda part=partition.id: self._filled(name, index, part, left),  # type: ignore[misc]
                self.node.report,
                self.node.shipper(replica).when_delivered,
            )
            self._fills[partition.id, index] = fill
            fill.start()

    def _filled(self, name: str, index: str, partition: int, left: set[int]) -> None:
        """One partition has been walked: the index is active once all of them are, and all is delivered."""
        fill = self._fills.pop((partition, index), None)
        if fill is None:
            return

        def delivered() -> None:
            left.discard(partition)
            fill.forget()
            if not left and self._unfilled.get((name, index)) is left:
                del self._unfilled[name, index]
                activate: Transition = lambda d: table_state.index_activated(d, index, self._now())  # noqa: E731
                self._later(name, "activate:" + index, activate)

        self.node.shipper(self.node.replicas[partition]).when_delivered(delivered)

    def _keep_expiry(self, name: str, document: TableDocument) -> None:
        """Fill the expiry index while time to live is on; while it is off, see that nothing is left of it."""
        wanted = ExpiryFill.name_of(document["TimeToLive"])
        for partition in self.node.catalogue.schemas[name].partitions.all:
            for key in [key for key in self._fills if key[0] == partition.id and key[1].startswith("ttl:")]:
                if key[1] != wanted:
                    self._fills.pop(key).stopped = True
            if wanted is None:
                self._drop_expiry(self.node.replicas[partition.id])
            elif (partition.id, wanted) not in self._fills:
                self._fill_expiry(partition.id, wanted)

    def _fill_expiry(self, partition: int, name: str) -> None:
        fill = ExpiryFill(
            self.node.replicas[partition],
            name,
            self.node.scheduler.call_later,
            lambda: self._expiry_filled(partition, name),
            self.node.report,
        )
        self._fills[partition, name] = fill
        fill.start()

    def _expiry_filled(self, partition: int, fill_name: str) -> None:
        self._fills.pop((partition, fill_name), None)

    def _drop_expiry(self, replica: Replica) -> None:
        """Time to live is off: the expiry index and the cursors of its fills go, if there are any."""
        if self.stopped or replica.group.dropped or replica.schema.ttl_attribute is not None:
            return
        ranges = [
            (keyspace.fill_cursor(replica.id, "ttl:"), keyspace.fill_cursor(replica.id, "ttl;")),
            (
                keyspace.space_prefix(replica.id, keyspace.EXPIRY),
                keyspace.space_prefix(replica.id, keyspace.EXPIRY + 1),
            ),
        ]
        if all(next(self.node.engine.scan(low, high), None) is None for low, high in ranges):
            return

        def dropped(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self.node.scheduler.call_later(RETRY_DELAY_S, lambda: self._drop_expiry(replica))

        effects = Effects([], [], None)
        effects.ranges.extend(ranges)
        replica.group.propose(effects, dropped)
