"""The short way of a Query or Scan that is cached: a request whose very bytes have been answered from the cache before.

    quick.remember(received, asked, entry, client.selects_all)
    found = quick.reply(received, client.selects_all)   # None: not known, or not cached any more; take the long way

What is remembered is which reply the bytes ask for, never the reply itself, and only for as long as the table is
what it was then: an index that comes or goes may change what they mean.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange_dax.cache.entries import QueryEntry
from hashrange_dax.codec.items import UnknownNames
from hashrange_dax.tier import Tier

from .asked import Asked, TableOf
from .replies import SUCCESS, Replies

_REQUEST_BYTES_MAX: Final = 4096
_BYTES_MAX: Final = 8 << 20
_OVERHEAD: Final = 700
"""What a remembered request takes beside its bytes (measured)."""


class _Known(NamedTuple):
    name: str
    table: TableSchema
    key: bytes
    asked: Asked
    selects_all: bool


class QuickQuery:
    """Answers queries that are known by their bytes, which are bounded; those known longest go first."""

    def __init__(self, tier: Tier, table_of: TableOf, replies: Replies) -> None:
        self._hit = tier.hit_query
        self._table_of = table_of
        self._replies = replies
        self._known: dict[bytes, _Known] = {}
        self.bytes = 0
        """Memory that is taken by what is remembered."""

    def remember(self, data: bytes, asked: Asked, entry: QueryEntry, selects_all: bool) -> None:
        """A request that is all of `data` was answered from an entry, or has made it.

        `selects_all` (`handshake.Client`): the same bytes may mean another thing to a client of the other kind.
        """
        if len(data) > _REQUEST_BYTES_MAX or asked.request.get("ConsistentRead") is True:
            return
        if data in self._known:
            if self._known[data].selects_all == selects_all:
                return
            self._forget(data)
        name = asked.request["TableName"]
        small = Asked(asked.operation, {}, asked.tables, asked.projections)
        small.indexed = asked.indexed
        self._known[data] = _Known(name, asked.tables[0], entry.key, small, selects_all)
        self.bytes += len(data) + _OVERHEAD
        while self.bytes > _BYTES_MAX:
            self._forget(next(iter(self._known)))

    def reply(self, data: bytes, selects_all: bool) -> tuple[str, bytes] | None:
        """The operation that these bytes are when a client of this kind sends them, and its reply."""
        known = self._known.get(data)
        if known is None or known.selects_all != selects_all:
            return None
        try:
            if self._table_of(known.name) is not known.table:
                self._forget(data)
                return None
            entry = self._hit(known.key)
            if entry is None:
                return None
            return known.asked.operation, SUCCESS + self._replies.query_wire(known.asked, entry)
        except (ApiError, UnknownNames):
            self._forget(data)
            return None

    def _forget(self, data: bytes) -> None:
        del self._known[data]
        self.bytes -= len(data) + _OVERHEAD
