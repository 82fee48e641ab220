"""The tokens of one limit, and how they are shared out to the routers that ask for them.

    pool = Pool(rate_half, burst_s, now)
    amount, rate = pool.report("router-1", used, left, refused, now)

`balance` is everything that may still be consumed, wherever it is: what flows in at the rate, up to `burst_s` seconds
of it, less what routers say was used. Routers hold a part of it, the rest is free for whoever asks next. What a
router holds is known from its last report: what it had `left`, what it was granted then, and the rate that has
flowed in since. So nothing has to be given back for it to be counted, and an answer that got lost mends itself.

A router's share follows its demand: what it used and what it had to refuse, smoothed over some seconds; a part of
the rate is dealt out evenly, so that nobody starves while others shout. All amounts are half units.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor

EVEN_SHARE = 0.2
"""Part of the rate that is dealt out evenly among the routers."""

DEALT = 0.75
"""Part of what is saved up that several routers are given at once: the rest is for who runs dry meanwhile."""

DEMAND_S = 2.0
"""Time constant of demand."""

SETTLE_S = 5.0
"""Time in which more than the rate that was given out is saved again."""

SLOWEST = 0.5
"""Least part of its share that a router is left with while that goes on."""

HEARSAY_MAX_S = 10.0
"""What a router used unheard makes a debt of no more than so many seconds of the rate, besides the one that it is in
itself: it lived on its share meanwhile, which was there before this pool began, or was given to others too. Nobody
stands still for long because a router was cut off."""

HELD_S = 1.0
"""A router's bucket takes in no more than so many seconds of its rate (`hashrange.wire.capacity`)."""


@dataclass(slots=True)
class _Holder:
    """What one router holds: `left` at the time `at`, and `rate` a second from then on. `demand` is per second."""

    left: float
    rate: float
    demand: float
    at: float

    def held(self, now: float) -> float:
        """What it has now at most, and what it has used since and not reported."""
        if not self.rate:
            return self.left
        return min(self.left + self.rate * (now - self.at), max(self.left, self.rate * HELD_S))


class Pool:
    """One limit: reads or writes of one table or global index. Times are monotonic seconds.

    It begins empty. A router that is silent for `forget_s` holds nothing any more.
    """

    __slots__ = ("_at", "_forget_s", "_holders", "balance", "burst_s", "rate")

    def __init__(self, rate: float, burst_s: float, forget_s: float, now: float) -> None:
        self.rate = rate
        self.burst_s = burst_s
        self.balance = 0.0
        self._forget_s = forget_s
        self._holders: dict[str, _Holder] = {}
        self._at = now

    def change(self, rate: float, burst_s: float, now: float) -> None:
        """Another rate holds from now on; what was saved up stays, as far as the new one allows."""
        self.settle(now)
        self.rate, self.burst_s = rate, burst_s
        self.settle(now)

    def settle(self, now: float) -> None:
        """Take in what has flowed in until now."""
        rate = self.rate
        self.balance = min(self.balance + rate * (now - self._at), rate * self.burst_s)
        self._at = now

    @property
    def routers(self) -> int:
        """Routers that were heard lately."""
        return len(self._holders)

    def report(
        self,
        router: str,
        used: float,
        left: float,
        refused: float,
        now: float,
        adopt: bool,
    ) -> tuple[int, float]:
        """Take a report and answer with (amount, rate): what the router gets at once, or gives back, and from now on.

        `adopt`: this vendor is new, and what an unknown router has left was given to it by the one before. It is
        taken over as it is, and what was used counts no further than what has flowed in here: neither is there a
        burst out of nothing nor a debt for what the vendor before had accounted for.
        """
        self.settle(now)
        holders = self._holders
        for silent in [name for name, each in holders.items() if now - each.at > self._forget_s]:
            del holders[silent]
        holder = holders.get(router)
        others = sum(each.held(now) for name, each in holders.items() if name != router)
        if holder is None:
            holder = holders[router] = _Holder(left, 0.0, used + refused, now)
            if adopt:
                self.balance = max(self.balance - others - used, 0.0) + others + left
            else:
                deepest = min(self.balance, -self.rate * HEARSAY_MAX_S) + min(left, 0.0)
                self.balance = max(self.balance - used, deepest)
        else:
            elapsed = max(now - holder.at, 0.05)
            weight = 1 - exp(-elapsed / DEMAND_S)
            holder.demand += weight * ((used + refused) / elapsed - holder.demand)
            self.balance -= used
        return self._grant(holder, left, others, now)

    def _grant(self, holder: _Holder, left: float, others: float, now: float) -> tuple[int, float]:
        holders = self._holders
        count = len(holders)
        demand = sum(each.demand for each in holders.values())
        wanted = holder.demand / demand if demand else 1 / count
        share = EVEN_SHARE / count + (1 - EVEN_SHARE) * wanted
        # No more than is not held elsewhere, and what lies elsewhere is not waited for. A debt is everybody's: were it
        # left to the router that made it, with its share of the rate, its clients would wait while others go on.
        goal = share * self.balance * (1.0 if count == 1 or self.balance < 0 else DEALT)
        amount = floor(max(min(self.balance - others, goal), min(left, goal, 0.0)) - left)
        holder.left, holder.at = left + amount, now
        free = self.balance - others - holder.left
        pace = 1.0
        if free < 0 < self.rate:
            pace = max(1 + free / (self.rate * SETTLE_S), SLOWEST)
        holder.rate = round(share * self.rate * pace, 3)
        return amount, holder.rate
