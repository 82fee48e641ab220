"""Evaluation of writes at the leader: current record and request in, effects out.

Pure: no engine, no clock. The caller looks up the current record (the newest one evaluated, committed or
not), and hands over the stamp and the raft index that the resulting entry will carry. Conditions and
update expressions are evaluated here and nowhere else; followers write the resulting bytes.
"""

from __future__ import annotations

import orjson

from hashrange.errors import conditional_check_failed
from hashrange.expr import touched_attributes
from hashrange.expr.tree import Path
from hashrange.model import record as records
from hashrange.model.key_rules import check_index_keys
from hashrange.model.table import TableSchema
from hashrange.model.value import Item, check_update_size, dump, item_size, value_size
from hashrange.runtime.clock import wall_ms_of
from hashrange.wire import messages as wire
from hashrange.wire.messages import WriteItem, WriteResult
from hashrange.wire.transactions import CHECK
from hashrange_node.regions import versions
from hashrange_node.replica.effects import Count, Effects, Mutation
from hashrange_node.replica.place import Place
from hashrange_node.replica.secondary import apply_secondary, expiry_key, expiry_of
from hashrange_node.storage import keyspace

HEADER = records.HEADER_SIZE


def evaluate(
    write: WriteItem,
    schema: TableSchema,
    place: Place,
    full_key: bytes,
    current: bytes | None,
    stamp: int,
    index: int,
) -> Effects:
    """Decide what `write` does to the item whose record is `current` (None: no item).

    What only checks a condition has no effects. Raises ApiError: ConditionalCheckFailedException, or a validation
    error of the update. A stamp never goes back for an item (`max(stamp, stored + 1)`), so that newer always means
    later. In a global table the effects have a mark for the other regions, and a deletion leaves a tombstone.
    """
    if current is not None:
        stored = records.stamp(current)
        if stored >= stamp:
            stamp = stored + 1
    if write.kind == wire.PUT:
        if schema.lsis or schema.gsis:
            _check_index_keys(schema, _new_item(write))
        old = _check_condition(write, current) if write.condition is not None else None
        return _put(write, schema, place, full_key, current, old, stamp, index)
    old = orjson.loads(current[HEADER:]) if current is not None else None
    if write.kind == wire.UPDATE:
        _match(write, old, current)
        return _update(write, schema, place, full_key, current, old, stamp, index)
    _match(write, old, current)
    if write.kind == CHECK:
        size = records.size(current) if current is not None else 0
        return Effects([], [], WriteResult(size, size))
    return _delete(write, schema, place, full_key, current, old, stamp, index)


def carry_out(
    write: WriteItem,
    schema: TableSchema,
    place: Place,
    full_key: bytes,
    current: bytes | None,
    stamp: int,
    index: int,
) -> Effects:
    """What a put, a deletion or a check does that was evaluated before: it has no condition, and cannot fail.

    Since then the table may have got an index whose key the item does not fit: that index does not hold it.
    """
    if write.kind == wire.PUT:
        return _put(write, schema, place, full_key, current, None, stamp, index)
    if write.kind == CHECK:
        size = records.size(current) if current is not None else 0
        return Effects([], [], WriteResult(size, size))
    old = orjson.loads(current[HEADER:]) if current is not None else None
    return _delete(write, schema, place, full_key, current, old, stamp, index)


def _new_item(write: WriteItem) -> Item:
    if write.decoded is None:
        write.decoded = orjson.loads(write.item_json)
    assert write.decoded is not None
    return write.decoded


def _check_index_keys(schema: TableSchema, item: Item, updating: bool = False) -> None:
    for index in schema.lsis:
        check_index_keys(index.name, index.codec, item, updating=updating)
    for index in schema.gsis:
        if index.maintained:
            check_index_keys(index.name, index.codec, item, updating=updating)


def _check_condition(write: WriteItem, current: bytes | None) -> Item | None:
    old: Item | None = orjson.loads(current[HEADER:]) if current is not None else None
    _match(write, old, current)
    return old


def _match(write: WriteItem, old: Item | None, current: bytes | None) -> None:
    condition = write.condition
    if condition is not None and not condition.matches(old):
        if current is None:
            raise conditional_check_failed()
        attached = current[HEADER:] if write.want_old_on_failure else None
        raise conditional_check_failed(attached, records.size(current))


def _put(
    write: WriteItem,
    schema: TableSchema,
    place: Place,
    full_key: bytes,
    current: bytes | None,
    old: Item | None,
    stamp: int,
    index: int,
) -> Effects:
    size = write.item_size
    region = schema.region
    record = records.pack(write.item_json, size, stamp, index, 0, region)
    mutations: list[Mutation] = [(full_key, record)]
    if current is None:
        result = WriteResult(0, size, None, None, stamp)
        counts: list[Count] = [(0, 1, size)]
    else:
        old_size = records.size(current)
        attributes = current[HEADER:] if write.returns == wire.RETURN_ALL_OLD else None
        result = WriteResult(old_size, size, attributes, None, stamp)
        counts = [(0, 0, size - old_size)] if size != old_size else []
    effects = Effects(mutations, counts, result)
    if schema.lsis or schema.gsis or schema.ttl_attribute:
        if old is None and current is not None:
            old = orjson.loads(current[HEADER:])
        apply_secondary(effects, schema, place, write.key, old, _new_item(write), stamp, index)
    if region:
        versions.mark(effects, schema, full_key, stamp)
    return effects


