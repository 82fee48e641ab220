"""An HTTP server that answers as a test says, and keeps what it was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Sent:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """What was sent to it; `answer` makes the replies."""

    address: str = ""
    sent: list[Sent] = field(default_factory=list)
    answer: Callable[[Sent], web.Response] = lambda sent: web.Response(status=200, body=b"{}")


@asynccontextmanager
async def http_server() -> AsyncIterator[Server]:
    """A server on a port of its own."""
    server = Server()

    async def handle(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        sent = Sent(request.method, request.raw_path, headers, await request.read())
        server.sent.append(sent)
        return server.answer(sent)

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.address = "{}:{}".format(*runner.addresses[0])
    try:
        yield server
    finally:
        await runner.cleanup()
