"""Background fills: giving existing items to a new global index, or to the expiry index of a table.

A fill walks a partition in key order in small steps. Each step reads the newest evaluated state of a run of
items and proposes what follows for the index in an entry of its own, together with its cursor. Writes that
happen meanwhile take care of themselves, because the index is already part of the schema; and as both go
through the same log, and index entries carry stamps, the order in which they meet does not matter. After a
restart a fill goes on from its cursor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.key_rules import indexable
from hashrange.model.value import Item
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.secondary import (
    IndexChange,
    expiry_key,
    expiry_of,
    find_global_index,
    queue,
    queued_change,
)
from hashrange_node.storage import keyspace

STEP = 200
RETRY_DELAY_S = 0.5
FINISHED = b"\xff\xff"

Step = Callable[[Effects, bytes, bytes, Item], None]


class Fill:
    """One running fill of one replica; `done()` is called when the whole partition has been walked."""

    def __init__(
        self,
        replica: Replica,
        name: str,
        call_later: Callable[[float, Callable[[], None]], Any],
        done: Callable[[], None],
    ) -> None:
        self.replica = replica
        self.name = name
        self.stopped = False
        self.walked = 0
        self._call_later = call_later
        self._done = done
        self._cursor_key = keyspace.fill_cursor(replica.id, self.cursor_name())
        self._cursor = replica.engine.get(self._cursor_key) or b""

    def cursor_name(self) -> str:
        """Under which name the cursor is kept."""
        return self.name

    def start(self) -> None:
        """Begin, or go on from the cursor."""
        self._step()

    def step_item(self, effects: Effects, key: bytes, record: bytes, item: Item, index: int) -> None:
        """What follows for one item; given by the kind of fill."""
        raise AssertionError("a fill has a kind")

    def wanted(self) -> bool:
        """Whether the fill still has a purpose."""
        return not self.stopped

    def _step(self) -> None:
        if not self.wanted():
            return
        if self._cursor == FINISHED:
            self._done()
            return
        replica = self.replica
        index = replica.group.last_index + 1
        effects = Effects([], [], None)
        prefix = replica.items
        last = None
        walked = 0
        for full_key, record in replica.engine.scan(prefix + self._cursor, prefix + FINISHED * 8):
            last = full_key
            walked += 1
            held = replica.group.overlay.get(full_key)
            newest = record if held is None else held[1]
            if newest is not None:
                item: Item = orjson.loads(newest[records.HEADER_SIZE :])
                self.step_item(effects, full_key[len(prefix) :], newest, item, index)
            if walked == STEP:
                break
        self.walked += walked
        self._cursor = last[len(prefix) :] + b"\x00" if last is not None and walked == STEP else FINISHED
        effects.mutations.append((self._cursor_key, self._cursor))
        replica.group.propose(effects, self._proposed)

    def _proposed(self, answer: Any) -> None:
        if isinstance(answer, ApiError):  # refused, for example by a full disk: the same step again
            self._cursor = self.replica.engine.get(self._cursor_key) or b""
            self._call_later(RETRY_DELAY_S, self._step)
            return
        self._call_later(0.0, self._step)

    def forget(self) -> None:
        """Remove the cursor, so that a later fill of the same name starts from the beginning."""
        self.replica.group.propose(Effects([(self._cursor_key, None)], [], None), None)


class IndexFill(Fill):
    """Fills a global index. Items whose key attributes do not fit the index are left out."""

    def cursor_name(self) -> str:
        """Unique to this index: a later index of the same name has other partitions."""
        schema = find_global_index(self.replica.schema, self.name)
        assert schema is not None
        return f"{self.name}:{schema.partitions.all[0].id}"

    def wanted(self) -> bool:
        """Until the index is deleted."""
        return not self.stopped and find_global_index(self.replica.schema, self.name) is not None

    def step_item(self, effects: Effects, key: bytes, record: bytes, item: Item, index: int) -> None:
        """Queue the index entry of one item, with the stamp of the item's last write."""
        schema = find_global_index(self.replica.schema, self.name)
        assert schema is not None
        if not indexable(schema.codec, item):
            return
        change = IndexChange(schema, None, item)
        if change.new_key is not None:
            stamp = records.stamp(record)
            queue(effects, self.replica.id, index, [queued_change(schema.name, change, stamp, index)])


class ExpiryFill(Fill):
    """Fills the expiry index of a table whose time to live was switched on."""

    def wanted(self) -> bool:
        """Until time to live is switched off or moved to another attribute."""
        return not self.stopped and "ttl:" + (self.replica.schema.ttl_attribute or "") == self.name

    def step_item(self, effects: Effects, key: bytes, record: bytes, item: Item, index: int) -> None:
        """Add the expiry entry of one item."""
        attribute = self.replica.schema.ttl_attribute
        assert attribute is not None
        second = expiry_of(item, attribute)
        if second is not None:
            prefix = keyspace.space_prefix(self.replica.id, keyspace.EXPIRY)
            effects.mutations.append((expiry_key(prefix, second, key), b""))
