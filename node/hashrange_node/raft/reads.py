"""Reads by quorum: a leader without a lease proves that it still leads, once for all reads that queued.

A read may see the state at the commit index of the moment it was asked (or at the leader's first own entry,
if that is not committed yet: only from there on a new leader knows what is committed). It is answered when a
quorum has answered a round that began after it was asked: then nobody else led at that moment.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from .ready import ReadState


class PendingReads:
    """The reads a leader has not confirmed yet: first those without a round, then by round."""

    __slots__ = ("_asked", "_new")

    def __init__(self) -> None:
        self._new: list[ReadState] = []
        self._asked: deque[tuple[int, list[ReadState]]] = deque()

    def __len__(self) -> int:
        return len(self._new) + sum(len(reads) for _, reads in self._asked)

    def __bool__(self) -> bool:
        return bool(self._new or self._asked)

    @property
    def unasked(self) -> bool:
        """Whether a new round is wanted."""
        return bool(self._new)

    @property
    def asked(self) -> bool:
        """Whether answers are awaited."""
        return bool(self._asked)

    def add(self, index: int, context: Any) -> None:
        """A read that may see the state at `index`."""
        self._new.append(ReadState(index, context))

    def ask(self, round_number: int) -> None:
        """The new reads wait for this round, which begins now."""
        self._asked.append((round_number, self._new))
        self._new = []

    def confirm(self, agreed_round: int) -> list[ReadState]:
        """The reads that are confirmed when a quorum has answered `agreed_round`; they wait no longer."""
        confirmed: list[ReadState] = []
        while self._asked and self._asked[0][0] <= agreed_round:
            confirmed += self._asked.popleft()[1]
        return confirmed
