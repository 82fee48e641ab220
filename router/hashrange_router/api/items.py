"""GetItem, PutItem, UpdateItem and DeleteItem.

Each parses everything that can fail before it sends anything, in the service's order: attribute values,
expressions, table, key. Conditions and updates go to the leader as programs with their values and are
evaluated there.
"""

from __future__ import annotations

from typing import Any

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.key_rules import check_item_keys, check_key
from hashrange.model.table import TableSchema
from hashrange.model.table_units import item_collection_metrics, read_units_half, table_write_units_half
from hashrange.model.value import Item, check_item_size, dump
from hashrange.wire import messages as wire
from hashrange.wire.messages import CollectionSize, ReadItem, WriteItem
from hashrange_router.api import expressions
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.api.replies import EMPTY, charge_failed, consumed_json, write_reply
from hashrange_router.api.states import ask_for_state, state_left, state_read

HEADER = records.HEADER_SIZE

RETURNS = {
    "NONE": wire.RETURN_NONE,
    "ALL_OLD": wire.RETURN_ALL_OLD,
    "UPDATED_OLD": wire.RETURN_UPDATED_OLD,
    "ALL_NEW": wire.RETURN_ALL_NEW,
    "UPDATED_NEW": wire.RETURN_UPDATED_NEW,
}


class ItemOperations:
    """The four operations on one item."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context
        self._normalise_item = context.rules.normalise_item
        self._normalise_value = context.rules.normalise_value

    def get_item(self, call: Call, request: dict[str, Any]) -> Operation:
        """GetItem: strong reads go to the leader, eventual ones to any replica."""
        key = request["Key"]
        for value in key.values():
            self._normalise_value(value)
        projection = None
        if "ProjectionExpression" in request or "AttributesToGet" in request:
            projection = expressions.projection_of(request, self._context.wording)
        table = self._context.table(request["TableName"])
        call.table = table.name
        encoded = encode_key(table, key)
        if projection is not None:
            expressions.check_scalar(projection.nested_heads, table)
        consistent = request.get("ConsistentRead") is True
        admission = self._context.admission
        if admission is not None:
            admission.read(table, None)
        record = yield ReadItem(table.partition_for(encoded).id, ANY_EPOCH, encoded, consistent)
        if call.states is not None:
            call.states.append(state_read(table, encoded, record))
        size = records.size(record) if record is not None else 0
        call.read_units_half = half = read_units_half(size, consistent)
        if admission is not None:
            admission.charge_read(table, None, half)
        mode = request.get("ReturnConsumedCapacity")
        if record is None:
            if mode is None:
                return EMPTY
            return b"{" + consumed_json(mode, table.name, half) + b"}"
        call.returned_items = 1
        item: bytes = record[HEADER:]
        if projection is not None:
            item = dump(projection.apply(expressions.load(item)))
        if mode is None or mode == "NONE":
            return b'{"Item":' + item + b"}"
        return b'{"Item":' + item + b"," + consumed_json(mode, table.name, half) + b"}"

    def put_item(self, call: Call, request: dict[str, Any]) -> Operation:
        """PutItem."""
        item = request["Item"]
        size = self._normalise_item(item)
        condition = expressions.condition_of(request, self._context.wording)
        table = self._context.table(request["TableName"])
        call.table = table.name
        check_item_keys(table.codec, item)
        if condition is not None:
            expressions.check_scalar(condition.program.nested_heads, table)
        check_item_size(size)
        key = table.codec.encode(item)
        write = WriteItem(table.partition_for(key).id, ANY_EPOCH, wire.PUT, key)
        write.item_json = dump(item)
        write.item_size = size
        write.decoded = item
        write.condition = condition
        return self._write(call, request, table, write, item)

    def delete_item(self, call: Call, request: dict[str, Any]) -> Operation:
        """DeleteItem."""
        key = request["Key"]
        for value in key.values():
            self._normalise_value(value)
        condition = expressions.condition_of(request, self._context.wording)
        table = self._context.table(request["TableName"])
        call.table = table.name
        encoded = encode_key(table, key)
        if condition is not None:
            expressions.check_scalar(condition.program.nested_heads, table)
        write = WriteItem(table.partition_for(encoded).id, ANY_EPOCH, wire.DELETE, encoded)
        write.condition = condition
        write.key_item = key
        return self._write(call, request, table, write, key)

    def update_item(self, call: Call, request: dict[str, Any]) -> Operation:
        """UpdateItem."""
        key = request["Key"]
        for value in key.values():
            self._normalise_value(value)
        update, condition = expressions.update_of(request, self._context.wording)
        table = self._context.table(request["TableName"])
        call.table = table.name
        encoded = encode_key(table, key)
        if update is not None:
            expressions.check_update_keys(update, table)
            update.check_charge()
        if condition is not None:
            expressions.check_scalar(condition.program.nested_heads, table)
        write = WriteItem(table.partition_for(encoded).id, ANY_EPOCH, wire.UPDATE, encoded)
        write.condition = condition
        write.update = update
        write.key_item = key
        return self._write(call, request, table, write, key)

    def _write(
        self, call: Call, request: dict[str, Any], table: TableSchema, write: WriteItem, item: Item
    ) -> Operation:
        if "ReturnValues" in request:
            write.returns = RETURNS[request["ReturnValues"]]
        write.want_old_on_failure = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        asked = ask_for_state(write) if call.states is not None else 0
        admission = self._context.admission
        if admission is not None:
            admission.write(table, write.decoded)
        try:
            result = yield write
        except ApiError as error:
            half = charge_failed(call, error)
            if half and admission is not None:
                admission.charge_write(table, half, None)
            raise
        if call.states is not None:
            call.states.append(state_left(table, write, result, asked))
        if admission is not None:
            half = table_write_units_half(result.old_size, result.new_size, result.index_units)
            admission.charge_write(table, half, result.index_units)
        metrics = None
        if table.lsis and request.get("ReturnItemCollectionMetrics") == "SIZE":
            metrics = yield from collection_metrics(table, item)
        return write_reply(call, request.get("ReturnConsumedCapacity"), table.name, result, metrics)


def encode_key(table: TableSchema, key: Item) -> bytes:
    """The encoded key of a `Key` parameter; its values are canonical already."""
    check_key(table.codec, key)
    return table.codec.encode(key)


def collection_metrics(table: TableSchema, item: Item) -> Any:
    """Ask how large the item collection of an item is, for ItemCollectionMetrics.

    None when nobody can tell: the write has been made, and must not be reported as failed.
    """
    name = table.key_names[0]
    prefix = table.codec.partition_prefix([item[name]])
    try:
        size = yield CollectionSize(table.partition_for(prefix).id, ANY_EPOCH, prefix)
    except ApiError:
        return None
    return item_collection_metrics(name, item[name], size)
