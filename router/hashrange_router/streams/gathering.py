"""The shards of a stream, gathered from the partitions of its table.

Every partition knows the shards whose first hash it owns. A split may come while they are asked: so each answer says
which hashes it covers, and whoever owns what is not covered is asked next. What is closed never changes again but for
what is trimmed, and where the shard lies (its first hash) never changes at all: so `KnownShards` remembers it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from hashrange.errors import unavailable
from hashrange.model.table import Partitions
from hashrange.wire.streams import ReadShards, Shard
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.streams.directory import Stream

ROUNDS_MAX = 32
"""Rounds of questions for one list of shards: each time splits have left a gap."""
KNOWN_MAX = 65_536
"""Shards that one router remembers; the ones learnt first are forgotten first."""

Steps = Generator[Any, Any, Any]


class KnownShards:
    """What a router has learnt of shards: by id, the stream that each is of, and what it was when last listed."""

    def __init__(self) -> None:
        self._shards: dict[str, tuple[str, Shard]] = {}

    def learn(self, stream_arn: str, shards: Iterable[Shard]) -> None:
        """Take over what a list of shards says."""
        known = self._shards
        for shard in shards:
            known[shard.id] = (stream_arn, shard)
        while len(known) > KNOWN_MAX:
            del known[next(iter(known))]

    def get(self, stream_arn: str, shard_id: str) -> Shard | None:
        """The shard as it was when last listed; None when it is not known as one of this stream."""
        found = self._shards.get(shard_id)
        return found[1] if found is not None and found[0] == stream_arn else None

    def stream_of(self, shard_id: str) -> str | None:
        """The ARN of the stream that a shard is of; None when it is not known."""
        found = self._shards.get(shard_id)
        return found[0] if found is not None else None


def owner(context: RouterContext, partitions: Partitions, lo: int) -> int:
    """The partition that owns a hash now, as far as this router knows."""
    position = lo.to_bytes(8, "big")
    return context.locate(partitions.of(position), position).id


def gather(context: RouterContext, stream: Stream) -> Steps:
    """All shards of a stream in `ordered` order: list[Shard]. Yields messages as an operation does.

    ServiceUnavailable when splits come faster than the questions.
    """
    gaps = [(partition.lo, partition.hi) for partition in stream.partitions.all]
    found: dict[str, Shard] = {}
    for _ in range(ROUNDS_MAX):
        questions = [_question(context, stream, lo) for lo, _ in gaps]
        answers = yield questions
        for answer in answers:
            for document in answer["shards"]:
                shard = Shard.from_document(document)
                found[shard.id] = shard
        gaps = uncovered(gaps, [(answer["lo"], answer["hi"]) for answer in answers])
        if not gaps:
            return ordered(found.values())
    raise unavailable(f"The partitions of table {stream.table_name} are being split; try again")


def shards_at(context: RouterContext, stream: Stream, lo: int) -> Steps:
    """The shards that lie with the partition that owns hash `lo`: list[Shard]."""
    answer = yield _question(context, stream, lo)
    return [Shard.from_document(document) for document in answer["shards"]]


def ordered(shards: Iterable[Shard]) -> list[Shard]:
    """In an order that a list is paged by: parents come before their children, since numbers grow along a lineage."""
    return sorted(shards, key=lambda shard: (shard.start, shard.id))


def uncovered(gaps: list[tuple[int, int]], answers: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of the ranges `gaps` no answer covers; all ranges have both ends inclusive."""
    left = gaps
    for lo, hi in answers:
        cut: list[tuple[int, int]] = []
        for start, end in left:
            if hi < start or lo > end:
                cut.append((start, end))
                continue
            if start < lo:
                cut.append((start, lo - 1))
            if hi < end:
                cut.append((hi + 1, end))
        left = cut
    return left


def _question(context: RouterContext, stream: Stream, lo: int) -> ReadShards:
    return ReadShards(owner(context, stream.partitions, lo), ANY_EPOCH, lo, stream.label)
