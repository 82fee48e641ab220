"""`hashrange cluster status`: the processes of a cluster and where its partitions are.

What the supervisor wrote says which processes there should be, the kernel whether they run, each process itself
whether it can serve, and the control plane, asked through any node, where partitions are. As JSON:

    {"processes": [{"role", "id", "az", "pid", "address", "metrics_url", "state"}],
     "partitions": [{"id", "table", "index", "hash_range": [lo, hi], "leader", "replicas", "size_bytes", "epoch"}]}

Partition 0 is the control plane's own group: its table is "(control)".
States of processes: ready, starting, paused, draining, stopped, failed, down.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hashrange.cli.cluster import processes
from hashrange.cli.cluster.ask import AskError, ask, ask_json
from hashrange.cli.cluster.layout import FAILED, NODE, READY, STARTING, STOPPED, Layout, Process

PARTITION_KEYS = ("id", "table", "index", "hash_range", "leader", "replicas", "size_bytes", "epoch")
CONTROL_TIMEOUT_S = 8.0
"""Longer than a node looks for the control plane's leader (5 s): then it says why it found none."""
DOWN = "down"


async def gather(place: Layout | str) -> dict[str, Any]:
    """The status document; partitions are empty, and `note` says why, when the control plane has no answer.

    `place` is a local cluster, or the URL of an admin port.
    """
    if isinstance(place, str):
        view = await ask_json(place, "/cluster", timeout_s=CONTROL_TIMEOUT_S)
        return {
            "processes": [_remote_process(node) for node in view["nodes"]],
            "partitions": [_partition(each) for each in view["partitions"]],
        }
    states, (view, note) = await asyncio.gather(
        asyncio.gather(*(_state(place, process) for process in place.processes)), control_view(place)
    )
    draining = {node["id"] for node in view["nodes"] if node.get("state") in ("draining", "leaving")}
    rows = []
    for process, state in zip(place.processes, states, strict=True):
        if state == READY and process.role == NODE and process.id in draining:
            state = "draining"
        rows.append(
            {
                "role": process.role,
                "id": process.id,
                "az": process.az,
                "pid": process.pid,
                "address": place.address(process),
                "metrics_url": place.admin_url(process) + "/metrics",
                "state": state,
            }
        )
    document: dict[str, Any] = {
        "processes": rows,
        "partitions": [_partition(each) for each in view["partitions"]],
    }
    if note:
        document["note"] = note
    return document


async def control_view(layout: Layout) -> tuple[dict[str, Any], str]:
    """The control plane's view from the first node that has it, and why there is none."""
    return await first_answer(layout, "/cluster", None, {"nodes": [], "partitions": []})


async def first_answer(
    layout: Layout, path: str, body: dict[str, Any] | None, otherwise: Any
) -> tuple[Any, str]:
    """Ask one node after the other until one answers; with the last reason when none does.

    A refusal by the control plane (400 to 499) is its answer, and is raised as AskError.
    """
    note = "no node runs"
    for process in layout.of(NODE):
        if processes.state_of(process.pid, process.started) != processes.RUNNING:
            continue
        try:
            return await ask_json(layout.admin_url(process), path, body, CONTROL_TIMEOUT_S), ""
        except AskError as error:
            if 400 <= error.status < 500:
                raise
            note = str(error)
    return otherwise, note


async def _state(layout: Layout, process: Process) -> str:
    running = processes.state_of(process.pid, process.started)
    if running == processes.PAUSED:
        return "paused"
    if running == processes.GONE:
        return process.state if process.state in (STOPPED, FAILED) else DOWN
    try:
        await ask(layout.admin_url(process), "/health/ready")
    except AskError:
        return STARTING
    return READY


def _remote_process(node: dict[str, Any]) -> dict[str, Any]:
    return {
        "role": NODE,
        "id": node["id"],
        "az": node["az"],
        "pid": None,
        "address": node["address"],
        "metrics_url": f"http://{node['admin']}/metrics",
        "state": node["state"],
    }


def _partition(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in PARTITION_KEYS}


async def show(place: Layout | str, as_json: bool) -> None:
    """Print the status as tables, or as JSON."""
    document = await gather(place)
    note = document.pop("note", "")
    if as_json:
        print(json.dumps(document, indent=2))
        return
    from rich.console import Console

    from hashrange.cli.cluster.screen import partition_table, process_table

    console = Console()
    console.print(process_table(document["processes"]))
    console.print(partition_table(document["partitions"]))
    if note:
        console.print(f"The control plane has no answer: {note}", markup=False, style="yellow")
