"""Effects: what a write does, decided once at the leader and replicated as bytes.

An entry's payload is msgpack of [counts, mutations, ranges] or [counts, mutations, ranges, extra]: `mutations`
are (engine key, value or None), `counts` are (space, change of the number of entries, change of their bytes),
`ranges` are half-open key ranges to delete before the mutations: partitions that go out of service. Followers and
recovery apply these bytes and evaluate nothing. `extra` is a map of what only some entries have:

    "d": stamp                                       of the deletion of an item that the entry has (Group.max_delete)
    "f": (partition, term, sequence)                 the delivery of index entries that this is (WriteEntries.fence)
    "r": (session, sequence, stamp, encoded result)  the request that the entry answers, for deduplication
    "s": (round, low key, high key)                  compute a checksum of this slice at this index (scrub)
    "x": {...}                                       close this partition: it is split (split.py)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from hashrange_node.transactions.locks import Lock

Mutation = tuple[bytes, bytes | None]
Count = tuple[int, int, int]
KeyRange = tuple[bytes, bytes]
Marked = tuple[bytes, int, int]

_pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack


class Effects:
    """The outcome of one evaluated write: engine mutations, count changes, and the answer.

    `request` is (session, sequence, stamp, encoded result) of a write that may be sent again. `deleted` is the stamp
    of what deletes an item, 0 when nothing does. `released` are the locks of transactions that go, known here alone,
    and so are `recorded`: the entry has records of a stream, or changes its shards; and `marked`: of items that were
    changed for other regions relative key, stamp and bits of the mark.
    """

    __slots__ = (
        "_encoded",
        "counts",
        "deleted",
        "fence",
        "marked",
        "mutations",
        "queued",
        "ranges",
        "recorded",
        "released",
        "request",
        "result",
        "scrub",
        "split",
    )

    def __init__(self, mutations: list[Mutation], counts: list[Count], result: Any) -> None:
        self.counts = counts
        self.mutations = mutations
        self.result = result
        self.ranges: list[KeyRange] = []
        self.queued: list[tuple[bytes, list[Any]]] | None = None
        self.marked: list[Marked] | None = None
        self.request: tuple[int, int, int, bytes] | None = None
        self.fence: tuple[int, int, int] | None = None
        self.deleted = 0
        self.recorded = False
        self.released: list[Lock] | None = None
        self.scrub: tuple[int, bytes, bytes] | None = None
        self.split: dict[str, Any] | None = None
        self._encoded: bytes | None = None

    @property
    def separate(self) -> bool:
        """Whether the entry needs a batch of its own: ranges go first, and a checksum sees exactly its index."""
        return bool(self.ranges) or self.scrub is not None or self.split is not None

    def encode(self) -> bytes:
        """The payload of a log entry; made once, when a log or a message needs it."""
        packed = self._encoded
        if packed is None:
            if (
                self.request is None
                and not self.deleted
                and self.scrub is None
                and self.split is None
                and self.fence is None
            ):
                packed = _pack((self.counts, self.mutations, self.ranges))
            else:
                packed = _pack((self.counts, self.mutations, self.ranges, self._extra()))
            self._encoded = packed
        return packed

    def _extra(self) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if self.deleted:
            extra["d"] = self.deleted
        if self.request is not None:
            extra["r"] = self.request
        if self.fence is not None:
            extra["f"] = self.fence
        if self.scrub is not None:
            extra["s"] = self.scrub
        if self.split is not None:
            extra["x"] = self.split
        return extra


def decode(payload: bytes) -> Effects:
    """The effects of a payload, without an answer: for recovery and followers. ValueError if it is none."""
    counts, mutations, ranges, *more = msgpack.unpackb(payload, use_list=False)
    effects = Effects(mutations, counts, None)
    effects.ranges = ranges
    if more:
        extra = more[0]
        effects.deleted = extra.get("d", 0)
        effects.request = extra.get("r")
        effects.fence = extra.get("f")
        effects.scrub = extra.get("s")
        effects.split = extra.get("x")
    return effects
