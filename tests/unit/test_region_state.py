"""Global tables at a node: what writes leave for other regions, and what these send."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_node.regions import versions
from hashrange_node.replica.budget import Ceilings
from hashrange_node.storage import keyspace

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.regions import AHEAD_MAX_MS
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.regions import APPLIED, HELD, OLDER, RETRY

from .node_support import Bench
from .region_support import NUMBER, REGIONS, RegionBench

OWN, OTHER, THIRD = (NUMBER[name] for name in REGIONS)


def record(bench: RegionBench, name: str, ago_ms: int = 0, region: int = OTHER, **attributes: str) -> bytes:
    """A version of an item that another region wrote so long ago."""
    item = b"".join(b',"%s":{"S":"%s"}' % (key.encode(), attributes[key].encode()) for key in attributes)
    stamp = (bench.clock.wall_ms() - ago_ms) << LOGICAL_BITS
    return records.pack(b'{"pk":{"S":"%s"}%s}' % (name.encode(), item), 10, stamp, 77, 0, region)


def bits(bench: RegionBench) -> int:
    return bench.schema().replica_bits


def test_a_put_has_the_region_and_leaves_a_mark() -> None:
    bench = RegionBench()
    told: list[Any] = []
    bench.replica.on_marked = lambda replica, marked: told.extend(marked)
    result = bench.write(bench.action("put", "a"))
    stored = bench.version("a")
    assert records.item_version(stored) == (result.stamp, OWN)
    assert bench.marks == {bench.key("a"): (result.stamp, bits(bench))}
    assert bits(bench).bit_count() == 2, "both other regions lack it"
    assert told == [(bench.key("a"), result.stamp, bits(bench))]


def test_a_table_of_one_region_leaves_nothing() -> None:
    bench = RegionBench()
    bench.replicate(None)
    bench.write(bench.action("put", "a"))
    bench.write(bench.action("delete", "a"))
    bench.write(bench.action("put", "b"))
    assert (bench.marks, bench.tombstones) == ({}, {})
    assert records.region(bench.version("b")) == 0


def test_a_deletion_leaves_a_tombstone_and_a_mark() -> None:
    bench = RegionBench()
    bench.write(bench.action("put", "a"))
    deleted = bench.write(bench.action("delete", "a"))
    [(key, tombstone)] = bench.tombstones.items()
    assert key == bench.key("a") and versions.is_tombstone(tombstone)
    assert records.item_version(tombstone) == (deleted.stamp, OWN)
    assert versions.stored_at_s(tombstone) == bench.clock.wall_ms() // 1000
    assert bench.marks == {key: (deleted.stamp, bits(bench))}
    again = bench.write(bench.action("put", "a"))
    assert again.stamp > deleted.stamp


def test_what_changes_nothing_leaves_nothing() -> None:
    bench = RegionBench()
    bench.write(bench.action("delete", "a"))
    bench.write(bench.action("update", "a", update="REMOVE x"))
    with pytest.raises(ApiError):
        raise bench.write(bench.action("put", "a", condition="attribute_exists(pk)"))
    assert (bench.marks, bench.tombstones, bench.state()) == ({}, {}, {})


def test_an_update_leaves_a_mark() -> None:
    bench = RegionBench()
    result = bench.write(bench.action("update", "a", update="SET x = :x", values={":x": {"S": "1"}}))
    assert bench.marks == {bench.key("a"): (result.stamp, bits(bench))}
    assert records.region(bench.version("a")) == OWN


def test_transactions_mark_what_they_write_and_what_they_check() -> None:
    bench = RegionBench()
    for name in "abc":
        bench.write(bench.action("put", name))
    before = bench.marks
    told: list[Any] = []
    bench.replica.on_marked = lambda replica, marked: told.extend(marked)
    bench.commit(1, bench.action("put", "a"), bench.action("delete", "b"), bench.action("check", "c"))
    assert {key for key, _, _ in told} == {bench.key(name) for name in "abc"}
    assert all(stamp > before[key][0] for key, (stamp, _) in bench.marks.items())
    assert list(bench.tombstones) == [bench.key("b")]
    assert bench.marks[bench.key("c")][0] == records.stamp(bench.version("c")), "its stamp is a new version"


def test_prepared_transactions_mark_when_they_commit() -> None:
    bench = RegionBench()
    for name in "abc":
        bench.write(bench.action("put", name))
    before = bench.marks
    actions = [bench.action("put", "a"), bench.action("delete", "b"), bench.action("check", "c")]
    stamp = bench.stamp()
    bench.prepare(1, stamp, *actions)
    assert bench.marks == before
    bench.finish(1)
    assert {entry[0] for entry in bench.marks.values()} == {stamp}
    assert records.item_version(bench.tombstones[bench.key("b")]) == (stamp, OWN)
    assert records.item_version(bench.version("c")) == (stamp, OWN)


def test_the_greater_version_wins() -> None:
    bench = RegionBench()
    key = bench.key("a")
    newer, older = record(bench, "a", 10, v="new"), record(bench, "a", 20, v="old")
    assert bench.receive((key, newer)) == bytes((APPLIED,))
    assert bench.receive((key, older), (key, newer)) == bytes((OLDER, OLDER))
    stored = bench.version("a")
    assert stored[records.HEADER_SIZE :] == newer[records.HEADER_SIZE :]
    assert records.item_version(stored) == records.item_version(newer)
    assert records.index(stored) != records.index(newer), "the index is that of the entry here"
    assert bench.marks == {}, "who wrote it sends it to all"


def test_versions_of_the_same_time_are_told_apart_by_their_regions() -> None:
    bench = RegionBench()
    low, high = sorted((OTHER, THIRD))
    key = bench.key("a")
    assert bench.receive((key, record(bench, "a", 5, low, v="low"))) == bytes((APPLIED,))
    assert bench.receive((key, record(bench, "a", 5, high, v="high"))) == bytes((APPLIED,))
    assert bench.receive((key, record(bench, "a", 5, low, v="low"))) == bytes((OLDER,))
    assert b"high" in bench.version("a")


def test_a_local_write_is_above_what_it_has_seen() -> None:
    bench = RegionBench()
    ahead = record(bench, "a", -AHEAD_MAX_MS)
    assert bench.receive((bench.key("a"), ahead)) == bytes((APPLIED,))
    assert bench.write(bench.action("put", "a")).stamp > records.stamp(ahead)
    assert bench.write(bench.action("put", "b")).stamp > records.stamp(ahead), "the clock has seen it"


def test_versions_too_far_ahead_are_held_back() -> None:
    bench = RegionBench()
    key = bench.key("a")
    ahead = record(bench, "a", -AHEAD_MAX_MS - 1)
    for _ in range(2):
        answer = bench.ask(bench.message((key, ahead)))
        assert answer.outcomes == bytes((HELD,))
        assert answer.now == bench.clock.wall_ms() << LOGICAL_BITS
    assert bench.state() == {}
    assert bench.write(bench.action("put", "b")).stamp < records.stamp(ahead), "nothing has seen it"
    bench.clock.advance(0.002)
    assert bench.receive((key, ahead)) == bytes((APPLIED,))


def test_a_deletion_from_elsewhere_stays_and_bars_what_is_older() -> None:
    bench = RegionBench()
    key = bench.key("a")
    bench.receive((key, record(bench, "a", 30)))
    gone = records.tombstone(records.stamp(record(bench, "a", 20)), 5, THIRD, 12)
    assert bench.receive((key, gone), (key, record(bench, "a", 25))) == bytes((APPLIED, OLDER))
    assert bench.state() == {}
    assert bench.replica.group.count(keyspace.ITEMS) == (0, 0)
    stored = bench.tombstones[key]
    assert records.item_version(stored) == records.item_version(gone)
    assert versions.stored_at_s(stored) == bench.clock.wall_ms() // 1000, "as it was stored here"
    assert bench.receive((key, record(bench, "a", 25))) == bytes((OLDER,))
    assert bench.write(bench.action("put", "a")).stamp > records.stamp(gone)


def test_a_deletion_of_what_has_not_come_yet_is_kept() -> None:
    bench = RegionBench()
    key = bench.key("a")
    gone = records.tombstone(records.stamp(record(bench, "a", -100)), 5, THIRD)
    assert bench.receive((key, gone)) == bytes((APPLIED,))
    assert bench.receive((key, record(bench, "a"))) == bytes((OLDER,))
    assert bench.write(bench.action("put", "a")).stamp > records.stamp(gone), "though the deletion lies ahead"
    assert bench.receive((key, gone)) == bytes((OLDER,))


def test_records_of_before_the_table_was_global_lose_against_equal_stamps() -> None:
    bench = RegionBench()
    bench.replicate(None)
    bench.write(bench.action("put", "a"))
    stamp = records.stamp(bench.version("a"))
    bench.replicate(REGIONS)
    same = records.pack(b'{"pk":{"S":"a"},"v":{"S":"x"}}', 5, stamp, 1, 0, OTHER)
    assert bench.receive((bench.key("a"), same)) == bytes((APPLIED,))


def test_a_locked_item_is_to_be_sent_again() -> None:
    bench = RegionBench()
    bench.prepare(1, bench.stamp(), bench.action("put", "a"))
    key, other = bench.key("a"), bench.key("b")
    entries = [(key, record(bench, "a", -100)), (other, record(bench, "b"))]
    assert bench.receive(*entries) == bytes((RETRY, APPLIED))
    bench.finish(1)
    assert bench.receive(*entries) == bytes((APPLIED, OLDER))


@pytest.mark.parametrize("state", ["splitting", "congested", "closed"])
def test_a_partition_that_takes_no_writes_asks_to_be_sent_it_again(state: str) -> None:
    bench = RegionBench()
    setattr(bench.replica, state, True)
    assert bench.receive((bench.key("a"), record(bench, "a"))) == bytes((RETRY,))
    setattr(bench.replica, state, False)
    assert bench.receive((bench.key("a"), record(bench, "a"))) == bytes((APPLIED,))


def test_strangers_are_not_listened_to() -> None:
    bench = RegionBench()
    entry = (bench.key("a"), record(bench, "a"))
    assert bench.receive(entry, source="sa-east-1") == bytes((RETRY,))
    bench.replicate(None)
    assert bench.receive(entry) == bytes((RETRY,))
    assert bench.state() == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (b"", "0 bytes"),
        (b"\x02" + bytes(23), "format 2"),
        (b"\x01\x04" + bytes(22), "flags 4"),
        (b"\x01\x00" + bytes(22) + b"[]", "without an item"),
        (b"\x01\x01" + bytes(22) + b"{}", "tombstone with an item"),
    ],
)
def test_entries_that_no_region_makes_are_refused(wrong: bytes, said: str) -> None:
    bench = RegionBench()
    error = bench.ask(bench.message((bench.key("a"), record(bench, "a")), (bench.key("b"), wrong)))
    assert isinstance(error, ApiError) and error.message is not None and said in error.message
    assert bench.state() == {}


def test_an_outcome_waits_for_what_it_rests_on() -> None:
    bench = RegionBench()
    bench.log.held = []
    put = bench.send(bench.put_message({"pk": {"S": "a"}}))
    answers = bench.send(bench.message((bench.key("a"), record(bench, "a", 1000))))
    bench.scheduler.run()
    assert (put, answers) == ([], []), "OLDER rests on a write that may be lost"
    bench.release()
    assert put and answers[0].outcomes == bytes((OLDER,))


def test_many_versions_are_one_entry_until_it_gets_large(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = RegionBench()
    names = [f"k{number}" for number in range(20)]
    entries = [(bench.key(name), record(bench, name, v="x" * 100)) for name in names]
    before = bench.replica.group.applied_index
    assert bench.receive(*entries) == bytes((APPLIED,)) * 20
    assert bench.replica.group.applied_index == before + 1
    monkeypatch.setattr("hashrange_node.regions.apply.ENTRY_BYTES", 500)
    fresh = [(key, record(bench, name, -1)) for name, (key, _) in zip(names, entries, strict=True)]
    assert bench.receive(*fresh) == bytes((APPLIED,)) * 20
    assert bench.replica.group.applied_index > before + 2
    assert bench.replica.group.count(keyspace.ITEMS) == (20, 200)


def test_what_came_is_counted_by_its_source() -> None:
    bench = RegionBench()
    entry = (bench.key("a"), record(bench, "a"))
    bench.receive(entry)
    bench.receive(entry)
    received = bench.node.receiving.counts["Things", REGIONS[1]]
    assert (received.applied, received.older, received.held, received.retried) == (1, 1, 0, 0)


INDEXED = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "g")],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


def indexed(bench: RegionBench) -> list[dict[str, Any]]:
    """The items that the global index has, by their keys."""
    prefix = keyspace.space_prefix(bench.schema().gsis[0].partitions.all[0].id, keyspace.ITEMS)
    found = [
        orjson.loads(records.item_json(entry))
        for _, entry in bench.engine.scan(prefix, prefix + b"\xff" * 20)
    ]
    return sorted(found, key=lambda item: item["pk"]["S"])


def test_global_indexes_follow_versions_of_the_same_time() -> None:
    bench = RegionBench(**INDEXED)
    low, high = sorted((OTHER, THIRD))
    kept, moved, gone = (bench.key(name) for name in ("kept", "moved", "gone"))
    names = ("kept", "moved", "gone")
    bench.receive(
        *((bench.key(name), record(bench, name, 5, low, g="x", v="old")) for name in names), source=REGIONS[1]
    )
    assert len(indexed(bench)) == 3
    first = record(bench, "kept", 5, high, g="x", v="new")
    second = record(bench, "moved", 5, high, g="y", v="new")
    third = records.tombstone(records.stamp(first), 1, high)
    assert bench.receive((kept, first), (moved, second), (gone, third)) == bytes((APPLIED,)) * 3
    assert indexed(bench) == [orjson.loads(records.item_json(each)) for each in (first, second)]


def test_items_that_do_not_fit_an_index_are_left_out_of_it() -> None:
    bench = RegionBench(**INDEXED)
    item = records.pack(b'{"pk":{"S":"a"},"g":{"N":"5"}}', 9, 5, 1, 0, OTHER)
    assert bench.receive((bench.key("a"), item)) == bytes((APPLIED,))
    assert indexed(bench) == [] and bench.state()


def test_a_stream_tells_of_what_came_from_elsewhere() -> None:
    bench = RegionBench(StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    key = bench.key("a")
    first, same = record(bench, "a", 40, v="1"), record(bench, "a", 30, v="1")
    other, gone = (
        record(bench, "a", 20, v="2"),
        records.tombstone(records.stamp(record(bench, "a")), 1, OTHER),
    )
    assert bench.receive((key, first), (key, same), (key, other), (key, gone)) == bytes((APPLIED,)) * 4
    found = bench.stream_records()
    assert [each.event for each in found] == ["INSERT", "MODIFY", "REMOVE"], "none of what changes nothing"
    assert [each.stamp for each in found] == [records.stamp(each) for each in (first, other, gone)]


def test_what_came_from_elsewhere_is_charged_but_never_refused() -> None:
    bench = RegionBench()
    ceilings = Ceilings("on", 1.0, lambda: bench.scheduler.now)
    bench.replica.budget = budget = ceilings.budget(bench.schema(), None)
    assert budget is not None
    budget.charge_write(1_000_000)
    assert isinstance(bench.write(bench.action("put", "b")), ApiError)
    assert bench.receive((bench.key("a"), record(bench, "a"))) == bytes((APPLIED,))


def test_a_restart_keeps_marks_and_tombstones() -> None:
    bench = RegionBench()
    bench.write(bench.action("put", "a"))
    bench.write(bench.action("delete", "a"))
    marks, tombstones = bench.marks, bench.tombstones
    again = Bench(engine=bench.engine)
    kept = [
        dict(again.engine.scan(*keyspace.hashes_of(1, space, 0, keyspace.HASH_MAX)))
        for space in (keyspace.MARKS, keyspace.TOMBSTONES)
    ]
    assert [len(each) for each in kept] == [len(marks), len(tombstones)] == [1, 1]


def test_dropping_the_table_leaves_nothing() -> None:
    bench = RegionBench()
    bench.write(bench.action("put", "a"))
    bench.write(bench.action("delete", "a"))
    partition = bench.replica.id
    bench.node.close_replica(partition)
    low, high = b"P" + partition.to_bytes(8, "big"), b"P" + (partition + 1).to_bytes(8, "big")
    assert list(bench.engine.scan(low, high)) == []
