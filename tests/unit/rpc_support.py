"""Servers and peers on loopback ports: shared by the tests of the RPC layer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop
from hashrange_node.raft_codec import RaftMessages

from hashrange.runtime.rpc import Identity, Peer, RpcPeers, RpcServer
from hashrange.runtime.rpc.peers import Done
from hashrange.wire.codec import Codec

CODEC = Codec(RaftMessages())
DEADLINE_S = 20.0


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a fresh uvloop; one that hangs fails."""

    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


def node(number: int, cluster: str = "c1", process: int = 0) -> Identity:
    return Identity("node", number, cluster, f"{number:02x}", process or 100 + number, f"az{number}")


class Answers:
    """A handler that answers with `answer(message)`, or keeps the request while that is None."""

    def __init__(self, answer: Callable[[Any], Any] | None = None) -> None:
        self.answer = answer
        self.asked: list[tuple[Peer, Any, Done]] = []
        self.told: list[tuple[Peer, Any]] = []

    def request(self, peer: Peer, message: Any, done: Done) -> None:
        self.asked.append((peer, message, done))
        if self.answer is not None:
            done(self.answer(message))

    def cast(self, peer: Peer, message: Any) -> None:
        self.told.append((peer, message))


class Pair:
    """Node 1 serving, node 2 asking it; `addresses` may be changed."""

    def __init__(self, handler: Any, server: Identity | None = None, asking: Identity | None = None) -> None:
        self.handler = handler
        self.here = Answers(lambda message: "here")
        self.server = RpcServer(server or node(1), CODEC, handler)
        self.asking = asking or node(2)
        self.addresses: dict[int, str] = {}
        self.ups: list[tuple[int, int, bool]] = []
        self.downs: list[int] = []

    async def __aenter__(self) -> Pair:
        self.port = await self.server.start("127.0.0.1", 0)
        self.addresses[1] = f"127.0.0.1:{self.port}"
        self.peers = RpcPeers(self.asking, self.addresses.get, CODEC, handler=self.here, rng=random.Random(1))
        self.peers.listen(lambda *up: self.ups.append(up), self.downs.append)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.peers.stop()
        await self.server.stop()

    async def ask(self, message: Any, node: int = 1, timeout_s: float = 10.0) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.peers.request(node, message, answer.set_result, timeout_s)
        return await answer

    async def connected(self) -> None:
        self.peers.connect(1)
        await until(lambda: self.peers.is_up(1))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something to become true; the deadline of the test bounds it."""
    while not holds():  # noqa: ASYNC110 (what is waited for sends no signal)
        await asyncio.sleep(0.005)
