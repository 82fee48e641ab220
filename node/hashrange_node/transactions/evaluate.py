"""What the parts of a transaction do to a partition: current records and locks in, effects and outcome out.

Pure: no engine, no clock. The caller looks up what is newest (`Replica.newest`), committed or not, and proposes the
effects. Transactions are ordered by their stamps: an item carries the stamp of the last write, or check, and a group
the highest stamp at which an item was deleted (or found absent by a transaction), which stands for the items that it
does not have. A stamp is taken only above what an item has seen (`admissible`), and what was carried out leaves its
stamp behind in all items concerned. So a preparation that comes again after its transaction was finished is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hashrange.errors import ApiError, conditional_check_failed, transaction_conflict, validation
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.wire.messages import DELETE, PUT, WriteItem, WriteResult
from hashrange.wire.transactions import (
    CHECK,
    DONE,
    ITEMS_BYTES_MAX,
    LATE,
    REFUSED,
    TOO_LARGE,
    TransactOutcome,
)
from hashrange_node.regions import versions
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.evaluate import carry_out, evaluate
from hashrange_node.replica.place import Place
from hashrange_node.storage import keyspace
from hashrange_node.transactions.locks import HEADER, Lock

if TYPE_CHECKING:
    from hashrange_node.streams.recording import Recording

ENTRY_BYTES_MAX = 32 << 20
"""Of one log entry, indexes included: it has to fit into a message to the followers, in whatever company."""
FINISH_BYTES = 8 << 20
"""An entry that ends locks takes no further ones beyond so many bytes."""
_SURELY_FITS = 128 << 10
"""Bytes of items that fit into an entry whatever they are as JSON, and however many indexes have them."""


class Situation(NamedTuple):
    """What the items of a message are like: of each the key, the newest record and the lock that bars it, or None.

    `watermark` is the group's, `raft_index` that of the entry to be. `recording` records what is carried out, None
    where the table has no stream.
    """

    schema: TableSchema
    place: Place
    keys: Sequence[bytes]
    currents: Sequence[bytes | None]
    locks: Sequence[Lock | None]
    watermark: int
    raft_index: int
    recording: Recording | None = None


def seen_stamp(current: bytes | None, watermark: int) -> int:
    """The stamp that an item has seen: everything done to it so far was at or below."""
    return records.stamp(current) if current is not None else watermark


def admissible(stamp: int, current: bytes | None, watermark: int) -> bool:
    """Whether a transaction with this stamp may still take an item. Timestamp ordering rests on it alone."""
    return stamp > seen_stamp(current, watermark)


def local_stamp(stamp: int, situation: Situation) -> int:
    """The stamp of a transaction of one partition: `stamp` (the leader's next), or above what its items have seen."""
    for current in situation.currents:
        seen = seen_stamp(current, situation.watermark)
        if seen >= stamp:
            stamp = seen + 1
    return stamp


def commit(actions: Sequence[WriteItem], situation: Situation, stamp: int) -> tuple[Effects, TransactOutcome]:
    """Carry out all actions at `stamp` (see `local_stamp`), or say which stand against it: then without effects."""
    schema, place, _, currents, locks, _, index, recording = situation
    prefix = keyspace.space_prefix(place.store, keyspace.ITEMS)
    recorded = 0
    merged = Effects([], [], None)
    results: list[WriteResult | ApiError | None] = []
    refused = False
    sizes = _Sizes()
    for action, current, lock in zip(actions, currents, locks, strict=True):
        full_key = prefix + action.key
        try:
            if lock is not None:
                raise transaction_conflict()
            effects = evaluate(action, schema, place, full_key, current, stamp, index)
            sizes.add(effects)
        except ApiError as error:
            refused = True
            results.append(sizes.told(error))
            continue
        results.append(effects.result)
        if not refused:
            if recording is not None:
                recorded = recording.add(effects, full_key, action.key, current, index, recorded)
                sizes.images += records.size(current) if current is not None else 0
            merge(merged, stamped(effects, schema, full_key, current, stamp, index), place, index)
    if sizes.items + sizes.images > _SURELY_FITS and _bytes_of(merged) > ENTRY_BYTES_MAX:
        refused = True
        results[-1] = validation(TOO_LARGE)
    if refused:
        return Effects([], [], None), TransactOutcome(REFUSED, errors_only(results))
    return merged, TransactOutcome(DONE, results, stamp)


def prepare(
    txid: bytes, stamp: int, actions: Sequence[WriteItem], situation: Situation
) -> tuple[list[Lock], TransactOutcome]:
    """The locks that all actions need, or why they get none. Those that the transaction has already stay."""
    schema, place, _, currents, locks, watermark, index, _ = situation
    prefix = keyspace.space_prefix(place.store, keyspace.ITEMS)
    taken: list[Lock] = []
    results: list[WriteResult | ApiError | None] = []
    refused = False
    late = 0
    sizes = _Sizes()
    for action, current, lock in zip(actions, currents, locks, strict=True):
        if lock is not None and lock.txid == txid:
            results.append(lock.result)
            continue
        try:
            if lock is not None:
                raise transaction_conflict()
            effects = evaluate(action, schema, place, prefix + action.key, current, stamp, index)
            sizes.add(effects)
        except ApiError as error:
            refused = True
            results.append(sizes.told(error))
            continue
        if not admissible(stamp, current, watermark):
            late = max(late, seen_stamp(current, watermark))
        results.append(effects.result)
        taken.append(_lock_of(txid, stamp, action.key, prefix, effects))
    if refused:
        return [], TransactOutcome(REFUSED, errors_only(results))
    if late:
        return [], TransactOutcome(LATE, [], late)
    return taken, TransactOutcome(DONE, results, stamp)


def lock_effects(locks: Sequence[Lock], place: Place, index: int) -> Effects:
    """The entry that takes locks."""
    prefix = keyspace.space_prefix(place.store, keyspace.LOCKS)
    return Effects([(prefix + lock.key, lock.encode(index)) for lock in locks], [], None)


def finish(locks: Sequence[Lock], committed: bool, situation: Situation) -> Effects:
    """The entry that ends locks and, if the transaction was `committed`, does what they say.

    Indexes and time to live are followed up as the table has them now. Where that comes to more than FINISH_BYTES,
    the entry ends only the first locks (`Effects.released`): the others need another one.
    """
    schema, place, _, currents, _, _, index, recording = situation
    recorded = 0
    items = keyspace.space_prefix(place.store, keyspace.ITEMS)
    prefix = keyspace.space_prefix(place.store, keyspace.LOCKS)
    merged = Effects([], [], None)
    merged.released = released = []
    sizes = 0
    for lock, current in zip(locks, currents, strict=True):
        if committed:
            full_key = items + lock.key
            effects = carry_out(_write_of(lock), schema, place, full_key, current, lock.stamp, index)
            if recording is not None:
                recorded = recording.add(effects, full_key, lock.key, current, index, recorded)
                sizes += records.size(current) if current is not None else 0
            merge(merged, stamped(effects, schema, full_key, current, lock.stamp, index), place, index)
        merged.mutations.append((prefix + lock.key, None))
        released.append(lock)
        sizes += lock.size if recording is None else lock.size + lock.old_size
        if sizes > _SURELY_FITS and _bytes_of(merged) > FINISH_BYTES:
            break
    return merged


class _Sizes:
    """Adds up the items of one message: as they will be, and as failed conditions bring them back.

    `images` are the items as they were that records of a stream may have.
    """

    __slots__ = ("images", "items", "returned")

    def __init__(self) -> None:
        self.images = self.items = self.returned = 0

    def add(self, effects: Effects) -> None:
        """One more action; raises a validation error for the one that goes beyond ITEMS_BYTES_MAX."""
        before = self.items
        self.items += effects.result.new_size
        if before <= ITEMS_BYTES_MAX < self.items:
            raise validation(TOO_LARGE)

    def told(self, error: ApiError) -> ApiError:
        """What stands against an action; without its item once those told come to more than ITEMS_BYTES_MAX."""
        if error.fields is not None and "Item" in error.fields:
            self.returned += error.item_size
            if self.returned > ITEMS_BYTES_MAX:
                return conditional_check_failed(None, error.item_size)
        return error


def _bytes_of(effects: Effects) -> int:
    return sum(len(value) for _, value in effects.mutations if value is not None)


def stamped(
    effects: Effects, schema: TableSchema, full_key: bytes, current: bytes | None, stamp: int, index: int
) -> Effects:
    """Effects that leave the stamp behind in the item, whether they change it or not.

    For an item that is absent and stays so, the group's watermark keeps it. An item of a global table that has a new
    stamp has a new version, which the other regions need like any other.
    """
    mutations = effects.mutations
    if not mutations or mutations[0][0] != full_key:
        if current is None:
            effects.deleted = max(effects.deleted, stamp)
        else:
            size = records.size(current)
            record = records.pack(current[HEADER:], size, stamp, index, 0, schema.region)
            mutations.append((full_key, record))
            versions.mark(effects, schema, full_key, stamp)
    return effects


def merge(merged: Effects, effects: Effects, place: Place, index: int) -> None:
    """Add the effects of one action to those of the others: all in one entry, their queued changes numbered on."""
    queued = effects.queued
    mutations = effects.mutations
    if queued is not None:
        if merged.queued is None:
            merged.queued = queued
        else:
            prefix = keyspace.queue_prefix(place.id)
            first = len(merged.queued)
            keys = {
                key: keyspace.queue_key(prefix, index, first + number)
                for number, (key, _) in enumerate(queued)
            }
            mutations = [(keys.get(key, key), value) for key, value in mutations]
            merged.queued.extend((keys[key], changes) for key, changes in queued)
    merged.mutations.extend(mutations)
    merged.counts.extend(effects.counts)
    if effects.deleted > merged.deleted:
        merged.deleted = effects.deleted
    merged.recorded = merged.recorded or effects.recorded
    if effects.marked is not None:
        if merged.marked is None:
            merged.marked = effects.marked
        else:
            merged.marked.extend(effects.marked)


def errors_only(results: Sequence[WriteResult | ApiError | None]) -> list[WriteResult | ApiError | None]:
    """What stands against a transaction, in the order of its actions."""
    return [each if isinstance(each, ApiError) else None for each in results]


def _lock_of(txid: bytes, stamp: int, key: bytes, prefix: bytes, effects: Effects) -> Lock:
    """The lock for what an action was evaluated to do."""
    result: WriteResult = effects.result
    lock = Lock(key, txid, stamp, CHECK, result.old_size)
    lock.size = result.new_size
    lock.index_units = result.index_units
    if effects.mutations and effects.mutations[0][0] == prefix + key:
        record = effects.mutations[0][1]
        if record is None:
            lock.kind = DELETE
        else:
            lock.kind = PUT
            lock.item_json = record[HEADER:]
    return lock


def _write_of(lock: Lock) -> WriteItem:
    """What a lock says is to be done, as a write without a condition: that has been looked at."""
    write = WriteItem(0, 0, lock.kind, lock.key)
    if lock.item_json is not None:
        write.item_json = lock.item_json
        write.item_size = lock.size
    return write
