"""What is measured: a cluster with three routers that share a port, or one embedded server; both throttle.

With a shared port the kernel decides which router a connection goes to. To let each router have the load that it is
meant to have, connections are opened until there are enough at each; whose a connection is shows in the counters of
the routers' metrics pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.bench.admission.load import Writer
from tests.cluster.local_cluster import HASHRANGE, ROOT, LocalCluster, free_base_port

_REQUESTS = re.compile(r'^hashrange_requests_total\{.*operation="ListTables".*\} (\S+)', re.MULTILINE)
CONNECTIONS_MAX = 60


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def embedded(*options: str) -> Iterator[str]:
    """A server of its own in memory, with throttling on; gives its endpoint."""
    port = free_base_port()
    command = [*HASHRANGE, "serve", "--in-memory", "--port", str(port), "--throttling", "on", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(endpoint + "/health/ready", timeout=1):
                    break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError("the server did not start") from None
                time.sleep(0.1)
        yield endpoint
    finally:
        process.terminate()
        process.wait(20)


def throttling_cluster(
    directory: Path, *settings: str, nodes: int, routers: int, multiplier: float = 1.0
) -> LocalCluster:
    """A cluster that enforces capacity and splits nothing by itself."""
    unsplit = ("split_writes_per_s=1000000000", "split_reads_per_s=1000000000", "durability=os")
    return LocalCluster(
        directory,
        nodes=nodes,
        routers=routers,
        settings=(*unsplit, *settings),
        options=("--throttling", "on", "--capacity-multiplier", str(multiplier)),
    )


def _asked(cluster: LocalCluster) -> dict[str, float]:
    """How often each router was asked to list tables."""
    counts = {}
    for name in cluster.routers():
        process = cluster.process(name)
        with urllib.request.urlopen(cluster.layout().admin_url(process) + "/metrics", timeout=5) as answer:
            counts[name] = sum(map(float, _REQUESTS.findall(answer.read().decode())))
    return counts


async def connect(cluster: LocalCluster, writers: dict[str, list[Writer]]) -> None:
    """Give each router's writers connections to that router: `writers` by the names of routers."""
    wanted = {name: list(each) for name, each in writers.items()}
    for _ in range(CONNECTIONS_MAX):
        if not any(wanted.values()):
            return
        probe = next(each for several in wanted.values() for each in several)
        await probe.client.ready()
        before = await asyncio.to_thread(_asked, cluster)
        await probe.client.call("ListTables", {})
        after = await asyncio.to_thread(_asked, cluster)
        router = next(name for name, count in after.items() if count > before[name])
        if wanted[router]:
            place = wanted[router].pop()
            probe.client, place.client = place.client, probe.client
        else:
            probe.client.close()
    raise RuntimeError("the kernel gave some routers no connection")
