"""Where a partition lies: its ids and its part of the hash range."""

from __future__ import annotations

from typing import NamedTuple

HASH_MAX = (1 << 64) - 1


class Place(NamedTuple):
    """A partition's id, the store its keys lie under, and its hash range, both ends included.

    The children of a split have new ids and share their parent's store: a split moves no data.
    """

    id: int
    store: int
    lo: int = 0
    hi: int = HASH_MAX

    @property
    def whole(self) -> bool:
        """Whether the store belongs to this partition alone, all hashes of it."""
        return self.lo == 0 and self.hi == HASH_MAX

    @classmethod
    def only(cls, partition: int) -> Place:
        """A partition with a store of its own and all hashes."""
        return cls(partition, partition)
