"""BatchGetItem and BatchWriteItem: everything is checked before anything is sent, then all go out together.

What a partition cannot do for now comes back as unprocessed, for the client to send again; only when nothing at
all could be done is the call as a whole answered with the failure, as the service does.
"""

from __future__ import annotations

from typing import Any

import orjson

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.item_state import ItemState
from hashrange.model.key_rules import check_index_keys, check_item_keys
from hashrange.model.table import TableSchema
from hashrange.model.table_units import CapacityTally, read_units_half
from hashrange.model.throttling import is_throttling
from hashrange.model.value import Item, check_item_size, dump
from hashrange.wire import messages as wire
from hashrange.wire.messages import ReadItem, WriteItem
from hashrange_router.api.batch_members import carry_out
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.api.expressions import check_scalar, load, projection_of
from hashrange_router.api.items import collection_metrics, encode_key
from hashrange_router.api.replies import add_write
from hashrange_router.api.rules_batch import check_no_duplicates
from hashrange_router.api.states import state_left, state_read

HEADER = records.HEADER_SIZE

CONFLICT = "TransactionConflictException"

REPLY_BYTES = 16 << 20
"""Item data in one reply of BatchGetItem (DynamoDB Developer Guide, Constraints)."""


class _TableKeys:
    """The keys of one table in a BatchGetItem request."""

    __slots__ = ("consistent", "entry", "name", "projection", "table")

    def __init__(self, name: str, entry: dict[str, Any], projection: Any) -> None:
        self.name = name
        self.entry = entry
        self.projection = projection
        self.consistent = entry.get("ConsistentRead") is True
        self.table: TableSchema | None = None


