"""Clients: closed loops of reads, puts, conditional puts and counters on a few keys, recorded as a history.

Values are unique within a run, so that the checker knows who wrote what it sees. Each client has one operation
under way; an operation whose outcome it does not learn leaves it free to go on after a while.
"""

from __future__ import annotations

import random
from typing import Any, Protocol

import orjson
from hashrange_router.api.tables_create import plan_create

from hashrange.errors import ApiError
from hashrange.expr import compile_condition, compile_update
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.model.value import dump, normalise_item
from hashrange.wire.messages import PUT, RETURN_ALL_NEW, UPDATE, ReadItem, WriteItem
from tests.cluster.histories.history import ADD, CAS, READ, WRITE, History, Operation
from tests.sim.events import Process

TABLE = "Registers"


class Sender(Protocol):
    """The router's transport."""

    def send(self, message: Any, done: Any) -> None: ...


def table_document(first: int) -> dict[str, Any]:
    """A table with one string key and a stream; `first` is its first partition."""
    ids = iter(range(first, first + 1000))
    return plan_create(
        {
            "TableName": TABLE,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        },
        now=1.0,
        table_id="registers",
        region="us-east-1",
        account="000000000000",
        next_partition_ids=lambda: next(ids),
    )


class Messages:
    """Builds the messages for keys of one table."""

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema

    def _place(self, key: str) -> tuple[int, bytes]:
        encoded = self.schema.codec.encode({"pk": {"S": key}})
        return self.schema.partition_for(encoded).id, encoded

    def read(self, key: str) -> ReadItem:
        partition, encoded = self._place(key)
        return ReadItem(partition, 1, encoded, True)

    def put(self, key: str, value: int, expected: Any = None, conditional: bool = False) -> WriteItem:
        partition, encoded = self._place(key)
        write = WriteItem(partition, 1, PUT, encoded)
        item = {"pk": {"S": key}, "v": {"N": str(value)}}
        write.item_size = normalise_item(item)
        write.item_json = dump(item)
        if conditional:
            write.want_old_on_failure = True
            if expected is None:
                write.condition = compile_condition("attribute_not_exists(v)")
            else:
                write.condition = compile_condition("v = :old", None, {":old": {"N": str(expected)}})
        return write

    def add(self, key: str, amount: int) -> WriteItem:
        partition, encoded = self._place(key)
        write = WriteItem(partition, 1, UPDATE, encoded)
        write.key_item = {"pk": {"S": key}}
        write.update = compile_update("ADD v :n", None, {":n": {"N": str(amount)}})
        write.returns = RETURN_ALL_NEW
        return write


def value_of(record: bytes | None) -> int | None:
    """The register's value in a stored record."""
    return None if record is None else number_in(records.item_json(record))


def number_in(item_json: bytes) -> int | None:
    """The register's value in an item."""
    value = orjson.loads(item_json).get("v")
    return int(value["N"]) if value is not None else None


class Clients:
    """All clients of one router; `numbers` tells them from those of others."""

    def __init__(
        self,
        process: Process,
        sender: Sender,
        messages: Messages,
        history: History,
        rng: random.Random,
        *,
        registers: list[str],
        counters: list[str],
        pause_s: float,
        numbers: range,
    ) -> None:
        self._process = process
        self._sender = sender
        self._messages = messages
        self._history = history
        self._rng = rng
        self._registers = registers
        self._counters = counters
        self._pause_s = pause_s
        self._numbers = numbers
        self._next_value = numbers.start * 100_000 + 1
        self._seen: dict[str, int | None] = {}
        self.stopped = False
        self.open = 0
        self.answered = 0
        self.failures: dict[str, int] = {}

    def start(self) -> None:
        """Let them begin."""
        for number in self._numbers:
            self._later(number)

    def _later(self, client: int) -> None:
        self._process.call_later(self._rng.expovariate(1 / self._pause_s), lambda: self._next(client))

    def _next(self, client: int) -> None:
        if self.stopped:
            return
        chance = self._rng.random()
        if chance < 0.2 and self._counters:
            key = self._rng.choice(self._counters)
            if chance < 0.15:
                self.invoke(client, key, ADD, 1)
            else:
                self.invoke(client, key, READ)
            return
        key = self._rng.choice(self._registers)
        if chance < 0.55:
            self.invoke(client, key, READ)
            return
        value = self._next_value
        self._next_value += 1
        if chance < 0.8:
            self.invoke(client, key, WRITE, value)
        else:
            self.invoke(client, key, CAS, value, self._seen.get(key))

    def invoke(self, client: int, key: str, kind: str, value: Any = None, expected: Any = None) -> Operation:
        """Begin one operation; the client's next follows it."""
        operation = self._history.invoke(client, key, kind, value, expected)
        messages = self._messages
        message: Any
        if kind == READ:
            message = messages.read(key)
        elif kind == ADD:
            message = messages.add(key, value)
        else:
            message = messages.put(key, value, expected, conditional=kind == CAS)
        self.open += 1
        self._sender.send(message, lambda answer: self._answered(client, operation, answer))
        return operation

    def _answered(self, client: int, operation: Operation, answer: Any) -> None:
        self.open -= 1
        self.answered += 1
        if isinstance(answer, ApiError):
            self._failed(operation, answer)
        elif operation.kind == READ:
            value = value_of(answer)
            self._seen[operation.key] = value
            self._history.ok(operation, value)
        elif operation.kind == ADD:
            self._history.ok(operation, number_in(answer.attributes))
        else:
            self._seen[operation.key] = operation.value
            self._history.ok(operation)
        if client >= 0:
            self._later(client)

    def _failed(self, operation: Operation, error: ApiError) -> None:
        self.failures[error.type_name] = self.failures.get(error.type_name, 0) + 1
        if error.type_name == "ConditionalCheckFailedException":
            fields = error.fields or {}
            item = fields.get("Item")
            stored = (
                None
                if item is None
                else number_in(bytes(item) if isinstance(item, bytes) else orjson.dumps(item))
            )
            self._history.fail(operation, stored)
        else:
            self._history.unknown(operation, f"{error.type_name}: {error.message}")
