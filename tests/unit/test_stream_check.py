"""The checker of streams finds what it is for: records that are lost, doubled, out of order or made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.streams.changes import Known
from tests.cluster.streams.check import chain_faults, lineage_faults, open_leaves
from tests.cluster.streams.reader import StreamReader

Records = list[dict[str, Any]]


def item(number: int) -> dict[str, Any]:
    return {"k": {"S": "a"}, "n": {"N": str(number)}}


def records(*states: int) -> Records:
    """The records of one item that takes these states; 0 is a deletion."""
    found: Records = []
    before: dict[str, Any] = {}
    for place, state in enumerate(states, start=10):
        change: dict[str, Any] = {"Keys": {"k": {"S": "a"}}, "SequenceNumber": f"{place:021d}"}
        if before:
            change["OldImage"] = before
        if state:
            change["NewImage"] = item(state)
        name = "INSERT" if not before else "MODIFY" if state else "REMOVE"
        before = item(state) if state else {}
        found.append({"eventID": f"e{place}", "eventName": name, "dynamodb": change})
    return found


def known(*states: int) -> dict[str, Known]:
    """All acknowledged, but for negative ones."""
    return {"a": Known([(abs(state), state >= 0) for state in states])}


WRITTEN = (1, 2, 0, 4, -5, 6)
RIGHT = records(1, 2, 0, 4, 5, 6)


@pytest.mark.parametrize("chain", [RIGHT, records(1, 2, 0, 4, 6)])
def test_a_right_stream_has_no_fault(chain: Records) -> None:
    assert chain_faults(chain, known(*WRITTEN), {"a": item(6)}) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda r: r[:1] + r[2:], "acknowledged and not there: [2]"),
        (lambda r: r[:-1], "the last record leaves"),
        (lambda r: r[:2] + r[1:], "a state is there twice"),
        (lambda r: [r[1], r[0], *r[2:]], "the item before"),
        (lambda r: [{**r[0], "eventName": "MODIFY"}, *r[1:]], "MODIFY at"),
        (lambda r: r[:2] + r[3:], "the item before"),
        (lambda r: records(1, 2, 0, 4, 7, 6), "nobody wrote 7"),
        (lambda r: records(2, 1, 0, 4, 6), "acknowledged changes are out of order"),
    ],
)
def test_damage_is_found(damage: Callable[[Records], Records], fault: str) -> None:
    faults = chain_faults(damage(list(RIGHT)), known(*WRITTEN), {"a": item(6)})
    assert any(fault in each for each in faults), faults


def reader_of(parent: Records, child: Records, **child_range: str) -> StreamReader:
    reader = StreamReader(None, "arn")
    bounds = {"StartingSequenceNumber": "9", "EndingSequenceNumber": "20"}
    reader.shards["p"] = {"ShardId": "p", "SequenceNumberRange": bounds}
    later = {"StartingSequenceNumber": "21", **child_range}
    reader.shards["c"] = {"ShardId": "c", "ParentShardId": "p", "SequenceNumberRange": later}
    reader.read = {"p": parent, "c": child}
    reader.order = [*parent, *child]
    return reader


def numbered(number: int) -> dict[str, Any]:
    return {"eventID": f"e{number}", "dynamodb": {"SequenceNumber": f"{number:021d}"}}


def test_a_right_lineage_has_no_fault() -> None:
    reader = reader_of([numbered(10), numbered(20)], [numbered(22)])
    assert lineage_faults(reader) == []
    assert open_leaves(reader) == 1


@pytest.mark.parametrize(
    ("reader", "fault"),
    [
        (reader_of([numbered(12), numbered(11)], []), "the numbers of p do not grow"),
        (reader_of([numbered(12)], [numbered(12)]), "was read twice"),
        (reader_of([numbered(25)], []), "records of p lie outside of its range"),
        (reader_of([], [], StartingSequenceNumber="20"), "c begins before the end of its parent"),
    ],
)
def test_damage_of_a_lineage_is_found(reader: StreamReader, fault: str) -> None:
    assert any(fault in each for each in lineage_faults(reader)), lineage_faults(reader)
