"""What versions of items that another region sends do to a partition: effects and an outcome for each. Pure.

No engine, no clock: the caller says what the items are like now, committed or not, and proposes the effects. A version
takes effect if it is greater than the one here (`versions.wins`), whatever order they come in and however often, so
that all regions end with the greatest. It keeps its stamp and its region; indexes, time to live, streams and counts
follow as they do for a local write. It makes no mark: who wrote it sends it to every region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from hashrange.errors import validation
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.model.table_units import table_write_units_half
from hashrange.model.value import Item
from hashrange.wire.messages import WriteResult
from hashrange.wire.regions import APPLIED, HELD, OLDER, RETRY, Entry
from hashrange_node.regions import versions
from hashrange_node.replica.effects import Count, Effects
from hashrange_node.replica.place import Place
from hashrange_node.replica.secondary import apply_secondary
from hashrange_node.storage import keyspace
from hashrange_node.streams.recording import Recording
from hashrange_node.transactions.evaluate import merge

HEADER = records.HEADER_SIZE
ENTRY_BYTES = 8 << 20
"""A log entry takes no further versions beyond so many bytes: stream records and indexes can make much of little."""


class Landing(NamedTuple):
    """Where versions arrive. `find` gives the newest record of an engine key; `barred` says whether a transaction has
    an item. Stamps above `limit` are held back. `now_s` are seconds since 1970, `raft_index` is of the entry to be.
    """

    schema: TableSchema
    place: Place
    find: Callable[[bytes], bytes | None]
    barred: Callable[[bytes], bool]
    limit: int
    now_s: int
    raft_index: int
    recording: Recording | None = None


class Landed(NamedTuple):
    """What became of the first entries: one outcome each. `newest` is the highest stamp applied, 0 for none;
    `units_half` are the half write units that the table consumed.
    """

    effects: Effects
    outcomes: bytearray
    newest: int
    units_half: int


def check_entries(entries: Sequence[Entry]) -> None:
    """Raise a validation error for entries that no region makes."""
    for key, record in entries:
        wrong = versions.unsound(record) if len(key) > 8 else f"a key of {len(key)} bytes"
        if wrong is not None:
            raise validation(f"Another region sent {wrong}")


def land(entries: Sequence[Entry], landing: Landing) -> Landed:
    """Judge entries in their order, each on top of those before it; fewer than all where the log entry gets large."""
    place, find = landing.place, landing.find
    items = keyspace.space_prefix(place.store, keyspace.ITEMS)
    first, last = place.lo.to_bytes(8, "big"), place.hi.to_bytes(8, "big")
    seen: dict[bytes, tuple[bytes | None, bytes | None]] = {}
    merged = Effects([], [], None)
    outcomes = bytearray()
    newest = recorded = size = units_half = 0
    for key, record in entries:
        if size > ENTRY_BYTES:
            break
        full_key = items + key
        held = seen.get(full_key)
        if held is None:
            current = find(full_key)
            # Of an item that is there the tombstone is older.
            buried = find(versions.tombstone_key(full_key)) if current is None else None
        else:
            current, buried = held
        rival = current if current is not None else buried
        stamp = records.stamp(record)
        if rival is not None and not versions.wins(record, rival):
            outcomes.append(OLDER)
        elif stamp > landing.limit:
            outcomes.append(HELD)
        elif not first <= key[:8] <= last or landing.barred(key):
            outcomes.append(RETRY)
        else:
            outcomes.append(APPLIED)
            effects = _replaced(key, full_key, record, current, landing)
            if landing.recording is not None:
                recorded = landing.recording.add(
                    effects, full_key, key, current, landing.raft_index, recorded, expired=False
                )
            seen[full_key] = (None, record) if versions.is_tombstone(record) else (record, None)
            newest = max(newest, stamp)
            result: WriteResult = effects.result
            units_half += table_write_units_half(result.old_size, result.new_size, result.index_units)
            size += sum(len(value) for _, value in effects.mutations if value is not None)
            merge(merged, effects, place, landing.raft_index)
    merged.counts = _summed(merged.counts)
    return Landed(merged, outcomes, newest, units_half)


def _replaced(key: bytes, full_key: bytes, record: bytes, current: bytes | None, landing: Landing) -> Effects:
    """The effects of one version that takes the place of `current`. Its result says what that costs."""
    schema, index = landing.schema, landing.raft_index
    stamp = records.stamp(record)
    gone = versions.is_tombstone(record)
    size = 0 if gone else records.size(record)
    old_size = records.size(current) if current is not None else 0
    effects = Effects([], [], WriteResult(old_size, size, None, None, stamp))
    if gone:
        effects.deleted = stamp
        if current is not None:
            effects.mutations.append((full_key, None))
    else:
        effects.mutations.append((full_key, versions.rewritten(record, index)))
    entries = (not gone) - (current is not None)
    if entries or size != old_size:
        effects.counts.append((keyspace.ITEMS, entries, size - old_size))
    if schema.lsis or schema.gsis or schema.ttl_attribute:
        old: Item | None = orjson.loads(current[HEADER:]) if current is not None else None
        new: Item | None = None if gone else orjson.loads(record[HEADER:])
        apply_secondary(effects, schema, landing.place, key, old, new, stamp, index)
    if gone:
        versions.bury(effects, full_key, stamp, index, records.region(record), landing.now_s)
    return effects


def _summed(counts: list[Count]) -> list[Count]:
    """The same changes of counts, one for each space."""
    totals: dict[int, list[int]] = {}
    for space, entries, size in counts:
        pair: Any = totals.setdefault(space, [0, 0])
        pair[0] += entries
        pair[1] += size
    return [(space, entries, size) for space, (entries, size) in totals.items()]
