"""ListStreams, DescribeStream, GetShardIterator and GetRecords: pages, positions, limits and refusals.

Texts are those of the real service and of its local edition. What passes with time is in test_streams_time.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.conftest import make_client
from tests.conformance.raw import Raw
from tests.conformance.stream_support import (
    changes,
    describe,
    drain,
    iterator,
    latest_arn,
    post,
    read_all,
    sequence,
    shards,
    specification,
    streamed,
)
from tests.conformance.support import (
    Containing,
    error,
    invalid,
    n,
    not_found,
    put_all,
    s,
    table_parameters,
    unique,
    wait_active,
)

PARAMETER = "One or more parameter values were invalid: "
UNKNOWN_SHARD = "shardId-00000001795404353929-545b3601"
UNKNOWN_LABEL = "2020-01-01T00:00:00.000"


@pytest.fixture(scope="module")
def written(client: Any, streams: Any) -> Iterator[tuple[str, str, str, list[str]]]:
    """(table, stream ARN, id of its one shard, numbers of its ten records). No test writes to it."""
    with streamed(client, "p", "NEW_IMAGE") as (name, arn):
        for number in range(10):
            client.put_item(TableName=name, Item={"p": s(f"k{number}"), "v": n(number)})
        (shard,) = shards(streams, arn)
        yield name, arn, shard["ShardId"], [sequence(record) for record in read_all(streams, arn)]


def get_iterator(written: Any, **request: Any) -> dict[str, Any]:
    """GetShardIterator's parameters."""
    _, arn, shard_id, _ = written
    return {"StreamArn": arn, "ShardId": shard_id} | request


# ListStreams.


def test_streams_of_a_table(streams: Any, written: Any) -> None:
    name, arn, _, _ = written
    reply = streams.list_streams(TableName=name)
    assert reply["Streams"] == [{"StreamArn": arn, "TableName": name, "StreamLabel": arn.rpartition("/")[2]}]
    assert "LastEvaluatedStreamArn" not in reply
    assert reply["Streams"][0] in streams.list_streams()["Streams"]


def test_streams_of_a_table_that_there_is_not(streams: Any) -> None:
    assert streams.list_streams(TableName=unique())["Streams"] == []


def test_all_streams_in_pages(client: Any, streams: Any) -> None:
    made = [table_parameters(StreamSpecification=specification()) for _ in range(5)]
    for parameters in made:
        client.create_table(**parameters)
    arns = {latest_arn(client, parameters["TableName"]) for parameters in made}
    seen: list[str] = []
    start: dict[str, str] = {}
    for _ in range(1000):
        page = streams.list_streams(Limit=2, **start)
        seen += [each["StreamArn"] for each in page["Streams"]]
        assert len(page["Streams"]) <= 2
        if "LastEvaluatedStreamArn" not in page:
            break
        assert page["LastEvaluatedStreamArn"] == page["Streams"][-1]["StreamArn"]
        start = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}
    assert len(seen) == len(set(seen))
    assert arns <= set(seen)
    for parameters in made:
        client.delete_table(TableName=parameters["TableName"])


def test_the_limit_of_list_streams(streams: Any) -> None:
    streams.list_streams(Limit=100)
    refused = error(streams.list_streams, Limit=101)
    assert refused == invalid(PARAMETER + "Limit cannot be greater than the maximum allowed size: 100")
    assert error(streams.list_streams, Limit=0) == invalid(
        Containing("'limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
    )


# DescribeStream.


def test_the_description_of_a_stream(client: Any, streams: Any, written: Any) -> None:
    name, arn, shard_id, numbers = written
    description = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    created = description.pop("CreationRequestDateTime")
    assert f"{created:%Y-%m-%dT%H:%M:%S}.{created.microsecond // 1000:03d}" == arn.rpartition("/")[2]
    (shard,) = description.pop("Shards")
    assert description == {
        "StreamArn": arn,
        "StreamLabel": arn.rpartition("/")[2],
        "StreamStatus": "ENABLED",
        "StreamViewType": "NEW_IMAGE",
        "TableName": name,
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    }
    assert set(shard) == {"ShardId", "SequenceNumberRange"}
    assert re.fullmatch("shardId-[0-9]{20}-[0-9a-f]{8}", shard_id)
    assert set(shard["SequenceNumberRange"]) == {"StartingSequenceNumber"}
    assert int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) <= int(numbers[0])


def test_behind_the_last_shard_there_is_none(streams: Any, written: Any) -> None:
    _, arn, shard_id, _ = written
    page = streams.describe_stream(StreamArn=arn, ExclusiveStartShardId=shard_id)["StreamDescription"]
    assert page["Shards"] == []
    assert "LastEvaluatedShardId" not in page


