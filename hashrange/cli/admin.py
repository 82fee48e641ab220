"""The admin port of a node or a router: health, metrics, the state of the cluster, and commands to it.

    GET  /health/live            200 while the process runs
    GET  /health/ready           200 when it can serve, else 503 and why not
    GET  /metrics                Prometheus text
    GET  /top                    what `hashrange top` shows of this process, as JSON (`hashrange.cli.top.page`)
    GET  /cluster                the control plane's view, as JSON
    POST /cluster/<verb>         a command to the control plane; arguments as JSON; the answer tells what happens
    GET  /dax, POST /dax/<verb>  cache clusters, for their supervisor (`hashrange.cli.dax.pages`)
    GET  /regions                links to other regions, as JSON (`hashrange.cli.regions.compose`)
    GET  /faults, POST /faults   {"block": [node ids]}: whose frames are dropped (where faults may be injected);
                                 {"block_regions": [names]}: regions that nothing is sent to

It belongs on an address that only operators reach: nobody has to sign. What changes something insists on
`Content-Type: application/json`, which no web page can send here unasked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from hashrange_router.http.limits import HttpLimits
from hashrange_router.http.request import Request
from hashrange_router.http.server import HttpServer, serve

from hashrange.errors import ApiError
from hashrange.runtime.telemetry import CONTENT_TYPE
from hashrange.wire.cluster import ClusterCommand, ClusterStatus
from hashrange.wire.messages import Done

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"
VERBS = frozenset(("split", "move", "drain", "undrain", "decommission", "balance"))
DRAIN_S = 2.0

Send = Callable[[Any, Done], None]
"""Sends a message to the control plane's leader."""


@dataclass
class Faults:
    """The nodes and the regions cut off from this process. `block` makes the peers and the server drop the frames of
    nodes, `block_regions` the links what they would send.
    """

    block: Callable[[set[int]], None]
    block_regions: Callable[[set[str]], None] = lambda regions: None
    blocked: frozenset[int] = frozenset()
    blocked_regions: frozenset[str] = frozenset()

    def set_nodes(self, nodes: set[int]) -> None:
        """Cut off exactly these nodes; an empty set heals everything."""
        self.block(nodes)
        self.blocked = frozenset(nodes)

    def set_regions(self, regions: set[str]) -> None:
        """Cut off exactly these regions; an empty set heals everything."""
        self.block_regions(regions)
        self.blocked_regions = frozenset(regions)

    def change(self, document: dict[str, Any]) -> str:
        """Do what a command says of nodes, regions or both; why it cannot be done, or ""."""
        nodes, regions = document.get("block"), document.get("block_regions")
        if (nodes is None and regions is None) or not _list_of(int, nodes) or not _list_of(str, regions):
            return 'send {"block": [node ids]} or {"block_regions": [names]}'
        if nodes is not None:
            self.set_nodes(set(nodes))
        if regions is not None:
            self.set_regions(set(regions))
        return ""

    def document(self) -> dict[str, Any]:
        """What is cut off now."""
        return {"block": sorted(self.blocked), "block_regions": sorted(self.blocked_regions)}


def _list_of(kind: type, value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(type(each) is kind for each in value))


class MorePages(Protocol):
    """Further pages of a process."""

    def admin(self, request: Request, path: bytes) -> bool:
        """Answer a GET; False if there is no such page."""
        ...

    def command(self, request: Request, path: bytes, document: dict[str, Any]) -> bool:
        """Carry out a POST; False if there is no such command."""
        ...


class Chained:
    """Further pages of several parts."""

    def __init__(self, *parts: MorePages) -> None:
        self._parts = parts

    def admin(self, request: Request, path: bytes) -> bool:
        """Let the first that has the page answer."""
        return any(part.admin(request, path) for part in self._parts)

    def command(self, request: Request, path: bytes, document: dict[str, Any]) -> bool:
        """Let the first that has the command carry it out."""
        return any(part.command(request, path, document) for part in self._parts)


class AdminPort:
    """The pages of one process. `not_ready` gives the reason why it cannot serve, "" when it can."""

    def __init__(
        self,
        not_ready: Callable[[], str],
        metrics: Callable[[], bytes],
        send: Send,
        faults: Faults | None = None,
        top: Callable[[], bytes] = lambda: b"{}",
        more: MorePages | None = None,
    ) -> None:
        self._not_ready = not_ready
        self._metrics = metrics
        self._top = top
        self._send = send
        self._faults = faults
        self._more = more
        self._http: HttpServer | None = None

    async def listen(self, host: str, port: int) -> None:
        """Begin to answer; raises OSError when the port cannot be had."""
        limits = HttpLimits(
            body_bytes_max=1 << 20, body_bytes_total_max=64 << 20, connections_max=200, cors_origins=()
        )
        self._http = await serve(self, host, port, limits=limits)

    @property
    def port(self) -> int:
        """The port listened on."""
        if self._http is None:
            raise RuntimeError("the admin port is not listening")
        return self._http.port

    async def close(self) -> None:
        """Answer what is under way, then let go of the port."""
        if self._http is not None:
            await self._http.drain(DRAIN_S)

    def __call__(self, request: Request) -> None:
        """Answer one request."""
        path = request.target.partition(b"?")[0]
        if request.method in (b"GET", b"HEAD"):
            self._get(path, request)
        elif request.method == b"POST":
            content_type = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
            if content_type != JSON:
                _refuse(request, 415, "send Content-Type: application/json")
            else:
                self._post(path, request)
        else:
            _refuse(request, 405, "use GET or POST")

    def _get(self, path: bytes, request: Request) -> None:
        if path == b"/health/live":
            request.reply(200, b"live\n", TEXT)
        elif path == b"/health/ready":
            reason = self._not_ready()
            request.reply(503 if reason else 200, (reason or "ready").encode() + b"\n", TEXT)
        elif path == b"/metrics":
            request.reply(200, self._metrics(), CONTENT_TYPE.encode())
        elif path == b"/top":
            request.reply(200, self._top(), JSON)
        elif path == b"/cluster":
            self._send(ClusterStatus(), lambda answer: _answer(request, answer))
        elif path == b"/faults" and self._faults is not None:
            request.reply(200, orjson.dumps(self._faults.document()), JSON)
        elif self._more is None or not self._more.admin(request, path):
            _refuse(request, 404, "there is no such page")

    def _post(self, path: bytes, request: Request) -> None:
        try:
            document = orjson.loads(request.body or b"{}")
        except orjson.JSONDecodeError as error:
            return _refuse(request, 400, f"the body is not JSON: {error}")
        if not isinstance(document, dict):
            return _refuse(request, 400, "the body must be a JSON object")
        verb = path.removeprefix(b"/cluster/").decode("latin-1")
        if path.startswith(b"/cluster/") and verb in VERBS:
            self._send(ClusterCommand(verb, document), lambda answer: _answer(request, answer))
        elif path == b"/faults" and self._faults is not None:
            wrong = self._faults.change(document)
            if wrong:
                return _refuse(request, 400, wrong)
            request.reply(200, orjson.dumps(self._faults.document()), JSON)
        elif self._more is None or not self._more.command(request, path, document):
            _refuse(request, 404, "there is no such command")
        return None


def _answer(request: Request, answer: Any) -> None:
    if isinstance(answer, ApiError):
        _refuse(request, answer.status, answer.message or answer.type_name)
    else:
        request.reply(200, orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS), JSON)


def _refuse(request: Request, status: int, sentence: str) -> None:
    request.reply(status, orjson.dumps({"error": sentence}), JSON)
