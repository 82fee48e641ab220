"""Makes what a cache node counts visible on /metrics, as `hashrange_dax_*`; METRICS.md says what each is in AWS/DAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hashrange_dax.metrics import OPERATIONS

from hashrange.runtime.operation_stats import Histogram
from hashrange.runtime.telemetry import Telemetry

if TYPE_CHECKING:
    from hashrange.cli.dax_server import DaxServer

COUNTERS: Final = (
    ("hashrange_dax_item_cache_hits_total", "Reads answered from the item cache.", "ItemCacheHits"),
    ("hashrange_dax_item_cache_misses_total", "Reads of items that were not cached.", "ItemCacheMisses"),
    ("hashrange_dax_query_cache_hits_total", "Queries answered from the query cache.", "QueryCacheHits"),
    ("hashrange_dax_query_cache_misses_total", "Queries that were not cached.", "QueryCacheMisses"),
    ("hashrange_dax_scan_cache_hits_total", "Scans answered from the query cache.", "ScanCacheHits"),
    ("hashrange_dax_scan_cache_misses_total", "Scans that were not cached.", "ScanCacheMisses"),
    ("hashrange_dax_evicted_bytes_total", "Bytes that had to make room.", "EvictedSize"),
    ("hashrange_dax_evicted_entries_total", "Entries that had to make room.", "EvictedEntries"),
    ("hashrange_dax_expired_entries_total", "Entries asked for past their time.", "ExpiredEntries"),
    ("hashrange_dax_refused_entries_total", "Entries too large to be cached.", "RefusedEntries"),
    ("hashrange_dax_coalesced_reads_total", "Misses that waited for a read under way.", "CoalescedReads"),
    ("hashrange_dax_invalidations_total", "Keys forgotten after transactions.", "Invalidations"),
    ("hashrange_dax_refills_total", "Items read again after transactions.", "Refills"),
    ("hashrange_dax_bytes_in_total", "Bytes received by the doors.", "NetworkBytesIn"),
    ("hashrange_dax_bytes_out_total", "Bytes sent by the doors.", "NetworkBytesOut"),
)
GAUGES: Final = (
    ("hashrange_dax_open_connections", "Open connections of DAX clients.", "ClientConnections"),
    ("hashrange_dax_cache_bytes", "Memory that cached entries take.", "EstimatedDbSize"),
    ("hashrange_dax_cache_limit_bytes", "Memory that they may take.", "BudgetBytes"),
    ("hashrange_dax_cached_items", "Items in the item cache, absences among them.", "CachedItems"),
    ("hashrange_dax_cached_queries", "Results in the query cache.", "CachedQueries"),
)


def register_dax_metrics(telemetry: Telemetry, server: DaxServer) -> None:
    """Register all of them; the node is asked at each scrape."""
    metrics = server.tier.metrics
    for name, help_text, key in COUNTERS:
        telemetry.counter(name, help_text, lambda key=key: metrics.snapshot()[key])  # type: ignore[misc]
    for name, help_text, key in GAUGES:
        telemetry.gauge(name, help_text, lambda key=key: metrics.snapshot()[key])  # type: ignore[misc]
    telemetry.counter(
        "hashrange_dax_requests_total",
        "Requests through either door.",
        lambda: {(operation,): float(metrics.request_count(operation)) for operation in OPERATIONS},
        ("operation",),
    )
    telemetry.counter(
        "hashrange_dax_failed_requests_total",
        "Requests answered with an error.",
        lambda: {
            ("client",): float(metrics.errors - metrics.throttled),
            ("throttled",): float(metrics.throttled),
            ("server",): float(metrics.faults),
        },
        ("class",),
    )
    telemetry.histograms(
        "hashrange_dax_request_duration_seconds",
        "Time in the DAX door, by operation.",
        lambda: _latencies(server),
        ("operation",),
    )
    telemetry.counter(
        "hashrange_dax_closed_connections_total",
        "Connections of DAX clients that the node has closed.",
        lambda: _closed(server),
        ("reason",),
    )
    _register_lists(telemetry, server)
    _register_peers(telemetry, server)


def _latencies(server: DaxServer) -> dict[tuple[str, ...], Histogram]:
    if server.wire is None:
        return {}
    return {(name,): found for name, found in server.wire.latencies.items() if found.count()}


def _closed(server: DaxServer) -> dict[tuple[str, ...], float]:
    door = server.wire
    if door is None:
        return {}
    return {
        ("refused",): float(door.refused_count),
        ("malformed",): float(door.malformed_count),
        ("timed out",): float(door.timed_out_count),
    }


def _register_lists(telemetry: Telemetry, server: DaxServer) -> None:
    telemetry.gauge(
        "hashrange_dax_attribute_lists",
        "Attribute lists in the registry.",
        lambda: server.lists.lists if server.lists is not None else 0,
    )
    telemetry.gauge(
        "hashrange_dax_attribute_list_bytes",
        "Bytes of the names in the registry.",
        lambda: server.lists.names_bytes if server.lists is not None else 0,
    )
    telemetry.counter(
        "hashrange_dax_refused_attribute_lists_total",
        "Attribute lists that were not made because there are too many.",
        lambda: server.lists.refused if server.lists is not None else 0,
    )


def _register_peers(telemetry: Telemetry, server: DaxServer) -> None:
    def figures() -> dict[str, float]:
        peers = server.coherence
        return {name: float(value) for name, value in peers.statistics()._asdict().items()} if peers else {}

    for name, help_text, key in (
        ("hashrange_dax_peers_connected", "Other nodes that this one has a connection to.", "connected"),
        ("hashrange_dax_is_primary", "1 at the primary.", "primary"),
        ("hashrange_dax_primary_term", "Number of the primary's term.", "term"),
    ):
        telemetry.gauge(name, help_text, lambda key=key: figures().get(key, 0.0))  # type: ignore[misc]
    for name, help_text, key in (
        ("hashrange_dax_told_changes_total", "Changes told to other nodes.", "told"),
        ("hashrange_dax_received_changes_total", "Changes that other nodes told.", "received"),
        ("hashrange_dax_forwarded_writes_total", "Writes sent to the primary.", "forwarded"),
        ("hashrange_dax_unknown_outcomes_total", "Writes sent to a primary that was lost.", "unknown"),
        ("hashrange_dax_item_cache_clears_total", "Times the item cache was given up.", "clears"),
        ("hashrange_dax_elections_total", "Times this node made itself the primary.", "elections"),
    ):
        telemetry.counter(name, help_text, lambda key=key: figures().get(key, 0.0))  # type: ignore[misc]
