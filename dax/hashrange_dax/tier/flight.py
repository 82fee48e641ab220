"""A read of one key that is under way, and those who wait for it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from hashrange.errors import ApiError
from hashrange_dax.cache import ItemEntry

FlightKey: TypeAlias = tuple[str, bytes]


class NotDone(Enum):
    """How a flight can end beside a state and an error: the batch that it was part of has left its key out."""

    UNPROCESSED = 0


Landed: TypeAlias = ItemEntry | ApiError | NotDone
Waiter: TypeAlias = Callable[[Landed], None]


class Flight:
    """A read of one key that is under way. `strong` flights refill the cache after a transaction.

    `passed` is the stamp of the newest write of the key that has ended meanwhile, infinite if the key was forgotten.
    """

    __slots__ = ("key", "passed", "strong", "waiters")

    def __init__(self, key: FlightKey, strong: bool = False) -> None:
        self.key = key
        self.strong = strong
        self.passed: float = -1
        self.waiters: list[Waiter] = []
