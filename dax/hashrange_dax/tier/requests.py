"""What a request asks the cache for: keys, projections, and what identifies a query.

All of it is worked out from requests that the backend has checked. Where a request is wrong in a way that shows only
here, these functions raise an `ApiError` whose text does not matter: the tier then lets the tables answer, and they
find the error themselves, in the order of their own checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from hashrange.errors import validation
from hashrange.expr import ExpressionContext, Projection, attributes_to_get, check_scalar_keys
from hashrange.expr.compiled import Compiled
from hashrange.expr.tree import PROJECTION
from hashrange.model.key_rules import check_key
from hashrange.model.table import IndexSchema, TableSchema
from hashrange.model.value import Item, normalise_value
from hashrange_dax.contracts import Backend, Request

NAMES: Final = "ExpressionAttributeNames"
_DIGEST_SIZE: Final = 16
_KINDS: Final = {"Query": b"q", "Scan": b"s"}
_references = re.compile(r"#[A-Za-z0-9_]+").findall
# Texts of a query that may use names; the projection is taken apart from them.
_TEXTS: Final = ("FilterExpression", "KeyConditionExpression")
# What does not change the reply, or says what goes without saying.
_NO_MATTER: Final = ("ReturnConsumedCapacity",)
_DEFAULTS: Final = (("ConsistentRead", False), ("ScanIndexForward", True))


class TableKey(NamedTuple):
    """One key of a table, as the cache knows it and as the API does."""

    table: TableSchema
    name: str
    encoded: bytes
    item: Item


def encoded_key(table: TableSchema, key: Item) -> bytes:
    """The encoded key of a `Key` parameter, whose values are brought into canonical form in place."""
    for value in key.values():
        normalise_value(value)
    check_key(table.codec, key)
    return table.codec.encode(key)


def projection_in(request: Request, table: TableSchema) -> Projection | None:
    """What a GetItem, or one table of a BatchGetItem, wants of its items."""
    text = request.get("ProjectionExpression")
    if text is not None:
        context = ExpressionContext(request.get(NAMES), None)
        projection = context.projection(text)
        context.finish()
        _check_scalar(projection, table)
        return projection
    names = request.get("AttributesToGet")
    return attributes_to_get(names) if names is not None else None


def written_keys(backend: Backend, operation: str, request: Request) -> list[TableKey]:
    """The keys that a write is about; those of a transaction's condition checks are not."""
    return [_key_of(backend, name, content) for name, content in _written(operation, request)]


def _written(operation: str, request: Request) -> Iterator[tuple[str, tuple[Item, bool]]]:
    """Table names, each with an item (True) or a key."""
    if operation == "BatchWriteItem":
        for name, entries in request["RequestItems"].items():
            for entry in entries:
                put = entry.get("PutRequest")
                yield name, (put["Item"], True) if put is not None else (entry["DeleteRequest"]["Key"], False)
    elif operation == "TransactWriteItems":
        for action in request["TransactItems"]:
            for kind, part in action.items():
                if kind != "ConditionCheck":
                    yield part["TableName"], (part["Item"], True) if kind == "Put" else (part["Key"], False)
    else:
        put = operation == "PutItem"
        yield request["TableName"], (request["Item" if put else "Key"], put)


def _key_of(backend: Backend, name: str, content: tuple[Item, bool]) -> TableKey:
    item, whole = content
    table = backend.table(name)
    if whole:
        try:
            item = {part: item[part] for part in table.key_names}
        except KeyError:
            raise validation("Missing the key") from None
    return TableKey(table, name, encoded_key(table, item), item)


def query_key(operation: str, request: Request, table: TableSchema) -> bytes:
    """What identifies a Query or Scan: all its parameters but what it wants to know of capacity, and its table's id.

    An index is told apart from another one of the same name. Raises if the table has no such index, or it cannot be
    read now.
    """
    asked = {name: value for name, value in request.items() if name not in _NO_MATTER}
    for name, default in _DEFAULTS:
        if asked.get(name) is default:
            del asked[name]
    asked["TableName"] = table.table_id
    if "IndexName" in request:
        asked["IndexName"] = _identity(table.index(request["IndexName"]))
    said = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    return _KINDS[operation] + blake2b(said, digest_size=_DIGEST_SIZE).digest()


def _identity(index: IndexSchema) -> list[Any]:
    if not index.readable:
        raise validation(f"The index cannot be read now: {index.name}")
    held = sorted(index.projected) if index.projected is not None else None
    return [index.name, index.key_names, held]


class RangeRead(NamedTuple):
    """A Query or Scan as it is sent to the tables; `projection` is what remains for the doors to do."""

    request: Request
    projection: Projection | None


def range_read(request: Request, table: TableSchema) -> RangeRead:
    """A query whose projection looks into attributes fetches them whole: who projects must see positions in lists.

    The request is left as it is. Errors of its other expressions are not found here.
    """
    text = request.get("ProjectionExpression")
    if text is None:
        return RangeRead(request, None)
    names = request.get(NAMES)
    if isinstance(text, Compiled):
        projection = ExpressionContext().projection(text)
    else:
        if not isinstance(text, str):
            raise validation("Invalid ProjectionExpression")
        projection = ExpressionContext(names, None).projection(text)
    if not projection.nested_heads:
        return RangeRead(request, None)
    _check_scalar(projection, table)
    whole = dict(request)
    tree = ("projection", tuple([("path", (head,)) for head in projection.heads]))
    whole["ProjectionExpression"] = Compiled.of(PROJECTION, tree)
    if names is not None:
        _check_used(request, names)
        used = {name: names[name] for name in _used_in(request, _TEXTS) if name in names}
        if used:
            whole[NAMES] = used
        else:
            del whole[NAMES]
    return RangeRead(whole, projection)


def _used_in(request: Request, members: tuple[str, ...]) -> set[str]:
    texts = [request.get(member, "") for member in members]
    return {name for text in texts if not isinstance(text, Compiled) for name in _references(text)}


def _check_used(request: Request, names: dict[str, str]) -> None:
    """A name that nothing uses is an error, which must not go away with the projection."""
    if _used_in(request, (*_TEXTS, "ProjectionExpression")) != set(names):
        raise validation("Value provided in ExpressionAttributeNames unused in expressions")


def _check_scalar(projection: Projection, table: TableSchema) -> None:
    if projection.nested_heads:
        index_keys = [name for index in table.indexes for name in index.key_names]
        check_scalar_keys(projection.nested_heads, table.key_names, index_keys)


def split_consumed(body: bytes, mode: str | None) -> tuple[bytes, bytes | None]:
    """A reply without its ConsumedCapacity, and that by itself, if `mode` asks for it."""
    if mode is None or mode == "NONE":
        return body, None
    document = orjson.loads(body)
    consumed = document.pop("ConsumedCapacity", None)
    if consumed is None:
        return body, None
    return orjson.dumps(document), orjson.dumps(consumed)
