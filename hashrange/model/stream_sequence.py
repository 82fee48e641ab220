"""Sequence numbers and shard ids of streams: where a change stands in the history of its partition.

A sequence number is one integer of 120 bits:

    partition (48) | raft index of the entry (56) | number of the change within the entry (16)

Partition ids are never reused and a split gives its children higher ones, raft indexes grow within a partition: so
numbers are unique, and grow along every lineage of shards. All of it is in the log, so every replica gives a change the
same number. Clients see decimal digits, at least 21 of them (the SDKs refuse shorter ones before they send);
in the engine a number is 15 bytes, big-endian, so that keys are ordered as numbers are.

A shard id is `shardId-<milliseconds when it was opened, 20 digits>-<partition, 8 hex digits>`: shards sort by age.
"""

from __future__ import annotations

SEQUENCE_BYTES = 15
SEQUENCE_MAX = (1 << 120) - 1
DIGITS_MIN = 21
"""The shortest sequence number that botocore sends (its service model)."""
NUMBER_MAX = (1 << 16) - 1
_INDEX_MASK = (1 << 56) - 1


def sequence_of(partition: int, index: int, number: int = 0) -> int:
    """The sequence number of a change: `number` counts the changes of one log entry from 0."""
    return partition << 72 | index << 16 | number


def partition_of(sequence: int) -> int:
    """The partition that a number was given in."""
    return sequence >> 72


def index_of(sequence: int) -> int:
    """The raft index of the entry that a number was given in."""
    return sequence >> 16 & _INDEX_MASK


def sequence_text(sequence: int) -> str:
    """As clients see it."""
    return f"{sequence:021d}"


def sequence_from(text: str) -> int:
    """The inverse; ValueError for what is none, also when it is too large."""
    if not text.isascii() or not text.isdigit() or len(text) > 40:
        raise ValueError("not a sequence number")
    sequence = int(text)
    if sequence > SEQUENCE_MAX:
        raise ValueError("not a sequence number")
    return sequence


def sequence_bytes(sequence: int) -> bytes:
    """As in the engine's keys."""
    return sequence.to_bytes(SEQUENCE_BYTES, "big")


def shard_id(partition: int, opened_ms: int) -> str:
    """The id of the shard that a partition opened at a time. A partition opens no two in one millisecond."""
    return f"shardId-{opened_ms:020d}-{partition:08x}"
