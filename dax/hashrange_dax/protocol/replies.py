"""Answers of the tier as the bytes that clients read. Errors are `hashrange_dax.protocol.errors`'.

    data = Replies(forms, id_of).reply(asked, answer)

`UnknownNames` comes from anywhere in here: an item's attribute list has to be defined, and the reply made again.
Nothing is changed by a reply that could not be made, but forms of entries that have been.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange.model.value import Item
from hashrange_dax.cache.entries import QueryEntry
from hashrange_dax.cache.store import CacheStore
from hashrange_dax.codec import items
from hashrange_dax.codec.cbor import NULL, array_head, byte_string, integer, map_head, text
from hashrange_dax.codec.keys import encode_start_key, wire_keys
from hashrange_dax.codec.projections import encode_projected, project
from hashrange_dax.forms import Forms
from hashrange_dax.tier.answer import Answer

from . import capacity
from . import methods as m
from .asked import Asked, IdOf, Paths
from .errors import reasons_of

SUCCESS = b"\x80"
"""What every reply that is no error begins with: an empty array."""

_EMPTY_MAP = b"\xa0"
_CONSUMED = bytes((m.CONSUMED,))
_ITEM = bytes((m.ITEM,))
_UPDATED = frozenset(("UPDATED_OLD", "UPDATED_NEW"))

ABSENT = SUCCESS + NULL
"""The reply of a GetItem without an item and without anything else to say."""

FOUND = SUCCESS + b"\xa1" + _ITEM
"""What goes before the byte string of an item that a GetItem has found."""


class Replies:
    """Makes replies. `id_of` gives the ids of attribute lists that are known here."""

    def __init__(self, forms: Forms, id_of: IdOf, store: CacheStore) -> None:
        self._forms = forms
        self._id_of = id_of
        self._store = store

    def reply(self, asked: Asked, answer: Answer) -> bytes:
        """The reply of an operation that has succeeded."""
        return SUCCESS + _MAKERS[asked.operation](self, asked, answer)

    # GetItem, Query and Scan

    def _get(self, asked: Asked, answer: Answer) -> bytes:
        entry = answer.item
        consumed = answer.consumed
        if entry is None:
            reply = _loads(answer.body)
            item = reply.get("Item")
            said = None if item is None else self._item(item, asked.tables[0], _paths(asked, 0))
            return _members({m.ITEM: said, m.CONSUMED: _capacity(reply.get("ConsumedCapacity"))})
        if entry.absent:
            said = None
        elif (paths := _paths(asked, 0)) is not None:
            said = _projected(self._forms.item_of(entry), paths)
        else:
            said = byte_string(self._forms.wire_of(entry))
        return _members({m.ITEM: said, m.CONSUMED: _capacity(_loads(consumed) if consumed else None)})

    def _item(self, item: Item, table: TableSchema, paths: Paths | None) -> bytes:
        """An item that is in no entry, as GetItem and TransactGetItems have it."""
        if paths is not None:
            return _projected(item, paths)
        return byte_string(items.encode_values(item, table.key_names, self._id_of))

    def _range(self, asked: Asked, answer: Answer) -> bytes:
        entry = answer.query
        if entry is None:
            reply = _loads(answer.body)
            consumed = reply.pop("ConsumedCapacity", None)
            return _with_capacity(self._range_form(asked, reply), consumed)
        consumed = _loads(answer.consumed) if answer.consumed else None
        return _with_capacity(self.query_wire(asked, entry), consumed)

    def query_wire(self, asked: Asked, entry: QueryEntry) -> bytes:
        """The reply map of a query, but for capacity. Kept with the entry, beside the JSON."""
        wire: bytes | None = entry.wire
        if wire is None:
            wire = entry.wire = self._range_form(asked, _loads(entry.body))
            self._store.resized(entry)
        return wire

    def _range_form(self, asked: Asked, reply: dict[str, Any]) -> bytes:
        found = reply.get("Items")
        last = reply.get("LastEvaluatedKey")
        codec = asked.tables[0].codec
        return _members(
            {
                m.ITEMS: None if found is None else self._items(asked, found),
                m.COUNT: integer(reply["Count"]),
                m.LAST_KEY: None
                if last is None
                else byte_string(encode_start_key(codec, last, asked.indexed)),
                m.SCANNED: integer(reply["ScannedCount"]),
            }
        )

    def _items(self, asked: Asked, found: list[Item]) -> bytes:
        paths = _paths(asked, 0)
        parts = [array_head(len(found))]
        if paths is not None:
            parts += [_projected(item, paths) for item in found]
            return b"".join(parts)
        table = asked.tables[0]
        encode_key = wire_keys(table.codec).encode
        for item in found:
            parts += (
                b"\x82",
                byte_string(encode_key(item)),
                byte_string(items.encode_values(item, table.key_names, self._id_of)),
            )
        return b"".join(parts)

    # Writes

    def _write(self, asked: Asked, answer: Answer) -> bytes:
        reply = _loads(answer.body)
        attributes = reply.get("Attributes")
        said = None
        if attributes is not None:
            if asked.returned in _UPDATED:
                said = byte_string(items.encode_updated(attributes, self._id_of))
            else:
                said = byte_string(items.encode_values(attributes, asked.tables[0].key_names, self._id_of))
        collection = reply.get("ItemCollectionMetrics")
        return _members(
            {
                m.CONSUMED: _capacity(reply.get("ConsumedCapacity")),
                m.ATTRIBUTES: said,
                m.METRICS: capacity.metrics(collection) if collection else None,
            }
        )

    # Batches. Their replies are values side by side, and not all in one: so the service has them, and the clients.

    def _batch_get(self, asked: Asked, answer: Answer) -> bytes:
        groups = answer.groups or []
        parts = [b"\x82", map_head(len(groups))]
        for place, group in enumerate(groups):
            parts.append(text(group.name))
            paths = _paths(asked, place)
            if paths is not None:
                parts.append(array_head(len(group.items)))
                parts += [_projected(self._forms.item_of(entry), paths) for _, entry in group.items]
                continue
            encode_key = wire_keys(group.table.codec).encode
            parts.append(array_head(2 * len(group.items)))
            for key, entry in group.items:
                parts += (byte_string(encode_key(key)), byte_string(self._forms.wire_of(entry)))
        unprocessed = answer.unprocessed or {}
        tables = dict(zip(asked.request["RequestItems"], asked.tables, strict=True))
        parts.append(map_head(len(unprocessed)))
        for name, entry in unprocessed.items():
            encode_key = wire_keys(tables[name].codec).encode
            left = [byte_string(encode_key(key)) for key in entry["Keys"]]
            parts += (text(name), array_head(len(left)), *left)
        parts.append(capacity.several(_loads(answer.consumed) if answer.consumed else None))
        return b"".join(parts)

    def _batch_write(self, asked: Asked, answer: Answer) -> bytes:
        """Unprocessed items have been tried again until there were none: clients lose the keys of these."""
        reply = _loads(answer.body)
        return (
            _EMPTY_MAP
            + capacity.several(reply.get("ConsumedCapacity"))
            + capacity.metrics_by_table(reply.get("ItemCollectionMetrics"))
        )

    # Transactions

    def _transact_get(self, asked: Asked, answer: Answer) -> bytes:
        reply = _loads(answer.body)
        found = reply["Responses"]
        parts = [b"\x82", array_head(len(found))]
        for place, response in enumerate(found):
            item = response.get("Item")
            paths = _paths(asked, place)
            # As the API answers it: an item that has nothing of a projection is as good as none.
            found_none = item is None or (paths is not None and not project(item, paths))
            parts.append(NULL if found_none else self._item(item, asked.tables[place], paths))
        parts.append(capacity.extended(reply.get("ConsumedCapacity")))
        return b"".join(parts)

    def _transact_write(self, asked: Asked, answer: Answer) -> bytes:
        reply = _loads(answer.body)
        return (
            b"\x83\x80"
            + capacity.extended(reply.get("ConsumedCapacity"))
            + capacity.metrics_by_table(reply.get("ItemCollectionMetrics"))
        )

    def reasons(self, asked: Asked, error: ApiError) -> list[bytes | None] | None:
        """Why a transaction was cancelled: code, text and item of each action in turn."""
        reasons = reasons_of(error)
        if reasons is None:
            return None
        flat: list[bytes | None] = []
        for reason, table in zip(reasons, asked.tables, strict=False):
            item, message = reason.get("Item"), reason.get("Message")
            flat += (
                text(reason["Code"]),
                None if message is None else text(message),
                None if item is None else self._item(item, table, None),
            )
        return flat


def _loads(body: bytes | None) -> Any:
    return orjson.loads(body) if body else {}


def _paths(asked: Asked, place: int) -> Paths | None:
    projections = asked.projections
    projected = projections[place] if place < len(projections) else None
    return projected.paths if projected is not None else None


def _projected(item: Item, paths: Paths) -> bytes:
    return encode_projected(project(item, paths))


def _capacity(consumed: dict[str, Any] | None) -> bytes | None:
    return capacity.single(consumed) if consumed else None


def _members(members: dict[int, bytes | None]) -> bytes:
    """The map of a reply, of its members that there are; null if there is none."""
    parts = [integer(key) + value for key, value in members.items() if value is not None]
    return map_head(len(parts)) + b"".join(parts) if parts else NULL


def _with_capacity(form: bytes, consumed: dict[str, Any] | None) -> bytes:
    """A reply map with one member more. It has fewer than 23, so that its head is one byte."""
    if not consumed:
        return form
    return bytes((form[0] + 1,)) + _CONSUMED + capacity.single(consumed) + form[1:]


_MAKERS: dict[str, Callable[[Replies, Asked, Answer], bytes]] = {
    "GetItem": Replies._get,
    "Query": Replies._range,
    "Scan": Replies._range,
    "PutItem": Replies._write,
    "UpdateItem": Replies._write,
    "DeleteItem": Replies._write,
    "BatchGetItem": Replies._batch_get,
    "BatchWriteItem": Replies._batch_write,
    "TransactGetItems": Replies._transact_get,
    "TransactWriteItems": Replies._transact_write,
}
