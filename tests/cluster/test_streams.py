"""Streams of a real cluster: no change is lost, doubled or out of order, whatever becomes of the nodes.

Items are changed all the time while a partition is split, shards roll over, leaders are killed, a replica moves and
everything is restarted. One consumer reads along, another one reads everything afterwards: both must have, for each
item, the chain of all its states, with every acknowledged one in it, and numbers that grow along the lineage.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cluster.local_cluster import LocalCluster
from tests.cluster.streams.changes import Changes
from tests.cluster.streams.check import between, chain_faults, lineage_faults, numbers_in, open_leaves
from tests.cluster.streams.reader import StreamReader
from tests.conformance.conftest import make_client
from tests.conformance.server import running
from tests.conformance.support import wait_until

CREATE: dict[str, Any] = {
    "TableName": "changed",
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}
TABLE = {"TableName": "changed"}
OFF = {**TABLE, "StreamSpecification": {"StreamEnabled": False}}
ON = {**TABLE, "StreamSpecification": CREATE["StreamSpecification"]}


def client_of(endpoint: str, service: str = "dynamodb") -> Any:
    return make_client(endpoint, service, connect_timeout=5, read_timeout=20)


def items_of(client: Any) -> dict[str, dict[str, Any]]:
    """Every item of the table, by its key."""
    found: dict[str, dict[str, Any]] = {}
    for page in client.get_paginator("scan").paginate(**TABLE, ConsistentRead=True):
        found |= {item["k"]["S"]: item for item in page["Items"]}
    return found


@contextmanager
def reading(reader: StreamReader) -> Iterator[None]:
    """Let a reader read along; what ends it early is raised at the end."""
    over = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            while not over.wait(0.05):
                reader.step()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not errors, errors


def settle(cluster: LocalCluster) -> None:
    cluster.wait("all replicas", lambda: not cluster.behind(slack=100), 90)


@pytest.mark.slow
def test_every_change_is_read_once_and_in_order_through_faults(tmp_path: Path) -> None:
    settings = ("stream_rollover_s=5", "durability=os", "balance=false")
    with LocalCluster(tmp_path / "c", nodes=4, settings=settings) as cluster:
        endpoint = f"http://127.0.0.1:{cluster.base_port}"
        client, streams = client_of(endpoint), client_of(endpoint, "dynamodbstreams")
        cluster.create_table(CREATE)
        arn = client.describe_table(**TABLE)["Table"]["LatestStreamArn"]
        along = StreamReader(streams, arn)
        changes = Changes(lambda: client_of(endpoint), "changed")
        with reading(along), changes:
            changes.wait(200)
            (whole,) = cluster.partitions("changed")
            cluster.insist("split", partition=whole["id"], at=1 << 63)
            cluster.wait("two partitions", lambda: len(cluster.partitions("changed")) == 2)
            changes.wait(200)
            low, high = (part["id"] for part in cluster.partitions("changed"))
            victim = cluster.leader_of(low)
            cluster.kill(f"node-{victim}")
            changes.wait(300)
            cluster.restart(f"node-{victim}")
            settle(cluster)
            moved = next(
                (node, other)
                for part in cluster.partitions("changed")
                if part["id"] == high
                for node in (replica["node"] for replica in part["replicas"])
                for other in cluster.nodes()
                if other not in {replica["node"] for replica in part["replicas"]}
                and cluster.zone_of(other) == cluster.zone_of(node)
            )
            cluster.insist("move", partition=high, **{"from": moved[0], "to": moved[1]})
            cluster.wait(
                "a moved replica",
                lambda: any(
                    {r["node"] for r in part["replicas"]} & {moved[1]}
                    and moved[0] not in {r["node"] for r in part["replicas"]}
                    for part in cluster.partitions("changed")
                    if part["id"] == high
                ),
            )
            changes.wait(200)
            cluster.ended_by_us.update(cluster.every())
            cluster.stop()
            cluster.start()
            changes.wait(200)
            # What the moved replica got when it was moved is read from it alone.
            for _ in range(12):
                leader = cluster.leader_of(high)
                if leader == moved[1]:
                    break
                cluster.kill(f"node-{leader}")
                changes.wait(100)
                cluster.restart(f"node-{leader}")
                settle(cluster)
            assert cluster.leader_of(high) == moved[1]
        along.drain()
        after = StreamReader(streams, arn, page=100)
        after.drain()
        items = items_of(client)
        for reader in (along, after):
            assert lineage_faults(reader) == []
            assert chain_faults(reader.order, changes.known, items) == []
        assert open_leaves(after) == 2
        rolled = [s for s in after.shards.values() if s.get("ParentShardId", "")[-8:] == s["ShardId"][-8:]]
        assert rolled, "no shard was continued by another of its partition"
        assert {shard["ShardId"][-8:] for shard in after.shards.values()} == {
            f"{partition:08x}" for partition in (whole["id"], low, high)
        }
        assert cluster.crashes() == []


@pytest.mark.slow
def test_a_stream_has_what_is_changed_while_it_is_on(tmp_path: Path) -> None:
    """Switched on and off under load while leaders are lost: all between, nothing after it, nothing twice."""
    with LocalCluster(tmp_path / "c", settings=("durability=os",)) as cluster:
        endpoint = f"http://127.0.0.1:{cluster.base_port}"
        client, streams = client_of(endpoint), client_of(endpoint, "dynamodbstreams")
        cluster.create_table({name: value for name, value in CREATE.items() if name != "StreamSpecification"})
        cluster.split_empty("changed", 3)

        def switch(specification: dict[str, Any], victim: int) -> str:
            """Switch the stream while the leader of a partition is away."""
            cluster.kill(f"node-{victim}")
            found: dict[str, Any] = {}

            def described() -> dict[str, Any]:
                try:
                    found.update(client.describe_table(**TABLE)["Table"])
                except ClientError:
                    return {}
                return found

            cluster.wait("the switch", lambda: _accepted(client, specification))
            cluster.wait("ACTIVE", lambda: described().get("TableStatus") == "ACTIVE")
            cluster.restart(f"node-{victim}")
            return str(found["LatestStreamArn"])

        with Changes(lambda: client_of(endpoint), "changed") as changes:
            changes.wait(100)
            first, second, _ = cluster.partitions("changed")
            arn = switch(ON, cluster.leader_of(first["id"]))
            on = changes.mark()
            changes.wait(500)
            settle(cluster)
            before_off = changes.mark()
            assert switch(OFF, cluster.leader_of(second["id"])) == arn
            off = changes.mark()
            changes.wait(200)
        reader = StreamReader(streams, arn)
        reader.drain()
        assert reader.finished
        assert lineage_faults(reader) == []
        found = numbers_in(reader.order)
        for key, numbers in between(changes.known, on, before_off).items():
            assert numbers <= set(found.get(key, [])), f"{key}: changed while the stream was on"
        for key, numbers in between(changes.known, off, None).items():
            assert not numbers & set(found.get(key, [])), f"{key}: changed after it was off"
        assert all(len(set(numbers)) == len(numbers) for numbers in found.values())
        assert sum(len(numbers) for numbers in between(changes.known, on, before_off).values()) > 100
        assert cluster.crashes() == []


def _accepted(client: Any, specification: dict[str, Any]) -> bool:
    """Whether the table has taken a change of its stream, perhaps from an attempt that got no answer."""
    try:
        client.update_table(**specification)
    except ClientError as error:
        return "already has an enabled stream" in str(error) or "no stream to disable" in str(error)
    return True


@pytest.mark.slow
def test_a_stream_of_a_cluster_is_switched_and_outlives_its_table(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "c", settings=("stream_retention_s=20", "durability=os")) as cluster:
        endpoint = f"http://127.0.0.1:{cluster.base_port}"
        life_of_streams(endpoint, lambda: cluster.partitions("changed"))
        assert cluster.crashes() == []


def test_a_stream_is_switched_and_outlives_its_table(tmp_path: Path) -> None:
    options = ("--data-dir", str(tmp_path / "d"), "--durability", "os", "--stream-retention-s", "12")
    with running(*options, log=tmp_path / "log.txt") as server:
        life_of_streams(server.endpoint, list)


def test_old_records_and_shards_go(tmp_path: Path) -> None:
    options = ("--data-dir", str(tmp_path / "d"), "--durability", "os")
    options += ("--stream-retention-s", "5", "--stream-rollover-s", "2")
    with running(*options, log=tmp_path / "log.txt") as server:
        client, streams = client_of(server.endpoint), client_of(server.endpoint, "dynamodbstreams")
        client.create_table(**CREATE)
        arn = client.describe_table(**TABLE)["Table"]["LatestStreamArn"]
        client.put_item(**TABLE, Item={"k": {"S": "a"}})
        before = StreamReader(streams, arn)
        before.step()
        ((first, (record,)),) = before.read.items()
        at = {"StreamArn": arn, "ShardId": first, "ShardIteratorType": "AT_SEQUENCE_NUMBER"}
        number = record["dynamodb"]["SequenceNumber"]
        old = streams.get_shard_iterator(**at, SequenceNumber=number)["ShardIterator"]
        assert streams.get_records(ShardIterator=old)["Records"] == [record]

        def left() -> set[str]:
            description = streams.describe_stream(StreamArn=arn)["StreamDescription"]
            return {shard["ShardId"] for shard in description["Shards"]}

        wait_until(lambda: first not in left(), "the end of the first shard")
        with pytest.raises(streams.exceptions.ClientError) as refused:
            streams.get_records(ShardIterator=old)
        assert refused.value.response["Error"]["Code"] in (
            "ResourceNotFoundException",
            "TrimmedDataAccessException",
        )
        client.put_item(**TABLE, Item={"k": {"S": "b"}})
        after = StreamReader(streams, arn)
        after.drain()
        assert [each["dynamodb"]["Keys"] for each in after.order] == [{"k": {"S": "b"}}]
        assert lineage_faults(after) == []
        assert open_leaves(after) == 1


def life_of_streams(endpoint: str, partitions: Any) -> None:
    """On, off, on again, deleted, made again: each stream has what was changed while it was on, for its time."""
    client, streams = client_of(endpoint), client_of(endpoint, "dynamodbstreams")

    def put(number: int) -> None:
        client.put_item(**TABLE, Item={"k": {"S": "a"}, "n": {"N": str(number)}})

    def switch(specification: dict[str, Any]) -> str:
        client.update_table(**specification)
        wait_until(lambda: client.describe_table(**TABLE)["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")
        return str(client.describe_table(**TABLE)["Table"]["LatestStreamArn"])

    def listed() -> list[str]:
        return [each["StreamArn"] for each in streams.list_streams(**TABLE)["Streams"]]

    def status(arn: str) -> str:
        return str(streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"])

    def read(arn: str) -> tuple[list[int], bool]:
        reader = StreamReader(streams, arn)
        reader.drain()
        assert lineage_faults(reader) == []
        return [int(r["dynamodb"]["NewImage"]["n"]["N"]) for r in reader.order], reader.finished

    client.create_table(**CREATE)
    first = str(client.describe_table(**TABLE)["Table"]["LatestStreamArn"])
    put(1)
    assert switch(OFF) == first
    put(2)
    second = switch(ON)
    put(3)
    assert (status(first), status(second)) == ("DISABLED", "ENABLED")
    assert listed() == [second, first]
    assert read(first) == ([1], True)
    assert read(second) == ([3], False)
    client.delete_table(**TABLE)
    assert "changed" not in client.list_tables()["TableNames"]
    assert partitions() == []
    client.create_table(**CREATE)
    third = str(client.describe_table(**TABLE)["Table"]["LatestStreamArn"])
    assert client.scan(**TABLE)["Items"] == []
    put(4)
    assert len({first, second, third}) == 3
    assert listed() == [third, second, first]
    assert status(second) == "DISABLED"
    assert read(second) == ([3], True)
    assert read(third) == ([4], False)
    deadline = time.monotonic() + 60
    while listed() != [third]:
        assert time.monotonic() < deadline, "the streams of the deleted table are still listed"
        time.sleep(0.3)
    with pytest.raises(streams.exceptions.ResourceNotFoundException):
        streams.describe_stream(StreamArn=second)
    put(5)
    assert read(third)[0][-1] == 5
