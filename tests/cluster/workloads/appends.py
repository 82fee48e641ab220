"""List-append: transactions that append to several lists, and read several, for `tests.cluster.histories.list_check`.

Keys lie in several tables, so that a transaction has several partitions; beside transactions go single appends, whose
answers show the list, and single strong reads. Every value is appended once. Keys change: a list that has
grown long is left alone, so that answers stay small.

A TransactWriteItems whose outcome is not known is sent again with its ClientRequestToken until it is, or until the
client has had enough.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from tests.cluster.histories.lists import APPEND, READ, ListHistory, Op, Transaction, Value
from tests.cluster.workloads.client import ApiClient, Refused, Unknown, Unsent
from tests.cluster.workloads.tokens import EXPECTED, insist, read_together

GROUPS = 40
GROUP = 6
"""Keys that are in use together: transactions that share one key with another shall share several."""
AWAY = 0.1
"""Share of the keys that are taken from any group."""
LENGTH_MAX = 48
KEYS_MAX = 4
LOOK_KEYS = 25


class Appends:
    """The lists of one run. `wrong` collects answers that no correct server gives.

    `torn`: several lists are read one by one, and taken for what a transaction has read.
    """

    def __init__(
        self, tables: list[str], history: ListHistory, seed: int, mark: str = "", *, torn: bool = False
    ) -> None:
        self.wrong: list[str] = []
        self.refused: Counter[str] = Counter()
        self.transactions = 0
        """TransactWriteItems and TransactGetItems that were carried out."""
        self.single = 0
        """UpdateItem and GetItem that were."""
        self.history = history
        self.keys: list[str] = []
        self._tables = tables
        self._torn = torn
        self._random = random.Random(seed)
        self._mark = mark
        self._groups: list[list[str]] = [[] for _ in range(GROUPS)]
        self._group_of: dict[str, int] = {}
        self._appended: Counter[str] = Counter()
        self._value = 0
        self._table_of: dict[str, str] = {}

    async def step(self, client: ApiClient, process: int) -> None:
        """One transaction, or one single operation. Raises as `ApiClient.call` does."""
        await client.ready()
        chance = self._random.random()
        if chance < 0.45:
            await self._append(client, process, self._choose())
        elif chance < 0.75:
            await self.read(client, process, self._choose())
        elif chance < 0.88:
            await self._append_one(client, process, self._choose(1)[0])
        else:
            await self._read_one(client, process, self._choose(1)[0])

    async def look(self, client: ApiClient, process: int, deadline: float) -> None:
        """Read every list there ever was, each until it is answered or time is up; part of the history."""
        for start in range(0, len(self.keys), LOOK_KEYS):
            await insist(
                client,
                lambda start=start: self.read(client, process, self.keys[start : start + LOOK_KEYS]),
                deadline,
            )

    async def read(self, client: ApiClient, process: int, keys: list[str]) -> None:
        """TransactGetItems."""
        transaction = self.history.invoke(process, [(READ, key, None) for key in keys])
        items = await read_together(
            lambda operation, document: self._call(client, transaction, operation, document),
            [self._place(key) for key in keys],
            self._torn,
        )
        lists = {key: list_of(item) for key, item in zip(keys, items, strict=True)}
        self.history.ok(transaction, lists)
        self.transactions += 1

    # One operation each

    async def _append(self, client: ApiClient, process: int, keys: list[str]) -> None:
        ops = [self._op(key) for key in keys]
        transaction = self.history.invoke(process, ops)
        document = {
            "TransactItems": [{"Update": self._update(key, value)} for _, key, value in ops],
            "ClientRequestToken": f"{self._mark}{transaction.id}-{self._random.getrandbits(64):x}",
        }
        await self._call(client, transaction, "TransactWriteItems", document)
        self.history.ok(transaction)
        self.transactions += 1

    async def _append_one(self, client: ApiClient, process: int, key: str) -> None:
        op = self._op(key)
        transaction = self.history.invoke(process, [op, (READ, key, None)])
        document = {**self._update(key, op[2]), "ReturnValues": "ALL_NEW"}
        answer = await self._call(client, transaction, "UpdateItem", document)
        found = list_of(answer["Attributes"])
        if found[-1:] != [op[2]]:
            self.wrong.append(f"an UpdateItem that appended {op[2]} to {key} answered {found[-5:]}")
        self.history.ok(transaction, {key: found})
        self.single += 1

    async def _read_one(self, client: ApiClient, process: int, key: str) -> None:
        transaction = self.history.invoke(process, [(READ, key, None)], lone=True)
        document = {**self._place(key), "ConsistentRead": True}
        answer = await self._call(client, transaction, "GetItem", document)
        self.history.ok(transaction, {key: list_of(answer.get("Item"))})
        self.single += 1

    async def _call(
        self, client: ApiClient, transaction: Transaction, operation: str, document: dict[str, Any]
    ) -> dict[str, Any]:
        """One call, recorded unless it succeeds; one with a token is repeated while its outcome is unknown."""
        try:
            if "ClientRequestToken" in document:
                return await insist(client, lambda: client.call(operation, document))
            return await client.call(operation, document)
        except Refused as refused:
            self.history.refuse(transaction, refused.type_name)
            self.refused[f"{operation} {refused.type_name}"] += 1
            if refused.type_name not in EXPECTED:
                self.wrong.append(f"{operation} was refused: {refused}")
            raise
        except Unknown as unknown:
            self.history.unknown(transaction, str(unknown))
            raise
        except Unsent as unsent:
            self.history.refuse(transaction, str(unsent))
            raise

    # Keys

    def _choose(self, count: int | None = None) -> list[str]:
        at = self._random.randrange(GROUPS)
        keys = self._random.sample(self._group(at), count or self._random.randint(1, KEYS_MAX))
        if self._random.random() < AWAY * len(keys):
            keys[-1] = self._random.choice(self._group((at + 1) % GROUPS))
        return keys

    def _group(self, at: int) -> list[str]:
        """The keys of a group that are in use, with new ones in the place of those that are full."""
        group = self._groups[at]
        while len(group) < GROUP:
            key = f"{self._mark}k{len(self.keys)}"
            self._table_of[key] = self._tables[len(self.keys) % len(self._tables)]
            self._group_of[key] = at
            self.keys.append(key)
            group.append(key)
        return group

    def _op(self, key: str) -> Op:
        self._value += 1
        self._appended[key] += 1
        group = self._groups[self._group_of[key]]
        if self._appended[key] >= LENGTH_MAX and key in group:
            group.remove(key)
        return (APPEND, key, self._value)

    def _place(self, key: str) -> dict[str, Any]:
        return {"TableName": self._table_of[key], "Key": {"pk": {"S": key}}}

    def _update(self, key: str, value: Value | None) -> dict[str, Any]:
        return {
            **self._place(key),
            "UpdateExpression": "SET #l = list_append(if_not_exists(#l, :none), :new)",
            "ExpressionAttributeNames": {"#l": "list"},
            "ExpressionAttributeValues": {":none": {"L": []}, ":new": {"L": [{"N": str(value)}]}},
        }


def list_of(item: dict[str, Any] | None) -> list[Value]:
    """The list that an item holds; empty when there is none."""
    return [int(each["N"]) for each in item["list"]["L"]] if item else []
