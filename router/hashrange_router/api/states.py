"""What an operation has read or left under each key, told to a caller that keeps it: `Call.states`.

Nobody does but a cache, so `Call.states` is None for all other calls, and an operation asks before it calls anything
here. An update tells what it has made only if it is asked for images of the item, so the message goes with another
`returns` than the client's, and the client's `Attributes` are made here.
"""

from __future__ import annotations

import orjson

from hashrange.expr import touched_attributes
from hashrange.model import record as records
from hashrange.model.item_state import UNKNOWN_STAMP, ItemState
from hashrange.model.table import TableSchema
from hashrange.model.value import dump
from hashrange.wire import messages as wire
from hashrange.wire.messages import WriteItem, WriteResult


def state_read(table: TableSchema, key: bytes, record: bytes | None) -> ItemState:
    """What a read has found."""
    if record is None:
        return ItemState(table, key, None, UNKNOWN_STAMP)
    return ItemState(table, key, record[records.HEADER_SIZE :], records.stamp(record))


def ask_for_state(write: WriteItem) -> int:
    """Have an update's answer tell the item that it leaves. Returns what the client asked for."""
    asked = write.returns
    if write.kind == wire.UPDATE:
        old_too = asked in (wire.RETURN_ALL_OLD, wire.RETURN_UPDATED_OLD)
        write.returns = wire.RETURN_IMAGES if old_too else wire.RETURN_ALL_NEW
    return asked


def state_left(table: TableSchema, write: WriteItem, result: WriteResult, asked: int) -> ItemState:
    """What a write has left; `asked` is what `ask_for_state` gave. The result's attributes become the client's."""
    if write.kind != wire.UPDATE:
        left = write.item_json if write.kind == wire.PUT else None
        return ItemState(table, write.key, left, result.stamp)
    old, new = None, result.attributes
    if new is not None and write.returns == wire.RETURN_IMAGES:
        old, new = wire.split_images(new)
    result.attributes = _attributes(write, asked, old, new)
    return ItemState(table, write.key, new, result.stamp)


def _attributes(write: WriteItem, asked: int, old: bytes | None, new: bytes | None) -> bytes | None:
    """The JSON of the `Attributes` that the client asked for, or None."""
    if asked == wire.RETURN_NONE:
        return None
    if asked == wire.RETURN_ALL_NEW:
        return new
    if asked == wire.RETURN_ALL_OLD:
        return old
    source = old if asked == wire.RETURN_UPDATED_OLD else new
    if source is None or write.update is None:
        return None
    touched = touched_attributes(orjson.loads(source), write.update.paths)
    return dump(touched) if touched else None
