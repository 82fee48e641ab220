"""Cache nodes as programs, in this process: behind the door of an embedded node they join, serve and leave."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hashrange_router.dax.lifecycle import ensure_cluster
from hashrange_router.dax.setting import DaxSite
from pydantic import ValidationError

from hashrange.cli import dax_server
from hashrange.cli.dax.embedded_door import EmbeddedDoor
from hashrange.cli.dax.pages import DaxPages
from hashrange.cli.dax.sending import carry_out
from hashrange.cli.dax.tls import authority_of, issue, make_authority
from hashrange.cli.dax_server import DaxServer, start_dax
from hashrange.errors import ApiError
from hashrange.model import dax
from hashrange.runtime.clock import SystemClock
from hashrange.runtime.cluster_config import DaxConfig
from hashrange.runtime.cluster_settings import load_dax
from hashrange.runtime.settings import ConfigError
from tests.unit.local_support import LocalNode

TIMEOUT_S = 20.0
TABLE = {
    "TableName": "music",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
KEY = {"pk": {"S": "a"}}


class World:
    """An embedded node with a table and the door that cache nodes come through."""

    def __init__(self) -> None:
        self.local = LocalNode()
        self.client = self.local.client()
        self.context = self.local.context()
        self.door = EmbeddedDoor(self.local.node)
        self.servers: list[DaxServer] = []

    def config(self, **changes: Any) -> DaxConfig:
        values = {
            "seeds": [self.door.seed],
            "pass_key": self.door.pass_key,
            "port": 0,
            "dax_port": 0,
            "peer_port": 0,
            "shutdown_grace_s": 1,
            **changes,
        }
        return DaxConfig.model_validate(values)

    async def start(self, **changes: Any) -> DaxServer:
        server = await start_dax(self.config(**changes))
        self.servers.append(server)
        return server

    async def ready(self, **changes: Any) -> DaxServer:
        server = await self.start(**changes)
        await until(lambda: not server.not_ready())
        return server

    def nodes(self) -> dict[str, Any]:
        return {name: each["document"] for name, each in self.context.controls.of(dax.NODE).items()}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.005)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    await made.door.start()
    await made.client.call("CreateTable", dict(TABLE))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield made
    finally:
        for server in made.servers:
            await server.stop()
        await made.door.stop()
        made.local.node.stop()


def run(work: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with world() as made:
            await work(made)

    asyncio.run(main())


async def get(server: DaxServer, key: dict[str, Any] = KEY) -> dict[str, Any] | None:
    """GetItem at the HTTP door."""
    body = json.dumps({"TableName": "music", "Key": key}).encode()
    answer = await post(server.port, "DynamoDB_20120810.GetItem", body)
    assert "__type" not in answer, answer
    item: dict[str, Any] | None = answer.get("Item")
    return item


async def post(port: int, target: str, body: bytes) -> dict[str, Any]:
    head = (
        f"POST / HTTP/1.1\r\nhost: x\r\nx-amz-date: 20260101T000000Z\r\n"
        f"x-amz-target: {target}\r\ncontent-type: application/x-amz-json-1.0\r\n"
        "authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, "
        f"SignedHeaders=host, Signature=0\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return await exchange(port, head.encode() + body)


async def page(port: int, path: str) -> dict[str, Any]:
    return await exchange(port, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())


async def exchange(port: int, request: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def test_a_node_follows_the_tables_joins_and_leaves() -> None:
    async def work(made: World) -> None:
        await made.client.call("PutItem", {"TableName": "music", "Item": {**KEY, "n": {"N": "1"}}})
        server = await made.ready(id=7, cluster="mine")
        document = made.nodes()["mine/mine-7"]
        assert document["HttpPort"] == server.port
        assert made.context.controls.of(dax.CLUSTER)["mine"]["document"]["Managed"] is False
        assert await get(server) == {**KEY, "n": {"N": "1"}}
        await made.client.call("PutItem", {"TableName": "music", "Item": {**KEY, "n": {"N": "2"}}})
        assert await get(server) == {**KEY, "n": {"N": "1"}}  # from the cache: the write went around it
        told = await page(server.admin.port, "/dax/stats")
        assert told["metrics"]["ItemCacheHits"] == told["metrics"]["ItemCacheMisses"] == 1
        assert told["primary"] is True
        await server.stop()
        made.servers.clear()
        assert made.nodes() == {}
        assert made.context.controls.of(dax.CLUSTER) == {}

    run(work)


def test_tables_made_and_deleted_later_are_known() -> None:
    async def work(made: World) -> None:
        server = await made.ready()
        await made.client.call("CreateTable", {**TABLE, "TableName": "later"})
        await until(lambda: "later" in server.view.documents)
        body = json.dumps({"TableName": "later", "Item": KEY}).encode()
        assert await post(server.port, "DynamoDB_20120810.PutItem", body) == {}
        assert (await made.client.call("GetItem", {"TableName": "later", "Key": KEY}))["Item"] == KEY
        await made.client.call("DeleteTable", {"TableName": "later"})
        await until(lambda: "later" not in server.view.documents)
        placed = {placement["table"] for placement in server.view.placements.values()}
        assert placed == {"music"}

    run(work)


def test_nodes_of_a_cluster_keep_their_caches_alike() -> None:
    async def work(made: World) -> None:
        first, second = await made.ready(id=1), await made.ready(id=2)
        assert await get(second) is None
        body = json.dumps({"TableName": "music", "Item": {**KEY, "n": {"N": "5"}}}).encode()
        await post(first.port, "DynamoDB_20120810.PutItem", body)
        while await get(second) != {**KEY, "n": {"N": "5"}}:  # noqa: ASYNC110 - nobody here is told
            await asyncio.sleep(0.01)

    run(work)


def test_nobody_without_the_key_comes_through_the_door() -> None:
    async def work(made: World) -> None:
        refused: list[Any] = []
        server = await made.start(pass_key="00")
        server.peers.request(1, probe(), refused.append)
        await until(lambda: bool(refused))
        assert isinstance(refused[0], ApiError)
        assert refused[0].type_name == "AccessDeniedException"
        assert server.not_ready()

    run(work)


def probe() -> Any:
    from hashrange.wire.messages import TableStatistics

    return TableStatistics("music")


def test_another_process_of_the_same_name_ends_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(dax_server, "fatal", lambda sentence, code: said.append(sentence))

    async def work(made: World) -> None:
        await made.ready()
        second = await made.ready()
        await until(lambda: bool(said))
        assert "another process is node dax-1" in said[0]
        assert made.nodes()["dax/dax-1"]["HttpPort"] == second.port

    run(work)


def test_a_document_removed_by_mistake_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashrange.cli.dax.registration.AGAIN_S", 0.01)

    async def work(made: World) -> None:
        server = await made.ready()
        pages = DaxPages(made.context, made.local.node, SystemClock(), lambda: 1, None)
        await pages.gone("dax", "dax-1", made.nodes()["dax/dax-1"]["Process"])
        await until(lambda: "dax/dax-1" in made.nodes())
        assert not server.not_ready()

    run(work)


def test_a_cluster_with_a_supervisor_takes_no_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(dax_server, "fatal", lambda sentence, code: said.append(sentence))

    async def work(made: World) -> None:
        site = DaxSite("127.0.0.1", 20_000)
        await carry_out(made.local.node, ensure_cluster(made.context, site, "dax", 1))
        await made.start(id=9)
        await until(lambda: bool(said))
        assert "has a supervisor that starts its nodes, and dax-9 is none of them" in said[0]

    run(work)


def test_tls_with_the_certificate_of_the_installation() -> None:
    async def work(made: World) -> None:
        await made.ready(tls=True)
        document = made.nodes()["dax/dax-1"]
        authority = await authority_of(made.context.controls, made.local.node, SystemClock().wall_ms() / 1000)
        context = ssl.create_default_context(cadata=authority.certificate)
        for name in ("127.0.0.1", "localhost"):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", document["Port"], ssl=context, server_hostname=name
            )
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1", document["Port"], ssl=context, server_hostname="elsewhere.example"
            )
        again = await authority_of(made.context.controls, made.local.node, 0.0)
        assert again == authority

    run(work)


def test_certificates_name_hosts_and_addresses() -> None:
    from cryptography import x509

    authority = make_authority(1_800_000_000.0)
    leaf = issue(authority, ["cache.example", "10.0.0.7", "::1", "cache.example"], 1_800_000_000.0)
    found = x509.load_pem_x509_certificate(leaf.certificate.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cache.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7", "::1"]
    parent = x509.load_pem_x509_certificate(authority.certificate.encode())
    found.verify_directly_issued_by(parent)


def test_settings_of_a_cache_node(tmp_path: Path) -> None:
    config = DaxConfig.model_validate({"seeds": "1/127.0.0.1:9000", "id": 3})
    assert (config.node_id, config.reached_by, config.dax_port) == ("dax-3", "127.0.0.1", 8111)
    named = DaxConfig.model_validate({"seeds": "1/127.0.0.1:9000", "cluster": "c", "node": "left"})
    assert named.node_id == "left"
    for wrong, words in (
        ({"host": "0.0.0.0"}, "advertise_host: name the host"),
        ({"tls_key": "key.pem"}, "tls_certificate and tls_key together"),
        ({"cluster": "Upper"}, "cluster"),
        ({"memory_mb": 0}, "memory_mb"),
    ):
        with pytest.raises(ValidationError, match=words):
            DaxConfig.model_validate({"seeds": "1/127.0.0.1:9000", **wrong})
    file = tmp_path / "dax.toml"
    file.write_text('seeds = ["1/127.0.0.1:9000"]\nmemory = 5\n')
    with pytest.raises(ConfigError, match="there is no such setting"):
        load_dax(file, {})
