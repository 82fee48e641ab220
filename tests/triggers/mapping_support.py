"""Pools with event source mappings on a simulated clock: streams and functions are made up, the system table is real.

    def test_something() -> None:
        async def play(world: World) -> None:
            world.stream.open("a"); world.stream.write("a", "key1")
            pool = await world.pool("one"); world.map()
            await world.until(lambda: world.function.taken == [1])
        simulate(play)

Time jumps to the next thing that is due, so minutes pass in no time, and the same way each time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.streams.reader import Page, Stream
from hashrange_router.triggers.contracts import (
    MAPPING,
    STATUS_ROW,
    TRIGGER_TABLE,
    FunctionVersion,
    Invocation,
    InvocationResult,
    LocalClient,
    TriggerMetrics,
)
from hashrange_router.triggers.mapping.manager import Mappings

from hashrange.errors import ApiError, resource_not_found
from hashrange.model.key import KeyCodec, KeyPart
from hashrange.model.stream_record import INSERT, StreamRecord
from hashrange.model.stream_sequence import sequence_from
from hashrange.wire.documents import ChangeDocument, ControlDocument
from hashrange.wire.streams import Shard
from tests.unit.local_support import LocalNode

STREAM_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2024-01-01T00:00:00.000"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
UUID = "6a2cd4c8-0000-4000-8000-000000000001"
START_MS = 1_700_000_000_000
DEADLINE_S = 300.0
"""Of simulated time: a condition that is not true by then never will be."""

Handler = Callable[[dict[str, Any], str], Awaitable[Any]]


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when there is nothing to do."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        loop = cast(Any, self)
        if not loop._ready and loop._scheduled:
            self._now = max(self._now, loop._scheduled[0]._when)
        super()._run_once()  # type: ignore[misc]


class LoopClock:
    """The clock of one pool. It can be stopped, as seen by a process that does not run."""

    def __init__(self) -> None:
        self.stopped_at: float | None = None

    def monotonic(self) -> float:
        now = asyncio.get_running_loop().time()
        return now if self.stopped_at is None else self.stopped_at

    def wall_ms(self) -> int:
        return START_MS + round(self.monotonic() * 1000)

    def stop(self) -> None:
        self.stopped_at = self.monotonic()


class FakeStream:
    """A stream as `StreamReader` gives it. Records are numbered 1, 2, ... over all shards."""

    def __init__(self) -> None:
        self.codec = KeyCodec((KeyPart("pk", "S"),), ())
        self.shard: dict[str, Shard] = {}
        self.records: dict[str, list[StreamRecord]] = {}
        self.keys: dict[int, str] = {}
        self.reads = 0
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    def open(self, name: str, parent: str | None = None) -> None:
        """A new shard."""
        now_ms = START_MS + round(asyncio.get_running_loop().time() * 1000)
        self.shard[name] = Shard(
            name, "label", "NEW_AND_OLD_IMAGES", 1, 0, parent, next(self._numbers), now_ms
        )
        self.records[name] = []

    def close(self, name: str) -> None:
        """Nothing comes any more."""
        now_ms = START_MS + round(asyncio.get_running_loop().time() * 1000)
        self.shard[name] = replace(self.shard[name], end=next(self._numbers), closed_ms=now_ms)
        self._tell()

    def write(self, name: str, key: str, value: str = "", age_ms: int = 0) -> int:
        """A record; returns its number."""
        number = next(self._numbers)
        now_ms = START_MS + round(asyncio.get_running_loop().time() * 1000) - age_ms
        item = {"pk": {"S": key}, "v": {"S": value}}
        encoded = self.codec.encode(item)
        self.records[name].append(
            StreamRecord(number, INSERT, encoded, None, orjson.dumps(item), 10, now_ms << 16, False)
        )
        self.keys[number] = key
        self._tell()
        return number

    def trim(self, name: str, up_to: int) -> None:
        """Records up to a number are gone."""
        self.records[name] = [record for record in self.records[name] if record.sequence > up_to]
        self.shard[name] = replace(self.shard[name], trimmed=up_to)

    def forget(self, name: str) -> None:
        """The shard is gone."""
        del self.shard[name], self.records[name]
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def stream(self, stream_arn: str) -> Stream:
        if stream_arn != STREAM_ARN:
            raise resource_not_found(f"Requested resource not found: Stream: {stream_arn} not found")
        return Stream(
            STREAM_ARN,
            "label",
            "T",
            "id",
            "NEW_AND_OLD_IMAGES",
            "ENABLED",
            0.0,
            [],
            self.codec,
            cast(Any, None),
        )

    async def shards(self, stream_arn: str) -> list[Shard]:
        await asyncio.sleep(0.001)
        return sorted(self.shard.values(), key=lambda shard: shard.start)

    async def read(self, shard: Shard, after: int, limit: int, max_bytes: int, wait_ms: int = 0) -> Page:
        self.reads += 1
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_ms / 1000
        while True:
            now = self.shard.get(shard.id)
            if now is None:
                raise resource_not_found("Shard does not exist")
            if after and after < now.trimmed:
                raise ApiError("TrimmedDataAccessException", "gone")
            found = [record for record in self.records[shard.id] if record.sequence > after][:limit]
            last = found[-1].sequence if found else after
            everything = not any(record.sequence > last for record in self.records[shard.id])
            ended = now.end is not None and everything
            if found or ended or loop.time() >= until - 1e-6:
                return Page(found, last, ended)
            try:
                await asyncio.wait_for(self._changed.wait(), until - loop.time())
            except TimeoutError:
                pass

    async def locate(self, shard: Shard, at_ms: int | None) -> int:
        after = 0
        for record in self.records[shard.id]:
            if at_ms is None or record.stamp >> 16 < at_ms:
                after = record.sequence
        return after


class FakeFunction:
    """The function of all mappings, and the log of its calls. `handler(event, pool)` may raise ApiError."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.calls: list[tuple[float, str, list[int]]] = []
        self.events: list[dict[str, Any]] = []
        self.taken: list[int] = []
        self.running: dict[str, int] = {}
        self.together = 0
        """The most calls at once with records of one item's shard (`running` is by key)."""
        self.missing = False

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> FunctionVersion:
        if self.missing:
            raise ApiError("ResourceNotFoundException", "Function not found", status=404)
        return FunctionVersion(
            "f", FUNCTION_ARN, "$LATEST", "python3.11", "app.handler", "0", "r1", 3, 128, 512
        )

    async def invoke(self, pool: str, invocation: Invocation) -> InvocationResult:
        event = orjson.loads(invocation.payload)
        numbers = numbers_of(event)
        self.calls.append((asyncio.get_running_loop().time(), pool, numbers))
        self.events.append(event)
        keys = {record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"]}
        for key in keys:
            self.running[key] = self.running.get(key, 0) + 1
            self.together = max(self.together, self.running[key])
        try:
            answer = await self.handler(event, pool) if self.handler is not None else None
        finally:
            for key in keys:
                self.running[key] -= 1
        if isinstance(answer, InvocationResult):
            return answer
        self.taken += numbers
        return InvocationResult(orjson.dumps(answer))


def numbers_of(event: dict[str, Any]) -> list[int]:
    """The numbers of an event's records."""
    return [sequence_from(record["dynamodb"]["SequenceNumber"]) for record in event["Records"]]


def failed(kind: str = "Unhandled") -> InvocationResult:
    """What the invoker gives when the handler has raised."""
    return InvocationResult(b'{"errorMessage": "no"}', error=kind)


class Letters:
    """A destination that keeps what it is sent; it may be out of order."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.broken = 0

    async def send(self, destination: str, document: dict[str, Any]) -> None:
        if self.broken:
            self.broken -= 1
            raise ApiError("ServiceException", "out of order", status=500)
        self.sent.append((destination, document))


class Line:
    """A pool's way to the system table. While it is cut requests are held, and arrive once it is mended: also those
    that nobody waits for any more. `held`: the operations that were."""

    def __init__(self, client: LocalClient) -> None:
        self._client = client
        self._open = asyncio.Event()
        self._open.set()
        self.dead = False
        self.held: list[str] = []

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if not self._open.is_set():
            self.held.append(operation)
        return await asyncio.shield(asyncio.ensure_future(self._carry(operation, request)))

    async def _carry(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        await self._open.wait()
        if self.dead:
            await asyncio.Event().wait()
        return await self._client.call(operation, request)

    async def send(self, message: Any) -> Any:
        await self._open.wait()
        return await self._client.send(message)


class _Invoker:
    def __init__(self, function: FakeFunction, pool: str) -> None:
        self._function, self._pool = function, pool

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        return await self._function.invoke(self._pool, invocation)


@dataclass
class Pool:
    """One pool: its mappings, and what it is connected with."""

    name: str
    mappings: Mappings
    line: Line
    clock: LoopClock
    metrics: TriggerMetrics

    async def stop(self) -> None:
        await self.mappings.stop()


@dataclass
class World:
    """Everything; see the module."""

    local: LocalNode
    stream: FakeStream = field(default_factory=FakeStream)
    function: FakeFunction = field(default_factory=FakeFunction)
    letters: Letters = field(default_factory=Letters)
    pools: dict[str, Pool] = field(default_factory=dict)
    alive: list[tuple[str, str]] = field(default_factory=list)
    mapping: ControlDocument | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = self.local.client()

    async def pool(self, name: str, alone: bool = False) -> Pool:
        """Start a pool; `alone`: one that knows that there is no other."""
        clock = LoopClock()
        line = Line(self.local.client())
        metrics = TriggerMetrics()
        ids = itertools.count()
        mappings = Mappings(
            cast(Any, self.stream),
            line,
            cast(Any, self.function),
            _Invoker(self.function, name),
            self.letters,
            self,
            metrics,
            pool_id=name,
            site=Site("us-east-1", "000000000000", Quotas()),
            clock=clock,
            new_id=lambda: f"{name}-{next(ids)}",
            alone=alone,
        )
        pool = Pool(name, mappings, line, clock, metrics)
        self.pools[name] = pool
        self.alive = sorted([*self.alive, (name, "address")])
        mappings.load(self.local.node.catalogue.controls)
        self.local.node.catalogue.subscribe_controls(mappings.follow)
        await mappings.start()
        return pool

    def kill(self, name: str) -> None:
        """A pool ends at once, without a word; its workers do too."""
        pool = self.pools.pop(name)
        pool.line.dead = True
        for runner, task in pool.mappings._runners.values():
            task.cancel()
            for _, shard in runner._running.values():
                shard.cancel()
        self.leave(name)

    def leave(self, name: str) -> None:
        """A pool is not seen as alive any more."""
        self.alive = [each for each in self.alive if each[0] != name]

    async def map(self, **settings: Any) -> None:
        """Make the mapping, or change it."""
        found = self.local.node.catalogue.controls.get(MAPPING, UUID)
        document: dict[str, Any]
        if found is None:
            document = {
                "UUID": UUID,
                "EventSourceArn": STREAM_ARN,
                "FunctionArn": FUNCTION_ARN,
                "StartingPosition": "TRIM_HORIZON",
                "State": "Enabled",
                "Revision": 1,
                "Created": (START_MS + round(asyncio.get_running_loop().time() * 1000)) / 1000,
                **settings,
            }
        else:
            revision = found["document"]["Revision"] + 1
            document = {**found["document"], "Revision": revision, **settings}
        await self.client.send(
            ChangeDocument(MAPPING, UUID, None if found is None else found["generation"], document)
        )

    async def rows(self) -> dict[str, dict[str, Any]]:
        """The mapping's rows in the system table, by sort key."""
        reply = await self.client.call(
            "Query",
            {
                "TableName": TRIGGER_TABLE,
                "KeyConditionExpression": "pk = :p",
                "ExpressionAttributeValues": {":p": {"S": f"mapping#{UUID}"}},
                "ConsistentRead": True,
            },
        )
        return {item["sk"]["S"]: item for item in reply["Items"]}

    async def checkpoint(self, shard: str) -> int:
        """How far a shard's row says that it is; -1 without one."""
        row = (await self.rows()).get(shard)
        return -1 if row is None else sequence_from(row["checkpoint"]["S"])

    async def status(self) -> tuple[int, str] | None:
        """Revision and result of the status row."""
        row = (await self.rows()).get(STATUS_ROW)
        return None if row is None else (int(row["revision"]["N"]), row["result"]["S"])

    async def checkpoint_is(self, shard: str, number: int) -> bool:
        """Whether a shard's row is so far."""
        return await self.checkpoint(shard) == number

    async def status_is(self, revision: int, result: str) -> bool:
        """Whether the status row says so."""
        return await self.status() == (revision, result)

    def of_key(self, key: str) -> list[int]:
        """The numbers of a key's records, in the order in which the function has taken them."""
        return [number for number in self.function.taken if self.stream.keys[number] == key]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something is so."""
        deadline = asyncio.get_running_loop().time() + DEADLINE_S
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            assert asyncio.get_running_loop().time() < deadline, self.function.calls[-20:]
            await asyncio.sleep(0.02)


async def elapse(seconds: float) -> None:
    """Let simulated time pass."""
    await asyncio.sleep(seconds)


def simulate(play: Callable[[World], Awaitable[None]]) -> None:
    """Play a scene on a simulated clock. Whatever is still running at its end is stopped."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)

    async def run() -> None:
        local = LocalNode(LoopClock())
        world = World(local)
        try:
            await play(world)
        finally:
            for pool in world.pools.values():
                pool.line.mend()
                await pool.stop()
            local.stop()
        assert not local.errors, local.errors

    try:
        loop.run_until_complete(run())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
