"""The HTTP front of a router, as every program that has one composes it: its limits and its metrics."""

from __future__ import annotations

from collections.abc import Callable

from hashrange_router.api.dispatch import Dispatcher
from hashrange_router.functions.archive import REQUEST_MAX
from hashrange_router.http.limits import HttpLimits
from hashrange_router.http.server import HttpServer

from hashrange.runtime.config import EndpointConfig
from hashrange.runtime.telemetry import Telemetry

REFUSED_BYTES = 32 << 20
"""By how much a request with a deployment package may be too long and still be told in the service's words."""

_TOTALS = (
    ("hashrange_http_bytes_in_total", "Bytes received from clients.", "bytes_in"),
    ("hashrange_http_bytes_out_total", "Bytes sent to clients.", "bytes_out"),
    ("hashrange_http_refused_requests_total", "Malformed or oversize requests.", "requests_refused"),
    ("hashrange_connections_accepted_total", "Connections accepted.", "connections_accepted"),
    ("hashrange_connections_refused_total", "Connections over the limit.", "connections_refused"),
)


def http_limits(config: EndpointConfig) -> HttpLimits:
    """The limits of the front that the settings ask for."""
    return HttpLimits(
        body_bytes_max=config.max_body_bytes,
        # Requests with a deployment package of 50 MB, in base64; and some that are larger, to say so.
        long_body_prefix=b"/2015-03-31/functions",
        long_body_bytes_max=max(REQUEST_MAX + REFUSED_BYTES, config.max_body_bytes),
        connections_max=config.max_connections,
        idle_timeout_s=config.idle_timeout_s,
        head_timeout_s=config.request_timeout_s,
        body_timeout_s=max(config.request_timeout_s, 300.0),
        # Pipelined requests run one after the other: a read must see the write sent before it.
        requests_in_flight_max=1,
        cors_origins=config.cors,
    )


def register_front_metrics(
    telemetry: Telemetry, dispatcher: Callable[[], Dispatcher], http: Callable[[], HttpServer]
) -> None:
    """Make what the front counts visible on /metrics; both arguments are asked at each scrape."""
    telemetry.gauge(
        "hashrange_requests_in_flight", "Requests being worked on.", lambda: dispatcher().in_flight
    )
    telemetry.gauge(
        "hashrange_open_connections",
        "Open client connections.",
        lambda: http().statistics()["connections_open"],
    )
    for name, help_text, key in _TOTALS:
        telemetry.counter(name, help_text, lambda key=key: http().statistics()[key])  # type: ignore[misc]
