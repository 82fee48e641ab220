"""What a table holds under one key, as an operation has seen or left it: what a cache is filled with."""

from __future__ import annotations

from typing import NamedTuple

from hashrange.model.table import TableSchema

UNKNOWN_STAMP = 0
"""The stamp of an absence that a read has found: nobody says when the item went, or that there ever was one."""


class ItemState(NamedTuple):
    """One item, or its absence. `key` is its encoded key, relative to the table (`hashrange.model.key`).

    `item_json` is the canonical JSON as stored, None where there is no item. `stamp` is that of the write that made
    it so (`hashrange.model.record`): of two states of one key the one with the greater stamp is the newer.
    """

    table: TableSchema
    key: bytes
    item_json: bytes | None
    stamp: int
