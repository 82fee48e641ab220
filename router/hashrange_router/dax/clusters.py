"""Plans for clusters: what each operation makes of a cluster's document. What it takes comes in, nothing is sent.

States are those that the operations of the service ask for, but for two that also mend what is broken: nodes can be
rebooted and taken away while others of them are not there, and a cluster can be deleted in any state.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from hashrange.model.dax import DEFAULT_PARAMETERS, NODES_MAX, ClusterDocument, WantedNode
from hashrange_router.dax import tags
from hashrange_router.dax.describe import AVAILABLE, DELETING, MODIFYING, status_of
from hashrange_router.dax.errors import cluster_state, combination, invalid, no_node, too_many_nodes
from hashrange_router.dax.names import check_role, node_id
from hashrange_router.dax.setting import ZONE, Request, Seen, Setting

_ZONE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_NODE_TYPE: Final = re.compile(r"dax\.[a-z0-9]+\.[a-z0-9]+")
_DAY: Final = r"(?:mon|tue|wed|thu|fri|sat|sun):(?:[01]\d|2[0-3]):[0-5]\d"
_WINDOW: Final = re.compile(rf"{_DAY}-{_DAY}")

_TOLD: Final = {
    "Description": "Description",
    "NodeType": "NodeType",
    "IamRoleArn": "IamRoleArn",
    "PreferredMaintenanceWindow": "PreferredMaintenanceWindow",
    "NotificationTopicArn": "NotificationTopicArn",
    "NotificationTopicStatus": "NotificationTopicStatus",
    "SubnetGroupName": "SubnetGroup",
    "SecurityGroupIds": "SecurityGroups",
    "NetworkType": "NetworkType",
}
"""Members of requests that are only told again, and how the document names them."""


def check_create(request: Request) -> int:
    """Hold a CreateCluster against the rules that need no document; the number of nodes."""
    count: int = request["ReplicationFactor"]
    _check_count(count)
    check_role(request["IamRoleArn"])
    if not _NODE_TYPE.fullmatch(request["NodeType"]):
        raise invalid(f"Invalid node type: {request['NodeType']}. Node types read like dax.r5.large")
    _check_told(request)
    check_zones(request, count)
    tags.merged([], request.get("Tags") or [])
    return count


def create(
    request: Request, name: str, group: str, slots: Sequence[int], setting: Setting
) -> ClusterDocument:
    """CreateCluster: a document for a checked request. The first slot is the cluster's own, the others its nodes'."""
    document = new_cluster(name, slots[0], True, setting)
    document["Encryption"] = request.get("ClusterEndpointEncryptionType", "NONE")
    document["ParameterGroup"] = group
    document["Told"] = {
        **_told(request),
        "Encrypted": bool((request.get("SSESpecification") or {}).get("Enabled")),
        "Tags": tags.merged([], request.get("Tags") or []),
    }
    return with_nodes(document, slots[1:], request.get("AvailabilityZones"), setting)


def new_cluster(name: str, slot: int, managed: bool, setting: Setting) -> ClusterDocument:
    """A cluster without nodes, as nobody asked for anything in particular."""
    return {
        "ClusterName": name,
        "Slot": slot,
        "Managed": managed,
        "Deleting": False,
        "Created": round(setting.now, 3),
        "Encryption": "NONE",
        "ParameterGroup": DEFAULT_PARAMETERS,
        "NextNumber": 1,
        "Nodes": [],
        "Told": {},
    }


def with_nodes(
    before: ClusterDocument, slots: Sequence[int], zones: Sequence[str] | None, setting: Setting
) -> ClusterDocument:
    """A cluster with one more node for each slot, in the zones given, or in those that have the fewest of its nodes."""
    number = before["NextNumber"]
    known = list(setting.site.zones()) if setting.site is not None else []
    uses = Counter(node["AvailabilityZone"] for node in before["Nodes"])
    added: list[WantedNode] = []
    for turn, slot in enumerate(slots):
        zone = zones[turn] if zones else min(known or [ZONE], key=lambda each: uses[each])
        uses[zone] += 1
        added.append(
            {
                "NodeId": node_id(before["ClusterName"], number + turn),
                "Number": number + turn,
                "AvailabilityZone": zone,
                "Slot": slot,
                "Created": round(setting.now, 3),
                "Reboots": 0,
            }
        )
    return {**before, "NextNumber": number + len(added), "Nodes": [*before["Nodes"], *added]}


def update(request: Request, before: ClusterDocument, seen: Seen, group: str | None) -> ClusterDocument:
    """UpdateCluster. `group` is the parameter group asked for, which there is; None leaves it."""
    check_state(before, seen, AVAILABLE, MODIFYING)
    _check_told(request)
    after: ClusterDocument = {**before, "Told": {**before["Told"], **_told(request)}}
    if group is not None:
        after["ParameterGroup"] = group
    return after


def delete(before: ClusterDocument) -> ClusterDocument:
    """DeleteCluster: its nodes are to stop."""
    check_managed(before)
    if before["Deleting"]:
        raise cluster_state(f"Cluster {before['ClusterName']} is being deleted.")
    return {**before, "Deleting": True}


def added_nodes(request: Request, before: ClusterDocument, seen: Seen) -> int:
    """IncreaseReplicationFactor: how many nodes it asks for in addition."""
    check_managed(before)
    wanted: int = request["NewReplicationFactor"]
    present = len(before["Nodes"])
    _check_count(wanted)
    if wanted <= present:
        raise invalid(
            f"NewReplicationFactor must be greater than the {present} nodes of the cluster: {wanted}"
        )
    check_zones(request, wanted - present)
    check_state(before, seen, AVAILABLE)
    return wanted - present


def increase(
    request: Request, before: ClusterDocument, seen: Seen, slots: Sequence[int], setting: Setting
) -> ClusterDocument:
    """IncreaseReplicationFactor, with a slot for each new node."""
    if added_nodes(request, before, seen) != len(slots):
        raise cluster_state(f"Cluster {before['ClusterName']} is being changed.")
    return settled(with_nodes(before, slots, request.get("AvailabilityZones"), setting))


def decrease(request: Request, before: ClusterDocument, seen: Seen) -> ClusterDocument:
    """DecreaseReplicationFactor: the nodes named, or the newest (of the zones named) that are not the primary."""
    check_managed(before)
    wanted: int = request["NewReplicationFactor"]
    present = {node["NodeId"]: node for node in before["Nodes"]}
    if not 1 <= wanted < len(present):
        raise invalid(
            f"NewReplicationFactor must be between 1 and {len(present) - 1} for a cluster of {len(present)}: {wanted}"
        )
    check_state(before, seen, AVAILABLE, MODIFYING)
    removed = set(_removed(request, present, len(present) - wanted, seen.primary))
    return settled({**before, "Nodes": [node for node in before["Nodes"] if node["NodeId"] not in removed]})


def _removed(request: Request, present: dict[str, WantedNode], count: int, primary: str | None) -> list[str]:
    named: list[str] | None = request.get("NodeIdsToRemove")
    zones: list[str] | None = request.get("AvailabilityZones")
    if named and zones:
        raise combination("Name nodes in NodeIdsToRemove or their zones in AvailabilityZones, not both")
    if named:
        for each in named:
            if each not in present:
                raise no_node(each)
        if len(set(named)) != count:
            raise invalid(f"NodeIdsToRemove must name {count} nodes for this NewReplicationFactor")
        return named
    # The primary last, then the newest first.
    order = sorted(present.values(), key=lambda node: (node["NodeId"] == primary, -node["Number"]))
    if not zones:
        return [node["NodeId"] for node in order[:count]]
    if len(zones) != count:
        raise invalid(
            f"AvailabilityZones must name {count} zones for this NewReplicationFactor, one for each node"
        )
    chosen: list[str] = []
    for zone in zones:
        found = [
            node["NodeId"]
            for node in order
            if node["AvailabilityZone"] == zone and node["NodeId"] not in chosen
        ]
        if not found:
            raise invalid(f"The cluster has not so many nodes in {zone}")
        chosen.append(found[0])
    return chosen


def reboot(request: Request, before: ClusterDocument, seen: Seen) -> ClusterDocument:
    """RebootNode."""
    named = request["NodeId"]
    if not any(node["NodeId"] == named for node in before["Nodes"]):
        if named in seen.nodes:
            check_managed(before)
        raise no_node(named)
    check_state(before, seen, AVAILABLE, MODIFYING)
    nodes: list[WantedNode] = [
        {**node, "Reboots": node["Reboots"] + 1} if node["NodeId"] == named else node
        for node in before["Nodes"]
    ]
    return settled({**before, "Nodes": nodes})


def settled(before: ClusterDocument) -> ClusterDocument:
    """A cluster that has been available once: from now on it is modified, not created."""
    return {**before, "Told": {**before["Told"], "Settled": True}}


def check_managed(cluster: ClusterDocument) -> None:
    """InvalidClusterStateFault for a cluster whose nodes come and go by themselves."""
    if not cluster["Managed"]:
        raise cluster_state(
            f"The nodes of {cluster['ClusterName']} are started and stopped by hand, with `hashrange dax`: "
            "the cluster is gone when the last one is."
        )


def check_state(cluster: ClusterDocument, seen: Seen, *allowed: str) -> None:
    """InvalidClusterStateFault unless the cluster is in one of these states."""
    status = status_of(cluster, seen)
    if status not in allowed or status == DELETING:
        raise cluster_state(
            f"Cluster {cluster['ClusterName']} is {status}: it must be {' or '.join(allowed)}."
        )


def check_zones(request: Request, count: int) -> None:
    """InvalidParameterValueException unless AvailabilityZones, if given, names one for each of so many nodes."""
    zones = request.get("AvailabilityZones")
    if not zones:
        return
    if len(zones) != count:
        raise invalid(f"AvailabilityZones must name {count} zones, one for each node")
    for zone in zones:
        if not _ZONE.fullmatch(zone):
            raise invalid(f"Invalid availability zone: {zone}")


def _check_count(count: int) -> None:
    if count < 1:
        raise invalid(f"The replication factor must be at least 1: {count}")
    if count > NODES_MAX:
        raise too_many_nodes(NODES_MAX)


def _check_told(request: Request) -> None:
    window = request.get("PreferredMaintenanceWindow")
    if window is not None and not _WINDOW.fullmatch(window):
        raise invalid(f"Invalid maintenance window: {window}. It reads like sun:05:00-sun:09:00")
    topic = request.get("NotificationTopicArn")
    if topic and not topic.startswith("arn:"):
        raise invalid(f"ARNs must start with 'arn:': {topic}")
    if request.get("NotificationTopicStatus", "active") not in ("active", "inactive"):
        raise invalid("NotificationTopicStatus is active or inactive")


def _told(request: Request) -> dict[str, Any]:
    return {kept: request[member] for member, kept in _TOLD.items() if member in request}
