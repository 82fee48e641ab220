"""Where everything lies in the engine's one key space.

    G  group id(8)                          state of a replication group: applied index, term, counts
    C  name                                 the catalogue (state machine of group 0)
    P  store(8) space(1) relative key       items (space 0), local index entries (1..5), expiry index (64),
                                            locks of transactions (65) and their markers (66),
                                            records of streams (67) and their shards (68),
                                            of global tables: tombstones (69), marks of changed items (70)
    Q  partition(8) raft index(8) number(4) changes still to be sent to global indexes, in order
    B  partition(8) name                    how far a background fill of `name` has come
    D  partition(8) raft index(8)           requests applied in the batch that begins with this entry
    I  partition(8)                         a snapshot is being installed: which, and where it is staged

All numbers are big-endian, so that ranges of ids are ranges of keys. Partition ids are never reused. A `store`
is the id of a partition that was made empty; what splits made of it lies in the same store, each in its own
range of hashes. Relative keys begin with the hash (8 bytes), in the expiry index with a second (8), then the hash.
The relative key of a lock, a tombstone and a mark is that of its item, that of a marker a hash and the id of a
transaction (16). Records and shards of a stream lie at the lowest hash of the partition that wrote them, followed by a
sequence number (15).
"""

from __future__ import annotations

ITEMS = 0
EXPIRY = 64
LOCKS = 65
MARKERS = 66
STREAM = 67
SHARDS = 68
TOMBSTONES = 69
MARKS = 70
# The spaces whose relative keys begin with the hash: all but the expiry index.
HASHED_SPACES = (*range(6), LOCKS, MARKERS, STREAM, SHARDS, TOMBSTONES, MARKS)
HASH_MAX = 2**64 - 1

CATALOGUE_PREFIX = b"C"


def group_state(group: int) -> bytes:
    """Key of a replication group's state record."""
    return b"G" + group.to_bytes(8, "big")


def space_prefix(partition: int, space: int) -> bytes:
    """What all keys of one space of a partition begin with (10 bytes)."""
    return b"P" + partition.to_bytes(8, "big") + bytes((space,))


def marker_key(store: int, item_key: bytes, txid: bytes) -> bytes:
    """Key of a transaction's marker, which lies with the item at a relative key."""
    return space_prefix(store, MARKERS) + item_key[:8] + txid


def item_key(key: bytes) -> bytes:
    """Key of the item that a key of another space with the same relative key belongs to."""
    return key[:9] + bytes((ITEMS,)) + key[10:]


def queue_prefix(partition: int) -> bytes:
    """What all queued index changes of a partition begin with (9 bytes)."""
    return b"Q" + partition.to_bytes(8, "big")


def queue_key(prefix: bytes, index: int, number: int) -> bytes:
    """Key of one queued change: ordered by raft index, then by its number within the entry."""
    return prefix + index.to_bytes(8, "big") + number.to_bytes(4, "big")


def queue_sequence(key: bytes) -> int:
    """The place of a queued change in its partition's queue: grows along it, and fits 64 bits."""
    return int.from_bytes(key[9:17], "big") << 16 | min(int.from_bytes(key[17:21], "big"), 0xFFFF)


def fill_cursor(partition: int, name: str) -> bytes:
    """Key of the cursor of a background fill (of an index, or of the expiry index)."""
    return b"B" + partition.to_bytes(8, "big") + name.encode()


def request_window_prefix(partition: int) -> bytes:
    """What all records of a partition's applied requests begin with (9 bytes)."""
    return b"D" + partition.to_bytes(8, "big")


def installing(partition: int) -> bytes:
    """Key of the mark that a snapshot is being installed into a partition."""
    return b"I" + partition.to_bytes(8, "big")


def hashes_of(store: int, space: int, lo: int, hi: int) -> tuple[bytes, bytes]:
    """Range of the keys in a hashed space of a store whose hash is in lo..hi, both included."""
    prefix = space_prefix(store, space)
    if hi == HASH_MAX:
        return prefix + lo.to_bytes(8, "big"), space_prefix(store, space + 1)
    return prefix + lo.to_bytes(8, "big"), prefix + (hi + 1).to_bytes(8, "big")


def expiry_hash(key: bytes) -> bytes:
    """The hash (8 bytes) in a key of the expiry index."""
    return key[18:26]


def ranges_of(partition: int) -> list[tuple[bytes, bytes]]:
    """All key ranges of a partition that has its store to itself: what is deleted when it is dropped."""
    low = partition.to_bytes(8, "big")
    high = (partition + 1).to_bytes(8, "big")
    return [(tag + low, tag + high) for tag in (b"B", b"D", b"G", b"I", b"P", b"Q")]
