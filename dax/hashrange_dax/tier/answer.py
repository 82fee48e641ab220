"""What the tier answers with: cached entries where it can, so that a door renders them once in its own form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hashrange.errors import ApiError
from hashrange.expr import Projection
from hashrange.model.table import TableSchema
from hashrange.model.value import Item
from hashrange_dax.cache.entries import ItemEntry, QueryEntry


class Group(NamedTuple):
    """The items of one table in the answer of a BatchGetItem: those there are, each with the key asked for.

    `name` is what the request calls the table. Items are whole: the door applies the projection.
    """

    name: str
    table: TableSchema
    projection: Projection | None
    items: list[tuple[Item, ItemEntry]]


class Answer(NamedTuple):
    """The answer of an operation: one of `body`, `item`, `query` and `groups`.

    `body` is the JSON of the whole reply, of what is not answered from entries. `item` answers a GetItem, also where
    there is none (`absent`); it is whole, and the door applies `projection`. `query` answers Query and Scan. An entry
    may be one that is not in the cache. `unprocessed` is what a BatchGetItem gives as UnprocessedKeys. `consumed` is
    the JSON of ConsumedCapacity, if it was asked for and something was read for this request.
    """

    body: bytes | None = None
    item: ItemEntry | None = None
    query: QueryEntry | None = None
    groups: list[Group] | None = None
    unprocessed: dict[str, Any] | None = None
    consumed: bytes | None = None
    projection: Projection | None = None


Done = Callable[["Answer | ApiError"], None]
