"""A cluster on this machine with several cache nodes: what `DaxServer` is for one process.

with DaxCluster(directory, nodes=3) as cluster:
    cluster.kill_primary()          # its name; `cluster.cluster.restart(name)` is not needed: it is started again
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from tests.cluster.local_cluster import LocalCluster
from tests.conformance.support import wait_until
from tests.dax.server import DaxPlace


class DaxCluster(DaxPlace):
    """Three storage nodes, a router, and so many cache nodes."""

    def __init__(self, directory: Path, nodes: int) -> None:
        self.local = LocalCluster(directory, settings=("durability=os",), options=("--dax", str(nodes)))
        self._nodes = nodes
        super().__init__("")

    def __enter__(self) -> DaxCluster:
        self.local.start()
        self.endpoint = f"http://127.0.0.1:{self.local.base_port}"
        try:
            self.wait_available()
            self.wait_whole()
        except BaseException:
            self.local.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.local.stop()

    def wait_whole(self) -> None:
        """Wait until all nodes run and one of them is the primary."""
        wait_until(
            lambda: len(self.nodes()) == self._nodes and self.primary() is not None,
            "all cache nodes and a primary",
        )

    def kill_primary(self) -> str:
        """kill -9 of the primary; its node id."""
        node = self.nodes()[self.primary() or 0]
        port = int(node["admin"].rpartition(":")[2])
        layout = self.local.layout()
        name = next(each.name for each in layout.processes if layout.admin_url(each).endswith(f":{port}"))
        self.local.kill(name)
        return str(node["id"])
