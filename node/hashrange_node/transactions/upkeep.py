"""What a node does for transactions by itself: finish those that stalled, and clear away what they leave behind.

Tombstones of global tables are cleared away here too: in the same way, and at the same pace.

upkeep = Upkeep(node, wall_ms=..., monotonic=..., call_later=..., report=...)
sweeper = ExpirySweeper(..., keeps=upkeep.ledger.keeps)
upkeep.start()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashrange_node.regions.tombstones import TombstoneCollector
from hashrange_node.transactions.ledger import LedgerKeeper
from hashrange_node.transactions.markers import MarkerCollector
from hashrange_node.transactions.recovery import StalledLocks

if TYPE_CHECKING:
    from hashrange_node.node import Node

LOOK_S = 1.0
SLICE_PAUSE_S = 0.1


class Upkeep:
    """All of it on one node; `call_later` is the event loop's. Set `stopped` to end it."""

    def __init__(
        self,
        node: Node,
        *,
        wall_ms: Callable[[], int],
        monotonic: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
        report: Callable[[str, BaseException], None],
    ) -> None:
        self.locks = StalledLocks(node, wall_ms, monotonic, report)
        self.markers = MarkerCollector(lambda: node.replicas.values(), lambda: node.stamps.wall)
        self.tombstones = TombstoneCollector(
            lambda: node.replicas.values(), lambda: node.stamps.wall, node.settings.tombstone_retention_s
        )
        self.ledger = LedgerKeeper(node, wall_ms, report)
        self._call_later = call_later
        self._report = report
        self.stopped = False

    def start(self) -> None:
        """Begin."""
        self._call_later(LOOK_S, self._look)
        self._call_later(LOOK_S, self._collect)

    def _look(self) -> None:
        if self.stopped:
            return
        try:
            self.locks.look()
        except Exception as error:
            self._report("stalled transactions could not be looked after", error)
        self._call_later(LOOK_S, self._look)

    def _collect(self) -> None:
        if self.stopped:
            return
        more = False
        for what, collector in (
            ("markers of transactions", self.markers),
            ("tombstones of global tables", self.tombstones),
        ):
            try:
                more |= collector.step()
            except Exception as error:
                self._report(f"old {what} could not be collected", error)
        self._call_later(SLICE_PAUSE_S if more else LOOK_S, self._collect)
