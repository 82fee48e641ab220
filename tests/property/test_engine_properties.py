"""Engines behave like a sorted dictionary, whatever is done to them in whatever order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hashrange_node.storage.sizes import FileSpan, estimate
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.engine_support import make_engine

KEY = st.binary(min_size=1, max_size=3) | st.binary(min_size=1, max_size=12)
VALUE = st.none() | st.binary(max_size=20)
BOUND = st.binary(max_size=3)
WRITE = st.tuples(
    st.just("write"),
    st.lists(st.tuples(KEY, VALUE), max_size=6),
    st.lists(st.tuples(BOUND, BOUND), max_size=2),
)
READ = st.tuples(st.just("scan"), BOUND, BOUND, st.booleans())
STEP = WRITE | READ | st.tuples(st.just("get"), st.lists(KEY, max_size=4)) | st.tuples(st.just("flush"))


@pytest.mark.parametrize("kind", ["memory", "rocks"])
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, max_size=25))
def test_an_engine_is_a_sorted_dictionary(kind: str, steps: list[tuple]):
    model: dict[bytes, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="hashrange-engine-") as folder:
        engine = make_engine(kind, Path(folder) / "db")
        for step in steps:
            if step[0] == "write":
                _, mutations, ranges = step
                engine.write(mutations, ranges)
                for lo, hi in ranges:
                    model = {key: value for key, value in model.items() if not lo <= key < hi}
                for key, value in mutations:
                    model.pop(key, None)
                    if value is not None:
                        model[key] = value
            elif step[0] == "scan":
                _, lo, hi, reverse = step
                expected = sorted((item for item in model.items() if lo <= item[0] < hi), reverse=reverse)
                assert list(engine.scan(lo, hi, reverse)) == expected
                assert engine.approximate_size(lo, hi) == sum(
                    len(key) + len(value) for key, value in expected
                )
            elif step[0] == "get":
                assert engine.get_many(step[1]) == [model.get(key) for key in step[1]]
                assert [engine.get(key) for key in step[1]] == [model.get(key) for key in step[1]]
            else:
                engine.flush()
        if kind == "rocks":
            engine.close()
            engine = make_engine(kind, Path(folder) / "db")
        assert dict(engine.scan(b"", b"\xff" * 20)) == model
        engine.close()


KEYS = st.binary(max_size=20)


@given(st.lists(st.tuples(KEYS, KEYS, st.integers(0, 2**40)), max_size=5), KEYS, KEYS, KEYS)
def test_estimated_sizes_are_within_bounds_and_grow_with_the_range(spans, first, second, third):
    files = [FileSpan(min(a, b), max(a, b), size) for a, b, size in spans]
    lo, middle, hi = sorted((first, second, third))
    whole = estimate(files, lo, hi)
    assert 0 <= whole <= sum(each.size for each in files)
    if lo < middle:
        assert estimate(files, lo, middle) <= whole + len(files)
