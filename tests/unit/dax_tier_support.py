"""Tables for the tests of the cache tier: a backend in memory whose answers a test lets go one by one, or at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from hashrange_dax.cache import CacheStore, ItemEntry
from hashrange_dax.contracts import BackendDone, BackendReply, Change, Request
from hashrange_dax.tier import Answer, Tier
from hashrange_router.api.tables_create import plan_create

from hashrange.errors import ApiError, conditional_check_failed, resource_not_found
from hashrange.model.item_state import ItemState
from hashrange.model.table import TableSchema
from hashrange.model.table_state import table_activated
from hashrange.model.value import Item, dump, normalise_item
from hashrange.runtime.clock import ManualClock

BUDGET = 4 << 20
GSI = {
    "IndexName": "by-v",
    "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


def schema(
    name: str = "tbl", table_id: str = "id-1", sort: str | None = None, gsi: bool = False
) -> TableSchema:
    """A table with hash key `pk` (S), range key `sk` of a type, and an index on `v`."""
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
    types = [{"AttributeName": "pk", "AttributeType": "S"}]
    if sort:
        keys.append({"AttributeName": "sk", "KeyType": "RANGE"})
        types.append({"AttributeName": "sk", "AttributeType": sort})
    request: dict[str, Any] = {"TableName": name, "KeySchema": keys, "BillingMode": "PAY_PER_REQUEST"}
    if gsi:
        types.append({"AttributeName": "v", "AttributeType": "S"})
        request["GlobalSecondaryIndexes"] = [GSI]
    request["AttributeDefinitions"] = types
    ids = iter(range(1, 10))
    document = plan_create(
        request,
        now=1_790_000_000.0,
        table_id=table_id,
        region="us-east-1",
        account="000000000000",
        next_partition_ids=lambda: next(ids),
        quotas=None,
    )
    return TableSchema.from_document(table_activated(document, 1_790_000_000.0))


class Sent:
    """A request that has come to the tables. `run` looks at them or changes them, `answer` tells of it."""

    def __init__(self, tables: Tables, operation: str, request: Request, done: BackendDone) -> None:
        self.tables = tables
        self.operation = operation
        self.request = request
        self.done = done
        self.reply: BackendReply | ApiError | None = None

    def run(self, version: int = -1) -> None:
        """`version` of each item is what an eventually consistent read sees."""
        try:
            self.reply = self.tables.evaluate(self.operation, self.request, version)
        except ApiError as error:
            self.reply = error

    def answer(self) -> None:
        if self.reply is None:
            self.run()
        assert self.reply is not None
        if self in self.tables.sent:
            self.tables.sent.remove(self)
        self.done(self.reply)


class Tables:
    """A `Backend`. Answers at once, unless `held`; then `sent` has what is to be answered, oldest first."""

    def __init__(self, *tables: TableSchema) -> None:
        self.schemas = {table.name: table for table in tables or (schema(),)}
        self.versions: dict[tuple[str, bytes], list[tuple[int, Item | None]]] = {}
        self.stamp = 0
        self.held = False
        self.sent: list[Sent] = []
        self.log: list[tuple[str, Request]] = []
        self.fails: list[ApiError] = []
        """Errors that the next requests are answered with; nothing is done then."""
        self.unprocessed: set[bytes] = set()
        """Keys that batches leave out."""

    def table(self, name: str) -> TableSchema:
        try:
            return self.schemas[name.rpartition("/")[2]]
        except KeyError:
            raise resource_not_found() from None

    def check(self, operation: str, request: Request) -> None:
        """Everything fits this model but a request that says it does not."""
        if "Wrong" in request:
            raise ApiError("ValidationException", "wrong")

    def run(self, operation: str, request: Request, done: BackendDone) -> None:
        self.log.append((operation, orjson.loads(orjson.dumps(request))))
        sent = Sent(self, operation, request, done)
        if self.held:
            self.sent.append(sent)
        else:
            sent.answer()

    def reads(self, *operations: str) -> int:
        """How many requests of these operations have come."""
        return sum(operation in operations for operation, _ in self.log)

    def put(self, key: str, value: str | None, name: str = "tbl") -> int:
        """Write past the cache; returns the stamp."""
        item = None if value is None else {"pk": {"S": key}, "v": {"S": value}}
        return self._set(self.schemas[name], {"pk": {"S": key}}, item)

    def _set(self, table: TableSchema, key: Item, item: Item | None) -> int:
        self.stamp += 1
        place = (table.table_id, table.codec.encode(key))
        self.versions.setdefault(place, [(0, None)]).append((self.stamp, item))
        return self.stamp

    def _state(self, table: TableSchema, key: Item, version: int = -1) -> ItemState:
        encoded = table.codec.encode(key)
        history = self.versions.get((table.table_id, encoded), [(0, None)])
        stamp, item = history[max(version, -len(history))]
        if item is None:
            return ItemState(table, encoded, None, 0)
        return ItemState(table, encoded, dump(item), stamp)

    def evaluate(self, operation: str, request: Request, version: int) -> BackendReply:
        if self.fails:
            raise self.fails.pop(0)
        mode = request.get("ReturnConsumedCapacity", "NONE")
        reply: dict[str, Any] = {} if mode == "NONE" else {"ConsumedCapacity": {"CapacityUnits": 1.0}}
        states = getattr(self, f"_{operation}")(request, reply, version)
        return BackendReply(orjson.dumps(reply), states)

    def _GetItem(self, request: Request, reply: dict[str, Any], version: int) -> Sequence[ItemState]:
        strong = request.get("ConsistentRead") is True
        state = self._state(self.table(request["TableName"]), request["Key"], -1 if strong else version)
        if state.item_json is not None:
            reply["Item"] = orjson.loads(state.item_json)
        return [state]

    def _BatchGetItem(self, request: Request, reply: dict[str, Any], version: int) -> Sequence[ItemState]:
        states = []
        for name, entry in request["RequestItems"].items():
            table = self.table(name)
            strong = entry.get("ConsistentRead") is True
            for key in entry["Keys"]:
                state = self._state(table, key, -1 if strong else version)
                if state.key not in self.unprocessed:
                    states.append(state)
        return states

    def _PutItem(self, request: Request, reply: dict[str, Any], version: int) -> Sequence[ItemState]:
        table = self.table(request["TableName"])
        item = request["Item"]
        normalise_item(item)
        if "ConditionExpression" in request and self._state(table, item).item_json is not None:
            raise conditional_check_failed()
        self._set(table, item, item)
        return [self._state(table, item)]

    def _UpdateItem(self, request: Request, reply: dict[str, Any], version: int) -> Sequence[ItemState]:
        """Sets attribute `v` to `:v`."""
        table = self.table(request["TableName"])
        key = request["Key"]
        item = orjson.loads(self._state(table, key).item_json or dump(key))
        item["v"] = request["ExpressionAttributeValues"][":v"]
        self._set(table, key, item)
        return [self._state(table, key)]

    def _DeleteItem(self, request: Request, reply: dict[str, Any], version: int) -> Sequence[ItemState]:
        table = self.table(request["TableName"])
        stamp = self._set(table, request["Key"], None)
        return [ItemState(table, table.codec.encode(request["Key"]), None, stamp)]

    def _BatchWriteItem(self, request: Request, reply: dict[str, Any], version: int) -> Sequence[ItemState]:
        states: list[ItemState] = []
        left: dict[str, Any] = {}
        for name, entries in request["RequestItems"].items():
            for entry in entries:
                put = entry.get("PutRequest")
                part = put["Item"] if put is not None else entry["DeleteRequest"]["Key"]
                if self.table(name).codec.encode(part) in self.unprocessed:
                    left.setdefault(name, []).append(entry)
                elif put is not None:
                    states += self._PutItem({"TableName": name, "Item": part}, reply, version)
                else:
                    states += self._DeleteItem({"TableName": name, "Key": part}, reply, version)
        reply["UnprocessedItems"] = left
        return states

    def _TransactWriteItems(
        self, request: Request, reply: dict[str, Any], version: int
    ) -> Sequence[ItemState]:
        for action in request["TransactItems"]:
            for kind, part in action.items():
                if kind != "ConditionCheck":
                    getattr(self, f"_{kind}Item")(part, {}, version)
        return []

    def _TransactGetItems(self, request: Request, reply: dict[str, Any], version: int) -> Sequence[ItemState]:
        reply["Responses"] = []
        for action in request["TransactItems"]:
            state = self._state(self.table(action["Get"]["TableName"]), action["Get"]["Key"])
            reply["Responses"].append({"Item": orjson.loads(state.item_json)} if state.item_json else {})
        return []

    def _Query(self, request: Request, reply: dict[str, Any], version: int) -> Sequence[ItemState]:
        """All items that there are: which ones a query selects is not the cache's concern."""
        table = self.table(request["TableName"])
        current = [
            history[-1][1] for (table_id, _), history in self.versions.items() if table_id == table.table_id
        ]
        reply["Items"] = [item for item in current if item is not None]
        reply["Count"] = reply["ScannedCount"] = len(reply["Items"])
        return []

    _Scan = _Query


