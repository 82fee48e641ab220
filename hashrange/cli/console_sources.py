"""What the console shows, gathered: of an embedded server from itself, in a cluster from every process.

A document, for `hashrange_router.console.live`:

    {"at_ms": wall time, "view": hashrange.cli.top.model.View,
     "places": [{"id", "table", "index", "hash_range", "leader", "replicas": [{"node", "role", "behind"?}], "epoch"}],
     "nodes": [{"id", "az", "state", ...}],
     "caches": [{"name", "nodes": [{"id", "az", "primary", "state", "metrics"}]}],
     "links": [{"table", "source", "destination", "pending_keys", ...}]}

A router knows the nodes from the control plane and the cache nodes from the catalogue; other routers and trigger pools
are where `console_sources` says. Keys that are shown have a `position`: their hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from hashrange_router.api.context import RouterContext

from hashrange.cli.cluster.ask import AskError, ask, ask_json
from hashrange.cli.console_links import Links, Pages
from hashrange.cli.dax.pages import STATS_PATH, DaxPages
from hashrange.cli.top.build import build
from hashrange.cli.top.model import Sample
from hashrange.cli.top.sources import name_of, pages_of, state_of_node
from hashrange.errors import ApiError
from hashrange.model.key import KeyMismatch
from hashrange.model.key_bytes import HASH_SIZE
from hashrange.runtime.clock import Clock
from hashrange.wire.cluster import ClusterStatus
from hashrange.wire.messages import Done

ASK_S = 1.0
"""How long a process is waited for: one that is frozen must not hold the others up."""

STALE_S = 10.0
"""Rates are made from two looks. One that is longer ago says nothing about now."""

PLACE_MEMBERS = ("id", "table", "index", "hash_range", "leader", "replicas", "epoch", "split")
DOWN = "down"


class Gatherer:
    """Takes samples and makes documents of them; remembers the last sample, to make rates."""

    def __init__(self, context: RouterContext, caches: DaxPages, clock: Clock) -> None:
        self._context = context
        self._caches = caches
        self._clock = clock
        self._last: tuple[float, Sample] | None = None

    async def document(
        self,
        sample: Sample,
        nodes: list[dict[str, Any]],
        caches: list[dict[str, Any]],
        links: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """The document of a sample."""
        now_s = self._clock.monotonic()
        before = self._last[1] if self._last is not None and now_s - self._last[0] < STALE_S else None
        self._last = now_s, sample
        view = build(before, sample).to_json()
        for key in view["keys"]:
            key["position"] = self._position(key["table"], key["index"], key["key"])
        return {
            "at_ms": self._clock.wall_ms(),
            "view": view,
            "places": [_place(each) for each in sample.partitions if not each.get("successors")],
            "nodes": nodes,
            "caches": caches,
            "links": links,
        }

    def _position(self, table: str, index: str | None, key: dict[str, Any]) -> int | None:
        """The hash of a partition key; None for a table that has just gone, or another key than it has now."""
        schema = self._context.tables.get(table)
        if schema is None:
            return None
        codec = schema.codec
        if index is not None:
            found = next((each for each in schema.gsis if each.name == index), None)
            if found is None:
                return None
            codec = found.codec
        try:
            prefix = codec.partition_prefix([key[part.name] for part in codec.hash_parts])
        except (KeyError, KeyMismatch):
            return None
        return int.from_bytes(prefix[:HASH_SIZE], "big")

    def links(self, pages: Pages) -> Links:
        """The links of global tables, from these pages."""
        return Links(self._context, self._clock, pages)

    async def caches(self) -> list[dict[str, Any]]:
        """The cache clusters, each node with what it tells."""
        clusters = self._caches.clusters()
        nodes = [node for cluster in clusters for node in cluster["nodes"]]
        told = await asyncio.gather(*(_ask(f"http://{node['admin']}", STATS_PATH) for node in nodes))
        for node, answer in zip(nodes, told, strict=True):
            node["state"] = answer["state"] if answer is not None else DOWN
            node["metrics"] = answer["metrics"] if answer is not None else {}
        return clusters


class EmbeddedSource:
    """The page of an embedded server itself (`Take`).

    Pages are taken as JSON also from this process: their parts are counters that go on counting.
    """

    def __init__(
        self,
        gatherer: Gatherer,
        endpoint: str,
        page: Callable[[], bytes],
        metrics: Callable[[], bytes],
    ) -> None:
        self._gatherer = gatherer
        self._endpoint = endpoint
        self._page = page
        self._metrics = metrics
        self._links = gatherer.links(self._metrics_pages)

    async def _metrics_pages(self) -> list[bytes]:
        return [self._metrics()]

    async def __call__(self) -> dict[str, Any]:
        """A document."""
        page = orjson.loads(self._page())
        process = page["process"]
        row = {"name": "server", "role": "embedded", "id": 1, "az": process["az"], "state": process["state"]}
        caches = await self._gatherer.caches()
        sample = Sample(self._endpoint, {"server": page}, [row])
        return await self._gatherer.document(sample, [], caches, await self._links.rows())


class ClusterSource:
    """All processes of a cluster, as one router reaches them (`Take`)."""

    def __init__(
        self,
        gatherer: Gatherer,
        place: str,
        page: Callable[[], bytes],
        send: Callable[[Any, Done], None],
        sources: tuple[str, ...],
    ) -> None:
        self._gatherer = gatherer
        self._place = place
        self._page = page
        self._send = send
        self._links = gatherer.links(self._metrics_pages)
        self._sources = {f"http://{address}": f"http://{address}" for address in sources}
        self._names: dict[str, tuple[str, dict[str, Any]]] = {}
        self._view: dict[str, Any] = {"nodes": [], "partitions": []}

    async def __call__(self) -> dict[str, Any]:
        """A document. What does not answer is shown as it was last known, and as unreachable."""
        own = orjson.loads(self._page())
        note, caches, (others, _) = await asyncio.gather(
            self._look(), self._gatherer.caches(), pages_of(self._sources, ASK_S)
        )
        nodes = self._view["nodes"]
        urls = {f"node-{node['id']}": f"http://{node['admin']}" for node in nodes if node.get("alive", True)}
        urls |= {node["id"]: f"http://{node['admin']}" for each in caches for node in each["nodes"]}
        pages, _ = await pages_of(urls, ASK_S)
        rows = [
            {
                "name": f"node-{node['id']}",
                "role": "node",
                "id": node["id"],
                "az": node["az"],
                "state": state_of_node(node, pages),
            }
            for node in nodes
        ]
        pages[name_of(own)] = own
        rows.append(_row(name_of(own), own))
        rows += self._named(others, pages)
        for cluster in caches:
            rows += [
                {"name": node["id"], "role": "dax", "id": 0, "az": node["az"], "state": node["state"]}
                for node in cluster["nodes"]
            ]
        sample = Sample(self._place, pages, rows, self._view["partitions"], note)
        return await self._gatherer.document(sample, nodes, caches, await self._links.rows())

    async def _metrics_pages(self) -> list[bytes]:
        """The metrics of the nodes that are alive."""
        urls = [f"http://{node['admin']}" for node in self._view["nodes"] if node.get("alive", True)]
        answers = await asyncio.gather(
            *(ask(url, "/metrics", timeout_s=ASK_S) for url in urls), return_exceptions=True
        )
        return [answer for answer in answers if isinstance(answer, bytes)]

    def _named(
        self, answers: dict[str, dict[str, Any]], pages: dict[str, dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Rows of the processes behind `console_sources`; one that is silent keeps the name it last had."""
        rows = []
        for url in self._sources:
            page = answers.get(url)
            if page is not None:
                self._names[url] = name_of(page), page["process"]
                pages[name_of(page)] = page
                rows.append(_row(name_of(page), page))
            else:
                name, process = self._names.get(url, (url.removeprefix("http://"), {"role": "?", "az": ""}))
                rows.append(
                    {"name": name, "role": process["role"], "id": 0, "az": process["az"], "state": DOWN}
                )
        return rows

    async def _look(self) -> str:
        """Ask the control plane where everything is; returns why it has no answer, "" when it had one."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def done(answer: Any) -> None:
            if not future.done():
                future.set_result(answer)

        self._send(ClusterStatus(), done)
        try:
            answer = await asyncio.wait_for(future, ASK_S)
        except TimeoutError:
            return "the control plane does not answer; what it last said is shown"
        if isinstance(answer, ApiError):
            return f"the control plane has no answer: {answer.message}"
        self._view = answer
        return ""


def _row(name: str, page: dict[str, Any]) -> dict[str, Any]:
    process = page["process"]
    return {"name": name, **{key: process[key] for key in ("role", "id", "az", "state")}}


def _place(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in PLACE_MEMBERS if key in entry}


async def _ask(url: str, path: str) -> dict[str, Any] | None:
    try:
        answer = await ask_json(url, path, timeout_s=ASK_S)
    except AskError:
        return None
    return answer if isinstance(answer, dict) else None
