"""Whose metrics a run reads: those named, or those of the server that it is put on, as far as it can be seen
from here.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from hashrange_client.load.client import Client
from hashrange_client.load.settings import LoadError, LoadSettings

from hashrange.cli.cluster import processes
from hashrange.cli.cluster.layout import STATE_NAME, Layout, LayoutError, load
from hashrange.cli.dax.pages import CLUSTERS_PATH

CLUSTER_DIRECTORY = "hashrange-cluster"
LOOPBACK = ("127.0.0.1", "localhost", "::1", "0.0.0.0")
MARK = b"hashrange_build_info"


def cluster_of(data_dir: str | None, endpoint: str | None) -> Layout | None:
    """The local cluster that is meant: the one of the directory, or the one in the usual place that has this endpoint.

    Raises `LoadError` when the directory named has none.
    """
    if data_dir is not None:
        try:
            return load(Path(data_dir))
        except LayoutError as error:
            raise LoadError(str(error)) from None
    directory = Path(CLUSTER_DIRECTORY)
    if endpoint is None or not (directory / STATE_NAME).exists():
        return None
    try:
        layout = load(directory)
    except LayoutError:
        return None
    asked, own = urlsplit(endpoint), urlsplit(layout.endpoint)
    same_host = asked.hostname == own.hostname or {asked.hostname, own.hostname} <= set(LOOPBACK)
    return layout if same_host and (asked.port or 80) == own.port else None


async def find(settings: LoadSettings, urls: list[str], cluster: Layout | None) -> dict[str, str]:
    """Names of processes and the URLs of their metrics; empty when there is nothing to read."""
    if urls:
        return {_name(url): url if urlsplit(url).path.strip("/") else f"{url}/metrics" for url in urls}
    if cluster is not None:
        return {
            process.name: f"{cluster.admin_url(process)}/metrics"
            for process in cluster.processes
            if processes.state_of(process.pid, process.started) == processes.RUNNING
        }
    return await _of_endpoint(settings)


def _name(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc or url


async def _of_endpoint(settings: LoadSettings) -> dict[str, str]:
    """The embedded server, or the router, behind the endpoint, and the cache nodes that it knows."""
    try:
        client = await Client.connect(settings)
    except LoadError:
        return {}
    base = settings.endpoint.rstrip("/")
    try:
        page = await client.get("/metrics")
        if page.status != 200 or MARK not in page.body:
            return {}
        found = {"server": f"{base}/metrics"}
        caches = await client.get(CLUSTERS_PATH)
        if caches.status == 200:
            for cluster in json.loads(caches.body)["clusters"]:
                for node in cluster["nodes"]:
                    found[str(node["id"])] = f"http://{node['admin']}/metrics"
    except (LoadError, ValueError, KeyError):
        return {}
    finally:
        client.close()
    return found
