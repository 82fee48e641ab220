"""Registers and counters: the workload whose history is checked for linearizability.

A few keys are in use at a time; each is given up after some hundred operations, or when the outcomes of a few
are unknown, so that every key's history stays small and easy to check. Values are unique: a value read names the
write that made it. Items carry padding whose length follows from the value, so that a torn item shows.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.histories.history import ADD, CAS, READ, WRITE, History, Operation
from tests.cluster.workloads.client import CONDITION_FAILED, ApiClient, Refused, Unknown

OPERATIONS_PER_KEY = 300
UNKNOWNS_PER_KEY = 5
REGISTERS = 12
COUNTERS = 4


@dataclass
class Register:
    """One key in use. `last` is the newest value anybody was told; `sent` are all values ever sent to it."""

    name: str
    counter: bool
    operations: int = 0
    unknowns: int = 0
    last: int | None = None
    sent: set[int] = field(default_factory=set)

    @property
    def worn_out(self) -> bool:
        """Whether another key should take its place."""
        return self.operations >= OPERATIONS_PER_KEY or self.unknowns >= UNKNOWNS_PER_KEY


def pad_of(value: int) -> str:
    """Padding that belongs to a value."""
    return "x" * (value * 7919 % 300)


class Registers:
    """All registers of a run. `wrong` collects what is wrong without any need of a history."""

    def __init__(self, table: str, history: History, seed: int, mark: str) -> None:
        self.history = history
        self.wrong: list[str] = []
        self._table = table
        self._random = random.Random(seed)
        self._mark = mark
        self._made = 0
        self._next_value = 0
        self._in_use = [self._new(False) for _ in range(REGISTERS)]
        self._in_use += [self._new(True) for _ in range(COUNTERS)]
        self.all = {register.name: register for register in self._in_use}

    def names_in_use(self) -> list[str]:
        """The keys that are operated on now."""
        return [register.name for register in self._in_use]

    def _new(self, counter: bool) -> Register:
        self._made += 1
        return Register(f"{self._mark}{'c' if counter else 'r'}{self._made}", counter)

    def _pick(self) -> Register:
        place = self._random.randrange(len(self._in_use))
        register = self._in_use[place]
        if register.worn_out:
            register = self._in_use[place] = self._new(register.counter)
            self.all[register.name] = register
        register.operations += 1
        return register

    async def step(self, client: ApiClient, process: int) -> bool:
        """One operation; whether it was a write. Raises as `ApiClient.call` does, after recording."""
        register = self._pick()
        chance = self._random.random()
        if chance < 0.42:
            await self.read(client, process, register)
            return False
        if chance < 0.47:
            await self._read_eventually(client, register)
            return False
        if register.counter:
            await self._add(client, process, register)
        elif chance < 0.7:
            await self._write(client, process, register)
        else:
            await self._compare_and_set(client, process, register)
        return True

    async def read(self, client: ApiClient, process: int, register: Register) -> None:
        """A strong read."""
        await client.ready()
        operation = self.history.invoke(process, register.name, READ)
        document = self._get(register, True)
        answer = await self._sent(client, "GetItem", document, operation, register)
        value = self._value(answer.get("Item"), register)
        self.history.ok(operation, value)
        register.last = value

    async def _read_eventually(self, client: ApiClient, register: Register) -> None:
        """May be old, but never invented."""
        await client.ready()
        answer = await client.call("GetItem", self._get(register, False))
        value = self._value(answer.get("Item"), register)
        if value is not None and not register.counter and value not in register.sent:
            self.wrong.append(f"an eventual read of {register.name} gave {value}, which was never written")

    async def _write(self, client: ApiClient, process: int, register: Register) -> None:
        await client.ready()
        value = self._value_to_send(register)
        operation = self.history.invoke(process, register.name, WRITE, value)
        await self._sent(client, "PutItem", self._put(register, value), operation, register)
        self.history.ok(operation)
        register.last = value

    async def _compare_and_set(self, client: ApiClient, process: int, register: Register) -> None:
        await client.ready()
        value, expected = self._value_to_send(register), register.last
        document = self._put(register, value)
        document["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if expected is None:
            document["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            document["ConditionExpression"] = "v = :e"
            document["ExpressionAttributeValues"] = {":e": {"N": str(expected)}}
        operation = self.history.invoke(process, register.name, CAS, value, expected)
        try:
            await self._sent(client, "PutItem", document, operation, register)
        except Refused as refused:
            if refused.type_name != CONDITION_FAILED:
                raise
            found = self._value(refused.item, register)
            self.history.fail(operation, found)
            register.last = found
            return
        self.history.ok(operation)
        register.last = value

    async def _add(self, client: ApiClient, process: int, register: Register) -> None:
        await client.ready()
        operation = self.history.invoke(process, register.name, ADD, 1)
        document = {
            "TableName": self._table,
            "Key": {"pk": {"S": register.name}},
            "UpdateExpression": "ADD v :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
            "ReturnValues": "UPDATED_NEW",
        }
        answer = await self._sent(client, "UpdateItem", document, operation, register)
        self.history.ok(operation, int(answer["Attributes"]["v"]["N"]))

    async def _sent(
        self,
        client: ApiClient,
        name: str,
        document: dict[str, Any],
        operation: Operation,
        register: Register,
    ) -> dict[str, Any]:
        try:
            return await client.call(name, document)
        except Unknown as unknown:
            self.history.unknown(operation, str(unknown))
            if operation.kind != READ:
                register.unknowns += 1
            raise
        except Refused as refused:
            if refused.type_name != CONDITION_FAILED:
                self.history.refuse(operation)
            raise

    def _value_to_send(self, register: Register) -> int:
        self._next_value += 1
        register.sent.add(self._next_value)
        return self._next_value

    def _get(self, register: Register, consistent: bool) -> dict[str, Any]:
        return {"TableName": self._table, "Key": {"pk": {"S": register.name}}, "ConsistentRead": consistent}

    def _put(self, register: Register, value: int) -> dict[str, Any]:
        item = {"pk": {"S": register.name}, "v": {"N": str(value)}, "pad": {"S": pad_of(value)}}
        return {"TableName": self._table, "Item": item}

    def _value(self, item: dict[str, Any] | None, register: Register) -> int | None:
        if item is None:
            return None
        value = int(item["v"]["N"])
        if not register.counter and item.get("pad", {}).get("S") != pad_of(value):
            self.wrong.append(f"{register.name} is torn: the padding is not that of value {value}")
        return value
