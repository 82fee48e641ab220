"""What clients of the transaction workload ask for: requests of the API, and what they mean to the checkers.

Three kinds of items lie in every table, named by their first letter:

    l   lists: unique numbers are appended, in transactions or singly, and read
    t   tokens: put if they are absent, with a unique number, and deleted if they hold that number: an item that comes
        back after it was deleted is seen
    a   accounts: amounts move between them; an account may be closed (deleted) and comes back with its next payment.
        The sum of all never changes

An `Intent` is one request with its `Step`s. A step that reads tells what must have been there if the request was
carried out; steps of transactions may check that a list is still what the client saw last.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

TABLES = ("TradesA", "TradesB")
INDEX = "ByNumber"
LISTS = 14
TOKENS = 6
ACCOUNTS = 4
"""Of each kind, over all tables."""

OPENING = 100
TOTAL = OPENING * ACCOUNTS

APPEND = "append"
READ = "read"
PUT_TOKEN = "put token"
DELETE_TOKEN = "delete token"
READ_TOKEN = "read token"
READ_SUM = "read sum"

Key = tuple[str, str]
"""Table and partition key."""


@dataclass
class Step:
    """One item's part in a request. `value`: what is appended, put, deleted, or has to be there."""

    kind: str
    key: Key
    value: Any = None


@dataclass
class Intent:
    """A request. `repeatable`: it carries a token, and may be sent again while its outcome is not known."""

    operation: str
    request: dict[str, Any]
    steps: list[Step | None] = field(default_factory=list)
    """One for each action of the request, None for those that only the sum is about."""
    repeatable: bool = False


