"""Global tables in the background: items that expire, tombstones that are forgotten, partitions that are split."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.regions.tombstones import TombstoneCollector
from hashrange_node.replica import collector
from hashrange_node.replica.expiry import GRACE_S, ExpirySweeper
from hashrange_node.storage import keyspace

from hashrange.model import record as records
from hashrange.runtime.clock import LOGICAL_BITS, wall_ms_of
from hashrange.wire.regions import APPLIED, OLDER, ApplyReplicated

from .region_support import NUMBER, REGIONS, RegionBench
from .transact_support import names_on

OWN, OTHER, THIRD = (NUMBER[name] for name in REGIONS)
RETENTION_S = 100.0


STREAM = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}


def expiring(own: str = REGIONS[0], **extra: Any) -> RegionBench:
    bench = RegionBench(own, **extra)
    bench.change(TimeToLive={"AttributeName": "until", "ChangedAt": 1})
    bench.sweeper = ExpirySweeper(
        lambda: list(bench.node.replicas.values()),
        bench.clock.wall_ms,
        bench.scheduler.call_later,
        0.5,
        lambda what, error: bench.errors.append((what, error)),
    )
    bench.sweeper.start()
    return bench


def until(bench: RegionBench, seconds: float) -> dict[str, Any]:
    return {"until": {"N": str(int(bench.clock.wall_ms() / 1000 + seconds))}}


def expired_bits(bench: RegionBench) -> list[tuple[str, bool]]:
    """Of each record of the stream what happened, and whether it was time to live."""
    return [(each.event, each.expired) for each in bench.stream_records()]


def test_an_own_item_expires_with_a_stamp_just_above_it() -> None:
    bench = expiring()
    put = bench.write(bench.action("put", "a", until(bench, 5)))
    bench.advance(20)
    tombstone = bench.version("a")
    assert records.item_version(tombstone) == (put.stamp + 1, OWN)
    assert bench.marks == {bench.key("a"): (put.stamp + 1, bench.schema().replica_bits)}
    assert wall_ms_of(put.stamp) // 1000 + 5 <= records.size(tombstone), "it was stored when it expired"
    again = bench.write(bench.action("put", "a"))
    assert again.stamp > put.stamp + 1


def test_an_item_of_another_region_is_left_to_it_for_a_while() -> None:
    here, there = expiring(), expiring(REGIONS[1])
    there.write(there.action("put", "a", until(there, 5)))
    put = there.version("a")
    assert here.receive((here.key("a"), put)) == bytes((APPLIED,))
    for bench in (here, there):
        bench.advance(20)
    assert here.state() and not there.state()
    assert here.receive((here.key("a"), there.version("a"))) == bytes((APPLIED,))
    assert here.marks == {} and here.state() == {}
    assert here.sweeper.deleted == 0
    assert here.kept(keyspace.EXPIRY) == {}


def test_an_item_whose_region_is_silent_expires_later() -> None:
    bench = expiring()
    item = records.pack(
        b'{"pk":{"S":"a"},"until":{"N":"%d"}}' % (bench.clock.wall_ms() // 1000 + 5), 9, 5, 1, 0, OTHER
    )
    bench.receive((bench.key("a"), item))
    bench.advance(60)
    assert bench.state()
    bench.clock.advance(GRACE_S)
    bench.advance(2)
    assert records.item_version(bench.version("a")) == (6, OWN)


def test_items_of_a_region_that_has_left_expire_here() -> None:
    bench = expiring()
    item = records.pack(
        b'{"pk":{"S":"a"},"until":{"N":"%d"}}' % (bench.clock.wall_ms() // 1000 + 5), 9, 5, 1, 0, OTHER
    )
    bench.receive((bench.key("a"), item))
    bench.replicate([REGIONS[0], REGIONS[2]])
    bench.advance(20)
    assert bench.state() == {}


def test_many_items_of_other_regions_do_not_keep_own_ones_from_expiring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hashrange_node.replica.expiry.LOOKED_MAX", 3)
    bench = expiring()
    second = bench.clock.wall_ms() // 1000 + 5
    for number in range(20):
        json = b'{"pk":{"S":"o%d"},"until":{"N":"%d"}}' % (number, second)
        bench.receive((bench.key(f"o{number}"), records.pack(json, 9, 5, 1, 0, OTHER)))
    for number in range(5):
        bench.write(bench.action("put", f"k{number}", {"until": {"N": str(second + 1)}}))
    bench.advance(60)
    assert len(bench.state()) == 20, "all own ones have gone, none of the others"


def test_an_update_that_comes_while_an_item_expires_wins() -> None:
    here, there = expiring(), expiring(REGIONS[1])
    here.write(here.action("put", "a", until(here, 5)))
    there.receive((there.key("a"), here.version("a")), source=REGIONS[0])
    update = there.write(there.action("put", "a", {"v": {"S": "kept"}}))
    here.advance(20)
    assert here.state() == {}, "it has not heard of the update"
    key = here.key("a")
    assert here.receive((key, there.version("a"))) == bytes((APPLIED,))
    assert there.receive((key, records.tombstone(update.stamp - 1, 1, OWN)), source=REGIONS[0]) == bytes(
        (OLDER,)
    )
    assert here.state() == there.state() != {}


def test_only_the_region_that_expires_an_item_says_so_in_its_stream() -> None:
    here, there = expiring(**STREAM), expiring(REGIONS[1], **STREAM)
    here.write(here.action("put", "a", until(here, 5)))
    there.receive((there.key("a"), here.version("a")), source=REGIONS[0])
    here.advance(20)
    there.receive((there.key("a"), here.version("a")), source=REGIONS[0])
    assert expired_bits(here) == [("INSERT", False), ("REMOVE", True)]
    assert expired_bits(there) == [("INSERT", False), ("REMOVE", False)]


# ---- tombstones


def collecting(bench: RegionBench) -> TombstoneCollector:
    replicas = bench.node.replicas
    return TombstoneCollector(lambda: replicas.values(), lambda: bench.node.stamps.wall, RETENTION_S)


def collect(bench: RegionBench, tombstones: TombstoneCollector) -> None:
    while tombstones.step():
        bench.scheduler.run()


def clear_marks(bench: RegionBench) -> None:
    """Let all other regions have everything."""
    prefix = keyspace.space_prefix(bench.replica.place.store, keyspace.MARKS)
    bench.engine.write([(prefix + key, None) for key in bench.marks])


def test_tombstones_go_when_they_are_old_and_all_regions_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "SLICE", 3)
    bench = RegionBench()
    tombstones = collecting(bench)
    for number in range(10):
        bench.write(bench.action("put", f"k{number}"))
        bench.write(bench.action("delete", f"k{number}"))
    collect(bench, tombstones)
    clear_marks(bench)
    bench.clock.advance(RETENTION_S - 1)
    collect(bench, tombstones)
    assert len(bench.tombstones) == 10
    bench.write(bench.action("put", "late"))
    bench.write(bench.action("delete", "late"))
    clear_marks(bench)
    bench.clock.advance(10)
    collect(bench, tombstones)
    assert list(bench.tombstones) == [bench.key("late")]
    assert tombstones.deleted == 10


def test_a_marked_tombstone_stays() -> None:
    bench = RegionBench()
    tombstones = collecting(bench)
    bench.write(bench.action("put", "a"))
    bench.write(bench.action("delete", "a"))
    bench.clock.advance(RETENTION_S * 2)
    collect(bench, tombstones)
    assert bench.tombstones
    clear_marks(bench)
    collect(bench, tombstones)
    assert bench.tombstones, "the partition rests"
    bench.clock.advance(RETENTION_S)
    collect(bench, tombstones)
    assert not bench.tombstones


def test_a_tombstone_with_an_item_at_its_key_goes_though_that_is_marked() -> None:
    bench = RegionBench()
    tombstones = collecting(bench)
    for kind in ("put", "delete", "put"):
        bench.write(bench.action(kind, "a"))
    bench.clock.advance(RETENTION_S + 2)
    collect(bench, tombstones)
    assert not bench.tombstones and bench.marks and bench.state()


def test_the_deletion_of_an_old_item_by_time_to_live_is_remembered_as_long_as_any() -> None:
    bench = expiring()
    put = bench.write(bench.action("put", "a", until(bench, 10 * RETENTION_S)))
    bench.clock.advance(10 * RETENTION_S)
    bench.advance(5)
    assert records.stamp(bench.version("a")) == put.stamp + 1
    clear_marks(bench)
    collect(bench, collecting(bench))
    assert bench.tombstones


def test_a_walk_goes_on_after_a_refusal() -> None:
    bench = RegionBench()
    tombstones = collecting(bench)
    bench.write(bench.action("put", "a"))
    bench.write(bench.action("delete", "a"))
    clear_marks(bench)
    bench.clock.advance(RETENTION_S + 2)
    bench.replica.group.closing = True
    assert tombstones.step()
    bench.replica.group.closing = False
    collect(bench, tombstones)
    assert not bench.tombstones


def test_upkeep_collects_by_itself() -> None:
    bench = RegionBench()
    bench.upkeep.tombstones = collecting(bench)
    bench.upkeep.start()
    bench.write(bench.action("put", "a"))
    bench.write(bench.action("delete", "a"))
    clear_marks(bench)
    bench.advance(RETENTION_S + 30)
    assert not bench.tombstones and not bench.errors


# ---- splits


def test_the_children_of_a_split_have_marks_and_tombstones() -> None:
    bench = RegionBench()
    below, above = names_on(bench, 2, 2)
    for name in below + above:
        bench.write(bench.action("put", name))
    for name in (below[0], above[0]):
        bench.write(bench.action("delete", name))
    store = bench.replica.place.store
    told: list[int] = []
    led: list[int] = []
    bench.node.on_leading = lambda replica, serving: led.append(replica.id) if serving else None
    children = bench.split()
    assert sorted(led) == sorted(children), "their leaders look for marks when they begin to lead"
    for child, names in zip(children, (below, above), strict=True):
        replica = bench.node.replicas[child]
        replica.on_marked = lambda replica, marked: told.append(replica.id)
        for space, kept in ((keyspace.MARKS, names), (keyspace.TOMBSTONES, names[:1])):
            bounds = keyspace.hashes_of(store, space, replica.place.lo, replica.place.hi)
            found = [key[10:] for key, _ in bench.engine.scan(*bounds)]
            assert sorted(found) == sorted(bench.key(name) for name in kept)
        late = records.pack(b'{"pk":{"S":"x"}}', 4, 5, 1, 0, OTHER)
        message = ApplyReplicated(child, 1, REGIONS[1], [(bench.key(names[0]), late)])
        assert bench.ask(message).outcomes == bytes((OLDER,))
        write = bench.action("put", names[0])
        write.partition = child
        assert bench.ask(write).stamp > records.stamp(late)
    assert sorted(told) == sorted(children)


def test_the_hybrid_clock_is_behind_nothing_that_was_applied() -> None:
    bench = RegionBench()
    ahead = (bench.clock.wall_ms() + 300) << LOGICAL_BITS
    bench.receive((bench.key("a"), records.tombstone(ahead, 1, OTHER)))
    assert bench.node.stamps.last >= ahead
    assert bench.replica.group.watermark == ahead
