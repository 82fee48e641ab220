"""Pages of ListStreams and DescribeStream: what comes behind the entry that a request names.

The entry may be gone by then: it was trimmed away between two pages. Its name still says where it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from hashrange.wire.streams import Shard
from hashrange_router.streams.directory import ListedStream, place_of

_SHARD_PREFIX = "shardId-"


def streams_page(
    listed: Sequence[ListedStream], start_arn: str | None, limit: int
) -> tuple[list[ListedStream], bool]:
    """Up to `limit` streams behind `start_arn` in the order of a list, and whether there are more."""
    if start_arn is not None:
        start = place_of(start_arn)
        listed = [each for each in listed if each.place > start]
    return list(listed[:limit]), len(listed) > limit


def shards_page(shards: Sequence[Shard], start_id: str | None, limit: int) -> tuple[list[Shard], bool]:
    """Up to `limit` shards behind the one named, of a list in `gathering.ordered` order; whether there are more."""
    if start_id is not None:
        shards = _behind(shards, start_id)
    return list(shards[:limit]), len(shards) > limit


def children(shards: Sequence[Shard], parent_id: str | None) -> list[Shard]:
    """The shards that continue a shard, which may be trimmed away itself."""
    return [shard for shard in shards if parent_id is not None and shard.parent == parent_id]


def _behind(shards: Sequence[Shard], start_id: str) -> Sequence[Shard]:
    for number, shard in enumerate(shards):
        if shard.id == start_id:
            return shards[number + 1 :]
    start = _place_of_shard(start_id)
    if start is None:
        return []
    return [shard for shard in shards if (shard.partition, shard.opened_ms) > start]


def _place_of_shard(shard_id: str) -> tuple[int, int] | None:
    """(partition, when opened) by an id as `hashrange.model.stream_sequence.shard_id` makes them; None for others."""
    opened, _, partition = shard_id.removeprefix(_SHARD_PREFIX).partition("-")
    try:
        return int(partition, 16), int(opened)
    except ValueError:
        return None
