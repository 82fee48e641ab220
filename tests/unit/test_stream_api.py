"""The four operations of the streams API over made-up partitions: splits and races that a node rarely shows."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.streams.gathering import uncovered
from hashrange_router.streams.paging import shards_page

from hashrange.errors import ApiError
from hashrange.model.deleted_table import retired
from hashrange.model.stream_sequence import sequence_of, sequence_text
from hashrange.model.table_document import HASH_MAX
from hashrange.wire.streams import LocateRecord, ReadRecords, ReadShards

from .stream_support import FakeStream, numbers, shard_ids

UNKNOWN_SHARD = "shardId-00000001795404353929-545b3601"


@pytest.fixture
def stream() -> FakeStream:
    return FakeStream()


def described(stream: FakeStream, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = stream.ask("DescribeStream", StreamArn=stream.arn, **more)["StreamDescription"]
    return found


# Gathering.


def test_what_no_answer_covers_is_asked_next() -> None:
    assert uncovered([(0, HASH_MAX)], [(0, 9)]) == [(10, HASH_MAX)]
    assert uncovered([(0, 99)], [(10, 19), (30, 39)]) == [(0, 9), (20, 29), (40, 99)]
    assert uncovered([(0, 9), (10, 19)], [(0, 9), (10, 19)]) == []
    assert uncovered([(5, 9)], [(0, 7)]) == [(8, 9)]


def test_shards_of_partitions_that_were_split_unnoticed_are_all_found(stream: FakeStream) -> None:
    low, high = stream.split(stream.partitions[0], 100)
    grandchildren = stream.split(stream.partitions[1], 100)
    listed = shard_ids(described(stream)["Shards"])
    assert set(listed) == {stream.first.id, low.id, high.id, *shard_ids(grandchildren)}
    assert listed.index(stream.first.id) == 0
    assert listed.index(high.id) < min(listed.index(each.id) for each in grandchildren)


def test_a_closed_parent_is_never_listed_without_its_children(stream: FakeStream) -> None:
    low, high = stream.split(stream.partitions[0], 100)
    shards = described(stream)["Shards"]
    assert [shard.get("ParentShardId") for shard in shards] == [None, stream.first.id, stream.first.id]
    assert shards[0]["SequenceNumberRange"] == {
        "StartingSequenceNumber": sequence_text(sequence_of(1, 1)),
        "EndingSequenceNumber": sequence_text(sequence_of(1, 100)),
    }
    assert "EndingSequenceNumber" not in shards[1]["SequenceNumberRange"]
    assert [shard["ShardId"] for shard in shards[1:]] == [low.id, high.id]


# DescribeStream.


def test_shards_come_in_pages(stream: FakeStream) -> None:
    stream.split(stream.partitions[0], 100)
    whole = shard_ids(described(stream)["Shards"])
    first = described(stream, Limit=2)
    assert shard_ids(first["Shards"]) == whole[:2]
    assert first["LastEvaluatedShardId"] == whole[1]
    second = described(stream, Limit=2, ExclusiveStartShardId=whole[1])
    assert shard_ids(second["Shards"]) == whole[2:]
    assert "LastEvaluatedShardId" not in second
    assert described(stream, ExclusiveStartShardId=whole[2])["Shards"] == []


def test_a_page_goes_on_where_a_shard_was_that_is_trimmed_away(stream: FakeStream) -> None:
    low, high = stream.split(stream.partitions[0], 100)
    del stream.partitions[0].shards[stream.first.id]
    assert shard_ids(described(stream, ExclusiveStartShardId=stream.first.id)["Shards"]) == [low.id, high.id]
    assert shards_page([low, high], "x" * 30, 10) == ([], False)


def test_children_of_a_shard(stream: FakeStream) -> None:
    low, high = stream.split(stream.partitions[0], 100)

    def children(shard_id: str) -> list[str]:
        wanted = {"Type": "CHILD_SHARDS", "ShardId": shard_id}
        return shard_ids(described(stream, ShardFilter=wanted)["Shards"])

    assert children(stream.first.id) == [low.id, high.id]
    assert children(low.id) == children(UNKNOWN_SHARD) == []
    del stream.partitions[0].shards[stream.first.id]
    assert children(stream.first.id) == [low.id, high.id]


def test_a_filter_needs_its_type_and_excludes_paging(stream: FakeStream) -> None:
    wanted = {"ShardId": UNKNOWN_SHARD}
    code, text = stream.refused("DescribeStream", StreamArn=stream.arn, ShardFilter=wanted)
    assert code == "ValidationException"
    assert text is not None and "'shardFilter.type'" in text
    assert stream.refused(
        "DescribeStream",
        StreamArn=stream.arn,
        ShardFilter={"Type": "CHILD_SHARDS", "ShardId": UNKNOWN_SHARD},
        ExclusiveStartShardId=UNKNOWN_SHARD,
    ) == (
        "ValidationException",
        "ShardFilter and ExclusiveStartShardId both should not be specified in the request.",
    )


# Streams that are off, and of deleted tables.


def test_the_streams_of_a_deleted_table_are_listed_and_described(stream: FakeStream) -> None:
    gone = retired(stream.document, stream.now_s + 1, 86_400)
    stream.context.follow("orders", stream.document, None)
    stream.follow(gone, gone["TableName"])
    listed = [{"StreamArn": stream.arn, "TableName": "orders", "StreamLabel": stream.label}]
    assert stream.ask("ListStreams")["Streams"] == listed
    assert stream.ask("ListStreams", TableName="orders")["Streams"] == listed
    description = described(stream)
    assert (description["StreamStatus"], description["TableName"]) == ("DISABLED", "orders")
    stream.context.follow(gone["TableName"], gone, None)
    assert stream.ask("ListStreams")["Streams"] == []
    assert stream.refused("DescribeStream", StreamArn=stream.arn) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: {stream.arn} not found",
    )


def test_streams_of_a_table_come_newest_first_and_in_pages(stream: FakeStream) -> None:
    document = stream.document | {
        "Streams": [
            {
                "Label": f"2026-11-2{day}T00:00:00.000",
                "Arn": f"{stream.document['TableArn']}/stream/2026-11-2{day}T00:00:00.000",
                "ViewType": "KEYS_ONLY",
                "CreatedAt": float(day),
                "DisabledAt": float(day),
            }
            for day in range(5)
        ]
    }
    stream.follow(document)
    labels: list[str] = []
    start: dict[str, Any] = {}
    for _ in range(3):
        page = stream.ask("ListStreams", TableName="orders", Limit=2, **start)
        labels += [each["StreamLabel"] for each in page["Streams"]]
        start = {"ExclusiveStartStreamArn": page.get("LastEvaluatedStreamArn", "")}
    assert start == {"ExclusiveStartStreamArn": ""}
    assert labels == [f"2026-11-2{day}T00:00:00.000" for day in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    ("changing", "disabled", "status"),
    [
        ("ENABLE", False, "ENABLING"),
        (None, False, "ENABLED"),
        ("DISABLE", True, "DISABLING"),
        (None, True, "DISABLED"),
    ],
)
def test_the_status_of_a_stream(
    stream: FakeStream, changing: str | None, disabled: bool, status: str
) -> None:
    document = stream.document | {"Streams": [dict(stream.document["Streams"][0])]}
    if changing is not None:
        document["StreamChanging"] = changing
    if disabled:
        document["Streams"][0]["DisabledAt"] = stream.now_s
    stream.follow(document)
    assert described(stream)["StreamStatus"] == status


# Iterators.


def test_reading_goes_on_with_the_next_iterator_to_the_end_of_a_closed_shard(stream: FakeStream) -> None:
    written = [stream.change(stream.first, 10 + n, "k", {"p": {"S": "k"}}) for n in range(5)]
    page = stream.records(stream.iterator(stream.first), Limit=2)
    assert numbers(page) == written[:2]
    stream.split(stream.partitions[0], 100)
    page = stream.records(page["NextShardIterator"], Limit=2)
    assert numbers(page) == written[2:4]
    page = stream.records(page["NextShardIterator"], Limit=2)
    assert numbers(page) == written[4:]
    assert "NextShardIterator" not in page


def test_an_open_shard_gives_an_iterator_even_when_there_is_nothing(stream: FakeStream) -> None:
    page = stream.records(stream.iterator(stream.first))
    assert page["Records"] == []
    number = stream.change(stream.first, 10, "k", {"p": {"S": "k"}})
    assert numbers(stream.records(page["NextShardIterator"])) == [number]


def test_latest_is_bound_when_the_iterator_is_made(stream: FakeStream) -> None:
    stream.change(stream.first, 10, "k", {"p": {"S": "k"}})
    latest = stream.iterator(stream.first, "LATEST")
    later = stream.change(stream.first, 11, "k", {"p": {"S": "k"}})
    assert numbers(stream.records(latest)) == [later]


def test_the_number_of_another_partition_is_none_of_an_open_shard(stream: FakeStream) -> None:
    for number in (sequence_of(2, 0), sequence_of(7, 100)):
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            assert stream.refused(
                "GetShardIterator",
                StreamArn=stream.arn,
                ShardId=stream.first.id,
                ShardIteratorType=kind,
                SequenceNumber=sequence_text(number),
            ) == ("ValidationException", "Invalid SequenceNumber for the shard")


def test_at_and_after_a_sequence_number(stream: FakeStream) -> None:
    written = [stream.change(stream.first, 10 + n, "k", {"p": {"S": "k"}}) for n in range(3)]

    def read(kind: str, number: int) -> list[int]:
        return numbers(
            stream.records(stream.iterator(stream.first, kind, SequenceNumber=sequence_text(number)))
        )

    assert read("AT_SEQUENCE_NUMBER", written[1]) == written[1:]
    assert read("AFTER_SEQUENCE_NUMBER", written[1]) == written[2:]
    assert read("AT_SEQUENCE_NUMBER", stream.first.start) == written
    assert read("AFTER_SEQUENCE_NUMBER", stream.first.start) == written
    assert read("AFTER_SEQUENCE_NUMBER", written[2] + 1_000_000) == []


def test_at_a_time(stream: FakeStream) -> None:
    written = []
    for n in range(3):
        written.append(stream.change(stream.first, 10 + n, "k", {"p": {"S": "k"}}))
        stream.now_s += 1.5

    def read(at_s: float) -> list[int]:
        return numbers(stream.records(stream.iterator(stream.first, "AT_TIMESTAMP", Timestamp=at_s)))

    start = stream.now_s - 4.5
    assert read(0) == read(start) == written
    assert read(start + 0.001) == read(start + 1.5) == written[1:]
    assert read(start + 100) == []


def test_numbers_that_the_shard_cannot_have(stream: FakeStream) -> None:
    stream.change(stream.first, 10, "k", {"p": {"S": "k"}})
    stream.split(stream.partitions[0], 100)
    for number in (0, stream.first.start - 1, sequence_of(1, 100) + 1):
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            assert stream.refused(
                "GetShardIterator",
                StreamArn=stream.arn,
                ShardId=stream.first.id,
                ShardIteratorType=kind,
                SequenceNumber=sequence_text(number),
            ) == ("ValidationException", "Invalid SequenceNumber for the shard")


# Trimming.


def test_what_is_trimmed_cannot_be_read_but_trim_horizon_goes_on(stream: FakeStream) -> None:
    written = [stream.change(stream.first, 10 + n, "k", {"p": {"S": "k"}}) for n in range(4)]
    horizon = stream.iterator(stream.first)
    behind_first = stream.records(horizon, Limit=1)["NextShardIterator"]
    stream.trim(stream.partitions[0], stream.first, written[1])
    trimmed = ("TrimmedDataAccessException", "The data you are trying to access has been trimmed")
    assert stream.refused("GetRecords", ShardIterator=behind_first) == trimmed

    def make(kind: str, number: int) -> dict[str, Any]:
        return {
            "StreamArn": stream.arn,
            "ShardId": stream.first.id,
            "ShardIteratorType": kind,
            "SequenceNumber": sequence_text(number),
        }

    assert stream.refused("GetShardIterator", **make("AT_SEQUENCE_NUMBER", written[1])) == trimmed
    assert stream.refused("GetShardIterator", **make("AFTER_SEQUENCE_NUMBER", written[0])) == trimmed
    at = stream.ask("GetShardIterator", **make("AT_SEQUENCE_NUMBER", written[2]))["ShardIterator"]
    after = stream.ask("GetShardIterator", **make("AFTER_SEQUENCE_NUMBER", written[1]))["ShardIterator"]
    for readable in (horizon, at, after, stream.iterator(stream.first)):
        assert numbers(stream.records(readable)) == written[2:]


def test_a_shard_that_is_gone(stream: FakeStream) -> None:
    iterator = stream.iterator(stream.first)
    stream.partitions[0].shards.clear()
    assert stream.refused("GetRecords", ShardIterator=iterator) == (
        "ResourceNotFoundException",
        "Invalid ShardId in ShardIterator",
    )
    for kind in ("LATEST", "TRIM_HORIZON"):
        assert stream.refused(
            "GetShardIterator", StreamArn=stream.arn, ShardId=stream.first.id, ShardIteratorType=kind
        ) == ("ResourceNotFoundException", "Shard does not exist")


# Size of a page, and what is asked.


def test_a_page_has_a_megabyte_at_most_and_one_record_at_least(stream: FakeStream) -> None:
    item = {"p": {"S": "k"}, "x": {"S": "x" * 390_000}}
    written = [stream.change(stream.first, 10 + n, "k", item, item) for n in range(3)]
    iterator = stream.iterator(stream.first)
    seen: list[int] = []
    for _ in range(3):
        page = stream.records(iterator)
        assert len(numbers(page)) == 1
        seen += numbers(page)
        iterator = page["NextShardIterator"]
    assert seen == written


def test_a_page_is_counted_as_it_is_shown(stream: FakeStream) -> None:
    small = FakeStream("KEYS_ONLY")
    key = "é" * 900
    written = [small.change(small.first, 10 + n, key, {"p": {"S": key}}) for n in range(999)]
    reply = small.records(small.iterator(small.first))
    assert 300 < len(reply["Records"]) < 600
    seen = numbers(reply)
    while len(seen) < len(written):
        reply = small.records(reply["NextShardIterator"])
        seen += numbers(reply)
    assert seen == written


def test_a_known_shard_is_one_message(stream: FakeStream) -> None:
    stream.split(stream.partitions[0], 100)
    described(stream)
    low = next(shard for shard in stream.partitions[0].shards.values() if shard.open)
    stream.asked.clear()
    latest = stream.iterator(low, "LATEST")
    assert [message.__class__ for message in stream.asked if message.__class__ is not None][:1] == [
        LocateRecord
    ]
    stream.asked.clear()
    stream.records(latest)
    stream.iterator(low)
    assert [message.__class__ for message in stream.asked] == [ReadRecords, ReadShards]


# The key of iterators.


def test_iterators_of_one_router_are_read_by_others(stream: FakeStream) -> None:
    iterator = stream.iterator(stream.first)
    other = stream.router()
    other.follow("orders", None, stream.document)
    other.controls = stream.context.controls
    stream.ask("GetRecords", other, ShardIterator=iterator)


def test_a_router_that_loses_the_race_takes_over_the_key(stream: FakeStream) -> None:
    late = stream.router()
    late.follow("orders", None, stream.document)
    iterator = stream.iterator(stream.first)
    views = iter([None])
    known = late.controls.get

    def get(kind: str, name: str) -> object:
        """The view shows the key only from the second look on."""
        for view in views:
            return view
        return stream.context.controls.get(kind, name)

    late.controls.get = get
    assert known("secret", "iterators") is None
    stream.ask("GetRecords", late, ShardIterator=iterator)


def test_errors_of_nodes_are_passed_on(stream: FakeStream) -> None:
    iterator = stream.iterator(stream.first)
    stream.partitions[0].answer = lambda message: ApiError("InternalServerError", "oh", status=500)
    assert stream.refused("GetRecords", ShardIterator=iterator) == ("InternalServerError", "oh")
    assert stream.refused("DescribeStream", StreamArn=stream.arn) == ("InternalServerError", "oh")
