"""Which shards may be read: those whose parents are finished. Pure.

A split or a roll-over closes a shard and opens its children; reading a child before its parent is finished would bring
an item's changes out of order. A parent that is not listed any more has been trimmed away: nothing is left of it to be
read (Amazon DynamoDB Developer Guide, "Reading and processing a stream").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any


class ShardTree:
    """The shards of a stream as DescribeStream listed them: shard id -> parent id, or None."""

    def __init__(self, parents: Mapping[str, str | None]) -> None:
        self._parents = dict(parents)

    @classmethod
    def of(cls, shards: Iterable[Mapping[str, Any]]) -> ShardTree:
        """From the `Shards` of DescribeStream, all pages."""
        return cls({shard["ShardId"]: shard.get("ParentShardId") for shard in shards})

    def __contains__(self, shard: str) -> bool:
        return shard in self._parents

    def __len__(self) -> int:
        return len(self._parents)

    @property
    def shards(self) -> list[str]:
        """All shards, parents before their children."""
        found: list[str] = []
        placed: set[str] = set()
        for shard in self._parents:
            line = []
            at: str | None = shard
            while at is not None and at in self._parents and at not in placed and at not in line:
                line.append(at)
                at = self._parents[at]
            for each in reversed(line):
                placed.add(each)
                found.append(each)
        return found

    def ready(self, finished: Collection[str]) -> list[str]:
        """Shards to read now: not finished themselves, and nothing before them left to read."""
        return [s for s in self.shards if s not in finished and self._open_parent(s, finished) is None]

    def children(self, shard: str) -> list[str]:
        """The shards that continue one."""
        return [each for each, parent in self._parents.items() if parent == shard]

    def _open_parent(self, shard: str, finished: Collection[str]) -> str | None:
        parent = self._parents[shard]
        return parent if parent is not None and parent in self._parents and parent not in finished else None
