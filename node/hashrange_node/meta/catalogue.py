"""The catalogue: one document per table, replicated as the state machine of group 0.

Routers plan a change on the document they know and send the outcome as a compare-and-set on its
generation (`ChangeTable`); the catalogue checks it against the newest planned state and proposes the bytes.
Subscribers are told of every applied change, in order.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from hashrange.model.table import TableSchema
from hashrange.model.table_document import TableDocument
from hashrange.wire.messages import ChangeTable, ConflictError, Done
from hashrange_node.replica.effects import Effects, Mutation
from hashrange_node.replica.group import Group, Proposal
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine

Subscriber = Callable[[str, TableDocument | None, TableDocument | None], None]

GROUP = 0
_NEXT_ID = keyspace.CATALOGUE_PREFIX + b"n"
_TABLE = keyspace.CATALOGUE_PREFIX + b"t"
_TABLE_END = keyspace.CATALOGUE_PREFIX + b"u"


def partitions_of(document: TableDocument | None) -> dict[int, str | None]:
    """All partitions that a document names: id -> global index name, or None for the table itself."""
    if document is None:
        return {}
    found: dict[int, str | None] = {part["id"]: None for part in document["Partitions"]}
    for index in document["GlobalSecondaryIndexes"]:
        for part in index["Partitions"]:
            found[part["id"]] = index["IndexName"]
    return found


class Catalogue:
    """The tables of one cluster, as applied; changed only through `change`."""

    def __init__(self, group: Group, engine: Engine) -> None:
        self.group = group
        self.engine = engine
        self.documents: dict[str, TableDocument] = {}
        self.schemas: dict[str, TableSchema] = {}
        self.next_partition_id = 1
        self._subscribers: list[Subscriber] = []
        group.listener = self

    def load(self) -> None:
        """Read what is applied, after the log has been replayed."""
        stored = self.engine.get(_NEXT_ID)
        if stored is not None:
            self.next_partition_id = int(stored)
        for _, value in self.engine.scan(_TABLE, _TABLE_END):
            document = orjson.loads(value)
            self.documents[document["TableName"]] = document
            self.schemas[document["TableName"]] = TableSchema.from_document(document)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Be told of every applied change: (table name, document before, document after)."""
        self._subscribers.append(subscriber)

    def change(self, message: ChangeTable, done: Done) -> None:
        """Compare-and-set one document. Answers with the new document, or `ConflictError`."""
        key = _TABLE + message.name.encode()
        held = self.group.overlay.get(key)
        stored = held[1] if held is not None else self.engine.get(key)
        before: TableDocument | None = orjson.loads(stored) if stored is not None else None
        found = (before["TableId"], before["Generation"]) if before is not None else None
        planned_next = self._planned_next_id()
        if found != message.expected or any(n < planned_next for n in message.partition_ids):
            # A plan that lost against a change under way can be made again only when that one is applied.
            if self.group.overlay:
                self.group.propose(Effects([], [], ConflictError()), done)
            else:
                done(ConflictError())
            return
        self.group.driver.admit()
        mutations: list[Mutation] = []
        after = message.document
        mutations.append((key, orjson.dumps(after) if after is not None else None))
        if message.partition_ids:
            mutations.append((_NEXT_ID, str(max(message.partition_ids) + 1).encode()))
        effects = Effects(mutations, [], after)
        for partition in partitions_of(before).keys() - partitions_of(after).keys():
            effects.ranges.extend(keyspace.ranges_of(partition))
        self.group.propose(effects, done)

    def _planned_next_id(self) -> int:
        held = self.group.overlay.get(_NEXT_ID)
        return int(held[1]) if held is not None and held[1] is not None else self.next_partition_id

    def applied(self, proposal: Proposal) -> None:
        """Take over an applied change and tell the subscribers."""
        for key, value in proposal.effects.mutations:
            if key == _NEXT_ID:
                assert value is not None
                self.next_partition_id = int(value)
            elif key.startswith(_TABLE):
                name = key[len(_TABLE) :].decode()
                before = self.documents.get(name)
                after: TableDocument | None = None
                if value is None:
                    self.documents.pop(name, None)
                    self.schemas.pop(name, None)
                else:
                    after = orjson.loads(value)
                    assert after is not None
                    self.documents[name] = after
                    self.schemas[name] = TableSchema.from_document(after)
                self._tell(name, before, after)

    def _tell(self, name: str, before: TableDocument | None, after: TableDocument | None) -> None:
        """Tell all subscribers, even if one fails: the others' views must not fall behind."""
        failed: Exception | None = None
        for subscriber in self._subscribers:
            try:
                subscriber(name, before, after)
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed
