"""Group 0 on a node: who its members are comes from the cluster, never from the node alone."""

from __future__ import annotations

import pytest
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineError

from hashrange.wire.cluster import CONTROL
from tests.unit.meta_nodes import TestCluster, TestNode, World
from tests.unit.node_support import Bench


def test_a_node_of_a_cluster_never_makes_a_control_plane_of_its_own() -> None:
    node = TestNode(World(), 1, "a", [1, 2, 3], [2, 3])
    node.start()
    with pytest.raises(EngineError, match="empty data directory"):
        node.node.groups.open_control()
    assert CONTROL not in node.node.driver.groups


def test_a_member_that_has_lost_its_state_of_group_0_elects_nobody() -> None:
    cluster = TestCluster()
    cluster.begin()
    node = cluster.nodes[3]
    node.stop()
    node.engine.write([(keyspace.group_state(CONTROL), None)])
    node.start()
    configuration = node.node.driver.groups[CONTROL].configuration
    assert configuration is not None
    assert configuration.voters == frozenset()  # it waits for the leader's snapshot


def test_the_standalone_server_is_its_own_control_plane() -> None:
    bench = Bench()
    group = bench.node.driver.groups[CONTROL]
    assert group.configuration is not None
    assert group.configuration.voters == {1}
