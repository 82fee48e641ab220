"""Strong reads that are sent to one node on purpose, whatever it is now: leader, follower, or leader no longer.

Routers know better than to ask an old leader. This speaks the nodes' own protocol, as a tool of the cluster, and
notes each read in the history of the load: an old leader that answers with an old value is found by the checker.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from types import TracebackType
from typing import Any

import orjson

from hashrange.errors import ApiError
from hashrange.model.record import HEADER_SIZE
from hashrange.runtime.rpc.identity import TOOL, Identity
from hashrange.runtime.rpc.rpc_peers import RpcPeers
from hashrange.wire.codec import Codec
from hashrange.wire.messages import ReadItem
from tests.cluster.campaign.scene import Scene
from tests.cluster.histories.history import READ, Operation
from tests.cluster.workloads.probes import CODEC, hash_of_key
from tests.cluster.workloads.purses import version_of

PROCESS = 5000
"""The history's number for the client that aims."""


class AimedReads:
    """Reads of the registers in use, of the given partitions, or else of those that the node leads now."""

    def __init__(self, scene: Scene, node: int, partitions: list[dict[str, Any]] | None = None) -> None:
        self.answered = 0
        self.refused = 0
        self._scene = scene
        self._node = node
        layout = scene.cluster.layout()
        self._address = layout.address(layout.find("node", node))
        if partitions is None:
            partitions = [each for each in scene.partitions() if each["leader"] == node]
        self._ranges = [(each["id"], *each["hash_range"]) for each in partitions]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._peers: RpcPeers | None = None

    def __enter__(self) -> AimedReads:
        self._thread.start()
        self._on_loop(self._connect())
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not self._is_up():
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._on_loop(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self) -> None:
        """Send one read for each register in use; answers are noted when they come."""
        self._loop.call_soon_threadsafe(self._send)

    def send_for(self, seconds: float) -> None:
        """Send again and again for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.send()
            time.sleep(0.05)

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _connect(self) -> None:
        identity = Identity(TOOL, 0, "", "", random.getrandbits(63), "")
        self._peers = RpcPeers(identity, lambda node: self._address, Codec())
        self._peers.connect(self._node)

    def _is_up(self) -> bool:
        return self._peers is not None and self._peers.is_up(self._node)

    async def _disconnect(self) -> None:
        assert self._peers is not None
        self._peers.stop()

    def _send(self) -> None:
        assert self._peers is not None
        load = self._scene.load
        names = [(name, False) for name in load.registers.names_in_use()]
        names += [(name, True) for name in load.purses.names_in_use()]
        for name, purse in names:
            hashed = hash_of_key(name)
            for partition, low, high in self._ranges:
                if low <= hashed <= high:
                    message = ReadItem(partition, 0, CODEC.encode({"pk": {"S": name}}), True)
                    operation = load.history.invoke(PROCESS, name, READ)
                    self._peers.request(
                        self._node,
                        message,
                        lambda answer, o=operation, p=purse: self._note(o, p, answer),
                        5.0,
                    )

    def _note(self, operation: Operation, purse: bool, answer: Any) -> None:
        history = self._scene.load.history
        if isinstance(answer, ApiError):
            self.refused += 1
            history.unknown(operation, answer.type_name)
            return
        self.answered += 1
        item = None if answer is None else orjson.loads(answer[HEADER_SIZE:])
        if purse:
            history.ok(operation, version_of(item))
        else:
            history.ok(operation, None if item is None else int(item["v"]["N"]))
