"""Deployment packages in rows of the system table of the pools: `code#<sha256>`, in pieces that fit into items.

    packages = TablePackages(client, now=context.now)
    sha256 = await packages.put(zip_bytes)
    zip_bytes = await packages.get(sha256)

The first piece is written last, and read first: a package whose first piece is there is there as a whole. One that is
no longer needed is not deleted but given a time to expire, so that workers that are starting now still find it, and
so that it goes even if this process dies. Whoever puts the same package again takes that time off its rows.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any

from hashrange.errors import CONDITION_FAILED, ApiError
from hashrange_router.functions.errors import not_found
from hashrange_router.triggers.contracts import TRIGGER_TABLE, LocalClient

CHUNK_BYTES = 380_000
"""Bytes of a piece: an item has at most 400 KB, its names and other attributes included."""
KEPT_S = 3600
"""How long a package is still there once nothing refers to it."""
PARALLEL = 4


class TablePackages:
    """Implements contracts.CodeStore. `now` gives epoch seconds."""

    def __init__(self, client: LocalClient, *, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now

    async def put(self, package: bytes) -> str:
        """Keep a package; returns its SHA-256. Twice is harmless, and takes back its removal."""
        code = await asyncio.to_thread(lambda: sha256(package).hexdigest())
        count = max(1, -(-len(package) // CHUNK_BYTES))
        first = await self._piece(code, 0)
        if first is not None and "expires" not in first:
            return code
        await _in_parallel([self._write(code, number, count, package) for number in range(1, count)])
        await self._write(code, 0, count, package)
        return code

    async def get(self, sha256: str) -> bytes:
        """The zip file. ResourceNotFoundException when it is not there."""
        first = await self._piece(sha256, 0)
        if first is None:
            raise not_found(f"The deployment package {sha256} is not there")
        numbers = range(1, int(first["count"]["N"]))
        rest = await _in_parallel([self._piece(sha256, number) for number in numbers])
        pieces = [first, *rest]
        if any(piece is None for piece in pieces):
            raise not_found(f"The deployment package {sha256} is not there")
        return b"".join(b64decode(piece["data"]["B"]) for piece in pieces)

    async def remove(self, sha256: str) -> None:
        """Let a package expire that no function refers to any more."""
        first = await self._piece(sha256, 0)
        if first is None:
            return
        expires = {"N": str(int(self._now()) + KEPT_S)}
        for number in range(int(first["count"]["N"])):
            await self._change(sha256, number, "SET expires = :expires", {":expires": expires})

    async def keep(self, sha256: str) -> None:
        """Take back a removal, if there was one: of a package that turns out to be referred to."""
        first = await self._piece(sha256, 0)
        if first is None or "expires" not in first:
            return
        for number in range(int(first["count"]["N"])):
            await self._change(sha256, number, "REMOVE expires", None)

    async def _piece(self, code: str, number: int) -> dict[str, Any] | None:
        request = {"TableName": TRIGGER_TABLE, "Key": _key(code, number), "ConsistentRead": True}
        reply = await self._client.call("GetItem", request)
        return reply.get("Item")

    async def _write(self, code: str, number: int, count: int, package: bytes) -> None:
        data = package[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        item = {
            **_key(code, number),
            "data": {"B": b64encode(data).decode()},
            "count": {"N": str(count)},
            "size": {"N": str(len(package))},
        }
        await self._client.call("PutItem", {"TableName": TRIGGER_TABLE, "Item": item})

    async def _change(self, code: str, number: int, update: str, values: dict[str, Any] | None) -> None:
        request: dict[str, Any] = {
            "TableName": TRIGGER_TABLE,
            "Key": _key(code, number),
            "UpdateExpression": update,
            # Not to bring back a row that has expired meanwhile.
            "ConditionExpression": "attribute_exists(pk)",
        }
        if values is not None:
            request["ExpressionAttributeValues"] = values
        try:
            await self._client.call("UpdateItem", request)
        except ApiError as error:
            if error.type_name != CONDITION_FAILED:
                raise


def _key(code: str, number: int) -> dict[str, Any]:
    return {"pk": {"S": f"code#{code}"}, "sk": {"S": f"{number:05d}"}}


async def _in_parallel(steps: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Run steps, a few at the same time: a large package is not to fill all queues. Results in their order."""
    turns = asyncio.Semaphore(PARALLEL)

    async def run(step: Coroutine[Any, Any, Any]) -> Any:
        async with turns:
            return await step

    return await asyncio.gather(*(run(step) for step in steps))
