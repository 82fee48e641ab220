"""The catalogue as a program outside group 0 knows it: tables, placements and nodes, kept from updates.

A `ClusterView` is fed with `CatalogueUpdate`s in any order and from any node; it never goes back, and tells its
listeners what changed. Keys are those of the catalogue's state in the engine:

    Cn                 next partition id, decimal
    Ct<table name>     table document, JSON
    Cp<partition, 8B>  placement, JSON
    CN<node id, 8B>    node record, JSON
    Cd<kind>0<name>    control document (0 is a NUL), JSON
    Cc                 cluster record, JSON
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from hashrange.model.table_document import TableDocument
from hashrange.wire.cluster import CatalogueUpdate, NodeRecord, Placement
from hashrange.wire.documents import ControlDocument, ControlDocuments, OnControlDocument

PREFIX = b"C"
NEXT_PARTITION = PREFIX + b"n"
TABLE = PREFIX + b"t"
PLACEMENT = PREFIX + b"p"
NODE = PREFIX + b"N"
CLUSTER = PREFIX + b"c"
DOCUMENT = PREFIX + b"d"

OnDocument = Callable[[str, TableDocument | None, TableDocument | None], None]
OnPlacement = Callable[[int, Placement | None], None]
OnNode = Callable[[int, NodeRecord | None], None]


class ClusterView:
    """What is known of the cluster, up to `index` of group 0. Values are replaced, never changed in place.

    Listeners are called once an update has been taken over as a whole, placements and nodes before tables, so that
    whoever hears of a table can find its partitions: `on_document(name, before, after)`, `on_placement(id, after)`,
    `on_node(id, after)`, `on_control(kind, name, before, after)` for control documents, then `on_change()`.
    """

    def __init__(self) -> None:
        self.index = 0
        self.received = False
        """Whether a whole catalogue has ever been received."""
        self.cluster = ""
        self.next_partition_id = 1
        self.documents: dict[str, TableDocument] = {}
        self.placements: dict[int, Placement] = {}
        self.nodes: dict[int, NodeRecord] = {}
        self.controls = ControlDocuments()
        self.on_document: list[OnDocument] = []
        self.on_placement: list[OnPlacement] = []
        self.on_node: list[OnNode] = []
        self.on_control: list[OnControlDocument] = []
        self.on_change: list[Callable[[], None]] = []
        self._values: dict[bytes, bytes] = {}

    def apply(self, update: CatalogueUpdate) -> bool:
        """Take over an update; False when it does not follow on what is known, so that one must ask again.

        An update that says nothing new is not taken over and needs no asking: True.
        """
        if not update.full and (update.after_index > self.index or not self.received):
            return False
        if self.received and update.index <= self.index:
            return True
        changed: dict[bytes, bytes | None] = dict(update.entries)
        if update.full:
            for key in self._values.keys() - changed.keys():
                changed[key] = None
        self.index = update.index
        self.received = True
        self._take(changed)
        return True

    def mentions(self, partition: int) -> bool:
        """Whether a table or an index still names this partition, or the catalogue places it."""
        if partition in self.placements:
            return True
        for document in self.documents.values():
            if any(part["id"] == partition for part in document["Partitions"]):
                return True
            for index in document["GlobalSecondaryIndexes"]:
                if any(part["id"] == partition for part in index["Partitions"]):
                    return True
        return False

    def _take(self, changed: dict[bytes, bytes | None]) -> None:
        placements: list[tuple[int, Placement | None]] = []
        nodes: list[tuple[int, NodeRecord | None]] = []
        documents: list[tuple[str, TableDocument | None, TableDocument | None]] = []
        controls: list[tuple[str, str, ControlDocument | None, ControlDocument | None]] = []
        for key, value in changed.items():
            if self._values.get(key) == value:
                continue
            if value is None:
                del self._values[key]
            else:
                self._values[key] = value
            kind = key[:2]
            if kind == PLACEMENT:
                placements.append(_replace(self.placements, int.from_bytes(key[2:], "big"), value))
            elif kind == NODE:
                nodes.append(_replace(self.nodes, int.from_bytes(key[2:], "big"), value))
            elif kind == TABLE:
                name = key[2:].decode()
                before = self.documents.get(name)
                documents.append((name, before, _replace(self.documents, name, value)[1]))
            elif kind == DOCUMENT:
                part, _, name = key[2:].decode().partition("\0")
                after = orjson.loads(value) if value is not None else None
                controls.append((part, name, self.controls.put(part, name, after), after))
            elif kind == NEXT_PARTITION and value is not None:
                self.next_partition_id = int(value)
            elif kind == CLUSTER and value is not None:
                self.cluster = orjson.loads(value)["cluster"]
        self._tell(nodes, placements, documents, controls)

    def _tell(
        self,
        nodes: list[tuple[int, NodeRecord | None]],
        placements: list[tuple[int, Placement | None]],
        documents: list[tuple[str, TableDocument | None, TableDocument | None]],
        controls: list[tuple[str, str, ControlDocument | None, ControlDocument | None]],
    ) -> None:
        """Tell all listeners, even if one fails: the others' views must not fall behind."""
        calls: list[Callable[[], None]] = [partial(each, *news) for news in nodes for each in self.on_node]
        calls += [partial(each, *news) for news in placements for each in self.on_placement]
        calls += [partial(each, *news) for news in documents for each in self.on_document]
        calls += [partial(each, *news) for news in controls for each in self.on_control]
        failed: Exception | None = None
        for call in (*calls, *self.on_change):
            try:
                call()
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed


def _replace(values: dict[Any, Any], key: Any, value: bytes | None) -> tuple[Any, Any]:
    if value is None:
        values.pop(key, None)
        return key, None
    values[key] = orjson.loads(value)
    return key, values[key]
