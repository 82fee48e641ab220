"""A token bucket for capacity: pays out at a rate, saves up to a limit, and may go into debt. Pure.

What a request costs is known only when it has been carried out. So a request is let in while the balance is above
zero, and what it consumed is charged afterwards; whoever comes next waits until the debt is paid off. Over any time
no more is admitted than the capacity, plus what the rate gives, plus one request (plus those under way at once).

    bucket = TokenBucket(rate=10.0, capacity=3000.0, balance=10.0, now_s=clock.monotonic())
    if bucket.admits(clock.monotonic()): ...
    bucket.charge(2, clock.monotonic())

Amounts are half capacity units. A bucket may also live on grants: somebody who knows the whole says what this one
may consume, and for how long that holds (`grant`; `hashrange.wire.capacity` has the rules).
"""

from __future__ import annotations

from math import inf

SHARE_S = 1.0
"""How much of its rate a bucket saves when it has no grant in force: so many seconds' worth."""

EXPIRED_S = 1e300
"""The end of a grant that has run out already: later than any clock, yet not `inf`, which means no grant at all."""


class TokenBucket:
    """One budget. `balance` is as of the last call that was given the time."""

    __slots__ = ("_at_s", "_until_s", "balance", "capacity", "rate")

    def __init__(self, rate: float, capacity: float, balance: float, now_s: float) -> None:
        self.rate = rate
        self.capacity = capacity
        self.balance = balance
        self._at_s = now_s
        self._until_s = inf

    def admits(self, now_s: float) -> bool:
        """Whether a request may be carried out now; takes nothing."""
        if self.balance > 0.0:  # without a look at the clock: it can only have become more
            return True
        self.settle(now_s)
        return self.balance > 0.0

    def charge(self, units_half: int, now_s: float) -> None:
        """So much was consumed. Negative gives back what was charged too much."""
        if now_s > self._until_s:
            self._expire()
        balance = self.balance + (now_s - self._at_s) * self.rate
        if balance > self.capacity:
            balance = self.capacity
        self.balance = balance - units_half
        self._at_s = now_s

    def settle(self, now_s: float) -> None:
        """Bring the balance up to date."""
        if now_s > self._until_s:
            self._expire()
        balance = self.balance + (now_s - self._at_s) * self.rate
        self.balance = balance if balance < self.capacity else self.capacity
        self._at_s = now_s

    @property
    def granted(self) -> bool:
        """Whether it lives on a grant, be it in force or not."""
        return self._until_s != inf

    def grant(self, tokens_half: float, rate: float, valid_until_s: float, now_s: float) -> None:
        """Add so many tokens (negative: take back), and let `rate` flow in from now on.

        What was put aside so is forfeited down to a second's worth when the grant runs out, while the rate goes on:
        without word from the one who knows the whole, nobody lives on savings and nobody starves.
        """
        self.settle(now_s)
        self.rate = rate
        self.balance += tokens_half
        self.capacity = max(self.balance, rate * SHARE_S)
        self._until_s = valid_until_s

    def resize(self, rate: float, capacity: float, now_s: float) -> None:
        """Another rate and capacity from now on; savings and debts are kept. Ends any grant."""
        self.settle(now_s)
        self.rate = rate
        self.capacity = capacity
        self.balance = min(self.balance, capacity)
        self._until_s = inf

    def _expire(self) -> None:
        """The grant has run out: the caller cuts the balance to what may be saved now."""
        self.capacity = self.rate * SHARE_S
        self._until_s = EXPIRED_S
