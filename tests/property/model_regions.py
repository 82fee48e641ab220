"""Regions without nodes: the real evaluation of writes, transactions and arrivals over engines in memory.

A script is a list of quadruples of numbers (`Step`); `run(script)` plays it in three regions, then delivers everything
that is marked, and says what the regions do not agree on. Versions are shipped as they are when a message leaves, and
messages arrive in any order, late, and again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import orjson
from hashrange_node.regions import apply, versions
from hashrange_node.replica.effects import Effects, decode
from hashrange_node.replica.evaluate import evaluate
from hashrange_node.replica.place import Place
from hashrange_node.replica.secondary import expiry_of
from hashrange_node.storage import keyspace
from hashrange_node.storage.memory import MemoryEngine
from hashrange_node.transactions import evaluate as transactions
from hashrange_node.transactions.locks import Lock

from hashrange.expr import compile_update
from hashrange.model import record as records
from hashrange.model.regions import AHEAD_MAX_MS
from hashrange.model.table import TableSchema
from hashrange.model.value import dump, normalise_item
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.messages import DELETE, PUT, UPDATE, WriteItem
from hashrange.wire.regions import APPLIED, HELD, OLDER, RETRY
from hashrange.wire.transactions import CHECK, DONE
from tests.unit.region_support import REGIONS, replication, table_document

Step = tuple[int, int, int, int]
Message = tuple[str, str, bytes, bytes]
"""From, to, key, version."""
Version = tuple[tuple[int, int], bytes]

HEADER = records.HEADER_SIZE
KEYS = 4
ACTS = 14
PLACE = Place.only(1)
DEFINITIONS = [
    {"AttributeName": name, "AttributeType": kind} for name, kind in (("pk", "S"), ("l", "S"), ("g", "S"))
]
TABLE = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}],
    "AttributeDefinitions": [*DEFINITIONS, {"AttributeName": "v", "AttributeType": "S"}],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by_v",
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "v", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
_RAISE = compile_update(
    "SET v = :v, #u = if_not_exists(#u, :u)", {"#u": "until"}, {":v": {"S": "up"}, ":u": {"N": "9"}}
)


def schema_of(region: str) -> TableSchema:
    """The table as its region knows it, with an index of each kind and time to live."""
    document: Any = table_document(**TABLE)
    document["Replication"] = replication(region)
    document["TimeToLive"] = {"AttributeName": "until", "ChangedAt": 1}
    return TableSchema.from_document(document)


SCHEMAS = {name: schema_of(name) for name in REGIONS}


class Region:
    """One region: a table of one partition, a clock that may be wrong, and what transactions have locked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.schema = SCHEMAS[name]
        self.engine = MemoryEngine()
        self.last = self.skew_ms = self.watermark = self.raft_index = 0
        self.locks: dict[bytes, Lock] = {}
        self.index: dict[bytes, bytes] = {}
        self.counts: dict[int, list[int]] = {}
        self.written: list[tuple[bytes, Version]] = []

    def prefix(self, space: int) -> bytes:
        return keyspace.space_prefix(PLACE.store, space)

    def kept(self, space: int) -> dict[bytes, bytes]:
        prefix = self.prefix(space)
        return {key[10:]: value for key, value in self.engine.scan(prefix, prefix + b"\xff" * 60)}

    def stamp(self, wall_ms: int) -> int:
        self.last = max((wall_ms + self.skew_ms) << LOGICAL_BITS, self.last + 1)
        return self.last

    def take(self, effects: Effects, local: bool) -> None:
        """Apply an entry, as followers do: from its bytes."""
        self.raft_index += 1
        replicated = decode(effects.encode())
        self.engine.write(replicated.mutations)
        self.watermark = max(self.watermark, replicated.deleted)
        for space, entries, size in replicated.counts:
            pair = self.counts.setdefault(space, [0, 0])
            pair[0] += entries
            pair[1] += size
        for _, changes in effects.queued or ():
            for change in changes:
                self._deliver(*change)
        for key, _, _ in effects.marked or ():
            assert local, "what came from elsewhere is marked"
            version = self.version(key)
            if version is not None:
                self.written.append((key, (records.item_version(version), version[HEADER:])))

    def _deliver(
        self, name: str, old: bytes | None, new: bytes | None, record: bytes | None, stamp: int
    ) -> None:
        """A change of the global index arrives there, in order (`Replica.write_entries`)."""
        for key, value in ((old, None), (new, record)):
            if key is not None:
                stored = self.index.get(key)
                if stored is not None and records.stamp(stored) > stamp:
                    continue
                self.index.pop(key, None)
                if value is not None:
                    self.index[key] = value

    def version(self, key: bytes) -> bytes | None:
        """What is sent of an item."""
        record = self.engine.get(self.prefix(keyspace.ITEMS) + key)
        return record if record is not None else self.engine.get(self.prefix(keyspace.TOMBSTONES) + key)

    # ---- what clients do

    def write(self, write: WriteItem, wall_ms: int) -> None:
        if write.key in self.locks:
            return
        full_key = self.prefix(keyspace.ITEMS) + write.key
        current = self.engine.get(full_key)
        if write.expiry_s is not None:
            second = expiry_of(orjson.loads(current[HEADER:]), "until") if current is not None else None
            if second is None:
                return
            write.expiry_s = second
        stamp = self.stamp(wall_ms)
        if current is None and stamp <= self.watermark:
            stamp = self.watermark + 1
        self.take(evaluate(write, self.schema, PLACE, full_key, current, stamp, self.raft_index + 1), True)

    def situation(self, keys: Sequence[bytes]) -> transactions.Situation:
        currents = [self.engine.get(self.prefix(keyspace.ITEMS) + key) for key in keys]
        locks = [self.locks.get(key) for key in keys]
        return transactions.Situation(
            self.schema, PLACE, keys, currents, locks, self.watermark, self.raft_index + 1
        )

    def transact(self, actions: list[WriteItem], wall_ms: int) -> None:
        situation = self.situation([action.key for action in actions])
        stamp = transactions.local_stamp(self.stamp(wall_ms), situation)
        effects, outcome = transactions.commit(actions, situation, stamp)
        if outcome.verdict == DONE:
            self.take(effects, True)

    def prepare(self, actions: list[WriteItem], wall_ms: int) -> None:
        situation = self.situation([action.key for action in actions])
        stamp = max(self.stamp(wall_ms), transactions.local_stamp(0, situation))
        locks, outcome = transactions.prepare(b"t" * 16, stamp, actions, situation)
        if outcome.verdict == DONE:
            self.take(transactions.lock_effects(locks, PLACE, self.raft_index + 1), True)
            self.last = max(self.last, stamp)
            self.locks.update((lock.key, lock) for lock in locks)

    def finish(self, committed: bool) -> None:
        locks = list(self.locks.values())
        if locks:
            self.take(transactions.finish(locks, committed, self.situation(list(self.locks))), True)
            self.locks.clear()

    # ---- what regions do

    def receive(self, entries: list[tuple[bytes, bytes]], wall_ms: int) -> bytes:
        now_ms = wall_ms + self.skew_ms
        landing = apply.Landing(
            self.schema,
            PLACE,
            self.engine.get,
            self.locks.__contains__,
            (now_ms + AHEAD_MAX_MS) << LOGICAL_BITS,
            now_ms // 1000,
            self.raft_index + 1,
        )
        landed = apply.land(entries, landing)
        self.last = max(self.last, landed.newest)
        self.take(landed.effects, False)
        return bytes(landed.outcomes)

    def clear(self, key: bytes, bit: int, shipped: int) -> None:
        """A region has an item: its bit goes, unless the item was written again meanwhile."""
        mark = self.engine.get(self.prefix(keyspace.MARKS) + key)
        if mark is None:
            return
        stamp, bits = versions.unpack_mark(mark)
        if stamp <= shipped:
            left = bits & ~bit
            value = versions.pack_mark(stamp, left) if left else None
            self.engine.write([(self.prefix(keyspace.MARKS) + key, value)])