def test_the_limit_of_describe_stream(streams: Any, written: Any) -> None:
    streams.describe_stream(StreamArn=written[1], Limit=100)
    refused = error(streams.describe_stream, StreamArn=written[1], Limit=101)
    assert refused == invalid(PARAMETER + "Limit cannot be greater than the maximum: 100")
    refused = error(streams.describe_stream, StreamArn=written[1], Limit=0)
    assert refused == invalid(Containing("'limit'", "greater than or equal to 1"))


def test_a_shard_without_children(raw: Raw, written: Any) -> None:
    _, arn, shard_id, _ = written

    def describe_raw(**members: Any) -> Any:
        body = {"StreamArn": arn} | members
        return post(raw, "DescribeStream", body)

    for parent in (shard_id, UNKNOWN_SHARD):
        reply = describe_raw(ShardFilter={"Type": "CHILD_SHARDS", "ShardId": parent})
        assert reply.json["StreamDescription"]["Shards"] == []
    reply = describe_raw(ShardFilter={"Type": "OTHER", "ShardId": shard_id})
    assert (reply.status, reply.error[0].rpartition("#")[2]) == (400, "ValidationException")
    reply = describe_raw(
        ShardFilter={"Type": "CHILD_SHARDS", "ShardId": shard_id}, ExclusiveStartShardId=shard_id
    )
    assert (
        reply.error[1] == "ShardFilter and ExclusiveStartShardId both should not be specified in the request."
    )


@pytest.mark.parametrize("operation", ["describe_stream", "get_shard_iterator"])
def test_streams_that_there_are_not(streams: Any, written: Any, operation: str) -> None:
    name, arn, shard_id, _ = written
    more = {"ShardId": shard_id, "ShardIteratorType": "LATEST"} if operation == "get_shard_iterator" else {}

    def refused(stream_arn: str) -> tuple[str, str]:
        return error(getattr(streams, operation), StreamArn=stream_arn, **more)

    table_arn = arn.partition("/stream/")[0]
    for unknown in (
        f"{table_arn}/stream/{UNKNOWN_LABEL}",
        arn.replace(name, unique()),
        f"{table_arn}/stream/nolabel",
    ):
        assert refused(unknown) == not_found(f"Requested resource not found: Stream: {unknown} not found")
    for malformed in (
        "x" * 40,
        table_arn,
        table_arn + "/stream/",
        table_arn + "/index/" + UNKNOWN_LABEL,
        arn.replace(":dynamodb:", ":kinesis:"),
        arn.replace(":table/", ":backup/"),
    ):
        assert refused(malformed) == invalid(Containing("Invalid StreamArn"))
    assert refused("x") == invalid(Containing("'streamArn'", "length greater than or equal to 37"))
    assert refused("x" * 1025) == invalid(Containing("'streamArn'", "length less than or equal to 1024"))


# GetShardIterator.


def test_an_iterator_says_its_stream(streams: Any, written: Any) -> None:
    _, arn, shard_id, _ = written
    for kind in ("TRIM_HORIZON", "LATEST"):
        made = iterator(streams, arn, shard_id, kind)
        assert re.fullmatch(re.escape(arn) + r"\|1\|[A-Za-z0-9_-]+", made)


