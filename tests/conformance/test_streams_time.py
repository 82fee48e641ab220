"""What passes with time: iterators expire, records are trimmed, shards roll over. The test moves the server's clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.clocked import Clocked, clocked
from tests.conformance.conftest import make_client
from tests.conformance.raw import Raw
from tests.conformance.stream_support import (
    changes,
    describe,
    disable,
    drain,
    enable,
    iterator,
    post,
    read_all,
    sequence,
    shards,
    streamed,
    wait_records,
)
from tests.conformance.support import error, n, s, table, wait_until

MINUTE_S = 60
DAY_S = 86_400
ROLLOVER_S = 600

TRIMMED = ("TrimmedDataAccessException", "The data you are trying to access has been trimmed")


class Server:
    """A server whose clock stands still until it is moved, and clients for it."""

    def __init__(self, running: Clocked) -> None:
        self.running = running
        self.clock = running.clock
        self.client = running.client
        self.streams = make_client(running.endpoint, "dynamodbstreams")
        self.raw = Raw(running.endpoint)

    def put(self, name: str, key: str, value: int = 0) -> None:
        """PutItem."""
        self.client.put_item(TableName=name, Item={"p": s(key), "v": n(value)})


@contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """A server with these settings."""
    with clocked(**settings) as running:
        made = Server(running)
        yield made
        made.streams.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One with the settings of the service, but for the age at which shards roll over: a week, the longest."""
    with serving(stream_rollover_s=7 * DAY_S) as made:
        yield made


def keys_of(records: list[dict[str, Any]]) -> list[str]:
    """The partition keys of records."""
    return [keys["p"]["S"] for _, keys, _, _ in changes(records)]


def test_an_iterator_expires_after_15_minutes(server: Server) -> None:
    with streamed(server.client) as (name, arn):
        server.put(name, "a")
        (shard,) = shards(server.streams, arn)
        first = iterator(server.streams, arn, shard["ShardId"])
        server.clock.advance(15 * MINUTE_S)
        page = server.streams.get_records(ShardIterator=first)
        assert keys_of(page["Records"]) == ["a"]
        server.clock.advance(1)
        refused = error(server.streams.get_records, ShardIterator=first)
        assert refused[0] == "ExpiredIteratorException"
        with pytest.raises(server.streams.exceptions.ExpiredIteratorException):
            server.streams.get_records(ShardIterator=first)
        # The next one is as old as the call that gave it.
        assert server.streams.get_records(ShardIterator=page["NextShardIterator"])["Records"] == []


def test_reading_from_a_time(server: Server) -> None:
    with streamed(server.client) as (name, arn):
        times = []
        for key in "abc":
            times.append(server.clock.wall_ms() / 1000)
            server.put(name, key)
            server.clock.advance(10)
        (shard,) = shards(server.streams, arn)

        def read(at_s: float) -> list[str]:
            body = {
                "StreamArn": arn,
                "ShardId": shard["ShardId"],
                "ShardIteratorType": "AT_TIMESTAMP",
                "Timestamp": at_s,
            }
            return keys_of(
                drain(server.streams, post(server.raw, "GetShardIterator", body).json["ShardIterator"])[0]
            )

        assert read(times[0] - 1000) == read(times[0]) == ["a", "b", "c"]
        assert read(times[0] + 1) == read(times[1]) == ["b", "c"]
        assert read(times[2]) == ["c"]
        assert read(times[2] + 1) == []


def test_creation_times_are_whole_seconds(server: Server) -> None:
    with streamed(server.client) as (name, arn):
        server.clock.advance(0.999 - server.clock.wall_ms() % 1000 / 1000 + 1)
        server.put(name, "a")
        (record,) = read_all(server.streams, arn)
        created = record["dynamodb"]["ApproximateCreationDateTime"].timestamp()
        assert created == server.clock.wall_ms() // 1000


def trimmed_to(server: Server, arn: str, keys: list[str]) -> None:
    """Wait until the stream has these records alone."""
    wait_until(lambda: keys_of(read_all(server.streams, arn)) == keys, f"{arn} trimmed to {keys}")


