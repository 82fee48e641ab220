"""The discovery addresses of cache clusters: a stable place that is there whichever nodes are.

    discovery = Discovery(controls, host, base_port, reuse_port=True)
    discovery.start()                      # follows the documents: listens for every cluster, at its slot's ports
    await discovery.stop()

Clients are given this address once and ask there who the nodes are. A connection is handed to a node that lives: bytes
go both ways untouched, so that TLS and the HTTP door pass as well. A node that cannot be reached is passed over, and
one that has not answered a look at its HTTP door lately is taken only when there is no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any, NamedTuple

from hashrange.model import dax
from hashrange.model.dax import ports_of
from hashrange.runtime.logging import get_logger
from hashrange.wire.documents import ControlDocuments

CONNECT_S = 2.0
WAIT_S = 5.0
"""How long a connection waits for a node: a cluster that starts has none for a second."""
TRY_AGAIN_S = 0.1
PATIENCE_S = 3.0
"""How long a connection is kept while no node takes it: one that starts is about to."""
AGAIN_S = 0.1
LOOK_S = 1.0
LOOK_TIMEOUT_S = 1.0
LISTEN_AGAIN_S = 2.0
BACKLOG = 2_048
"""Connections that wait to be taken: all clients of a cluster come at once when a router was away."""
CONNECTIONS_MAX = 10_000
"""Connections of clients to all discovery addresses of a process."""
BUFFER_BYTES = 256 << 10
WAITING_BYTES_MAX = 64 << 10
"""What a client may send before a node was found; more is left with the kernel."""

HTTP = "http"
WIRE = "wire"

log = get_logger("discovery")


class Target(NamedTuple):
    """Where a connection may go: a node by its id and start, and the address of its door."""

    node: str
    process: str
    host: str
    port: int


class Discovery:
    """The discovery addresses of one process. `base_port` is the first of the ports of cache clusters."""

    def __init__(
        self, controls: ControlDocuments, host: str, base_port: int, *, reuse_port: bool = False
    ) -> None:
        self._controls = controls
        self._host = host
        self._base_port = base_port
        self._reuse_port = reuse_port
        self._listeners: dict[tuple[str, str], tuple[int, asyncio.Server]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._turns = itertools.count()
        self.silent: set[tuple[str, str]] = set()
        """Nodes, by name and start, that have not answered the last look."""
        self.connections: set[_Client] = set()
        self.accepted = self.refused = 0

    def start(self) -> None:
        """Listen for the clusters that there are, and follow those that come and go."""
        for kind in (dax.CLUSTER, dax.NODE):
            self._controls.watch(kind, lambda name: self._changed.set())
        self._changed.set()
        self._task(self._follow())
        self._task(self._watch_nodes())

    async def stop(self) -> None:
        """End all connections and let go of the ports."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, server in self._listeners.values():
            server.close()
        self._listeners.clear()
        for client in list(self.connections):
            client.abort()

    def ports(self) -> dict[tuple[str, str], int]:
        """The ports listened on, by cluster and door."""
        return {key: port for key, (port, _) in self._listeners.items()}

    # ---- following the documents

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self._wanted()
            for key in [key for key, (port, _) in self._listeners.items() if wanted.get(key) != port]:
                self._listeners.pop(key)[1].close()
            missing = [(key, port) for key, port in wanted.items() if key not in self._listeners]
            for key, port in missing:
                await self._listen(key, port)
            if any(key not in self._listeners for key, _ in missing):
                asyncio.get_running_loop().call_later(LISTEN_AGAIN_S, self._changed.set)

    def _wanted(self) -> dict[tuple[str, str], int]:
        found = {}
        for name, stored in self._controls.of(dax.CLUSTER).items():
            cluster = stored["document"]
            if not cluster["Deleting"]:
                ports = ports_of(self._base_port, cluster["Slot"])
                found[name, WIRE] = ports.wire
                found[name, HTTP] = ports.http
        return found

    async def _listen(self, key: tuple[str, str], port: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: _Client(self, *key),
                self._host,
                port,
                reuse_port=self._reuse_port or None,
                backlog=BACKLOG,
            )
        except OSError as error:
            log.warning("a discovery address cannot be had", cluster=key[0], port=port, reason=error.strerror)
            return
        self._listeners[key] = port, server
        log.info("discovery address", cluster=key[0], door=key[1], port=port)

    # ---- which node

    def targets(self, cluster: str, door: str) -> list[Target]:
        """The doors of a cluster's nodes in the order in which they are to be tried: another first each time."""
        prefix = dax.node_name(cluster, "")
        found = []
        for name, stored in sorted(self._controls.of(dax.NODE).items()):
            if name.startswith(prefix):
                node = stored["document"]
                port = node["HttpPort"] if door == HTTP else node["Port"]
                found.append(Target(name, node["Process"], node["Host"], port))
        if not found:
            return []
        turn = next(self._turns) % len(found)
        return sorted(found[turn:] + found[:turn], key=lambda each: (each.node, each.process) in self.silent)

    async def _watch_nodes(self) -> None:
        """Look at every node's HTTP door now and then: a process that stands still takes connections all the same."""
        while True:
            clusters = list(self._controls.of(dax.CLUSTER))
            nodes = [target for cluster in clusters for target in self.targets(cluster, HTTP)]
            answers = await asyncio.gather(*(_answers(node) for node in nodes))
            self.silent = {
                (node.node, node.process) for node, alive in zip(nodes, answers, strict=True) if not alive
            }
            await asyncio.sleep(LOOK_S)

    # ---- connections

    def admit(self, client: _Client) -> bool:
        """Whether one more connection may be had."""
        if len(self.connections) >= CONNECTIONS_MAX:
            self.refused += 1
            return False
        self.accepted += 1
        self.connections.add(client)
        return True

    def hand_over(self, client: _Client, cluster: str, door: str) -> None:
        """Find a node for a connection."""
        self._task(self._connect(client, cluster, door))

    async def _connect(self, client: _Client, cluster: str, door: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while not await self._connected(client, cluster, door):
            if loop.time() >= deadline:
                client.abort()
                return
            await asyncio.sleep(AGAIN_S)

    async def _connected(self, client: _Client, cluster: str, door: str) -> bool:
        """Try each node once; whether nothing is left to be done."""
        loop = asyncio.get_running_loop()
        for target in self.targets(cluster, door):
            if client.closed:
                return True
            try:
                await asyncio.wait_for(
                    loop.create_connection(lambda: _Node(client), target.host, target.port), CONNECT_S
                )
                return True
            except (OSError, TimeoutError) as error:
                self.silent.add((target.node, target.process))
                log.debug("a node cannot be reached", node=target.node, reason=str(error) or "no answer")
        return client.closed

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _End(asyncio.Protocol):
    """One end of a connection that is passed on; `peer` is the other one."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _End | None = None
        self.closed = False
        self._ended = False

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        if self.peer is not None:
            self.peer.end()
        return not self.closed

    def end(self) -> None:
        """The other side sends no more."""
        if self.transport is not None and not self.closed:
            with contextlib.suppress(OSError, RuntimeError):
                self.transport.write_eof()
            if self._ended:
                self.transport.close()

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None and not self.peer.closed:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self.peer is not None and self.peer.transport is not None and not self.peer.closed:
            # Nobody is there any more to whom anything could be passed on.
            self.peer.transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None and not self.closed:
            self.transport.abort()


class _Client(_End):
    """The end at the client: what it says before there is a node is kept, within limits."""

    def __init__(self, owner: Discovery, cluster: str, door: str) -> None:
        super().__init__()
        self._owner = owner
        self._cluster = cluster
        self._door = door
        self._early: list[bytes] = []
        self._early_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]
        _prepare(self.transport)
        if self._owner.admit(self):
            self._owner.hand_over(self, self._cluster, self._door)
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            super().data_received(data)
            return
        self._early.append(data)
        self._early_bytes += len(data)
        if self._early_bytes >= WAITING_BYTES_MAX and self.transport is not None:
            self.transport.pause_reading()

    def joined(self, node: _Node) -> None:
        """A node was found."""
        self.peer = node
        assert node.transport is not None and self.transport is not None
        for data in self._early:
            node.transport.write(data)
        self._early.clear()
        if self._early_bytes >= WAITING_BYTES_MAX:
            self.transport.resume_reading()
        if self._ended:
            node.end()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._owner.connections.discard(self)


class _Node(_End):
    """The end at the node."""

    def __init__(self, client: _Client) -> None:
        super().__init__()
        self.peer = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        _prepare(self.transport)
        client = self.peer
        if isinstance(client, _Client) and not client.closed:
            client.joined(self)
        else:
            self.abort()


def _prepare(transport: Any) -> None:
    transport.set_write_buffer_limits(high=BUFFER_BYTES)


async def _answers(target: Target) -> bool:
    """Whether a node's HTTP door says that it lives."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            writer.write(b"GET /health/live HTTP/1.1\r\nhost: discovery\r\nconnection: close\r\n\r\n")
            return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
