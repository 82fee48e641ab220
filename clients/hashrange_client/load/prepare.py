"""Table and items for a measurement: made when missing, left alone when a run before has made them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from hashrange_client.load.client import CallError, Client
from hashrange_client.load.documents import shape_of
from hashrange_client.load.settings import LoadError, LoadSettings

BATCH_ITEMS = 25
WRITERS = 8
ACTIVE_POLL_S = 0.1
ACTIVE_TIMEOUT_S = 60.0
RETRY_PAUSE_S = 0.05
RETRIES_MAX = 200

Progress = Callable[[int], None]
"""Told how many items have been written so far."""


async def prepare(settings: LoadSettings, progress: Progress | None = None) -> bool:
    """Create the table and load the items; True when anything had to be loaded.

    Idempotent: an item outside the range of the workload notes how many items of what size are there. After a workload
    that deletes they are loaded anew.
    """
    settings.check()
    client = await Client.connect(settings)
    try:
        await ensure_table(client, settings.table, settings)
        loaded = await _is_loaded(client, settings)
        if not loaded:
            await _load(settings, progress)
        if any(act == "delete" for act, _ in settings.plan.acts):
            # The items are not all there afterwards: the next run loads them again.
            await client.call("DeleteItem", {"TableName": settings.table, "Key": _marker_key(settings)})
        elif not loaded:
            await client.call("PutItem", {"TableName": settings.table, "Item": _marker(settings)})
        return not loaded
    except CallError as error:
        raise LoadError(f"preloading failed: {error}") from error
    finally:
        client.close()


async def ensure_table(client: Client, table: str, settings: LoadSettings | None = None) -> None:
    """Create the table, for the items of `settings`, unless it is there, and wait until it is ACTIVE."""
    definition = shape_of(settings or LoadSettings()).table_definition(table)
    try:
        await client.call("CreateTable", definition)
    except CallError as error:
        if error.type_name != "ResourceInUseException":
            raise
    for _ in range(round(ACTIVE_TIMEOUT_S / ACTIVE_POLL_S)):
        description = (await client.call("DescribeTable", {"TableName": table}))["Table"]
        if description["TableStatus"] == "ACTIVE":
            _check_keys(table, description, definition)
            return
        await asyncio.sleep(ACTIVE_POLL_S)
    raise LoadError(f"table {table} has not become ACTIVE within {ACTIVE_TIMEOUT_S:.0f} seconds")


def _check_keys(table: str, description: dict[str, Any], definition: dict[str, Any]) -> None:
    names = [part["AttributeName"] for part in description["KeySchema"]]
    wanted = [part["AttributeName"] for part in definition["KeySchema"]]
    if names != wanted:
        raise LoadError(
            f"table {table} has other keys than {' and '.join(wanted)}; name a table of its own with --table"
        )


def _marker_key(settings: LoadSettings) -> dict[str, Any]:
    """Where preloading notes what it has loaded; outside the keys of items."""
    schema = shape_of(settings).table_definition("")["KeySchema"]
    marks = {"pk": {"S": "~preload0"}, "sk": {"S": "s0"}}
    return {part["AttributeName"]: marks[part["AttributeName"]] for part in schema}


def _marker(settings: LoadSettings) -> dict[str, Any]:
    counts = {"items": {"N": str(settings.items)}, "item_bytes": {"N": str(settings.item_bytes)}}
    return {**_marker_key(settings), **counts}


async def _is_loaded(client: Client, settings: LoadSettings) -> bool:
    request = {"TableName": settings.table, "Key": _marker_key(settings), "ConsistentRead": True}
    found = (await client.call("GetItem", request)).get("Item")
    if not found:
        return False
    same_size = int(found["item_bytes"]["N"]) == settings.item_bytes
    return same_size and int(found["items"]["N"]) >= settings.items


async def _load(settings: LoadSettings, progress: Progress | None) -> None:
    written = 0
    batches = _batches(settings)

    async def write_batches() -> None:
        nonlocal written
        client = await Client.connect(settings)
        try:
            for batch in batches:  # one iterator for all writers
                await _write(client, settings.table, batch)
                written += len(batch)
                if progress is not None:
                    progress(written)
        finally:
            client.close()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(write_batches())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _batches(settings: LoadSettings) -> Iterator[list[dict[str, Any]]]:
    items = shape_of(settings)
    for start in range(0, settings.items, BATCH_ITEMS):
        numbers = range(start, min(start + BATCH_ITEMS, settings.items))
        yield [{"PutRequest": {"Item": items.item(number, settings.item_bytes)}} for number in numbers]


async def _write(client: Client, table: str, batch: list[dict[str, Any]]) -> None:
    """Write a batch, and what the server left out of it until nothing is left."""
    for _ in range(RETRIES_MAX):
        answer = await client.call("BatchWriteItem", {"RequestItems": {table: batch}})
        left = answer.get("UnprocessedItems", {}).get(table)
        if not left:
            return
        batch = left
        await asyncio.sleep(RETRY_PAUSE_S)
    raise LoadError("the server keeps refusing items of a batch; preload more slowly or raise the capacity")
