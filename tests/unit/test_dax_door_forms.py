"""The forms of cached items: which an entry keeps, and that each can be made of the other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_dax.cache import CacheStore, ItemEntry
from hashrange_dax.codec.items import UnknownNames
from hashrange_dax.forms import Forms

from hashrange.errors import ApiError
from hashrange.model.value import dump
from tests.unit.dax_door_support import MemoryLists
from tests.unit.dax_tier_support import schema

TABLE = schema(sort="N")
ITEM: dict[str, Any] = {
    "pk": {"S": "a\0b"},
    "sk": {"N": "-1.5"},
    "ns": {"NS": ["-2", "10"]},
    "m": {"M": {"l": {"L": [{"B": "AA=="}, {"NULL": True}]}}},
}


def made() -> tuple[Forms, CacheStore, MemoryLists, ItemEntry]:
    """An entry of a store, whose attribute list is known."""
    lists = MemoryLists()
    lists.define(("m", "ns"), lambda found: None)
    store = CacheStore(1 << 20)
    entry = ItemEntry(TABLE.table_id, TABLE, TABLE.codec.encode(ITEM), dump(ITEM), 7)
    store.put_item(entry, 0)
    return Forms(lists, store), store, lists, entry


def test_the_wire_form_takes_the_place_of_the_json() -> None:
    forms, store, _, entry = made()
    wire = forms.wire_of(entry)
    assert entry.json is None and entry.wire is wire and wire[0] == 2
    assert store.used_bytes == entry.size == entry.measured()
    assert forms.wire_of(entry) is wire


def test_the_json_comes_back_as_it_was_and_then_both_are_kept() -> None:
    forms, store, _, entry = made()
    forms.wire_of(entry)
    assert forms.json_of(entry) == dump(ITEM)
    assert entry.json is not None and entry.wire is not None
    forms.wire_of(entry)
    assert entry.json is not None
    assert store.used_bytes == entry.size == entry.measured()


def test_an_item_can_be_read_from_either_form() -> None:
    forms, _, _, entry = made()
    assert forms.item_of(entry) == ITEM
    forms.wire_of(entry)
    assert orjson.loads(dump(forms.item_of(entry))) == ITEM
    assert entry.json is None


def test_an_unknown_list_changes_nothing() -> None:
    forms, _, lists, entry = made()
    lists.names.clear()
    with pytest.raises(UnknownNames) as caught:
        forms.wire_of(entry)
    assert caught.value.names == ("m", "ns")
    assert entry.json == dump(ITEM) and entry.wire is None


def test_an_absent_item_has_no_form() -> None:
    forms = made()[0]
    assert forms.json_of(ItemEntry(TABLE.table_id, TABLE, b"k", None, 0)) is None


def test_a_list_that_is_gone_is_a_fault_and_no_wrong_name() -> None:
    forms, _, lists, entry = made()
    forms.wire_of(entry)
    lists.names.clear()
    with pytest.raises(ApiError):
        forms.json_of(entry)
