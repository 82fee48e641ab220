"""Composes auto scaling: the scaler of a node, and what tells it of consumption in the embedded server.

In a cluster routers report what they consume to the control plane, where the scaler is. In the embedded server there
is one router, and its counters are read where they are.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from hashrange_node.meta.consumption import SECONDS, Consumed, Ring
from hashrange_node.meta.scaler import Consumption, Scaler
from hashrange_node.node import Node
from hashrange_router.capacity.resource import Resource

from hashrange.model.scaling import TARGETS, scalable
from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange.wire.documents import ControlDocuments

SAMPLE_S = 1.0


def compose_scaler(
    node: Node, consumption: Callable[[], Consumption | None], clock: Clock, speed: float
) -> Scaler:
    """The scaler of a node; it acts while the node leads the control plane."""
    return Scaler(
        node.catalogue,
        consumption,
        now=clock.monotonic,
        wall_s=lambda: clock.wall_ms() / 1000,
        call_later=node.scheduler.call_later,
        new_id=lambda: str(uuid.uuid4()),
        note=get_logger("scaling").info,
        report=node.report,
        speed=speed,
    )


class Counters:
    """Consumption as the counters of one router tell it, looked at once a second (`Consumption`).

    `resources()` are all tables and indexes with their counters, which only grow; those are looked at that `controls`
    has a target for. `now` gives monotonic seconds.
    """

    def __init__(
        self,
        resources: Callable[[], Iterable[Resource]],
        controls: ControlDocuments,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self.stopped = False
        self._resources = resources
        self._controls = controls
        self._now = now
        self._call_later = call_later
        self._since = self._looked_at = now()
        self._seen: dict[tuple[str, str], tuple[Resource, int, int]] = {}
        self._rings: dict[tuple[str, str], Ring] = {}

    def start(self) -> None:
        """Begin to look."""
        self._call_later(SAMPLE_S, self._turn)

    def _turn(self) -> None:
        if not self.stopped:
            self.sample()
            self._call_later(SAMPLE_S, self._turn)

    def sample(self) -> None:
        """Count what was consumed since the last time."""
        now = self._now()
        before, self._seen = self._seen, {}
        found = [scalable(*name.split("|")) for name in self._controls.of(TARGETS)]
        wanted = {(what.table, what.index or "") for what in found if what is not None}
        for resource in self._resources() if wanted else ():
            key = (resource.table, resource.index)
            if key not in wanted:
                continue
            read, write = resource.reads.used, resource.writes.used
            known, read_before, write_before = before.get(key, (None, 0, 0))
            self._seen[key] = (resource, read, write)
            read, write = read - read_before, write - write_before
            if known is resource and (read or write):
                ring = self._rings.setdefault(key, Ring(SECONDS, 1.0))
                ring.add(self._looked_at, now, (read, write, 0, 0))
        self._rings = {key: ring for key, ring in self._rings.items() if key in self._seen}
        self._looked_at = now

    def seconds(self, table: str, index: str, now: float, count: int) -> list[Consumed]:
        """The last whole seconds before `now`, oldest first; see `Consumption`."""
        ring = self._rings.get((table, index)) or _NOTHING
        return ring.last(count, now, self._since)


_NOTHING = Ring(SECONDS, 1.0)
