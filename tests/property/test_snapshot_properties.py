"""Snapshots and key ranges against brute force."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hashrange_node.replica.install import Installer
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.slices import take
from hashrange_node.replica.snapshot_receive import SnapshotReceiver
from hashrange_node.replica.snapshot_send import SnapshotSender
from hashrange_node.replica.staging import MemoryStaging
from hashrange_node.storage import MemoryEngine, keyspace
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.engine_support import make_engine
from tests.unit.snapshot_support import Loop, Wire, contents, install_message

STORES = st.sampled_from((4, 5, 6))
HASHES = st.sampled_from((0, 1, 2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1)) | st.integers(0, 2**64 - 1)
PARTITIONS = st.sampled_from((0, 5, 7, 8))


@st.composite
def keys(draw: st.DrawFn) -> bytes:
    """A key as the node writes them, of some partition or store."""
    store, hash8 = draw(STORES), draw(HASHES).to_bytes(8, "big")
    rest = draw(st.binary(max_size=3))
    match draw(st.sampled_from("PPPPEBQDCG")):
        case "P":
            space = draw(st.sampled_from(keyspace.HASHED_SPACES))
            return keyspace.space_prefix(store, space) + hash8 + rest
        case "E":
            second = draw(st.integers(0, 2**40)).to_bytes(8, "big")
            return keyspace.space_prefix(store, keyspace.EXPIRY) + second + hash8 + rest
        case "C":
            return b"C" + rest
        case tag:
            return tag.encode() + draw(PARTITIONS).to_bytes(8, "big") + (rest if tag != "G" else b"")


def owner(key: bytes, cut: int) -> int | None:
    """Which of the partitions 0, 7 (lower), 8 (upper half of store 5) a key belongs to."""
    if key[:1] == b"C":
        return 0
    number = int.from_bytes(key[1:9], "big")
    if key[:1] in (b"B", b"Q", b"D"):
        return number if number in (0, 7, 8) else None
    if key[:1] != b"P" or number != 5:
        return None
    at = 18 if key[9] == keyspace.EXPIRY else 10
    return 7 if int.from_bytes(key[at : at + 8], "big") < cut else 8


ENTRIES = st.dictionaries(keys(), st.binary(max_size=4), max_size=30)
CUTS = HASHES.filter(lambda cut: cut > 0)


@given(ENTRIES, CUTS)
def test_every_key_belongs_to_one_partition_and_the_ranges_find_it(entries: dict[bytes, bytes], cut: int):
    engine = MemoryEngine()
    engine.write(list(entries.items()))
    for number, ranges in (
        (0, PartitionRanges(0, 0)),
        (7, PartitionRanges(7, 5, 0, cut - 1)),
        (8, PartitionRanges(8, 5, cut)),
    ):
        expected = {key for key in entries if owner(key, cut) == number}
        assert {key for key in entries if ranges.owns(key)} == expected
        found, _, last = take(engine.view(ranges.all).entries(), ranges)
        assert last
        assert [key for key, _ in found] == [key for key, _ in dict(found).items()]
        assert dict(found) == {key: entries[key] for key in expected}


WRITES = st.lists(st.tuples(st.integers(0, 12), keys(), st.none() | st.binary(max_size=4)), max_size=15)


@pytest.mark.parametrize("kind", ["memory", "rocks"])
@settings(max_examples=40, deadline=None)
@given(before=ENTRIES, there=ENTRIES, writes=WRITES, cut=CUTS, upper=st.booleans())
def test_a_partition_moves_as_it_was_and_touches_nothing_else(
    kind: str, before: dict[bytes, bytes], there: dict[bytes, bytes], writes: list, cut: int, upper: bool
):
    ranges = PartitionRanges(8, 5, cut) if upper else PartitionRanges(7, 5, 0, cut - 1)
    number = ranges.partition
    with tempfile.TemporaryDirectory(prefix="hashrange-snapshot-") as folder:
        source = make_engine(kind, Path(folder) / "source")
        target = make_engine(kind, Path(folder) / "target")
        source.write(list(before.items()))
        target.write(list(there.items()))
        loop = Loop()
        receiver = SnapshotReceiver(MemoryStaging())
        installer = Installer(target, loop, loop.run_off_loop)
        results: list = []

        def deliver(message) -> None:
            installer.install(number, ranges, message.snapshot.data, results.append)

        wire = Wire(loop, lambda node, message, done: receiver.on_chunk(message, done, deliver))
        SnapshotSender(wire, loop).start(source, ranges, b"state", install_message(number), 2, results.append)
        for steps, key, value in writes:
            loop.run(steps=steps)
            source.write([(key, value)])
        loop.run()
        assert results == [True, None]
        kept = {key: value for key, value in there.items() if owner(key, cut) != number}
        sent = {key: value for key, value in before.items() if owner(key, cut) == number}
        assert contents(target) == {**kept, **sent, keyspace.group_state(number): b"state"}
        source.close()
        target.close()
