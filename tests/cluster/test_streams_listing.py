"""DescribeStream while partitions split: a closed shard is never listed without its children, nor before its parent.

A consumer that drains a shard looks for its children once. Were they not there yet, it would lose them for good. What
the records themselves go through is in test_streams.py.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.local_cluster import LocalCluster
from tests.conformance.conftest import make_client
from tests.conformance.stream_support import (
    describe,
    drain,
    iterator,
    latest_arn,
    read_all,
    replayed,
    shards,
    specification,
)
from tests.conformance.support import n, s, table_parameters

SPLITS = 3


def faults(listed: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a list of all the shards there ever were."""
    found = []
    ids = [shard["ShardId"] for shard in listed]
    parents = {shard.get("ParentShardId") for shard in listed}
    if len(ids) != len(set(ids)):
        found.append(f"one is listed twice: {ids}")
    for place, shard in enumerate(listed):
        if "EndingSequenceNumber" in shard["SequenceNumberRange"] and shard["ShardId"] not in parents:
            found.append(f"{shard['ShardId']} is closed and has no children in {ids}")
        parent = shard.get("ParentShardId")
        if parent is not None and parent not in ids[:place]:
            found.append(f"{shard['ShardId']} does not come behind its parent in {ids}")
    return found


@pytest.mark.slow
def test_every_list_of_shards_is_whole(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "c", nodes=3, settings=("durability=os", "balance=false")) as cluster:
        endpoint = f"http://127.0.0.1:{cluster.base_port}"
        client, streams = make_client(endpoint), make_client(endpoint, "dynamodbstreams")
        parameters = table_parameters(StreamSpecification=specification())
        name = parameters["TableName"]
        cluster.create_table(parameters)
        arn = latest_arn(client, name)
        over = threading.Event()
        wrong: list[str] = []
        errors: list[BaseException] = []
        counts = {"writes": 0, "lists": 0}

        def until_over(step: Any) -> None:
            try:
                while not over.is_set():
                    step()
            except BaseException as error:
                errors.append(error)

        def write() -> None:
            turn = counts["writes"]
            client.put_item(TableName=name, Item={"p": s(f"k{turn % 500}"), "v": n(turn)})
            counts["writes"] += 1

        def look() -> None:
            wrong.extend(faults(shards(streams, arn)))
            counts["lists"] += 1

        threads = [threading.Thread(target=until_over, args=(step,)) for step in (write, look)]
        for thread in threads:
            thread.start()
        try:
            (first,) = shards(streams, arn)
            begun = iterator(streams, arn, first["ShardId"])
            for _ in range(SPLITS):
                seen = counts["writes"] + 200
                cluster.wait("more writes", lambda seen=seen: counts["writes"] >= seen or bool(errors))  # type: ignore[misc]
                parts = cluster.partitions(name)
                cluster.insist("split", partition=parts[-1]["id"])
                wanted = len(parts) + 1
                cluster.wait("the split", lambda wanted=wanted: len(cluster.partitions(name)) == wanted)  # type: ignore[misc]
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert not errors, errors
        assert wrong == []
        assert counts["lists"] > SPLITS
        assert len(shards(streams, arn)) == 1 + 2 * SPLITS
        assert describe(streams, arn, Limit=2)["Shards"] == shards(streams, arn)
        records = read_all(streams, arn)
        assert len(records) == counts["writes"]
        pages = client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
        items = [item for page in pages for item in page["Items"]]
        assert {item["p"]["S"]: item for item in items} == {
            item["p"]["S"]: item for item in replayed(records).values()
        }
        from_first, following = drain(streams, begun)
        assert following is None
        assert from_first == records[: len(from_first)]
