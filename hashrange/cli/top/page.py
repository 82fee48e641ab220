"""What one process tells `hashrange top`: a JSON document of totals, from which whoever asks twice makes rates.

    {"format": 1, "at_s": monotonic seconds,
     "process": {"role": "embedded" | "node" | "router" | "triggers" | "dax", "id", "az", "version", "state",
                 "uptime_s", "cpu_seconds", "memory_bytes", "disk_free_bytes"?, "disk_total_bytes"?, "connections"?,
                 "in_flight"?},
     "latency_bounds": [upper bounds of the latency buckets, in seconds],
     "operations": [{"operation", "table", "latency": [counts by bucket], "errors": {type: count}}],
     "capacity": [{"table", "index", "read_units", "write_units", "read_provisioned", "write_provisioned"}],
     "throttled": [{"table", "reason", "count"}],
     "transactions": {"outcomes": [[operation, outcome, count]], "conflicts": count},
     "tables": [{"name", "status", "billing", "indexes": [names of global indexes]}],
     "partitions": [{"id", "table", "index", "hash_range": [lo, hi], "leads", "reads", "writes", "read_bytes",
                     "write_bytes", "items", "size_bytes", "hot_keys": [{"key", "whole", "share"}]}],
     "functions": [{"name", "invocations", "errors", "throttles", "concurrent", "duration_ms"}],
     "mappings": [{"mapping", "function", "table", "records", "retries", "dropped", "filtered", "iterator_age_ms"?}],
     "partitions_left_out": number, "keys_shown": whether hot keys are told, "sync_bounds"?, "syncs"?: [counts by bucket
     of the log's syncs]}

A router has no partitions, a node no operations, and the embedded server both; functions have those that run them.
`reads` and `writes` are exact, bytes are estimated from a sample; `share` is the least share of a partition's requests
that a partition key had in the last seconds, and `whole` says that they were all for the one item named.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from hashrange import __version__
from hashrange.runtime.system import resident_bytes
from hashrange.runtime.telemetry import LATENCY_BOUNDS, SERIES_MAX, Telemetry

if TYPE_CHECKING:
    from hashrange_router.api.context import RouterContext
    from hashrange_router.capacity.admission import Meter

FORMAT = 1
CONFLICT = "TransactionConflict"

Part = Callable[[], dict[str, Any]]


class TopPage:
    """The page of one process, put together from `parts`. `now_s` is monotonic."""

    def __init__(
        self, role: str, number: int, az: str, not_ready: Callable[[], str], now_s: Callable[[], float]
    ) -> None:
        self._identity = {"role": role, "id": number, "az": az, "version": __version__}
        self._not_ready = not_ready
        self._now_s = now_s
        self._began_s = now_s()
        self._parts: list[Part] = []

    def add(self, part: Part) -> None:
        """Let `part()` be members of the page; its member "process" joins what is told of the process."""
        self._parts.append(part)

    def render(self) -> bytes:
        """The page as JSON."""
        return orjson.dumps(self.document(), option=orjson.OPT_NON_STR_KEYS)

    def document(self) -> dict[str, Any]:
        """The page."""
        now_s = self._now_s()
        times = os.times()
        process: dict[str, Any] = {
            **self._identity,
            "state": self._not_ready() or "ready",
            "uptime_s": round(now_s - self._began_s, 3),
            "cpu_seconds": times.user + times.system,
            "memory_bytes": resident_bytes(os.getpid()),
        }
        page: dict[str, Any] = {"format": FORMAT, "at_s": now_s, "process": process}
        for part in self._parts:
            members = part()
            process.update(members.pop("process", {}))
            page.update(members)
        return page


def router_part(telemetry: Telemetry, context: RouterContext, meter: Meter) -> Part:
    """What a router knows: operations, capacity, transactions, tables."""

    def part() -> dict[str, Any]:
        transactions = context.transactions
        return {
            "latency_bounds": LATENCY_BOUNDS,
            "operations": [
                {
                    "operation": each.operation,
                    "table": each.table,
                    "latency": each.counts,
                    "errors": each.errors,
                }
                for each in telemetry.operations()
            ],
            "capacity": [
                {
                    "table": each.table,
                    "index": each.index,
                    "read_units": each.reads.used / 2,
                    "write_units": each.writes.used / 2,
                    "read_provisioned": each.reads.provisioned / 2,
                    "write_provisioned": each.writes.provisioned / 2,
                }
                for each in meter.resources()[:SERIES_MAX]
            ],
            "throttled": [
                {"table": table, "reason": reason, "count": count}
                for (table, reason), count in meter.throttles.items()
            ],
            "transactions": {
                "outcomes": [
                    [operation, outcome, count]
                    for (operation, outcome), count in transactions.outcomes.items()
                ],
                "conflicts": sum(
                    count for (_, code), count in transactions.reasons.items() if code == CONFLICT
                ),
            },
            "tables": [
                {
                    "name": name,
                    "status": schema.status,
                    "billing": schema.billing_mode,
                    "indexes": [index.name for index in schema.gsis],
                }
                for name in context.names()
                if (schema := context.tables.get(name)) is not None
            ],
        }

    return part


def front_part(statistics: Callable[[], dict[str, int]], in_flight: Callable[[], int]) -> Part:
    """What the HTTP front knows; `statistics` are those of the HTTP server."""
    return lambda: {
        "process": {"connections": statistics()["connections_open"], "in_flight": in_flight()},
    }