def test_records_are_kept_for_a_day(server: Server) -> None:
    with streamed(server.client) as (name, arn):
        server.put(name, "a")
        server.put(name, "b")
        old = [sequence(record) for record in read_all(server.streams, arn)]
        server.clock.advance(DAY_S - 10 * MINUTE_S)
        server.put(name, "c")
        (shard,) = shards(server.streams, arn)
        horizon = iterator(server.streams, arn, shard["ShardId"])
        page = server.streams.get_records(ShardIterator=horizon, Limit=1)
        assert keys_of(page["Records"]) == ["a"]
        server.clock.advance(11 * MINUTE_S)
        trimmed_to(server, arn, ["c"])
        # An iterator into what is gone says so; one at the horizon goes on with what there is.
        assert error(server.streams.get_records, ShardIterator=page["NextShardIterator"]) == TRIMMED
        assert keys_of(server.streams.get_records(ShardIterator=horizon)["Records"]) == ["c"]
        request = {"StreamArn": arn, "ShardId": shard["ShardId"]}
        for kind, number in (
            ("AT_SEQUENCE_NUMBER", old[0]),
            ("AT_SEQUENCE_NUMBER", old[1]),
            ("AFTER_SEQUENCE_NUMBER", old[0]),
        ):
            refused = error(
                server.streams.get_shard_iterator, **request, ShardIteratorType=kind, SequenceNumber=number
            )
            assert refused == TRIMMED
        behind = iterator(
            server.streams, arn, shard["ShardId"], "AFTER_SEQUENCE_NUMBER", SequenceNumber=old[1]
        )
        assert keys_of(drain(server.streams, behind)[0]) == ["c"]
        assert [each["ShardId"] for each in shards(server.streams, arn)] == [shard["ShardId"]]


def test_the_items_stay_when_their_records_go(server: Server) -> None:
    with streamed(server.client) as (name, arn):
        server.put(name, "a", 1)
        server.clock.advance(DAY_S + 1)
        trimmed_to(server, arn, [])
        server.put(name, "a", 2)
        ((event, _, old, new),) = changes(read_all(server.streams, arn))
        assert (event, old["v"], new["v"]) == ("MODIFY", n(1), n(2))


# A server looks after streams that have passed their time when that should be by its own timers: so these are short.
RETENTION_S = 3


def test_a_disabled_stream_is_forgotten_after_its_time() -> None:
    with serving(stream_retention_s=RETENTION_S) as server, streamed(server.client) as (name, arn):
        server.put(name, "a")
        disable(server.client, name)
        server.clock.advance(RETENTION_S - 1)
        assert keys_of(read_all(server.streams, arn)) == ["a"]
        assert describe(server.streams, arn)["StreamStatus"] == "DISABLED"
        server.clock.advance(2)
        wait_until(
            lambda: not server.streams.list_streams(TableName=name)["Streams"], "the stream is forgotten"
        )
        assert error(server.streams.describe_stream, StreamArn=arn)[0] == "ResourceNotFoundException"
        again = enable(server.client, name)
        server.put(name, "b")
        assert keys_of(read_all(server.streams, again)) == ["b"]


def test_the_stream_of_a_deleted_table_is_forgotten_after_its_time() -> None:
    with serving(stream_retention_s=RETENTION_S) as server, streamed(server.client) as (name, arn):
        server.put(name, "a")
        server.client.delete_table(TableName=name)
        server.clock.advance(RETENTION_S - 1)
        assert keys_of(read_all(server.streams, arn)) == ["a"]
        server.clock.advance(2)
        wait_until(
            lambda: not server.streams.list_streams(TableName=name)["Streams"], "the stream is forgotten"
        )
        assert error(server.streams.describe_stream, StreamArn=arn)[0] == "ResourceNotFoundException"


