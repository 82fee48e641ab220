"""Which shards of a stream may be processed now, which rows are of no use any more, and who takes how many.

A shard comes after its parent: once the parent's row says that it is done, or when the parent has been trimmed away and
nobody is at work on what was left of it. Shards that were closed before a mapping with StartingPosition LATEST was made
have nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hashrange.wire.streams import Shard
from hashrange_router.triggers.mapping.queue import Checkpoint

SKEW_MS = 60_000
"""A shard closed so long before a mapping was made has nothing for it, however wrong clocks are."""


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The row of one shard. `owner` None: free. `counter` moves while the owner lives, `epoch` with each owner."""

    shard: str
    owner: str | None
    counter: int
    epoch: int
    done: bool
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """`ready`: shards to be processed now. `vanished`: rows of shards that are trimmed away, not done; `stale`: rows
    that say nothing any more."""

    ready: list[Shard]
    vanished: list[str]
    stale: list[str]


def plan(shards: Iterable[Shard], rows: Mapping[str, LeaseRow], latest_from_ms: int | None) -> Plan:
    """What there is to do, of all shards of a stream and all rows of a mapping.

    `latest_from_ms`: when the mapping was made, if it begins with what is written from then on.
    """
    known = {shard.id: shard for shard in shards}

    def done(shard_id: str) -> bool:
        row = rows.get(shard_id)
        if row is not None:
            return row.done
        shard = known.get(shard_id)
        if shard is None:
            return True
        closed_ms = shard.closed_ms
        return latest_from_ms is not None and closed_ms is not None and closed_ms + SKEW_MS < latest_from_ms

    ready = [
        shard
        for shard in known.values()
        if not done(shard.id) and (shard.parent is None or done(shard.parent))
    ]
    gone = [row for name, row in rows.items() if name not in known]
    return Plan(ready, [row.shard for row in gone if not row.done], [row.shard for row in gone if row.done])


def begins_at(shard: Shard, latest_from_ms: int | None) -> int | None:
    """The time (ms) that a shard without a row is to be begun at; None: with its first record."""
    return latest_from_ms if latest_from_ms is not None and shard.opened_ms <= latest_from_ms else None


def fair_share(total: int, pools: int) -> int:
    """How many of `total` shards one of the pools takes, at most."""
    return -(-total // max(pools, 1))


def surplus(held: Mapping[str, int], own: str, pools: Iterable[str]) -> int:
    """How many of its shards a pool gives back, so that others have as many: `held` by pool.

    None as long as no other live pool has less than its share: what nobody else wants stays where it is.
    """
    names = list(pools)
    total = sum(held.values())
    mine = held.get(own, 0)
    if not any(held.get(name, 0) < total // max(len(names), 1) for name in names if name != own):
        return 0
    return max(mine - fair_share(total, len(names)), 0)
