"""Arguments of the operations on one item, and on a range, as documents of the DynamoDB API.

    asked = REQUESTS[method](reader, arguments)

`Reader` has what arguments cannot be understood without: the tables, whose keys have no names on the wire, and the
attribute lists. Raises `ApiError` for what is wrong, `CodecError` for what cannot be read at all, and `UnknownList`
when a list must be fetched first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hashrange.errors import validation
from hashrange.model.table import TableSchema
from hashrange.model.value import Item
from hashrange_dax.codec import expressions, items, keys

from . import methods as m
from . import options as o
from .asked import Asked, NamesOf, TableOf, UnknownList


class Reader(NamedTuple):
    """What requests are read with: tables by name, and names by the id of an attribute list.

    `selects_all`: the client does (`handshake.Client`).
    """

    table_of: TableOf
    names_of: NamesOf
    selects_all: bool = False

    def table(self, value: Any) -> tuple[str, TableSchema]:
        """A table, as the client has named it."""
        name = o.name_of(value, "TableName")
        return name, self.table_of(name)

    def key(self, schema: TableSchema, value: Any) -> Item:
        """The key attributes of a key."""
        return keys.wire_keys(schema.codec).decode(o.blob_of(value, "Key"))

    def item(self, schema: TableSchema, key: Any, value: Any) -> Item:
        """A whole item, of its key and its other attributes."""
        data = o.blob_of(value, "Item")
        list_id, position = items.split_list_id(data)
        names = () if list_id == items.EMPTY_LIST else self.names_of(list_id)
        if names is None:
            raise UnknownList(list_id)
        item = items.decode_values(data, names, position)
        item.update(self.key(schema, key))
        return item


Read = Callable[[Reader, list[Any]], Asked]


def get_item(reader: Reader, arguments: list[Any]) -> Asked:
    """GetItem."""
    table, key, given = arguments
    name, schema = reader.table(table)
    request: dict[str, Any] = {"TableName": name, "Key": reader.key(schema, key)}
    options = o.options_of(given)
    o.flag(options, m.CONSISTENT, "ConsistentRead", request)
    o.common(options, request)
    projected = o.projection(options.get(m.PROJECTION), request)
    return Asked("GetItem", request, (schema,), (projected,))


def put_item(reader: Reader, arguments: list[Any]) -> Asked:
    """PutItem."""
    table, key, values, given = arguments
    name, schema = reader.table(table)
    request: dict[str, Any] = {"TableName": name, "Item": reader.item(schema, key, values)}
    returned = _write(request, o.options_of(given))
    return Asked("PutItem", request, (schema,), returned=returned)


def delete_item(reader: Reader, arguments: list[Any]) -> Asked:
    """DeleteItem."""
    table, key, given = arguments
    name, schema = reader.table(table)
    request: dict[str, Any] = {"TableName": name, "Key": reader.key(schema, key)}
    returned = _write(request, o.options_of(given))
    return Asked("DeleteItem", request, (schema,), returned=returned)


def update_item(reader: Reader, arguments: list[Any]) -> Asked:
    """UpdateItem."""
    table, key, given = arguments
    name, schema = reader.table(table)
    request: dict[str, Any] = {"TableName": name, "Key": reader.key(schema, key)}
    options = o.options_of(given)
    o.expression(options.get(m.UPDATE), "UpdateExpression", expressions.update, request)
    returned = _write(request, options)
    return Asked("UpdateItem", request, (schema,), returned=returned)


def _write(request: dict[str, Any], options: o.Options) -> str | None:
    """What all writes of one item have among their options."""
    o.common(options, request)
    o.expression(options.get(m.CONDITION), "ConditionExpression", expressions.condition, request)
    return o.return_values(options, request)


def query(reader: Reader, arguments: list[Any]) -> Asked:
    """Query."""
    table, condition, given = arguments
    name, schema = reader.table(table)
    request: dict[str, Any] = {"TableName": name}
    o.expression(condition, "KeyConditionExpression", expressions.key_condition, request)
    options = o.options_of(given)
    o.flag(options, m.FORWARD, "ScanIndexForward", request)
    return _range(reader, "Query", request, schema, options)


def scan(reader: Reader, arguments: list[Any]) -> Asked:
    """Scan."""
    table, given = arguments
    name, schema = reader.table(table)
    request: dict[str, Any] = {"TableName": name}
    options = o.options_of(given)
    o.number(options, m.SEGMENT, "Segment", request)
    o.number(options, m.TOTAL_SEGMENTS, "TotalSegments", request)
    return _range(reader, "Scan", request, schema, options)


def _range(
    reader: Reader, operation: str, request: dict[str, Any], schema: TableSchema, options: o.Options
) -> Asked:
    """What Query and Scan have in common."""
    o.index_name(options, request)
    o.flag(options, m.CONSISTENT, "ConsistentRead", request)
    o.number(options, m.LIMIT, "Limit", request)
    o.select(options, request, reader.selects_all)
    o.common(options, request)
    o.expression(options.get(m.FILTER), "FilterExpression", expressions.filter_, request)
    start = options.get(m.START_KEY)
    if start is not None:
        request["ExclusiveStartKey"] = keys.decode_start_key(
            schema.codec, o.blob_of(start, "ExclusiveStartKey"), "IndexName" in request
        )
    projected = o.projection(options.get(m.PROJECTION), request)
    return Asked(operation, request, (schema,), (projected,))


def batch_get(reader: Reader, arguments: list[Any]) -> Asked:
    """BatchGetItem."""
    tables, given = arguments
    request: dict[str, Any] = {"RequestItems": {}}
    schemas, projections = [], []
    for name, schema, part in _by_table(reader, tables):
        if not isinstance(part, list) or len(part) != 3:
            raise o.malformed("a table of BatchGetItem has three values")
        consistent, projection, wanted = part
        entry: dict[str, Any] = {
            "Keys": [reader.key(schema, key) for key in o.list_of(wanted, "Keys")],
            "ConsistentRead": bool(consistent),
        }
        schemas.append(schema)
        projections.append(o.projection(projection, entry))
        request["RequestItems"][name] = entry
    o.common(o.options_of(given), request)
    return Asked("BatchGetItem", request, schemas, projections)


def batch_write(reader: Reader, arguments: list[Any]) -> Asked:
    """BatchWriteItem."""
    tables, given = arguments
    request: dict[str, Any] = {"RequestItems": {}}
    schemas = []
    for name, schema, part in _by_table(reader, tables):
        pairs = o.list_of(part, "the writes of a table")
        if len(pairs) % 2:
            raise o.malformed("writes of a table are pairs")
        writes: list[dict[str, Any]] = []
        for key, values in zip(pairs[::2], pairs[1::2], strict=True):
            if values is None:
                writes.append({"DeleteRequest": {"Key": reader.key(schema, key)}})
            else:
                writes.append({"PutRequest": {"Item": reader.item(schema, key, values)}})
        schemas.append(schema)
        request["RequestItems"][name] = writes
    o.common(o.options_of(given), request)
    return Asked("BatchWriteItem", request, schemas)


def _by_table(reader: Reader, tables: Any) -> list[tuple[str, TableSchema, Any]]:
    """The parts of a batch."""
    if not isinstance(tables, dict):
        raise o.malformed("RequestItems is a map")
    return [(*reader.table(name), part) for name, part in tables.items()]


def transact_get(reader: Reader, arguments: list[Any]) -> Asked:
    """TransactGetItems."""
    names, wanted, projections, given = arguments
    names = o.list_of(names, "tables")
    wanted = _column(wanted, len(names), "keys")
    projections = _column(projections, len(names), "projections")
    actions, schemas, projected = [], [], []
    for table, key, projection in zip(names, wanted, projections, strict=True):
        name, schema = reader.table(table)
        get: dict[str, Any] = {"TableName": name, "Key": reader.key(schema, key)}
        projected.append(o.whole(o.projection(projection, get), get))
        schemas.append(schema)
        actions.append({"Get": get})
    request: dict[str, Any] = {"TransactItems": actions}
    o.common(o.options_of(given), request)
    return Asked("TransactGetItems", request, schemas, projected)


_ACTIONS = {
    m.TRANSACT_PUT: "Put",
    m.TRANSACT_DELETE: "Delete",
    m.TRANSACT_UPDATE: "Update",
    m.TRANSACT_CHECK: "ConditionCheck",
}


def transact_write(reader: Reader, arguments: list[Any]) -> Asked:
    """TransactWriteItems: one array for each member of its actions."""
    kinds, *columns, given = arguments
    kinds = o.list_of(kinds, "operations")
    what = ("tables", "keys", "items", "return values", "return values", "conditions", "updates")
    columns = [_column(column, len(kinds), name) for column, name in zip(columns, what, strict=True)]
    actions, schemas = [], []
    for kind, table, key, values, _, on_failure, condition, update in zip(kinds, *columns, strict=True):
        action = _ACTIONS.get(kind) if kind.__class__ is int else None
        if action is None:
            raise validation(
                f"TransactItems can only contain one of Check, Put, Update or Delete, not {kind!r}"
            )
        name, schema = reader.table(table)
        part: dict[str, Any] = {"TableName": name}
        if action == "Put":
            part["Item"] = reader.item(schema, key, values)
        else:
            part["Key"] = reader.key(schema, key)
        o.expression(condition, "ConditionExpression", expressions.condition, part)
        o.expression(update, "UpdateExpression", expressions.update, part)
        returned = m.RETURN_ON_FAILURE.get(on_failure) if on_failure.__class__ is int else None
        if returned is not None:
            part["ReturnValuesOnConditionCheckFailure"] = returned
        schemas.append(schema)
        actions.append({action: part})
    request: dict[str, Any] = {"TransactItems": actions}
    options = o.options_of(given)
    o.common(options, request)
    o.token(options, request)
    return Asked("TransactWriteItems", request, schemas)


def _column(value: Any, count: int, what: str) -> list[Any]:
    """One member of all actions, or null where none has it."""
    if value is None:
        return [None] * count
    column = o.list_of(value, what)
    if len(column) != count:
        raise o.malformed(f"there are {count} actions, and {len(column)} {what}")
    return column


REQUESTS: dict[int, Read] = {
    m.GET_ITEM: get_item,
    m.PUT_ITEM: put_item,
    m.UPDATE_ITEM: update_item,
    m.DELETE_ITEM: delete_item,
    m.QUERY: query,
    m.SCAN: scan,
    m.BATCH_GET: batch_get,
    m.BATCH_WRITE: batch_write,
    m.TRANSACT_GET: transact_get,
    m.TRANSACT_WRITE: transact_write,
}
