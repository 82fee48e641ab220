"""The messages about streams between a router (or the trigger pool) and a node, and what answers them.

A stream is the sum of its shards. A shard is one partition's part of a stream, from one moment to another: it begins
when the stream is switched on, when the partition comes out of a split or when its predecessor was closed for age, and
ends likewise. Its records lie in the engine at the lowest hash of its partition (`Shard.lo`), so that whatever becomes
of the partition, the one that owns that hash has them: a closed shard never has to be moved on its own.

`partition` and `epoch` are as in `hashrange.wire.messages`: the sender's guess at who owns hash `lo` now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard. Numbers are sequence numbers (`hashrange.model.stream_sequence`), times milliseconds since 1970.

    `start` is below every record of the shard; `end` is at or above the last one, None while the shard is open.
    `trimmed`: records up to this number are gone, 0 while none are. `parent` is the id of the shard that this one
    continues (it may be trimmed away), None for the first of a stream.
    """

    id: str
    label: str
    view_type: str
    partition: int
    lo: int
    parent: str | None
    start: int
    opened_ms: int
    end: int | None = None
    closed_ms: int | None = None
    trimmed: int = 0

    @property
    def open(self) -> bool:
        """Whether it may still get records."""
        return self.end is None

    def to_document(self) -> dict[str, Any]:
        """As JSON and msgpack carry it: numbers are wider than theirs, so they are texts."""
        return {
            "id": self.id,
            "label": self.label,
            "view": self.view_type,
            "partition": self.partition,
            "lo": self.lo,
            "parent": self.parent,
            "start": str(self.start),
            "opened": self.opened_ms,
            "end": None if self.end is None else str(self.end),
            "closed": self.closed_ms,
            "trimmed": str(self.trimmed),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Shard:
        """The inverse; KeyError, TypeError or ValueError for what is none."""
        end = document["end"]
        return cls(
            document["id"],
            document["label"],
            document["view"],
            document["partition"],
            document["lo"],
            document["parent"],
            int(document["start"]),
            document["opened"],
            None if end is None else int(end),
            document["closed"],
            int(document["trimmed"]),
        )


class ReadShards:
    """List the shards of the stream `label` that lie with the partition that owns hash `lo`.

    Answer: {"lo", "hi": the hashes that this answer covers, "shards": [Shard.to_document()]}, oldest first. It comes
    from the leader, like a strong read.
    """

    __slots__ = ("epoch", "label", "lo", "partition")

    def __init__(self, partition: int, epoch: int, lo: int, label: str) -> None:
        self.partition = partition
        self.epoch = epoch
        self.lo = lo
        self.label = label


class ReadRecords:
    """Read records of one shard behind the sequence number `after`. Answer: `RecordPage`.

    Ends after `limit` records or `max_bytes` of them, or earlier where the node has read enough for one message, but
    gives one at least if there is one. When there is none and
    the shard is open, the answer waits up to `wait_ms` for the next. ResourceNotFoundException when there is no such
    shard; TrimmedDataAccessException when records behind `after` are gone already (`after` < `Shard.trimmed`), unless
    `after` is 0: then it begins with the oldest there is.
    """

    __slots__ = ("after", "epoch", "limit", "lo", "max_bytes", "partition", "shard", "wait_ms")

    def __init__(
        self,
        partition: int,
        epoch: int,
        lo: int,
        shard: str,
        after: int,
        limit: int,
        max_bytes: int,
        wait_ms: int = 0,
    ) -> None:
        self.partition = partition
        self.epoch = epoch
        self.lo = lo
        self.shard = shard
        self.after = after
        self.limit = limit
        self.max_bytes = max_bytes
        self.wait_ms = wait_ms


class RecordPage:
    """Records as they are stored (`hashrange.model.stream_record`), with their sequence numbers, in order.

    `after` is where the next read goes on. `ended`: the shard is closed, and nothing of it lies behind `after`.
    """

    __slots__ = ("after", "ended", "records")

    def __init__(self, records: list[tuple[int, bytes]], after: int, ended: bool) -> None:
        self.records = records
        self.after = after
        self.ended = ended


class LocateRecord:
    """Where to begin in a shard. Answer: {"after": a sequence number as text}; what lies behind it is to be read.

    `at_ms` None: behind everything that has been acknowledged, confirmed like a strong read. Else before the first
    record of that time or later.
    """

    __slots__ = ("at_ms", "epoch", "lo", "partition", "shard")

    def __init__(self, partition: int, epoch: int, lo: int, shard: str, at_ms: int | None) -> None:
        self.partition = partition
        self.epoch = epoch
        self.lo = lo
        self.shard = shard
        self.at_ms = at_ms


StreamMessage = ReadShards | ReadRecords | LocateRecord
