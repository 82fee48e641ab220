"""Where the load of a partition is: a sample of the hashes that were asked for lately. Pure.

A partition that has more load than one should have is split where the load is halved, not in the middle; unless most
of it is for one key, which no split could part (the same rule as DynamoDB's split for heat).
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque

SAMPLE = 256
SAMPLE_MIN = 64
SINGLE_KEY_SHARE = 0.5


class HeatSample:
    """The hashes of the last sampled requests of one partition."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes: deque[int] = deque(maxlen=SAMPLE)

    def observe(self, hash8: bytes) -> None:
        """Take note of a request for an item; longer keys are accepted, they begin with the hash."""
        self._hashes.append(int.from_bytes(hash8[:8], "big"))

    def clear(self) -> None:
        """Begin anew."""
        self._hashes.clear()

    def halving(self) -> int | None:
        """The first hash of the upper half of the load; None if there was little, or most was for one key."""
        hashes = self._hashes
        if len(hashes) < SAMPLE_MIN:
            return None
        counts = Counter(hashes)
        if counts.most_common(1)[0][1] > len(hashes) * SINGLE_KEY_SHARE:
            return None
        ordered: list[int] = []
        for each in counts:
            insort(ordered, each)
        if len(ordered) < 2:
            return None
        best, best_gap, below = ordered[1], len(hashes), 0
        for position in range(1, len(ordered)):
            below += counts[ordered[position - 1]]
            gap = abs(2 * below - len(hashes))
            if gap < best_gap:
                best, best_gap = ordered[position], gap
        return best
