"""Pools that run events, without workers: what the functions and destinations do is said by the test.

Everything a pool does to the world outside goes through its `Process`, which can die before any of these steps:
nothing that it does after that has an effect, as after kill -9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hashrange_router.triggers.contracts import (
    TRIGGER_TABLE,
    FunctionVersion,
    Invocation,
    InvocationResult,
    TriggerMetrics,
)
from hashrange_router.triggers.events.queue import DurableEventQueue
from hashrange_router.triggers.events.runner import EventRunner, EventSettings
from hashrange_router.triggers.events.store import EventStore

from hashrange.errors import ApiError
from hashrange.runtime.clock import Clock
from tests.unit.local_support import LocalNode

ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"
Handler = Callable[[Invocation], InvocationResult]


def fine(invocation: Invocation) -> InvocationResult:
    return InvocationResult(b'{"ok":true}')


def failing(invocation: Invocation) -> InvocationResult:
    return InvocationResult(b'{"errorMessage":"no","errorType":"ValueError"}', error="Unhandled")


def throttled(invocation: Invocation) -> InvocationResult:
    raise ApiError("TooManyRequestsException", "Rate Exceeded.", status=429)


class World:
    """What outlives processes: the functions' and destinations' experience."""

    def __init__(self) -> None:
        self.handler: Handler = fine
        self.runs: list[str] = []
        """Request ids, one for each run of a function."""
        self.seen: list[Invocation] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.refuse: ApiError | None = None
        """What destinations answer."""
        self.config: dict[str, Any] = {}
        self.known = True


class Process:
    """One process; `dies_at`: the number of the step that it does not get to any more."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.dies_at = dies_at
        self.steps = 0

    @property
    def dead(self) -> bool:
        return self.dies_at is not None and self.steps >= self.dies_at

    async def step(self, changes: bool = True) -> None:
        """Go on, or never come back; only steps that change something are counted."""
        if self.dead:
            await asyncio.get_running_loop().create_future()
        self.steps += changes


class Pool:
    """A pool with the parts that events need."""

    def __init__(
        self,
        local: LocalNode,
        world: World,
        clock: Clock,
        process: Process | None = None,
        settings: EventSettings | None = None,
        alone: bool = False,
    ) -> None:
        self.process = process or Process()
        self.world = world
        self._client = local.client()
        self.metrics = TriggerMetrics()
        self.store = EventStore(self, clock)
        self.queue = DurableEventQueue(self.store)
        self.runner = EventRunner(
            self.store,
            self,
            self,
            self,
            pool_id="pool",
            clock=clock,
            metrics=self.metrics,
            settings=settings,
            alone=alone,
        )
        self.queue.attach(self.runner)

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        await self.process.step(operation not in ("Query", "GetItem"))
        reply = await self._client.call(operation, request)
        if self.process.dead:
            await self.process.step()
        return reply

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        await self.process.step()
        result = self.world.handler(invocation)
        self.world.runs.append(invocation.request_id)
        self.world.seen.append(invocation)
        if self.process.dead:
            await self.process.step()
        return result

    async def send(self, destination: str, document: dict[str, Any]) -> None:
        await self.process.step()
        if self.world.refuse is not None:
            raise self.world.refuse
        self.world.sent.append((destination, document))
        if self.process.dead:
            await self.process.step()

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> FunctionVersion:
        if not self.world.known:
            raise ApiError("ResourceNotFoundException", f"Function not found: {name_or_arn}", status=404)
        return FunctionVersion("hello", ARN, "$LATEST", "python3.11", "a.b", "0", "0", 3, 128, 512)

    def event_invoke(self, name_or_arn: str, qualifier: str | None = None) -> dict[str, Any]:
        self.resolve(name_or_arn)
        return self.world.config

    def subscribe(self, changed: Callable[[str], None]) -> None:
        """Functions do not change here."""

    async def settle(self) -> None:
        """Until nothing runs here any more, unless the process has died."""
        await until(lambda: not self.runner.statistics()["running"] or self.process.dead)

    async def look(self) -> None:
        """Look for events once, and run what is due."""
        await self.runner.sweep()
        await self.settle()


async def until(condition: Callable[[], bool], pause_s: float = 0.0) -> None:
    """Let everything else go on until a condition holds."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(pause_s)


async def rows(local: LocalNode) -> list[dict[str, Any]]:
    """Every row of events and their pieces."""
    found = (await local.client().call("Scan", {"TableName": TRIGGER_TABLE}))["Items"]
    return [row for row in found if row["sk"]["S"] != "bell"]
