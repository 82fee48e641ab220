"""Random changes of a table, until so many have been acknowledged."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any

from tests.cluster.workloads.client import RawClient, Refused, Unknown, Unsent

SOURCE = "Source"


class Changes:
    """`clients` connections, each with items of its own: puts, updates, deletions, batches, transactions, no-ops.

    There are no more than `rate` changes a second, so that faults find it at work.
    """

    def __init__(
        self, endpoint: str, seed: int, wanted: int, rate: float, clients: int = 8, items: int = 60
    ) -> None:
        self.acknowledged = 0
        self.unknown = 0
        self._endpoint = endpoint
        self._seed = seed
        self._wanted = wanted
        self._rate = rate
        self._began = 0.0
        self._clients = clients
        self._items = items
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self.failed: BaseException | None = None

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether all changes have been made."""
        return not self._thread.is_alive()

    async def _all(self) -> None:
        self._began = time.monotonic()
        try:
            await asyncio.gather(*(self._one(number) for number in range(self._clients)))
        except BaseException as error:
            self.failed = error
            raise

    async def _one(self, number: int) -> None:
        rng = random.Random(self._seed * 1000 + number)
        client = RawClient(self._endpoint)
        count = 0
        while self.acknowledged < self._wanted:
            count += 1
            ahead_s = self.acknowledged / self._rate - (time.monotonic() - self._began)
            if ahead_s > 0:
                await asyncio.sleep(min(ahead_s, 0.1))
            operation, document, changes = self._next(rng, number, count)
            try:
                await client.call(operation, document)
                self.acknowledged += changes
            except Refused:
                pass
            except Unknown:
                self.unknown += 1
            except Unsent:
                await asyncio.sleep(0.1)
        client.close()

    def _next(self, rng: random.Random, number: int, count: int) -> tuple[str, dict[str, Any], int]:
        """An operation, and how many changes it makes."""
        key = {"pk": {"S": f"{number}-{rng.randrange(self._items)}"}}
        kind = rng.random()
        if kind < 0.4:
            return "PutItem", {"TableName": SOURCE, "Item": {**key, "v": {"N": str(count)}}}, 1
        if kind < 0.7:
            update = {
                "TableName": SOURCE,
                "Key": key,
                "UpdateExpression": "SET u = :u ADD n :one",
                "ExpressionAttributeValues": {":u": {"S": f"{number}/{count}"}, ":one": {"N": "1"}},
            }
            return "UpdateItem", update, 1
        if kind < 0.8:
            return "DeleteItem", {"TableName": SOURCE, "Key": key}, 1
        chosen = rng.sample(range(self._items), 3)
        items = [{"pk": {"S": f"{number}-{each}"}, "b": {"N": str(count)}} for each in chosen]
        if kind < 0.9:
            puts = [{"PutRequest": {"Item": item}} for item in items]
            return "BatchWriteItem", {"RequestItems": {SOURCE: puts}}, 3
        actions = [{"Put": {"TableName": SOURCE, "Item": item}} for item in items]
        return "TransactWriteItems", {"TransactItems": actions}, 3
