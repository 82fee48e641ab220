"""Cache nodes on loopback ports for tests: a control plane in memory, and tiers that keep books."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from itertools import count
from typing import Any

import uvloop
from hashrange_dax.coherence import PeerCoherence
from hashrange_dax.contracts import BackendDone, BackendReply, Change, Request

from hashrange.errors import ApiError, resource_not_found, unavailable
from hashrange.model.dax import NODE, PRIMARY, NodeDocument, node_name
from hashrange.model.item_state import ItemState
from hashrange.model.table import TableSchema
from hashrange.model.value import dump
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import ConflictError, Done
from tests.unit.dax_tier_support import schema

CLUSTER = "dax"
DEADLINE_S = 25.0
LOOK_S = 0.01
TABLE = schema("tbl", "id-1")
_started: list[Node] = []


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a fresh uvloop; one that hangs fails."""

    async def bounded() -> None:
        _started.clear()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await main()
        except BaseException:
            # What still runs would keep the loop from closing.
            for node in _started:
                node.kill()
            raise

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; the test's own deadline ends a wait that is in vain."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)


class Plane:
    """The control plane. Each node has a view of its own; `away`: nobody reaches it."""

    def __init__(self) -> None:
        self.documents = ControlDocuments()
        self.views: list[ControlDocuments] = []
        self.away = False
        self.changes: list[ChangeDocument] = []
        self._generations = count(1)

    def view(self) -> ControlDocuments:
        found = ControlDocuments()
        for kind, name, document in self.documents.all():
            found.put(kind, name, document)
        self.views.append(found)
        return found

    def send(self, change: ChangeDocument, done: Done) -> None:
        asyncio.get_running_loop().call_soon(lambda: done(self.apply(change)))

    def apply(self, change: ChangeDocument) -> Any:
        if self.away:
            return unavailable("the control plane has no leader")
        known = self.documents.get(change.kind, change.name)
        if change.expected != (known["generation"] if known is not None else None):
            return ConflictError()
        self.changes.append(change)
        return self.put(change.kind, change.name, change.document)

    def put(self, kind: str, name: str, document: Any) -> Any:
        after: Any = None
        if document is not None:
            after = {"generation": next(self._generations), "document": document}
        self.documents.put(kind, name, after)
        for view in self.views:
            view.put(kind, name, after)
        return after

    @property
    def primary(self) -> str | None:
        found = self.documents.get(PRIMARY, CLUSTER)
        return found["document"]["NodeId"] if found is not None else None


class Tables:
    """A `Backend`, as far as the coherence asks one."""

    def table(self, name_or_arn: str) -> TableSchema:
        if name_or_arn != TABLE.name:
            raise resource_not_found()
        return TABLE

    def check(self, operation: str, request: Request) -> None:
        raise AssertionError("nobody has asked for this")

    def run(self, operation: str, request: Request, done: BackendDone) -> None:
        raise AssertionError("nobody has asked for this")


class Books:
    """A tier that writes down what it is told. Writes are answered at once, or when `held` is let go."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.writes: list[tuple[str, Request]] = []
        self.changes: list[Change] = []
        self.dropped: list[tuple[str, bytes]] = []
        self.clears = 0
        self.failure: ApiError | None = None
        self.held: list[Callable[[], None]] | None = None

    def write_here(self, operation: str, request: Request, done: BackendDone) -> None:
        self.writes.append((operation, request))

        def made() -> None:
            if self.failure is not None:
                done(self.failure)
                return
            item = request["Item"]
            state = ItemState(TABLE, TABLE.codec.encode(item), dump(item), len(self.writes))
            self.node.coherence.tell([change(state.key, state.item_json, state.stamp, True)])
            done(BackendReply(b'{"made":"' + self.node.node_id.encode() + b'"}', [state]))

        if self.held is not None:
            self.held.append(made)
        else:
            made()

    def accept(self, changes: Sequence[Change]) -> None:
        self.changes += changes

    def drop(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self.dropped += keys

    def clear(self) -> None:
        self.clears += 1

    @property
    def keys(self) -> list[bytes]:
        return [change.key for change in self.changes]


def change(key: bytes, item_json: bytes | None = b"{}", stamp: int = 1, written: bool = True) -> Change:
    return Change(TABLE.table_id, key, item_json, stamp, written)


def put(pk: str = "k", **more: Any) -> Request:
    return {"TableName": TABLE.name, "Item": {"pk": {"S": pk}, **more}}


class Node:
    """A cache node with a tier that keeps books."""

    def __init__(self, plane: Plane, number: int, process: str = "p1", **settings: Any) -> None:
        self.plane = plane
        self.number = number
        self.node_id = f"n{number}"
        self.process = process
        self.controls = plane.view()
        self.coherence = PeerCoherence(
            cluster=settings.pop("cluster", CLUSTER),
            node_id=self.node_id,
            number=number,
            process=process,
            controls=self.controls,
            send=plane.send,
            backend=Tables(),
            **settings,
        )
        self.tier = self.coherence.tier = Books(self)
        self.port = 0

    async def start(self) -> None:
        self.port = await self.coherence.start("127.0.0.1", 0)
        _started.append(self)
        document = NodeDocument(
            NodeId=self.node_id,
            Number=self.number,
            AvailabilityZone="a",
            Host="127.0.0.1",
            Port=1,
            HttpPort=2,
            Peer=f"127.0.0.1:{self.port}",
            Admin="",
            Process=self.process,
            Started=0.0,
            Reboots=0,
        )
        self.plane.put(NODE, node_name(CLUSTER, self.node_id), document)

    async def stop(self) -> None:
        await self.coherence.stop()
        self.unregister()

    def unregister(self) -> None:
        self.plane.put(NODE, node_name(CLUSTER, self.node_id), None)

    def connections(self) -> list[Any]:
        """All that are up, of both directions."""
        coherence: Any = self.coherence
        up = [link.up for link in coherence._links.values() if link.up is not None]
        return [*up, *coherence._receiving._by_node.values()]

    def kill(self, silently: bool = False) -> None:
        """End without a word, as a process that is killed; `silently`: as a machine that loses its power."""
        coherence: Any = self.coherence
        coherence._timer.cancel()
        coherence._receiving.stopping = True
        coherence._listener.close()
        for connection in self.connections():
            if silently:
                connection.mute(True)
        links, coherence._links = list(coherence._links.values()), {}
        for link in links:
            if silently:
                link._stopped = True
            else:
                link.stop(goodbye=False)
        if not silently:
            for connection in list(coherence._receiving._by_node.values()):
                connection.close("killed", flush=True)

    async def write(self, request: Request | None = None) -> BackendReply | ApiError:
        answered: asyncio.Future[BackendReply | ApiError] = asyncio.get_running_loop().create_future()
        self.coherence.write("PutItem", request or put(), answered.set_result)
        return await answered


async def cluster(plane: Plane, nodes: int, **settings: Any) -> list[Node]:
    """Nodes n1 ..., of which n1 is the primary, all connected."""
    made = [Node(plane, number, **settings) for number in range(1, nodes + 1)]
    for node in made:
        await node.start()
        await until(lambda: plane.primary == "n1")
    for node in made:
        assert await node.coherence.joined(DEADLINE_S)
    return made


async def stop(*nodes: Node) -> None:
    for node in nodes:
        await node.stop()
