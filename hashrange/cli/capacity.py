"""Composes what enforces capacity: admission and reports of a router, ceilings and the vendor of a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange_node.meta.vending import Vending
from hashrange_node.meta.vendor import VendorSettings
from hashrange_node.node import Node
from hashrange_node.replica.budget import Ceilings
from hashrange_router.api.context import RouterContext
from hashrange_router.capacity.admission import Enforcer, Meter
from hashrange_router.capacity.client import CapacityClient
from hashrange_router.capacity.faults import ThrottleFaults
from hashrange_router.capacity.resource import Rules

from hashrange.runtime.config import CapacityConfig, EndpointConfig, parse_throttle_faults
from hashrange.wire.messages import Done


def compose_admission(
    context: RouterContext,
    config: EndpointConfig,
    now_s: Callable[[], float],
    chance: Callable[[], float],
    *,
    alone: bool,
) -> Meter:
    """Give the router its admission; returns what counts in it, and takes grants.

    `alone`: there is no other router and nobody who makes grants. `now_s` is monotonic.
    """
    meter = Meter(context.get, context.tables)
    if config.throttling != "off":
        rules = Rules(config.throttling, config.capacity_multiplier, alone)
        meter = Enforcer(context.get, now_s, rules, context.tables)
    faults = parse_throttle_faults(config.throttle_faults)
    context.admission = ThrottleFaults(meter, faults, chance) if faults else meter
    return meter


def compose_ceilings(config: CapacityConfig, now_s: Callable[[], float]) -> Ceilings | None:
    """What the partitions of a node may do in a second; None while nothing is enforced."""
    if config.throttling == "off":
        return None
    return Ceilings(config.throttling, config.capacity_multiplier, now_s)


def compose_reports(
    meter: Meter,
    name: str,
    send: Callable[[Any, Done], None],
    now_s: Callable[[], float],
    call_later: Callable[[float, Callable[[], None]], Any],
    *,
    alone: bool,
) -> CapacityClient:
    """What tells the vendor of capacity what the router consumes, and brings its grants; to be started.

    `name` is this process's own. A router that is `alone` tells, for auto scaling and for what tables on demand grow
    to, but has all the capacity there is to itself.
    """
    client = CapacityClient(
        name,
        needs=meter.needs,
        grant=(lambda answer: None) if alone else meter.accept,
        send=send,
        now=now_s,
        call_later=call_later,
    )
    if isinstance(meter, Enforcer) and not alone:
        meter.on_dry = client.dry
    return client


def compose_vending(
    node: Node,
    capacity_multiplier: float,
    on_demand_window_s: float,
    now_s: Callable[[], float],
    note: Callable[..., object],
) -> Vending:
    """The vendor of capacity on a node; to be started."""
    settings = VendorSettings(multiplier=capacity_multiplier, peak_window_s=on_demand_window_s)
    return Vending(node, settings, now=now_s, note=note)
