"""What a cache node's DAX door is told: its limits, and the nodes of the cluster that clients are to use.

    endpoints = Endpoints(coherence.living, term)
    door = WireDoor(..., endpoints, ..., wire_limits(config))

Clients are told addresses besides host names. Names are looked up in the background and kept: a name that cannot be
looked up now keeps the address it had, and a node that never had one is left out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence

from hashrange_dax.coherence.peers import LiveNode
from hashrange_dax.door import Endpoint, WireLimits

from hashrange.runtime.cluster_config import DaxConfig
from hashrange.runtime.logging import get_logger

LOOK_UP_S = 10.0
PRIMARY = 1
REPLICA = 2

log = get_logger("dax")


def wire_limits(config: DaxConfig) -> WireLimits:
    """The limits of the door that the settings ask for."""
    return WireLimits(
        connections_max=config.max_connections,
        idle_timeout_s=config.idle_timeout_s,
        message_timeout_s=max(config.request_timeout_s, 120.0),
    )


class Endpoints:
    """What clients are told. `living()` are the nodes that this one sees, `session()` what names the primary's term."""

    def __init__(self, living: Callable[[], Sequence[LiveNode]], session: Callable[[], int]) -> None:
        self._living = living
        self._session = session
        self._addresses: dict[str, bytes] = {}
        self._asked: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self) -> list[Endpoint]:
        """The nodes that clients are to use now."""
        found = []
        session = self._session()
        for node in self._living():
            document = node.document
            address = self._address(document["Host"])
            if address is not None:
                found.append(
                    Endpoint(
                        document["Number"],
                        document["Host"],
                        address,
                        document["Port"],
                        PRIMARY if node.primary else REPLICA,
                        document["AvailabilityZone"],
                        session,
                    )
                )
        return found

    def _address(self, host: str) -> bytes | None:
        try:
            return ipaddress.ip_address(host).packed
        except ValueError:
            self._look_up(host)
            return self._addresses.get(host)

    async def learn(self, host: str) -> None:
        """Look a name up now."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            await self._resolve(host)

    def _look_up(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._asked.get(host, -LOOK_UP_S) < LOOK_UP_S:
            return
        self._asked[host] = loop.time()
        task = loop.create_task(self._resolve(host))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _resolve(self, host: str) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            log.warning("a node's host is unknown here", host=host, reason=error.strerror)
            return
        # IPv4 first: every client and every listener has it.
        addresses = sorted(
            (ipaddress.ip_address(each[4][0]) for each in found), key=lambda each: each.version
        )
        if addresses:
            self._addresses[host] = addresses[0].packed
