"""Sums: transfers between the accounts of one item, which must never change what they add up to.

Every transfer also counts the item's version up by one, so that a transfer done twice or lost shows in the
history of the version as well.
"""

from __future__ import annotations

import random
from typing import Any

from tests.cluster.histories.history import ADD, READ, History
from tests.cluster.workloads.client import CONDITION_FAILED, ApiClient, Refused, Unknown

ACCOUNTS = 6
OPENING = 100
TRANSFERS_PER_PURSE = 250
PURSES = 4


class Purses:
    """A few items in use at a time. `wrong` collects sums that are not what was paid in."""

    def __init__(self, table: str, history: History, seed: int, mark: str) -> None:
        self.wrong: list[str] = []
        self.all: list[str] = []
        self._history = history
        self._table = table
        self._random = random.Random(seed)
        self._mark = mark
        self._open: list[str] = []
        self._transfers: dict[str, int] = {}

    async def step(self, client: ApiClient, process: int) -> bool:
        """One transfer or one read; whether it was a write. Raises as `ApiClient.call` does."""
        if len(self._open) < PURSES:
            await self._open_purse(client)
            return True
        purse = self._random.choice(self._open)
        if self._random.random() < 0.4:
            await self.read(client, process, purse, self._random.random() < 0.6)
            return False
        await self._transfer(client, process, purse)
        return True

    def names_in_use(self) -> list[str]:
        """The purses that are operated on now."""
        return list(self._open)

    async def _open_purse(self, client: ApiClient) -> None:
        await client.ready()
        name = f"{self._mark}p{len(self.all)}"
        self.all.append(name)
        accounts = {f"a{n}": {"N": str(OPENING)} for n in range(ACCOUNTS)}
        await client.call("PutItem", {"TableName": self._table, "Item": {"pk": {"S": name}, **accounts}})
        # Only a purse that is certainly there is used: an unknown one stays as it is.
        self._open.append(name)
        self._transfers[name] = 0

    async def read(self, client: ApiClient, process: int, purse: str, consistent: bool) -> None:
        """Read a purse and add it up; a strong read is part of the history."""
        await client.ready()
        document = {"TableName": self._table, "Key": {"pk": {"S": purse}}, "ConsistentRead": consistent}
        operation = self._history.invoke(process, purse, READ) if consistent else None
        try:
            answer = await client.call("GetItem", document)
        except Unknown as unknown:
            if operation is not None:
                self._history.unknown(operation, str(unknown))
            raise
        except Refused:
            if operation is not None:
                self._history.refuse(operation)
            raise
        item = answer.get("Item")
        if operation is not None:
            self._history.ok(operation, version_of(item))
        if item is None:
            if consistent and purse in self._transfers:
                self.wrong.append(f"the purse {purse} is gone")
        else:
            self._add_up(purse, item)

    async def _transfer(self, client: ApiClient, process: int, purse: str) -> None:
        await client.ready()
        source, target = self._random.sample(range(ACCOUNTS), 2)
        operation = self._history.invoke(process, purse, ADD, 1)
        self._transfers[purse] += 1
        if self._transfers[purse] >= TRANSFERS_PER_PURSE and purse in self._open:
            self._open.remove(purse)
        document = {
            "TableName": self._table,
            "Key": {"pk": {"S": purse}},
            "UpdateExpression": f"SET a{source} = a{source} - :x, a{target} = a{target} + :x ADD version :one",
            "ConditionExpression": f"a{source} >= :x",
            "ExpressionAttributeValues": {
                ":x": {"N": str(self._random.randrange(1, 30))},
                ":one": {"N": "1"},
            },
            "ReturnValues": "ALL_NEW",
        }
        try:
            answer = await client.call("UpdateItem", document)
        except Refused as refused:
            self._history.refuse(operation)
            if refused.type_name != CONDITION_FAILED:
                raise
            return
        except Unknown as unknown:
            self._history.unknown(operation, str(unknown))
            if purse in self._open and self._random.random() < 0.2:
                self._open.remove(purse)
            raise
        self._history.ok(operation, version_of(answer["Attributes"]))
        self._add_up(purse, answer["Attributes"])

    def _add_up(self, purse: str, item: dict[str, Any]) -> None:
        total = sum(int(item[f"a{n}"]["N"]) for n in range(ACCOUNTS))
        if total != ACCOUNTS * OPENING:
            self.wrong.append(f"the accounts of {purse} add up to {total}, not to {ACCOUNTS * OPENING}")


def version_of(item: dict[str, Any] | None) -> int | None:
    """How many transfers an item has seen; None for none, as a counter that was never added to."""
    if item is None or "version" not in item:
        return None
    return int(item["version"]["N"])
