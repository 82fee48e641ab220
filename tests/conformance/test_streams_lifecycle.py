"""A stream from its beginning to its end: switched on and off, with its table deleted, over restarts of the server."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import make_client
from tests.conformance.server import Server
from tests.conformance.stream_support import (
    VIEW_TYPES,
    changes,
    describe,
    disable,
    drain,
    enable,
    iterator,
    latest_arn,
    read_all,
    replayed,
    sequence,
    shards,
    specification,
    streamed,
)
from tests.conformance.support import (
    Containing,
    all_items,
    error,
    invalid,
    n,
    s,
    table,
    table_parameters,
    wait_active,
    wait_until,
)

ITEM = {"p": s("k"), "v": n(1)}


# Switching on and off.


def test_a_stream_from_the_start(client: Any) -> None:
    parameters = table_parameters(StreamSpecification=specification("OLD_IMAGE"))
    description = client.create_table(**parameters)["TableDescription"]
    assert description["StreamSpecification"] == specification("OLD_IMAGE")
    label = description["LatestStreamLabel"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", label)
    assert description["LatestStreamArn"] == f"{description['TableArn']}/stream/{label}"
    client.delete_table(TableName=parameters["TableName"])


def test_a_stream_can_be_read_as_soon_as_its_table(client: Any, streams: Any) -> None:
    with streamed(client) as (_, arn):
        description = describe(streams, arn)
        assert description["StreamStatus"] == "ENABLED"
        assert len(description["Shards"]) == 1
        assert read_all(streams, arn) == []


def test_a_disabled_stream_is_closed_and_readable(client: Any, streams: Any) -> None:
    with streamed(client) as (name, arn):
        client.put_item(TableName=name, Item=ITEM)
        (shard,) = shards(streams, arn)
        early = iterator(streams, arn, shard["ShardId"], "LATEST")
        disable(client, name)
        client.put_item(TableName=name, Item=ITEM | {"v": n(2)})
        description = client.describe_table(TableName=name)["Table"]
        assert "StreamSpecification" not in description
        assert description["LatestStreamArn"] == arn
        found = describe(streams, arn)
        assert (found["StreamStatus"], found["StreamViewType"]) == ("DISABLED", "NEW_AND_OLD_IMAGES")
        assert "EndingSequenceNumber" in found["Shards"][0]["SequenceNumberRange"]
        records, following = drain(streams, iterator(streams, arn, shard["ShardId"]))
        assert ([event for event, *_ in changes(records)], following) == (["INSERT"], None)
        assert drain(streams, early) == ([], None)
        assert streams.list_streams(TableName=name)["Streams"][0]["StreamArn"] == arn


def test_another_stream_is_another_history(client: Any, streams: Any) -> None:
    with streamed(client, "p", "KEYS_ONLY") as (name, first):
        client.put_item(TableName=name, Item=ITEM)
        disable(client, name)
        client.put_item(TableName=name, Item=ITEM | {"v": n(2)})
        second = enable(client, name, "NEW_IMAGE")
        client.put_item(TableName=name, Item=ITEM | {"v": n(3)})
        assert second != first
        listed = [each["StreamArn"] for each in streams.list_streams(TableName=name)["Streams"]]
        assert listed == [second, first]
        assert changes(read_all(streams, first)) == [("INSERT", {"p": s("k")}, None, None)]
        assert changes(read_all(streams, second)) == [("MODIFY", {"p": s("k")}, None, ITEM | {"v": n(3)})]
        assert describe(streams, first)["StreamStatus"] == "DISABLED"
        assert describe(streams, second)["StreamViewType"] == "NEW_IMAGE"
        (old_shard,), (new_shard,) = shards(streams, first), shards(streams, second)
        assert "ParentShardId" not in new_shard
        start = int(new_shard["SequenceNumberRange"]["StartingSequenceNumber"])
        assert start > int(old_shard["SequenceNumberRange"]["EndingSequenceNumber"])


def test_switching_often(client: Any, streams: Any) -> None:
    with table(client) as name:
        arns = []
        for number in range(6):
            arns.append(enable(client, name, VIEW_TYPES[number % 4]))
            client.put_item(TableName=name, Item=ITEM | {"v": n(number)})
            disable(client, name)
        assert len(set(arns)) == 6
        listed = [each["StreamArn"] for each in streams.list_streams(TableName=name)["Streams"]]
        assert listed == arns[::-1]
        assert [len(read_all(streams, arn)) for arn in arns] == [1] * 6


def test_what_update_table_refuses(client: Any, streams: Any) -> None:
    with table(client) as name:

        def refused(**settings: Any) -> tuple[str, str]:
            return error(client.update_table, TableName=name, StreamSpecification=settings)

        assert refused(StreamEnabled=False) == invalid(Containing("Table has no stream to disable"))
        assert refused(StreamEnabled=True) == invalid(Containing("UpdateViewType is required"))
        assert refused(StreamEnabled=True, StreamViewType="ALL") == invalid(Containing("enum value set"))
        enable(client, name, "NEW_IMAGE")
        for view_type in ("NEW_IMAGE", "KEYS_ONLY"):
            assert refused(StreamEnabled=True, StreamViewType=view_type) == invalid(
                Containing("Table already has an enabled stream")
            )
        disable(client, name)
        assert refused(StreamEnabled=False) == invalid(Containing("Table has no stream to disable"))
        assert describe(streams, latest_arn(client, name))["StreamStatus"] == "DISABLED"


# Deleted tables.


def test_the_stream_of_a_deleted_table(client: Any, streams: Any) -> None:
    with streamed(client) as (name, arn):
        client.put_item(TableName=name, Item=ITEM)
        (shard,) = shards(streams, arn)
        early = iterator(streams, arn, shard["ShardId"])
        client.delete_table(TableName=name)
        wait_until(lambda: describe(streams, arn)["StreamStatus"] == "DISABLED", "the stream is off")
        assert name not in client.list_tables()["TableNames"]
        listed = streams.list_streams(TableName=name)["Streams"]
        assert listed == [{"StreamArn": arn, "TableName": name, "StreamLabel": arn.rpartition("/")[2]}]
        assert describe(streams, arn)["TableName"] == name
        records, following = drain(streams, early)
        assert ([event for event, *_ in changes(records)], following) == (["INSERT"], None)
        assert read_all(streams, arn) == records
        assert "EndingSequenceNumber" in shards(streams, arn)[0]["SequenceNumberRange"]


def test_a_table_made_anew_has_a_stream_of_its_own(client: Any, streams: Any) -> None:
    with streamed(client) as (name, first):
        client.put_item(TableName=name, Item=ITEM)
        client.delete_table(TableName=name)
        client.create_table(**table_parameters(StreamSpecification=specification()) | {"TableName": name})
        wait_active(client, name)
        second = latest_arn(client, name)
        assert second != first
        assert client.scan(TableName=name)["Count"] == 0
        client.put_item(TableName=name, Item=ITEM | {"v": n(2)})
        listed = [each["StreamArn"] for each in streams.list_streams(TableName=name)["Streams"]]
        assert listed == [second, first]
        assert [new["v"] for _, _, _, new in changes(read_all(streams, first))] == [n(1)]
        assert [new["v"] for _, _, _, new in changes(read_all(streams, second))] == [n(2)]


def test_deleted_tables_without_streams_leave_nothing(client: Any, streams: Any) -> None:
    with table(client) as name:
        client.delete_table(TableName=name)
        assert streams.list_streams(TableName=name)["Streams"] == []


def test_hidden_names_cannot_be_used(client: Any, streams: Any) -> None:
    with streamed(client) as (name, _):
        hidden = "$deleted/" + client.describe_table(TableName=name)["Table"]["TableId"]
        client.delete_table(TableName=name)
        for call in (client.describe_table, client.scan, client.delete_table):
            assert error(call, TableName=hidden)[0] in ("ValidationException", "ResourceNotFoundException")
        assert not [each for each in client.list_tables()["TableNames"] if each.startswith("$")]
        assert error(streams.list_streams, TableName=hidden)[0] == "ValidationException"


# Restarts.


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_streams_and_iterators_survive_a_restart(tmp_path: Path, kill: bool) -> None:
    options = ["--data-dir", str(tmp_path / "data")]
    server = Server(*options, log=tmp_path / "log").wait_ready()
    try:
        client = make_client(server.endpoint)
        streams = make_client(server.endpoint, "dynamodbstreams")
        with_stream = table_parameters(StreamSpecification=specification())
        doomed = table_parameters(StreamSpecification=specification())
        for parameters in (with_stream, doomed):
            client.create_table(**parameters)
            wait_active(client, parameters["TableName"])
        name = with_stream["TableName"]
        arn, lost = latest_arn(client, name), latest_arn(client, doomed["TableName"])
        client.put_item(TableName=doomed["TableName"], Item=ITEM)
        client.delete_table(TableName=doomed["TableName"])
        for number in range(20):
            client.put_item(TableName=name, Item=ITEM | {"v": n(number)})
        before, listed = read_all(streams, arn), shards(streams, arn)
        (shard,) = listed
        at_horizon = iterator(streams, arn, shard["ShardId"])
        page = streams.get_records(ShardIterator=at_horizon, Limit=5)
        latest = iterator(streams, arn, shard["ShardId"], "LATEST")
        if kill:
            server.kill()
        else:
            assert server.stop() == 0
        server = Server(*options, log=tmp_path / "log", port=server.port).wait_ready()
        client.put_item(TableName=name, Item=ITEM | {"v": n(100)})
        assert shards(streams, arn) == listed
        after = read_all(streams, arn)
        assert after[:20] == before
        assert [new["v"] for _, _, _, new in changes(after[20:])] == [n(100)]
        assert drain(streams, at_horizon)[0] == after
        assert drain(streams, page["NextShardIterator"])[0] == after[5:]
        assert drain(streams, latest)[0] == after[20:]
        assert int(sequence(after[20])) > int(sequence(after[19]))
        assert len(read_all(streams, lost)) == 1
        client.close()
        streams.close()
    finally:
        server.stop()


# Many at a time.


def test_parallel_writers_and_readers(client: Any, endpoint: str) -> None:
    """Every reader sees every change once and in the same order, and that order leads to the table's state."""
    writers, writes = 4, 150
    with streamed(client, "p/r:N") as (name, arn):
        done = threading.Event()
        seen: list[list[dict[str, Any]]] = [[] for _ in range(3)]
        failures: list[BaseException] = []

        def write(number: int) -> None:
            own = make_client(endpoint)
            for turn in range(writes):
                key = {"p": s(f"k{turn % 7}"), "r": n(turn % 3)}
                if turn % 6 == 5:
                    own.delete_item(TableName=name, Key=key)
                else:
                    own.put_item(TableName=name, Item=key | {"v": n(number * 1000 + turn)})
            own.close()

        def read(into: list[dict[str, Any]]) -> None:
            own = make_client(endpoint, "dynamodbstreams")
            (shard,) = shards(own, arn)
            following: str | None = iterator(own, arn, shard["ShardId"])
            last = False
            while not last:
                last = done.is_set()
                found, following = drain(own, following, limit=37)
                into += found
            own.close()

        def guarded(act: Any, argument: Any) -> None:
            try:
                act(argument)
            except BaseException as failure:
                failures.append(failure)

        def start(act: Any, arguments: list[Any]) -> list[threading.Thread]:
            threads = [threading.Thread(target=guarded, args=(act, argument)) for argument in arguments]
            for thread in threads:
                thread.start()
            return threads

        reading = start(read, seen)
        for thread in start(write, list(range(writers))):
            thread.join(60)
        done.set()
        for thread in reading:
            thread.join(60)
        assert failures == []
        assert seen[0] == seen[1] == seen[2]
        found = [sequence(record) for record in seen[0]]
        assert found == sorted(set(found), key=int)
        state = replayed(seen[0])
        items = all_items(client.scan, TableName=name)
        assert {repr(sorted((k, each[k]) for k in ("p", "r"))): each for each in items} == state
