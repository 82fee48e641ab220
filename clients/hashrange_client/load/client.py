"""A small asynchronous client for the calls around a measurement: tables, items, metrics."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast

import orjson

from hashrange_client.load import shape
from hashrange_client.load.http import ProtocolError, Response, ResponseReader
from hashrange_client.load.requests import Head
from hashrange_client.load.settings import LoadError, LoadSettings

TIMEOUT_S = 60.0


class CallError(Exception):
    """The server answered a call with an error."""

    def __init__(self, status: int, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.status = status
        self.type_name = type_name


class Client(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self, settings: LoadSettings) -> None:
        self._head = Head(settings)
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None

    @staticmethod
    async def connect(settings: LoadSettings) -> Client:
        """Open a connection; raises `LoadError` when nobody answers."""
        try:
            context = ssl.create_default_context() if settings.tls else None
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: Client(settings), settings.host, settings.port, ssl=context
            )
            return client
        except OSError as error:
            raise LoadError(
                f"{settings.endpoint} does not answer ({error.strerror or error}); start the server, "
                "or name another with --endpoint"
            ) from error

    async def call(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        """Call an operation and return its answer; raises `CallError` for an error."""
        response = await self._exchange(self._head.request(operation, shape.compact(document)))
        answer = _json_object(response.body)
        if response.status != 200:
            type_name = str(answer.get("__type", f"HTTP {response.status}")).rpartition("#")[2]
            message = str(answer.get("message", answer.get("Message", "")))
            raise CallError(response.status, type_name, message)
        return answer

    async def get(self, path: str) -> Response:
        """A plain GET of a path of the endpoint, such as /metrics."""
        return await self._exchange(f"GET {path} HTTP/1.1\r\nHost: {self._head.host}\r\n\r\n".encode())

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    async def _exchange(self, request: bytes) -> Response:
        if self._transport is None:
            raise LoadError("the server has closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._answer
        except TimeoutError:
            raise LoadError(f"the server has not answered for {TIMEOUT_S:.0f} seconds") from None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's classes derive from none of asyncio's

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            return
        try:
            response = self._reader.feed(data)
        except ProtocolError as error:
            self._answer.set_exception(LoadError(str(error)))
            return
        if response is not None:
            self._answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LoadError("the server closed the connection during a call"))


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
