"""Background fills: giving existing items to a new global index, or to the expiry index of a table.

A fill walks a partition in key order in small steps. Each step reads the newest evaluated state of a run of
items and proposes what follows for the index in an entry of its own, together with its cursor. Writes that
happen meanwhile take care of themselves, because the index is already part of the schema; and as both go
through the same log, and index entries carry stamps, the order in which they meet does not matter. Writes
that were evaluated before the schema had the index do not, and a walk cannot see an item that is not in the
engine yet: a fill begins only when an entry of its own, proposed behind them all, has been applied. After a
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
from hashrange_node.storage.engine import EngineError

STEP = 200
STEP_BYTES = 1 << 20
RETRY_DELAY_S = 0.5
UNREADABLE_DELAY_S = 5.0
FINISHED = b"\xff\xff"

Later = Callable[[float, Callable[[], None]], Any]
Report = Callable[[str, BaseException], None]


class Fill:
    """One running fill of one replica; `done()` is called when the whole partition has been walked.

    `report` is told when the partition cannot be read; the fill tries again until it can.
    """

    def __init__(
        self,
        replica: Replica,
        name: str,
        call_later: Later,
        done: Callable[[], None],
        report: Report,
    ) -> None:
        self.replica = replica
        self.name = name
        self.stopped = False
        self.walked = 0
        self._call_later = call_later
        self._done = done
        self._report = report
        self._cursor_key = keyspace.fill_cursor(replica.id, self.cursor_name())
        self._cursor = replica.engine.get(self._cursor_key) or b""

    def cursor_name(self) -> str:
        """Under which name the cursor is kept."""
        return self.name

    def start(self) -> None:
        """Begin behind everything that is under way, or go on from the cursor."""
        if not self.wanted():
            return
        if self._cursor == FINISHED:
            self._done()
        else:
            self.replica.group.propose(Effects([], [], None), self._begun)

    def _begun(self, answer: Any) -> None:
        if isinstance(answer, ApiError):
            self._call_later(RETRY_DELAY_S, self.start)
        else:
            self._step()

    def proceed(self) -> None:
        """A step was applied: take the next."""
        self._call_later(0.0, self._step)

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
        if replica.group.driver.stalled is not None:
            self._call_later(RETRY_DELAY_S, self._step)
            return
        effects = Effects([], [], None)
        try:
            self._cursor = self._walk(effects)
        except EngineError as error:
            self._report(f"filling {self.name} of {replica.schema.name} cannot read its items", error)
            self._call_later(UNREADABLE_DELAY_S, self._step)
            return
        effects.mutations.append((self._cursor_key, self._cursor))
        replica.group.propose(effects, self._proposed)

    def _walk(self, effects: Effects) -> bytes:
        """Add what follows for the next items to `effects`; returns the cursor behind them."""
        replica = self.replica
        index = replica.group.last_index + 1
        prefix = replica.items
        walked = size = 0
        low = max(self._cursor, replica.place.lo.to_bytes(8, "big"))
        high = keyspace.hashes_of(replica.place.store, keyspace.ITEMS, replica.place.lo, replica.place.hi)[1]
        for full_key, record in replica.engine.scan(prefix + low, high):
            walked += 1
            size += len(record)
            held = replica.group.overlay.get(full_key)
            newest = record if held is None else held[1]
            if newest is not None:
                item: Item = orjson.loads(newest[records.HEADER_SIZE :])
                self.step_item(effects, full_key[len(prefix) :], newest, item, index)
            if walked == STEP or size >= STEP_BYTES:
                self.walked += walked
                return full_key[len(prefix) :] + b"\x00"
        self.walked += walked
        return FINISHED

    def _proposed(self, answer: Any) -> None:
        if isinstance(answer, ApiError):  # refused, for example by a full disk: the same step again
            self._cursor = self.replica.engine.get(self._cursor_key) or b""
            self._call_later(RETRY_DELAY_S, self._step)
            return
        self.proceed()

    def forget(self) -> None:
        """Remove the cursor, so that a later fill of the same name starts from the beginning."""
        self.replica.group.propose(Effects([(self._cursor_key, None)], [], None), None)


class IndexFill(Fill):
    """Fills a global index. Items whose key attributes do not fit the index are left out.

    `when_delivered(callback)` calls when the changes queued so far have reached the index: each step waits
    for that, or the queue would grow to the size of the table.
    """

    def __init__(
        self,
        replica: Replica,
        name: str,
        call_later: Later,
        done: Callable[[], None],
        report: Report,
        when_delivered: Callable[[Callable[[], None]], None],
    ) -> None:
        super().__init__(replica, name, call_later, done, report)
        self._when_delivered = when_delivered

    def proceed(self) -> None:
        """Take the next step when this one has been delivered."""
        self._when_delivered(self._step)

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

    @staticmethod
    def name_of(settings: dict[str, Any]) -> str | None:
        """The name of the fill for a document's TimeToLive, another one each time it is switched on.

        None while it is off. A cursor left over from an earlier time must not make a fill look finished.
        """
        attribute = settings.get("AttributeName")
        return f"ttl:{attribute}:{settings.get('ChangedAt', '')}" if attribute is not None else None

    def wanted(self) -> bool:
        """Until time to live is switched off or moved to another attribute."""
        return not self.stopped and self.replica.schema.ttl_attribute is not None

    def step_item(self, effects: Effects, key: bytes, record: bytes, item: Item, index: int) -> None:
        """Add the expiry entry of one item."""
        attribute = self.replica.schema.ttl_attribute
        assert attribute is not None
        second = expiry_of(item, attribute)
        if second is not None:
            prefix = keyspace.space_prefix(self.replica.place.store, keyspace.EXPIRY)
            effects.mutations.append((expiry_key(prefix, second, key), b""))
