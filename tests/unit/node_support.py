"""A node on memory, with a scheduler and a clock that tests drive by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hashrange_node.log.memory import MemoryLog
from hashrange_node.meta.controller import Controller
from hashrange_node.node import Node
from hashrange_node.storage.memory import MemoryEngine
from hashrange_router.api.tables_create import plan_create

from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.model.value import dump, normalise_item
from hashrange.runtime.clock import ManualClock, StampClock
from hashrange.wire.messages import PUT, ChangeTable, ReadItem, WriteItem


class ManualScheduler:
    """Runs nothing until told to: one tick runs what was scheduled before it."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.now = 0.0

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.later.append((self.now + delay_s, callback))

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, then run everything that is due."""
        self.now += seconds
        soon, self.soon = self.soon, []
        due = [callback for at, callback in self.later if at <= self.now]
        self.later = [(at, callback) for at, callback in self.later if at > self.now]
        for callback in [*soon, *due]:
            callback()

    def run(self, ticks: int = 50, seconds: float = 0.0) -> None:
        for _ in range(ticks):
            self.tick(seconds)


class HeldLog(MemoryLog):
    """A log whose syncs finish when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[int, Callable[[int], object]]] | None = None
        self.fail: Exception | None = None

    def append(self, entries: Any) -> int:
        if self.fail is not None:
            raise self.fail
        return super().append(entries)

    def sync(self, position: int, done: Callable[[int], object]) -> None:
        if self.held is None:
            done(position)
        else:
            self.held.append((position, done))

    def release(self) -> None:
        held, self.held = self.held or [], []
        for position, done in held:
            done(position)


class Bench:
    """A node, its controller, and helpers to write to and read from tables on it."""

    def __init__(self, log: Any = None, engine: Any = None, pause: Any = None) -> None:
        self.log = log if log is not None else HeldLog()
        self.engine = engine if engine is not None else MemoryEngine()
        self.scheduler = ManualScheduler()
        self.clock = ManualClock()
        self.errors: list[tuple[str, BaseException]] = []
        self.fatal: list[str] = []
        self.node = Node(
            self.log,
            self.engine,
            self.scheduler,
            StampClock(self.clock),
            monotonic=lambda: self.scheduler.now,
            rng=random.Random(1),
            fatal=self.fatal.append,
            on_error=lambda what, error: self.errors.append((what, error)),
        )
        self.controller = Controller(self.node, lambda: self.clock.wall_ms() / 1000)
        self.node.recover(pause=pause or (lambda seconds: None))
        self.controller.start()

    def create(self, name: str = "Things", **extra: Any) -> TableSchema:
        request = {
            "TableName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            **extra,
        }
        ids: list[int] = []

        def next_id() -> int:
            ids.append(self.node.catalogue.next_partition_id + len(ids))
            return ids[-1]

        document = plan_create(
            request,
            now=1.0,
            table_id="id-" + name,
            region="us-east-1",
            account="000000000000",
            next_partition_ids=next_id,
        )
        self.send(ChangeTable(name, None, document, ids))
        self.scheduler.run()
        return self.schema(name)

    def tick_until_applied(self) -> None:
        """Run just until nothing is queued: what follows from the applied entries has not run yet."""
        while self.node.driver.queued:
            self.scheduler.tick()

    def schema(self, name: str = "Things") -> TableSchema:
        return self.node.catalogue.schemas[name]

    def send(self, message: Any) -> list[Any]:
        """Send; the list receives the answer."""
        answers: list[Any] = []
        self.node.send(message, answers.append)
        return answers

    def put_message(self, item: dict[str, Any], name: str = "Things") -> WriteItem:
        schema = self.schema(name)
        size = normalise_item(item)
        key = schema.codec.encode(item)
        write = WriteItem(schema.partition_for(key).id, 1, PUT, key)
        write.item_json = dump(item)
        write.item_size = size
        return write

    def put(self, item: dict[str, Any], name: str = "Things") -> list[Any]:
        return self.send(self.put_message(item, name))

    def read(self, key: dict[str, Any], name: str = "Things") -> bytes | None:
        schema = self.schema(name)
        encoded = schema.codec.encode(key)
        answers = self.send(ReadItem(schema.partition_for(encoded).id, 1, encoded, True))
        record: bytes | None = answers[0]
        return records.item_json(record) if record is not None else None
