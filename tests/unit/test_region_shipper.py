"""Sending marked items to other regions: what goes out, what becomes of the marks, and what happens when it fails."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hashrange_node.regions import marks as marks_module
from hashrange_node.regions import outbox, shipper
from hashrange_node.regions.contracts import LinkDown
from hashrange_node.regions.shipper import RegionShipper
from hashrange_node.storage import keyspace

from hashrange.model import record as records
from hashrange.model.regions import FILLING
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.messages import DELETE, WriteItem
from hashrange.wire.regions import (
    APPLIED,
    HELD,
    OLDER,
    RETRY,
    Entry,
    decode_request,
    encode_reply,
    schema_digest,
)

from .region_support import REGIONS, RegionBench, replication

OWN, OTHER = REGIONS[0], REGIONS[1]
PAIR = (OWN, OTHER)
Answer = Callable[[list[Entry]], "bytes | tuple[str, str] | LinkDown"]


class FakeLinks:
    """Links that answer as they are told to: `answer(entries)` of the one table, or held until `release`."""

    def __init__(self, bench: ShippingBench) -> None:
        self.bench = bench
        self.known = {OTHER, REGIONS[2]}
        self.sent: list[tuple[str, list[Entry]]] = []
        self.held: list[Callable[[], None]] = []
        self.hold = False
        self.answer: Answer = lambda entries: bytes((APPLIED,)) * len(entries)
        self.ahead_ms = 0

    def knows(self, region: str) -> bool:
        return region in self.known

    def post(self, region: str, path: str, body: bytes, done: Any) -> None:
        assert path == "/regions/v1/items"
        source, tables = decode_request(body)
        assert source == OWN
        entries = [entry for _, _, some in tables for entry in some]
        for name, digest, _ in tables:
            assert (name, digest) == ("Things", schema_digest(self.bench.schema()))
        if tables:
            self.sent.append((region, entries))

        def reply() -> None:
            outcome = self.answer(entries)
            if isinstance(outcome, LinkDown):
                done(outcome)
            else:
                now = self.bench.node.stamps.wall + (self.ahead_ms << LOGICAL_BITS)
                done(encode_reply(now, [outcome] if tables else []))

        if self.hold:
            self.held.append(reply)
        else:
            self.bench.scheduler.call_soon(reply)

    def release(self) -> None:
        held, self.held = self.held, []
        for reply in held:
            reply()

    def names(self) -> list[str]:
        """The items sent, in order, by the last part of their keys."""
        return [key[8:].decode() for _, entries in self.sent for key, _ in entries]


class ShippingBench(RegionBench):
    """A region that sends to the others over `FakeLinks`."""

    def __init__(self, regions: tuple[str, ...] = PAIR, shipping: bool = True, **extra: Any) -> None:
        super().__init__(OWN, regions, **extra)
        self.links = FakeLinks(self)
        self.said: list[str] = []
        if shipping:
            self.ship()

    def ship(self, retention_s: float = 604_800.0) -> RegionShipper:
        self.shipper = RegionShipper(
            self.node,
            self.links,
            OWN,
            random=random.Random(1).random,
            retention_s=retention_s,
            note=lambda text, **details: self.said.append(text),
            warn=lambda text, **details: self.said.append(text),
        )
        for replica in self.node.replicas.values():
            self.shipper.leading(replica, True)
        self.shipper.start()
        return self.shipper

    def add(self, *names: str) -> None:
        for name in names:
            assert not isinstance(self.ask(self.action("put", name)), Exception)

    def delete(self, name: str, expiry_s: int | None = None) -> None:
        write = WriteItem(self.replica.id, 1, DELETE, self.key(name))
        write.expiry_s = expiry_s
        assert not isinstance(self.ask(write), Exception)

    def pass_time(self, seconds: float = 3.0, step_s: float = 0.005) -> None:
        """Let time pass on all clocks."""
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            self.scheduler.tick(step_s)

    def pending(self, region: str = OTHER) -> int:
        self.scheduler.now += 1.0  # figures are kept for a moment
        return self.shipper.pending().get(("Things", region), (0, 0, 0))[0]


def test_what_is_written_is_sent_and_its_mark_cleared() -> None:
    bench = ShippingBench()
    bench.add("a", "b")
    assert len(bench.marks) == 2
    bench.pass_time()
    assert sorted(bench.links.names()) == ["a", "b"]
    assert len(bench.links.sent) == 1
    (_, entries) = bench.links.sent[0]
    assert dict(entries) == bench.kept(keyspace.ITEMS)
    assert not bench.marks
    assert bench.pending() == 0
    link = bench.shipper.outbox(OTHER).table("Things")
    assert (link.shipped, link.latency.count()) == (2, 2)


def test_a_deletion_is_sent_as_its_tombstone() -> None:
    bench = ShippingBench()
    bench.add("a")
    bench.delete("a")
    bench.pass_time()
    ((_, ((_, record),)),) = bench.links.sent
    assert record == bench.version("a")
    assert records.flags(record) & records.TOMBSTONE
    assert not bench.marks


def test_every_region_gets_it_and_each_bit_goes_by_itself() -> None:
    bench = ShippingBench(REGIONS)
    bench.links.known = {OTHER}
    bench.add("a")
    bench.pass_time()
    assert bench.links.sent == [(OTHER, list(bench.kept(keyspace.ITEMS).items()))]
    bits = {target.region: target.bit for target in bench.schema().replicas}
    assert [left for _, left in bench.marks.values()] == [bits[REGIONS[2]]]
    assert (bench.pending(), bench.pending(REGIONS[2])) == (0, 1)
    bench.links.known.add(REGIONS[2])
    bench.add("b")
    bench.pass_time()
    assert not bench.marks


def test_a_change_while_a_request_is_under_way_is_sent_afterwards() -> None:
    bench = ShippingBench()
    bench.links.hold = True
    bench.add("a")
    bench.pass_time(0.2)
    bench.ask(bench.action("put", "a", {"n": {"N": "2"}}))
    bench.pass_time(0.2)
    assert len(bench.links.sent) == 1
    bench.links.hold = False
    bench.links.release()
    bench.pass_time(0.2)
    assert [record for _, ((_, record),) in bench.links.sent][1] == bench.version("a")
    bench.pass_time()
    assert not bench.marks


def test_a_mark_is_not_cleared_for_an_older_version() -> None:
    bench = ShippingBench()
    bench.add("a")
    bench.pass_time(0.2)
    bench.links.known = set()
    bench.ask(bench.action("put", "a", {"n": {"N": "2"}}))
    bench.pass_time()
    assert len(bench.marks) == 1
    assert bench.pending() == 1


def test_what_the_other_region_has_already_is_done() -> None:
    bench = ShippingBench()
    bench.links.answer = lambda entries: bytes((OLDER,)) * len(entries)
    bench.add("a")
    bench.pass_time()
    assert not bench.marks
    assert bench.shipper.outbox(OTHER).table("Things").latency.count() == 0


@pytest.mark.parametrize("outcome", [HELD, RETRY])
def test_what_has_to_wait_is_sent_again_and_nothing_else_waits_for_it(outcome: int) -> None:
    bench = ShippingBench()
    first = bench.key("a")
    bench.links.answer = lambda entries: bytes(
        outcome if key == first and len(bench.links.sent) < 4 else APPLIED for key, _ in entries
    )
    bench.links.ahead_ms = -600
    bench.add("a", "b")
    bench.pass_time(10)
    assert bench.links.names().count("a") == 4
    assert bench.links.names().count("b") == 1
    assert not bench.marks


def test_a_link_that_is_down_is_tried_ever_more_rarely_and_everything_arrives() -> None:
    bench = ShippingBench()
    bench.links.answer = lambda entries: LinkDown("eu-west-1 is gone")
    bench.add("a")
    bench.pass_time(60, 0.02)
    assert 8 < len(bench.links.sent) < 30
    assert bench.pending() == 1
    assert bench.shipper.document()[0]["error"] == "eu-west-1 is gone"
    assert bench.shipper.document()[0]["oldest_pending_s"] >= 59
    bench.links.answer = lambda entries: bytes((APPLIED,)) * len(entries)
    bench.add("b")
    bench.pass_time(10)
    assert not bench.marks
    assert bench.shipper.document()[0]["error"] == ""


@pytest.mark.parametrize("wrong", [("ResourceNotFoundException", "no table"), b"\0\0\0"])
def test_a_table_that_is_not_taken_waits(wrong: Any) -> None:
    bench = ShippingBench()
    bench.links.answer = lambda entries: wrong
    bench.add("a")
    bench.pass_time(5)
    error = bench.shipper.document()[0]["error"]
    assert error == ("a reply of another size" if isinstance(wrong, bytes) else ": ".join(wrong))
    assert 3 < len(bench.links.sent) < 20
    assert bench.said == ["a region takes no items of a table"]
    bench.links.answer = lambda entries: bytes((APPLIED,)) * len(entries)
    bench.pass_time(10)
    assert not bench.marks


def test_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "ENTRIES_MAX", 7)
    monkeypatch.setattr(outbox, "CHUNK", 3)
    bench = ShippingBench()
    bench.links.hold = True
    names = [f"{number:03}" for number in range(50)]
    bench.add(*names)
    bench.pass_time(1)
    assert [len(entries) for _, entries in bench.links.sent] == [7] * outbox.REQUESTS_MAX
    bench.links.hold = False
    bench.links.release()
    bench.pass_time()
    assert sorted(bench.links.names()) == names


def test_large_items_make_small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "BYTES_MAX", 1_000)
    bench = ShippingBench()
    for number in range(4):
        bench.ask(bench.action("put", str(number), {"x": {"S": "x" * 600}}))
    bench.pass_time()
    assert [len(entries) for _, entries in bench.links.sent] == [2, 2]
    assert not bench.marks


def test_the_next_leader_finds_the_marks() -> None:
    bench = ShippingBench(shipping=False)
    names = [str(number) for number in range(20)]
    bench.add(*names)
    bench.delete("7")
    bench.ship()
    bench.pass_time()
    assert sorted(bench.links.names()) == sorted(names)
    assert not bench.marks
    assert bench.shipper.outbox(OTHER).table("Things").latency.count() == 20


def test_one_that_leads_no_more_sends_no_more() -> None:
    bench = ShippingBench()
    bench.links.hold = True
    bench.add("a")
    bench.pass_time(0.2)
    bench.shipper.leading(bench.replica, False)
    bench.links.hold = False
    bench.links.release()
    bench.add("b")
    bench.pass_time()
    assert bench.links.names() == ["a"]
    assert len(bench.marks) == 2


def test_more_than_fits_into_memory_is_counted_and_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks_module, "STEP", 5)
    monkeypatch.setattr(shipper, "LIMIT", 10)
    monkeypatch.setattr(shipper, "LANE_KEYS_MIN", 1)
    bench = ShippingBench()
    bench.links.known = set()
    bench.pass_time(1.5)
    names = [f"{number:03}" for number in range(64)]
    bench.add(*names)
    bench.pass_time(1)
    assert bench.pending() == 64
    assert len(bench.shipper.partitions[bench.replica.id].lanes[OTHER]) <= 15
    bench.links.known = {OTHER}
    bench.add("last")
    bench.pass_time(5)
    assert sorted(set(bench.links.names())) == [*names, "last"]
    assert not bench.marks
    assert bench.pending() == 0


def test_what_is_older_than_deletions_are_remembered_is_not_sent_but_told() -> None:
    bench = ShippingBench(shipping=False)
    bench.add("a")
    bench.pass_time(100, 1.0)
    bench.add("b")
    bench.ship(retention_s=50.0)
    bench.pass_time()
    assert bench.links.names() == ["b"]
    assert bench.shipper.pending()["Things", OTHER][2] == 1
    assert ["remove the table's replica" in text for text in bench.said] == [True]
    bench.add("a")
    bench.pass_time()
    assert bench.links.names() == ["b", "a"]


def test_an_expired_item_is_sent_though_its_stamp_is_old() -> None:
    bench = ShippingBench(shipping=False, TimeToLive={"AttributeName": "ttl", "ChangedAt": 1})
    bench.change(TimeToLive={"AttributeName": "ttl", "ChangedAt": 1})
    second = bench.clock.wall_ms() // 1000 + 10
    bench.ask(bench.action("put", "a", {"ttl": {"N": str(second)}}))
    bench.ship(retention_s=50.0)
    bench.pass_time(100, 1.0)
    bench.links.sent.clear()
    bench.delete("a", second)
    assert 0 <= bench.shipper.document()[0]["oldest_pending_s"] < 5
    bench.pass_time()
    assert bench.links.names() == ["a"]
    assert not bench.marks


def test_bits_of_a_replica_that_was_removed_go() -> None:
    bench = ShippingBench(REGIONS)
    bench.links.known = set()
    bench.add("a", "b")
    bench.replicate(PAIR)
    bench.pass_time(1)
    bit = bench.schema().replica_bits
    assert [bits for _, bits in bench.marks.values()] == [bit, bit]
    assert set(bench.shipper.partitions[bench.replica.id].lanes) == {OTHER}
    bench.replicate(None)
    bench.pass_time(1)
    assert not bench.marks


# ---- fills


def begin_fill(bench: ShippingBench) -> None:
    """Let a replica be added that has nothing."""
    document = replication(OWN, PAIR)
    document["Replicas"][OTHER] |= {"Status": "CREATING", "Filled": False}
    bench.change(Replication=document)


def filled(bench: ShippingBench) -> dict[str, Any]:
    replication_now: Any = bench.node.catalogue.documents["Things"]["Replication"]
    replica: dict[str, Any] = replication_now["Replicas"][OTHER]
    return replica


def test_a_new_replica_gets_everything_and_is_active_then() -> None:
    bench = ShippingBench((OWN,))
    names = [f"{number:04}" for number in range(1_100)]
    bench.add(*names)
    bench.add("gone")
    bench.delete("gone")
    assert not bench.marks
    begin_fill(bench)
    bench.links.hold = True
    bench.pass_time(2)
    assert bench.marks
    assert all(bits & FILLING for _, bits in bench.marks.values())
    assert filled(bench)["Status"] == "CREATING"
    assert bench.shipper.document()[0]["oldest_pending_s"] == 0
    bench.links.hold = False
    bench.links.release()
    bench.pass_time(5)
    assert set(bench.links.names()) == {*names, "gone"}
    assert filled(bench) == {"Status": "ACTIVE", "Slot": filled(bench)["Slot"], "Filled": True}
    assert not bench.marks
    link = bench.shipper.outbox(OTHER).table("Things")
    assert (link.shipped, link.latency.count()) == (1_101, 0)


def test_a_fill_sends_what_is_older_than_deletions_are_remembered() -> None:
    bench = ShippingBench((OWN,), shipping=False)
    bench.add("a")
    bench.pass_time(100, 1.0)
    bench.ship(retention_s=50.0)
    begin_fill(bench)
    bench.pass_time(5)
    assert bench.links.names() == ["a"]
    assert filled(bench)["Filled"]


def test_a_fill_goes_on_after_a_change_of_leader() -> None:
    bench = ShippingBench((OWN,))
    bench.add("a", "b")
    begin_fill(bench)
    bench.links.hold = True
    bench.pass_time(2)
    bench.controller.work.leading(bench.replica, False)
    bench.links.held.clear()
    bench.links.hold = False
    bench.controller.work.leading(bench.replica, True)
    bench.pass_time(5)
    assert filled(bench)["Filled"]
    assert set(bench.links.names()) == {"a", "b"}


def test_a_fill_adds_its_bit_to_marks_that_there_are() -> None:
    bench = ShippingBench((OWN, REGIONS[2]))
    bench.links.known = set()
    bench.add("a")
    document = replication(OWN, (OWN, REGIONS[2]))
    document["Replicas"][OTHER] = {"Status": "CREATING", "Slot": 7, "Filled": False}
    bench.change(Replication=document)
    bench.pass_time(1)
    assert [bits for _, bits in bench.marks.values()] == [bench.schema().replica_bits]


def test_a_fill_sends_what_another_region_has_lacked_for_too_long() -> None:
    """The mark is an old one, of a region that was away: the next leader cannot tell that a fill added to it."""
    bench = ShippingBench((OWN, REGIONS[2]), shipping=False)
    bench.add("a")
    bench.pass_time(100, 1.0)
    bench.ship(retention_s=50.0)
    bench.links.known = {OTHER}
    bench.links.hold = True
    document = replication(OWN, (OWN, REGIONS[2]))
    document["Replicas"][OTHER] = {"Status": "CREATING", "Slot": 7, "Filled": False}
    bench.change(Replication=document)
    bench.pass_time(1)
    bench.controller.work.leading(bench.replica, False)
    bench.links.held.clear()
    bench.links.hold = False
    bench.links.sent.clear()
    bench.controller.work.leading(bench.replica, True)
    bench.pass_time(5)
    assert bench.links.sent[0][0] == OTHER
    assert bench.links.names() == ["a"]
    assert filled(bench)["Filled"]
