"""What is cached: items (and their absence) and the replies of queries and scans.

An entry holds what it was made from, and the forms in which doors have answered with it. Doors may set `json`,
`wire`, `body` and `http`, and must call `CacheStore.resized` after that: the budget counts bytes.

Entries of a store are a ring, ordered by their last use; `newer` and `older` belong to the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from hashrange.expr import Projection
from hashrange.model.table import TableSchema

QueryKind = Literal["Query", "Scan"]

BYTES_HEAD: Final = 40
"""What a bytes object takes beside its content: header, terminator, and rounding of the allocator (measured)."""

SLOT: Final = 96
"""What an entry takes in the dictionary it is found in, between two doublings (measured)."""

ITEM_HEAD: Final = 120 + 24 + SLOT
"""An `ItemEntry` without its forms and key: the object, its stamp and its time (measured)."""

QUERY_HEAD: Final = 136 + 24 + SLOT
"""A `QueryEntry` without its forms and key (measured)."""


class ItemEntry:
    """An item, or that there is none.

    `json` is the item's canonical JSON, `wire` its attribute list id and values in the wire protocol: at least one of
    them is there unless `absent`. `stamp` is that of the write which left this state (`hashrange.model.item_state`),
    0 for an absence that a read has found. `stored_at` is when it came into the cache. `table` is None for an entry
    that another node has told of and that nobody has asked for yet.
    """

    __slots__ = (
        "absent",
        "json",
        "key",
        "newer",
        "older",
        "size",
        "stamp",
        "stored_at",
        "table",
        "table_id",
        "wire",
    )

    if TYPE_CHECKING:
        newer: Entry
        older: Entry

    def __init__(
        self, table_id: str, table: TableSchema | None, key: bytes, json: bytes | None, stamp: int
    ) -> None:
        self.table_id = table_id
        self.table = table
        self.key = key
        self.json = json
        self.absent = json is None
        self.stamp = stamp
        self.wire: bytes | None = None
        self.stored_at = 0.0
        self.size = 0
        """Bytes counted for it while it is in a store; 0 for one that is in none."""

    def measured(self) -> int:
        """Bytes of memory that the entry takes, all in all."""
        size = ITEM_HEAD + BYTES_HEAD + len(self.key)
        if self.json is not None:
            size += BYTES_HEAD + len(self.json)
        if self.wire is not None:
            size += BYTES_HEAD + len(self.wire)
        return size


class QueryEntry:
    """The reply of a Query or Scan.

    `body` is its JSON without ConsumedCapacity; where `projection` is not None, items in it are whole top-level
    attributes, and a door is still to take the projection's paths out of them. `http` and `wire` are for the doors:
    the reply as a client of theirs gets it.
    """

    __slots__ = (
        "body",
        "http",
        "key",
        "kind",
        "newer",
        "older",
        "projection",
        "size",
        "stored_at",
        "table",
        "table_id",
        "wire",
    )

    if TYPE_CHECKING:
        newer: Entry
        older: Entry

    def __init__(
        self, kind: QueryKind, table: TableSchema, key: bytes, body: bytes, projection: Projection | None
    ) -> None:
        self.kind: QueryKind = kind
        self.table_id = table.table_id
        self.table = table
        self.key = key
        self.body: bytes | None = body
        self.projection = projection
        self.http: bytes | None = None
        self.wire: Any = None
        self.stored_at = 0.0
        self.size = 0
        """Bytes counted for it while it is in a store; 0 for one that is in none."""

    def measured(self) -> int:
        """Bytes of memory that the entry takes, all in all. A form that is another one's object counts once."""
        size = QUERY_HEAD + BYTES_HEAD + len(self.key)
        body, http, wire = self.body, self.http, self.wire
        if body is not None:
            size += BYTES_HEAD + len(body)
        if http is not None and http is not body:
            size += BYTES_HEAD + len(http)
        if wire is not None:
            size += BYTES_HEAD + len(wire)
        return size


Entry: TypeAlias = ItemEntry | QueryEntry
