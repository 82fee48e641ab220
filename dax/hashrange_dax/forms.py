"""The forms of cached items: JSON as stored, and what the wire protocol has of it. An entry keeps what is asked for.

    forms = Forms(attribute_lists, store)
    forms.wire_of(entry)      # list id and values; UnknownNames until their list has been defined
    forms.json_of(entry)      # canonical JSON; None for an absent item

An entry begins with the JSON. The first answer over the wire makes the other form in its place; once the HTTP door
asks for such an entry, it gets the JSON back, and both are kept.
"""

from __future__ import annotations

from typing import Any

import orjson

from hashrange.errors import internal
from hashrange.model.key_decode import decode_key
from hashrange.model.value import Item, dump, normalise_item
from hashrange_dax.cache.entries import ItemEntry
from hashrange_dax.cache.store import CacheStore
from hashrange_dax.codec import items
from hashrange_dax.contracts import AttributeLists

__all__ = ["Forms"]


class Forms:
    """Makes the forms of entries. `store` counts what they take."""

    def __init__(self, attribute_lists: AttributeLists, store: CacheStore) -> None:
        self._lists = attribute_lists
        self._store = store

    def wire_of(self, entry: ItemEntry) -> bytes:
        """List id and values of an item that there is. `UnknownNames`: its list must be defined first."""
        wire = entry.wire
        if wire is None:
            assert entry.json is not None and entry.table is not None
            item: Item = orjson.loads(entry.json)
            wire = entry.wire = items.encode_values(item, entry.table.key_names, self._lists.id_of)
            entry.json = None
            self._store.resized(entry)
        return wire

    def json_of(self, entry: ItemEntry) -> bytes | None:
        """The canonical JSON of an item; None for an absent one."""
        if entry.absent or entry.json is not None:
            return entry.json
        entry.json = dump(self._decoded(entry))
        self._store.resized(entry)
        return entry.json

    def item_of(self, entry: ItemEntry) -> Item:
        """The attributes of an item that there is, as a new document; the entry stays as it is."""
        if entry.json is not None:
            item: Item = orjson.loads(entry.json)
            return item
        return self._decoded(entry)

    def _decoded(self, entry: ItemEntry) -> Item:
        wire, table = entry.wire, entry.table
        assert wire is not None and table is not None
        list_id, position = items.split_list_id(wire)
        names = () if list_id == items.EMPTY_LIST else self._lists.names_of(list_id)
        if names is None:
            raise internal(f"The attribute list {list_id} of a cached item is not known")
        item: dict[str, Any] = items.decode_values(wire, names, position)
        item.update(decode_key(table.codec, entry.key))
        normalise_item(item)
        return item
