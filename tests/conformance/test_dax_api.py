"""The DAX API as boto3 sees it: clusters and their states, nodes, refusals, pages."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hashrange_router.dax import lifecycle

from hashrange.cli.embedded import EmbeddedServer
from tests.conformance.clocked import Clocked, clocked
from tests.conformance.conftest import make_client
from tests.conformance.dax_support import ROLE, SITE, Fleet, create, messages, served, shown, status
from tests.conformance.support import Containing, error

BAD_NAME = ("InvalidParameterValueException", Containing("not a valid identifier"))
ACCOUNT = "000000000000"


@pytest.fixture
def server() -> Iterator[Clocked]:
    with served() as running:
        yield running


@pytest.fixture
def fleet(server: Clocked) -> Fleet:
    return Fleet(server)


@pytest.fixture
def dax(server: Clocked) -> Iterator[Any]:
    made = make_client(server.endpoint, "dax")
    yield made
    made.close()


@pytest.fixture(scope="module")
def refusing() -> Iterator[Any]:
    """A client of a server on which nothing is ever made."""
    with served() as running:
        made = make_client(running.endpoint, "dax")
        yield made
        made.close()


# Clusters.


def test_a_cluster_reads_back(dax: Any, fleet: Fleet) -> None:
    made = create(
        dax,
        "Cache",
        Description="all of it",
        AvailabilityZones=["az2", "az1"],
        SecurityGroupIds=["sg-1"],
        PreferredMaintenanceWindow="mon:01:00-mon:02:00",
        NotificationTopicArn="arn:aws:sns:us-east-1:000000000000:t",
        SSESpecification={"Enabled": True},
        ClusterEndpointEncryptionType="TLS",
        NetworkType="dual_stack",
    )
    fleet.obey()
    nodes = made.pop("Nodes")
    assert made == {
        "ClusterName": "cache",
        "Description": "all of it",
        "ClusterArn": f"arn:aws:dax:us-east-1:{ACCOUNT}:cache/cache",
        "TotalNodes": 2,
        "ActiveNodes": 0,
        "NodeType": "dax.r5.large",
        "Status": "creating",
        "ClusterDiscoveryEndpoint": {"Address": "127.0.0.1", "Port": 8111, "URL": "daxs://127.0.0.1:8111"},
        "PreferredMaintenanceWindow": "mon:01:00-mon:02:00",
        "NotificationConfiguration": {
            "TopicArn": "arn:aws:sns:us-east-1:000000000000:t",
            "TopicStatus": "active",
        },
        "SubnetGroup": "default",
        "SecurityGroups": [{"SecurityGroupIdentifier": "sg-1", "Status": "active"}],
        "IamRoleArn": ROLE,
        "ParameterGroup": {
            "ParameterGroupName": "default.dax1.0",
            "ParameterApplyStatus": "in-sync",
            "NodeIdsToReboot": [],
        },
        "SSEDescription": {"Status": "ENABLED"},
        "ClusterEndpointEncryptionType": "TLS",
        "NetworkType": "dual_stack",
    }
    assert [node["NodeStatus"] for node in nodes] == ["creating", "creating"]
    found = shown(dax)
    assert {**found, "Nodes": [], "Status": "creating", "ActiveNodes": 0} == {**made, "Nodes": []}
    first = found["Nodes"][0]
    assert isinstance(first.pop("NodeCreateTime"), datetime.datetime)
    assert first == {
        "NodeId": "cache-1",
        "Endpoint": {"Address": "127.0.0.1", "Port": 8112},
        "AvailabilityZone": "az2",
        "NodeStatus": "available",
        "ParameterGroupStatus": "in-sync",
    }


def test_a_cluster_goes_through_its_states(dax: Any, fleet: Fleet) -> None:
    fleet.broken = {"cache-2"}
    create(dax)
    fleet.obey()
    assert status(dax) == ("creating", ["available", "creating"])
    fleet.broken.clear()
    fleet.obey()
    assert status(dax) == ("available", ["available", "available"])
    assert shown(dax)["ActiveNodes"] == 2
    fleet.kill("cache", "cache-2")
    assert status(dax) == ("modifying", ["available", "rebooting"])
    fleet.obey()
    assert status(dax)[0] == "available"
    assert dax.delete_cluster(ClusterName="cache")["Cluster"]["Status"] == "deleting"
    assert status(dax) == ("deleting", ["deleting", "deleting"])
    fleet.obey()
    assert error(dax.describe_clusters, ClusterNames=["cache"]) == (
        "ClusterNotFoundFault",
        "Cluster cache not found.",
    )
    assert dax.describe_clusters()["Clusters"] == []


def test_all_that_happens_to_a_cluster_is_an_event(dax: Any, fleet: Fleet) -> None:
    create(dax, nodes=1)
    fleet.obey()
    fleet.obey()
    assert messages(dax) == ["Cluster created.", "Added node cache-1."]
    dax.increase_replication_factor(ClusterName="cache", NewReplicationFactor=2)
    fleet.obey()
    dax.reboot_node(ClusterName="cache", NodeId="cache-2")
    fleet.obey()
    dax.decrease_replication_factor(ClusterName="cache", NewReplicationFactor=1)
    fleet.obey()
    dax.delete_cluster(ClusterName="cache")
    fleet.obey()
    assert messages(dax, SourceType="CLUSTER", SourceName="cache") == [
        "Cluster deleted.",
        "Removed node cache-1.",
        "Removed node cache-2.",
        "Rebooting node cache-2.",
        "Added node cache-2.",
        "Cluster created.",
        "Added node cache-1.",
    ]


def test_nodes_are_added(dax: Any, fleet: Fleet) -> None:
    create(dax, nodes=1)
    fleet.obey()
    reply = dax.increase_replication_factor(
        ClusterName="cache", NewReplicationFactor=3, AvailabilityZones=["az1", "az3"]
    )["Cluster"]
    assert (reply["Status"], reply["TotalNodes"], reply["ActiveNodes"]) == ("modifying", 3, 1)
    fleet.obey()
    found = shown(dax)
    assert found["Status"] == "available"
    assert [(n["NodeId"], n["Endpoint"]["Port"], n["AvailabilityZone"]) for n in found["Nodes"]] == [
        ("cache-1", 8112, "az1"),
        ("cache-2", 8113, "az1"),
        ("cache-3", 8114, "az3"),
    ]


def test_nodes_are_removed_and_their_numbers_do_not_come_back(dax: Any, fleet: Fleet) -> None:
    create(dax, nodes=3)
    fleet.obey()
    fleet.lead("cache", "cache-3")
    reply = dax.decrease_replication_factor(ClusterName="cache", NewReplicationFactor=2)["Cluster"]
    assert (reply["Status"], reply["NodeIdsToRemove"]) == ("modifying", ["cache-2"]), "the primary stays"
    assert [node["NodeStatus"] for node in reply["Nodes"]] == ["available", "available", "deleting"]
    refused = error(dax.increase_replication_factor, ClusterName="cache", NewReplicationFactor=3)
    assert refused == ("InvalidClusterStateFault", Containing("modifying"))
    fleet.obey()
    dax.increase_replication_factor(ClusterName="cache", NewReplicationFactor=3)
    fleet.obey()
    assert [node["NodeId"] for node in shown(dax)["Nodes"]] == ["cache-1", "cache-3", "cache-4"]
    dax.decrease_replication_factor(ClusterName="cache", NewReplicationFactor=2, NodeIdsToRemove=["cache-1"])
    fleet.obey()
    assert [node["NodeId"] for node in shown(dax)["Nodes"]] == ["cache-3", "cache-4"]


def test_nodes_are_removed_by_their_zones(dax: Any, fleet: Fleet) -> None:
    create(dax, nodes=3, AvailabilityZones=["az1", "az2", "az1"])
    fleet.obey()

    def remove(zones: list[str]) -> Callable[[], Any]:
        return lambda: dax.decrease_replication_factor(
            ClusterName="cache", NewReplicationFactor=2, AvailabilityZones=zones
        )

    assert error(remove(["az3"]))[0] == "InvalidParameterValueException"
    assert error(remove(["az1", "az2"]))[0] == "InvalidParameterValueException"
    remove(["az1"])()
    fleet.obey()
    assert [node["NodeId"] for node in shown(dax)["Nodes"]] == ["cache-1", "cache-2"]


def test_a_node_reboots(dax: Any, fleet: Fleet) -> None:
    create(dax)
    fleet.obey()
    reply = dax.reboot_node(ClusterName="cache", NodeId="cache-2")["Cluster"]
    assert [node["NodeStatus"] for node in reply["Nodes"]] == ["available", "rebooting"]
    assert reply["Status"] == "modifying"
    fleet.kill("cache", "cache-2")
    assert status(dax) == ("modifying", ["available", "rebooting"])
    fleet.obey()
    assert status(dax)[0] == "available"
    refused = error(dax.reboot_node, ClusterName="cache", NodeId="cache-9")
    assert refused == ("NodeNotFoundFault", "Node cache-9 not found.")


def test_a_node_that_does_not_start_can_be_taken_away(dax: Any, fleet: Fleet) -> None:
    create(dax, nodes=1)
    fleet.obey()
    fleet.broken = {"cache-2"}
    dax.increase_replication_factor(ClusterName="cache", NewReplicationFactor=2)
    fleet.obey()
    assert status(dax) == ("modifying", ["available", "creating"])
    dax.decrease_replication_factor(ClusterName="cache", NewReplicationFactor=1)
    fleet.obey()
    assert status(dax) == ("available", ["available"])


def test_clusters_and_nodes_never_share_ports(dax: Any, fleet: Fleet) -> None:
    create(dax, "one", 2)
    create(dax, "two", 1)
    fleet.obey()
    assert shown(dax, "two")["ClusterDiscoveryEndpoint"]["Port"] == 8114
    dax.delete_cluster(ClusterName="one")
    made = create(dax, "three", 1)
    assert made["ClusterDiscoveryEndpoint"]["Port"] == 8116, "the nodes of `one` still run"
    fleet.obey()
    made = create(dax, "four", 1)
    assert made["ClusterDiscoveryEndpoint"]["Port"] == 8111, "they are gone"


def test_the_room_for_nodes_is_limited(dax: Any, fleet: Fleet) -> None:
    for number in range(8):
        create(dax, f"c{number}", 11)
    assert error(lambda: create(dax, "c8", 4)) == (
        "NodeQuotaForCustomerExceededFault",
        Containing("room for 100"),
    )
    create(dax, "c9", 3)
    assert error(lambda: create(dax, "c10", 1))[0] == "NodeQuotaForCustomerExceededFault"


def test_update_cluster(dax: Any, fleet: Fleet) -> None:
    create(dax)
    assert error(dax.update_cluster, ClusterName="cache", Description="x")[0] == "InvalidClusterStateFault"
    fleet.obey()
    dax.create_parameter_group(ParameterGroupName="mine")
    reply = dax.update_cluster(
        ClusterName="cache",
        Description="new",
        PreferredMaintenanceWindow="tue:01:00-tue:02:00",
        NotificationTopicArn="arn:aws:sns:us-east-1:000000000000:t",
        NotificationTopicStatus="inactive",
        ParameterGroupName="mine",
        SecurityGroupIds=["sg-2"],
    )["Cluster"]
    assert reply == shown(dax)
    assert reply["Description"] == "new" and reply["PreferredMaintenanceWindow"] == "tue:01:00-tue:02:00"
    assert reply["NotificationConfiguration"]["TopicStatus"] == "inactive"
    assert reply["ParameterGroup"]["ParameterGroupName"] == "mine"
    assert [group["SecurityGroupIdentifier"] for group in reply["SecurityGroups"]] == ["sg-2"]
    assert reply["NodeType"] == "dax.r5.large" and reply["Status"] == "available"


# Refusals.


@pytest.mark.parametrize(
    ("name", "changes", "refusal"),
    [
        ("", {}, BAD_NAME),
        ("1a", {}, BAD_NAME),
        ("a-", {}, BAD_NAME),
        ("a--b", {}, BAD_NAME),
        ("a_b", {}, BAD_NAME),
        ("a" * 21, {}, BAD_NAME),
        ("a", {"NodeType": "cache.t3"}, ("InvalidParameterValueException", Containing("node type"))),
        ("a", {"ReplicationFactor": 0}, ("InvalidParameterValueException", Containing("at least 1"))),
        ("a", {"ReplicationFactor": 12}, ("NodeQuotaForClusterExceededFault", Containing("11"))),
        (
            "a",
            {"IamRoleArn": "role"},
            ("InvalidParameterValueException", "ARNs must start with 'arn:': role"),
        ),
        (
            "a",
            {"IamRoleArn": "arn:aws:iam"},
            ("InvalidParameterValueException", "Third colon vendor not found: arn:aws:iam"),
        ),
        (
            "a",
            {"IamRoleArn": "arn:aws:iam:x"},
            (
                "InvalidParameterValueException",
                "Fourth colon (region/namespace delimiter) not found: arn:aws:iam:x",
            ),
        ),
        ("a", {"AvailabilityZones": ["az1"]}, ("InvalidParameterValueException", Containing("2 zones"))),
        (
            "a",
            {"AvailabilityZones": ["az1", "Z!"]},
            ("InvalidParameterValueException", Containing("Invalid availability zone")),
        ),
        (
            "a",
            {"PreferredMaintenanceWindow": "now"},
            ("InvalidParameterValueException", Containing("window")),
        ),
        ("a", {"ParameterGroupName": "none"}, ("ParameterGroupNotFoundFault", Containing("none"))),
        ("a", {"SubnetGroupName": "none"}, ("SubnetGroupNotFoundFault", Containing("none"))),
        ("a", {"ClusterEndpointEncryptionType": "SSL"}, ("ValidationException", Containing("enum"))),
        ("a", {"Tags": [{"Key": "aws:x"}]}, ("InvalidParameterValueException", Containing("reserved"))),
        (
            "a",
            {"Tags": [{"Key": str(n)} for n in range(51)]},
            ("TagQuotaPerResourceExceeded", Containing("50")),
        ),
    ],
)
def test_refused_clusters(
    refusing: Any, name: str, changes: dict[str, Any], refusal: tuple[str, object]
) -> None:
    assert error(lambda: create(refusing, name, **changes)) == refusal
    assert refusing.describe_clusters()["Clusters"] == []


def test_what_is_missing_is_named(refusing: Any) -> None:
    assert error(refusing.create_cluster, ClusterName="a") == (
        "ValidationException",
        Containing("nodeType", "Member must not be null"),
    )


@pytest.mark.parametrize(
    "operation",
    [
        "delete_cluster",
        "update_cluster",
        "reboot_node",
        "increase_replication_factor",
        "decrease_replication_factor",
    ],
)
def test_operations_on_no_cluster(refusing: Any, operation: str) -> None:
    members = {
        "reboot_node": {"NodeId": "x"},
        "increase_replication_factor": {"NewReplicationFactor": 2},
        "decrease_replication_factor": {"NewReplicationFactor": 2},
    }.get(operation, {})
    refused = error(getattr(refusing, operation), ClusterName="none", **members)
    assert refused == ("ClusterNotFoundFault", "Cluster not found.")


def test_refused_changes(dax: Any, fleet: Fleet) -> None:
    create(dax)

    def increase(to: int, **more: Any) -> tuple[str, str]:
        return error(dax.increase_replication_factor, ClusterName="cache", NewReplicationFactor=to, **more)

    def decrease(to: int, **more: Any) -> tuple[str, str]:
        return error(dax.decrease_replication_factor, ClusterName="cache", NewReplicationFactor=to, **more)

    assert error(lambda: create(dax)) == ("ClusterAlreadyExistsFault", "Cluster cache already exists.")
    assert increase(3) == ("InvalidClusterStateFault", Containing("is creating"))
    assert decrease(1)[0] == "InvalidClusterStateFault"
    assert error(dax.reboot_node, ClusterName="cache", NodeId="cache-1")[0] == "InvalidClusterStateFault"
    fleet.obey()
    assert increase(2)[0] == increase(1)[0] == increase(0)[0] == "InvalidParameterValueException"
    assert increase(12)[0] == "NodeQuotaForClusterExceededFault"
    assert increase(4, AvailabilityZones=["az1"])[0] == "InvalidParameterValueException"
    assert decrease(0)[0] == decrease(2)[0] == "InvalidParameterValueException"
    assert decrease(1, NodeIdsToRemove=["cache-7"])[0] == "NodeNotFoundFault"
    assert decrease(1, NodeIdsToRemove=["cache-1", "cache-2"])[0] == "InvalidParameterValueException"
    both = {"NodeIdsToRemove": ["cache-1"], "AvailabilityZones": ["az1"]}
    assert decrease(1, **both)[0] == "InvalidParameterCombinationException"
    dax.delete_cluster(ClusterName="cache")
    assert error(dax.delete_cluster, ClusterName="cache")[0] == "InvalidClusterStateFault"
    assert decrease(1)[0] == "InvalidClusterStateFault"
    assert error(lambda: create(dax))[0] == "ClusterAlreadyExistsFault"


# Without nodes, and with nodes of their own.


def test_without_cache_nodes_a_cluster_is_refused_with_the_way_to_have_some() -> None:
    with clocked() as running:
        made = make_client(running.endpoint, "dax")
        assert error(lambda: create(made)) == (
            "InsufficientClusterCapacityFault",
            Containing("hashrange serve --dax"),
        )
        assert made.describe_clusters()["Clusters"] == []
        # A cluster of an earlier run, with nodes, can still be got rid of.
        fleet = Fleet(running)
        fleet.run(lambda server: lifecycle.ensure_cluster(server.context, SITE, "dax", 1))
        assert shown(made, "dax")["Status"] == "creating"
        made.delete_cluster(ClusterName="dax")
        assert made.describe_clusters()["Clusters"] == []
        made.close()


def test_a_cluster_of_nodes_started_by_hand(dax: Any, fleet: Fleet) -> None:
    fleet.run(lambda server: lifecycle.ensure_cluster(server.context, SITE, "hand", 0, managed=False))
    found = shown(dax, "hand")
    assert (found["Status"], found["TotalNodes"]) == ("creating", 0)
    for number in (1, 2):
        given = fleet.run(lambda server: lifecycle.next_number(server.context, "hand"))
        assert given == number
        fleet.join("hand", number)
    found = shown(dax, "hand")
    assert (found["Status"], found["TotalNodes"], found["ActiveNodes"]) == ("available", 2, 2)
    assert found["ClusterDiscoveryEndpoint"]["Port"] == 8111
    refused = error(dax.increase_replication_factor, ClusterName="hand", NewReplicationFactor=3)
    assert refused == ("InvalidClusterStateFault", Containing("by hand"))
    assert error(dax.delete_cluster, ClusterName="hand")[0] == "InvalidClusterStateFault"
    fleet.kill("hand", "hand-1")
    fleet.obey()
    assert shown(dax, "hand")["TotalNodes"] == 1
    fleet.kill("hand", "hand-2")
    fleet.obey()
    assert fleet.document("hand") is None


def test_the_default_cluster_is_made_once(dax: Any, fleet: Fleet) -> None:
    def ensure(server: EmbeddedServer) -> Any:
        return lifecycle.ensure_cluster(server.context, SITE, "dax", 2)

    assert fleet.run(ensure) is True
    assert fleet.run(ensure) is False
    fleet.obey()
    assert status(dax, "dax") == ("available", ["available", "available"])


def test_a_new_process_in_the_place_of_one_that_ended_is_left_alone(dax: Any, fleet: Fleet) -> None:
    create(dax, nodes=1)
    fleet.obey()
    assert not fleet.run(lambda server: lifecycle.gone(server.context, "cache", "cache-1", "another"))
    assert status(dax) == ("available", ["available"])


# Pages.


def test_clusters_come_in_pages(dax: Any) -> None:
    names = [f"c{number:02d}" for number in range(45)]
    for name in names:
        create(dax, name, 1)
    pages = list(dax.get_paginator("describe_clusters").paginate(PaginationConfig={"PageSize": 20}))
    assert [len(page["Clusters"]) for page in pages] == [20, 20, 5]
    assert [each["ClusterName"] for page in pages for each in page["Clusters"]] == names
    for wrong in (19, 101):
        refused = error(dax.describe_clusters, MaxResults=wrong)
        assert refused == ("InvalidParameterValueException", "MaxResults must be between 20 and 100")
    for token in ("nonsense", "W10=", "WzFd"):
        refused = error(dax.describe_clusters, NextToken=token)
        assert refused == ("InvalidParameterValueException", "The next token supplied is invalid")