def table_requests(indexed: bool = False) -> list[dict[str, Any]]:
    """What creates the tables; `indexed`: with indexes of tokens and accounts, one global, one local."""
    requests: list[dict[str, Any]] = [
        {
            "TableName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        }
        for name in TABLES
    ]
    requests[1]["KeySchema"].append({"AttributeName": "sk", "KeyType": "RANGE"})
    requests[1]["AttributeDefinitions"].append({"AttributeName": "sk", "AttributeType": "S"})
    if indexed:
        requests[1]["AttributeDefinitions"].append({"AttributeName": "v", "AttributeType": "N"})
        requests[1]["LocalSecondaryIndexes"] = [
            {
                "IndexName": INDEX,
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "v", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ]
        requests[0]["AttributeDefinitions"].append({"AttributeName": "v", "AttributeType": "N"})
        requests[0]["GlobalSecondaryIndexes"] = [
            {
                "IndexName": INDEX,
                "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ]
    return requests


def _keys(letter: str, count: int) -> list[Key]:
    return [(TABLES[number % len(TABLES)], f"{letter}{number}") for number in range(count)]


def opening() -> Intent:
    """The transaction that opens all accounts."""
    puts = [
        {
            "Put": {
                "TableName": table,
                "Item": {**_key_of((table, name)), "v": {"N": str(OPENING)}},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }
        for table, name in _keys("a", ACCOUNTS)
    ]
    return Intent("TransactWriteItems", {"TransactItems": puts, "ClientRequestToken": "opening"}, [], True)


class Intents:
    """Thinks of requests. `seen` is what the client saw last in each list and token."""

    def __init__(self, rng: random.Random, client: int) -> None:
        self._rng = rng
        self._client = client
        self._next = client * 100_000
        self.lists = _keys("l", LISTS)
        self.tokens = _keys("t", TOKENS)
        self.accounts = _keys("a", ACCOUNTS)
        self.seen: dict[Key, list[int]] = {}
        self.held: dict[Key, int | None] = {}
        self.balances: dict[Key, int] = {}

    def next(self) -> Intent:
        """The next request of this client."""
        chance = self._rng.random()
        if chance < 0.52:
            return self._write()
        if chance < 0.66:
            return self.read_lists(self._pick(self.lists, 4))
        if chance < 0.78:
            return self.read_accounts()
        if chance < 0.84:
            return self._append_alone()
        if chance < 0.90:
            return self.get(self._rng.choice(self.lists), READ)
        if chance < 0.95:
            return self._token_alone()
        return self.get(self._rng.choice(self.tokens), READ_TOKEN)

    def _unique(self) -> int:
        self._next += 1
        return self._next

    def _pick(self, keys: list[Key], most: int) -> list[Key]:
        return self._rng.sample(keys, min(len(keys), self._rng.randint(1, most)))

    # ---- transactions that write

    def _write(self) -> Intent:
        """One to four actions, of one kind or mixed."""
        parts = [part for part in (self._appends, self._moves, self._trades) if self._rng.random() < 0.45]
        actions: list[tuple[dict[str, Any], Step | None]] = []
        for part in parts or [self._appends]:
            actions += part()
        self._rng.shuffle(actions)
        request: dict[str, Any] = {"TransactItems": [action for action, _ in actions]}
        repeatable = self._rng.random() < 0.75
        if repeatable:
            request["ClientRequestToken"] = f"c{self._unique()}"
        return Intent("TransactWriteItems", request, [step for _, step in actions], repeatable)

    def _appends(self) -> list[tuple[dict[str, Any], Step | None]]:
        found: list[tuple[dict[str, Any], Step | None]] = []
        for key in self._pick(self.lists, 3):
            if self._rng.random() < 0.25 and key in self.seen:
                found.append(self._check(key))
            else:
                value = self._unique()
                found.append(({"Update": append_request(key, value)}, Step(APPEND, key, value)))
        return found

    def _check(self, key: Key) -> tuple[dict[str, Any], Step | None]:
        """The list is still as this client saw it."""
        seen = self.seen[key]
        action: dict[str, Any] = {
            **_item(key),
            "ConditionExpression": "l = :seen" if seen else "attribute_not_exists(l)",
        }
        if seen:
            action["ExpressionAttributeValues"] = {":seen": numbers(seen)}
        return {"ConditionCheck": action}, Step(READ, key, list(seen))

    def _moves(self) -> list[tuple[dict[str, Any], Step | None]]:
        """An amount from one account to another, or all of it and the account is closed."""
        source, target = self._rng.sample(self.accounts, 2)
        balance = self.balances.get(source, 0)
        if balance > 0 and self._rng.random() < 0.4:
            amount = balance
            take = {
                "Delete": {
                    **_item(source),
                    "ConditionExpression": "v = :n",
                    "ExpressionAttributeValues": {":n": {"N": str(amount)}},
                }
            }
        else:
            amount = self._rng.randint(1, 20)
            take = {
                "Update": {
                    **_item(source),
                    "UpdateExpression": "ADD v :less",
                    "ConditionExpression": "v >= :n",
                    "ExpressionAttributeValues": {":n": {"N": str(amount)}, ":less": {"N": str(-amount)}},
                }
            }
        give = {
            "Update": {
                **_item(target),
                "UpdateExpression": "ADD v :n",
                "ExpressionAttributeValues": {":n": {"N": str(amount)}},
            }
        }
        return [(take, None), (give, None)]

    def _trades(self) -> list[tuple[dict[str, Any], Step | None]]:
        """Tokens are put if absent, and deleted if they hold what this client saw."""
        found: list[tuple[dict[str, Any], Step | None]] = []
        for key in self._pick(self.tokens, 2):
            step = self._token_step(key)
            name = "Put" if step.kind == PUT_TOKEN else "Delete"
            action = {**token_request(step), "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
            found.append(({name: action}, step))
        return found

    def _token_step(self, key: Key) -> Step:
        held = self.held.get(key)
        if held is None:
            return Step(PUT_TOKEN, key, self._unique())
        return Step(DELETE_TOKEN, key, held)

    # ---- everything else

    def _append_alone(self) -> Intent:
        key, value = self._rng.choice(self.lists), self._unique()
        return Intent("UpdateItem", append_request(key, value), [Step(APPEND, key, value)])

    def _token_alone(self) -> Intent:
        step = self._token_step(self._rng.choice(self.tokens))
        operation = "PutItem" if step.kind == PUT_TOKEN else "DeleteItem"
        request = {**token_request(step), "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        return Intent(operation, request, [step])

    def get(self, key: Key, kind: str) -> Intent:
        """A strongly consistent read of one item."""
        return Intent("GetItem", {**_item(key), "ConsistentRead": True}, [Step(kind, key)])

    def read_lists(self, keys: list[Key]) -> Intent:
        """Several lists at once."""
        return _transact_get(keys, [Step(READ, key) for key in keys])

    def read_accounts(self) -> Intent:
        """All accounts at once, and sometimes a list and a token besides."""
        steps = [Step(READ_SUM, key) for key in self.accounts]
        if self._rng.random() < 0.3:
            steps.append(Step(READ, self._rng.choice(self.lists)))
            steps.append(Step(READ_TOKEN, self._rng.choice(self.tokens)))
        return _transact_get([step.key for step in steps], steps)


def _key_of(key: Key) -> dict[str, Any]:
    table, name = key
    attributes = {"pk": {"S": name}}
    return attributes if table == TABLES[0] else {**attributes, "sk": {"S": "only"}}


def _item(key: Key) -> dict[str, Any]:
    return {"TableName": key[0], "Key": _key_of(key)}


def _transact_get(keys: list[Key], steps: list[Step]) -> Intent:
    return Intent("TransactGetItems", {"TransactItems": [{"Get": _item(key)} for key in keys]}, list(steps))


def append_request(key: Key, value: int) -> dict[str, Any]:
    """The members of an update that appends a number to a list."""
    return {
        **_item(key),
        "UpdateExpression": "SET l = list_append(if_not_exists(l, :none), :n)",
        "ExpressionAttributeValues": {":none": {"L": []}, ":n": numbers([value])},
    }


def token_request(step: Step) -> dict[str, Any]:
    """The members of a Put or Delete of a token."""
    if step.kind == PUT_TOKEN:
        return {
            "TableName": step.key[0],
            "Item": {**_key_of(step.key), "v": {"N": str(step.value)}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    return {
        **_item(step.key),
        "ConditionExpression": "v = :v",
        "ExpressionAttributeValues": {":v": {"N": str(step.value)}},
    }


def numbers(values: list[int]) -> dict[str, Any]:
    """A list attribute."""
    return {"L": [{"N": str(value)} for value in values]}


def list_in(item: dict[str, Any] | None) -> list[int]:
    """The numbers of a list item."""
    return [int(value["N"]) for value in (item or {}).get("l", {"L": []})["L"]]


def number_in(item: dict[str, Any] | None) -> int | None:
    """The number of a token or account, None when it is not there."""
    return int(item["v"]["N"]) if item else None
