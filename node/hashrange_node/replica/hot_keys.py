"""Which partition keys a partition is asked for most: a summary of bounded size over weighted samples. Pure.

    hot = HotKeys()
    hot.observe(encoded_key, weight=30)          # one of thirty requests was looked at
    for each in hot.top(3): each.key, each.share

Samples are gathered and merged into the summary some at a time, keeping the largest counts and taking from all of them
what the first one that is dropped had (mergeable summaries, Agarwal et al., PODS 2012: the counterpart of space saving,
Metwally et al., ICDT 2005). So a count is never above the truth, and below it by at most 1/(KEPT+1) of everything
observed: when all keys are asked for alike, none is reported. `age` halves everything: what was hot an hour ago is not.
"""

from __future__ import annotations

from typing import NamedTuple

KEPT = 32
GATHERED = 64
SHARE_MIN = 0.01
"""Keys with a smaller share of the requests are not worth a line."""

HASH_BYTES = 8


class HotKey(NamedTuple):
    """One partition key: an encoded key that has it, and its share of the requests, at the least.

    `whole`: all requests that were looked at were for exactly this key, not for others under its partition key.
    """

    key: bytes
    whole: bool
    share: float


class _Count:
    """The weight of one partition key."""

    __slots__ = ("key", "weight", "whole")

    def __init__(self, key: bytes, whole: bool) -> None:
        self.key = key
        self.whole = whole
        self.weight = 0.0


class HotKeys:
    """The summary of one partition. Keys are encoded as in the engine: they begin with the partition key's hash."""

    __slots__ = ("_counts", "_gathered", "_total")

    def __init__(self) -> None:
        self._counts: dict[bytes, _Count] = {}
        self._gathered: list[tuple[bytes, int, bool]] = []
        self._total = 0.0

    def observe(self, key: bytes, weight: int, whole: bool = True) -> None:
        """Take a sampled request, which stands for `weight` ones. `whole` False: it was for more than this key."""
        self._gathered.append((key, weight, whole))
        if len(self._gathered) == GATHERED:
            self._merge()

    def age(self) -> None:
        """Let everything so far count half."""
        self._merge()
        self._total /= 2
        for count in self._counts.values():
            count.weight /= 2

    def top(self, most: int) -> list[HotKey]:
        """The hottest keys, the hottest first."""
        self._merge()
        if not self._total:
            return []
        ordered = sorted(self._counts.values(), key=lambda count: -count.weight)
        return [
            HotKey(count.key, count.whole, count.weight / self._total)
            for count in ordered[:most]
            if count.weight >= self._total * SHARE_MIN
        ]

    def _merge(self) -> None:
        counts = self._counts
        for key, weight, whole in self._gathered:
            self._total += weight
            count = counts.get(key[:HASH_BYTES])
            if count is None:
                count = counts[key[:HASH_BYTES]] = _Count(key, whole)
            elif count.key != key or not whole:
                count.whole = False
            count.weight += weight
        self._gathered.clear()
        if len(counts) <= KEPT:
            return
        ordered = sorted(counts.items(), key=lambda each: -each[1].weight)
        dropped = ordered[KEPT][1].weight
        self._counts = {}
        for name, count in ordered[:KEPT]:
            count.weight -= dropped
            if count.weight > 0:
                self._counts[name] = count
