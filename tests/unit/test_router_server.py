"""A whole router in front of nodes that are models behind real connections."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from hashrange_router.api.tables_create import plan_create

from hashrange.cli.router_server import RouterServer, start_router
from hashrange.model import record as records
from hashrange.model.table_document import ACTIVE
from hashrange.routing import view as views
from hashrange.runtime.cluster_config import RouterConfig
from hashrange.runtime.rpc import Identity, Peer, RpcServer
from hashrange.wire import messages as wire
from hashrange.wire.capacity import CapacityReport
from hashrange.wire.cluster import CONTROL, CatalogueUpdate, WatchCatalogue
from hashrange.wire.codec import Codec
from hashrange.wire.faults import Unreachable
from tests.unit.routing_support import FakePeers, Time, placement

WAIT_S = 20.0


def document(name: str, partition: int) -> dict[str, Any]:
    request = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    made = plan_create(
        request,
        now=0.0,
        table_id=name,
        region="us-east-1",
        account="0" * 12,
        next_partition_ids=lambda: partition,
    )
    return {**made, "Status": ACTIVE}


class Cluster:
    """Three nodes: the control plane is led by 3, table Music (partition 7) by 2."""

    def __init__(self) -> None:
        self.model = FakePeers(Time())
        for partition, leader in ((CONTROL, 3), (7, 2)):
            self.model.placements[partition] = placement(partition, [1, 2, 3])
            self.model.leaders[partition] = leader
        self.model.override = self.override
        self.values: dict[bytes, bytes] = {views.TABLE + b"Music": orjson.dumps(document("Music", 7))}
        self.index = 5
        self.servers: dict[int, RpcServer] = {}
        self.addresses: dict[int, str] = {}
        self.watchers: list[Peer] = []
        self.unheard: list[int] = []
        """Partitions that the control plane names, and of which no catalogue tells yet."""
        self.consumed: dict[str, int] = {}
        """Half units read, as the router reported them."""

    async def start(self, node: int) -> None:
        handler = Node(self, node)
        server = RpcServer(Identity("node", node, "c1", "00", node, f"az{node}"), Codec(), handler)
        port = await server.start("127.0.0.1", 0)
        self.servers[node] = server
        self.addresses[node] = f"127.0.0.1:{port}"
        self.put(
            views.NODE + node.to_bytes(8, "big"),
            {
                "id": node,
                "az": f"az{node}",
                "address": self.addresses[node],
                "state": "up",
                "generation": 1,
            },
        )

    def put(self, key: bytes, value: Any) -> None:
        before, self.index = self.index, self.index + 1
        self.values[key] = orjson.dumps(value)
        for watcher in self.watchers:
            watcher.cast(CatalogueUpdate(self.index, False, [(key, self.values[key])], before))

    def override(self, node: int, message: Any) -> Any:
        if isinstance(message, wire.ReadItem) and self.model.leaders.get(message.partition) == node:
            return records.pack(b'{"k":{"S":"a"}}', 2, 0, 0)
        if isinstance(message, CapacityReport) and node == 3:
            for need in message.needs:
                self.consumed[need.table] = self.consumed.get(need.table, 0) + need.read_used
            return {"grants": [], "valid_ms": 2_500, "period_ms": 100}
        if isinstance(message, wire.ChangeTable) and node == 3:
            assert message.document is not None
            (partition,) = message.partition_ids
            made = placement(partition, [1, 2, 3], table=message.name)
            self.model.placements[partition], self.model.leaders[partition] = made, 1
            self.put(views.PLACEMENT + partition.to_bytes(8, "big"), made)
            loop = asyncio.get_running_loop()
            after = {**message.document, "Status": ACTIVE, "Generation": 2}
            # The view hears of it later than the change is answered.
            loop.call_later(0.05, lambda: self.put(views.TABLE + message.name.encode(), after))
            return message.document
        return None

    def update(self) -> CatalogueUpdate:
        entries: list[tuple[bytes, bytes | None]] = [
            (views.CLUSTER, b'{"cluster":"c1"}'),
            (views.NEXT_PARTITION, b"20"),
            *(
                (views.PLACEMENT + p.to_bytes(8, "big"), orjson.dumps(v))
                for p, v in self.model.placements.items()
            ),
            *self.values.items(),
        ]
        return CatalogueUpdate(self.index, True, entries)


class Node:
    def __init__(self, cluster: Cluster, node: int) -> None:
        self.cluster = cluster
        self.node = node

    def request(self, peer: Peer, message: Any, done: wire.Done) -> None:
        if isinstance(message, WatchCatalogue):
            done(None)
            self.cluster.watchers.append(peer)
            peer.cast(self.cluster.update())
        elif isinstance(message, wire.WhenSettled):
            done(None)
        else:
            answer = self.cluster.model.answer(self.node, message)
            named = [{"id": p} for p in (*self.cluster.model.placements, *self.cluster.unheard)]
            done({"nodes": [], "partitions": named} if answer == b"done" else answer)

    def cast(self, peer: Peer, message: Any) -> None:
        raise AssertionError("a router casts nothing")


def call(port: int, target: str | None, body: Any = None, path: str = "/") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        if target is None:
            connection.request("GET", path)
        else:
            headers = {
                "X-Amz-Target": f"DynamoDB_20120810.{target}",
                "Content-Type": "application/x-amz-json-1.0",
                "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, "
                "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0",
                "X-Amz-Date": "20260101T000000Z",
            }
            connection.request("POST", path, orjson.dumps(body), headers)
        reply = connection.getresponse()
        data = reply.read()
        return reply.status, data if target is None else orjson.loads(data)
    finally:
        connection.close()


async def eventually(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await what():  # noqa: ASYNC110  (what is waited for happens behind HTTP)
            await asyncio.sleep(0.02)


async def running(router: RouterServer, cluster: Cluster) -> None:
    get = {"TableName": "Music", "Key": {"k": {"S": "a"}}, "ConsistentRead": True}

    async def api(target: str, body: Any) -> tuple[int, Any]:
        return await asyncio.to_thread(call, router.port, target, body)

    async def ready() -> bool:
        status, _ = await asyncio.to_thread(call, router.port, None, None, "/health/ready")
        return status == 200

    async def seen() -> bool:
        return router.control_seen

    assert not await ready()
    assert "catalogue" in router.not_ready()
    status, error = await api("GetItem", get)
    assert status == 503 and error["__type"].endswith("#ServiceUnavailable"), "it does not know what exists"
    await cluster.start(2)
    await cluster.start(3)
    router._seeds.update(cluster.addresses)
    cluster.unheard.append(99)
    await eventually(seen)
    assert not await ready(), "a catalogue of long ago is not the truth"
    status, error = await api("GetItem", get)
    assert status == 503 and "catalogue" in error["message"]
    cluster.unheard.clear()
    await eventually(ready)
    assert router.identity.cluster == "c1"
    assert await api("GetItem", get) == (200, {"Item": {"k": {"S": "a"}}})

    async def reported() -> bool:
        return cluster.consumed == {"Music": 2}

    await eventually(reported)
    status, _ = await api(
        "CreateTable",
        {
            "TableName": "Second",
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    assert status == 200 and "Second" in router.context.tables, "who created a table may use it at once"
    await cluster.start(1)
    put = {"TableName": "Second", "Item": {"k": {"S": "a"}}}
    assert (await api("PutItem", put))[0] == 200

    cluster.model.leaders[7] = 3
    await cluster.servers[2].stop()
    assert (await api("GetItem", get))[0] == 200
    status, metrics = await asyncio.to_thread(call, router.admin.port, None, None, "/metrics")
    assert status == 200 and b"hashrange_catalogue_index" in metrics

    cluster.model.override = lambda node, message: Unreachable(node, True)
    status, error = await api("PutItem", put)
    assert status == 500 and "partition 20 of table Second" in error["message"]
    status, error = await api("GetItem", get)
    assert status == 503 and error["__type"].endswith("#ServiceUnavailable")


def test_a_router_from_its_start_to_its_end() -> None:
    async def main() -> None:
        cluster = Cluster()
        config = RouterConfig.model_validate(
            {"port": 0, "seeds": ["2/127.0.0.1:1"], "request_deadline_s": 1.0, "az": "az2"}
        )
        router = await start_router(config)
        try:
            await running(router, cluster)
        finally:
            await router.stop()
            for server in cluster.servers.values():
                await server.stop()
        assert router.not_ready() == "stopping"

    asyncio.run(main())


def test_routers_share_a_port() -> None:
    async def main() -> None:
        settings = {"seeds": ["1/127.0.0.1:1"], "reuse_port": True}
        first = await start_router(RouterConfig.model_validate({**settings, "port": 0}))
        try:
            second = await start_router(
                RouterConfig.model_validate({**settings, "port": first.port, "id": 2})
            )
            await second.stop()
            with pytest.raises(OSError):
                await start_router(
                    RouterConfig.model_validate({"seeds": ["1/127.0.0.1:1"], "port": first.port})
                )
        finally:
            await first.stop()

    asyncio.run(main())
