"""One memory budget over cached items and cached replies; what was used longest ago goes first.

    store = CacheStore(budget_bytes=256 << 20)
    entry = store.item(table_id, key, now)  # None: not there, or past its time
    store.put_item(entry, now)

Time to live runs from when an entry came in, and reads do not extend it; the times in force apply to all entries from
the moment they are set. Item time to live 0: items never expire. Query time to live 0: replies are not cached (DAX
Developer Guide, item cache and query cache).

The ring of all entries by their last use has a head which is no entry: `head.older` is the one used last.
"""

from __future__ import annotations

from math import inf
from typing import Final

from hashrange_dax.cache.entries import Entry, ItemEntry, QueryEntry

SHARE: Final = 16
"""An entry of more than one part in this many of the budget is not cached: it would drive out too many others."""

TTL_DEFAULT_MS: Final = 300_000


class CacheStore:
    """The entries of a node. Counters are plain attributes, for whoever reports them."""

    def __init__(
        self,
        budget_bytes: int,
        item_ttl_ms: int = TTL_DEFAULT_MS,
        query_ttl_ms: int = TTL_DEFAULT_MS,
    ) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        """Bytes of memory that the entries take."""
        self.item_count = 0
        self.query_count = 0
        self.evicted_bytes = 0
        """Bytes of what had to make room."""
        self.evicted_count = 0
        self.expired_count = 0
        """Entries that were asked for past their time."""
        self.refused_count = 0
        """Entries that were too large to be cached."""
        self._tables: dict[str, dict[bytes, ItemEntry]] = {}
        self._queries: dict[bytes, QueryEntry] = {}
        self._head: Entry = ItemEntry("", None, b"", None, 0)
        self._head.newer = self._head.older = self._head
        self.set_ttls(item_ttl_ms, query_ttl_ms)

    def set_ttls(self, item_ttl_ms: int, query_ttl_ms: int) -> None:
        """Set both times to live, in milliseconds; they hold for what is cached already too."""
        self.item_ttl_ms, self.query_ttl_ms = item_ttl_ms, query_ttl_ms
        self._item_ttl_s = item_ttl_ms / 1000 if item_ttl_ms else inf
        self._query_ttl_s = query_ttl_ms / 1000
        if not query_ttl_ms:
            self._drop_queries(list(self._queries.values()))

    def set_budget(self, budget_bytes: int) -> None:
        """Set the budget; what does not fit any more goes at once."""
        self.budget_bytes = budget_bytes
        self._make_room()

    def item(self, table_id: str, key: bytes, now: float) -> ItemEntry | None:
        """The live entry of a key, which counts as a use of it."""
        entries = self._tables.get(table_id)
        if entries is None:
            return None
        entry = entries.get(key)
        if entry is None:
            return None
        if now - entry.stored_at >= self._item_ttl_s:
            self.expired_count += 1
            self._remove_item(entry)
            return None
        newer = entry.newer
        head = self._head
        if newer is not head:
            older = entry.older
            newer.older = older
            older.newer = newer
            first = head.older
            first.newer = entry
            entry.older = first
            entry.newer = head
            head.older = entry
        return entry

    def peek(self, table_id: str, key: bytes, now: float) -> ItemEntry | None:
        """The live entry of a key, without using it."""
        entries = self._tables.get(table_id)
        entry = entries.get(key) if entries is not None else None
        if entry is None or now - entry.stored_at >= self._item_ttl_s:
            return None
        return entry

    def put_item(self, entry: ItemEntry, now: float) -> bool:
        """Cache an entry in the place of what is there under its key; False if it is too large, and nothing is then."""
        entries = self._tables.get(entry.table_id)
        old = entries.get(entry.key) if entries is not None else None
        if old is not None:
            self._remove_item(old)
        if not self._link(entry, now):
            return False
        entries = self._tables.get(entry.table_id)
        if entries is None:
            entries = self._tables[entry.table_id] = {}
        entries[entry.key] = entry
        self.item_count += 1
        self._make_room()
        return True

    def remove_item(self, table_id: str, key: bytes) -> bool:
        """Forget a key; says whether there was anything."""
        entries = self._tables.get(table_id)
        entry = entries.get(key) if entries is not None else None
        if entry is None:
            return False
        self._remove_item(entry)
        return True

    def query(self, key: bytes, now: float) -> QueryEntry | None:
        """The live reply under a key, which counts as a use of it."""
        entry = self._queries.get(key)
        if entry is None:
            return None
        if now - entry.stored_at >= self._query_ttl_s:
            self.expired_count += 1
            self._drop_queries([entry])
            return None
        head = self._head
        if entry.newer is not head:
            entry.newer.older, entry.older.newer = entry.older, entry.newer
            self._to_front(entry)
        return entry

    def put_query(self, entry: QueryEntry, now: float) -> bool:
        """Cache a reply; False if it is too large, or replies are not cached."""
        if not self.query_ttl_ms:
            return False
        old = self._queries.get(entry.key)
        if old is not None:
            self._drop_queries([old])
        if not self._link(entry, now):
            return False
        self._queries[entry.key] = entry
        self.query_count += 1
        self._make_room()
        return True

    def resized(self, entry: Entry) -> None:
        """Count an entry anew after its forms have changed. It may go, if it has become too large for the cache."""
        if not entry.size:
            return
        size = entry.measured()
        self.used_bytes += size - entry.size
        entry.size = size
        if size * SHARE > self.budget_bytes:
            self._evict(entry)
        self._make_room()

    def clear_items(self) -> None:
        """Forget all items."""
        for table_id in list(self._tables):
            self._drop_items(table_id)

    def clear(self) -> None:
        """Forget everything."""
        self.clear_items()
        self._drop_queries(list(self._queries.values()))

    def drop_table(self, table_id: str) -> None:
        """Forget everything of a table."""
        self._drop_items(table_id)
        self._drop_queries([entry for entry in self._queries.values() if entry.table_id == table_id])

    def _drop_items(self, table_id: str) -> None:
        entries = self._tables.pop(table_id, None)
        if entries is not None:
            for entry in entries.values():
                self._unlink(entry)
            self.item_count -= len(entries)

    def _drop_queries(self, entries: list[QueryEntry]) -> None:
        for entry in entries:
            del self._queries[entry.key]
            self._unlink(entry)
        self.query_count -= len(entries)

    def _remove_item(self, entry: ItemEntry) -> None:
        entries = self._tables[entry.table_id]
        del entries[entry.key]
        if not entries:
            del self._tables[entry.table_id]
        self.item_count -= 1
        self._unlink(entry)

    def _link(self, entry: Entry, now: float) -> bool:
        size = entry.measured()
        if size * SHARE > self.budget_bytes:
            self.refused_count += 1
            return False
        entry.stored_at = now
        entry.size = size
        self.used_bytes += size
        self._to_front(entry)
        return True

    def _to_front(self, entry: Entry) -> None:
        head = self._head
        first = head.older
        first.newer = entry
        entry.older = first
        entry.newer = head
        head.older = entry

    def _unlink(self, entry: Entry) -> None:
        newer, older = entry.newer, entry.older
        newer.older, older.newer = older, newer
        self.used_bytes -= entry.size
        entry.size = 0
        # Its neighbours may live on in the hands of a caller no longer than the entry itself.
        del entry.newer, entry.older

    def _make_room(self) -> None:
        head = self._head
        while self.used_bytes > self.budget_bytes and head.newer is not head:
            self._evict(head.newer)

    def _evict(self, entry: Entry) -> None:
        self.evicted_bytes += entry.size
        self.evicted_count += 1
        if entry.__class__ is ItemEntry:
            self._remove_item(entry)
        else:
            assert isinstance(entry, QueryEntry)
            self._drop_queries([entry])
