"""Writes that were under way when their key was forgotten: what they leave may be older than what is there now.

A transaction tells no stamps. When it has been answered its keys are forgotten and read again; the answer of an older
write of such a key that comes after that must not be taken for the key's newest state, above all where the
transaction has deleted the item.
"""

from __future__ import annotations

from math import inf

from hashrange_dax.tier.flight import FlightKey


class Doubts:
    """The writes that are under way, by tickets that grow, and the keys forgotten since the oldest was sent."""

    __slots__ = ("_all", "_forgotten", "_last", "_sent")

    def __init__(self) -> None:
        self._last = 0
        self._all = 0
        self._sent: dict[int, None] = {}
        self._forgotten: dict[FlightKey, int] = {}

    def sent(self) -> int:
        """A write is sent; the ticket is to be handed back to `ended`."""
        self._last += 1
        self._sent[self._last] = None
        return self._last

    def ended(self, ticket: int) -> None:
        """A write has ended, and nothing more is asked of its keys."""
        del self._sent[ticket]
        forgotten = self._forgotten
        if forgotten:
            oldest = next(iter(self._sent), inf)
            while forgotten and forgotten[key := next(iter(forgotten))] < oldest:
                del forgotten[key]

    def forget(self, key: FlightKey) -> None:
        """A key is forgotten now."""
        if self._sent:
            self._forgotten.pop(key, None)
            self._forgotten[key] = self._last

    def forget_all(self) -> None:
        """All keys are."""
        self._all = self._last

    def about(self, key: FlightKey, ticket: int) -> bool:
        """Whether a key was forgotten after a write was sent."""
        return ticket <= self._all or ticket <= self._forgotten.get(key, 0)