class Peers:
    """A `Coherence` that makes writes at a tier and keeps what the other nodes would be told."""

    def __init__(self) -> None:
        self.tier: Tier | None = None
        self.changes: list[Change] = []
        self.dropped: list[tuple[str, bytes]] = []

    def write(self, operation: str, request: Request, done: BackendDone) -> None:
        assert self.tier is not None
        self.tier.write_here(operation, request, done)

    def tell(self, changes: Sequence[Change]) -> None:
        self.changes += changes

    def invalidated(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self.dropped += keys


class Node:
    """A cache node over tables in memory, and its clients' requests in short."""

    def __init__(self, *tables: TableSchema, budget: int = BUDGET, peers: bool = False, **ttls: int) -> None:
        self.tables = Tables(*tables)
        self.clock = ManualClock()
        self.store = CacheStore(budget, **ttls)
        self.peers = Peers()
        self.tier = Tier(self.tables, self.peers if peers else None, self.store, self.clock)
        self.peers.tier = self.tier
        self.metrics = self.tier.metrics

    def start(self, operation: str, request: Request) -> Outcome:
        outcome = Outcome()
        self.tier.run(operation, request, outcome)
        return outcome

    def run(self, operation: str, request: Request) -> Answer:
        return self.start(operation, request).answer

    def get(self, key: str, **members: Any) -> str | None:
        return value_of(self.run("GetItem", get_of(key, **members)).item)

    def batch(self, *keys: str, **members: Any) -> dict[str, str | None]:
        """The values of those that there are."""
        answer = self.run("BatchGetItem", batch_of(*keys, **members))
        assert answer.groups is not None
        return {key["pk"]["S"]: value_of(entry) for group in answer.groups for key, entry in group.items}

    def put(self, key: str, value: str, **members: Any) -> Answer:
        return self.run("PutItem", put_of(key, value, **members))

    def update(self, key: str, value: str, **members: Any) -> Answer:
        return self.run("UpdateItem", update_of(key, value, **members))

    def delete(self, key: str, **members: Any) -> Answer:
        return self.run("DeleteItem", {"TableName": "tbl", "Key": {"pk": {"S": key}}, **members})

    def query(self, **members: Any) -> int:
        """The number of items, as the cache or the table has it."""
        return count_of(self.run("Query", query_of(**members)))

    def scan(self, **members: Any) -> int:
        return count_of(self.run("Scan", {"TableName": "tbl", **members}))

    def cached(self, key: str) -> ItemEntry | None:
        """What the item cache has of a key, without using it."""
        table = self.tables.schemas["tbl"]
        return self.store.peek(table.table_id, table.codec.encode({"pk": {"S": key}}), self.clock.monotonic())


class Outcome:
    """What a request was answered with; `answers` is empty before that."""

    def __init__(self) -> None:
        self.answers: list[Answer | ApiError] = []
        self.then: Callable[[], None] | None = None

    def __call__(self, answer: Answer | ApiError) -> None:
        self.answers.append(answer)
        if self.then is not None:
            self.then()

    @property
    def answer(self) -> Answer:
        (answer,) = self.answers
        if isinstance(answer, ApiError):
            raise answer
        return answer


def get_of(key: str, **members: Any) -> Request:
    return {"TableName": "tbl", "Key": {"pk": {"S": key}}, **members}


def batch_of(*keys: str, **members: Any) -> Request:
    return {"RequestItems": {"tbl": {"Keys": [{"pk": {"S": key}} for key in keys], **members}}}


def put_of(key: str, value: str, **members: Any) -> Request:
    return {"TableName": "tbl", "Item": {"pk": {"S": key}, "v": {"S": value}}, **members}


def update_of(key: str, value: str, **members: Any) -> Request:
    request = get_of(key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": {"S": value}})
    return {**request, **members}


def query_of(**members: Any) -> Request:
    return {
        "TableName": "tbl",
        "KeyConditionExpression": "pk = :k",
        "ExpressionAttributeValues": {":k": {"S": "a"}},
        **members,
    }


def value_of(entry: ItemEntry | None) -> str | None:
    assert entry is not None
    if entry.absent:
        return None
    assert entry.json is not None
    value: str = orjson.loads(entry.json)["v"]["S"]
    return value


def count_of(answer: Answer) -> int:
    assert answer.query is not None and answer.query.body is not None
    count: int = orjson.loads(answer.query.body)["Count"]
    return count