def test_each_type_begins_where_it_says(streams: Any, written: Any) -> None:
    _, arn, shard_id, numbers = written

    def read(kind: str, **more: Any) -> list[str]:
        records, following = drain(streams, iterator(streams, arn, shard_id, kind, **more))
        assert following is not None
        return [sequence(record) for record in records]

    assert read("TRIM_HORIZON") == numbers
    assert read("LATEST") == []
    assert read("AT_SEQUENCE_NUMBER", SequenceNumber=numbers[3]) == numbers[3:]
    assert read("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[3]) == numbers[4:]
    assert read("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[9]) == []
    start = shards(streams, arn)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert read("AT_SEQUENCE_NUMBER", SequenceNumber=start) == numbers
    padded = numbers[3].zfill(40)
    assert read("AT_SEQUENCE_NUMBER", SequenceNumber=padded) == numbers[3:]


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_numbers_that_are_none(streams: Any, written: Any, kind: str) -> None:
    def refused(**more: Any) -> tuple[str, str]:
        return error(streams.get_shard_iterator, **get_iterator(written, ShardIteratorType=kind, **more))

    assert refused() == invalid(PARAMETER + "Invalid SequenceNumber")
    for text in ("x" * 21, "-" + "1" * 21, "9" * 40, "1" * 20 + "\u0663"):
        assert refused(SequenceNumber=text) == invalid(PARAMETER + "Invalid SequenceNumber")
    assert refused(SequenceNumber="0" * 21) == invalid("Invalid SequenceNumber for the shard")
    assert refused(SequenceNumber="1") == invalid(
        Containing("'sequenceNumber'", "greater than or equal to 21")
    )
    assert refused(SequenceNumber="1" * 41) == invalid(
        Containing("'sequenceNumber'", "less than or equal to 40")
    )


@pytest.mark.parametrize("kind", ["TRIM_HORIZON", "LATEST"])
def test_numbers_where_none_belongs(streams: Any, written: Any, kind: str) -> None:
    refused = error(
        streams.get_shard_iterator,
        **get_iterator(written, ShardIteratorType=kind, SequenceNumber=written[3][0]),
    )
    assert refused == invalid(PARAMETER + "SequenceNumber should not be passed for this iterator type")


def test_the_number_is_looked_at_before_stream_and_shard(streams: Any, written: Any) -> None:
    request = get_iterator(written, ShardIteratorType="AT_SEQUENCE_NUMBER", ShardId=UNKNOWN_SHARD)
    assert error(streams.get_shard_iterator, **request) == invalid(PARAMETER + "Invalid SequenceNumber")


def test_iterator_types_that_there_are_not(streams: Any, written: Any) -> None:
    refused = error(streams.get_shard_iterator, **get_iterator(written, ShardIteratorType="NEWEST"))
    assert refused == invalid(Containing("'shardIteratorType'", "Member must satisfy enum value set"))
    assert error(streams.get_shard_iterator, **get_iterator(written)) == invalid(
        Containing("'shardIteratorType'", "Member must not be null")
    )


def test_a_time_is_needed_for_its_type_alone(raw: Raw, written: Any) -> None:
    def ask(**members: Any) -> Any:
        return post(raw, "GetShardIterator", get_iterator(written, **members))

    assert ask(ShardIteratorType="AT_TIMESTAMP").error[1] == (
        PARAMETER + "Timestamp must be passed for this iterator type"
    )
    assert ask(ShardIteratorType="LATEST", Timestamp=1_700_000_000).status == 200
    assert ask(ShardIteratorType="AT_TIMESTAMP", Timestamp=1_700_000_000.5).status == 200


def test_shards_that_there_are_not(client: Any, streams: Any, written: Any) -> None:
    for kind in ("TRIM_HORIZON", "LATEST"):
        for shard_id in (UNKNOWN_SHARD, "x" * 30):
            request = get_iterator(written, ShardIteratorType=kind, ShardId=shard_id)
            assert error(streams.get_shard_iterator, **request) == not_found("Shard does not exist")
    with streamed(client) as (_, other):
        request = get_iterator(written, ShardIteratorType="LATEST", StreamArn=other)
        assert error(streams.get_shard_iterator, **request) == not_found("Shard does not exist")
    refused = error(
        streams.get_shard_iterator, **get_iterator(written, ShardIteratorType="LATEST", ShardId="x")
    )
    assert refused == invalid(Containing("'shardId'", "length greater than or equal to 28"))


def test_latest_is_bound_when_it_is_made(client: Any, streams: Any) -> None:
    with streamed(client) as (name, arn):
        client.put_item(TableName=name, Item={"p": s("before")})
        (shard,) = shards(streams, arn)
        latest = iterator(streams, arn, shard["ShardId"], "LATEST")
        client.put_item(TableName=name, Item={"p": s("after")})
        (change,) = changes(drain(streams, latest)[0])
        assert change[1] == {"p": s("after")}


# GetRecords.


def test_reading_page_by_page(streams: Any, written: Any) -> None:
    _, arn, shard_id, numbers = written
    start: str | None = iterator(streams, arn, shard_id)
    seen = []
    while len(seen) < len(numbers):
        page = streams.get_records(ShardIterator=start, Limit=3)
        assert len(page["Records"]) == min(3, len(numbers) - len(seen))
        seen += [sequence(record) for record in page["Records"]]
        start = page["NextShardIterator"]
    assert seen == numbers
    page = streams.get_records(ShardIterator=start)
    assert page["Records"] == []
    assert page["NextShardIterator"].startswith(arn + "|1|")


def test_an_iterator_can_be_used_again(streams: Any, written: Any) -> None:
    _, arn, shard_id, numbers = written
    start = iterator(streams, arn, shard_id)
    for _ in range(2):
        assert [sequence(record) for record in drain(streams, start)[0]] == numbers


def test_the_limit_of_get_records(streams: Any, written: Any) -> None:
    start = iterator(streams, written[1], written[2])
    assert len(streams.get_records(ShardIterator=start, Limit=1000)["Records"]) == 10
    assert len(streams.get_records(ShardIterator=start, Limit=1)["Records"]) == 1
    refused = error(streams.get_records, ShardIterator=start, Limit=1001)
    assert refused == invalid(PARAMETER + "Limit should be less than or equal to 1000")
    refused = error(streams.get_records, ShardIterator=start, Limit=0)
    assert refused == invalid(Containing("'limit'", "greater than or equal to 1"))


def test_texts_that_are_no_iterators(client: Any, streams: Any, written: Any) -> None:
    name, arn, shard_id, _ = written
    good = iterator(streams, arn, shard_id)
    middle = len(arn) + 30
    flipped = good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :]
    for bad in (
        "foo",
        "a|b|c",
        arn,
        arn + "|1|",
        arn + "|1|zzzz",
        good[:-4],
        good + "AAAA",
        flipped,
        good.replace(name, unique()),
        good.replace("|1|", "|2|"),
        " " + good,
    ):
        assert error(streams.get_records, ShardIterator=bad) == invalid("Invalid ShardIterator")
    refused = error(streams.get_records, ShardIterator="foo", Limit=1001)
    assert refused == invalid("Invalid ShardIterator")
    assert error(streams.get_records, ShardIterator="a" * 2049) == invalid(
        Containing("'shardIterator'", "length less than or equal to 2048")
    )
    with streamed(client) as (_, other):
        assert error(streams.get_records, ShardIterator=good.replace(arn, other)) == invalid(
            "Invalid ShardIterator"
        )


def test_a_page_has_a_thousand_records_at_most(client: Any, streams: Any) -> None:
    items = [{"p": s(f"k{number:04}")} for number in range(1200)]
    with streamed(client, "p", "KEYS_ONLY") as (name, arn):
        put_all(client, name, items)
        (shard,) = shards(streams, arn)
        page = streams.get_records(ShardIterator=iterator(streams, arn, shard["ShardId"]))
        assert len(page["Records"]) == 1000
        rest, _ = drain(streams, page["NextShardIterator"])
        keys = [keys["p"]["S"] for _, keys, _, _ in changes(page["Records"] + rest)]
        assert sorted(keys) == [f"k{number:04}" for number in range(1200)]


def test_a_page_has_a_megabyte_at_most(client: Any, streams: Any) -> None:
    with streamed(client) as (name, arn):
        for number in range(40):
            client.put_item(TableName=name, Item={"p": s("k"), "v": s(f"{number:02}" + "x" * 100_000)})
        (shard,) = shards(streams, arn)
        start: str | None = iterator(streams, arn, shard["ShardId"])
        counts, seen = [], []
        while start is not None and len(seen) < 40:
            page = streams.get_records(ShardIterator=start)
            assert int(page["ResponseMetadata"]["HTTPHeaders"]["content-length"]) <= 1 << 20
            counts.append(len(page["Records"]))
            seen += [new["v"]["S"][:2] for _, _, _, new in changes(page["Records"])]
            start = page["NextShardIterator"]
        assert seen == [f"{number:02}" for number in range(40)]
        # Two images of 100 kB each, but for the first: five in a megabyte.
        assert counts[1:-1] == [5] * len(counts[1:-1])


def test_a_record_above_a_megabyte_comes_alone(client: Any, streams: Any) -> None:
    # A control character is one byte of an item and six of JSON.
    heavy = "\x01" * 200_000
    with streamed(client) as (name, arn):
        for number in range(3):
            client.put_item(TableName=name, Item={"p": s("k"), "v": s(str(number) + heavy)})
        (shard,) = shards(streams, arn)
        start = iterator(streams, arn, shard["ShardId"])
        for number in range(3):
            page = streams.get_records(ShardIterator=start)
            ((_, _, _, new),) = changes(page["Records"])
            assert new["v"]["S"][0] == str(number)
            start = page["NextShardIterator"]


# Around them.


def test_requests_are_signed_for_the_service_of_tables(endpoint: str, written: Any) -> None:
    other = make_client(endpoint, "dynamodbstreams")
    authorization = []

    def note(request: Any, **_: Any) -> None:
        authorization.append(request.headers["Authorization"])

    other.meta.events.register("before-send", note)
    other.describe_stream(StreamArn=written[1])
    other.close()
    assert b"/us-east-1/dynamodb/aws4_request" in authorization[0]


def test_errors_are_those_of_the_model(streams: Any, written: Any) -> None:
    with pytest.raises(streams.exceptions.ResourceNotFoundException):
        streams.describe_stream(StreamArn=written[1][:-3] + "999")


def test_the_type_of_an_error(raw: Raw, written: Any) -> None:
    body = {"StreamArn": written[1][:-3] + "999"}
    reply = post(raw, "DescribeStream", body)
    assert reply.status == 400
    assert reply.error[0] == "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"


def test_streams_are_described_with_their_table(client: Any, streams: Any, written: Any) -> None:
    name, arn, _, _ = written
    description = wait_active(client, name)
    assert description["StreamSpecification"] == specification("NEW_IMAGE")
    assert (
        description["LatestStreamArn"] == arn == f"{description['TableArn']}/stream/{arn.rpartition('/')[2]}"
    )
    assert description["LatestStreamLabel"] == describe(streams, arn)["StreamLabel"]
