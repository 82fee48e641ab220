"""The web console of a server or a router: puts together what `hashrange_router.console` needs, and listens.

console = await start_console(parts, take)
console.url
await console.stop()
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass

from hashrange_router.api.dispatch import Dispatcher
from hashrange_router.console.calls import Caller
from hashrange_router.console.live import Live, Take
from hashrange_router.console.service import Console, Setting
from hashrange_router.console.sessions import Sessions
from hashrange_router.http.limits import HttpLimits
from hashrange_router.http.server import HttpServer, serve

from hashrange import __version__
from hashrange.cli.screen import endpoint_url
from hashrange.runtime.clock import Clock
from hashrange.runtime.config import ConsoleConfig
from hashrange.runtime.startup import StartupError

SESSION_S = 12 * 3_600
KEY_BYTES = 32
NONCE_BYTES = 12
DRAIN_S = 2.0
LIMITS = HttpLimits(
    body_bytes_max=2 << 20, body_bytes_total_max=64 << 20, connections_max=200, cors_origins=()
)


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """What a console is made of. `place` says what it shows, `credentials` are secrets by access key."""

    config: ConsoleConfig
    dispatcher: Dispatcher
    credentials: dict[str, str]
    region: str
    endpoint: str
    place: str
    clock: Clock


class RunningConsole:
    """A console that listens."""

    def __init__(self, console: Console, live: Live, http: HttpServer, host: str) -> None:
        self.live = live
        self._console = console
        self._http = http
        self._host = host

    @property
    def url(self) -> str:
        """Where browsers find it."""
        return endpoint_url(self._host, self._http.port)

    async def stop(self) -> None:
        """Answer what is under way, then let go of the port."""
        await self._console.stop()
        await self._http.drain(DRAIN_S)


async def start_console(parts: ConsoleParts, take: Take) -> RunningConsole:
    """Listen; StartupError when the port cannot be had. `take` gathers what is shown (`live.py`)."""
    config, clock = parts.config, parts.clock

    def wall_s() -> float:
        return clock.wall_ms() / 1_000

    live = Live(take, clock.monotonic)
    console = Console(
        Setting(
            config.console_edit,
            frozenset((*config.console_names, config.console_host.lower().strip("[]"))),
            f"hashrange-console-{config.console_port}",
            {
                "region": parts.region,
                "endpoint": parts.endpoint,
                "place": parts.place,
                "version": __version__,
            },
        ),
        Sessions(secrets.token_bytes(KEY_BYTES), parts.credentials, SESSION_S),
        live,
        Caller(parts.dispatcher, parts.credentials, parts.region, wall_s, lambda: uuid.uuid4().hex.upper()),
        wall_s,
        clock.monotonic,
        lambda: secrets.token_urlsafe(NONCE_BYTES),
    )
    try:
        http = await serve(console, config.console_host, config.console_port, limits=LIMITS)
    except OSError as error:
        raise StartupError(
            f"the console cannot listen on {config.console_host}, port {config.console_port} "
            f"({error.strerror or error}); choose another one with --console-port or --console-host"
        ) from None
    return RunningConsole(console, live, http, config.console_host)
