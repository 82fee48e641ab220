"""What one node has heard of each other one: up to where, and whether something may be missing.

Changes of a node are numbered through as long as its process lives. When they do not follow on one another, some were
lost, and what is cached may have been overwritten since: it is given up.

When a node dies, nobody can say any more what it would have told: writes that it had sent to the tables may be made
after its end, and what it had answered a moment before may not have left its process. So what is cached is given up
too, unless it said goodbye or never was one that writes. How its connections end says nothing of that.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Source:
    """What came from one process of another node."""

    process: str
    last: int = 0
    """The number of the last change that arrived."""
    wrote: bool = False
    """Whether it has told of a write, or of a key that is not to be served."""
    complete: bool = True
    """Whether all that it told has arrived, as far as can be seen: False while its connection is open."""


class Inbound:
    """All sources. Everything that returns True asks for the item cache to be given up."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def admit(self, node_id: str, process: str, writes: bool) -> tuple[int, bool]:
        """A connection from a node is up: the number of the last change had of it, and whether to give up the cache.

        `writes`: it is the primary.
        """
        source = self._sources.get(node_id)
        lost = False
        if source is None or source.process != process:
            lost = self.died(node_id)
            source = self._sources[node_id] = Source(process)
        source.wrote = source.wrote or writes
        source.complete = False
        return source.last, lost

    def writes(self, node_id: str) -> None:
        """A node is the primary now."""
        source = self._sources.get(node_id)
        if source is not None:
            source.wrote = True

    def take(self, node_id: str, first: int) -> tuple[int, bool]:
        """Changes that begin with this number: how many of them are known already, and whether some are missing."""
        source = self._sources[node_id]
        known = source.last + 1 - first
        if known >= 0:
            return known, False
        source.last = first - 1
        return 0, True

    def taken(self, node_id: str, last: int, wrote: bool) -> None:
        """The changes up to this number are taken over; `wrote`: some of them were not only read."""
        source = self._sources[node_id]
        source.last = max(source.last, last)
        source.wrote = source.wrote or wrote

    def last(self, node_id: str) -> int:
        """The number of the last change that came from a node."""
        source = self._sources.get(node_id)
        return source.last if source is not None else 0

    def ended(self, node_id: str, complete: bool) -> None:
        """Its connection has ended; `complete`: all that it had told has arrived."""
        self._sources[node_id].complete = complete

    def died(self, node_id: str, successor: str | None = None) -> bool:
        """A node is dead, or has been started anew as process `successor`: whether to give up the cache."""
        source = self._sources.get(node_id)
        if source is None or source.process == successor or source.complete or not source.wrote:
            return False
        source.complete = True  # what may be stale because of it is given up once
        return True
