"""The control plane on real nodes: the beginning of a cluster, registration, tables, feeds, the loss of leaders."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.storage import keyspace

from hashrange.errors import ApiError
from hashrange.model.table_document import revised
from hashrange.wire.cluster import CONTROL, Bootstrap, ClusterCommand, ClusterStatus, RegisterNode
from hashrange.wire.messages import ChangeTable, TableStatistics, WhenSettled

from .meta_nodes import TestCluster


def test_a_cluster_begins_when_all_its_first_members_are_there() -> None:
    cluster = TestCluster()
    cluster.nodes[1].start()
    cluster.nodes[2].start()
    cluster.world.run(10)
    assert all(not n.clusters for n in cluster.nodes.values())
    assert cluster.nodes[1].plane.bootstrap.waiting_for == [3]
    cluster.nodes[3].start()
    cluster.world.until(lambda: all(n.plane.ready for n in cluster.nodes.values()))
    assert len({tuple(n.clusters) for n in cluster.nodes.values()}) == 1
    catalogue = cluster.control.node.catalogue
    assert sorted(catalogue.nodes) == [1, 2, 3]
    assert [r["node"] for r in catalogue.placements[0]["replicas"]] == [1, 2, 3]
    assert cluster.errors() == []


def test_group_0_has_one_member_an_az_and_the_others_follow() -> None:
    cluster = TestCluster("aabbcc")
    cluster.begin()
    placement = cluster.control.node.catalogue.placements[0]
    assert [r["node"] for r in placement["replicas"]] == [1, 3, 5]
    cluster.create()
    cluster.world.run(2)
    assert all("Things" in n.node.catalogue.documents for n in cluster.nodes.values())
    assert all("Things" in n.plane.view.documents for n in cluster.nodes.values())
    assert not cluster.nodes[2].node.catalogue.member


def test_a_member_that_missed_the_beginning_takes_it_over_when_it_asks() -> None:
    cluster = TestCluster()
    world = cluster.world
    first = cluster.nodes[1]

    class Cutting(list[str]):
        """The word of the first member reaches nobody any more."""

        def append(self, name: str) -> None:
            super().append(name)
            world.cut |= {frozenset((1, 2)), frozenset((1, 3))}

    first.clusters = Cutting()
    for node in cluster.nodes.values():
        node.start()
    world.until(lambda: first.clusters)
    first.stop()
    first.clusters = []
    world.cut.clear()
    world.run(5)
    assert not cluster.nodes[2].clusters
    first.start()
    world.until(lambda: all(n.plane.ready for n in cluster.nodes.values()))
    assert len({n.clusters[0] for n in cluster.nodes.values()}) == 1


def test_a_record_is_not_taken_over_by_another_directory() -> None:
    cluster = TestCluster()
    cluster.begin()
    record = cluster.nodes[1].node.catalogue.cluster
    assert record is not None
    cluster.nodes[3].wipe()
    cluster.nodes[3].clusters.clear()
    cluster.nodes[3].start()
    answers: list[Any] = []
    cluster.nodes[3].plane.bootstrap.handle(
        Bootstrap(record["cluster"], [1, 2, 3], True, record), answers.append
    )
    assert isinstance(answers[0], ApiError)
    assert not cluster.nodes[3].clusters


def test_a_restart_comes_back_into_the_same_cluster() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    names = {n.clusters[0] for n in cluster.nodes.values()}
    for node in cluster.nodes.values():
        node.stop()
    for node in cluster.nodes.values():
        node.start()
    cluster.world.until(lambda: cluster.led() and all(n.plane.ready for n in cluster.nodes.values()))
    assert {n.clusters[-1] for n in cluster.nodes.values()} == names
    cluster.world.until(lambda: cluster.ask(TableStatistics("Things")) == {None: (0, 0)})


def test_a_wiped_node_becomes_a_new_generation() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.nodes[3].wipe()
    cluster.nodes[3].start()
    cluster.world.until(lambda: cluster.nodes[3].plane.ready)
    assert cluster.nodes[3].node.identity.generation == 2
    assert cluster.control.node.catalogue.nodes[3]["generation"] == 2
    assert not cluster.nodes[3].refusals


def test_a_second_process_of_one_id_is_told_and_the_first_goes_on() -> None:
    cluster = TestCluster()
    cluster.begin()
    found: list[Any] = []
    for _ in range(8):
        found = []
        cluster.control.node.send(RegisterNode(3, "c", "else:1", "else:2", "ffff", ""), found.append)
        cluster.world.run(1)
        assert isinstance(found[0], ApiError)
    assert found[0].type_name == "NodeRefused"
    assert "running already" in (found[0].message or "")
    assert cluster.control.node.catalogue.nodes[3]["generation"] == 1


def test_a_joined_node_is_known_and_follows() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    new = cluster.join("b")
    cluster.world.until(lambda: new.plane.ready)
    assert new.node.identity.generation == 1
    assert "Things" in new.node.catalogue.documents
    assert 4 in cluster.nodes[1].node.catalogue.nodes


def test_a_table_is_active_when_its_partitions_have_leaders() -> None:
    cluster = TestCluster()
    cluster.begin()
    assert cluster.create() is None
    catalogue = cluster.control.node.catalogue
    assert catalogue.documents["Things"]["Status"] == "ACTIVE"
    placement = catalogue.placements[1]
    assert sorted(r["node"] for r in placement["replicas"]) == [1, 2, 3]
    for node in cluster.nodes.values():
        assert 1 in node.node.replicas
    assert sum(n.node.replicas[1].group.serving for n in cluster.nodes.values()) == 1


def test_a_table_that_is_deleted_leaves_nothing_anywhere() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    document = cluster.control.node.catalogue.documents["Things"]
    deleting = revised(document)
    deleting["Status"] = "DELETING"
    answer = cluster.ask(ChangeTable("Things", (document["TableId"], document["Generation"]), deleting, []))
    assert not isinstance(answer, ApiError)
    assert cluster.ask(WhenSettled("Things")) is None
    cluster.world.run(2)
    for node in cluster.nodes.values():
        assert node.node.replicas == {}
        assert 1 not in node.node.catalogue.placements
        left = [
            key
            for key, _ in node.engine.scan(b"B", b"R")
            if key[:1] != b"C" and key[1:9] == (1).to_bytes(8, "big")
        ]
        assert left == []


def test_the_control_plane_goes_on_at_another_leader() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    old = cluster.control
    old.stop()
    cluster.world.until(cluster.led, 30)
    assert cluster.control is not old
    assert cluster.create("More") is None
    old.start()
    cluster.world.until(lambda: "More" in old.node.catalogue.documents, 30)
    assert cluster.errors() == []


def test_messages_elsewhere_are_answered_with_not_leader() -> None:
    cluster = TestCluster()
    cluster.begin()
    other = next(n for n in cluster.nodes.values() if not n.plane.control.leading)
    for message in (WhenSettled("Things"), ClusterStatus(), TableStatistics("Things")):
        answers: list[Any] = []
        other.node.send(message, answers.append)
        assert answers[0].type_name == "NotLeader"
        assert answers[0].leader == cluster.control.id


def test_the_status_says_what_there_is() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    cluster.world.run(3)
    status = cluster.ask(ClusterStatus())
    assert [n["id"] for n in status["nodes"]] == [1, 2, 3]
    assert all(n["alive"] for n in status["nodes"])
    control, partition = status["partitions"]
    assert (control["id"], control["table"], control["index"]) == (CONTROL, "(control)", None)
    assert control["hash_range"] == [0, 2**64 - 1]
    assert control["leader"] == status["control"]["leader"]
    assert sorted(r["node"] for r in control["replicas"]) == [1, 2, 3]
    assert [n["replicas"] for n in status["nodes"]] == [2, 2, 2]
    assert partition["table"] == "Things"
    assert partition["leader"] in (1, 2, 3)
    assert {r["role"] for r in partition["replicas"]} == {"leader", "follower"}


@pytest.mark.parametrize(
    ("verb", "arguments", "text"),
    [
        ("fly", {}, "no command"),
        ("drain", {"node": 9}, "no node 9"),
        ("split", {"partition": 0}, "control plane"),
        ("split", {"partition": 1, "at": 0}, "at must be above"),
        ("move", {"partition": 1, "from": 1, "to": 2}, "already"),
        ("decommission", {"node": 2}, "no other node"),
        ("drain", {"node": "2"}, "whole number"),
    ],
)
def test_commands_that_cannot_be_carried_out_are_refused(
    verb: str, arguments: dict[str, Any], text: str
) -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    answer = cluster.ask(ClusterCommand(verb, arguments))
    assert isinstance(answer, ApiError)
    assert text in (answer.message or "")


def test_a_drained_node_leads_nothing() -> None:
    cluster = TestCluster()
    cluster.begin()
    for number in range(4):
        cluster.create(f"Things{number}")
    answer = cluster.ask(ClusterCommand("drain", {"node": 2}))
    assert "stay" in answer["message"]
    cluster.world.run(20)
    assert not any(r.group.serving for r in cluster.nodes[2].node.replicas.values())
    assert not cluster.nodes[2].plane.control.leading
    assert "again" in cluster.ask(ClusterCommand("undrain", {"node": 2}))["message"]
    assert cluster.control.node.catalogue.nodes[2]["state"] == "up"


def test_a_wiped_node_never_runs_a_replica_that_it_has_lost() -> None:
    """With the id of the one before it could vote a second time."""
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    victim = cluster.nodes[3]
    lost = victim.node.replicas[1].group.replica_id
    victim.wipe()
    victim.start()
    opened: list[int] = []
    open_replica = victim.node.open_replica

    def noted(placement: Any, schema: Any, index_name: Any) -> Any:
        replica = open_replica(placement, schema, index_name)
        if replica is not None:
            opened.append(replica.group.replica_id)
        return replica

    victim.node.open_replica = noted  # type: ignore[method-assign]
    cluster.world.until(lambda: opened, 60)
    assert victim.plane.ready
    assert lost not in opened
    control = victim.node.groups.control
    assert not victim.node.catalogue.member or control.replica_id > 3


def test_what_a_node_finds_on_disk_of_a_partition_that_is_gone_is_removed() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    node = cluster.nodes[3]
    state = node.engine.get(keyspace.group_state(1))
    assert state is not None
    document = cluster.control.node.catalogue.documents["Things"]
    cluster.ask(ChangeTable("Things", (document["TableId"], document["Generation"]), None, []))
    cluster.world.run(2)
    node.stop()
    item = keyspace.space_prefix(1, keyspace.ITEMS) + b"k" * 9
    unknown = keyspace.group_state(77)  # the id is given out only later: this node may not know yet
    node.engine.write([(keyspace.group_state(1), state), (item, b"v"), (unknown, state)])
    node.start()
    cluster.world.until(lambda: node.plane.ready)
    assert node.engine.get(keyspace.group_state(1)) is None
    assert node.engine.get(item) is None
    assert node.engine.get(unknown) == state
