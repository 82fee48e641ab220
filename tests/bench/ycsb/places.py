"""What the workloads are put on: servers of this machine, started for one run and stopped behind it; all with
fsync on.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hashrange_client.load.settings import DAX, LoadSettings

from hashrange.cli.dax.pages import CLUSTERS_PATH
from tests.bench.servers import STOP_TIMEOUT_S
from tests.cluster.local_cluster import HASHRANGE, LocalCluster, free_base_port

READY_S = 60.0
POLL_S = 0.1


@dataclasses.dataclass(frozen=True)
class Place:
    """Where load goes, and whose metrics are read: names of processes and their URLs."""

    endpoint: str
    metrics: dict[str, str]
    dax_endpoint: str = ""

    def settings(self, settings: LoadSettings) -> LoadSettings:
        """The settings, put on this place."""
        there = dataclasses.replace(settings, endpoint=self.endpoint)
        if self.dax_endpoint:
            there = dataclasses.replace(there, client=DAX, dax_endpoint=self.dax_endpoint)
        return there


@contextmanager
def embedded(scratch: Path) -> Iterator[Place]:
    """`hashrange serve`, data on disk."""
    with _serving(scratch / "embedded") as endpoint:
        yield Place(endpoint, {"server": f"{endpoint}/metrics"})


@contextmanager
def cluster(scratch: Path) -> Iterator[Place]:
    """Three nodes in three zones, and a router."""
    with LocalCluster(scratch / "cluster") as local:
        layout = local.layout()
        metrics = {each.name: f"{layout.admin_url(each)}/metrics" for each in layout.processes}
        yield Place(local.endpoint, metrics)


@contextmanager
def dax(scratch: Path) -> Iterator[Place]:
    """`hashrange serve --dax`, data on disk; load goes to its one cache node over the wire protocol."""
    port = free_base_port()
    with _serving(scratch / "dax", "--dax", "--dax-port", str(port)) as endpoint:
        node = _cache_node(endpoint)
        metrics = {"server": f"{endpoint}/metrics", str(node["id"]): f"http://{node['admin']}/metrics"}
        yield Place(endpoint, metrics, f"dax://{node['host']}:{node['port']}")


PLACES = {"embedded": embedded, "cluster": cluster, "dax": dax}


@contextmanager
def _serving(directory: Path, *flags: str) -> Iterator[str]:
    port = free_base_port()
    endpoint = f"http://127.0.0.1:{port}"
    with directory.with_suffix(".log").open("wb") as log:
        words = [*HASHRANGE, "serve", "--port", str(port), "--data-dir", str(directory), *flags]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait(lambda: _get(f"{endpoint}/health/ready") is not None, process, log.name)
            yield endpoint
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _cache_node(endpoint: str) -> dict[str, object]:
    """The cache node, once it can be reached."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        page = _get(f"{endpoint}{CLUSTERS_PATH}")
        nodes = [
            node for each in json.loads(page or b'{"clusters": []}')["clusters"] for node in each["nodes"]
        ]
        if nodes and _get(f"http://{nodes[0]['admin']}/health/ready") is not None:
            found: dict[str, object] = nodes[0]
            return found
        time.sleep(POLL_S)
    raise RuntimeError("the cache node did not come up")


def _wait(is_there: Callable[[], bool], process: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + READY_S
    while not is_there():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{Path(log).read_text(errors='replace')[-2_000:]}")
        time.sleep(POLL_S)


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body: bytes = answer.read()
            return body if answer.status == 200 else None
    except OSError:
        return None
