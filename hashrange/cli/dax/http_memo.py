"""What request bodies seen before ask for: so that a hit costs neither parsing nor validation.

Clients send the same bytes for the same read. A body that was once found valid, and whose answer came out of the
cache, is remembered with the key that it looks up. Nothing of an answer is kept here. What was used longest ago is
forgotten when the bodies take more than their share of memory, and all of a table when the table goes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from hashrange.expr import Projection
from hashrange.model.table import TableSchema
from hashrange.runtime.operation_stats import OperationStats

LONGEST: Final = 4096
"""Bytes of a body that is worth remembering."""

_OVERHEAD: Final = 280
"""Bytes that an entry takes beside its body: its place in the dictionary, the tuple, its key (measured)."""


class Asked(NamedTuple):
    """Which operation on which table: shared by all bodies that ask for it.

    `table` is the very schema that the body was checked against.
    """

    target: bytes
    operation: str
    table: TableSchema
    stats: OperationStats


class Known(NamedTuple):
    """What one body asks for: `key` is an item's, or a query's."""

    asked: Asked
    key: bytes
    projection: Projection | None


class Memo:
    """Bodies and what they ask for. `used_bytes` is what they take."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._asked: dict[tuple[bytes, str], Asked] = {}
        self.find = self._known.get
        """What a body asks for, or None."""
        self.used = self._known.move_to_end
        """A body that was found has been of use."""

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, body: bytes, asked: Asked, key: bytes, projection: Projection | None) -> None:
        """Remember what a body asks for, in the place of what it asked for before."""
        if len(body) > LONGEST:
            return
        # One object for all bodies that ask alike.
        name = (asked.target, asked.table.table_id)
        shared = self._asked.get(name)
        if shared is None or shared.table is not asked.table:
            shared = self._asked[name] = asked
        if body not in self._known:
            self.used_bytes += len(body) + _OVERHEAD
        self._known[body] = Known(shared, key, projection)
        while self.used_bytes > self.limit_bytes:
            oldest, _ = self._known.popitem(last=False)
            self.used_bytes -= len(oldest) + _OVERHEAD

    def forget(self, body: bytes) -> None:
        """Forget a body."""
        if self._known.pop(body, None) is not None:
            self.used_bytes -= len(body) + _OVERHEAD

    def forget_table(self, name: str) -> None:
        """Forget all that asks for a table of this name."""
        for body in [body for body, known in self._known.items() if known.asked.table.name == name]:
            self.forget(body)
        for key in [key for key, asked in self._asked.items() if asked.table.name == name]:
            del self._asked[key]
