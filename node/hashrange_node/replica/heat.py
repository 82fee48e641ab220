"""The heat of one partition at one replica: which keys are asked for, and how many bytes are read and written. Pure.

Requests are counted exactly where they are served (`Group.reads_served`, `writes_taken`). What costs more is done for a
sample of them. While requests come slowly each is looked at, while they come fast about one in thirty, which then
stands for all since the last one. The caller pays a truth test and a subtraction for the others:

    heat = group.heat
    if heat.due:
        heat.due -= 1
    else:
        done = heat.reading(key, now_s, done)        # or heat.writing

Samples are not spread evenly, and their pattern shifts against any other: a client that asks for keys in turns is seen
to do so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hashrange.model import record as records
from hashrange.wire.messages import RangeResult, WriteResult
from hashrange_node.replica.heat_sample import HeatSample
from hashrange_node.replica.hot_keys import HASH_BYTES, HotKeys

Done = Callable[[Any], None]

INTERVALS = (29, 37, 31, 26, 41, 35, 28, 23, 33)
"""Requests from one sample to the next while there are many: 31 on average. Their sum is a prime."""

BUSY_GAP_S = 0.01
"""When requests come closer than this on average, they are sampled."""

GAPS = 64
GAP_MAX_S = 0.1
"""The average is over about so many requests, a pause among which counts as no longer than this."""

ENTRIES_SAMPLED = 32
"""Of index entries that arrive together, so many keys are looked at."""

HALF_LIFE_S = 5.0
"""What was observed before counts half after this time."""


class Heat:
    """Sampled load of one replica. Times are monotonic seconds. Bytes are sizes of items; their totals only grow."""

    __slots__ = (
        "_aged_s",
        "_gap_s",
        "_sampled_s",
        "_turn",
        "_weight",
        "due",
        "entries",
        "keys",
        "read_bytes",
        "sample",
        "write_bytes",
    )

    def __init__(self) -> None:
        self.due = 0
        """Requests that go by before the next one is looked at."""
        self.keys = HotKeys()
        self.sample = HeatSample()
        self.read_bytes = self.write_bytes = 0
        self.entries = 0
        """Index entries delivered to a partition of a global index: its writes."""
        self._weight = 1
        self._turn = 0
        self._sampled_s = self._aged_s = 0.0
        self._gap_s = GAP_MAX_S

    def reading(self, key: bytes, now_s: float, done: Done) -> Done:
        """Look at a read of one item: call what is returned in the place of `done`."""
        weight = self._take(key, now_s)

        def counted(answer: Any) -> None:
            if answer.__class__ is bytes:
                self.read_bytes += records.size(answer) * weight
            done(answer)

        return counted

    def writing(self, key: bytes, now_s: float, done: Done) -> Done:
        """Look at a write of one item: call what is returned in the place of `done`."""
        weight = self._take(key, now_s)

        def counted(answer: Any) -> None:
            if answer.__class__ is WriteResult:
                self.write_bytes += max(answer.old_size, answer.new_size) * weight
            done(answer)

        return counted

    def ranging(self, low: bytes, high: bytes, now_s: float, done: Done) -> Done:
        """Look at a read of a run of items, as is done for each. Only one within a partition key tells of a key."""
        self._age(now_s)
        if len(low) > HASH_BYTES and low[:HASH_BYTES] == high[:HASH_BYTES]:
            self.keys.observe(low, 1, whole=False)
            self.sample.observe(low)

        def counted(answer: Any) -> None:
            if answer.__class__ is RangeResult:
                self.read_bytes += answer.size_bytes + sum(answer.fetched_sizes)
            done(answer)

        return counted

    def several(self, keys: Sequence[bytes], now_s: float) -> None:
        """Look at all items of a transaction, when one is due."""
        weight = self._take(keys[0], now_s)
        for key in keys[1:]:
            self.keys.observe(key, weight)
            self.sample.observe(key)

    def delivering(self, entries: list[tuple[bytes, bytes | None, int]], now_s: float) -> None:
        """Look at index entries that are delivered: (key, record or None, stamp) of each."""
        self._age(now_s)
        self.entries += len(entries)
        size = records.size
        self.write_bytes += sum(size(record) for _, record, _ in entries if record is not None)
        apart = len(entries) // ENTRIES_SAMPLED + 1
        for key, _, _ in entries[::apart]:
            self.keys.observe(key, apart)
            self.sample.observe(key)

    def _take(self, key: bytes, now_s: float) -> int:
        """Note a sampled request, and say how many it stands for."""
        weight = self._weight
        gap_s = min((now_s - self._sampled_s) / weight, GAP_MAX_S)
        self._gap_s += (gap_s - self._gap_s) * min(1.0, weight / GAPS)
        if self._gap_s < BUSY_GAP_S:
            self._turn = turn = (self._turn + 1) % len(INTERVALS)
            self._weight = INTERVALS[turn]
        else:
            self._weight = 1
        self.due = self._weight - 1
        self._sampled_s = now_s
        self._age(now_s)
        self.keys.observe(key, weight)
        self.sample.observe(key)
        return weight

    def _age(self, now_s: float) -> None:
        lives = int((now_s - self._aged_s) / HALF_LIFE_S)
        if lives:
            self._aged_s = now_s
            for _ in range(min(lives, 20)):
                self.keys.age()
