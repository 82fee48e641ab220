"""How many invocations run at once: a function's reserved concurrency, and what the account has beside it.

Pure: `take` gives a slot or says why not, `give_back` returns it. With several pools each has its part of every
limit, rounded up, so that one pool never needs to ask another.
"""

from __future__ import annotations

from dataclasses import dataclass

RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
UNRESERVED = "ConcurrentInvocationLimitExceeded"


@dataclass(frozen=True, slots=True)
class Slot:
    """Leave to run one invocation. `reserved`: it counts against the function's own concurrency alone."""

    function: str
    reserved: bool


class Slots:
    """The slots of one pool."""

    def __init__(self, account: int) -> None:
        self._account = account
        self._pools = 1
        self._reserved: dict[str, int] = {}
        self._own: dict[str, int] = {}
        self._shared: dict[str, int] = {}
        self._shared_total = 0

    def share(self, pools: int) -> None:
        """So many pools live, at least one."""
        self._pools = max(1, pools)

    def take(self, function: str, reserved: int | None) -> Slot | str:
        """A slot, or the Reason of the service's TooManyRequestsException.

        `reserved` is the function's reserved concurrency as it is now; what is reserved is not there for others.
        """
        if reserved is None:
            self._reserved.pop(function, None)
            left = max(0, self._account - sum(self._reserved.values()))
            if self._shared_total >= self._part(left):
                return UNRESERVED
            self._shared_total += 1
            self._shared[function] = self._shared.get(function, 0) + 1
            return Slot(function, reserved=False)
        self._reserved[function] = reserved
        if self._own.get(function, 0) >= self._part(reserved):
            return RESERVED
        self._own[function] = self._own.get(function, 0) + 1
        return Slot(function, reserved=True)

    def give_back(self, slot: Slot) -> None:
        """The invocation has ended."""
        counts = self._own if slot.reserved else self._shared
        left = counts[slot.function] - 1
        if left:
            counts[slot.function] = left
        else:
            del counts[slot.function]
        if not slot.reserved:
            self._shared_total -= 1

    def forget(self, function: str) -> None:
        """A function is gone: what it had reserved is there for others."""
        self._reserved.pop(function, None)

    def running(self, function: str) -> int:
        """Invocations of a function that have a slot."""
        return self._own.get(function, 0) + self._shared.get(function, 0)

    def _part(self, limit: int) -> int:
        return -(-limit // self._pools)