def _delete(
    write: WriteItem,
    schema: TableSchema,
    place: Place,
    full_key: bytes,
    current: bytes | None,
    old: Item | None,
    stamp: int,
    index: int,
) -> Effects:
    if write.expiry_s is not None:
        attribute = schema.ttl_attribute
        if attribute is None or expiry_of(old, attribute) != write.expiry_s:
            # The item is gone or expires at another time: only the entry that led here goes.
            entry = expiry_key(keyspace.space_prefix(place.store, keyspace.EXPIRY), write.expiry_s, write.key)
            return Effects([(entry, None)], [], WriteResult(0, 0))
    if current is None:
        return Effects([], [], WriteResult(0, 0, None, None, stamp))
    now_s = wall_ms_of(stamp) // 1000
    if write.expiry_s is not None and schema.region:
        stamp = (
            records.stamp(current) + 1
        )  # just this version: what anybody else has written since is greater
    old_size = records.size(current)
    attributes = current[HEADER:] if write.returns == wire.RETURN_ALL_OLD else None
    result = WriteResult(old_size, 0, attributes, None, stamp)
    effects = Effects([(full_key, None)], [(0, -1, -old_size)], result)
    effects.deleted = stamp
    if schema.lsis or schema.gsis or schema.ttl_attribute:
        apply_secondary(effects, schema, place, write.key, old, None, stamp, index)
    if schema.region:
        versions.bury(effects, full_key, stamp, index, schema.region, now_s)
        versions.mark(effects, schema, full_key, stamp)
    return effects


def _update(
    write: WriteItem,
    schema: TableSchema,
    place: Place,
    full_key: bytes,
    current: bytes | None,
    old: Item | None,
    stamp: int,
    index: int,
) -> Effects:
    key_item = write.key_item
    assert key_item is not None
    paths: tuple[Path, ...] = ()
    new: Item | None
    if write.update is not None:
        outcome = write.update.apply(old, key_item)
        new = outcome.new_item
        paths = outcome.touched
    else:
        new = old if old is not None else dict(key_item)
    if new is None:  # only REMOVE or DELETE on a missing item: nothing comes into being
        return Effects([], [], WriteResult(0, 0, None, None, stamp))
    if new is old and current is not None:
        size = old_size = records.size(current)
        item_json = current[HEADER:]
        effects = Effects([], [], WriteResult(old_size, size, None, None, records.stamp(current)))
    else:
        if schema.lsis or schema.gsis:
            _check_index_keys(schema, new, updating=True)
        old_size = records.size(current) if current is not None else 0
        size = _updated_size(write, old, new, old_size)
        item_json = dump(new)
        counts: list[Count] = [(0, 0 if current is not None else 1, size - old_size)]
        record = records.pack(item_json, size, stamp, index, 0, schema.region)
        result = WriteResult(old_size, size, None, None, stamp)
        effects = Effects([(full_key, record)], counts, result)
        if schema.lsis or schema.gsis or schema.ttl_attribute:
            apply_secondary(effects, schema, place, write.key, old, new, stamp, index)
        if schema.region:
            versions.mark(effects, schema, full_key, stamp)
    effects.result.attributes = _returned(write.returns, current, old, item_json, new, paths)
    return effects


def _updated_size(write: WriteItem, old: Item | None, new: Item, old_size: int) -> int:
    """The size of the updated item, measured only where the update can have changed it; checks the limit."""
    update = write.update
    if update is None:
        return item_size(new)
    if old is None:
        size = item_size(new)
    else:
        size = old_size
        for head in update.plan.heads:
            before, after = old.get(head), new.get(head)
            if before is not after:
                if before is not None:
                    size -= value_size(before) + len(head.encode())
                if after is not None:
                    size += value_size(after) + len(head.encode())
    check_update_size(size)
    return size


def _returned(
    returns: int,
    current: bytes | None,
    old: Item | None,
    item_json: bytes,
    new: Item,
    paths: tuple[Path, ...],
) -> bytes | None:
    """The JSON of `Attributes` for an UpdateItem, or None when the member is absent."""
    if returns == wire.RETURN_NONE:
        return None
    if returns == wire.RETURN_ALL_NEW:
        return item_json
    if returns == wire.RETURN_ALL_OLD:
        return current[HEADER:] if current is not None else None
    if returns == wire.RETURN_IMAGES:
        return wire.images(current[HEADER:] if current is not None else None, item_json)
    source = old if returns == wire.RETURN_UPDATED_OLD else new
    touched = touched_attributes(source, paths) if source is not None else None
    return dump(touched) if touched else None
