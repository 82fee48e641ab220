"""The control documents of DAX: which kinds there are, and what they hold.

Everything that a cache cluster is, but for what it has cached, is kept in the control plane:

    dax-cluster     <cluster>              a cluster as it is wanted (`ClusterDocument`)
    dax-node        <cluster>/<node id>    a node that runs, written by itself (`NodeDocument`)
    dax-primary     <cluster>              which node is the primary (`PrimaryDocument`)
    dax-parameters  <group>                a parameter group (`ParameterDocument`)
    dax-subnets     <group>                a subnet group
    dax-slots       all                    slots given out a moment ago (`SlotsDocument`)
    dax-events      all                    the latest events (`EventsDocument`)
    dax-attributes  <id>                   an attribute list: {"Names": [...]}; never removed
    dax-tls         ca                     the authority of this installation's certificates

Ports: a cluster and each of its nodes have a slot, a number from 0 to 99 that nothing else has. A cluster's discovery
address is at the base port + its slot; what else there is see `ports_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol, TypedDict, cast

CLUSTER: Final = "dax-cluster"
NODE: Final = "dax-node"
PRIMARY: Final = "dax-primary"
PARAMETERS: Final = "dax-parameters"
SUBNETS: Final = "dax-subnets"
TAKEN: Final = "dax-slots"
EVENTS: Final = "dax-events"
ATTRIBUTES: Final = "dax-attributes"
TLS: Final = "dax-tls"

SLOTS: Final = 100
PORTS: Final = 400
"""Ports from the base port on that clusters and their nodes take."""

NODES_MAX: Final = 11
"""Nodes of a cluster: a primary and ten replicas (DAX Developer Guide, Quotas)."""

RECORD_TTL: Final = "record-ttl-millis"
QUERY_TTL: Final = "query-ttl-millis"
TTL_DEFAULT_MS: Final = 300_000
DEFAULT_PARAMETERS: Final = "default.dax1.0"


class Ports(NamedTuple):
    """The ports of a slot: of the wire protocol, of the HTTP door, for the other nodes, and of the admin port."""

    wire: int
    http: int
    peer: int
    admin: int


def ports_of(base_port: int, slot: int) -> Ports:
    """Where the node of a slot listens; a cluster's own slot has its discovery addresses (wire and HTTP) there."""
    return Ports(base_port + slot, base_port + 100 + slot, base_port + 200 + slot, base_port + 300 + slot)


class WantedNode(TypedDict):
    """A node of a cluster as it is wanted. `Reboots` grows whenever it is to be started anew."""

    NodeId: str
    Number: int
    AvailabilityZone: str
    Slot: int
    Created: float
    Reboots: int


class ClusterDocument(TypedDict):
    """A cluster as it is wanted. `Managed`: a supervisor starts and stops its nodes; else they come by themselves.

    `Deleting`: its nodes are to stop, and then it is to be removed. `NextNumber` numbers nodes, which are never
    numbered alike. `Encryption` is NONE or TLS. Members that only the API knows are in `Told`.
    """

    ClusterName: str
    Slot: int
    Managed: bool
    Deleting: bool
    Created: float
    Encryption: str
    ParameterGroup: str
    NextNumber: int
    Nodes: list[WantedNode]
    Told: dict[str, object]


class NodeDocument(TypedDict):
    """A node that runs. `Peer` is HOST:PORT for the other nodes, `Process` is another at each start.

    `Number` is the node's own in its cluster. `Reboots` is that of the wanted node which it was started for.
    """

    NodeId: str
    Number: int
    AvailabilityZone: str
    Host: str
    Port: int
    HttpPort: int
    Peer: str
    Admin: str
    Process: str
    Started: float
    Reboots: int


class PrimaryDocument(TypedDict):
    """The primary of a cluster; the term grows with each one."""

    NodeId: str
    Number: int
    Term: int


class ParameterDocument(TypedDict):
    """A parameter group: values by parameter name, as texts."""

    Description: str
    Values: dict[str, str]


class Event(TypedDict):
    """Something that has happened. `SourceType` is CLUSTER, PARAMETER_GROUP or SUBNET_GROUP; `Date` in seconds."""

    SourceName: str
    SourceType: str
    Message: str
    Date: float


class EventsDocument(TypedDict):
    """The latest events, oldest first. `Total` counts those that there have ever been."""

    Events: list[Event]
    Total: int


class SlotsDocument(TypedDict):
    """When slots were given out, in seconds, by slot: nobody else takes them until a cluster's document has them.

    `By` is another for each giving, so that two that give the same slots at once do not take each other's for theirs.
    """

    Given: dict[str, float]
    By: str


class Controls(Protocol):
    """The control documents that a program follows (`hashrange.wire.documents.ControlDocuments`)."""

    def get(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """One document with its generation, or None."""
        ...


def node_name(cluster: str, node_id: str) -> str:
    """The name of a node's document."""
    return f"{cluster}/{node_id}"


def ttl_ms(parameters: ParameterDocument | None, name: str) -> int:
    """A time to live of a parameter group, in milliseconds; the default where it says nothing."""
    text = parameters["Values"].get(name) if parameters is not None else None
    return int(text) if text is not None else TTL_DEFAULT_MS


def parameters_of(controls: Controls, cluster: str) -> ParameterDocument | None:
    """The parameter group in force for a cluster; None for the default one, whose values nobody can change."""
    wanted = controls.get(CLUSTER, cluster)
    group = wanted["document"]["ParameterGroup"] if wanted is not None else DEFAULT_PARAMETERS
    found = controls.get(PARAMETERS, group)
    return cast("ParameterDocument", found["document"]) if found is not None else None


def ttls_of(controls: Controls, cluster: str) -> tuple[int, int]:
    """The times to live in force for a cluster's items and query results, in milliseconds.

    They change with the documents `dax-cluster` of the cluster and `dax-parameters`: watch both.
    """
    group = parameters_of(controls, cluster)
    return ttl_ms(group, RECORD_TTL), ttl_ms(group, QUERY_TTL)
