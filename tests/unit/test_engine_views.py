"""Views: what an engine held when they were made, whatever happens to it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hashrange_node.storage import Engine, EngineError
from hashrange_node.storage.rocks import RocksEngine

from tests.unit.engine_support import LAST, SMALL, everything, make_engine, numbered, write_patiently


@pytest.fixture(params=["memory", "rocks"])
def engine(request, tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(request.param, tmp_path / "engine")
    yield engine
    engine.close()


def test_a_view_stays_as_it_was(engine: Engine):
    engine.write(list(numbered(0, 500)))
    view = engine.view([(b"", LAST)])
    engine.write([(key, b"new") for key, _ in numbered(0, 100)], [(b"key00000200", b"key00000300")])
    engine.write(list(numbered(500, 500)))
    entries = view.entries()
    found = dict([next(entries) for _ in range(250)])
    engine.write([], [(b"", LAST)])
    engine.flush()
    engine.write([(key, b"newest") for key, _ in numbered(0, 500)])
    found.update(entries)
    assert found == dict(numbered(0, 500))
    view.close()


def test_ranges_come_in_the_order_asked_for_and_without_their_ends(engine: Engine):
    engine.write([(bytes([n]), b"%d" % n) for n in range(1, 10)])
    ranges = [
        (b"\7", b"\x08"),
        (b"\2", b"\4"),
        (b"\4", b"\4"),
        (b"\6", b"\5"),
        (b"\x20", b"\x30"),
        (b"\x09", LAST),
    ]
    view = engine.view(ranges)
    assert [key for key, _ in view.entries()] == [b"\7", b"\2", b"\3", b"\x09"]
    assert list(engine.view([]).entries()) == []
    view.close()


def test_a_closed_view_ends(engine: Engine):
    engine.write(list(numbered(0, 100)))
    view = engine.view([(b"", b"key00000050"), (b"key00000050", LAST)])
    entries = view.entries()
    assert [next(entries)[0] for _ in range(3)] == [key for key, _ in numbered(0, 3)]
    view.close()
    view.close()
    assert list(entries) == []


def test_several_views_do_not_meet(engine: Engine):
    views = []
    for n in range(5):
        engine.write([(b"key", b"%d" % n)])
        views.append(engine.view([(b"", LAST)]))
    assert [list(view.entries()) for view in views] == [[(b"key", b"%d" % n)] for n in range(5)]


def test_closing_the_engine_ends_the_views(tmp_path: Path):
    engine = make_engine("rocks", tmp_path / "db")
    engine.write(list(numbered(0, 100)))
    view = engine.view([(b"", LAST)])
    untouched = engine.view([(b"", LAST)])
    entries = view.entries()
    next(entries)
    engine.close()
    assert list(entries) == list(untouched.entries()) == []
    again = make_engine("rocks", tmp_path / "db")
    assert len(everything(again)) == 100
    again.close()


def test_a_view_costs_what_it_holds_and_gives_it_back(tmp_path: Path):
    engine = RocksEngine(tmp_path / "db", SMALL)
    write_patiently(engine, list(numbered(0, 20_000)))
    engine.flush()
    view = engine.view([(b"", LAST)])
    engine.write([], [(b"", LAST)])
    engine.flush()
    engine._db.compact_range(b"", LAST)
    assert _table_bytes(tmp_path) > 1 << 20
    assert sum(1 for _ in view.entries()) == 20_000
    view.close()
    engine.write([(b"a", b"b")])
    engine.flush()
    engine.close()  # waits for the files to be deleted
    assert _table_bytes(tmp_path) < 1 << 20


def _table_bytes(path: Path) -> int:
    return sum(table.stat().st_size for table in path.glob("db/*.sst"))


def test_a_damaged_block_is_an_error_never_an_end(tmp_path: Path):
    path = tmp_path / "db"
    engine = RocksEngine(path, SMALL)
    write_patiently(engine, list(numbered(0, 5_000)))
    engine.close()
    (table,) = path.glob("*.sst")
    with table.open("r+b") as file:
        middle = table.stat().st_size // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))
    engine = RocksEngine(path, SMALL)
    view = engine.view([(b"", LAST)])
    with pytest.raises(EngineError):
        list(view.entries())
    view.close()
    engine.close()
