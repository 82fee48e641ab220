"""The one store of a cache node: order of use, bytes, time to live."""

from __future__ import annotations

import tracemalloc

import pytest
from hashrange_dax.cache import CacheStore, ItemEntry, QueryEntry
from hashrange_dax.cache.entries import Entry
from hashrange_dax.cache.store import SHARE

from tests.unit.dax_tier_support import schema

TABLE = schema()
MINUTES_5 = 300.0


def item(key: str, size: int = 100, table_id: str = TABLE.table_id) -> ItemEntry:
    return ItemEntry(table_id, TABLE, key.encode(), b"x" * size, 1)


def query(key: str, size: int = 80) -> QueryEntry:
    return QueryEntry("Query", TABLE, key.encode(), b"x" * size, None)


def holding(count: int, size: int = 100) -> CacheStore:
    """A store that has room for so many items of a size, with keys of one byte."""
    return CacheStore(item("k", size).measured() * max(count, SHARE))


def keys(store: CacheStore) -> list[bytes]:
    """What the ring has, from the first that would go."""
    found = []
    entry: Entry = store._head.newer
    while entry is not store._head:
        found.append(entry.key)
        entry = entry.newer
    return found


def get(store: CacheStore, key: str, now: float = 0.0) -> ItemEntry | None:
    return store.item(TABLE.table_id, key.encode(), now)


def test_what_was_used_longest_ago_goes_first() -> None:
    store = holding(SHARE)
    for number in range(SHARE):
        store.put_item(item(chr(97 + number)), 0.0)
    assert get(store, "a") is not None
    store.put_item(item("z"), 0.0)
    assert get(store, "b") is None
    assert get(store, "a") is not None
    assert (store.evicted_count, store.evicted_bytes) == (1, item("b").measured())
    assert store.used_bytes <= store.budget_bytes


def test_a_look_without_use_changes_no_order() -> None:
    store = holding(SHARE)
    for key in "abc":
        store.put_item(item(key), 0.0)
    assert store.peek(TABLE.table_id, b"a", 0.0) is not None
    assert keys(store) == [b"a", b"b", b"c"]
    get(store, "a")
    get(store, "b")
    get(store, "b")
    assert keys(store) == [b"c", b"a", b"b"]


def test_items_and_replies_share_one_budget() -> None:
    store = holding(SHARE)
    store.put_query(query("q"), 0.0)
    for number in range(SHARE):
        store.put_item(item(chr(97 + number)), 0.0)
    assert store.query(b"q", 0.0) is None
    assert store.query_count == 0
    store.put_query(query("r"), 0.0)
    store.put_query(query("s"), 0.0)
    assert store.item_count < SHARE
    assert store.used_bytes <= store.budget_bytes


def test_time_to_live_runs_from_when_an_entry_came_in_and_reads_do_not_extend_it() -> None:
    store = holding(SHARE)
    store.put_item(item("a"), 10.0)
    store.put_query(query("q"), 10.0)
    for now in (10.0, 200.0, 10.0 + MINUTES_5 - 0.001):
        assert get(store, "a", now) is not None
        assert store.query(b"q", now) is not None
    assert store.peek(TABLE.table_id, b"a", 10.0 + MINUTES_5) is None
    assert get(store, "a", 10.0 + MINUTES_5) is None
    assert store.query(b"q", 10.0 + MINUTES_5) is None
    assert (store.item_count, store.query_count, store.used_bytes) == (0, 0, 0)
    assert (store.expired_count, store.evicted_count) == (2, 0)


def test_the_times_are_apart_and_hold_at_once_for_what_is_cached() -> None:
    store = holding(SHARE)
    store.put_item(item("a"), 0.0)
    store.put_query(query("q"), 0.0)
    store.set_ttls(1_000, 10_000)
    assert store.query(b"q", 5.0) is not None
    assert get(store, "a", 5.0) is None


def test_items_never_expire_with_a_time_to_live_of_0() -> None:
    store = CacheStore(100_000, item_ttl_ms=0)
    store.put_item(item("a"), 0.0)
    assert get(store, "a", 1e12) is not None


