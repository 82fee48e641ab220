"""The HTTP door of a cache node: answers as a router gives them, from the cache where they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from hashrange_dax.cache import CacheStore
from hashrange_dax.tier import Tier
from hashrange_router.api.dispatch import Dispatcher
from hashrange_router.api.operations import entries
from hashrange_router.http.request import Request
from hashrange_router.http.server import HttpServer, serve

from hashrange.cli.dax.backend import RouterBackend
from hashrange.cli.dax.http_door import CachedDispatcher
from hashrange.cli.dax.http_memo import LONGEST, Asked, Memo
from hashrange.errors import ApiError, unavailable
from hashrange.runtime.clock import ManualClock, SystemClock
from hashrange.runtime.logging import AccessLog
from hashrange.runtime.operation_stats import OperationStats
from hashrange.runtime.telemetry import Telemetry
from hashrange.wire.messages import Done, ReadItem
from tests.unit.local_support import LocalNode, make_table, on_loop

KEY = {"pk": {"S": "a"}}
GET = {"TableName": "Tab", "Key": KEY}
Document = dict[str, Any]


def no_pages(request: Request) -> None:
    request.reply(404, b"no such page")


class Door:
    """The HTTP door over a node, a plain one beside it, and a client of both."""

    def __init__(self, local: LocalNode) -> None:
        self.local = local
        self.context = local.context()
        self.clock = ManualClock()
        self.telemetry = Telemetry(process=False)
        self.noted: list[tuple[str, str]] = []
        self.sent: list[Any] = []
        self.failing: ApiError | None = None
        self.refusing: ApiError | None = None
        self.authenticated = 0
        operations = entries(self.context)
        backend = RouterBackend(operations, self.context, self, self.telemetry, self._note)
        self.tier = Tier(backend, None, CacheStore(16 << 20), self.clock)
        parts = (self.telemetry, AccessLog(False), self._authenticate, no_pages)
        self.cached = CachedDispatcher(operations, self.tier, self.context, self, *parts)
        self.cached.note = self._note
        self.plain = Dispatcher(operations, local, Telemetry(process=False), *parts[1:])
        self.servers: list[HttpServer] = []
        self.streams: dict[bool, Any] = {}
        local.node.catalogue.subscribe(self.cached.follow)

    def _note(self, table: str, error: ApiError) -> None:
        self.noted.append((table, error.type_name))

    def _authenticate(self, request: Request, service: str = "dynamodb") -> None:
        self.authenticated += 1
        if self.refusing is not None:
            raise self.refusing

    def send(self, message: Any, done: Done) -> None:
        self.sent.append(message)
        if self.failing is not None:
            done(self.failing)
        else:
            self.local.send(message, done)

    @property
    def reads(self) -> int:
        """Items that were read from the tables."""
        return sum(isinstance(message, ReadItem) for message in self.sent)

    async def start(self) -> None:
        for cached, app in ((True, self.cached), (False, self.plain)):
            server = await serve(app, "127.0.0.1", 0)
            self.servers.append(server)
            self.streams[cached] = await asyncio.open_connection("127.0.0.1", server.port)

    async def stop(self) -> None:
        for _, writer in self.streams.values():
            writer.close()
        for server in self.servers:
            await server.drain(0.1)

    async def raw(self, operation: str, body: bytes, cached: bool = True) -> tuple[int, Document]:
        reader, writer = self.streams[cached]
        writer.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\n"
            b"X-Amz-Target: DynamoDB_20120810.%s\r\nContent-Length: %d\r\n\r\n%s"
            % (operation.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        content = await reader.readexactly(int(lines[b"content-length"]))
        return int(head.split()[1]), orjson.loads(content)

    async def ask(self, operation: str, request: Document) -> Document:
        status, document = await self.raw(operation, orjson.dumps(request))
        assert status == 200, document
        return document

    async def both(self, operation: str, request: Document) -> tuple[int, Document]:
        """The answer of the cache, twice, which has to be that of the tables."""
        body = orjson.dumps(request)
        expected = await self.raw(operation, body, cached=False)
        for _ in range(3):
            assert await self.raw(operation, body) == expected
        return expected


def on_door(test: Callable[[Door], Awaitable[None]], **table: Any) -> None:
    async def run(local: LocalNode) -> None:
        door = Door(local)
        await door.start()
        try:
            await make_table(local.client(), "Tab", **table)
            await test(door)
        finally:
            await door.stop()

    on_loop(run, SystemClock())


def test_a_read_that_is_cached_reaches_no_table() -> None:
    async def test(door: Door) -> None:
        assert await door.ask("GetItem", GET) == {}
        assert door.reads == 1 and len(door.cached.memo) == 1
        assert await door.ask("GetItem", GET) == {}
        assert door.reads == 1
        await door.ask("PutItem", {"TableName": "Tab", "Item": {**KEY, "n": {"N": "1.0"}}})
        before = door.authenticated
        assert await door.ask("GetItem", GET) == {"Item": {**KEY, "n": {"N": "1"}}}
        assert (door.reads, door.authenticated) == (1, before + 1)
        assert await door.ask("GetItem", {**GET, "ConsistentRead": True}) != {}
        assert door.reads == 2
        metrics = door.tier.metrics.snapshot()
        assert (metrics["ItemCacheHits"], metrics["ItemCacheMisses"]) == (2, 1)
        assert metrics["GetItemRequestCount"] == 4
        counted = {stats.operation: sum(stats.counts) for stats in door.telemetry.operations()}
        assert counted == {"GetItem": 4, "PutItem": 1}

    on_door(test)


READS: list[tuple[str, Document]] = [
    ("GetItem", GET),
    ("GetItem", {**GET, "ProjectionExpression": "n, m.x, l[1]"}),
    ("GetItem", {**GET, "AttributesToGet": ["n", "missing"]}),
    ("GetItem", {"TableName": "Tab", "Key": {"pk": {"S": "nobody"}}}),
    ("GetItem", {"TableName": "Tab", "Key": {"pk": {"N": "1"}}}),
    ("GetItem", {"TableName": "Tab", "Key": {}}),
    ("GetItem", {"TableName": "Tab"}),
    ("GetItem", {"TableName": "Missing", "Key": KEY}),
    ("GetItem", {**GET, "ProjectionExpression": "n,,"}),
    ("GetItem", {**GET, "ProjectionExpression": "pk.x"}),
    ("GetItem", {"TableName": "arn:aws:dynamodb:us-east-1:000000000000:table/Tab", "Key": KEY}),
    ("Scan", {"TableName": "Tab"}),
    ("Scan", {"TableName": "Tab", "Limit": 1}),
    ("Scan", {"TableName": "Tab", "ProjectionExpression": "l[1], m.x"}),
    ("Scan", {"TableName": "Tab", "Select": "COUNT"}),
    ("Scan", {"TableName": "Tab", "FilterExpression": "attribute_exists(nothing)"}),
    ("Scan", {"TableName": "Tab", "IndexName": "none"}),
    ("Query", {"TableName": "Tab", "KeyConditionExpression": "pk = :p",
               "ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("Query", {"TableName": "Tab", "KeyConditionExpression": "pk = :p", "ProjectionExpression": "#m.x",
               "ExpressionAttributeNames": {"#m": "m"}, "ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("Query", {"TableName": "Tab", "KeyConditionExpression": "n = :p",
               "ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("BatchGetItem", {"RequestItems": {"Tab": {"Keys": [KEY, {"pk": {"S": "nobody"}}]}}}),
    ("BatchGetItem", {"RequestItems": {"Tab": {"Keys": [KEY], "ProjectionExpression": "l[1], pk"}}}),
    ("BatchGetItem", {"RequestItems": {"Tab": {"Keys": [KEY, KEY]}}}),
    ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "Tab", "Key": KEY}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "request_"), READS, ids=str)
def test_answers_are_those_of_the_tables(operation: str, request_: Document) -> None:
    async def test(door: Door) -> None:
        item = {**KEY, "n": {"N": "1"}, "m": {"M": {"x": {"S": "y"}}}, "l": {"L": [{"N": "1"}, {"S": "2"}]}}
        await door.ask("PutItem", {"TableName": "Tab", "Item": item})
        await door.ask("PutItem", {"TableName": "Tab", "Item": {"pk": {"S": "b"}}})
        await door.both(operation, request_)

    on_door(test)


WRITES: list[tuple[str, Document]] = [
    ("PutItem", {"TableName": "Tab", "Item": KEY, "ReturnValues": "ALL_OLD"}),
    ("PutItem", {"TableName": "Tab", "Item": {"n": {"N": "1"}}}),
    ("PutItem", {"TableName": "Tab", "Item": KEY, "ReturnValues": "ALL_NEW"}),
    ("PutItem", {"TableName": "Tab", "Item": KEY, "ConditionExpression": "attribute_exists(zz)",
                 "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),
    ("PutItem", {"TableName": "Tab", "Item": KEY, "ConditionExpression": "bad bad"}),
    ("UpdateItem", {"TableName": "Tab", "Key": KEY, "UpdateExpression": "SET n = :v", "ReturnValues": "UPDATED_NEW",
                    "ExpressionAttributeValues": {":v": {"N": "5"}}, "ReturnConsumedCapacity": "TOTAL"}),
    ("UpdateItem", {"TableName": "Tab", "Key": KEY, "UpdateExpression": "SET pk = :v",
                    "ExpressionAttributeValues": {":v": {"N": "5"}}}),
    ("DeleteItem", {"TableName": "Tab", "Key": KEY, "ConditionExpression": "attribute_exists(zz)"}),
    ("BatchWriteItem", {"RequestItems": {"Tab": [{"PutRequest": {"Item": KEY}}]}}),
    ("BatchWriteItem", {"RequestItems": {"Tab": []}}),
    ("TransactWriteItems", {"TransactItems": [
        {"Put": {"TableName": "Tab", "Item": KEY, "ConditionExpression": "attribute_not_exists(pk)"}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "request_"), WRITES, ids=str)
def test_writes_answer_as_ever_and_the_cache_follows(operation: str, request_: Document) -> None:
    async def test(door: Door) -> None:
        body = orjson.dumps(request_)
        await door.ask("PutItem", {"TableName": "Tab", "Item": {**KEY, "n": {"N": "1"}}})
        expected = await door.raw(operation, body, cached=False)
        await door.ask("PutItem", {"TableName": "Tab", "Item": {**KEY, "n": {"N": "1"}}})
        assert await door.raw(operation, body) == expected
        strong = await door.raw("GetItem", orjson.dumps({**GET, "ConsistentRead": True}))
        for _ in range(2):
            assert await door.raw("GetItem", orjson.dumps(GET)) == strong

    on_door(test)


def test_capacity_is_told_for_what_was_read_only() -> None:
    async def test(door: Door) -> None:
        query = READS[-7][1]
        for operation, request in (
            ("GetItem", GET),
            ("Scan", {"TableName": "Tab"}),
            ("Query", query),
            ("BatchGetItem", {"RequestItems": {"Tab": {"Keys": [{"pk": {"S": "b"}}]}}}),
        ):
            asked = {**request, "ReturnConsumedCapacity": "TOTAL"}
            assert "ConsumedCapacity" in await door.ask(operation, asked), operation
            assert "ConsumedCapacity" not in await door.ask(operation, asked), operation
        assert len(door.cached.memo) == 3

    on_door(test)


def test_known_bytes_are_checked_for_their_signature() -> None:
    async def test(door: Door) -> None:
        await door.ask("GetItem", GET)
        door.refusing = ApiError("AccessDeniedException", "no")
        status, document = await door.raw("GetItem", orjson.dumps(GET))
        assert (status, document["message"]) == (400, "no")
        assert door.tier.metrics.quick_gets == 0

    on_door(test)


def test_what_is_known_goes_with_its_table_and_its_time() -> None:
    async def test(door: Door) -> None:
        client = door.local.client()
        await door.ask("PutItem", {"TableName": "Tab", "Item": KEY})
        await door.ask("GetItem", GET)
        door.clock.advance(301)
        reads = door.reads
        assert await door.ask("GetItem", GET) == {"Item": KEY}
        assert door.reads == reads + 1
        await client.call("DeleteTable", {"TableName": "Tab"})
        assert "Tab" not in door.context.documents
        assert len(door.cached.memo) == 0 and door.cached.memo.used_bytes == 0
        status, document = await door.raw("GetItem", orjson.dumps(GET))
        assert (status, document["message"]) == (400, "Requested resource not found")
        await make_table(client, "Tab")
        assert await door.ask("GetItem", GET) == {}

    on_door(test)


def test_the_same_bytes_mean_another_thing_to_another_operation() -> None:
    async def test(door: Door) -> None:
        await door.ask("Scan", {"TableName": "Tab"})
        status, _ = await door.raw("Query", orjson.dumps({"TableName": "Tab"}))
        assert status == 400
        description = await door.ask("DescribeTable", {"TableName": "Tab"})
        assert description["Table"]["TableName"] == "Tab"
        assert "Items" in await door.ask("Scan", {"TableName": "Tab"})

    on_door(test)


def test_failures_are_noted_once_and_the_cache_serves_on() -> None:
    async def test(door: Door) -> None:
        await door.ask("GetItem", GET)
        door.failing = unavailable("no leader")
        status, document = await door.raw("GetItem", orjson.dumps({**GET, "ConsistentRead": True}))
        assert status == 503, document
        assert door.noted == [("Tab", document["__type"].partition("#")[2])]
        assert await door.ask("GetItem", GET) == {}
        status, _ = await door.raw("ListTables", b'{"Limit": 0}')
        assert status == 400

    on_door(test)


def test_a_fault_of_the_tier_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(door: Door) -> None:
        def broken(*args: Any, **more: Any) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(door.tier, "run", broken)
        status, document = await door.raw("GetItem", orjson.dumps(GET))
        assert (status, document["__type"].partition("#")[2]) == (500, "InternalServerError")

    on_door(test)


def test_the_memo_keeps_to_its_bytes() -> None:
    class Table:
        name, table_id = "Tab", "t"

    memo = Memo(10_000)
    asked = Asked(b"target", "GetItem", Table, OperationStats("GetItem", "Tab"))  # type: ignore[arg-type]
    for number in range(1000):
        memo.remember(b"%05d" % number, asked, b"key", None)
        memo.used(b"%05d" % max(0, number - 3))
        assert 0 < memo.used_bytes <= 10_000
    assert memo.find(b"00999") is not None and memo.find(b"00001") is None
    memo.remember(b"x" * (LONGEST + 1), asked, b"key", None)
    assert memo.find(b"x" * (LONGEST + 1)) is None
    memo.forget(b"00999")
    memo.forget_table("Other")
    assert len(memo) > 0
    memo.forget_table("Tab")
    assert len(memo) == memo.used_bytes == 0
