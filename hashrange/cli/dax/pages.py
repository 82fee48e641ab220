"""What routers and the embedded server tell of cache clusters over plain HTTP.

For everybody, on the ordinary port:

    GET  /dax/ca.pem      the certificate that DAX clients are to trust (daxs://); made when it is asked for first
    GET  /dax/clusters    {"clusters": [{"name", "wire", "http", "encryption", "nodes": [{"id", "admin", ...}]}]}

For supervisors, on the admin port:

    GET  /dax             {"at": index, "clusters": [ClusterDocument], "nodes": [[cluster, NodeDocument]]}
    POST /dax/gone        {"cluster", "node", "process"}: a process has ended
    POST /dax/forget      {"cluster"}: a cluster that is being deleted has no node left
    POST /dax/settle      {"cluster"}: nodes of a cluster have come or gone
    POST /dax/ensure      {"cluster", "nodes"}: make a cluster of so many nodes unless there is one
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import orjson
from hashrange_router.api.context import RouterContext
from hashrange_router.dax.lifecycle import ensure_cluster, forget_if_gone, gone, settle
from hashrange_router.dax.setting import DaxSite
from hashrange_router.http.request import Request

from hashrange.cli.dax.fleet import View
from hashrange.cli.dax.sending import carry_out
from hashrange.errors import ApiError
from hashrange.model import dax
from hashrange.model.dax import ClusterDocument, NodeDocument
from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange.wire.messages import Transport

JSON = b"application/json"
PEM = b"application/x-pem-file"
CA_PATH = "/dax/ca.pem"
CLUSTERS_PATH = "/dax/clusters"
STATS_PATH = "/dax/stats"
"""A cache node's own (`node_pages`), on its admin port."""

Command = Callable[..., Coroutine[Any, Any, None]]

log = get_logger("dax")


class DaxPages:
    """The pages of one process, and what they do: the `fleet.Documents` of a supervisor in the same process.

    `site` is where cache nodes and discovery addresses are, None where there are none. `index()` grows with every
    change of the documents.
    """

    def __init__(
        self,
        context: RouterContext,
        transport: Transport,
        clock: Clock,
        index: Callable[[], int],
        site: DaxSite | None,
    ) -> None:
        self._context = context
        self._transport = transport
        self._clock = clock
        self._index = index
        self._site = site
        self._commands: dict[bytes, tuple[Command, dict[str, type]]] = {
            b"/dax/gone": (self.gone, {"cluster": str, "node": str, "process": str}),
            b"/dax/forget": (self.forget, {"cluster": str}),
            b"/dax/settle": (self.settle, {"cluster": str}),
            b"/dax/ensure": (self.ensure, {"cluster": str, "nodes": int}),
        }
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- fleet.Documents

    def view(self) -> View:
        """What the documents say now."""
        controls = self._context.controls
        nodes = [
            (name.rpartition("/")[0], cast(NodeDocument, stored["document"]))
            for name, stored in sorted(controls.of(dax.NODE).items())
        ]
        clusters = [
            cast(ClusterDocument, stored["document"])
            for _, stored in sorted(controls.of(dax.CLUSTER).items())
        ]
        return View(self._index(), clusters, nodes)

    async def look(self) -> View | None:
        """What the documents say now."""
        return self.view()

    async def gone(self, cluster: str, node_id: str, process: str) -> None:
        """A process has ended."""
        await carry_out(self._transport, gone(self._context, cluster, node_id, process))

    async def forget(self, cluster: str) -> None:
        """A cluster that is being deleted has no node left."""
        await carry_out(self._transport, forget_if_gone(self._context, cluster))

    async def settle(self, cluster: str) -> None:
        """Nodes of a cluster have come or gone."""
        await carry_out(self._transport, settle(self._context, cluster))

    async def ensure(self, cluster: str, nodes: int) -> None:
        """Make a cluster unless there is one of that name."""
        await carry_out(self._transport, ensure_cluster(self._context, self._site, cluster, nodes))

    # ---- pages

    def public(self, request: Request, path: bytes) -> bool:
        """Answer a GET on the ordinary port; False if it is no page of these."""
        if path == CA_PATH.encode():
            self._later(request, self._certificate(request))
        elif path == CLUSTERS_PATH.encode():
            request.reply(200, orjson.dumps({"clusters": self.clusters()}), JSON)
        else:
            return False
        return True

    def admin(self, request: Request, path: bytes) -> bool:
        """Answer a GET on the admin port; False if it is no page of these."""
        if path != b"/dax":
            return False
        view = self.view()
        request.reply(
            200, orjson.dumps({"at": view.at, "clusters": view.clusters, "nodes": view.nodes}), JSON
        )
        return True

    def command(self, request: Request, path: bytes, document: dict[str, Any]) -> bool:
        """Carry out a POST on the admin port; False if it is no command of these."""
        found = self._commands.get(path)
        if found is None:
            return False
        work, members = found
        arguments = [document.get(name) for name in members]
        if any(each.__class__ is not kind for each, kind in zip(arguments, members.values(), strict=True)):
            request.reply(400, orjson.dumps({"error": f"send {', '.join(members)}"}), JSON)
            return True

        async def carry() -> None:
            await work(*arguments)
            request.reply(200, b"{}", JSON)

        self._later(request, carry())
        return True

    async def _certificate(self, request: Request) -> None:
        # Imported when it is asked for: who speaks no TLS loads no cryptography.
        from hashrange.cli.dax.tls import authority_of

        now_s = self._clock.wall_ms() / 1000
        authority = await authority_of(self._context.controls, self._transport, now_s)
        request.reply(200, authority.certificate.encode(), PEM)

    def clusters(self) -> list[dict[str, Any]]:
        """All clusters with their nodes, as they are told to everybody."""
        view = self.view()
        told = []
        for cluster in view.clusters:
            name = cluster["ClusterName"]
            primary = self._context.controls.get(dax.PRIMARY, name)
            leader = primary["document"]["NodeId"] if primary is not None else None
            entry: dict[str, Any] = {
                "name": name,
                "encryption": cluster["Encryption"],
                "nodes": [
                    {
                        "id": node["NodeId"],
                        "az": node["AvailabilityZone"],
                        "host": node["Host"],
                        "port": node["Port"],
                        "http_port": node["HttpPort"],
                        "admin": node["Admin"],
                        "primary": node["NodeId"] == leader,
                    }
                    for of, node in view.nodes
                    if of == name
                ],
            }
            if self._site is not None:
                host, ports = self._site.host, self._site.ports(cluster["Slot"])
                scheme = "daxs" if cluster["Encryption"] == "TLS" else "dax"
                shown = f"[{host}]" if ":" in host else host
                entry["wire"] = f"{scheme}://{shown}:{ports.wire}"
                entry["http"] = f"http://{shown}:{ports.http}"
            told.append(entry)
        return told

    def _later(self, request: Request, work: Coroutine[Any, Any, None]) -> None:
        """Answer a request when some work is done."""

        async def guarded() -> None:
            try:
                await work
            except ApiError as error:
                _refuse(request, error.status, error.message or error.type_name)
            except Exception:
                log.exception("a page of cache clusters failed")
                _refuse(request, 500, "this is a mistake in hashrange; its log says more")

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _refuse(request: Request, status: int, sentence: str) -> None:
    request.reply(status, orjson.dumps({"error": sentence}), JSON)
