"""ConsumedCapacity and ItemCollectionMetrics, from the API's JSON to the protocol.

single     a byte string: table, units, units of the table, of its GSIs, of its LSIs
extended   a map, which transactions have
metrics    a byte string: the hash key's value, and the estimate's two bounds
"""

from __future__ import annotations

from typing import Any

from hashrange_dax.codec.cbor import NULL, array_head, byte_string, double, integer, map_head, text
from hashrange_dax.codec.values import encode_value

_UNITS = (("CapacityUnits", 1), ("ReadCapacityUnits", 2), ("WriteCapacityUnits", 3))
_GSIS = "GlobalSecondaryIndexes"
_LSIS = "LocalSecondaryIndexes"


def single(consumed: dict[str, Any]) -> bytes:
    """The capacity that an operation has consumed of one table."""
    table = consumed.get("Table")
    return byte_string(
        text(consumed["TableName"])
        + double(consumed["CapacityUnits"])
        + (NULL if table is None else double(table["CapacityUnits"]))
        + _by_index(consumed.get(_GSIS))
        + _by_index(consumed.get(_LSIS))
    )


def _by_index(indexes: dict[str, Any] | None) -> bytes:
    if indexes is None:
        return NULL
    parts = [text(name) + double(units["CapacityUnits"]) for name, units in indexes.items()]
    return map_head(len(parts)) + b"".join(parts)


def several(consumed: list[dict[str, Any]] | None) -> bytes:
    """The same of each table of a batch."""
    tables = consumed or []
    return array_head(len(tables)) + b"".join(map(single, tables))


def extended(consumed: list[dict[str, Any]] | None) -> bytes:
    """What a transaction has consumed of each table."""
    tables = consumed or []
    return array_head(len(tables)) + b"".join(map(_extended, tables))


def _extended(consumed: dict[str, Any]) -> bytes:
    pairs = [integer(key) + double(consumed[name]) for name, key in _UNITS if name in consumed]
    if "TableName" in consumed:
        pairs.append(integer(4) + text(consumed["TableName"]))
    if "Table" in consumed:
        pairs.append(integer(5) + _extended(consumed["Table"]))
    for name, key in ((_GSIS, 6), (_LSIS, 7)):
        if name in consumed:
            indexes = [text(index) + _extended(units) for index, units in consumed[name].items()]
            pairs.append(integer(key) + map_head(len(indexes)) + b"".join(indexes))
    return map_head(len(pairs)) + b"".join(pairs)


def metrics(collection: dict[str, Any]) -> bytes:
    """The size of an item collection."""
    [key] = collection["ItemCollectionKey"].values()
    low, high = collection["SizeEstimateRangeGB"]
    return byte_string(encode_value(key) + double(low) + double(high))


def metrics_by_table(collections: dict[str, Any] | None) -> bytes:
    """The sizes of the item collections of each table."""
    tables = collections or {}
    parts = [map_head(len(tables))]
    for name, entries in tables.items():
        parts += (text(name), array_head(len(entries)), *map(metrics, entries))
    return b"".join(parts)
