"""Streams in the control plane: switching them, deleting tables that have them, forgetting them in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hashrange_node.storage import keyspace
from hashrange_node.streams.shards import decode_row
from hashrange_router.api.tables import plan_delete
from hashrange_router.api.tables_update import plan_update

from hashrange.errors import ApiError
from hashrange.model.deleted_table import (
    deleted_name,
    forgets_at,
    is_deleted,
    original_name,
    retired,
    retires,
    streams_forgotten,
)
from hashrange.model.table_document import TableDocument
from hashrange.wire.cluster import ClusterCommand, WorkDone
from hashrange.wire.messages import ChangeTable, WhenSettled
from hashrange.wire.streams import Shard

from .meta_nodes import TestCluster
from .node_support import Bench
from .test_meta_moves import put, settled

RETENTION_S = 60.0
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
HIDDEN = deleted_name("id-Things")
BY = {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "g", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


def cluster_of(azs: str = "abc", retention_s: float = RETENTION_S) -> TestCluster:
    cluster = TestCluster(azs)
    for node in cluster.nodes.values():
        node.replication = replace(node.replication, stream_retention_s=retention_s)
    cluster.begin()
    return cluster


def documents(cluster: TestCluster) -> dict[str, TableDocument]:
    return cluster.control.node.catalogue.documents


def change(cluster: TestCluster, after: TableDocument) -> None:
    name = after["TableName"]
    before = documents(cluster)[name]
    message = ChangeTable(name, (before["TableId"], before["Generation"]), after, [])
    answer = cluster.ask(message)
    assert not isinstance(answer, ApiError), answer


def switch(cluster: TestCluster, specification: dict[str, Any]) -> None:
    plan = plan_update(
        documents(cluster)["Things"],
        {"TableName": "Things", "StreamSpecification": specification},
        now=1_000.0 + cluster.world.now,
        next_partition_ids=lambda: 0,
        region="us-east-1",
        account="0" * 12,
    )
    change(cluster, plan.document)


def delete(cluster: TestCluster) -> None:
    change(cluster, plan_delete(documents(cluster)["Things"], now=1_000.0 + cluster.world.now).document)
    assert cluster.ask(WhenSettled("Things")) is None


def stored(node: Any, store: int, spaces: Any) -> list[bytes]:
    """The keys that a node has of a store, in some spaces."""
    found = []
    for space in spaces:
        low = keyspace.space_prefix(store, space)
        found += [key for key, _ in node.engine.scan(low, keyspace.space_prefix(store, space + 1))]
    return found


def shards_of(node: Any, store: int) -> list[Shard]:
    """The shards that a node has of a partition."""
    return [decode_row(node.engine.get(key)).shard for key in stored(node, store, [keyspace.SHARDS])]


# ---- the document


def document(**extra: Any) -> TableDocument:
    bench = Bench()
    bench.create(StreamSpecification=STREAM, **extra)
    return bench.node.catalogue.documents["Things"]


def test_a_deleted_table_keeps_what_describes_its_streams() -> None:
    before = document(**BY)
    after = retired(before, 50.0, RETENTION_S)
    assert is_deleted(after) and not is_deleted(before)
    assert after["TableName"] == HIDDEN
    assert original_name(after) == original_name(before) == "Things"
    assert after["TableArn"] == before["TableArn"]
    assert after["KeySchema"] == before["KeySchema"]
    assert after["Partitions"] == before["Partitions"]
    assert "StreamSpecification" not in after
    assert after["GlobalSecondaryIndexes"] == []
    assert [stream["DisabledAt"] for stream in after["Streams"]] == [50.0]
    assert before["Streams"] == [{k: v for k, v in after["Streams"][0].items() if k != "DisabledAt"}]


def test_streams_are_forgotten_when_their_time_has_passed() -> None:
    on = document()
    assert retires(on, 1e9, RETENTION_S)
    assert forgets_at(on, RETENTION_S) is None
    assert streams_forgotten(on, 1e9, RETENTION_S) is on
    off = {**on, "Streams": [{**on["Streams"][0], "DisabledAt": 10.0}, {"Label": "later", "CreatedAt": 30.0}]}
    assert forgets_at(off, RETENTION_S) == 70.0
    assert streams_forgotten(off, 69.9, RETENTION_S) is off
    later = streams_forgotten(off, 70.0, RETENTION_S)
    assert later is not None and [stream["Label"] for stream in later["Streams"]] == ["later"]
    gone = retired(on, 10.0, RETENTION_S)
    assert streams_forgotten(gone, 69.9, RETENTION_S) is gone
    assert streams_forgotten(gone, 70.0, RETENTION_S) is None
    assert not retires({**off, "Streams": off["Streams"][:1]}, 70.0, RETENTION_S)


# ---- in a cluster


def test_a_stream_is_switched_when_every_partition_says_so() -> None:
    cluster = cluster_of()
    cluster.create()
    cluster.ask(ClusterCommand("split", {"partition": 1, "at": 1 << 63}))
    cluster.world.run(2)
    cluster.world.until(lambda: settled(cluster), 120)
    control = cluster.control.node
    reports: list[WorkDone] = []
    take = cluster.control.plane.controller.transitions.work_done
    control.handle(WorkDone, lambda message, done: (reports.append(message), done(None)))
    switch(cluster, STREAM)
    cluster.world.until(lambda: len({each.partition for each in reports}) == 2)
    assert documents(cluster)["Things"]["StreamChanging"] == "ENABLE"
    first = reports[0]
    assert first.what == f"stream:{documents(cluster)['Things']['LatestStreamLabel']}:ENABLE"
    take(first, lambda answer: None)
    cluster.world.run(1)
    assert "StreamChanging" in documents(cluster)["Things"], "one of two partitions has reported"
    control.handle(WorkDone, take)
    cluster.world.until(lambda: "StreamChanging" not in documents(cluster)["Things"])
    assert cluster.errors() == []


def test_a_split_while_a_stream_is_switched_waits_for_the_children() -> None:
    cluster = cluster_of()
    cluster.create()
    control = cluster.control
    transitions = control.plane.controller.transitions
    held: list[WorkDone] = []
    control.node.handle(WorkDone, lambda message, done: (held.append(message), done(None)))
    switch(cluster, STREAM)
    cluster.world.until(lambda: held)
    cluster.ask(ClusterCommand("split", {"partition": 1, "at": 1 << 63}))
    cluster.world.until(lambda: len(documents(cluster)["Things"]["Partitions"]) == 2, 60)
    transitions.work_done(held[0], lambda answer: None)
    cluster.world.run(1)
    assert "StreamChanging" in documents(cluster)["Things"], "the parent's report is not that of its children"
    control.node.handle(WorkDone, transitions.work_done)
    cluster.world.until(lambda: "StreamChanging" not in documents(cluster)["Things"])
    assert {each.partition for each in held} > {1}
    assert cluster.errors() == []


def test_a_table_deleted_with_its_stream_frees_its_name_and_keeps_its_partitions() -> None:
    cluster = cluster_of()
    cluster.create(StreamSpecification=STREAM, **BY)
    for number in range(20):
        put(cluster, {"pk": {"S": f"k{number}"}, "g": {"S": "x"}})
    write = cluster.control.node.catalogue.schemas["Things"].partitions.all[0].id
    delete(cluster)
    cluster.world.run(2)
    catalogue = cluster.control.node.catalogue
    assert list(catalogue.documents) == [HIDDEN]
    assert {p["table"] for p in catalogue.placements.values() if p["id"]} == {HIDDEN}
    for node in cluster.nodes.values():
        assert list(node.node.replicas) == [write], "the partition of the index is gone, the table's is here"
        assert node.node.replicas[write].schema.name == HIDDEN
        assert stored(node, write, range(6)) == [], "the items are gone"
        assert len(stored(node, write, [keyspace.STREAM])) == 20, "the records are not"
        assert [shard.open for shard in shards_of(node, write)] == [False]
        assert node.node.replicas[write].group.counts[0] == [0, 0]
        assert list(node.plane.view.documents) == [HIDDEN]
    cluster.create()
    assert sorted(catalogue.documents) == [HIDDEN, "Things"]
    put(cluster, {"pk": {"S": "new"}})
    assert catalogue.documents["Things"]["Partitions"][0]["id"] != write
    assert cluster.errors() == []


def test_the_partition_of_a_deleted_table_takes_no_writes() -> None:
    cluster = cluster_of()
    cluster.create(StreamSpecification=STREAM)
    schema = cluster.control.node.catalogue.schemas["Things"]
    delete(cluster)
    cluster.world.run(1)
    catalogue = cluster.control.node.catalogue
    catalogue.schemas["Things"] = schema  # as a router has it that has not heard of the deletion
    with pytest.raises(AssertionError, match=r"ResourceNotFoundException|not found"):
        put(cluster, {"pk": {"S": "late"}})
    assert all(stored(node, 1, range(6)) == [] for node in cluster.nodes.values())


def test_a_deleted_table_goes_when_its_streams_have_passed_their_time() -> None:
    cluster = cluster_of()
    cluster.create(StreamSpecification=STREAM)
    delete(cluster)
    cluster.world.run(RETENTION_S / 2)
    assert HIDDEN in documents(cluster)
    old = cluster.control
    old.stop()
    cluster.world.until(cluster.led, 30)
    old.start()
    cluster.world.run(RETENTION_S / 2 + 5)
    assert documents(cluster) == {}
    cluster.world.until(lambda: all(node.node.replicas == {} for node in cluster.nodes.values()))
    assert [p for p in cluster.control.node.catalogue.placements if p] == []
    assert all(stored(node, 1, (*range(6), 64, 65, 66, 67, 68)) == [] for node in cluster.nodes.values())
    assert cluster.errors() == []


def test_a_stream_that_is_off_is_forgotten_in_time() -> None:
    cluster = cluster_of()
    cluster.create(StreamSpecification=STREAM)
    switch(cluster, {"StreamEnabled": False})
    cluster.world.until(lambda: "StreamChanging" not in documents(cluster)["Things"])
    cluster.world.run(1)
    switch(cluster, STREAM)
    cluster.world.until(lambda: "StreamChanging" not in documents(cluster)["Things"])
    assert len(documents(cluster)["Things"]["Streams"]) == 2
    cluster.world.run(RETENTION_S - 10)
    assert len(documents(cluster)["Things"]["Streams"]) == 2
    cluster.world.run(12)
    (left,) = documents(cluster)["Things"]["Streams"]
    assert left["Label"] == documents(cluster)["Things"]["LatestStreamLabel"]
    assert "DisabledAt" not in left


def test_a_table_without_records_to_keep_is_dropped_at_once() -> None:
    cluster = cluster_of(retention_s=1.0)
    cluster.create(StreamSpecification=STREAM)
    switch(cluster, {"StreamEnabled": False})
    cluster.world.until(lambda: "StreamChanging" not in documents(cluster)["Things"])
    cluster.world.run(5)
    delete(cluster)
    cluster.world.run(1)
    assert documents(cluster) == {}


def test_a_split_that_is_going_on_goes_with_the_deleted_table() -> None:
    cluster = cluster_of()
    cluster.create(StreamSpecification=STREAM)
    for number in range(20):
        put(cluster, {"pk": {"S": f"k{number}"}})
    cluster.ask(ClusterCommand("split", {"partition": 1, "at": 1 << 63}))
    delete(cluster)
    cluster.world.until(lambda: settled(cluster), 120)
    cluster.world.run(3)
    catalogue = cluster.control.node.catalogue
    assert list(catalogue.documents) == [HIDDEN]
    parts = [part["id"] for part in catalogue.documents[HIDDEN]["Partitions"]]
    assert len(parts) == 2
    assert all(sorted(node.node.replicas) == parts for node in cluster.nodes.values())
    assert all(stored(node, 1, range(6)) == [] for node in cluster.nodes.values())
    assert cluster.errors() == []


def test_a_deleted_table_is_there_after_a_restart_of_everything() -> None:
    cluster = cluster_of()
    cluster.create(StreamSpecification=STREAM)
    put(cluster, {"pk": {"S": "a"}})
    delete(cluster)
    cluster.world.run(1)
    for node in cluster.nodes.values():
        node.stop()
    for node in cluster.nodes.values():
        node.start()
    cluster.world.until(cluster.led, 30)
    cluster.world.until(lambda: all(1 in node.node.replicas for node in cluster.nodes.values()), 30)
    assert list(documents(cluster)) == [HIDDEN]
    assert cluster.errors() == []


# ---- embedded


def test_embedded_the_partitions_stay_open_and_the_index_is_closed() -> None:
    bench = Bench()
    bench.create(StreamSpecification=STREAM, **BY)
    bench.put({"pk": {"S": "a"}, "g": {"S": "x"}})
    bench.scheduler.run()
    replica = bench.node.replicas[1]
    before = bench.node.catalogue.documents["Things"]
    after = plan_delete(before, now=1.0).document
    bench.send(ChangeTable("Things", (before["TableId"], before["Generation"]), after, []))
    bench.scheduler.run()
    assert list(bench.node.catalogue.documents) == [HIDDEN]
    assert bench.node.replicas == {1: replica}
    assert len(stored(bench, 1, [keyspace.STREAM])) == 1
    assert [shard.open for shard in shards_of(bench, 1)] == [False]
    assert stored(bench, 1, range(6)) == []
    assert stored(bench, 2, range(70)) == []
    bench.create()
    assert [bench.node.replicas[n].schema.name for n in (1, 3)] == [HIDDEN, "Things"]
    again = Bench(bench.log, bench.engine)
    assert sorted(again.node.catalogue.documents) == [HIDDEN, "Things"]
    assert sorted(again.node.replicas) == [1, 3]
    assert bench.errors == again.errors == []