class World:
    """Three regions and the messages between them."""

    def __init__(self) -> None:
        self.regions = {name: Region(name) for name in REGIONS}
        self.wall_ms = 1_000
        self.messages: list[Message] = []
        codec = SCHEMAS[REGIONS[0]].codec
        self.items = [{"pk": {"S": f"k{number % 2}"}, "l": {"S": f"l{number}"}} for number in range(KEYS)]
        self.keys = [codec.encode(item) for item in self.items]

    def action(self, kind: int, key: int, value: int) -> WriteItem:
        """A put, an update, a deletion or a check."""
        write = WriteItem(1, 1, (PUT, UPDATE, DELETE, CHECK)[kind % 4], self.keys[key])
        write.key_item = dict(self.items[key])
        if write.kind == PUT:
            item = {**self.items[key], "v": {"S": f"v{value % 3}"}, "w": {"N": str(value)}}
            if value % 3:
                item["g"] = {"S": f"g{value % 2}"}
            if value % 5 == 0:
                item["until"] = {"N": str(value + 1)}
            write.item_size = normalise_item(item)
            write.item_json = dump(item)
        elif write.kind == UPDATE:
            write.update = _RAISE
        return write

    def step(self, act: int, where: int, what: int, value: int) -> None:
        """Play one step; any numbers mean something."""
        region = self.regions[REGIONS[where % 3]]
        key = what % KEYS
        act %= ACTS
        if act < 3:
            region.write(self.action(act, key, value), self.wall_ms)
        elif act == 3:
            expiry = self.action(2, key, value)
            expiry.expiry_s = 0
            region.write(expiry, self.wall_ms)
        elif act < 6:
            actions = [self.action(value, key, value), self.action(value // 4, (key + 1) % KEYS, value)]
            if act == 4:
                region.transact(actions, self.wall_ms)
            elif not region.locks:
                region.prepare(actions, self.wall_ms)
        elif act == 6:
            region.finish(value % 3 > 0)
        elif act < 9:
            self.send(region, self.keys[key])
        elif act < 12 and self.messages:
            self.arrive(self.messages[(where + what + value) % len(self.messages)])
        elif act == 12:
            self.wall_ms += value % 4
        elif act == 13 and value % 8 == 0:
            region.skew_ms = (value % 5 - 2) * 400

    def send(self, region: Region, key: bytes) -> int:
        """Let an item leave for the regions that its mark names; how many."""
        mark, version = region.kept(keyspace.MARKS).get(key), region.version(key)
        if mark is None:
            return 0
        sent = 0
        for target in region.schema.replicas:
            if versions.unpack_mark(mark)[1] & target.bit:
                sent += 1
                if version is None:  # nothing to send of it
                    region.clear(key, target.bit, versions.unpack_mark(mark)[0])
                else:
                    self.messages.append((region.name, target.region, key, version))
        return sent

    def arrive(self, message: Message) -> None:
        """Deliver a message, perhaps not for the first time."""
        source, destination, key, version = message
        outcome = self.regions[destination].receive([(key, version)], self.wall_ms)[0]
        assert outcome in (APPLIED, OLDER, HELD, RETRY)
        if outcome in (APPLIED, OLDER):
            region = self.regions[source]
            bit = next(each.bit for each in region.schema.replicas if each.region == destination)
            region.clear(key, bit, records.stamp(version))

    def settle(self, dice: random.Random) -> bool:
        """Deliver everything that is marked, in any order and some of it twice; False: it does not come to an end."""
        for region in self.regions.values():
            region.finish(True)
        for _ in range(20):
            self.wall_ms += 1_000
            if not sum(self.send(region, key) for region in self.regions.values() for key in self.keys):
                return True
            again = dice.sample(self.messages, min(len(self.messages), 5))
            waiting = [*self.messages, *again]
            dice.shuffle(waiting)
            for message in waiting:
                self.arrive(message)
            self.messages = self.messages[-20:]
        return False

    # ---- what must hold in the end

    def problems(self) -> list[str]:
        """What the regions do not agree on, and what is not as their items say."""
        found = []
        greatest: dict[bytes, Version] = {}
        for region in self.regions.values():
            for key, version in region.written:
                greatest[key] = max(greatest.get(key, version), version)
        for region in self.regions.values():
            versions_here = {key: region.version(key) for key in self.keys}
            here = {
                key: (records.item_version(version), version[HEADER:])
                for key, version in versions_here.items()
                if version is not None
            }
            if here != greatest:
                found.append(f"{region.name} has {here}, the greatest versions are {greatest}")
            found.extend(f"{region.name}: {problem}" for problem in _inside(region))
        return found


def _inside(region: Region) -> list[str]:
    """Whether indexes, time to live and counts of a region are what its items say."""
    found = []
    items = {key: orjson.loads(record[HEADER:]) for key, record in region.kept(keyspace.ITEMS).items()}
    lsi, gsi = region.schema.lsis[0], region.schema.gsis[0]
    local = {lsi.codec.encode_entry(item): item for item in items.values() if lsi.codec.encode_entry(item)}
    stored = {key: orjson.loads(record[HEADER:]) for key, record in region.kept(1).items()}
    if local != stored:
        found.append(f"the local index has {stored}, not {local}")
    wanted = {gsi.codec.encode_entry(item): item for item in items.values() if gsi.codec.encode_entry(item)}
    stored = {key: orjson.loads(record[HEADER:]) for key, record in region.index.items()}
    if wanted != stored:
        found.append(f"the global index has {stored}, not {wanted}")
    due = {(expiry_of(item, "until") or 0, key) for key, item in items.items() if "until" in item}
    entries = {(int.from_bytes(key[:8], "big"), key[8:]) for key in region.kept(keyspace.EXPIRY)}
    if due != entries:
        found.append(f"the expiry index has {entries}, not {due}")
    sizes = [records.size(record) for record in region.kept(keyspace.ITEMS).values()]
    if region.counts.get(0, [0, 0]) != [len(sizes), sum(sizes)]:
        found.append(f"it counts {region.counts.get(0)} of {len(sizes)} items with {sum(sizes)} bytes")
    return found


def run(script: Sequence[Step], seed: int = 0) -> list[str]:
    """Play a script, deliver everything, and say what is wrong then."""
    world = World()
    for step in script:
        world.step(*step)
    if not world.settle(random.Random(seed)):
        return ["what is marked is never delivered"]
    return world.problems()


def random_script(seed: int, steps: int = 60) -> list[Step]:
    """A script of that many steps."""
    dice = random.Random(seed)
    return [
        (dice.randrange(ACTS), dice.randrange(3), dice.randrange(KEYS), dice.randrange(40))
        for _ in range(steps)
    ]
