"""A wire door over a node in memory, on a thread of its own, for clients that block; and a client of plain bytes.

with running_door() as door:
    door.url                               # dax://127.0.0.1:PORT
    door.call("CreateTable", {...})        # as a program beside the cache
    door.on_loop(lambda: door.store.used_bytes)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from hashrange_dax.cache import CacheStore
from hashrange_dax.codec.cbor import byte_string, decode, integer, map_head, text
from hashrange_dax.codec.scanner import Scanner
from hashrange_dax.door import Endpoint, WireDoor, WireLimits
from hashrange_dax.protocol.handshake import MAGIC_BYTES
from hashrange_dax.tier import Tier
from hashrange_router.api.operations import entries

from hashrange.cli.dax.backend import RouterBackend
from hashrange.errors import ApiError, validation
from hashrange.runtime.clock import ManualClock
from tests.unit.local_support import LocalNode

TIMEOUT_S = 20
T = TypeVar("T")


class MemoryLists:
    """Attribute lists in memory. `later` has the answers wait for the next turn of the event loop."""

    def __init__(self) -> None:
        self.names: dict[int, tuple[str, ...]] = {}
        self.later = False
        self.full = False
        self.hidden: set[int] = set()
        """Ids that are not known here until they have been fetched."""
        self.defined = 0

    def id_of(self, names: tuple[str, ...]) -> int | None:
        return next((number for number, known in self.names.items() if known == names), None)

    def names_of(self, list_id: int) -> tuple[str, ...] | None:
        return None if list_id in self.hidden else self.names.get(list_id)

    def _answer(self, done: Callable[[Any], None], answer: Any) -> None:
        if self.later:
            asyncio.get_running_loop().call_soon(done, answer)
        else:
            done(answer)

    def define(self, names: tuple[str, ...], done: Callable[[int | ApiError], None]) -> None:
        if self.full:
            self._answer(done, ApiError("LimitExceededException", "There are too many attribute lists."))
            return
        self.defined += 1
        self.names[len(self.names) + 2] = names
        self._answer(done, len(self.names) + 1)

    def fetch(self, list_id: int, done: Callable[[tuple[str, ...] | ApiError], None]) -> None:
        self.hidden.discard(list_id)
        names = self.names.get(list_id)
        self._answer(done, names if names is not None else validation("There is no such attribute list."))


class RunningDoor:
    """A door and what is behind it. Everything but `call` and `on_loop` belongs to the loop's thread."""

    def __init__(
        self, secrets: dict[str, str], limits: WireLimits | None, tls: ssl.SSLContext | None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.local = LocalNode()
        self.clock = ManualClock()
        self.context = self.local.context()
        self.sent = 0
        """Messages to the storage."""
        self.backend = RouterBackend(entries(self.context), self.context, self)
        self.store = CacheStore(64 << 20)
        self.tier = Tier(self.backend, None, self.store, self.clock)
        self.lists = MemoryLists()
        self.client = self.local.client()
        self._tls = tls
        self.door = WireDoor(
            self.tier,
            self.backend,
            self.lists,
            lambda: self.endpoints,
            secrets,
            "us-east-1",
            self.clock,
            limits=limits,
        )
        self.endpoints: list[Endpoint] = []
        self.port = 0
        # Signatures are of the machine's own time.
        self.clock.set_wall_ms(self.local.clock.wall_ms())

    def send(self, message: Any, done: Any) -> None:
        """As a transport."""
        self.sent += 1
        self.local.send(message, done)

    async def open(self) -> None:
        self.port = await self.door.listen("127.0.0.1", 0, self._tls)
        address = socket.inet_aton("127.0.0.1")
        self.endpoints = [Endpoint(1, "127.0.0.1", address, self.port, 1, "local-a", 1)]

    @property
    def url(self) -> str:
        return f"{'daxs' if self._tls else 'dax'}://127.0.0.1:{self.port}"

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """What a client beside the cache would be answered."""
        return asyncio.run_coroutine_threadsafe(self.client.call(operation, request), self.loop).result(
            TIMEOUT_S
        )

    def on_loop(self, read: Callable[[], T]) -> T:
        """Run something where everything else runs."""

        async def run() -> T:
            return read()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(TIMEOUT_S)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> Future[None]:
        """Let something run there, without waiting for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def table(
        self, name: str = "tbl", hash_type: str = "S", range_type: str | None = None, **more: Any
    ) -> None:
        """Create a table with the keys `pk` and perhaps `sk`."""
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
        types = [{"AttributeName": "pk", "AttributeType": hash_type}]
        if range_type is not None:
            keys.append({"AttributeName": "sk", "KeyType": "RANGE"})
            types.append({"AttributeName": "sk", "AttributeType": range_type})
        types += more.pop("types", [])
        self.call(
            "CreateTable",
            {
                "TableName": name,
                "KeySchema": keys,
                "AttributeDefinitions": types,
                "BillingMode": "PAY_PER_REQUEST",
                **more,
            },
        )

    def raw(self, user_agent: str = "DaxGoClient-1") -> RawClient:
        """A connection of plain bytes that has shaken hands."""
        client = RawClient(self.port)
        client.send(handshake(user_agent))
        return client


@contextlib.contextmanager
def running_door(
    secrets: dict[str, str] | None = None,
    limits: WireLimits | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[RunningDoor]:
    """A door that listens until the end of the block."""
    made: list[RunningDoor] = []
    ready = threading.Event()
    stop: list[asyncio.Event] = []

    async def serve() -> None:
        door = RunningDoor(secrets or {}, limits, tls)
        await door.open()
        stop.append(asyncio.Event())
        made.append(door)
        ready.set()
        await stop[0].wait()
        await door.door.drain(1)
        door.local.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(TIMEOUT_S)
        yield made[0]
    finally:
        if made:
            made[0].loop.call_soon_threadsafe(stop[0].set)
        thread.join(TIMEOUT_S)
    assert not made[0].local.errors, made[0].local.errors


def handshake(user_agent: str = "DaxGoClient-1", session: bytes = b"\x44abcd") -> bytes:
    """What a client begins with."""
    return MAGIC_BYTES + b"\x00" + session + map_head(1) + text("UserAgent") + text(user_agent) + b"\x00"


def message(method: int, *arguments: bytes) -> bytes:
    """A request."""
    return integer(1) + integer(method) + b"".join(arguments)


class RawClient:
    """A blocking socket. Replies are read as so many CBOR values."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def values(self, count: int) -> list[Any]:
        """The next values that the server sends."""
        data, ends = self._receive(count)
        values, position = [], 0
        for _ in range(count):
            value, position = decode(data, position)
            values.append(value)
        self._buffer = data[ends[count - 1] :]
        return values

    def bytes_of(self, count: int) -> bytes:
        """The same, undecoded."""
        data, ends = self._receive(count)
        self._buffer = data[ends[count - 1] :]
        return data[: ends[count - 1]]

    def _receive(self, count: int) -> tuple[bytes, list[int]]:
        while len(ends := Scanner(1 << 30).scan(self._buffer)) < count:
            received = self.socket.recv(1 << 16)
            assert received, "the server has closed the connection"
            self._buffer += received
        return self._buffer, ends

    def ask(self, method: int, *arguments: bytes, values: int = 2) -> list[Any]:
        """Send a request and read its reply; a reply that is no error begins with an empty array."""
        self.send(message(method, *arguments))
        return self.values(values)

    def closed(self) -> bool:
        """Whether the server has closed the connection without another byte."""
        try:
            return not self._buffer and self.socket.recv(1 << 16) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def key_bytes(name: str) -> bytes:
    """A key that is one text, or the name of a table, as an argument."""
    return byte_string(name.encode())
