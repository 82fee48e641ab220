"""Starts `hashrange serve --dax` as a user would, and finds what a test has to know of it.

with dax_server("--in-memory", log=tmp_path / "log") as server:
    server.url                    # dax://127.0.0.1:... the stable discovery address of the default cluster
    server.http                   # http://127.0.0.1:... the same cache for any SDK
    server.endpoint               # http://127.0.0.1:... the server itself
    server.control                # boto3's client of the DAX API
    server.node_pids()            # the processes of its cache nodes
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3

from hashrange.model.dax import ports_of
from tests.conformance.server import Server
from tests.conformance.support import wait_until

CLUSTER = "dax"
GROUP = "tested"
SLOTS_USED = 6
"""Ports of so many slots are looked at: the default cluster, its node, and what a test makes besides."""


def free_dax_port() -> int:
    """A base port below the ephemeral ones, with the ports of the first slots free."""
    rng = random.Random()
    while True:
        base = rng.randrange(10_000, 32_000)
        if all(_is_free(port) for slot in range(SLOTS_USED) for port in ports_of(base, slot)):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class DaxPlace:
    """Where cache nodes are. `endpoint` is that of the ordinary API, past the cache."""

    def __init__(self, endpoint: str, credentials: tuple[str, str] = ("test", "test")) -> None:
        self.endpoint = endpoint
        self._credentials = credentials

    @cached_property
    def control(self) -> Any:
        """boto3's client of the DAX API."""
        access_key, secret_key = self._credentials
        session = boto3.session.Session(access_key, secret_key, region_name="us-east-1")
        return session.client("dax", endpoint_url=self.endpoint)

    def cluster(self, name: str = CLUSTER) -> dict[str, Any]:
        """What DescribeClusters says of a cluster; empty if there is none."""
        found = self.control.describe_clusters()["Clusters"]
        return next((each for each in found if each["ClusterName"] == name), {})

    def wait_available(self, name: str = CLUSTER) -> dict[str, Any]:
        """Wait until all nodes of a cluster are available; its description."""

        def available() -> dict[str, Any]:
            found = self.cluster(name)
            states = [found.get("Status"), *(node.get("NodeStatus") for node in found.get("Nodes") or ())]
            return found if set(states) == {"available"} else {}

        return dict(wait_until(available, f"the cluster {name}"))

    @property
    def url(self) -> str:
        """The stable discovery address of the default cluster: dax://..."""
        return str(self.cluster()["ClusterDiscoveryEndpoint"]["URL"])

    def nodes(self, name: str = CLUSTER) -> list[dict[str, Any]]:
        """The nodes of a cluster that run: "id", "host", "port", "http_port", "admin", "primary"."""
        clusters = fetched(f"{self.endpoint}/dax/clusters")["clusters"]
        return [node for cluster in clusters if cluster["name"] == name for node in cluster["nodes"]]

    def doors(self) -> list[str]:
        """The HTTP doors of the nodes, each one's own."""
        return [f"http://{node['host']}:{node['http_port']}" for node in self.nodes()]

    def primary(self) -> int | None:
        """Which of the nodes is the primary, in the order of `nodes`; None while there is none."""
        return next((place for place, node in enumerate(self.nodes()) if node["primary"]), None)

    def counted(self, name: str = CLUSTER) -> dict[str, float]:
        """What the nodes of a cluster have counted together (as `hashrange dax stats`), since they started."""
        total: Counter[str] = Counter()
        for node in self.nodes(name):
            total += Counter(fetched(f"http://{node['admin']}/dax/stats")["metrics"])
        return dict(total)

    def group(self) -> str:
        """A parameter group that the default cluster uses; made when it is asked for first."""
        if self.cluster()["ParameterGroup"]["ParameterGroupName"] != GROUP:
            self.control.create_parameter_group(ParameterGroupName=GROUP)
            self.control.update_cluster(ClusterName=CLUSTER, ParameterGroupName=GROUP)
            self.wait_available()
        return GROUP

    def close(self) -> None:
        """End the clients made here."""
        if "control" in self.__dict__:
            self.control.close()


class DaxServer(DaxPlace):
    """A running `hashrange serve --dax`, with one cache node."""

    def __init__(
        self, server: Server, dax_port: int, credentials: tuple[str, str] = ("test", "test")
    ) -> None:
        super().__init__(server.endpoint, credentials)
        self.server = server
        self.port = dax_port
        self.http = f"http://127.0.0.1:{ports_of(dax_port, 0).http}"

    def node_pids(self) -> list[int]:
        """The processes that the server has started: its cache nodes."""
        return children_of(self.server.process.pid)

    def kill_node(self) -> int:
        """kill -9 of the first cache node; the pid that it had."""
        pid = self.node_pids()[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_replaced(self, pid: int) -> None:
        """Wait until another process runs in the place of one that has ended, and is in use."""
        wait_until(lambda: self.node_pids() and pid not in self.node_pids(), "another cache node")
        self.wait_available()

    def log(self) -> str:
        """What the server and its cache nodes have written."""
        return self.server.log.read_text(errors="replace")


def fetched(url: str) -> Any:
    """A page of JSON."""
    with urlopen(url, timeout=10) as answer:
        return json.load(answer)


def children_of(pid: int) -> list[int]:
    """The direct children of a process, oldest first."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError):
        for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
            found += [int(child) for child in (task / "children").read_text().split()]
    return sorted(found)


@contextlib.contextmanager
def dax_server(
    *options: str, log: Path, credentials: tuple[str, str] = ("test", "test")
) -> Iterator[DaxServer]:
    """A ready server with a default cluster of one node, stopped at the end."""
    port = free_dax_port()
    server = Server("--dax", "--dax-port", str(port), *options, log=log)
    handle = DaxServer(server, port, credentials)
    try:
        server.wait_ready()
        handle.wait_available()
        yield handle
    finally:
        handle.close()
        server.stop()
