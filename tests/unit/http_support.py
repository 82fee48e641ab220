"""A real HTTP server on a loopback port, and raw clients: shared by the tests of the HTTP front.

The server runs on uvloop in a thread of its own; tests talk to it through blocking sockets with a timeout, so that a
hanging server fails a test instead of stopping the run.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
import uvloop
from hashrange_router.http import Application, HttpLimits, HttpServer, Request, serve

T = TypeVar("T")

TIMEOUT_S = 20.0


def describe(request: Request) -> None:
    """An application that answers with what it was given."""
    request.reply(200, description(request))


def description(request: Request) -> bytes:
    return orjson.dumps(
        {
            "method": request.method.decode(),
            "target": request.target.decode("latin-1"),
            "headers": {k.decode("latin-1"): v.decode("latin-1") for k, v in request.headers.items()},
            "body": request.body.decode("latin-1"),
        }
    )


class Held:
    """An application that keeps its requests until a test answers them."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._arrived = threading.Condition()

    def __call__(self, request: Request) -> None:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def wait(self, count: int) -> list[Request]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, TIMEOUT_S)
            return list(self.requests)


class Front:
    """A running server: `with Front(app) as front: front.connect()`."""

    def __init__(
        self, app: Application = describe, limits: HttpLimits | None = None, port: int = 0, **options: Any
    ) -> None:
        self._app = app
        self._limits = limits
        self._port = port
        self._options = options
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server: HttpServer

    def __enter__(self) -> Self:
        self._thread.start()
        self.server = self.run(
            lambda: serve(self._app, "127.0.0.1", self._port, limits=self._limits, **self._options)
        )
        self.port = self.call(lambda: self.server.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain(0.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def run(self, coroutine: Callable[[], Any]) -> Any:
        """Runs a coroutine function on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine(), self._loop).result(TIMEOUT_S)

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the server's loop."""

        async def wrapped() -> T:
            return function()

        result: T = self.run(wrapped)
        return result

    def drain(self, timeout_s: float) -> None:
        self.run(lambda: self.server.drain(timeout_s))

    def statistics(self) -> dict[str, int]:
        return self.call(self.server.statistics)

    def eventually(self, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """The statistics once they satisfy the condition."""
        waiting = threading.Event()
        for _ in range(int(TIMEOUT_S / 0.01)):
            statistics = self.statistics()
            if condition(statistics):
                return statistics
            waiting.wait(0.01)
        raise AssertionError(f"never came true: {self.statistics()}")

    def connect(self, **options: Any) -> Client:
        return Client(self.port, **options)

    def exchange(self, data: bytes) -> Reply:
        """One request on a connection of its own."""
        with self.connect() as client:
            client.send(data)
            return client.reply()


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class Client:
    """A raw client connection."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(("127.0.0.1", port))
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        self._buffer += data
        return bool(data)

    def reply(self, head: bool = False) -> Reply:
        """The next reply. `head` says that it answers a HEAD request and has no body."""
        while b"\r\n\r\n" not in self._buffer:
            assert self._more(), f"closed after {self._buffer!r}"
        start, _, rest = self._buffer.partition(b"\r\n\r\n")
        status_line, *lines = start.decode("latin-1").split("\r\n")
        version, status, _ = status_line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers: dict[str, str] = {}
        for line in lines:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        length = 0 if head or int(status) == 100 else int(headers["content-length"])
        self._buffer = rest
        while len(self._buffer) < length:
            assert self._more(), "closed within a body"
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Reply(int(status), headers, body)

    def rest(self) -> bytes:
        """Everything until the server closes."""
        while self._more():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def closed(self) -> bool:
        """Whether the server closes without sending anything more."""
        return self.rest() == b""


def post(body: bytes = b"{}", *lines: str, target: str = "/", version: str = "HTTP/1.1") -> bytes:
    """A POST request as bytes, with the given header lines."""
    head = [f"POST {target} {version}", "Host: localhost", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*chunks: bytes, trailers: bytes = b"", lines: tuple[str, ...] = ()) -> bytes:
    """A chunked POST request as bytes."""
    head = ["POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", *lines]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return "\r\n".join(head).encode() + b"\r\n\r\n" + coded + b"0\r\n" + trailers + b"\r\n"
