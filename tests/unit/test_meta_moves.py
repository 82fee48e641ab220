"""Replicas on real nodes: repaired, moved, drained, split; fills and statistics across nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hashrange_router.api.tables_update import plan_update

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.value import dump, normalise_item
from hashrange.wire.cluster import ClusterCommand, ClusterStatus, WorkDone
from hashrange.wire.messages import (
    PUT,
    ChangeTable,
    ReadItem,
    ReadRange,
    TableStatistics,
    WriteItem,
    WriteResult,
)

from .meta_nodes import SETTINGS, TestCluster


def put(cluster: TestCluster, item: dict[str, Any], via: int | None = None) -> None:
    schema = cluster.control.node.catalogue.schemas["Things"]
    size = normalise_item(item)
    key = schema.codec.encode(item)
    write = WriteItem(schema.partition_for(key).id, 1, PUT, key)
    write.item_json, write.item_size = dump(item), size
    answer = cluster.ask(write, via)
    assert isinstance(answer, WriteResult), answer


def read(cluster: TestCluster, pk: str, via: int | None = None) -> Any:
    schema = cluster.control.node.catalogue.schemas["Things"]
    key = schema.codec.encode({"pk": {"S": pk}})
    answer = cluster.ask(ReadItem(schema.partition_for(key).id, 1, key, True), via)
    assert not isinstance(answer, ApiError), answer
    return orjson.loads(records.item_json(answer)) if answer is not None else None


def settled(cluster: TestCluster) -> bool:
    """Whether nothing is under way, as the control plane sees it."""
    if not cluster.led():
        return False
    control = cluster.control.plane.control
    if not control.settled:
        return False
    view = control.view()
    for placement in view.placements.values():
        leader = view.leader(placement["id"])
        ids = {r["id"] for r in placement["replicas"]}
        if leader is None or leader.joint or leader.learners or set(leader.voters) != ids:
            return False
        if any(r.get("leaving") for r in placement["replicas"]):
            return False
        if "split" in placement or "successors" in placement:
            return False
    return True


def hosts(cluster: TestCluster, partition: int) -> list[int]:
    return sorted(r["node"] for r in cluster.control.node.catalogue.placements[partition]["replicas"])


def add_index(cluster: TestCluster) -> int:
    """Add an index on attribute g; returns its partition."""
    catalogue = cluster.control.node.catalogue
    document = catalogue.documents["Things"]
    ids = [catalogue.next_partition_id]
    update = {
        "TableName": "Things",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "g", "AttributeType": "S"},
        ],
        "GlobalSecondaryIndexUpdates": [
            {
                "Create": {
                    "IndexName": "by",
                    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            }
        ],
    }
    plan = plan_update(
        document,
        update,
        now=2.0,
        next_partition_ids=lambda: ids[0],
        region="us-east-1",
        account="0" * 12,
    )
    message = ChangeTable("Things", (document["TableId"], document["Generation"]), plan.document, ids)
    assert not isinstance(cluster.ask(message), ApiError)
    return ids[0]


def test_a_wiped_node_gets_its_replicas_back() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    for number in range(50):
        put(cluster, {"pk": {"S": f"k{number}"}})
    victim = cluster.nodes[3]
    victim.wipe()
    cluster.world.run(8)
    victim.start()
    cluster.world.until(lambda: victim.plane.ready)
    cluster.world.run(3)
    cluster.world.until(lambda: settled(cluster), 120)
    assert hosts(cluster, 0) == hosts(cluster, 1) == [1, 2, 3]
    assert victim.node.catalogue.member
    assert victim.node.replicas[1].group.replica_id == 4
    assert victim.node.catalogue.documents.keys() == {"Things"}
    # The new replica has everything: one of the others is not needed any more.
    cluster.nodes[1].stop()
    cluster.world.until(cluster.led, 30)
    assert read(cluster, "k17", via=2) == {"pk": {"S": "k17"}}
    assert cluster.errors() == []


def test_a_drained_node_is_emptied() -> None:
    cluster = TestCluster("aabbcc")
    cluster.begin()
    cluster.create()
    put(cluster, {"pk": {"S": "a"}})
    target = hosts(cluster, 1)[0]
    cluster.ask(ClusterCommand("decommission", {"node": target}))
    cluster.world.until(lambda: cluster.control.node.catalogue.nodes[target]["state"] == "removed", 200)
    assert cluster.nodes[target].node.replicas == {}
    assert not cluster.nodes[target].node.catalogue.member
    assert read(cluster, "a", via=target % 6 + 1) == {"pk": {"S": "a"}}
    cluster.create("More")
    cluster.world.run(3)
    assert "More" in cluster.nodes[target].node.catalogue.documents
    assert cluster.errors() == []


def test_a_replica_moves_by_command() -> None:
    cluster = TestCluster("aabbcc")
    cluster.begin()
    cluster.create()
    for number in range(20):
        put(cluster, {"pk": {"S": f"k{number}"}})
    source = hosts(cluster, 1)[0]
    target = {1: 2, 2: 1}[source]
    answer = cluster.ask(ClusterCommand("move", {"partition": 1, "from": source, "to": target}))
    assert "moves" in answer["message"]
    cluster.world.run(2)
    cluster.world.until(lambda: settled(cluster), 120)
    assert target in hosts(cluster, 1)
    assert source not in hosts(cluster, 1)
    assert 1 not in cluster.nodes[source].node.replicas
    left = [key for key, _ in cluster.nodes[source].engine.scan(b"P", b"Q")]
    assert left == []
    assert len([key for key, _ in cluster.nodes[target].engine.scan(b"P", b"Q")]) == 20
    assert cluster.errors() == []


def test_a_partition_is_split_by_command() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    for number in range(60):
        put(cluster, {"pk": {"S": f"k{number}"}})
    answer = cluster.ask(ClusterCommand("split", {"partition": 1, "at": 1 << 63}))
    low, high = answer["children"]
    cluster.world.run(2)
    cluster.world.until(lambda: settled(cluster), 120)
    catalogue = cluster.control.node.catalogue
    assert 1 not in catalogue.placements
    parts = catalogue.documents["Things"]["Partitions"]
    assert [p["id"] for p in parts] == [low, high]
    for number in range(60):
        assert read(cluster, f"k{number}") == {"pk": {"S": f"k{number}"}}
        put(cluster, {"pk": {"S": f"k{number}"}, "n": {"N": "1"}})
    for node in cluster.nodes.values():
        assert sorted(node.node.replicas) == [low, high]
    cluster.world.run(3)
    status = cluster.ask(ClusterStatus())
    assert sum(p["items"] for p in status["partitions"]) in range(55, 66)
    assert cluster.errors() == []


def test_an_index_is_filled_by_the_leaders_of_all_partitions() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    for number in range(60):
        put(cluster, {"pk": {"S": f"k{number}"}, "g": {"S": f"g{number % 3}"}})
    cluster.ask(ClusterCommand("split", {"partition": 1, "at": 1 << 63}))
    cluster.world.run(2)
    cluster.world.until(lambda: settled(cluster), 120)
    partition = add_index(cluster)
    cluster.world.until(lambda: cluster.control.node.catalogue.schemas["Things"].index("by").readable, 60)
    page = ReadRange(partition, 1, 0, b"", b"\xff" * 9)
    page.max_bytes = 1 << 30
    found = cluster.ask(page)
    assert len(found.items) == 60
    cluster.world.run(3)
    assert cluster.ask(TableStatistics("Things"))["by"][0] == 60
    assert cluster.errors() == []


def test_a_fill_is_not_lost_with_the_leaders_that_know_of_it() -> None:
    """What has been filled is told again to a new control leader; a new leader of the partition goes on with it."""
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    for number in range(40):
        put(cluster, {"pk": {"S": f"k{number}"}, "g": {"S": "x"}})
    control = cluster.control
    control.node.handle(WorkDone, lambda message, done: done(None))  # as if its memory were lost
    partition = add_index(cluster)
    cluster.world.run(5)
    assert not control.node.catalogue.schemas["Things"].index("by").readable
    control.stop()
    cluster.world.until(cluster.led, 30)
    cluster.world.until(lambda: cluster.control.node.catalogue.schemas["Things"].index("by").readable, 60)
    page = ReadRange(partition, 1, 0, b"", b"\xff" * 9)
    page.max_bytes = 1 << 30
    assert len(cluster.ask(page).items) == 40
    assert cluster.errors() == []


@pytest.mark.parametrize("azs", ["a", "ab", "aaa"])
def test_small_clusters_have_one_replica_of_everything(azs: str) -> None:
    cluster = TestCluster(azs)
    cluster.begin()
    cluster.create()
    put(cluster, {"pk": {"S": "a"}})
    assert len(hosts(cluster, 0)) == len(hosts(cluster, 1)) == 1
    assert read(cluster, "a", via=len(azs)) == {"pk": {"S": "a"}}
    assert cluster.errors() == []


def test_a_cluster_grows_from_one_node_to_three_zones() -> None:
    cluster = TestCluster("a")
    cluster.begin()
    cluster.create()
    for number in range(30):
        put(cluster, {"pk": {"S": f"k{number}"}})
    for az in "bc":
        new = cluster.join(az)
        new.seeds = [1]
        cluster.world.until(lambda new=new: new.plane.ready)
    cluster.world.run(5)
    cluster.world.until(lambda: settled(cluster) and len(hosts(cluster, 0)) == 3, 120)
    assert hosts(cluster, 0) == hosts(cluster, 1) == [1, 2, 3]
    cluster.nodes[1].stop()
    cluster.world.until(cluster.led, 30)
    assert read(cluster, "k7", via=2) == {"pk": {"S": "k7"}}
    assert cluster.errors() == []


def test_a_hot_partition_is_split_where_its_load_is() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    hot = replace(SETTINGS, split_writes_per_s=20.0, split_hot_s=4.0)
    for node in cluster.nodes.values():
        node.plane.control.settings = hot
    schema = cluster.control.node.catalogue.schemas["Things"]
    stop = [False]
    writer = cluster.nodes[2]

    def write(number: int) -> None:
        item = {"pk": {"S": f"k{number % 97}"}, "n": {"N": str(number)}}
        size = normalise_item(item)
        key = schema.codec.encode(item)
        message = WriteItem(
            writer.plane.controller.node.catalogue.schemas["Things"].partition_for(key).id, 1, PUT, key
        )
        message.item_json, message.item_size = dump(item), size
        if not stop[0]:
            writer.node.transport.send(message, lambda answer: None)
            cluster.world.later(0.005, lambda: write(number + 1))

    write(0)
    cluster.world.until(lambda: len(cluster.control.node.catalogue.documents["Things"]["Partitions"]) > 1, 60)
    stop[0] = True
    cluster.world.run(2)
    at = cluster.control.node.catalogue.documents["Things"]["Partitions"][1]["lo"]
    hashes = [schema.codec.encode({"pk": {"S": f"k{n}"}})[:8] for n in range(97)]
    below = sum(int.from_bytes(h, "big") < at for h in hashes)
    assert 20 <= below <= 77


def test_a_partition_that_is_hot_with_reads_is_split_where_they_are() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    for node in cluster.nodes.values():
        node.plane.control.settings = replace(SETTINGS, split_reads_per_s=50.0, split_hot_s=4.0)
    node = cluster.nodes[2].node
    schema = node.catalogue.schemas["Things"]
    # All of them in the upper quarter of the hashes.
    numbers = [n for n in range(400) if schema.codec.encode({"pk": {"S": f"k{n}"}})[0] >= 0xC0]
    reading = [True]

    def read_on(turn: int) -> None:
        key = schema.codec.encode({"pk": {"S": f"k{numbers[turn % len(numbers)]}"}})
        message = ReadItem(node.catalogue.schemas["Things"].partition_for(key).id, 1, key, True)
        if reading[0]:
            node.transport.send(message, lambda answer: None)
            cluster.world.later(0.007, lambda: read_on(turn + 1))

    read_on(0)
    cluster.world.until(lambda: len(cluster.control.node.catalogue.documents["Things"]["Partitions"]) > 1, 60)
    reading[0] = False
    at = cluster.control.node.catalogue.documents["Things"]["Partitions"][1]["lo"]
    assert at >> 56 >= 0xC0
    assert not cluster.errors()


def test_a_node_may_leave_to_where_its_replicas_have_just_come_from() -> None:
    cluster = TestCluster("aabbcc")
    cluster.begin()
    cluster.create()
    for gone in (4, 6):
        cluster.ask(ClusterCommand("decommission", {"node": gone}))
    cluster.world.until(
        lambda: settled(cluster) and not {4, 6} & {*hosts(cluster, 0), *hosts(cluster, 1)}, 120
    )
    source = hosts(cluster, 1)[0]
    assert source in (1, 2)
    target = 3 - source
    cluster.ask(ClusterCommand("move", {"partition": 1, "from": source, "to": target}))
    answer = cluster.ask(ClusterCommand("decommission", {"node": target}))
    assert not isinstance(answer, ApiError), answer
    cluster.world.run(2)
    cluster.world.until(lambda: settled(cluster) and target not in hosts(cluster, 1), 240)
    assert hosts(cluster, 1) == [source, 3, 5]
    assert cluster.errors() == []
