"""A tiny DynamoDB on asyncio streams, for the load generator's tests: it knows only what load consists of."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

JSON = "application/x-amz-json-1.0"


class FakeDynamo:
    """Tables in memory. `refuse` makes one in so many requests fail, `close_after` ends connections early."""

    def __init__(self, refuse: int = 0, close_after: int = 0, leave_out: bool = False) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self.exists = False
        self.active_after = 2
        self.keys = ["pk", "sk"]
        self._refuse = refuse
        self._close_after = close_after
        self._leave_out = leave_out

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Listen on a free port; the URL."""
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._converse(reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = 0
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            served += 1
            last = bool(self._close_after) and served >= self._close_after
            if lines[0].startswith("GET /metrics"):
                status, answer = 200, b"# HELP x y\nprocess_cpu_seconds_total 1.5\n"
            else:
                self.headers = headers
                status, document = self._answer(headers["x-amz-target"].partition(".")[2], json.loads(body))
                answer = json.dumps(document).encode()
            closing = "Connection: close\r\n" if last else ""
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: {JSON}\r\n{closing}"
                f"Content-Length: {len(answer)}\r\n\r\n".encode()
                + answer
            )
            if last:
                await writer.drain()
                return

    def _answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.calls[operation] += 1
        if self._refuse and self.calls.total() % self._refuse == 0:
            return 400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "No."}
        return getattr(self, f"_{operation}")(request)  # type: ignore[no-any-return]

    def _CreateTable(self, _request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.exists:
            return 400, {"__type": "x#ResourceInUseException", "message": "There."}
        self.exists = True
        return 200, {}

    def _DescribeTable(self, _request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        active = self.calls["DescribeTable"] >= self.active_after
        schema = [{"AttributeName": name} for name in self.keys]
        return 200, {"Table": {"TableStatus": "ACTIVE" if active else "CREATING", "KeySchema": schema}}

    def _GetItem(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        item = self.items.get(key_of(request["Key"]))
        return 200, {} if item is None else {"Item": item}

    def _PutItem(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.items[key_of(request["Item"])] = request["Item"]
        return 200, {}

    def _DeleteItem(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.items.pop(key_of(request["Key"]), None)
        return 200, {}

    def _UpdateItem(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        counter = self.items[key_of(request["Key"])]["n"]
        counter["N"] = str(int(counter["N"]) + int(request["ExpressionAttributeValues"][":one"]["N"]))
        return 200, {}

    def _Query(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        wanted = request["ExpressionAttributeValues"][":p"]["S"]
        found = [item for (partition, _), item in self.items.items() if partition == wanted]
        assert len(found) == 10
        return 200, {"Items": found}

    def _BatchWriteItem(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        ((table, writes),) = request["RequestItems"].items()
        left = writes[-1:] if self._leave_out and len(writes) > 1 else []
        for write in writes[: len(writes) - len(left)]:
            self._PutItem(write["PutRequest"])
        return 200, {"UnprocessedItems": {table: left} if left else {}}


def key_of(item: dict[str, Any]) -> tuple[str, str]:
    """The key of an item or key, as a pair of texts."""
    return item["pk"]["S"], item["sk"]["S"] if "sk" in item else ""
