"""Where everything lies in the engine's one key space.

    G  group id(8)                          state of a replication group: applied index, term, counts
    C  name                                 the catalogue (state machine of group 0)
    P  partition(8) space(1) relative key   items (space 0), local index entries (1..5), expiry index (64)
    Q  partition(8) raft index(8) number(4) changes still to be sent to global indexes, in order
    B  partition(8) name                    how far a background fill of `name` has come

All numbers are big-endian, so that ranges of ids are ranges of keys. Partition ids are never reused.
"""

from __future__ import annotations

ITEMS = 0
EXPIRY = 64

CATALOGUE_PREFIX = b"C"


def group_state(group: int) -> bytes:
    """Key of a replication group's state record."""
    return b"G" + group.to_bytes(8, "big")


def space_prefix(partition: int, space: int) -> bytes:
    """What all keys of one space of a partition begin with (10 bytes)."""
    return b"P" + partition.to_bytes(8, "big") + bytes((space,))


def queue_prefix(partition: int) -> bytes:
    """What all queued index changes of a partition begin with (9 bytes)."""
    return b"Q" + partition.to_bytes(8, "big")


def queue_key(prefix: bytes, index: int, number: int) -> bytes:
    """Key of one queued change: ordered by raft index, then by its number within the entry."""
    return prefix + index.to_bytes(8, "big") + number.to_bytes(4, "big")


def fill_cursor(partition: int, name: str) -> bytes:
    """Key of the cursor of a background fill (of an index, or of the expiry index)."""
    return b"B" + partition.to_bytes(8, "big") + name.encode()


def ranges_of(partition: int) -> list[tuple[bytes, bytes]]:
    """All key ranges of a partition, half open: what is deleted when the partition is dropped."""
    low = partition.to_bytes(8, "big")
    high = (partition + 1).to_bytes(8, "big")
    return [(tag + low, tag + high) for tag in (b"B", b"G", b"P", b"Q")]
