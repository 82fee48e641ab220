"""What the control plane does about its documents: opens and drops partitions, fills indexes, settles states.

It is a loop of small reactions. Every applied change of a document is compared with what this node runs;
whatever a document leaves unfinished (a table CREATING, an index to fill or to drop, a stream to switch) is
carried out, and its end is proposed as the next change of the document. After a restart the same function
runs over all documents, so an interrupted change is picked up where its document stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.model import table_state
from hashrange.model.table import TableSchema
from hashrange.model.table_document import CREATING, DELETING, TableDocument, find_global_index
from hashrange.wire.messages import ChangeTable, ConflictError, Done, WhenSettled
from hashrange_node.meta.catalogue import partitions_of
from hashrange_node.node import Node
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.fill import ExpiryFill, Fill, IndexFill
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
        self._unfilled: dict[tuple[str, str], set[int]] = {}
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
                done(None)
        if after is None:
            return
        schema = self.node.catalogue.schemas[name]
        self._open(schema, after)
        if before is not None:
            self._drop_expiry(before, after, schema)
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
            self._fill_expiry(name)

    def _remove_index(self, name: str, index: str) -> None:
        self._later(name, "remove:" + index, lambda d: table_state.index_removed(d, index))

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
        self._unfilled[name, index] = {partition.id for partition in schema.partitions.all}
        for partition in schema.partitions.all:
            replica = self.node.replicas[partition.id]
            fill = IndexFill(
                replica,
                index,
                self.node.scheduler.call_later,
                lambda part=partition.id: self._filled(name, index, part),  # type: ignore[misc]
            )
            self._fills[partition.id, index] = fill
            fill.start()

    def _filled(self, name: str, index: str, partition: int) -> None:
        """One partition has been walked: the index is active once all of them are, and all is delivered."""
        fill = self._fills.pop((partition, index), None)
        if fill is None:
            return

        def delivered() -> None:
            left = self._unfilled.get((name, index), set())
            left.discard(partition)
            fill.forget()
            if not left:
                self._unfilled.pop((name, index), None)
                activate: Transition = lambda d: table_state.index_activated(d, index, self._now())  # noqa: E731
                self._later(name, "activate:" + index, activate)

        self.node.shipper(self.node.replicas[partition]).when_idle(delivered)

    def _fill_expiry(self, name: str) -> None:
        schema = self.node.catalogue.schemas[name]
        if schema.ttl_attribute is None:
            return
        fill_name = "ttl:" + schema.ttl_attribute
        for partition in schema.partitions.all:
            replica = self.node.replicas[partition.id]
            if (partition.id, fill_name) in self._fills:
                continue
            finished: Callable[[], None] = lambda part=partition.id: self._expiry_filled(part, fill_name)  # type: ignore[misc]  # noqa: E731
            fill = ExpiryFill(replica, fill_name, self.node.scheduler.call_later, finished)
            self._fills[partition.id, fill_name] = fill
            fill.start()

    def _expiry_filled(self, partition: int, fill_name: str) -> None:
        self._fills.pop((partition, fill_name), None)

    def _drop_expiry(self, before: TableDocument, after: TableDocument, schema: TableSchema) -> None:
        """Time to live was switched off: its index and the cursors of its fills go."""
        old = before["TimeToLive"].get("AttributeName")
        if old is None or after["TimeToLive"].get("AttributeName") == old:
            return
        for partition in schema.partitions.all:
            replica = self.node.replicas[partition.id]
            fill = self._fills.pop((partition.id, "ttl:" + old), None)
            if fill is not None:
                fill.stopped = True
            effects = Effects([(keyspace.fill_cursor(partition.id, "ttl:" + old), None)], [], None)
            prefix = keyspace.space_prefix(partition.id, keyspace.EXPIRY)
            effects.ranges.append((prefix, prefix[:-1] + bytes((keyspace.EXPIRY + 1,))))
            replica.group.propose(effects, None)
