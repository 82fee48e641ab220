"""Where a partition's data lie in the engine: which key ranges are its own, and which it shares.

A partition that came out of a split shares its store with its siblings. Items and local index entries begin with
the hash, so a partition's part of them is a range of keys. The expiry index is ordered by second: there the
partition's entries lie between those of its siblings and are told apart by their hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hashrange_node.storage import keyspace
from hashrange_node.storage.keyspace import HASH_MAX, HASHED_SPACES

KeyRange = tuple[bytes, bytes]

CONTROL = 0


@dataclass(frozen=True, slots=True)
class PartitionRanges:
    """The key ranges of one partition: hashes `lo` to `hi` (both included) of `store`.

    Partition 0 is the control plane: its data are the catalogue. Without `data` they are only what is the
    partition's own whatever becomes of its items: cursors, requests, queued changes. A partition that was split has
    no more: its items are its children's.

    own: ranges that hold entries of this partition alone, and all of them but those in `mixed`.
    mixed: the expiry index where it may hold entries of other partitions of the same store, else None.
    """

    partition: int
    store: int
    lo: int = 0
    hi: int = HASH_MAX
    data: bool = True
    own: tuple[KeyRange, ...] = field(init=False, repr=False, compare=False)
    mixed: KeyRange | None = field(init=False, repr=False, compare=False)
    mixed_bounds: tuple[bytes, bytes, bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        data, mixed = self._data()
        kept = [(tag + _low(self.partition), tag + _low(self.partition + 1)) for tag in (b"B", b"D", b"Q")]
        object.__setattr__(self, "own", (*data, *kept))
        object.__setattr__(self, "mixed", mixed)
        first, past = mixed or (b"", b"")
        object.__setattr__(self, "mixed_bounds", (first, past, _low(self.lo), _low(self.hi)))

    def _data(self) -> tuple[list[KeyRange], KeyRange | None]:
        if not self.data:
            return [], None
        if self.partition == CONTROL:
            return [(keyspace.CATALOGUE_PREFIX, b"D")], None
        if self.lo == 0 and self.hi == HASH_MAX:
            return [(b"P" + _low(self.store), b"P" + _low(self.store + 1))], None
        data = [keyspace.hashes_of(self.store, space, self.lo, self.hi) for space in HASHED_SPACES]
        expiry = keyspace.space_prefix(self.store, keyspace.EXPIRY)
        return data, (expiry, keyspace.space_prefix(self.store, keyspace.EXPIRY + 1))

    @property
    def all(self) -> list[KeyRange]:
        """Every range with entries of this partition, in the order in which snapshots send them."""
        return [*self.own, self.mixed] if self.mixed is not None else list(self.own)

    @property
    def without_data(self) -> PartitionRanges:
        """The same partition without `data`."""
        return replace(self, data=False)

    @property
    def scrubbed(self) -> list[KeyRange]:
        """The ranges whose entries must be the same on every replica at the same applied index.

        The records of applied requests are not among them: how they are cut into keys depends on the batches
        in which a replica applied them.
        """
        window = keyspace.request_window_prefix(self.partition)
        return [each for each in self.all if each[0] != window]

    def owns(self, key: bytes) -> bool:
        """Whether a key is one of this partition's."""
        mixed = self.mixed
        if mixed is not None and mixed[0] <= key < mixed[1]:
            return _low(self.lo) <= keyspace.expiry_hash(key) <= _low(self.hi)
        return any(low <= key < high for low, high in self.own)


def _low(number: int) -> bytes:
    return number.to_bytes(8, "big")
