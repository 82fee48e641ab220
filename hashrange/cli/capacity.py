"""Composes what enforces capacity from the settings: the admission of a router, the ceilings of a node."""

from __future__ import annotations

from collections.abc import Callable

from hashrange_node.replica.budget import Ceilings
from hashrange_router.api.context import RouterContext
from hashrange_router.capacity.admission import Enforcer, Meter
from hashrange_router.capacity.faults import ThrottleFaults
from hashrange_router.capacity.resource import Rules

from hashrange.runtime.config import CapacityConfig, EndpointConfig, parse_throttle_faults


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
