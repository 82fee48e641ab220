"""Effects: what a write does, decided once at the leader and replicated as bytes.

An entry's payload is msgpack of [counts, mutations, ranges]: `mutations` are (engine key, value or None),
`counts` are (space, change of the number of entries, change of their bytes), `ranges` are half-open key
ranges to delete after the mutations: partitions that go out of service. Followers and recovery apply these
bytes and evaluate nothing.
"""

from __future__ import annotations

from typing import Any

import msgpack

Mutation = tuple[bytes, bytes | None]
Count = tuple[int, int, int]
KeyRange = tuple[bytes, bytes]

_pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack


class Effects:
    """The outcome of one evaluated write: engine mutations, count changes, and the answer."""

    __slots__ = ("counts", "mutations", "queued", "ranges", "result")

    def __init__(self, mutations: list[Mutation], counts: list[Count], result: Any) -> None:
        self.mutations = mutations
        self.counts = counts
        self.result = result
        self.ranges: list[KeyRange] = []
        self.queued: list[tuple[bytes, list[Any]]] | None = None

    def encode(self) -> bytes:
        """The payload of a log entry; called only by a log that keeps it."""
        packed: bytes = _pack((self.counts, self.mutations, self.ranges))
        return packed


def decode(payload: bytes) -> Effects:
    """The effects of a payload, without an answer: for recovery and followers."""
    counts, mutations, ranges = msgpack.unpackb(payload, use_list=False)
    effects = Effects(list(mutations), list(counts), None)
    effects.ranges = list(ranges)
    return effects
