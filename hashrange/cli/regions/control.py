"""The control of global tables in a process that has a router's parts: told of changes, asked by other regions.

control = start_control(context, transport, links, receiver, subscribe=catalogue.subscribe, call_later=..., clock=clock)
control.stop()

Without peers nothing of this is needed: replicas are refused then, with the setting that is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hashrange_router.api.context import RegionLinks, RouterContext
from hashrange_router.regions.control import RegionControl
from hashrange_router.regions.reconcile import Reconciler
from hashrange_router.regions.steps import Scope

from hashrange.model.table_document import TableDocument
from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange.wire.messages import Transport
from hashrange.wire.regions import CONTROL_PATH

Follow = Callable[[str, "TableDocument | None", "TableDocument | None"], None]


class Receiver(Protocol):
    """Where requests of other regions arrive."""

    def plug(self, path: str, handler: Any) -> None:
        """Answer a path."""
        ...


def start_control(
    context: RouterContext,
    transport: Transport,
    links: RegionLinks,
    receiver: Receiver,
    *,
    subscribe: Callable[[Follow], Any],
    call_later: Callable[[float, Callable[[], None]], Any],
    clock: Clock,
) -> Reconciler:
    """Answer other regions and tell them, from now on. `transport` answers changes when the context shows them."""
    log = get_logger("regions")
    context.links = links
    scope = Scope(context, links)
    receiver.plug(CONTROL_PATH, RegionControl(scope, transport).answer)
    reconciler = Reconciler(
        scope,
        transport,
        call_later=call_later,
        monotonic=clock.monotonic,
        note=log.warning,
        report=lambda what, error: log.error(what, exc_info=error),
    )
    subscribe(reconciler.follow)
    reconciler.start()
    return reconciler