class BatchOperations:
    """The two batch operations."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context

    def batch_get_item(self, call: Call, request: dict[str, Any]) -> Operation:
        """BatchGetItem: one read a key; what fails, or does not fit into 16 MB, comes back as UnprocessedKeys."""
        groups: list[_TableKeys] = []
        for name, entry in request["RequestItems"].items():
            for key in entry["Keys"]:
                for value in key.values():
                    self._context.rules.normalise_value(value)
            groups.append(_TableKeys(name, entry, projection_of(entry, self._context.wording)))
        messages: list[ReadItem | WriteItem] = []
        owners: list[TableSchema] = []
        for group in groups:
            table = group.table = self._context.table(group.name)
            if group.projection is not None:
                check_scalar(group.projection.nested_heads, table)
            for key in group.entry["Keys"]:
                encoded = encode_key(table, key)
                partition = table.partition_for(encoded).id
                messages.append(ReadItem(partition, ANY_EPOCH, encoded, group.consistent))
                owners.append(table)
        call.table = groups[0].table.name if len(groups) == 1 and groups[0].table else ""
        found = yield from carry_out(self._context.admission, owners, messages)
        _check_failures(found)
        encoded_keys = [message.key for message in messages]
        return self._get_reply(call, request.get("ReturnConsumedCapacity"), groups, encoded_keys, found)

    def _get_reply(
        self,
        call: Call,
        mode: str | None,
        groups: list[_TableKeys],
        encoded_keys: list[bytes],
        found: list[bytes | ApiError | None],
    ) -> bytes:
        responses = []
        unprocessed: dict[str, Any] = {}
        tallies = []
        position = total = 0
        admission = self._context.admission
        for group in groups:
            assert group.table is not None
            tally = CapacityTally(group.table.name)
            items = []
            for key in group.entry["Keys"]:
                record = found[position]
                position += 1
                size = records.size(record) if isinstance(record, bytes) else 0
                if isinstance(record, ApiError) or total + size > REPLY_BYTES:
                    if admission is not None and size:  # it was charged when it was read
                        admission.charge_read(group.table, None, -read_units_half(size, group.consistent))
                    left = unprocessed.setdefault(group.name, {**group.entry, "Keys": []})
                    left["Keys"].append(key)
                    continue
                total += size
                if call.states is not None:
                    call.states.append(state_read(group.table, encoded_keys[position - 1], record))
                tally.add_table(read_units_half(size, group.consistent))
                if record is not None:
                    item = record[HEADER:]
                    items.append(
                        item if group.projection is None else dump(group.projection.apply(load(item)))
                    )
            call.returned_items += len(items)
            call.read_units_half += tally.table_half
            tallies.append(tally)
            responses.append(orjson.dumps(group.name) + b":[" + b",".join(items) + b"]")
        body = b'{"Responses":{' + b",".join(responses) + b'},"UnprocessedKeys":' + orjson.dumps(unprocessed)
        return body + _consumed(mode, tallies) + b"}"

    def batch_write_item(self, call: Call, request: dict[str, Any]) -> Operation:
        """BatchWriteItem: one write a request, each by itself atomic, none of them conditional."""
        requests = request["RequestItems"]
        prepared: list[tuple[str, Any, Item, int | None]] = []
        for name, entries in requests.items():
            for entry in entries:
                prepared.append((name, entry, *self._normalised(entry)))
        messages: list[ReadItem | WriteItem] = []
        tables: dict[str, TableSchema] = {}
        identities = []
        for name, _, item, size in prepared:
            table = tables.get(name)
            if table is None:
                table = tables[name] = self._context.table(name)
            write = _write_of(table, item, size)
            identities.append((table.name, write.key))
            messages.append(write)
        check_no_duplicates(identities)
        call.table = next(iter(tables.values())).name if len(tables) == 1 else ""
        owners = [tables[name] for name, _, _, _ in prepared]
        results = yield from carry_out(self._context.admission, owners, messages)
        if call.states is not None:
            call.states += _states_left(owners, messages, results)
        _check_failures(results)
        tallies: dict[str, CapacityTally] = {}
        metrics: dict[str, list[Any]] = {}
        unprocessed: dict[str, list[Any]] = {}
        for (name, entry, item, _), result in zip(prepared, results, strict=True):
            table = tables[name]
            tally = tallies.get(name)
            if tally is None:
                tally = tallies[name] = CapacityTally(table.name)
            if isinstance(result, ApiError):
                unprocessed.setdefault(name, []).append(entry)
                continue
            add_write(tally, result)
            if table.lsis and request.get("ReturnItemCollectionMetrics") == "SIZE":
                measured = yield from collection_metrics(table, item)
                if measured is not None:
                    metrics.setdefault(name, []).append(measured)
        call.write_units_half = sum(tally.total_half for tally in tallies.values())
        body = b'{"UnprocessedItems":' + orjson.dumps(unprocessed)
        if metrics:
            body += b',"ItemCollectionMetrics":' + orjson.dumps(metrics)
        return body + _consumed(request.get("ReturnConsumedCapacity"), list(tallies.values())) + b"}"

    def _normalised(self, entry: dict[str, Any]) -> tuple[Item, int | None]:
        """The item and its size, or the key and None for a deletion; values made canonical."""
        put = entry.get("PutRequest")
        if put is not None:
            item: Item = put["Item"]
            return item, self._context.classic_rules.normalise_item(item)
        key: Item = entry["DeleteRequest"]["Key"]
        for value in key.values():
            self._context.classic_rules.normalise_value(value)
        return key, None


def _states_left(
    tables: list[TableSchema], messages: list[ReadItem | WriteItem], results: list[Any]
) -> list[ItemState]:
    """What the writes that were made have left, also when the batch as a whole is answered with a failure."""
    return [
        state_left(table, message, result, wire.RETURN_NONE)
        for table, message, result in zip(tables, messages, results, strict=True)
        if isinstance(message, WriteItem) and not isinstance(result, ApiError)
    ]


def _check_failures(answers: list[Any]) -> None:
    """Raise what must not be sent again, or the first failure when nothing at all was done.

    An item that a transaction has locked is left for the client to send again, even if it is the only one.
    """
    failures = [answer for answer in answers if isinstance(answer, ApiError)]
    others = [failure for failure in failures if failure.type_name != CONFLICT]
    for failure in others:
        if failure.status < 500 and not is_throttling(failure):
            raise failure
    if others and len(failures) == len(answers):
        raise others[0]


def _write_of(table: TableSchema, item: Item, size: int | None) -> WriteItem:
    if size is None:
        key = encode_key(table, item)
        write = WriteItem(table.partition_for(key).id, ANY_EPOCH, wire.DELETE, key)
        write.key_item = item
        return write
    check_item_keys(table.codec, item, batch=True)
    # The leader of each item checks this too; here one bad item keeps the others from being written.
    for index in table.indexes:
        if index.maintained:
            check_index_keys(index.name, index.codec, item)
    check_item_size(size)
    key = table.codec.encode(item)
    write = WriteItem(table.partition_for(key).id, ANY_EPOCH, wire.PUT, key)
    write.item_json = dump(item)
    write.item_size = size
    write.decoded = item
    return write


def _consumed(mode: str | None, tallies: list[CapacityTally]) -> bytes:
    if mode is None or mode == "NONE":
        return b""
    return b',"ConsumedCapacity":' + orjson.dumps([tally.render(mode) for tally in tallies])  # type: ignore[arg-type]
