"""RocksEngine: files, crashes, damage, full disks, and the ways of the library underneath."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
from hashrange_node.storage import EngineBusy, EngineError, EngineFull
from hashrange_node.storage.flushmark import MARK_NAME
from hashrange_node.storage.options import RocksSettings
from hashrange_node.storage.rocks import RocksEngine
from rocksdict import ReadOptions

from tests.unit.engine_support import LAST, SMALL, everything, numbered, write_patiently
from tests.unit.log_support import grow_disk, small_disk

ROOT = Path(__file__).resolve().parent.parent.parent


def test_what_was_written_is_there_after_reopening(tmp_path: Path):
    engine = RocksEngine(tmp_path / "db", SMALL)
    engine.write(list(numbered(0, 5000)))
    engine.close()
    engine = RocksEngine(tmp_path / "db", SMALL)
    assert everything(engine) == dict(numbered(0, 5000))
    engine.close()


def test_the_same_settings_hold_after_reopening(tmp_path: Path):
    """rocksdict on its own would go back to 8 MB of cache and no bloom filter."""
    settings = RocksSettings(block_cache_bytes=3 << 20, write_buffer_bytes=2 << 20)
    for _ in range(2):
        engine = RocksEngine(tmp_path / "db", settings)
        engine.write(list(numbered(0, 10)))
        assert engine._db.property_int_value("rocksdb.block-cache-capacity") == 3 << 20
        engine.close()
        stored = max(tmp_path.glob("db/OPTIONS-*")).read_text()
        assert "filter_policy=bloomfilter" in stored
        assert f"write_buffer_size={2 << 20}" in stored


def test_a_scan_that_is_still_held_does_not_keep_the_database_open(tmp_path: Path):
    engine = RocksEngine(tmp_path / "db", SMALL)
    engine.write(list(numbered(0, 100)))
    held = [engine.scan(b"", LAST), engine.scan(b"", LAST, reverse=True)]
    next(held[0])
    engine.close()
    assert [list(each) for each in held] == [[], []]
    engine = RocksEngine(tmp_path / "db", SMALL)
    engine.close()


def test_the_bounds_of_a_scan_outlive_the_call_that_made_it(tmp_path: Path):
    engine = RocksEngine(tmp_path / "db", SMALL)
    engine.write(list(numbered(0, 1000)))
    for n in range(0, 900, 7):
        lo, hi = next(numbered(n, 1))[0], next(numbered(n + 10, 1))[0]
        scans = [engine.scan(lo, hi, reverse) for reverse in (False, True)]
        # The options own the memory of the bounds; without them a scan ends somewhere, or not at all.
        for scan in scans:
            assert any(isinstance(held, ReadOptions) for held in scan.gi_frame.f_locals.values())
            assert len(list(scan)) == 10
    engine.close()


WRITER = """
import sys
from pathlib import Path
from hashrange_node.storage.options import RocksSettings
from hashrange_node.storage.rocks import RocksEngine
from tests.unit.engine_support import write_patiently
engine = RocksEngine(Path(sys.argv[1]), RocksSettings(1 << 20, 1 << 20))
number = 0
while True:
    number += 1
    write_patiently(engine, [(b"%d" % (number % 1000), b"%d" % number + bytes(500)), (b"z", b"%d" % number)])
    if number % 5000 == 0:
        engine.flush()
        print(number, flush=True)
