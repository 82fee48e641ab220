"""Reading a run of items in slices: whatever the slice, the page is that of one go."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.replica.place import Place
from hashrange_node.replica.reads import SLICE_ENTRIES, RangeRead
from hashrange_node.storage import keyspace
from hashrange_node.storage.memory import MemoryEngine

from hashrange.expr import compile_condition, compile_projection
from hashrange.model import record as records
from hashrange.model.value import dump
from hashrange.wire.messages import RangeResult, ReadRange

from .node_support import Bench

COUNT = 57


def engine_with_items() -> MemoryEngine:
    engine = MemoryEngine()
    prefix = keyspace.space_prefix(1, keyspace.ITEMS)
    engine.write(
        [
            (
                prefix + bytes((number,)) * 8,
                records.pack(dump({"n": {"N": str(number)}, "s": {"S": "x"}}), 10, 1, 1),
            )
            for number in range(COUNT)
        ]
    )
    return engine


def page(engine: MemoryEngine, slice_entries: int, **settings: Any) -> RangeResult:
    request = ReadRange(1, 1, 0, b"", b"\xff")
    request.max_bytes = 1 << 20
    for name, value in settings.items():
        setattr(request, name, value)
    read = RangeRead(engine, request, None, Place.only(1))
    while not read.step(slice_entries):
        pass
    return read.result


def contents(result: RangeResult) -> list[Any]:
    return [getattr(result, name) for name in RangeResult.__slots__]


EVEN = compile_condition("n BETWEEN :a AND :b", None, {":a": {"N": "5"}, ":b": {"N": "30"}})


@pytest.mark.parametrize("slice_entries", [1, 2, 7, 56, 57, 58])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"reverse": True},
        {"limit": 1},
        {"limit": 14},
        {"limit": 56},
        {"limit": 57},
        {"limit": 58, "reverse": True},
        {"max_bytes": 10},
        {"max_bytes": 141},
        {"max_bytes": 140, "reverse": True},
        {"max_bytes": 140, "limit": 14},
        {"filter": EVEN},
        {"filter": EVEN, "count_only": True, "limit": 20},
        {"count_only": True},
        {"projection": compile_projection("s"), "reverse": True},
    ],
)
def test_slices_make_the_page_of_one_go(settings: dict[str, Any], slice_entries: int) -> None:
    engine = engine_with_items()
    whole = page(engine, SLICE_ENTRIES, **settings)
    assert contents(page(engine, slice_entries, **settings)) == contents(whole)


def test_what_one_go_reads() -> None:
    engine = engine_with_items()
    assert page(engine, SLICE_ENTRIES).last is None
    assert page(engine, SLICE_ENTRIES).scanned == COUNT
    limited = page(engine, SLICE_ENTRIES, limit=COUNT)
    assert limited.last is not None
    assert page(engine, SLICE_ENTRIES, max_bytes=141).scanned == 15
    assert page(engine, SLICE_ENTRIES, max_bytes=140).scanned == 14


def test_a_long_page_lets_others_have_their_turn() -> None:
    bench = Bench()
    bench.create()
    for number in range(SLICE_ENTRIES * 2 + 10):
        bench.put({"pk": {"S": str(number)}})
    bench.scheduler.run(200)
    part = bench.schema().partitions.all[0].id
    message = ReadRange(part, 1, 0, b"", b"\xff" * 9)
    message.max_bytes = 1 << 20
    answers = bench.send(message)
    assert answers == []
    bench.scheduler.tick()
    assert answers == []
    bench.scheduler.tick()
    assert answers[0].scanned == SLICE_ENTRIES * 2 + 10


def test_a_table_deleted_between_two_slices_is_not_found() -> None:
    bench = Bench()
    bench.create()
    for number in range(SLICE_ENTRIES + 10):
        bench.put({"pk": {"S": str(number)}})
    bench.scheduler.run(200)
    part = bench.schema().partitions.all[0].id
    message = ReadRange(part, 1, 0, b"", b"\xff" * 9)
    message.max_bytes = 1 << 20
    answers = bench.send(message)
    bench.node.close_replica(part)
    bench.scheduler.tick()
    assert answers[0].type_name == "ResourceNotFoundException"
