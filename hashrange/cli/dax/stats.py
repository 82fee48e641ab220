"""`hashrange dax stats` and `hashrange dax certificate`: asks a router or the embedded server, then each node.

{"nodes": [{"cluster", "id", "az", "primary", "wire", "admin", "state", "metrics": {AWS/DAX name: number}}],
 "clusters": [{"name", "wire", "http", "encryption"}]}
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from hashrange.cli.cluster.layout import LayoutError, load
from hashrange.cli.dax.pages import CA_PATH, CLUSTERS_PATH, STATS_PATH
from hashrange.runtime.cluster_config import format_address

TIMEOUT_S = 5.0
WIDTH_MAX = 250
"""Characters of the widest table."""


def certificate(endpoint_url: str, data_dir: str | None) -> int:
    """Print the certificate of the installation's authority; exit code 1 when nobody has it."""
    try:
        endpoint_url = _endpoint(endpoint_url, data_dir)
        print(_get(endpoint_url + CA_PATH).decode(), end="")
    except (LayoutError, OSError, ValueError) as error:
        return _fail(endpoint_url, error)
    return 0


def show(endpoint_url: str, data_dir: str | None, as_json: bool, interval_s: float | None) -> int:
    """Print what the nodes have counted, once or again and again; exit code 1 when nobody answers."""
    while True:
        try:
            endpoint_url = _endpoint(endpoint_url, data_dir)
            found = gather(endpoint_url)
        except (LayoutError, OSError, ValueError) as error:
            return _fail(endpoint_url, error)
        if as_json:
            print(json.dumps(found), flush=True)
        else:
            if interval_s is not None and sys.stdout.isatty():
                print("\x1b[2J\x1b[H", end="")
            _print(found)
        if interval_s is None:
            return 0
        try:
            time.sleep(interval_s)
        except KeyboardInterrupt:
            return 0


def gather(endpoint: str) -> dict[str, Any]:
    """What the nodes of all clusters have counted; a node that does not answer has the state "down"."""
    clusters = json.loads(_get(endpoint + CLUSTERS_PATH))["clusters"]
    nodes = []
    for cluster in clusters:
        for node in cluster.pop("nodes"):
            row = {
                "cluster": cluster["name"],
                "id": node["id"],
                "az": node["az"],
                "primary": node["primary"],
                "wire": format_address(node["host"], node["port"]),
                "admin": node["admin"],
                "state": "down",
                "metrics": {},
            }
            try:
                told = json.loads(_get(f"http://{node['admin']}{STATS_PATH}"))
                row |= {"state": told["state"], "metrics": told["metrics"]}
            except (OSError, ValueError):
                pass
            nodes.append(row)
    return {"clusters": clusters, "nodes": nodes}


def _endpoint(endpoint_url: str, data_dir: str | None) -> str:
    return load(Path(data_dir)).endpoint if data_dir is not None else endpoint_url.rstrip("/")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:
        body: bytes = reply.read()
        return body


def _fail(endpoint_url: str, error: Exception) -> int:
    if isinstance(error, LayoutError):
        sentence = str(error)
    elif isinstance(error, urllib.error.HTTPError):
        sentence = f"{endpoint_url} serves no cache clusters (HTTP {error.code}); name a router or a server"
    else:
        sentence = (
            f"{endpoint_url} does not answer ({error}); start a server with `hashrange serve --dax`, or name another "
            "with --endpoint-url"
        )
    print(f"hashrange: {sentence}", file=sys.stderr)
    return 1


def _print(found: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for cluster in found["clusters"]:
        where = f": {cluster['wire']}, cached API {cluster['http']}" if "wire" in cluster else ""
        console.print(f"cluster {cluster['name']}{where}", markup=False, highlight=False, soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in ("\nnode", "\nzone", "\nstate"):
        table.add_column(name, no_wrap=True)
    for name in (*FIGURES, "evicted\nMiB", "open\nclients"):
        table.add_column(name, justify="right", no_wrap=True)
    for node in found["nodes"]:
        role = "primary" if node["primary"] else "replica"
        state = role if node["state"] == "ready" else node["state"]
        table.add_row(node["id"], node["az"], state, *_figures(node["metrics"]))
    # Figures that are cut short would be wrong ones: a line that is too long for a terminal goes on in the next.
    console.width = max(console.width, WIDTH_MAX)
    console.print(table)


FIGURES = ("\nrequests", "item\nhits", "query\nhits", "scan\nhits", "\nerrors", "\nmemory")


def _figures(metrics: dict[str, float]) -> list[str]:
    if not metrics:
        return ["-"] * (len(FIGURES) + 2)
    return [
        f"{metrics['TotalRequestCount']:,.0f}",
        _hits(metrics, "ItemCache"),
        _hits(metrics, "QueryCache"),
        _hits(metrics, "ScanCache"),
        f"{metrics['FailedRequestCount']:,.0f}",
        f"{metrics['CacheMemoryUtilization']:.1f}%",
        f"{metrics['EvictedSize'] / (1 << 20):,.1f}",
        f"{metrics['ClientConnections']:,.0f}",
    ]


def _hits(metrics: dict[str, float], cache: str) -> str:
    """The share of reads that the cache had, of all that it could have had."""
    hits = metrics[f"{cache}Hits"]
    asked = hits + metrics[f"{cache}Misses"]
    return f"{hits / asked:.0%}" if asked else "-"
