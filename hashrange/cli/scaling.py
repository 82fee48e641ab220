"""Composes auto scaling: the scaler of a node, which learns of consumption from the vendor of capacity there."""

from __future__ import annotations

import uuid

from hashrange_node.meta.scaler import Scaler
from hashrange_node.meta.vending import Vending
from hashrange_node.node import Node

from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger


def compose_scaler(node: Node, vending: Vending, clock: Clock, speed: float) -> Scaler:
    """The scaler of a node; to be started. It acts while the node leads the control plane."""
    return Scaler(
        node.catalogue,
        lambda: vending.vendor,
        now=clock.monotonic,
        wall_s=lambda: clock.wall_ms() / 1000,
        call_later=node.scheduler.call_later,
        new_id=lambda: str(uuid.uuid4()),
        note=get_logger("scaling").info,
        report=node.report,
        speed=speed,
    )