def test_replies_are_not_cached_with_a_time_to_live_of_0() -> None:
    store = CacheStore(100_000, query_ttl_ms=0)
    assert not store.put_query(query("q"), 0.0)
    assert store.query(b"q", 0.0) is None
    store.set_ttls(0, 1_000)
    assert store.put_query(query("q"), 0.0)
    store.set_ttls(0, 0)
    assert (store.query_count, store.used_bytes) == (0, 0)


def test_an_entry_of_more_than_its_share_is_not_cached_and_replaces_what_was_there() -> None:
    store = holding(SHARE)
    store.put_item(item("a"), 0.0)
    assert not store.put_item(item("a", 101), 0.0)
    assert get(store, "a") is None
    assert (store.refused_count, store.used_bytes, store.item_count) == (1, 0, 0)
    assert not store.put_query(query("q", 10_000), 0.0)


def test_another_entry_of_a_key_takes_its_place() -> None:
    store = holding(SHARE)
    store.put_item(item("a"), 0.0)
    store.put_item(item("a", 50), 7.0)
    assert (store.item_count, store.used_bytes) == (1, item("a", 50).measured())
    store.put_query(query("q"), 0.0)
    store.put_query(query("q", 50), 0.0)
    assert store.query_count == 1
    assert store.used_bytes == item("a", 50).measured() + query("q", 50).measured()


def test_forms_that_doors_add_are_counted_and_may_drive_others_out() -> None:
    store = holding(SHARE)
    for number in range(SHARE):
        store.put_item(item(chr(97 + number), 20), 0.0)
    entry = get(store, "a")
    assert entry is not None
    before = store.used_bytes
    entry.wire = b"w" * 30
    store.resized(entry)
    assert store.used_bytes == before + 30 + 40
    entry.json = None
    store.resized(entry)
    assert store.used_bytes == before + 30 - 20
    entry.wire = b"w" * store.budget_bytes
    store.resized(entry)
    assert get(store, "a") is None
    assert store.item_count == SHARE - 1
    store.resized(entry)  # it is in no store any more
    assert store.used_bytes == (SHARE - 1) * item("b", 20).measured()


def test_a_form_that_is_another_ones_object_counts_once() -> None:
    entry = query("q")
    size = entry.measured()
    entry.http = entry.body
    assert entry.measured() == size
    entry.http = b"y" * 10
    assert entry.measured() == size + 10 + 40


def test_a_table_can_be_forgotten() -> None:
    store = holding(SHARE)
    store.put_item(item("a"), 0.0)
    store.put_item(item("a", table_id="other"), 0.0)
    store.put_query(query("q"), 0.0)
    store.drop_table(TABLE.table_id)
    assert (store.item_count, store.query_count) == (1, 0)
    assert store.item("other", b"a", 0.0) is not None
    assert store.used_bytes == item("a").measured()


def test_items_can_be_forgotten_and_everything_can() -> None:
    store = holding(SHARE)
    store.put_item(item("a"), 0.0)
    store.put_query(query("q"), 0.0)
    store.clear_items()
    assert (store.item_count, store.query_count, store.used_bytes) == (0, 1, query("q").measured())
    store.clear()
    assert (store.item_count, store.query_count, store.used_bytes) == (0, 0, 0)
    assert keys(store) == []


def test_a_smaller_budget_holds_at_once() -> None:
    store = holding(2 * SHARE)
    for number in range(2 * SHARE):
        store.put_item(item(chr(65 + number)), 0.0)
    store.set_budget(store.budget_bytes // 2)
    assert store.item_count == SHARE
    assert get(store, chr(65)) is None


def test_a_key_can_be_removed() -> None:
    store = holding(SHARE)
    store.put_item(item("a"), 0.0)
    assert store.remove_item(TABLE.table_id, b"a")
    assert not store.remove_item(TABLE.table_id, b"a")
    assert store.used_bytes == 0


@pytest.mark.parametrize("wire", [False, True])
def test_counted_bytes_are_those_that_are_taken(wire: bool) -> None:
    count, size = 20_000, 500
    store = CacheStore(1 << 30)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            entry = ItemEntry(TABLE.table_id, TABLE, b"%030d" % number, b"%0*d" % (size, number), 1 << 60)
            if wire:
                entry.wire = b"%0*d" % (size * 2 // 3, number)
            store.put_item(entry, 1000.5 + number)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.9 * taken <= store.used_bytes <= 1.1 * taken
    assert store.used_bytes <= 2.5 * size * count
