"""Clusters as the API shows them. What state a cluster and its nodes are in follows from the documents.

A wanted node is there once a document says that it runs, started for as many reboots as are wanted. One that runs and
is not wanted is on its way out.
"""

from __future__ import annotations

from typing import Any, Final

from hashrange.model.dax import ClusterDocument, NodeDocument, WantedNode
from hashrange_router.dax.names import arn_of
from hashrange_router.dax.setting import DaxSite, Seen, Setting

AVAILABLE: Final = "available"
CREATING: Final = "creating"
MODIFYING: Final = "modifying"
DELETING: Final = "deleting"
REBOOTING: Final = "rebooting"

IN_SYNC: Final = "in-sync"
"""Nodes follow the parameter groups, so that a change is in force at once."""

MAINTENANCE_WINDOW: Final = "sun:23:00-mon:01:30"
SUBNETS: Final = "default"


def status_of(cluster: ClusterDocument, seen: Seen) -> str:
    """The state of a cluster."""
    if cluster["Deleting"]:
        return DELETING
    if not cluster["Managed"]:
        return AVAILABLE if seen.nodes else CREATING
    if leaving(cluster, seen):
        return MODIFYING
    if all(node_status(cluster, node, seen) == AVAILABLE for node in cluster["Nodes"]):
        return AVAILABLE
    return MODIFYING if cluster["Told"].get("Settled") else CREATING


def node_status(cluster: ClusterDocument, node: WantedNode, seen: Seen) -> str:
    """The state of a wanted node. One that was there, and is not, is being started again."""
    if cluster["Deleting"]:
        return DELETING
    running = seen.nodes.get(node["NodeId"])
    if running is not None:
        return AVAILABLE if running["Reboots"] >= node["Reboots"] else REBOOTING
    return REBOOTING if node["Reboots"] or node["NodeId"] in announced_nodes(cluster) else CREATING


def leaving(cluster: ClusterDocument, seen: Seen) -> list[NodeDocument]:
    """Nodes that run and are wanted no more."""
    if not cluster["Managed"]:
        return []
    wanted = {node["NodeId"] for node in cluster["Nodes"]}
    return [node for node in seen.nodes.values() if node["NodeId"] not in wanted]


def announced_nodes(cluster: ClusterDocument) -> list[str]:
    """The ids of nodes that have been there once, as far as it was noted (`lifecycle.settle`)."""
    return _list(cluster["Told"], "Announced")


def described(cluster: ClusterDocument, seen: Seen, setting: Setting) -> dict[str, Any]:
    """A cluster as DescribeClusters and the replies of all that change one show it."""
    told = cluster["Told"]
    nodes, removed = _nodes(cluster, seen)
    status = status_of(cluster, seen)
    shown: dict[str, Any] = {
        "ClusterName": cluster["ClusterName"],
        "Description": told.get("Description", ""),
        "ClusterArn": arn_of(setting.region, setting.account, cluster["ClusterName"]),
        "TotalNodes": len(cluster["Nodes"]) if cluster["Managed"] else len(nodes),
        "ActiveNodes": sum(node["NodeStatus"] == AVAILABLE for node in nodes),
        "NodeType": told.get("NodeType", "dax.local.node"),
        "Status": status,
        "Nodes": nodes,
        "PreferredMaintenanceWindow": told.get("PreferredMaintenanceWindow", MAINTENANCE_WINDOW),
        "SubnetGroup": told.get("SubnetGroup", SUBNETS),
        "SecurityGroups": [
            {"SecurityGroupIdentifier": each, "Status": "active"} for each in _list(told, "SecurityGroups")
        ],
        "IamRoleArn": told.get("IamRoleArn", f"arn:aws:iam::{setting.account}:role/dax"),
        "ParameterGroup": {
            "ParameterGroupName": cluster["ParameterGroup"],
            "ParameterApplyStatus": IN_SYNC,
            "NodeIdsToReboot": [],
        },
        "SSEDescription": {"Status": "ENABLED" if told.get("Encrypted") else "DISABLED"},
        "ClusterEndpointEncryptionType": cluster["Encryption"],
        "NetworkType": told.get("NetworkType", "ipv4"),
    }
    endpoint = _discovery(cluster, seen, setting.site)
    if endpoint is not None:
        shown["ClusterDiscoveryEndpoint"] = endpoint
    if removed:
        shown["NodeIdsToRemove"] = removed
    if told.get("NotificationTopicArn"):
        shown["NotificationConfiguration"] = {
            "TopicArn": told["NotificationTopicArn"],
            "TopicStatus": told.get("NotificationTopicStatus", "active"),
        }
    return shown


def _nodes(cluster: ClusterDocument, seen: Seen) -> tuple[list[dict[str, Any]], list[str]]:
    """The nodes, those wanted first, and the ids of those that are leaving."""
    if not cluster["Managed"]:
        status = DELETING if cluster["Deleting"] else AVAILABLE
        return [_running(node, node["Started"], status) for node in seen.nodes.values()], []
    shown = []
    for wanted in cluster["Nodes"]:
        running = seen.nodes.get(wanted["NodeId"])
        status = node_status(cluster, wanted, seen)
        if running is not None:
            shown.append(_running(running, wanted["Created"], status))
        else:
            shown.append(_node(wanted["NodeId"], wanted["Created"], wanted["AvailabilityZone"], status))
    gone = leaving(cluster, seen)
    shown += [_running(node, node["Started"], DELETING) for node in gone]
    return shown, [node["NodeId"] for node in gone]


def _node(node_id: str, created: float, zone: str, status: str) -> dict[str, Any]:
    return {
        "NodeId": node_id,
        "NodeCreateTime": created,
        "AvailabilityZone": zone,
        "NodeStatus": status,
        "ParameterGroupStatus": IN_SYNC,
    }


def _running(node: NodeDocument, created: float, status: str) -> dict[str, Any]:
    shown = _node(node["NodeId"], created, node["AvailabilityZone"], status)
    return {**shown, "Endpoint": {"Address": node["Host"], "Port": node["Port"]}}


def _discovery(cluster: ClusterDocument, seen: Seen, site: DaxSite | None) -> dict[str, Any] | None:
    """The stable discovery address; where nobody offers one, that of the node with the lowest number."""
    if site is not None:
        return _endpoint(cluster, site.host, site.ports(cluster["Slot"]).wire)
    first = min(seen.nodes.values(), key=lambda node: node["Number"], default=None)
    return None if first is None else _endpoint(cluster, first["Host"], first["Port"])


def _endpoint(cluster: ClusterDocument, host: str, port: int) -> dict[str, Any]:
    scheme = "daxs" if cluster["Encryption"] == "TLS" else "dax"
    in_url = f"[{host}]" if ":" in host else host
    return {"Address": host, "Port": port, "URL": f"{scheme}://{in_url}:{port}"}


def _list(told: dict[str, object], member: str) -> list[Any]:
    found = told.get(member)
    return found if isinstance(found, list) else []
