"""Cache clusters come, grow, reboot, shrink and go with the DAX API: what runs is what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conformance.support import n, s, table, wait_until
from tests.dax.clients import dax_client
from tests.dax.server import DaxServer, dax_server

ROLE = "arn:aws:iam::000000000000:role/dax"


def processes_of(dax: DaxServer, name: str) -> dict[str, str]:
    """The admin addresses of a cluster's nodes, by id."""
    return {node["id"]: node["admin"] for node in dax.nodes(name)}


def test_a_cluster_from_its_first_node_to_its_last(dax: DaxServer, direct: Any) -> None:
    before = len(dax.node_pids())
    dax.control.create_cluster(
        ClusterName="short", NodeType="dax.r5.large", ReplicationFactor=1, IamRoleArn=ROLE
    )
    url = dax.wait_available("short")["ClusterDiscoveryEndpoint"]["URL"]
    dax.control.increase_replication_factor(ClusterName="short", NewReplicationFactor=2)
    nodes = [node["NodeId"] for node in dax.wait_available("short")["Nodes"]]
    assert len(nodes) == len(dax.nodes("short")) == 2
    assert len(dax.node_pids()) == before + 2
    pids = set(dax.node_pids())
    dax.control.reboot_node(ClusterName="short", NodeId=nodes[0])
    wait_until(lambda: len(pids - set(dax.node_pids())) == 1, "the end of the rebooted process")
    dax.wait_available("short")
    with table(direct, "p/r:N") as name, dax_client(url) as client:
        assert client.get_item(TableName=name, Key={"p": s("none"), "r": n(1)}).get("Item") is None
    dax.control.decrease_replication_factor(
        ClusterName="short", NewReplicationFactor=1, NodeIdsToRemove=[nodes[0]]
    )
    wait_until(lambda: list(processes_of(dax, "short")) == [nodes[1]], "one node")
    dax.control.delete_cluster(ClusterName="short")
    wait_until(lambda: not dax.cluster("short"), "the end of the cluster")
    wait_until(lambda: len(dax.node_pids()) == before, "the end of its processes")


def test_a_server_killed_with_its_nodes_starts_them_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"log": tmp_path / "log.txt"}
    data = str(tmp_path / "data")
    with dax_server("--data-dir", data, **options) as first:
        before = first.nodes()[0]
        first.server.kill()
    with dax_server("--data-dir", data, **options) as second:
        second.wait_available()
        (after,) = second.nodes()
        assert after["id"] == before["id"]
        with dax_client(second.url):
            pass  # it has found the node, or it would not be there