"""


def test_a_killed_process_leaves_whole_writes_in_order(tmp_path: Path):
    """After kill -9 the engine holds the effects of the first n writes, n at least what was flushed."""
    for run in range(3):
        path = tmp_path / str(run)
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert child.stdout is not None
        flushed = [int(child.stdout.readline()) for _ in range(run + 1)][-1]
        time.sleep(0.02 * run)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        engine = RocksEngine(path, SMALL)
        state = everything(engine)
        last = int(state.pop(b"z"))
        assert last >= flushed
        expected = {b"%d" % (n % 1000): b"%d" % n + bytes(500) for n in range(last - 999, last + 1)}
        assert state == expected
        engine.close()


def test_a_flipped_byte_in_a_table_file_is_never_returned(tmp_path: Path):
    path = tmp_path / "db"
    engine = RocksEngine(path, SMALL)
    written = dict(numbered(0, 2000, size=400))
    engine.write(list(written.items()))
    engine.close()
    table = next(path.glob("*.sst"))
    whole = table.read_bytes()
    keys = list(written)
    scans_failed = 0
    for place in range(1, 12):
        changed = bytearray(whole)
        changed[len(whole) * place // 12] ^= 0x10
        table.write_bytes(changed)
        try:
            engine = RocksEngine(path, SMALL)
        except EngineError:
            continue
        failures = 0
        for key in keys:
            try:
                assert engine.get(key) == written[key]
            except EngineError:
                failures += 1
        if failures:
            with pytest.raises(EngineError):
                engine.get_many(keys)
        for reverse in (False, True):
            # A scan must not end early without a word; it may not need the changed block at all.
            try:
                assert len(list(engine.scan(b"", LAST, reverse))) == len(written)
            except EngineError:
                scans_failed += 1
        engine.close()
    assert scans_failed > 5


def test_a_missing_table_file_is_noticed(tmp_path: Path):
    engine = RocksEngine(tmp_path / "db", SMALL)
    engine.write(list(numbered(0, 2000)))
    engine.close()
    next((tmp_path / "db").glob("*.sst")).unlink()
    with pytest.raises(EngineError):
        RocksEngine(tmp_path / "db", SMALL)


def test_a_damaged_manifest_never_means_an_emptier_database(tmp_path: Path):
    path = tmp_path / "db"
    engine = RocksEngine(path, SMALL)
    written = dict(numbered(0, 500))
    engine.write(list(written.items()))
    engine.close()
    manifest = next(path.glob("MANIFEST-*"))
    before = {each: each.read_bytes() for each in path.iterdir()}
    size = len(before[manifest])
    refused = 0
    for place in range(60):
        for each in path.iterdir():
            each.unlink()
        for each, content in before.items():
            each.write_bytes(content)
        changed = bytearray(before[manifest])
        changed[size * place // 60] ^= 1 << place % 8
        manifest.write_bytes(changed)
        try:
            engine = RocksEngine(path, SMALL)
        except EngineError:
            refused += 1
            continue
        assert everything(engine) == written, place
        engine.close()
    assert refused > 30
    for each, content in before.items():
        each.write_bytes(content)
    # Cut to half: RocksDB by itself would open what the first half describes.
    for size in range(0, len(before[manifest]), 20):
        manifest.write_bytes(before[manifest][:size])
        with pytest.raises(EngineError):
            RocksEngine(path, SMALL)


@pytest.mark.parametrize("name", ["CURRENT", MARK_NAME])
def test_a_database_that_lost_a_vital_file_is_not_begun_anew(tmp_path: Path, name: str):
    path = tmp_path / "db"
    engine = RocksEngine(path, SMALL)
    engine.write(list(numbered(0, 500)))
    engine.close()
    (path / name).unlink()
    tables = sorted(path.glob("*.sst"))
    with pytest.raises(EngineError, match="Rebuild this node"):
        RocksEngine(path, SMALL)
    assert sorted(path.glob("*.sst")) == tables


def test_a_file_in_the_way_is_an_engine_error(tmp_path: Path):
    (tmp_path / "db").write_text("not a directory")
    with pytest.raises(EngineError, match="cannot be opened"):
        RocksEngine(tmp_path / "db", SMALL)


def test_a_full_disk_refuses_writes_keeps_reading_and_recovers(tmp_path: Path):
    with small_disk(tmp_path / "disk", "12m") as disk:
        engine = RocksEngine(disk / "db", SMALL)
        number = 0
        with pytest.raises(EngineFull):
            while number < 100_000:
                write_patiently(engine, [(b"key%08d" % number, os.urandom(500)), (b"last", b"%d" % number)])
                number += 1
        assert number < 100_000
        # Nothing of the refused write is there, everything before it is, in memory or on disk.
        assert engine.get(b"last") == b"%d" % (number - 1)
        assert engine.get(b"key%08d" % number) is None
        assert sum(1 for _ in engine.scan(b"key", b"kez")) == number
        for _ in range(100):
            with pytest.raises(EngineError):
                engine.write([(b"key", b"x"), (b"last", b"x")])
            with pytest.raises(EngineError):
                engine.write([(b"key", b"x")])
        with pytest.raises(EngineFull):
            engine.flush()
        grow_disk(disk, "64m")
        deadline = time.monotonic() + 60
        while True:
            try:
                engine.write([(b"again", b"x")])
                break
            except EngineError:
                assert time.monotonic() < deadline, "writes never worked again"
                time.sleep(0.05)
        engine.flush()
        engine.close()
        engine = RocksEngine(disk / "db", SMALL)
        assert engine.get(b"last") == b"%d" % (number - 1)
        assert engine.get(b"again") == b"x"
        assert sum(1 for _ in engine.scan(b"key", b"kez")) == number
        engine.close()


def test_writes_that_outrun_the_disk_are_refused_not_stalled(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hashrange_node.storage.rocks.STALL_WAIT_SECONDS", 0.01)
    engine = RocksEngine(tmp_path / "db", RocksSettings(1 << 20, 64 << 10))
    number = 0
    with pytest.raises(EngineBusy):
        while number < 20_000:
            engine.write([(b"key%08d" % number, bytes(60_000)), (b"last", b"%d" % number)])
            number += 1
    assert engine.get(b"key%08d" % number) is None
    assert engine.get(b"last") == b"%d" % (number - 1)
    assert engine.statistics()["write_stalls"] > 0
    monkeypatch.setattr("hashrange_node.storage.rocks.STALL_WAIT_SECONDS", 30)
    engine.write([(b"last", b"written after a wait")])
    assert engine.get(b"last") == b"written after a wait"
    engine.close()


def test_many_deletions_reach_a_file_and_are_compacted_away(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hashrange_node.storage.rocks.DELETIONS_BEFORE_FLUSH", 1000)
    engine = RocksEngine(tmp_path / "db", RocksSettings(1 << 20, 8 << 20))
    engine.write(list(numbered(0, 20_000)))
    engine.flush()
    engine._db.compact_range(None, None)
    for n in range(0, 19_990, 10):
        engine.write([(key, None) for key, _ in numbered(n, 10)])
    engine.flush()
    deadline = time.monotonic() + 30
    while sum(int(each["num_deletions"]) for each in engine._db.live_files()) > 1000:
        assert time.monotonic() < deadline, "deletions were not compacted"
        time.sleep(0.02)
    assert list(islice(engine.scan(b"", LAST), 20)) == list(numbered(19_990, 10))
    engine.close()
