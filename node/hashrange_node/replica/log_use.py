"""Which part of the node's log the groups still need, so that a checkpoint knows what may go.

Per stretch of the log it is kept which groups have entries in it, and the index of each one's last. A stretch may go
when every such entry has been applied, or is void. Stretches, not batches: a log of 256 MB can be a million batches,
and whole segments are what is removed in the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

STRETCH_BYTES = 4 << 20

GroupT = TypeVar("GroupT")


class LogUse(Generic[GroupT]):
    """The groups' use of one log. `position` is the end of the log, `unapplied` what a start found in it.

    The latter are (group, index of its last entry) of all groups whose log reaches beyond what is applied: their
    entries stay, wherever they lie, until they are applied.
    """

    def __init__(
        self,
        position: int = 0,
        unapplied: Iterable[tuple[GroupT, int]] = (),
        stretch_bytes: int = STRETCH_BYTES,
    ) -> None:
        self._floor = 0
        self._stretch_bytes = stretch_bytes
        # (position after it, {group: index of its last entry there}), and the one that is still growing.
        self._stretches: deque[tuple[int, dict[GroupT, int]]] = deque(((position, dict(unapplied)),))
        self._growing: dict[GroupT, int] = {}
        self._begin = self._end = position

    def note(self, group: GroupT, index: int) -> None:
        """The log has taken entries of a group, the last of them with this index; then call `grown`."""
        self._growing[group] = index

    def grown(self, position: int) -> None:
        """The log ends at `position` now."""
        self._end = position
        if position - self._begin >= self._stretch_bytes:
            self._stretches.append((position, self._growing))
            self._growing = {}
            self._begin = position

    def floor(self, settled: Callable[[GroupT, int], bool]) -> int:
        """The position up to which no entry is needed. `settled`: is all of a group up to an index applied or void?"""
        stretches = self._stretches
        while stretches:
            position, groups = stretches[0]
            if not all(settled(group, index) for group, index in groups.items()):
                return self._floor
            self._floor = position
            stretches.popleft()
        if all(settled(group, index) for group, index in self._growing.items()):
            self._floor = self._end
        return self._floor
