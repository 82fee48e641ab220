"""What transactions leave in a partition stays with it: over restarts, splits, changes of leader, and snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest
from hashrange_node.log.log import FileLog
from hashrange_node.replica.effects import Effects, decode
from hashrange_node.replica.group import Group
from hashrange_node.replica.place import Place
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.storage import keyspace
from hashrange_node.storage.memory import MemoryEngine
from hashrange_node.transactions.locks import Counts, Lock, LockTable, decode_lock

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.faults import StaleRoute
from hashrange.wire.messages import DELETE, PUT, TableStatistics, WriteItem
from hashrange.wire.transactions import DONE, LATE, REPEATED

from .test_transact_participant import V1, V2, sizes
from .transact_support import MIDDLE, TransactBench, names_on, txid

AHEAD_STAMPS = 400 << LOGICAL_BITS


# ---- the watermark of deletions


def test_every_deletion_says_its_stamp_and_raises_the_watermark() -> None:
    bench = TransactBench()
    bench.write(bench.action("put", "a", V1))
    group = bench.replica.group
    assert (group.max_delete, group.deletes) == (0, 0)
    seen: list[Effects] = []
    group.listener = _Recorder(group.listener, seen)
    bench.write(bench.action("delete", "a"))
    effects = seen[-1]
    assert effects.deleted == group.max_delete > 0
    assert group.deletes == group.applied_index
    assert decode(effects.encode()).deleted == effects.deleted
    bench.write(bench.action("delete", "a"))
    assert group.max_delete == effects.deleted, "there was nothing to delete"


class _Recorder:
    def __init__(self, inner: Any, seen: list[Effects]) -> None:
        self._inner = inner
        self._seen = seen

    def applied(self, effects: Effects, index: int) -> None:
        self._seen.append(effects)
        self._inner.applied(effects, index)

    def leading(self, serving: bool) -> None:
        self._inner.leading(serving)


def test_a_deletion_by_time_to_live_raises_the_watermark() -> None:
    from .test_fill import switch_ttl

    bench = TransactBench()
    switch_ttl(bench, "at")
    bench.scheduler.run(seconds=0.1)
    second = bench.clock.wall_ms() // 1000 - 5
    bench.write(bench.action("put", "a", {"at": {"N": str(second)}}))
    write = WriteItem(bench.replica.id, 0, DELETE, bench.key("a"))
    write.expiry_s = second
    locked = bench.prepare(1, bench.stamp(), bench.action("check", "a"))
    assert locked.verdict == DONE
    assert bench.ask(write).type_name == "TransactionConflictException"
    bench.finish(1)
    assert bench.ask(write).old_size > 0
    assert bench.get("a") is None
    assert bench.replica.group.max_delete > locked.stamp


def test_a_sweep_leaves_a_locked_item_and_is_no_conflict_of_anybody() -> None:
    bench = TransactBench()
    bench.prepare(1, bench.stamp(), bench.action("put", "a"))
    expiry = bench.action("delete", "a")
    expiry.expiry_s = 1
    assert bench.write(expiry).type_name == "TransactionConflictException"
    assert bench.node.transactions.counts.conflicts == 0
    assert bench.write(bench.action("delete", "a")).type_name == "TransactionConflictException"
    assert bench.node.transactions.counts.conflicts == 1


def test_the_watermark_has_deletions_under_way_and_forgets_those_that_failed() -> None:
    bench = TransactBench()
    stamp = bench.stamp()
    bench.write(bench.action("put", "a", V1))
    bench.log.held = []
    delete = bench.action("delete", "a")
    delete.partition = bench.replica.id
    bench.send(delete)
    bench.scheduler.run()
    group = bench.replica.group
    assert group.max_delete == 0
    assert group.watermark > stamp
    group.fail_pending()
    assert group.watermark == 0


def test_a_state_record_without_a_watermark_can_be_read() -> None:
    bench = TransactBench()
    bench.write(bench.action("put", "a", V1))
    bench.write(bench.action("delete", "a"))
    group = bench.replica.group
    state = group.state()
    again = Group(Place.only(group.id), bench.node.driver)
    again.adopt(state)
    assert (again.max_delete, again.deletes) == (group.max_delete, group.deletes)
    for old in (
        msgpack.unpackb(state, strict_map_key=False)[:10],
        list(msgpack.unpackb(state, strict_map_key=False))[:9],
    ):
        older = Group(Place.only(group.id), bench.node.driver)
        older.adopt(msgpack.packb(old))
        assert (older.max_delete, older.deletes) == (0, 0)
        assert older.applied_index == group.applied_index
    other = Group(Place.only(group.id), bench.node.driver)
    other.adopt(group.state_for(7))
    assert (other.replica_id, other.max_delete) == (7, group.max_delete)


# ---- restarts


@pytest.mark.parametrize("engine_survives", [True, False])
def test_locks_markers_and_watermark_survive_a_restart(tmp_path: Path, engine_survives: bool) -> None:
    def open_log() -> FileLog:
        return FileLog.open(tmp_path, b"0123456789abcdef", call_soon=lambda f, *a: f(*a), durability="os")

    engine = MemoryEngine()
    bench = TransactBench(open_log(), engine)
    bench.write(bench.action("put", "a", V1))
    bench.write(bench.action("put", "gone", V1))
    bench.write(bench.action("delete", "gone"))
    bench.commit(1, bench.action("put", "m", V1))
    stamp = bench.stamp() + AHEAD_STAMPS
    first = bench.prepare(2, stamp, bench.action("put", "a", V2), bench.action("delete", "m"))
    before = (bench.replica.group.max_delete, bench.replica.group.deletes)
    bench.log.close()

    again = TransactBench(open_log(), engine if engine_survives else None, create=False)
    again.scheduler.run()
    assert (again.replica.group.max_delete, again.replica.group.deletes) == before
    assert again.node.stamps.last >= stamp, "what is written from now on comes behind the transaction"
    assert sorted(again.replica.locked) == sorted([again.key("a"), again.key("m")])
    assert again.write(again.action("put", "a")).type_name == "TransactionConflictException"
    repeated = again.prepare(2, stamp, again.action("put", "a", V2), again.action("delete", "m"))
    assert (repeated.verdict, sizes(repeated)) == (DONE, sizes(first))
    assert again.commit(1, again.action("put", "m", V1)).verdict == REPEATED
    assert again.finish(2) is None
    assert again.get("a") == b'{"pk":{"S":"a"},"v":{"N":"2"}}'
    assert again.get("m") is None
    assert again.replica.group.max_delete == stamp


# ---- splits


def test_a_split_takes_locks_markers_and_the_watermark_along() -> None:
    bench = TransactBench()
    (a, b, gone), (c, d) = names_on(bench, 3, 2)
    for name in (a, c, gone):
        bench.write(bench.action("put", name, V1))
    bench.write(bench.action("delete", gone))
    bench.commit(1, bench.action("put", b, V1), bench.action("put", d, V1))
    late = bench.stamp()
    stamp = bench.stamp()
    bench.prepare(2, stamp, bench.action("put", a, V2), bench.action("put", c, V2))
    parent = bench.replica
    group = parent.group
    statistics = bench.ask(TableStatistics("Things"))
    low, high = bench.split()
    assert not parent.locked
    for child, names in ((low, [a]), (high, [c])):
        replica = bench.node.replicas[child]
        assert [lock.key for lock in replica.locked.values()] == [bench.key(name) for name in names]
        assert replica.group.max_delete == group.max_delete
        assert bench.versions(names[0], partition=child).locked == [True]
    assert sum(bench.node.replicas[each].group.count(0)[0] for each in (low, high)) == statistics[None][0]
    assert isinstance(bench.finish(2, partition=parent.id), StaleRoute)
    # The marker lies with the first action.
    assert (
        bench.prepare(3, bench.stamp(), bench.action("put", b), marker=txid(1), partition=low).verdict
        == REPEATED
    )
    assert (
        bench.prepare(3, bench.stamp(), bench.action("put", d), marker=txid(1), partition=high).verdict
        == DONE
    )
    # An item that is absent in a child may have been deleted in the parent.
    before = group.max_delete
    assert bench.prepare(4, before, bench.action("put", gone), partition=low).verdict == LATE
    assert late > before
    for child, name in ((low, a), (high, c)):
        assert bench.prepare(2, stamp, bench.action("put", name, V2), partition=child).verdict == DONE
        assert bench.finish(2, partition=child) is None
        found = bench.versions(name, partition=child).records[0]
        assert records.stamp(found or b"") == stamp
    assert bench.stored(keyspace.LOCKS) == [bench.key(d)]


def test_reads_before_and_after_a_split_differ_in_their_partition() -> None:
    bench = TransactBench()
    (a,), _ = names_on(bench, 1, 0)
    before = bench.versions(a)
    low, _ = bench.split()
    after = bench.versions(a, partition=low)
    assert before.partition != after.partition


def test_the_ranges_of_half_a_store_have_its_locks_and_markers() -> None:
    bench = TransactBench()
    (a,), (b,) = names_on(bench, 1, 1)
    for name, number in ((a, 1), (b, 2)):
        bench.commit(number, bench.action("put", name))
        bench.prepare(number, bench.stamp(), bench.action("put", name))
    store = bench.replica.id
    low = PartitionRanges(7, store, 0, MIDDLE - 1)
    high = PartitionRanges(8, store, MIDDLE)
    for space in (keyspace.ITEMS, keyspace.LOCKS, keyspace.MARKERS):
        keys = [keyspace.space_prefix(store, space) + key for key in bench.stored(space)]
        assert len(keys) == 2
        for key in keys:
            below = int.from_bytes(key[10:18], "big") < MIDDLE
            assert (low.owns(key), high.owns(key)) == (below, not below)
            assert any(first <= key < past for first, past in (low if below else high).scrubbed)


def test_a_dropped_half_takes_its_locks_and_markers_with_it() -> None:
    bench = TransactBench()
    (a,), (b,) = names_on(bench, 1, 1)
    for name, number in ((a, 1), (b, 2)):
        bench.commit(number, bench.action("put", name))
        bench.prepare(number, bench.stamp(), bench.action("put", name))
    parent = bench.replica.id
    low, high = bench.split()
    bench.node.close_replica(parent)
    for space in (keyspace.ITEMS, keyspace.LOCKS, keyspace.MARKERS):
        assert len(bench.stored(space)) == 2, "they are its children's"
    bench.node.close_replica(low)
    bench.scheduler.run(seconds=0.1)
    for space in (keyspace.ITEMS, keyspace.LOCKS, keyspace.MARKERS):
        assert [key[:8] for key in bench.stored(space)] == [bench.key(b)[:8]]
    assert bench.node.replicas[high].locked


# ---- the table of locks


def test_a_lock_is_stored_behind_a_header_that_has_its_stamp() -> None:
    lock = Lock(b"k" * 12, txid(1), 77 << LOGICAL_BITS, PUT, 5)
    lock.item_json, lock.size, lock.index_units = b"{}", 9, [("GSI", "by", 4)]
    stored = lock.encode(31)
    assert (records.stamp(stored), records.index(stored), records.size(stored)) == (lock.stamp, 31, 9)
    again = decode_lock(lock.key, stored)
    assert [getattr(again, name) for name in Lock.__slots__] == [
        getattr(lock, name) for name in Lock.__slots__
    ]


def test_the_table_of_locks_knows_them_by_item_and_by_transaction() -> None:
    table = LockTable(Counts())
    first, second = Lock(b"a", txid(1), 1, PUT, 0), Lock(b"b", txid(1), 1, PUT, 0)
    table.add(first)
    table.add(second)
    assert table.barring(b"a") is first
    assert table.of(txid(1)) == [first, second]
    first.finishing = True
    assert table.barring(b"a") is None
    other = Lock(b"a", txid(2), 2, PUT, 0)
    table.add(other)
    assert first in table.of(txid(1)), "until its end is applied"
    table.remove(first)
    assert table.held == {b"a": other, b"b": second}
    table.remove(second)
    assert table.transactions() == {txid(2): [other]}
    table.clear()
    assert not table.held
    assert not table.transactions()


def test_locks_that_cannot_be_read_stop_the_replica() -> None:
    bench = TransactBench()
    bench.prepare(1, bench.stamp(), bench.action("put", "a"))
    [key] = bench.stored(keyspace.LOCKS)
    bench.engine.write([(keyspace.space_prefix(bench.replica.id, keyspace.LOCKS) + key, b"?" * 40)])
    bench.replica.leading(True)
    assert "locks cannot be read" in bench.replica.group.damaged
    answers = bench.send(bench.put_message({"pk": {"S": "b"}}))
    bench.scheduler.run(ticks=5, seconds=10.0)
    assert isinstance(answers[0], ApiError)
