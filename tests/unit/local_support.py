"""A node in memory on the running event loop, and programs with a `LocalClient` of their own in front of it."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from hashrange_node.log.memory import MemoryLog
from hashrange_node.meta.controller import Controller
from hashrange_node.node import Node
from hashrange_node.storage.memory import MemoryEngine
from hashrange_router.api.context import RouterContext
from hashrange_router.api.operations import entries
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.local import InProcessClient

from hashrange.runtime.clock import Clock, StampClock, SystemClock
from hashrange.wire.messages import Done


class LoopTimers:
    """The node's scheduler, on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.call_soon: Callable[[Callable[[], None]], Any] = self._loop.call_soon

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        return self._loop.call_later(max(delay_s, 0.0), callback)


class LocalNode:
    """One node without a disk; made within the event loop that it is to run on."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        loop = asyncio.get_running_loop()
        self.errors: list[tuple[str, BaseException]] = []
        self.node = Node(
            MemoryLog(),
            MemoryEngine(),
            LoopTimers(),
            StampClock(self.clock),
            monotonic=loop.time,
            rng=random.Random(1),
            fatal=lambda why: None,
            on_error=lambda what, error: self.errors.append((what, error)),
        )
        self.controller = Controller(self.node, lambda: self.clock.wall_ms() / 1000)
        self.node.recover(pause=lambda seconds: None)
        self.controller.start()

    def context(self) -> RouterContext:
        """The view of one more program."""
        context = RouterContext(
            Site("us-east-1", "000000000000", Quotas()),
            "2026",
            lambda: self.clock.wall_ms() / 1000,
            lambda: str(uuid.uuid4()),
        )
        catalogue = self.node.catalogue
        context.next_partition_id = lambda: catalogue.next_partition_id
        for name, document in catalogue.documents.items():
            context.follow(name, None, document)
        catalogue.subscribe(context.follow)
        for kind, name, control in catalogue.controls.all():
            context.controls.put(kind, name, control)
        catalogue.subscribe_controls(context.controls.follow)
        return context

    def client(self, transport: Any = None) -> InProcessClient:
        """The client of one more program; `transport` instead of the node itself."""
        context = self.context()
        return InProcessClient(entries(context), context, transport or self.node)

    def send(self, message: Any, done: Done) -> None:
        """As the node's."""
        self.node.send(message, done)

    def stop(self) -> None:
        """Run no more timers."""
        self.controller.stop()
        self.node.stop()


def on_loop(test: Callable[[LocalNode], Awaitable[None]], clock: Clock | None = None) -> None:
    """Run a test on an event loop with a node of its own."""

    async def run() -> None:
        local = LocalNode(clock)
        try:
            await asyncio.wait_for(test(local), 30)
        finally:
            local.stop()
        assert not local.errors, local.errors

    asyncio.run(run())


async def make_table(client: InProcessClient, name: str, hash_type: str = "S", **extra: Any) -> None:
    """CreateTable with the hash key `pk`."""
    await client.call(
        "CreateTable",
        {
            "TableName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": hash_type}],
            "BillingMode": "PAY_PER_REQUEST",
            **extra,
        },
    )
