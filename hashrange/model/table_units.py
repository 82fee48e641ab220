"""Capacity arithmetic: what reads and writes cost, and the ConsumedCapacity of replies.

Capacity is counted in half units as integers, because an eventually consistent read costs half a unit and
sums must be exact; it becomes a number of units (0.5, 1.0) only in a reply. Rules: DynamoDB Developer
Guide, capacity unit consumption for read and write operations; shape of the replies as observed.
"""

from __future__ import annotations

from typing import Any, Literal

from hashrange.model.value import AttributeValue

READ_BLOCK_BYTES = 4096
WRITE_BLOCK_BYTES = 1024

CapacityMode = Literal["NONE", "TOTAL", "INDEXES"]


def read_units_half(size_bytes: int, consistent: bool) -> int:
    """Half units for reading `size_bytes`; a missing item (0) costs as much as the smallest one.

    For Query and Scan give the sum over all evaluated items, for BatchGetItem call it per item.
    """
    blocks = (size_bytes + 4095) >> 12 or 1
    return blocks << 1 if consistent else blocks


def write_units_half(size_bytes: int) -> int:
    """Half units for writing `size_bytes`, the larger of the old and the new item; a missing one (0) costs a unit."""
    return ((size_bytes + 1023) >> 10 or 1) << 1


def table_write_units_half(
    old_size: int, new_size: int, index_units: list[tuple[str, str, int]] | None
) -> int:
    """Half units that a write costs its table: local indexes are the table's, global ones have their own capacity.

    `index_units` is what each index consumed, as (LSI or GSI, name, half units).
    """
    half = write_units_half(old_size if old_size > new_size else new_size)
    if index_units is not None:
        half += sum(units for kind, _, units in index_units if kind == "LSI")
    return half


def index_write_units_half(old_bytes: int | None, new_bytes: int | None, moved: bool, changed: bool) -> int:
    """Half units that a write costs on one index, from the stored entry before and after it (None: no entry).

    `moved` says that the entry's key changed (the old one is deleted and another put), `changed` that the
    entry's content did. An index whose entry stays as it is costs nothing and has no arm in the reply.
    """
    if old_bytes is None:
        return 0 if new_bytes is None else write_units_half(new_bytes)
    if new_bytes is None:
        return write_units_half(old_bytes)
    if moved:
        return write_units_half(old_bytes) + write_units_half(new_bytes)
    return write_units_half(max(old_bytes, new_bytes)) if changed else 0


def consumed_total(table_name: str, half_units: int) -> dict[str, Any]:
    """ConsumedCapacity for ReturnConsumedCapacity TOTAL."""
    return {"TableName": table_name, "CapacityUnits": half_units * 0.5}


def consumed_table_only(table_name: str, half_units: int) -> dict[str, Any]:
    """ConsumedCapacity for ReturnConsumedCapacity INDEXES of an operation that touched no index."""
    units = half_units * 0.5
    return {"TableName": table_name, "CapacityUnits": units, "Table": {"CapacityUnits": units}}


class CapacityTally:
    """What one request consumed of one table, by arm; add to it, then `render` it once.

    Batches and transactions keep one per table. `transactional` is set for a transaction's calls only: their
    replies split every number into read and write units besides.
    """

    __slots__ = ("gsis_half", "lsis_half", "table_half", "table_name", "total_half", "transactional")

    def __init__(self, table_name: str, transactional: Literal["READ", "WRITE"] | None = None) -> None:
        self.table_name = table_name
        self.transactional = transactional
        self.table_half = 0
        self.total_half = 0
        """Half units over all arms."""
        self.lsis_half: dict[str, int] | None = None
        self.gsis_half: dict[str, int] | None = None

    def add_table(self, half_units: int) -> None:
        """Count half units on the table itself (a transaction costs twice as much: the caller doubles)."""
        self.table_half += half_units
        self.total_half += half_units

    def add_index(self, kind: str, name: str, half_units: int) -> None:
        """Count half units on the index `name` of `kind` LSI or GSI; zero adds no arm."""
        if not half_units:
            return
        self.total_half += half_units
        if kind == "LSI":
            arms = self.lsis_half = self.lsis_half or {}
        else:
            arms = self.gsis_half = self.gsis_half or {}
        arms[name] = arms.get(name, 0) + half_units

    def render(self, mode: CapacityMode) -> dict[str, Any] | None:
        """The ConsumedCapacity of this table, or None when it was not asked for."""
        if mode == "NONE":
            return None
        reply: dict[str, Any] = {"TableName": self.table_name, "CapacityUnits": self.total_half * 0.5}
        if self.transactional is not None:
            reply.update(self._arm(self.total_half))
        if mode == "INDEXES":
            reply["Table"] = self._arm(self.table_half)
            if self.lsis_half:
                reply["LocalSecondaryIndexes"] = {n: self._arm(h) for n, h in self.lsis_half.items()}
            if self.gsis_half:
                reply["GlobalSecondaryIndexes"] = {n: self._arm(h) for n, h in self.gsis_half.items()}
        return reply

    def _arm(self, half_units: int) -> dict[str, float]:
        units = half_units * 0.5
        if self.transactional is None:
            return {"CapacityUnits": units}
        split = "ReadCapacityUnits" if self.transactional == "READ" else "WriteCapacityUnits"
        return {"CapacityUnits": units, split: units}


BYTES_PER_GB = 1 << 30


def item_collection_metrics(
    hash_name: str, hash_value: AttributeValue, collection_bytes: int
) -> dict[str, Any]:
    """ItemCollectionMetrics for ReturnItemCollectionMetrics SIZE: only for tables that have an LSI.

    `collection_bytes` is the size of all items and LSI entries under the hash key; the reply gives the whole
    gigabytes it lies between.
    """
    gigabytes = collection_bytes // BYTES_PER_GB
    return {
        "ItemCollectionKey": {hash_name: hash_value},
        "SizeEstimateRangeGB": [float(gigabytes), float(gigabytes + 1)],
    }
