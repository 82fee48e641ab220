"""Capacity arithmetic and the shapes of ConsumedCapacity and ItemCollectionMetrics."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.model.table_units import (
    CapacityTally,
    consumed_table_only,
    consumed_total,
    index_write_units_half,
    item_collection_metrics,
    read_units_half,
    write_units_half,
)


@pytest.mark.parametrize(
    ("size", "strong_half", "eventual_half"),
    [(0, 2, 1), (1, 2, 1), (4096, 2, 1), (4097, 4, 2), (8192, 4, 2), (409_600, 200, 100)],
)
def test_reads_round_up_to_4_kb(size: int, strong_half: int, eventual_half: int) -> None:
    assert read_units_half(size, True) == strong_half
    assert read_units_half(size, False) == eventual_half


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (1024, 1), (1025, 2), (2048, 2), (409_600, 400)])
def test_writes_round_up_to_1_kb(size: int, units: int) -> None:
    assert write_units_half(size) == 2 * units


@pytest.mark.parametrize(
    ("case", "half"),
    [
        ({"old_bytes": None, "new_bytes": None, "moved": False, "changed": False}, 0),
        ({"old_bytes": None, "new_bytes": 10, "moved": False, "changed": True}, 2),
        ({"old_bytes": 10, "new_bytes": None, "moved": False, "changed": True}, 2),
        ({"old_bytes": 10, "new_bytes": 10, "moved": True, "changed": True}, 4),
        ({"old_bytes": 10, "new_bytes": 3000, "moved": True, "changed": True}, 2 + 6),
        ({"old_bytes": 3000, "new_bytes": 10, "moved": False, "changed": True}, 6),
        ({"old_bytes": 10, "new_bytes": 10, "moved": False, "changed": False}, 0),
    ],
)
def test_an_index_costs_the_change_of_its_entry(case: dict[str, Any], half: int) -> None:
    assert index_write_units_half(**case) == half


def test_half_units_become_numbers_in_the_reply() -> None:
    assert consumed_total("t", 1) == {"TableName": "t", "CapacityUnits": 0.5}
    assert consumed_total("t", 2) == {"TableName": "t", "CapacityUnits": 1.0}
    assert consumed_table_only("t", 3) == {
        "TableName": "t",
        "CapacityUnits": 1.5,
        "Table": {"CapacityUnits": 1.5},
    }


def test_a_tally_renders_each_mode() -> None:
    tally = CapacityTally("t")
    tally.add_table(2)
    tally.add_index("GSI", "g", 4)
    tally.add_index("GSI", "g", 2)
    tally.add_index("GSI", "untouched", 0)
    tally.add_index("LSI", "l", 2)
    assert tally.render("NONE") is None
    assert tally.render("TOTAL") == {"TableName": "t", "CapacityUnits": 5.0}
    assert tally.render("INDEXES") == {
        "TableName": "t",
        "CapacityUnits": 5.0,
        "Table": {"CapacityUnits": 1.0},
        "GlobalSecondaryIndexes": {"g": {"CapacityUnits": 3.0}},
        "LocalSecondaryIndexes": {"l": {"CapacityUnits": 1.0}},
    }


def test_arms_without_indexes_are_absent() -> None:
    tally = CapacityTally("t")
    tally.add_table(1)
    assert tally.render("INDEXES") == consumed_table_only("t", 1)


@pytest.mark.parametrize(("kind", "member"), [("READ", "ReadCapacityUnits"), ("WRITE", "WriteCapacityUnits")])
def test_transactions_split_reads_from_writes(kind: Any, member: str) -> None:
    tally = CapacityTally("t", kind)
    tally.add_table(4)
    tally.add_index("GSI", "g", 2)
    assert tally.render("INDEXES") == {
        "TableName": "t",
        "CapacityUnits": 3.0,
        member: 3.0,
        "Table": {"CapacityUnits": 2.0, member: 2.0},
        "GlobalSecondaryIndexes": {"g": {"CapacityUnits": 1.0, member: 1.0}},
    }


@pytest.mark.parametrize(
    ("size", "bounds"), [(0, [0.0, 1.0]), (1 << 30, [1.0, 2.0]), ((3 << 30) - 1, [2.0, 3.0])]
)
def test_a_collection_lies_between_whole_gigabytes(size: int, bounds: list[float]) -> None:
    assert item_collection_metrics("pk", {"S": "x"}, size) == {
        "ItemCollectionKey": {"pk": {"S": "x"}},
        "SizeEstimateRangeGB": bounds,
    }
