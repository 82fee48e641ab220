"""Handing leadership over: to whom, for how long it is tried, and when the lease may be used again after it.

The leader takes no proposals until the target has the whole log, orders it to stand for election, and goes on
as before if nothing has come of it within an election timeout. lease.py says why it must not use its lease
while an order may still arrive.
"""

from __future__ import annotations

from .messages import NO_REPLICA


class Handover:
    """The present transfer of leadership, and the orders that may still be on their way."""

    __slots__ = ("_elapsed", "_orders", "target")

    def __init__(self) -> None:
        self.target = NO_REPLICA
        self._elapsed = 0
        self._orders: dict[int, int] = {}

    @property
    def order_under_way(self) -> bool:
        """Whether somebody may still stand for election on our order: no lease until that is over."""
        return bool(self._orders)

    def begin(self, target: int) -> None:
        """Try to make `target` the leader."""
        self.target = target
        self._elapsed = 0

    def end(self) -> None:
        """Try no longer. Orders that were given stay dangerous."""
        self.target = NO_REPLICA

    def tick(self, ticks_max: int) -> None:
        """One tick has passed; give up after `ticks_max`."""
        if self.target:
            self._elapsed += 1
            if self._elapsed >= ticks_max:
                self.end()

    def ordered(self, round_number: int) -> None:
        """The target was told to stand for election, in a round of its own."""
        self._orders[self.target] = round_number

    def answered(self, replica: int, round_number: int) -> None:
        """A replica answered a round: orders before it will be ignored there."""
        if self._orders.get(replica, round_number) < round_number:
            del self._orders[replica]
