"""What a process tells of global tables on its metrics page. Read when somebody scrapes."""

from __future__ import annotations

from hashrange_node.node import Node
from hashrange_node.regions.outbox import lag_ms
from hashrange_node.regions.shipper import RegionShipper

from hashrange.cli.regions.link import HttpLinks
from hashrange.runtime.telemetry import Histogram, Telemetry

LINK = ("table", "source", "destination")

Rows = dict[tuple[str, ...], float]


def register_link_metrics(telemetry: Telemetry, links: HttpLinks) -> None:
    """The links themselves: of a router, a node, or the embedded server."""
    telemetry.gauge(
        "hashrange_region_link_up",
        "1 while requests to the other region are answered, 0 while they are not; none before the first.",
        lambda: {
            (region,): float(state.up) for region, state in links.states.items() if state.up is not None
        },
        labels=("destination",),
    )


def register_region_metrics(telemetry: Telemetry, node: Node, shipper: RegionShipper) -> None:
    """What is sent from the partitions led on a node, and what other regions sent to them."""
    _register_pending(telemetry, shipper)
    _register_sent(telemetry, shipper)

    def applied() -> Rows:
        rows: Rows = {}
        for (table, origin), received in node.receiving.counts.items():
            rows[table, origin, "applied"] = float(received.applied)
            rows[table, origin, "older"] = float(received.older)
        return rows

    telemetry.counter(
        "hashrange_region_applied_items_total",
        "Items that another region sent, by what became of them.",
        applied,
        labels=("table", "source", "result"),
    )
    telemetry.gauge(
        "hashrange_region_held_stamps",
        "Items held back in the last 10 seconds because their stamps lay too far ahead of this region's clock.",
        lambda: dict(shipper.held.read().items()),
        labels=("table", "source"),
    )


def _register_pending(telemetry: Telemetry, shipper: RegionShipper) -> None:
    """What other regions lack."""
    source = shipper.region

    def pending() -> Rows:
        return {(table, source, to): float(keys) for (table, to), (keys, _, _) in shipper.pending().items()}

    def oldest() -> Rows:
        now = shipper.wall()
        return {
            (table, source, to): lag_ms(first, now) / 1000
            for (table, to), (_, first, _) in shipper.pending().items()
        }

    def unshippable() -> Rows:
        return {(table, source, to): float(stale) for (table, to), (_, _, stale) in shipper.pending().items()}

    telemetry.gauge(
        "hashrange_region_pending_keys", "Items changed here that another region lacks.", pending, labels=LINK
    )
    telemetry.gauge(
        "hashrange_region_oldest_pending_seconds",
        "Age of the oldest change that another region lacks; 0 when it lacks none.",
        oldest,
        labels=LINK,
    )
    telemetry.gauge(
        "hashrange_region_unshippable_keys",
        "Changes that are too old to be sent: the replica has to be removed and added again.",
        unshippable,
        labels=LINK,
    )


def _register_sent(telemetry: Telemetry, shipper: RegionShipper) -> None:
    """What other regions have confirmed, and how long that took."""
    source = shipper.region

    def shipped() -> Rows:
        return {
            (table, source, to): float(link.shipped)
            for to, outbox in shipper.outboxes.items()
            for table, link in outbox.tables.items()
        }

    def latency() -> dict[tuple[str, ...], Histogram]:
        return {
            (table, source, to): link.latency
            for to, outbox in shipper.outboxes.items()
            for table, link in outbox.tables.items()
        }

    telemetry.counter(
        "hashrange_region_shipped_items_total",
        "Items that another region has confirmed.",
        shipped,
        labels=LINK,
    )
    telemetry.histograms(
        "hashrange_region_replication_latency_seconds",
        "Time from a write until another region has confirmed it.",
        latency,
        labels=LINK,
    )
