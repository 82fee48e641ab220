"""Installing snapshots: all of it or nothing, over every crash and every damage, beside partitions left alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hashrange_node.replica.install import Installer
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.staging import FileStaging, MemoryStaged, MemoryStaging, StagedDamaged
from hashrange_node.storage import EngineBusy, EngineError, EngineFull, keyspace
from hashrange_node.storage.flushmark import MARK_NAME
from rocksdict import Checkpoint

from tests.unit.engine_support import make_engine
from tests.unit.snapshot_support import (
    CONTROL,
    LEFT,
    RIGHT,
    WHOLE,
    CrashingEngine,
    Loop,
    contents,
    data_of,
    own,
    stage,
)

NEW = [data_of(LEFT, 1500, b"n")[n : n + 700] for n in range(0, 3100, 700)]
STATE = (keyspace.group_state(7), b"new state")
CHUNKS: list[Any] = [*NEW[:-1], [*NEW[-1], STATE]]
EXPECTED = {key: value for chunk in CHUNKS for key, value in chunk}


class Bench:
    """An engine with an older state of two sibling partitions, and a newer one of the left sibling staged."""

    def __init__(self, staging: Any = None, chunks: list[Any] = CHUNKS) -> None:
        self.loop = Loop()
        old = [
            *data_of(LEFT, 1200, b"old"),
            *data_of(RIGHT, 1300, b"r"),
            (keyspace.group_state(7), b"old state"),
        ]
        self.engine = CrashingEngine(old)
        self.before = contents(self.engine)
        self.sibling = own(self.engine, RIGHT)
        self.staging = staging if staging is not None else MemoryStaging()
        self.staged = stage(self.staging, "7-3-1", chunks, self.loop)
        self.outcomes: list[BaseException | None] = []

    def installer(self, engine: Any = None, **options: Any) -> Installer:
        return Installer(engine or self.engine, self.loop, self.loop.run_off_loop, **options)

    def install(self, **options: Any) -> Installer:
        installer = self.installer(**options)
        installer.install(7, LEFT, self.staged, self.outcomes.append)
        return installer


def test_the_new_state_takes_the_place_of_the_old_one_and_siblings_keep_theirs():
    bench = Bench()
    installer = bench.install()
    assert bench.outcomes == []
    bench.loop.run()
    assert bench.outcomes == [None]
    assert contents(bench.engine) == {**bench.sibling, **EXPECTED}
    assert bench.engine.flushed == contents(bench.engine)
    assert installer.interrupted() == []
    assert bench.staging.finished == {}


@pytest.mark.parametrize("ranges", [WHOLE, CONTROL], ids=["whole", "control"])
def test_a_partition_with_its_store_to_itself(ranges: PartitionRanges):
    bench = Bench()
    other = (b"P" + (6).to_bytes(8, "big") + b"\0", b"x")
    bench.engine.write([(b"Cn", b"1"), other, (b"A", b""), (b"Z", b"")])
    number = ranges.partition
    new = [(b"Cz", b"2")] if number == 0 else data_of(ranges, 100, b"n")
    staged = stage(bench.staging, "x", [[*new, (keyspace.group_state(number), b"s")]], bench.loop)  # type: ignore[list-item]
    bench.installer().install(number, ranges, staged, bench.outcomes.append)
    kept = {key: value for key, value in contents(bench.engine).items() if not ranges.owns(key)}
    bench.loop.run()
    assert bench.outcomes == [None]
    assert contents(bench.engine) == {**kept, **dict(new), keyspace.group_state(number): b"s"}  # type: ignore[arg-type]


def test_a_crash_at_any_write_is_made_good_at_the_next_start():
    bench = Bench()
    calls = 0
    while not bench.outcomes:  # the crash comes after every callback, with any number of writes on disk
        if calls:
            for kept in {0, 1, len(bench.engine.writes) // 2, len(bench.engine.writes)}:
                _crash_and_start(bench, kept)
        else:
            bench.install()
        bench.loop.run(steps=1)
        calls += 1
    assert calls > 12
    after = bench.engine.after_crash(0)
    assert contents(after) == {**bench.sibling, **EXPECTED}


def _crash_and_start(bench: Bench, kept: int) -> None:
    engine = bench.engine.after_crash(kept)
    staging = MemoryStaging()
    for name, staged in bench.staging.finished.items():
        copied = staging.finished[name] = MemoryStaged(staging, name)
        copied.parts = staged.parts
    begun = engine.get(keyspace.installing(7)) is not None
    installer = bench.installer(engine)
    assert len(installer.interrupted()) == begun
    assert installer.resume(staging) == {}
    if begun:
        assert contents(engine) == engine.flushed == {**bench.sibling, **EXPECTED}
    else:
        assert contents(engine) in (bench.before, {**bench.sibling, **EXPECTED})
    assert installer.interrupted() == []
    assert staging.finished == {}


def test_a_real_engine_and_real_files_over_a_crash(tmp_path: Path):
    loop = Loop()
    staging = FileStaging(tmp_path / "snapshots", loop.run_off_loop)
    staged = stage(staging, "7-3-1", CHUNKS, loop)
    engine = make_engine("rocks", tmp_path / "db")
    engine.write([*data_of(LEFT, 1200, b"old"), *data_of(RIGHT, 1300, b"r")])
    sibling = own(engine, RIGHT)
    outcomes: list[Any] = []
    Installer(engine, loop, loop.run_off_loop).install(7, LEFT, staged, outcomes.append)
    copies = []
    while not outcomes:
        loop.run(steps=2)
        copy = tmp_path / f"copy{len(copies)}"
        copy.mkdir()
        Checkpoint(engine._db).create_checkpoint(str(copy / "db"))  # type: ignore[attr-defined]
        shutil.copy(tmp_path / "db" / MARK_NAME, copy / "db")
        shutil.copytree(tmp_path / "snapshots", copy / "snapshots")
        copies.append(copy)
    assert outcomes == [None]
    assert contents(engine) == {**sibling, **EXPECTED}
    engine.close()
    begun = 0
    for copy in copies:
        copied = make_engine("rocks", copy / "db")
        installer = Installer(copied, loop, loop.run_off_loop)
        marked = bool(installer.interrupted())
        assert installer.resume(FileStaging(copy / "snapshots", loop.run_off_loop)) == {}
        if marked:
            assert contents(copied) == {**sibling, **EXPECTED}
        assert list((copy / "snapshots").iterdir()) == []
        begun += marked
        copied.close()
    assert begun > 3


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "magic": lambda data: _flip(data, 2),
    "length": lambda data: _flip(data, 11),
    "number": lambda data: _flip(data, 16),
    "body": lambda data: _flip(data, len(data) // 2),
    "end": lambda data: _flip(data, len(data) - 5),
    "cut within a chunk": lambda data: data[: len(data) // 2],
    "cut before the end": lambda data: data[:-12],
    "cut in the end": lambda data: data[:-1],
    "empty": lambda data: b"",
    "zeroes": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_changes_nothing(damage: Callable[[bytes], bytes], tmp_path: Path):
    bench = Bench()
    staging = FileStaging(tmp_path, bench.loop.run_off_loop)
    bench.staged = stage(staging, "7-3-1", CHUNKS, bench.loop)
    path = tmp_path / "7-3-1.snap"
    path.write_bytes(damage(path.read_bytes()))
    bench.install()
    bench.loop.run()
    assert isinstance(bench.outcomes[0], StagedDamaged)
    assert contents(bench.engine) == bench.before
    assert bench.engine.writes == []


def test_every_flipped_byte_is_found(tmp_path: Path):
    loop = Loop()
    staging = FileStaging(tmp_path, loop.run_off_loop)
    staged = stage(staging, "one", [[(b"k1", b"value")], [(b"k2", b"v"), STATE]], loop)
    path = tmp_path / "one.snap"
    whole = path.read_bytes()
    staged.verify()
    for at in range(len(whole)):
        path.write_bytes(_flip(whole, at))
        with pytest.raises(StagedDamaged):
            staged.verify()
        path.write_bytes(whole[:at])
        with pytest.raises(StagedDamaged):
            staged.verify()


def test_damage_found_at_the_start_leaves_the_group_without_a_state_and_says_so(tmp_path: Path):
    loop = Loop()
    staging = FileStaging(tmp_path, loop.run_off_loop)
    bench = Bench()
    bench.staged = stage(staging, "7-3-1", CHUNKS, loop)
    bench.install()
    while bench.engine.get(keyspace.installing(7)) is None:
        bench.loop.run(steps=1)
    path = tmp_path / "7-3-1.snap"
    for content, reason in ((_flip(path.read_bytes(), 5000), "chunk 0 of .* is damaged"), (None, "is gone")):
        if content is not None:
            path.write_bytes(content)
        engine = bench.engine.after_crash(len(bench.engine.writes))
        installer = bench.installer(engine)
        lost = installer.resume(staging)
        assert list(lost) == [7]
        assert re.search(reason, lost[7])
        assert [each.ranges for each in installer.interrupted()] == [LEFT]
        assert own(engine, RIGHT) == bench.sibling
        # The mark goes with the replica.
        outcomes: list[Any] = []
        installer.erase(LEFT, outcomes.append)
        bench.loop.run()
        assert contents(engine) == bench.sibling


@pytest.mark.parametrize(
    "chunks",
    [NEW, [*NEW, [(keyspace.space_prefix(5, 0) + b"\xff" * 8, b"x"), STATE]], [*NEW, [(b"P", b"x"), STATE]]],
    ids=["no state record", "a sibling's key", "no key of a partition"],
)
def test_what_is_no_snapshot_of_the_partition_is_refused(chunks: list[Any]):
    bench = Bench(chunks=chunks)
    installer = bench.install()
    bench.loop.run()
    assert isinstance(bench.outcomes[0], StagedDamaged)
    assert own(bench.engine, RIGHT) == bench.sibling
    assert [each.staged for each in installer.interrupted()] == ["7-3-1"]
    assert 7 in bench.installer().resume(bench.staging)


def test_a_busy_engine_and_a_full_disk_are_waited_out():
    bench = Bench()
    busy, full = EngineBusy("busy"), EngineFull("full")
    bench.engine.failures = [busy, busy, None, full, None, None, busy, full, None, full]
    bench.install()
    bench.loop.run()
    assert bench.outcomes == [None]
    assert bench.loop.now > 3.0
    assert contents(bench.engine) == {**bench.sibling, **EXPECTED}


def test_a_busy_engine_is_waited_out_at_the_start_too():
    bench = Bench()
    bench.install()
    bench.loop.run(steps=6)
    engine = bench.engine.after_crash(len(bench.engine.writes))
    assert engine.get(keyspace.installing(7)) is not None
    engine.failures = [EngineBusy("busy"), None, EngineFull("full")]
    pauses: list[float] = []
    assert bench.installer(engine).resume(bench.staging, pauses.append) == {}
    assert len(pauses) == 2
    assert contents(engine) == {**bench.sibling, **EXPECTED}


def test_a_failing_engine_is_reported_and_the_next_snapshot_gets_its_turn():
    bench = Bench()
    bench.engine.failures = [None, None, EngineError("i/o error")]
    installer = bench.install()
    staged = stage(bench.staging, "8-3-1", [[(keyspace.group_state(8), b"s")]], bench.loop)
    installer.install(8, RIGHT, staged, bench.outcomes.append)
    bench.loop.run()
    assert isinstance(bench.outcomes[0], EngineError)
    assert bench.outcomes[1:] == [None]
    assert [each.ranges.partition for each in installer.interrupted()] == [7]
    assert not bench.staged.in_use


def test_what_is_the_replica_s_own_is_not_taken_from_the_sender():
    bench = Bench()
    bench.install(adopt=lambda group, record: record + b" of %d" % group)
    bench.loop.run()
    assert bench.engine.get(keyspace.group_state(7)) == b"new state of 7"


def test_a_stopped_installer_leaves_the_rest_to_the_next_start():
    bench = Bench()
    installer = bench.install()
    bench.loop.run(steps=8)
    installer.stop()
    bench.loop.run()
    assert bench.outcomes == []
    assert bench.installer().resume(bench.staging) == {}
    assert contents(bench.engine) == {**bench.sibling, **EXPECTED}


def test_writes_are_slices_with_pauses_between_them():
    bench = Bench()
    bench.install(rate_bytes_per_s=1 << 20)
    bench.loop.run()
    assert max(len(mutations) for mutations, _ in bench.engine.writes or [([], [])]) <= 1000
    size = sum(len(key) + len(value) for key, value in EXPECTED.items())
    assert bench.loop.now > size / (1 << 20)


def test_erasing_leaves_the_siblings_and_ends_with_the_state_record():
    bench = Bench()
    installer = bench.installer()
    installer.erase(LEFT, bench.outcomes.append)
    while not bench.outcomes:
        for kept in range(len(bench.engine.writes) + 1):
            after = bench.engine.after_crash(kept)
            left = own(after, LEFT)
            assert after.get(keyspace.group_state(7)) is not None or not left
        bench.loop.run(steps=1)
    assert contents(bench.engine) == bench.sibling
