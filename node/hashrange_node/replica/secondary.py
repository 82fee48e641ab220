"""What a change of an item means for the indexes: local entries, queued global changes, expiry entries.

Pure: given the item before and after, it returns mutations. Local index entries and the expiry index lie
in the item's own partition and change in the same batch. Global indexes are partitions of their own: their
changes are queued in the same batch, and sent on afterwards (`index_queue`).

A queued change is [index name, key to delete or None, key to put or None, record to put or None, stamp].
"""

from __future__ import annotations

from typing import Any

import msgpack

from hashrange.model import record as records
from hashrange.model.table import IndexSchema, TableSchema
from hashrange.model.table_units import index_write_units_half
from hashrange.model.value import Item, dump, item_size
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.place import Place
from hashrange_node.storage import keyspace

# Items whose time to live lies further back than this are never deleted (DynamoDB Developer Guide, TTL).
EXPIRY_HORIZON_S = 5 * 365 * 86_400


class IndexChange:
    """How one index entry changes. Keys are relative to the index; sizes in bytes, 0 = no entry."""

    __slots__ = ("new_item", "new_key", "new_size", "old_key", "old_size", "same")

    def __init__(self, index: IndexSchema, old: Item | None, new: Item | None) -> None:
        encode = index.codec.encode_entry
        self.old_key = encode(old) if old is not None else None
        self.new_key = encode(new) if new is not None else None
        old_item = index.project(old) if old is not None and self.old_key is not None else None
        self.new_item = index.project(new) if new is not None and self.new_key is not None else None
        self.old_size = item_size(old_item) if old_item is not None else 0
        self.new_size = item_size(self.new_item) if self.new_item is not None else 0
        self.same = self.old_key == self.new_key and old_item == self.new_item

    @property
    def units_half(self) -> int:
        """Half write units this change consumes in the index (0 when nothing changes)."""
        old = self.old_size if self.old_key is not None else None
        new = self.new_size if self.new_key is not None else None
        return index_write_units_half(old, new, self.old_key != self.new_key, not self.same)


def find_global_index(schema: TableSchema, name: str) -> IndexSchema | None:
    """The global index of that name that writes keep up to date, or None."""
    for index in schema.gsis:
        if index.name == name and index.maintained:
            return index
    return None


def expiry_of(item: Item | None, attribute: str) -> int | None:
    """The second at which the item expires, or None: only whole-second numbers count, strings never."""
    if item is None:
        return None
    value = item.get(attribute)
    if value is None:
        return None
    text = value.get("N")
    if text is None or text.startswith("-"):
        return None
    second = int(text.partition(".")[0])
    return second if second < 1 << 62 else None


def apply_secondary(
    effects: Effects,
    schema: TableSchema,
    place: Place,
    key: bytes,
    old: Item | None,
    new: Item | None,
    stamp: int,
    index: int,
) -> None:
    """Add to `effects` what follows for all indexes from the change `old` -> `new` of the item at `key`."""
    units: list[tuple[str, str, int]] = []
    for number, local in enumerate(schema.lsis, start=1):
        change = IndexChange(local, old, new)
        if not change.same:
            _change_local(effects, keyspace.space_prefix(place.store, number), number, change, stamp, index)
            units.append(("LSI", local.name, change.units_half))
    queued: list[list[Any]] = []
    for remote in schema.gsis:
        if not remote.maintained:
            continue
        change = IndexChange(remote, old, new)
        if not change.same:
            queued.append(queued_change(remote.name, change, stamp, index))
            units.append(("GSI", remote.name, change.units_half))
    if queued:
        queue(effects, place.id, index, queued)
    if schema.ttl_attribute is not None:
        _change_expiry(effects, schema.ttl_attribute, place.store, key, old, new)
    effects.result.index_units = units or None


def _change_local(
    effects: Effects, prefix: bytes, space: int, change: IndexChange, stamp: int, index: int
) -> None:
    if change.old_key is not None and change.old_key != change.new_key:
        effects.mutations.append((prefix + change.old_key, None))
    if change.new_key is not None:
        assert change.new_item is not None
        entry = records.pack(dump(change.new_item), change.new_size, stamp, index)
        effects.mutations.append((prefix + change.new_key, entry))
    added = (change.new_key is not None) - (change.old_key is not None)
    effects.counts.append((space, added, change.new_size - change.old_size))


def queued_change(name: str, change: IndexChange, stamp: int, index: int) -> list[Any]:
    """The queued form of a change of a global index."""
    record = None
    if change.new_item is not None:
        record = records.pack(dump(change.new_item), change.new_size, stamp, index)
    delete = change.old_key if change.old_key != change.new_key else None
    return [name, delete, change.new_key, record, stamp]


def queue(effects: Effects, partition: int, index: int, changes: list[list[Any]]) -> None:
    """Put changes on the partition's durable queue, in the batch of the entry with this raft index."""
    queued = effects.queued
    if queued is None:
        queued = effects.queued = []
    key = keyspace.queue_key(keyspace.queue_prefix(partition), index, len(queued))
    effects.mutations.append((key, msgpack.packb(changes)))
    queued.append((key, changes))


def _change_expiry(
    effects: Effects, attribute: str, store: int, key: bytes, old: Item | None, new: Item | None
) -> None:
    before = expiry_of(old, attribute)
    after = expiry_of(new, attribute)
    if before == after:
        return
    prefix = keyspace.space_prefix(store, keyspace.EXPIRY)
    if before is not None:
        effects.mutations.append((expiry_key(prefix, before, key), None))
    if after is not None:
        effects.mutations.append((expiry_key(prefix, after, key), b""))


def expiry_key(prefix: bytes, second: int, key: bytes) -> bytes:
    """Key of an entry of the expiry index: ordered by second, then by the item's key."""
    return prefix + second.to_bytes(8, "big") + key
