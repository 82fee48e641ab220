"""Scrub: are all replicas of a partition the same? The deciding part; `scrubber` does the work.

The leader walks its partition in slices. For each it proposes an entry that names the slice, and every replica
computes a checksum of its own data in the slice as they are when it applies that entry: the same point in the order
of writes for all. The leader compares. A replica that differs from the same majority twice in a row is damaged, and
so is one that cannot read its data. Without a majority nobody is: nobody knows then who is right.

Slices are ranges of engine keys and may reach over several key ranges of the partition; what lies between those
belongs to others and does not count (`within`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from struct import Struct
from zlib import crc32

from hashrange_node.replica.ranges import KeyRange

# Above every key: keys begin with a letter.
END = b"\xff"

_LENGTHS = Struct("<II")

Entry = tuple[bytes, bytes]


def checksum(entries: Iterable[Entry], before: int = 0) -> int:
    """CRC-32 over (key length u32, value length u32, key, value) of each entry, little-endian, after `before`."""
    pack = _LENGTHS.pack
    parts = [part for key, value in entries for part in (pack(len(key), len(value)), key, value)]
    return crc32(b"".join(parts), before)


def within(ranges: Sequence[KeyRange], low: bytes, high: bytes) -> list[KeyRange]:
    """The parts of the ranges that lie in [low, high), in the order of their keys."""
    cut = sorted((max(low, first), min(high, past)) for first, past in ranges)
    return [each for each in cut if each[0] < each[1]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one replica had in the slice: how many entries and their checksum, or why it could not read them."""

    entries: int
    checksum: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the findings say. `unreadable` and `outvoted` map replicas to reasons; they are never the same ones.

    `undecided`: replicas differ and no majority agrees.
    """

    unreadable: dict[int, str] = field(default_factory=dict)
    outvoted: dict[int, str] = field(default_factory=dict)
    undecided: bool = False


class Check:
    """One slice under comparison: which of the members have answered, and what follows."""

    def __init__(self, round_: int, low: bytes, high: bytes, members: frozenset[int]) -> None:
        self.round = round_
        self.low = low
        self.high = high
        self.members = members
        self.findings: dict[int, Finding] = {}
        self._index: int | None = None

    def add(self, replica: int, index: int, finding: Finding) -> None:
        """Take a replica's finding. Those of non-members, and of another place in the log, do not count."""
        if replica not in self.members:
            return
        if self._index is None:
            self._index = index
        if index == self._index:
            self.findings[replica] = finding

    @property
    def complete(self) -> bool:
        """Whether all members have answered."""
        return len(self.findings) == len(self.members)

    def verdict(self) -> Verdict:
        """Judge by the findings that there are; a majority is one of all members, not of those who answered."""
        unreadable = {replica: found.error for replica, found in self.findings.items() if found.error}
        read = {replica: found for replica, found in self.findings.items() if not found.error}
        votes = Counter((found.entries, found.checksum) for found in read.values())
        if len(votes) <= 1:
            return Verdict(unreadable)
        (most, supporters) = votes.most_common(1)[0]
        if supporters * 2 <= len(self.members):
            return Verdict(unreadable, undecided=True)
        outvoted = {
            replica: f"{found.entries} entries with checksum {found.checksum:08x} where the other replicas "
            f"have {most[0]} with {most[1]:08x}"
            for replica, found in read.items()
            if (found.entries, found.checksum) != most
        }
        return Verdict(unreadable, outvoted)


class Walk:
    """One pass of a leader over its partition, slice by slice; `low` is where the next slice begins."""

    def __init__(self) -> None:
        self.low = b""
        self.finished = False
        self._suspects: frozenset[int] = frozenset()

    @staticmethod
    def end_of(entries: Sequence[Entry], last: bool) -> bytes:
        """Where a slice ends that was decided on by reading `entries`; `last`: there were no more."""
        return END if last or not entries else entries[-1][0] + b"\0"

    def judge(self, check: Check) -> dict[int, str]:
        """The damaged replicas with reasons. Goes on to the next slice, or to the same one to make sure."""
        verdict = check.verdict()
        damaged = dict(verdict.unreadable)
        suspects = frozenset(verdict.outvoted)
        convicted = suspects & self._suspects
        damaged.update((replica, verdict.outvoted[replica]) for replica in convicted)
        if suspects - convicted:
            self._suspects = suspects
        else:
            self._suspects = frozenset()
            self.low = check.high
            self.finished = check.high == END
        return damaged
