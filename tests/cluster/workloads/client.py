"""Clients that tell a failure from an unknown outcome: raw HTTP on asyncio, and boto3 behind the same face.

`call` returns the answer's document. It raises `Refused` when the server said that nothing was done,
`Unsent` when no request left, and `Unknown` when nobody can say whether the operation took effect: a timeout,
a lost connection, a status of 500 or more.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

import orjson
from hashrange_client.load.http import ProtocolError, Response, ResponseReader
from hashrange_client.load.requests import Head
from hashrange_client.load.settings import LoadSettings

CONDITION_FAILED = "ConditionalCheckFailedException"


class Refused(Exception):
    """The server refused: nothing was done. `item` is the stored item of a failed condition, when told."""

    def __init__(self, type_name: str, message: str, item: dict[str, Any] | None = None) -> None:
        super().__init__(f"{type_name}: {message}")
        self.type_name = type_name
        self.item = item


class Unsent(Exception):
    """Nothing was sent: no connection could be made."""


class Unknown(Exception):
    """The operation may have been done or not. `answered`: the server said so itself."""

    def __init__(self, note: str, answered: bool = False) -> None:
        super().__init__(note)
        self.answered = answered


class ApiClient(Protocol):
    """One client: one call at a time."""

    async def ready(self) -> None:
        """Have a connection, or raise `Unsent`."""
        ...

    async def call(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        """One call; raises `Refused`, `Unsent` or `Unknown`."""
        ...

    def close(self) -> None:
        """Give the connection up."""
        ...


class RawClient(asyncio.Protocol):
    """Plain HTTP/1.1 over one connection, made anew after every failure."""

    def __init__(self, endpoint: str, timeout_s: float = 8.0) -> None:
        self._settings = LoadSettings(endpoint=endpoint)
        self._head = Head(self._settings)
        self._timeout_s = timeout_s
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None

    async def ready(self) -> None:
        """Connect if need be; raises `Unsent`."""
        if self._transport is not None:
            return
        self._reader = ResponseReader()
        try:
            async with asyncio.timeout(2.0):
                await asyncio.get_running_loop().create_connection(
                    lambda: self, self._settings.host, self._settings.port
                )
        except (OSError, TimeoutError) as error:
            raise Unsent(str(error)) from error

    async def call(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        """One call; raises `Refused`, `Unsent` or `Unknown`."""
        await self.ready()
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(self._head.request(operation, orjson.dumps(document)))
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._answer
        except TimeoutError:
            self.close()
            raise Unknown("timeout") from None
        if not response.keep_alive:
            self.close()
        return read_answer(response.status, response.body)

    def close(self) -> None:
        """Give the connection up: a late answer must not be taken for that of the next call."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            return
        try:
            response = self._reader.feed(data)
        except ProtocolError as error:
            self._answer.set_exception(Unknown(f"protocol: {error}"))
            self.close()
            return
        if response is not None:
            self._answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unknown("connection lost"))


def read_answer(status: int, body: bytes) -> dict[str, Any]:
    """The document of an answer; raises `Refused` or `Unknown`."""
    try:
        document = orjson.loads(body)
    except ValueError:
        document = {}
    if status == 200:
        return cast(dict[str, Any], document)
    type_name = str(document.get("__type", f"HTTP {status}")).rpartition("#")[2]
    message = str(document.get("message", document.get("Message", "")))
    if status >= 500:
        raise Unknown(f"{status} {type_name}: {message}", answered=True)
    raise Refused(type_name, message, document.get("Item"))


class BotoClient:
    """The same through boto3, on a thread; retries are off, because a retry hides an outcome."""

    def __init__(self, endpoint: str, pool: ThreadPoolExecutor, timeout_s: float = 8.0) -> None:
        import boto3
        from botocore.config import Config

        self._pool = pool
        self._client = boto3.client(
            "dynamodb",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="campaign",
            aws_secret_access_key="campaign",
            config=Config(
                retries={"total_max_attempts": 1},
                connect_timeout=2,
                read_timeout=timeout_s,
                max_pool_connections=1,
                parameter_validation=False,
            ),
        )

    async def ready(self) -> None:
        """boto3 connects by itself."""

    async def call(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        """One call; raises `Refused`, `Unsent` or `Unknown`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call, operation, document)

    def close(self) -> None:
        """Give the connection up."""
        self._client.close()

    def _call(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        from botocore import xform_name
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
        )

        try:
            answer = getattr(self._client, xform_name(operation))(**document)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            details = error.response["Error"]
            body = {"__type": details["Code"], "message": details["Message"]}
            if "Item" in error.response:
                body["Item"] = error.response["Item"]
            return read_answer(status, json.dumps(body).encode())
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise Unsent(str(error)) from error
        except BotoCoreError as error:
            raise Unknown(str(error)) from error
        answer.pop("ResponseMetadata", None)
        return cast(dict[str, Any], answer)
