"""Where `hashrange top` gets its samples: from an embedded server, from a local cluster, or from admin ports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hashrange.cli.cluster import processes
from hashrange.cli.cluster.ask import TIMEOUT_S, AskError, ask_json
from hashrange.cli.cluster.layout import STATE_NAME, Layout, LayoutError, load
from hashrange.cli.cluster.status import gather
from hashrange.cli.top.model import Sample
from hashrange.cli.top.page import FORMAT

DEFAULT_ENDPOINT = "http://127.0.0.1:8000"
DEFAULT_DIRECTORY = "hashrange-cluster"
EMBEDDED_PATH = "/hashrange/top"
ADMIN_PATH = "/top"
UP = ("ready", "draining", "starting")

Source = Callable[[], Awaitable[Sample]]
"""Takes a sample; raises AskError when there is nothing to show at all."""


async def find(endpoints: list[str], data_dir: str | None) -> Source:
    """The source that the command line names, or the one that is there; raises AskError or LayoutError.

    Without either: the cluster of ./hashrange-cluster if it runs, else the embedded server on port 8000.
    """
    if data_dir is not None:
        layout = load(Path(data_dir))
        return lambda: _of_cluster(layout.directory)
    if not endpoints:
        directory = Path(DEFAULT_DIRECTORY)
        if (directory / STATE_NAME).exists() and _runs(load(directory)):
            return lambda: _of_cluster(directory)
        endpoints = [DEFAULT_ENDPOINT]
    if len(endpoints) == 1 and await _is_embedded(endpoints[0]):
        return lambda: _of_embedded(endpoints[0])
    for endpoint in endpoints:
        await _checked(endpoint, ADMIN_PATH)
    return lambda: _of_admin_ports(endpoints)


def _runs(layout: Layout) -> bool:
    return any(processes.state_of(each.pid, each.started) != processes.GONE for each in layout.processes)


async def _is_embedded(endpoint: str) -> bool:
    """Whether an embedded server is there; AskError when nobody is."""
    try:
        await _checked(endpoint, EMBEDDED_PATH)
    except AskError as error:
        if error.status == 0:
            raise AskError(
                f"{error}; start a server with `hashrange serve`, name another one with --endpoint, or the directory "
                "of a cluster with --data-dir"
            ) from None
        return False
    return True


async def _checked(endpoint: str, path: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """A page, if it is one that this version understands."""
    try:
        page = await ask_json(endpoint, path, timeout_s=timeout_s)
    except AskError as error:
        if error.status == 0 or path == EMBEDDED_PATH:
            raise
        raise AskError(
            f"{endpoint} shows nothing to hashrange top: name an embedded server, the admin port of a node or router "
            "(`hashrange cluster status` lists them), or the directory of a local cluster with --data-dir",
            error.status,
        ) from None
    if not isinstance(page, dict) or page.get("format") != FORMAT:
        raise AskError(f"{endpoint} is of another version of hashrange; use that version's hashrange top", 1)
    return page


async def _of_embedded(endpoint: str) -> Sample:
    page = await _checked(endpoint, EMBEDDED_PATH)
    process = page["process"]
    row = {"name": "server", "role": "embedded", "id": 1, "az": process["az"], "state": process["state"]}
    return Sample(endpoint, {"server": page}, [row])


async def _of_cluster(directory: Path) -> Sample:
    """All processes of a local cluster, as its supervisor wrote them down a moment ago."""
    layout = load(directory)
    document = await gather(layout)
    rows = [
        {"name": f"{row['role']}-{row['id']}", **{key: row[key] for key in ("role", "id", "az", "state")}}
        for row in document["processes"]
    ]
    urls = {
        process.name: layout.admin_url(process)
        for process, row in zip(layout.processes, rows, strict=True)
        if row["state"] in UP
    }
    pages, _ = await pages_of(urls)
    if not pages:
        raise AskError(
            f"no process of the cluster in {directory} answers; `hashrange cluster up --data-dir {directory}` "
            "starts it"
        )
    note = document.get("note", "")
    return Sample(
        str(directory),
        pages,
        rows,
        document["partitions"],
        f"the control plane has no answer: {note}" if note else "",
    )


async def _of_admin_ports(endpoints: list[str]) -> Sample:
    """The processes behind some admin ports, and all nodes that the control plane knows."""
    named, failed = await pages_of({endpoint: endpoint for endpoint in endpoints})
    view: dict[str, Any] = {"nodes": [], "partitions": []}
    note = ""
    for endpoint in named:
        try:
            view = await ask_json(endpoint, "/cluster", timeout_s=8.0)
            break
        except AskError as error:
            note = f"the control plane has no answer: {error}"
    pages = {name_of(page): page for page in named.values()}
    urls = {
        f"node-{node['id']}": f"http://{node['admin']}"
        for node in view["nodes"]
        if f"node-{node['id']}" not in pages and node.get("alive", True)
    }
    others, _ = await pages_of(urls)
    pages.update(others)
    if not pages:
        raise AskError(failed)
    rows = [
        {
            "name": f"node-{node['id']}",
            "role": "node",
            "id": node["id"],
            "az": node["az"],
            "state": state_of_node(node, pages),
        }
        for node in view["nodes"]
    ]
    known = {row["name"] for row in rows}
    for name, page in pages.items():
        if name not in known:
            process = page["process"]
            rows.append({"name": name, **{key: process[key] for key in ("role", "id", "az", "state")}})
    if not any("operations" in page for page in pages.values()):
        note = note or "no router is named (--endpoint): latencies, capacity and failures are told by routers"
    return Sample(", ".join(endpoints), pages, rows, view["partitions"], note)


def state_of_node(node: dict[str, Any], pages: dict[str, dict[str, Any]]) -> str:
    """What a node of the control plane's view is up to, given the pages that were had."""
    if not node.get("alive", True):
        return "down"
    page = pages.get(f"node-{node['id']}")
    if page is None:
        return "unreachable"
    return "ready" if node["state"] == "up" else str(node["state"])


def name_of(page: dict[str, Any]) -> str:
    """What a process is called by its page."""
    return f"{page['process']['role']}-{page['process']['id']}"


async def pages_of(
    urls: dict[str, str], timeout_s: float = TIMEOUT_S
) -> tuple[dict[str, dict[str, Any]], str]:
    """The pages of several processes, asked at once; those that do not answer are left out, with the last reason."""

    async def one(url: str) -> dict[str, Any] | str:
        try:
            return await _checked(url, ADMIN_PATH, timeout_s)
        except AskError as error:
            return str(error)

    answers = await asyncio.gather(*(one(url) for url in urls.values()))
    failed = next((answer for answer in answers if isinstance(answer, str)), "")
    return {
        name: answer for name, answer in zip(urls, answers, strict=True) if isinstance(answer, dict)
    }, failed


__all__ = ["AskError", "LayoutError", "Source", "find"]