def test_expired_items_in_the_stream(server: Server) -> None:
    with streamed(server.client) as (name, arn):
        server.client.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )
        now_s = server.clock.wall_ms() // 1000
        server.client.put_item(TableName=name, Item={"p": s("a"), "expires": n(now_s + 3600)})
        server.clock.advance(3601)
        records = wait_records(server.streams, arn, 2)
        assert records[1]["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
        created = records[1]["dynamodb"]["ApproximateCreationDateTime"].timestamp()
        assert created == server.clock.wall_ms() // 1000


# Shards that roll over.


def test_shards_roll_over_into_a_chain() -> None:
    with serving(stream_rollover_s=ROLLOVER_S) as server, streamed(server.client) as (name, arn):
        for generation in range(4):
            server.put(name, f"k{generation}")
            server.clock.advance(ROLLOVER_S + 1)
            wait_until(
                lambda wanted=generation + 2: len(shards(server.streams, arn)) == wanted,  # type: ignore[misc]
                "the shard has rolled over",
            )
        chain = shards(server.streams, arn)
        ids = [shard["ShardId"] for shard in chain]
        assert ids == sorted(ids)
        assert [shard.get("ParentShardId") for shard in chain] == [None, *ids[:-1]]
        ranges = [shard["SequenceNumberRange"] for shard in chain]
        assert ["EndingSequenceNumber" in each for each in ranges] == [True] * 4 + [False]
        for parent, child in pairwise(ranges):
            assert int(child["StartingSequenceNumber"]) > int(parent["EndingSequenceNumber"])
        assert keys_of(read_all(server.streams, arn)) == ["k0", "k1", "k2", "k3"]
        for number, shard in enumerate(chain[:-1]):
            page = server.streams.get_records(ShardIterator=iterator(server.streams, arn, shard["ShardId"]))
            (record,) = page["Records"]
            assert "NextShardIterator" not in page
            bounds = ranges[number]
            assert int(bounds["StartingSequenceNumber"]) <= int(sequence(record))
            assert int(sequence(record)) <= int(bounds["EndingSequenceNumber"])
            latest = iterator(server.streams, arn, shard["ShardId"], "LATEST")
            assert drain(server.streams, latest) == ([], None)
        body = {"StreamArn": arn, "ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": ids[1]}}
        listed = post(server.raw, "DescribeStream", body).json["StreamDescription"]["Shards"]
        assert [shard["ShardId"] for shard in listed] == [ids[2]]
        paged = describe(server.streams, arn, Limit=2)["Shards"]
        assert [shard["ShardId"] for shard in paged] == ids


def test_a_reader_goes_from_a_shard_to_its_child() -> None:
    with serving(stream_rollover_s=ROLLOVER_S) as server, streamed(server.client) as (name, arn):
        (shard,) = shards(server.streams, arn)
        following: str | None = iterator(server.streams, arn, shard["ShardId"], "LATEST")
        server.put(name, "a")
        server.clock.advance(ROLLOVER_S + 1)
        wait_until(lambda: len(shards(server.streams, arn)) == 2, "the shard has rolled over")
        server.put(name, "b")
        records, following = drain(server.streams, following)
        assert (keys_of(records), following) == (["a"], None)
        child = shards(server.streams, arn)[1]["ShardId"]
        records, following = drain(server.streams, iterator(server.streams, arn, child))
        assert keys_of(records) == ["b"]
        assert following is not None


def test_closed_shards_go_a_day_after_their_end() -> None:
    with serving(stream_rollover_s=ROLLOVER_S) as server, streamed(server.client) as (name, arn):
        (first,) = shards(server.streams, arn)
        server.put(name, "a")
        server.clock.advance(ROLLOVER_S + 1)
        wait_until(lambda: len(shards(server.streams, arn)) == 2, "the shard has rolled over")
        start = iterator(server.streams, arn, first["ShardId"])
        server.clock.advance(DAY_S + MINUTE_S)
        wait_until(
            lambda: first["ShardId"] not in [each["ShardId"] for each in shards(server.streams, arn)],
            "the first shard is gone",
        )
        kept = shards(server.streams, arn)
        assert kept[0]["ParentShardId"] == first["ShardId"] or len(kept) >= 1
        assert error(server.streams.get_records, ShardIterator=start)[0] == "ExpiredIteratorException"
        refused = error(
            server.streams.get_shard_iterator,
            StreamArn=arn,
            ShardId=first["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )
        assert refused == ("ResourceNotFoundException", "Shard does not exist")


def test_a_table_without_a_stream_is_left_alone() -> None:
    with serving(stream_rollover_s=ROLLOVER_S) as server, table(server.client) as name:
        server.put(name, "a")
        server.clock.advance(DAY_S + ROLLOVER_S)
        server.put(name, "b")
        assert server.streams.list_streams()["Streams"] == []
