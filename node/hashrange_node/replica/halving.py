"""Where a partition's data lie along its hash range, by samples: for choosing where to split it.

The range is cut into equal parts. Of each the first entries are read: how far they reach into the part tells how dense
it is. That is exact for small partitions and costs the same for large ones; sizes from table files would know nothing
of what is still in memory.
"""

from __future__ import annotations

from itertools import islice

from hashrange_node.replica.place import Place
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine

PARTS = 128
ENTRIES = 64
PREFIX = 10  # bytes of an engine key before the hash


class Sampling:
    """One pass over a partition; `step` reads a sample, True when the last has been read."""

    def __init__(self, engine: Engine, place: Place) -> None:
        self._engine = engine
        self._place = place
        width = place.hi - place.lo + 1
        parts = min(PARTS, width)
        self._bounds = [place.lo + width * number // parts for number in range(parts + 1)]
        self._weights: list[float] = []
        self._single: list[bool] = []

    def step(self) -> bool:
        """Read the next part's sample: at most `ENTRIES` entries."""
        number = len(self._weights)
        lo, past = self._bounds[number], self._bounds[number + 1]
        low, high = keyspace.hashes_of(self._place.store, keyspace.ITEMS, lo, past - 1)
        sample = list(islice(self._engine.scan(low, high), ENTRIES))
        size = float(sum(len(key) + len(value) for key, value in sample))
        hashes = [key[PREFIX : PREFIX + 8] for key, _ in sample]
        if len(sample) == ENTRIES and hashes[0] != hashes[-1]:
            reached = int.from_bytes(hashes[-1], "big") + 1 - lo
            size *= (past - lo) / reached
        self._weights.append(size)
        self._single.append(bool(hashes) and hashes[0] == hashes[-1])
        return len(self._weights) == len(self._bounds) - 1

    def halving_hash(self) -> int | None:
        """The first hash of the upper half; None when nearly everything has one hash, or there is nothing."""
        total = sum(self._weights)
        heaviest = max(range(len(self._weights)), key=self._weights.__getitem__)
        if total <= 0 or (self._single[heaviest] and self._weights[heaviest] > 0.9 * total):
            return None
        before = 0.0
        for number, weight in enumerate(self._weights):
            if before + weight >= total / 2:
                lo, past = self._bounds[number], self._bounds[number + 1]
                at = lo + int((past - lo) * (total / 2 - before) / weight)
                return min(max(at, self._place.lo + 1), self._place.hi)
            before += weight
        return None

    def share_below(self, at: int) -> float:
        """The part of the data, 0 to 1, whose hash is below `at`."""
        total = sum(self._weights)
        if total <= 0:
            return 0.5
        below = 0.0
        for lo, past, weight in zip(self._bounds, self._bounds[1:], self._weights, strict=False):
            below += weight * min(max((at - lo) / (past - lo), 0.0), 1.0)
        return below / total
