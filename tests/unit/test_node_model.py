"""Random writes, index changes, crashes and pauses against brute force: every index agrees with the items."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hashrange_node.log.errors import LogFull
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineBusy, EngineFull
from hashrange_node.storage.memory import MemoryEngine

from hashrange.expr import compile_update
from hashrange.model import record as records
from hashrange.model.value import item_size
from hashrange.wire.messages import DELETE, UPDATE, TableStatistics, WriteItem

from .node_support import Bench
from .test_fill import index_on, plan_index, switch_ttl

LOCAL = {
    "IndexName": "local",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}
KEYS = [(p, s) for p in "abc" for s in "123456"]


class FaultyEngine(MemoryEngine):
    """Refuses writes as long as it is told so."""

    fault: Exception | None = None

    def write(self, mutations: Any, delete_ranges: Any = ()) -> None:
        if self.fault is not None:
            raise self.fault
        super().write(mutations, delete_ranges)


class World:
    """A bench that is written to, broken and restarted at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.engine = FaultyEngine()
        self.bench = Bench(engine=self.engine)
        self.bench.create(
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "l")],
            LocalSecondaryIndexes=[LOCAL],
        )
        self.asked = 0
        self.answered = 0

    def answer(self, answer: Any) -> None:
        self.answered += 1

    def item(self) -> dict[str, Any]:
        choose = self.random
        p, s = choose.choice(KEYS)
        item: dict[str, Any] = {"pk": {"S": p}, "sk": {"S": s}}
        for name in ("g", "h", "l"):
            if choose.random() < 0.6:
                item[name] = {"S": choose.choice("xyz")}
        if choose.random() < 0.5:
            item["at"] = {"N": str(2_000_000_000 + choose.randrange(3))}
        if choose.random() < 0.5:
            item["v"] = {"S": "v" * choose.randrange(20)}
        return item

    def write(self) -> None:
        item = self.item()
        if self.random.random() < 0.5:
            message = self.bench.put_message(item)
        else:
            schema = self.bench.schema()
            key = {name: item.pop(name) for name in ("pk", "sk")}
            encoded = schema.codec.encode(key)
            message = WriteItem(schema.partition_for(encoded).id, 1, DELETE, encoded)
            message.key_item = key
            if item and self.random.random() < 0.7:
                message.kind = UPDATE
                name = self.random.choice(sorted(item))
                text = "SET #n = :v" if self.random.random() < 0.6 else "REMOVE #n"
                values = {":v": item[name]} if text.startswith("SET") else None
                message.update = compile_update(text, {"#n": name}, values)
        self.asked += 1
        self.bench.node.send(message, self.answer)

    def change_table(self) -> None:
        """Make or delete the index, switch time to live; what is not allowed just now is left out."""
        schema = self.bench.schema()
        document = self.bench.node.catalogue.documents["Things"]
        if self.bench.node.catalogue.group.overlay:
            return
        if self.random.random() < 0.4:
            switch_ttl(self.bench, None if schema.ttl_attribute else "at")
        elif not document["GlobalSecondaryIndexes"]:
            self.bench.send(plan_index(self.bench, {"Create": index_on(self.random.choice("gh"))}))
        elif schema.gsis[0].status == "ACTIVE" or (
            self.random.random() < 0.3 and schema.gsis[0].status == "CREATING"
        ):
            self.bench.send(plan_index(self.bench, {"Delete": {"IndexName": "by"}}))

    def crash(self) -> None:
        """Whatever was not applied is lost: the log of this bench keeps nothing."""
        self.engine.fault = None
        self.bench = Bench(engine=self.engine)
        self.asked = self.answered = 0

    def step(self) -> None:
        chance = self.random.random()
        if chance < 0.70:
            self.write()
        elif chance < 0.80:
            self.change_table()
        elif chance < 0.81:
            self.crash()
        elif chance < 0.84:
            self.bench.log.fail = LogFull("no room") if self.bench.log.fail is None else None
        elif chance < 0.87:
            faults = (EngineFull("no room"), EngineBusy("later"))
            self.engine.fault = self.random.choice(faults) if self.engine.fault is None else None
        elif chance < 0.90:
            if self.bench.log.held is None:
                self.bench.log.held = []
            else:
                self.bench.log.release()
                self.bench.log.held = None
        if self.random.random() < 0.5:
            self.bench.scheduler.tick(self.random.choice((0.0, 0.0, 0.3)))

    def settle(self) -> None:
        self.engine.fault = None
        self.bench.log.fail = None
        if self.bench.log.held is not None:
            self.bench.log.release()
            self.bench.log.held = None
        self.bench.scheduler.run(300, seconds=0.2)


def stored(bench: Bench, partition: int, space: int) -> dict[bytes, Any]:
    prefix = keyspace.space_prefix(partition, space)
    return {key[10:]: value for key, value in bench.engine.scan(prefix, prefix + b"\xff" * 9)}


def content(entries: dict[bytes, bytes]) -> dict[bytes, Any]:
    return {key: orjson.loads(records.item_json(record)) for key, record in entries.items()}


def check(bench: Bench) -> None:
    schema = bench.schema()
    part = schema.partitions.all[0].id
    items = stored(bench, part, keyspace.ITEMS)
    statistics = bench.send(TableStatistics("Things"))[0]
    assert statistics[None] == (len(items), sum(records.size(r) for r in items.values()))
    for record in items.values():
        assert records.size(record) == item_size(orjson.loads(records.item_json(record)))
    for index in schema.indexes:
        expected = {
            key: index.project(item)
            for item in content(items).values()
            if (key := index.codec.encode_entry(item)) is not None
        }
        space = 1 if index.kind == "LSI" else keyspace.ITEMS
        entries = stored(bench, part if index.kind == "LSI" else index.partitions.all[0].id, space)
        assert content(entries) == expected
        assert statistics[index.name] == (len(entries), sum(records.size(r) for r in entries.values()))
        assert index.readable
    # More may be left of an earlier time when a full disk kept it from being cleared: they go when they are due.
    due = {
        int(item["at"]["N"]).to_bytes(8, "big") + key
        for key, item in content(items).items()
        if schema.ttl_attribute is not None and "at" in item
    }
    assert due <= stored(bench, part, keyspace.EXPIRY).keys()
    assert not list(bench.engine.scan(b"Q", b"R"))
    known = {0, part, *(p.id for index in schema.gsis for p in index.partitions.all)}
    assert {int.from_bytes(key[1:9], "big") for key, _ in bench.engine.scan(b"P", b"Q")} <= known
    assert not bench.node.catalogue.group.overlay and bench.controller.filling == 0


@pytest.mark.parametrize("seed", range(30))
def test_all_indexes_agree_with_the_items_whatever_happened(seed: int) -> None:
    world = World(seed)
    for _ in range(4):
        for _ in range(150):
            world.step()
        world.settle()
        assert world.answered == world.asked
        assert world.bench.node.driver.queued == 0
        assert world.bench.errors == [] and world.bench.fatal == []
        check(world.bench)
