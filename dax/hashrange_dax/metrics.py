"""What a cache node counts: the metrics of namespace AWS/DAX (DAX Developer Guide, Viewing DAX metrics).

Plain attributes that only grow, one per node. The tier counts requests, hits, misses and errors; the doors count bytes
and connections; `store` has memory and evictions.
"""

from __future__ import annotations

from typing import Final

from hashrange.errors import ApiError
from hashrange.model.throttling import is_throttling
from hashrange_dax.cache.store import CacheStore

OPERATIONS: Final = (
    "GetItem",
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "PutItem",
    "UpdateItem",
    "Query",
    "Scan",
    "TransactWriteItems",
    "TransactGetItems",
)
TRANSACTIONS: Final = frozenset({"TransactWriteItems", "TransactGetItems"})


class Metrics:
    """The counters of one node."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "coalesced",
        "connections",
        "errors",
        "faults",
        "invalidations",
        "item_hits",
        "item_misses",
        "lost_fills",
        "query_hits",
        "query_misses",
        "quick_gets",
        "quick_queries",
        "quick_scans",
        "refills",
        "requests",
        "scan_hits",
        "scan_misses",
        "store",
        "throttled",
        "told_changes",
    )

    def __init__(self, store: CacheStore) -> None:
        self.store = store
        self.requests: dict[str, int] = dict.fromkeys(OPERATIONS, 0)
        """Requests by operation that came to `Tier.run`; those answered by `hit` are in `quick_*`."""
        self.quick_gets = 0
        """GetItem requests that a door has answered from `Tier.hit`: each is a hit of the item cache too."""
        self.quick_queries = 0
        self.quick_scans = 0
        self.item_hits = 0
        """Hits of the item cache within `Tier.run`."""
        self.item_misses = 0
        self.query_hits = 0
        self.query_misses = 0
        self.scan_hits = 0
        self.scan_misses = 0
        self.coalesced = 0
        """Misses that waited for a read which was under way already."""
        self.lost_fills = 0
        """Reads whose result was not cached, because a write of the key had ended meanwhile."""
        self.invalidations = 0
        """Keys forgotten because of transactions, and of writes whose outcome is unknown."""
        self.refills = 0
        """Items read again after transactions."""
        self.told_changes = 0
        """States taken in from other nodes."""
        self.errors = 0
        """Requests that failed by their client's fault, the throttled ones included (ErrorRequestCount)."""
        self.throttled = 0
        self.faults = 0
        """Requests that failed by the server's fault (FaultRequestCount)."""
        self.connections = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def failed(self, error: ApiError) -> None:
        """Count a request that was answered with an error."""
        if error.status >= 500:
            self.faults += 1
            return
        self.errors += 1
        if is_throttling(error):
            self.throttled += 1

    def request_count(self, operation: str) -> int:
        """Requests for an operation, however they were answered."""
        count = self.requests.get(operation, 0)
        if operation == "GetItem":
            return count + self.quick_gets
        if operation == "Query":
            return count + self.quick_queries
        if operation == "Scan":
            return count + self.quick_scans
        return count

    def snapshot(self) -> dict[str, float]:
        """All metrics by their names in AWS/DAX, and this tier's own after them."""
        store = self.store
        told: dict[str, float] = {
            name + ("Count" if name in TRANSACTIONS else "RequestCount"): self.request_count(name)
            for name in OPERATIONS
        }
        told |= {
            "TotalRequestCount": sum(map(self.request_count, OPERATIONS)),
            "ErrorRequestCount": self.errors,
            "ThrottledRequestCount": self.throttled,
            "FaultRequestCount": self.faults,
            "FailedRequestCount": self.errors + self.faults,
            "ItemCacheHits": self.item_hits + self.quick_gets,
            "ItemCacheMisses": self.item_misses,
            "QueryCacheHits": self.query_hits + self.quick_queries,
            "QueryCacheMisses": self.query_misses,
            "ScanCacheHits": self.scan_hits + self.quick_scans,
            "ScanCacheMisses": self.scan_misses,
            "ClientConnections": self.connections,
            "NetworkBytesIn": self.bytes_in,
            "NetworkBytesOut": self.bytes_out,
            "EstimatedDbSize": store.used_bytes,
            "EvictedSize": store.evicted_bytes,
            "CacheMemoryUtilization": 100 * store.used_bytes / store.budget_bytes,
        }
        return told | {
            "BudgetBytes": store.budget_bytes,
            "CachedItems": store.item_count,
            "CachedQueries": store.query_count,
            "EvictedEntries": store.evicted_count,
            "ExpiredEntries": store.expired_count,
            "RefusedEntries": store.refused_count,
            "CoalescedReads": self.coalesced,
            "LostFills": self.lost_fills,
            "Invalidations": self.invalidations,
            "Refills": self.refills,
            "ToldChanges": self.told_changes,
        }
