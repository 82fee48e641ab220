"""What routing counts, on the metrics page of a router."""

from __future__ import annotations

from hashrange.routing.feed import CatalogueFeed
from hashrange.routing.transport import RoutedTransport
from hashrange.runtime.telemetry import Telemetry


def register_routing_metrics(telemetry: Telemetry, routes: RoutedTransport, feed: CatalogueFeed) -> None:
    """Make the counts of a transport and its feed visible on /metrics."""
    counts = routes.counts
    telemetry.counter(
        "hashrange_routing_retries_total", "Messages sent again after a failure.", lambda: counts.retried
    )
    telemetry.counter(
        "hashrange_routing_hedges_total", "Eventual reads sent to a second replica.", lambda: counts.hedged
    )
    telemetry.counter(
        "hashrange_routing_abandoned_total", "Attempts given up on silent nodes.", lambda: counts.abandoned
    )
    telemetry.counter(
        "hashrange_routing_reroutes_total", "Messages that followed a split.", lambda: counts.rerouted
    )
    telemetry.counter(
        "hashrange_routing_failures_total", "Messages that nobody answered in time.", lambda: counts.failed
    )
    telemetry.gauge(
        "hashrange_routing_waiting",
        "Messages that wait for a leader or a placement.",
        lambda: sum(len(calls) for calls in routes.waiting.values()),
    )
    telemetry.gauge("hashrange_catalogue_index", "How far the catalogue is known.", lambda: feed.view.index)
    telemetry.gauge(
        "hashrange_catalogue_followed",
        "1 while a node sends updates of the catalogue.",
        lambda: feed.source is not None,
    )
    telemetry.counter("hashrange_catalogue_updates_total", "Updates received.", lambda: feed.updates)
    telemetry.counter(
        "hashrange_catalogue_asks_total", "Times that a node was asked for updates.", lambda: feed.switches
    )
