"""The contract of storage engines, the same for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hashrange_node.storage import Engine

from tests.unit.engine_support import LAST, everything, make_engine, numbered


@pytest.fixture(params=["memory", "rocks"])
def engine(request, tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(request.param, tmp_path / "engine")
    yield engine
    engine.close()


def test_a_write_is_visible_at_once(engine: Engine):
    assert engine.get(b"a") is None
    engine.write([(b"a", b"1")])
    assert engine.get(b"a") == b"1"
    engine.write([(b"a", b"2"), (b"b", b""), (b"c", b"3")])
    assert engine.get_many([b"c", b"x", b"a", b"b"]) == [b"3", None, b"2", b""]
    engine.write([(b"a", None)])
    assert engine.get(b"a") is None
    engine.write([(b"a", None)])
    engine.write([])
    assert everything(engine) == {b"b": b"", b"c": b"3"}


def test_the_last_mutation_of_a_key_in_a_batch_counts(engine: Engine):
    engine.write([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2")])
    assert everything(engine) == {b"b": b"2"}


def test_scans_are_half_open_ordered_and_go_both_ways(engine: Engine):
    engine.write([(bytes([n]), b"%d" % n) for n in (5, 1, 3, 9, 7)])
    keys = [key for key, _ in engine.scan(b"\1", b"\7")]
    assert keys == [b"\1", b"\3", b"\5"]
    assert [key for key, _ in engine.scan(b"\1", b"\7", reverse=True)] == keys[::-1]
    assert list(engine.scan(b"\2", b"\6")) == [(b"\3", b"3"), (b"\5", b"5")]
    assert list(engine.scan(b"", LAST)) == [(bytes([n]), b"%d" % n) for n in (1, 3, 5, 7, 9)]
    assert list(engine.scan(b"\xf0", LAST, reverse=True)) == []
    for lo, hi in ((b"\3", b"\3"), (b"\7", b"\1")):
        assert list(engine.scan(lo, hi)) == list(engine.scan(lo, hi, reverse=True)) == []


def test_keys_are_ordered_as_bytes_of_any_value_and_length(engine: Engine):
    keys = [b"\0", b"\0\0", b"\0\xff", b"\1", b"a", b"a\0", b"aa", b"\xff", b"\xff\xff"]
    engine.write([(key, key) for key in reversed(keys)])
    assert [key for key, _ in engine.scan(b"", LAST)] == keys
    assert [key for key, _ in engine.scan(b"a", b"b")] == [b"a", b"a\0", b"aa"]


def test_scans_step_over_what_was_deleted(engine: Engine):
    engine.write(list(numbered(0, 1000)))
    engine.write([(key, None) for key, _ in numbered(10, 980)])
    assert [key for key, _ in engine.scan(b"", LAST)] == [
        k for k, _ in (*numbered(0, 10), *numbered(990, 10))
    ]


def test_a_scan_may_be_left_unfinished(engine: Engine):
    engine.write(list(numbered(0, 100)))
    for _ in range(200):
        assert list(islice(engine.scan(b"", LAST), 3)) == list(numbered(0, 3))
        engine.scan(b"", LAST)


def test_ranges_are_deleted_before_the_mutations_of_the_same_write(engine: Engine):
    engine.write(list(numbered(0, 100)))
    (lo, _), (hi, _) = next(numbered(20, 1)), next(numbered(80, 1))
    engine.write([(lo, b"new")], [(lo, hi), (b"z", b"z"), (b"z", b"a")])
    kept = {**dict(numbered(0, 20)), lo: b"new", **dict(numbered(80, 20))}
    assert everything(engine) == kept


def test_the_size_of_a_range_is_exact_when_it_is_small(engine: Engine):
    engine.write(list(numbered(0, 100)))
    size = sum(len(key) + len(value) for key, value in numbered(10, 50))
    assert engine.approximate_size(next(numbered(10, 1))[0], next(numbered(60, 1))[0]) == size
    assert engine.approximate_size(b"", b"a") == 0
    assert engine.approximate_size(b"z", b"a") == 0


def test_the_size_of_a_large_range_is_near(engine: Engine):
    import random

    source = random.Random(5)
    for _ in range(20):
        engine.write([(source.randbytes(12), source.randbytes(500)) for _ in range(1000)])
    engine.flush()
    half = engine.approximate_size(b"", b"\x80")
    assert 0.7 < half / (10_000 * 512) < 1.3
    assert 0.7 < engine.approximate_size(b"", LAST) / (20_000 * 512) < 1.3


def test_large_values_come_back(engine: Engine):
    value = bytes(range(256)) * 4096 * 2
    engine.write([(b"large", value), (b"empty", b"")])
    engine.flush()
    assert engine.get(b"large") == value
    assert everything(engine) == {b"large": value, b"empty": b""}


def test_statistics_are_numbers_with_names(engine: Engine):
    engine.write(list(numbered(0, 10)))
    found = engine.statistics()
    assert found
    assert all(isinstance(value, float) for value in found.values())


def test_closing_twice_is_harmless(engine: Engine):
    engine.write([(b"a", b"1")])
    engine.close()
    engine.close()
