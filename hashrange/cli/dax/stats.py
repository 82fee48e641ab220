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


def certificate(endpoint_url: str, data_dir: str | None) -> int:
    """Print the certificate of the installation's authority; exit code 1 when nobody has it."""
    try:
        print(_get(_endpoint(endpoint_url, data_dir) + CA_PATH).decode(), end="")
    except (LayoutError, OSError) as error:
        return _fail(endpoint_url, error)
    return 0


def show(endpoint_url: str, data_dir: str | None, as_json: bool, interval_s: float | None) -> int:
    """Print what the nodes have counted, once or again and again; exit code 1 when nobody answers."""
    while True:
        try:
            found = gather(_endpoint(endpoint_url, data_dir))
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
        console.print(f"cluster {cluster['name']}{where}", markup=False, highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("node", "zone", "role", "state"):
        table.add_column(name)
    for name in (
        "requests",
        "item hits",
        "query hits",
        "scan hits",
        "errors",
        "memory",
        "evicted",
        "clients",
    ):
        table.add_column(name, justify="right")
    for node in found["nodes"]:
        metrics = node["metrics"]
        role = "primary" if node["primary"] else "replica"
        figures = ["-"] * 8
        if metrics:
            figures = [
                f"{metrics['TotalRequestCount']:,.0f}",
                _hits(metrics, "ItemCache"),
                _hits(metrics, "QueryCache"),
                _hits(metrics, "ScanCache"),
                f"{metrics['FailedRequestCount']:,.0f}",
                f"{metrics['CacheMemoryUtilization']:.1f}%",
                f"{metrics['EvictedSize'] / (1 << 20):,.1f} MiB",
                f"{metrics['ClientConnections']:,.0f}",
            ]
        table.add_row(node["id"], node["az"], role, node["state"], *figures)
    console.print(table)


def _hits(metrics: dict[str, float], cache: str) -> str:
    """Hits, and their share of all that could have been hits."""
    hits = metrics[f"{cache}Hits"]
    asked = hits + metrics[f"{cache}Misses"]
    return f"{hits:,.0f} ({hits / asked:.0%})" if asked else "0"
