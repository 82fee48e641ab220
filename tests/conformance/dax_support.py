"""A server with the DAX API whose cache nodes are only documents: `Fleet` does what a supervisor and its nodes do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from hashrange_router.dax import lifecycle
from hashrange_router.dax.service import dax_service
from hashrange_router.dax.setting import DaxSite, cluster_document, clusters, seen
from hashrange_router.dax.steps import Steps, change, perform

from hashrange.cli.embedded import EmbeddedServer
from hashrange.model import dax
from hashrange.model.dax import ClusterDocument, NodeDocument, WantedNode
from tests.conformance.clocked import Clocked, clocked

SITE = DaxSite("127.0.0.1", 8111)
ROLE = "arn:aws:iam::000000000000:role/dax"


@contextmanager
def served() -> Iterator[Clocked]:
    """A server that takes cache nodes to run at `SITE`."""
    with clocked() as running:
        # Served anew with a site: with the site from the start there would be processes.
        running.on_loop(lambda server: server.dispatcher.serve(dax_service(server.context, SITE)))
        yield running


def create(dax: Any, name: str = "cache", nodes: int = 2, **more: Any) -> Any:
    """Make a cluster; how it is described then."""
    request = {"NodeType": "dax.r5.large", "IamRoleArn": ROLE, "ReplicationFactor": nodes, **more}
    return dax.create_cluster(ClusterName=name, **request)["Cluster"]


def shown(dax: Any, name: str = "cache") -> Any:
    """A cluster as it is described now."""
    (found,) = dax.describe_clusters(ClusterNames=[name])["Clusters"]
    return found


def status(dax: Any, name: str = "cache") -> tuple[str, list[str]]:
    """The state of a cluster and those of its nodes."""
    found = shown(dax, name)
    return found["Status"], [node["NodeStatus"] for node in found["Nodes"]]


def messages(dax: Any, **filters: Any) -> list[str]:
    """The messages of events, the latest first."""
    return [event["Message"] for event in dax.describe_events(**filters)["Events"]]


class Fleet:
    """Starts and stops nodes at command, as documents say. `broken` are ids of nodes that do not start."""

    def __init__(self, server: Clocked) -> None:
        self._server = server
        self.broken: set[str] = set()

    def obey(self) -> None:
        """Bring about what is wanted."""
        self._server.run(self._obey(self._server.server))

    def run(self, steps: Any) -> Any:
        """Run steps, given as a function of the server; what they return, or the error that ended them is raised."""
        server = self._server.server
        return self._server.run(_run(server, steps(server)))

    async def _obey(self, server: EmbeddedServer) -> None:
        controls = server.context.controls
        for cluster in clusters(controls):
            name = cluster["ClusterName"]
            running = seen(controls, name).nodes
            wanted = {} if cluster["Deleting"] else {node["NodeId"]: node for node in cluster["Nodes"]}
            for each, node in running.items():
                if not cluster["Managed"]:
                    continue
                if each not in wanted or wanted[each]["Reboots"] > node["Reboots"]:
                    await _run(server, lifecycle.gone(server.context, name, each, node["Process"]))
                    running = {**running, each: cast(NodeDocument, None)}
            for each, wish in wanted.items():
                if running.get(each) is None and each not in self.broken:
                    await _run(server, _register(server, cluster, wish))
            await _run(server, lifecycle.settle(server.context, name))
            await _run(server, lifecycle.forget_if_gone(server.context, name))

    def join(self, cluster: str, number: int) -> None:
        """A node that nobody supervises joins."""
        document = self.document(cluster)
        assert document is not None
        wish: WantedNode = {
            "NodeId": f"{cluster}-{number}",
            "Number": number,
            "AvailabilityZone": "az1",
            "Slot": 50 + number,
            "Created": 0.0,
            "Reboots": 0,
        }
        self.run(lambda server: _register(server, document, wish))

    def kill(self, cluster: str, node_id: str) -> None:
        """A node's process ends, and the supervisor finds out."""

        node = seen(self._server.server.context.controls, cluster).nodes[node_id]
        self.run(lambda server: lifecycle.gone(server.context, cluster, node_id, node["Process"]))

    def lead(self, cluster: str, node_id: str) -> None:
        """Make a node the primary."""
        document = {"NodeId": node_id, "Number": 1, "Term": 1}
        self.run(lambda server: change(server.context.controls, dax.PRIMARY, cluster, lambda known: document))

    def document(self, cluster: str) -> ClusterDocument | None:
        """A cluster's document."""
        found: ClusterDocument | None = self._server.on_loop(
            lambda server: cluster_document(server.context.controls, cluster)
        )
        return found

    def ttls(self, cluster: str) -> tuple[int, int]:
        """What the nodes of a cluster take as their times to live."""
        found: tuple[int, int] = self._server.on_loop(
            lambda server: dax.ttls_of(server.context.controls, cluster)
        )
        return found


def _register(server: EmbeddedServer, cluster: ClusterDocument, wish: WantedNode) -> Steps[Any]:
    ports = SITE.ports(wish["Slot"])
    node: NodeDocument = {
        "NodeId": wish["NodeId"],
        "Number": wish["Number"],
        "AvailabilityZone": wish["AvailabilityZone"],
        "Host": SITE.host,
        "Port": ports.wire,
        "HttpPort": ports.http,
        "Peer": f"{SITE.host}:{ports.peer}",
        "Admin": f"{SITE.host}:{ports.admin}",
        "Process": server.context.new_id(),
        "Started": server.context.now(),
        "Reboots": wish["Reboots"],
    }
    name = dax.node_name(cluster["ClusterName"], wish["NodeId"])
    return change(server.context.controls, dax.NODE, name, lambda known: node)


async def _run(server: EmbeddedServer, steps: Steps[Any]) -> Any:
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    perform(server.node, steps, told.set_result)
    outcome = await told
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
