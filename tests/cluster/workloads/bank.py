"""Bank: transfers between accounts in several tables; every look at all accounts must find the same sum.

There are several banks, each with accounts of its own, so that looks find a moment without a transfer. Most transfers
move money between two accounts, on the condition that there is enough. Some close an account (delete its item) and pay
what it held to another, or open it again with money of another: items that come and go are what a sum is most easily
lost over. An account without an item holds nothing.

A transfer whose outcome is not known is sent again with its ClientRequestToken. One that is done twice leaves the sum
as it is: that is for the lists to find out.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from tests.cluster.workloads.client import ApiClient, Refused
from tests.cluster.workloads.tokens import EXPECTED, insist, read_together

BANKS = 4
ACCOUNTS = 12
OPENING = 100
CHECKED = "ConditionalCheckFailed"


class Bank:
    """The banks of one run. `wrong` collects sums that are not what was paid in, and answers that cannot be.

    `torn`: accounts are looked at one by one.
    """

    def __init__(self, tables: list[str], seed: int, mark: str = "", *, torn: bool = False) -> None:
        self.wrong: list[str] = []
        self.refused: Counter[str] = Counter()
        self.transfers = 0
        self.looks = 0
        self._tables = tables
        self._torn = torn
        self._random = random.Random(seed)
        self._mark = mark
        self._sent = 0
        self._seen: list[dict[str, int]] = [{} for _ in range(BANKS)]
        self._old: set[int] = set()
        """Banks of which something else was seen than there is now."""

    async def open(self, client: ApiClient, deadline: float) -> None:
        """Create all accounts; repeated until `deadline` (monotonic seconds)."""
        for bank in range(BANKS):
            puts = [
                {"Put": {**self._table(account), "Item": {**self._key(bank, account), "money": _n(OPENING)}}}
                for account in range(ACCOUNTS)
            ]
            await insist(
                client, lambda puts=puts: client.call("TransactWriteItems", {"TransactItems": puts}), deadline
            )
            self._seen[bank] = {str(account): OPENING for account in range(ACCOUNTS)}

    async def step(self, client: ApiClient, process: int) -> None:
        """One transfer or one look. Raises as `ApiClient.call` does."""
        await client.ready()
        bank = self._random.randrange(BANKS)
        if bank in self._old or self._random.random() < 0.4:
            await self.look(client, bank)
        else:
            await self._transfer(client, bank)

    async def look_at_all(self, client: ApiClient, deadline: float) -> None:
        """Look at every bank, each until it is answered or time is up."""
        for bank in range(BANKS):
            await insist(client, lambda bank=bank: self.look(client, bank), deadline)

    async def look(self, client: ApiClient, bank: int) -> None:
        """TransactGetItems of all accounts of a bank, which must add up."""
        gets = [{**self._table(account), "Key": self._key(bank, account)} for account in range(ACCOUNTS)]
        items = await read_together(
            lambda operation, document: self._call(client, operation, document), gets, self._torn
        )
        held = {
            str(account): int(item["money"]["N"]) for account, item in enumerate(items) if item is not None
        }
        self._seen[bank] = held
        self._old.discard(bank)
        self.looks += 1
        total = sum(held.values())
        if total != ACCOUNTS * OPENING:
            self.wrong.append(
                f"the accounts of bank {bank} add up to {total}, not to {ACCOUNTS * OPENING}: {held}"
            )
        if any(money < 0 for money in held.values()):
            self.wrong.append(f"an account of bank {bank} is overdrawn: {held}")

    async def _transfer(self, client: ApiClient, bank: int) -> None:
        source, target = self._random.sample(range(ACCOUNTS), 2)
        seen = self._seen[bank]
        here, there = seen.get(str(source)), seen.get(str(target))
        if here is None:
            source, target, here, there = target, source, there, here
        money = self._random.randrange(1, 30)
        if here is not None and there is not None and self._random.random() < 0.15:
            actions = [self._close(bank, source, here), self._receive(bank, target, here)]
        elif there is None:
            actions = [self._pay(bank, source, money), self._reopen(bank, target, money)]
        else:
            actions = [self._pay(bank, source, money), self._receive(bank, target, money)]
        self._random.shuffle(actions)
        self._sent += 1
        token = f"{self._mark}b{self._sent}-{self._random.getrandbits(64):x}"
        document = {"TransactItems": actions, "ClientRequestToken": token}
        try:
            await self._call(client, "TransactWriteItems", document)
        except Refused as refused:
            if CHECKED in str(refused):
                self._old.add(bank)
            raise
        self.transfers += 1

    async def _call(self, client: ApiClient, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        try:
            if "ClientRequestToken" in document:
                return await insist(client, lambda: client.call(operation, document))
            return await client.call(operation, document)
        except Refused as refused:
            self.refused[f"{operation} {refused.type_name}"] += 1
            if refused.type_name not in EXPECTED:
                self.wrong.append(f"{operation} was refused: {refused}")
            raise

    # Actions

    def _table(self, account: int) -> dict[str, str]:
        return {"TableName": self._tables[account % len(self._tables)]}

    def _key(self, bank: int, account: int) -> dict[str, Any]:
        return {"pk": {"S": f"{self._mark}account-{bank}-{account}"}}

    def _pay(self, bank: int, account: int, money: int) -> dict[str, Any]:
        return self._change(bank, account, -money, "money >= :least", {":least": _n(money)})

    def _receive(self, bank: int, account: int, money: int) -> dict[str, Any]:
        return self._change(bank, account, money, "attribute_exists(pk)", {})

    def _change(
        self, bank: int, account: int, money: int, condition: str, values: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "Update": {
                **self._table(account),
                "Key": self._key(bank, account),
                "UpdateExpression": "SET money = money + :x",
                "ConditionExpression": condition,
                "ExpressionAttributeValues": {":x": _n(money), **values},
            }
        }

    def _close(self, bank: int, account: int, money: int) -> dict[str, Any]:
        return {
            "Delete": {
                **self._table(account),
                "Key": self._key(bank, account),
                "ConditionExpression": "money = :held",
                "ExpressionAttributeValues": {":held": _n(money)},
            }
        }

    def _reopen(self, bank: int, account: int, money: int) -> dict[str, Any]:
        return {
            "Put": {
                **self._table(account),
                "Item": {**self._key(bank, account), "money": _n(money)},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }


def _n(number: int) -> dict[str, str]:
    return {"N": str(number)}
