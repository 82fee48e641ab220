"""Discovery addresses: connections are handed to nodes that live, and everything goes both ways."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from hashrange.cli.dax import discovery as discoveries
from hashrange.cli.dax.discovery import HTTP, WIRE, Discovery
from hashrange.model import dax
from hashrange.model.dax import ports_of
from hashrange.wire.documents import ControlDocument, ControlDocuments

TIMEOUT_S = 10.0
LARGE = 3 << 20


def free_base() -> int:
    """A base port of which the first slot's ports are free."""
    for base in range(24_000, 32_000, 400):
        try:
            for port in ports_of(base, 0):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("no free ports")


class World:
    """A cluster's documents, its nodes as echo servers that say their name first, and the discovery addresses."""

    def __init__(self) -> None:
        self.controls = ControlDocuments()
        self.base = free_base()
        self.discovery = Discovery(self.controls, "127.0.0.1", self.base)
        self.generation = 0
        self.servers: list[asyncio.Server] = []
        self.writers: list[asyncio.StreamWriter] = []

    def put(self, kind: str, name: str, document: dict[str, Any] | None) -> None:
        self.generation += 1
        after: ControlDocument | None = None
        if document is not None:
            after = {"generation": self.generation, "document": document}
        self.controls.put(kind, name, after)

    def cluster(self, **changes: Any) -> None:
        self.put(dax.CLUSTER, "dax", {"Slot": 0, "Deleting": False, "Managed": True, **changes})

    def document(self, name: str, port: int) -> None:
        found = {"NodeId": name, "Process": name, "Host": "127.0.0.1", "Port": port, "HttpPort": port}
        self.put(dax.NODE, f"dax/{name}", found)

    async def node(self, name: str) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.writers.append(writer)
            first = await reader.read(1 << 16)
            if first.startswith(b"GET /health/live"):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                writer.write(name.encode() + first)
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.servers.append(server)
        self.document(name, server.sockets[0].getsockname()[1])
        return server

    async def listening(self) -> None:
        await until(lambda: set(self.discovery.ports()) == {("dax", WIRE), ("dax", HTTP)})

    async def refused(self) -> bool:
        """Whether a connection is ended without an answer."""
        try:
            return await self.ask() == b""
        except OSError:
            return True

    async def ask(self, data: bytes = b"x", door: int = 0) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.base + 100 * door)
        try:
            writer.write(data)
            writer.write_eof()
            return await reader.read()
        finally:
            writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what the kernel does raises no event
            await asyncio.sleep(0.001)


def run(work: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        world = World()
        world.cluster()
        world.discovery.start()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await work(world)
        finally:
            await world.discovery.stop()
            for server in world.servers:
                server.close()
            for writer in world.writers:
                writer.transport.abort()
            await until(lambda: all(writer.transport.is_closing() for writer in world.writers))
            await asyncio.sleep(0)
        assert world.discovery.connections == set()

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discoveries, "LOOK_S", 0.01)
    monkeypatch.setattr(discoveries, "TRY_AGAIN_S", 0.01)


def test_connections_go_round_the_nodes_and_both_doors_are_open() -> None:
    async def work(world: World) -> None:
        await world.node("a")
        await world.node("b")
        await world.listening()
        answers = {await world.ask() for _ in range(8)}
        assert answers == {b"ax", b"bx"}
        assert await world.ask(door=1) in answers

    run(work)


def test_large_requests_and_replies_pass_whole() -> None:
    async def work(world: World) -> None:
        await world.node("a")
        await world.listening()
        reader, writer = await asyncio.open_connection("127.0.0.1", world.base)
        sent = bytes(range(256)) * (LARGE // 256)

        async def send() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        _, answer = await asyncio.gather(send(), reader.read())
        assert answer == b"a" + sent
        writer.close()

    run(work)


def test_a_node_that_is_gone_is_passed_over() -> None:
    async def work(world: World) -> None:
        (await world.node("a")).close()
        await world.node("b")
        await world.listening()
        assert [await world.ask() for _ in range(4)] == [b"bx"] * 4

    run(work)


def test_a_node_that_stands_still_is_passed_over() -> None:
    async def work(world: World) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
            world.document("a", silent.getsockname()[1])
            await world.node("b")
            await world.listening()
            await until(lambda: world.discovery.silent == {("dax/a", "a")})
            assert [await world.ask() for _ in range(4)] == [b"bx"] * 4

    monkey = pytest.MonkeyPatch()
    monkey.setattr(discoveries, "LOOK_TIMEOUT_S", 0.05)
    try:
        run(work)
    finally:
        monkey.undo()


def test_a_connection_waits_for_the_first_node() -> None:
    async def work(world: World) -> None:
        await world.listening()
        asking = asyncio.create_task(world.ask(b"early"))
        await until(lambda: len(world.discovery.connections) == 1)
        await world.node("a")
        assert await asking == b"aearly"

    run(work)


def test_without_any_node_a_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discoveries, "WAIT_S", 0.05)

    async def work(world: World) -> None:
        await world.listening()
        assert await world.refused()

    run(work)


def test_a_client_that_leaves_ends_the_connection_to_the_node() -> None:
    async def work(world: World) -> None:
        await world.node("a")
        await world.listening()
        reader, writer = await asyncio.open_connection("127.0.0.1", world.base)
        writer.write(b"x")
        assert await reader.read(2) == b"ax"
        writer.transport.abort()
        await until(lambda: not world.discovery.connections)

    run(work)


def test_a_cluster_that_is_being_deleted_has_no_address() -> None:
    async def work(world: World) -> None:
        await world.listening()
        world.cluster(Deleting=True)
        await until(lambda: world.discovery.ports() == {})
        world.cluster(Slot=1)
        await until(lambda: world.discovery.ports().get(("dax", WIRE)) == world.base + 1)

    run(work)


def test_there_is_a_limit_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discoveries, "CONNECTIONS_MAX", 1)

    async def work(world: World) -> None:
        await world.node("a")
        await world.listening()
        _, first = await asyncio.open_connection("127.0.0.1", world.base)
        await until(lambda: len(world.discovery.connections) == 1)
        assert await world.refused()
        assert world.discovery.refused == 1
        first.close()

    run(work)


def test_many_clients_that_come_at_once_are_all_taken() -> None:
    """While this thread connects nobody takes connections: the kernel has to keep them all."""

    async def work(world: World) -> None:
        await world.node("a")
        await world.listening()
        clients = [socket.create_connection(("127.0.0.1", world.base), 1.0) for _ in range(300)]
        await until(lambda: world.discovery.accepted == len(clients))
        for client in clients:
            client.close()
        await until(lambda: not world.discovery.connections)

    run(work)
