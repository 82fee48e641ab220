"""What the console gathers in a cluster: every process's page, the control plane's view, and what is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from hashrange_router.api.context import RouterContext
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas

from hashrange.cli.admin import AdminPort
from hashrange.cli.cluster.layout import EDIT, Layout, plan
from hashrange.cli.console_links import Links
from hashrange.cli.console_sources import ClusterSource, Gatherer
from hashrange.cli.dax.pages import DaxPages
from hashrange.cli.top.page import FORMAT
from hashrange.errors import unavailable
from hashrange.model.key_bytes import hash_of
from hashrange.model.table import TableSchema
from hashrange.runtime.clock import SystemClock
from tests.unit.table_support import active

TOP = 1 << 64


class Ticking(SystemClock):
    """A clock that goes on by a second each time it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s = 1_000.0

    def monotonic(self) -> float:
        return self.at_s


def page(role: str, number: int, az: str, at_s: float, **more: Any) -> dict[str, Any]:
    process = {
        "role": role,
        "id": number,
        "az": az,
        "state": "ready",
        "uptime_s": at_s,
        "cpu_seconds": at_s / 4,
        "memory_bytes": 1 << 20,
    }
    return {"format": FORMAT, "at_s": at_s, "process": process, **more}


def replica(at_s: float, leads: bool) -> dict[str, Any]:
    key = {"key": {"a": {"S": "hot"}}, "whole": True, "share": 0.5}
    return {
        "id": 7,
        "table": "tbl",
        "index": None,
        "hash_range": [0, TOP - 1],
        "leads": leads,
        "reads": int(at_s) * 10,
        "writes": 0,
        "read_bytes": 0,
        "write_bytes": 0,
        "items": 3,
        "size_bytes": 30,
        "hot_keys": [key] if leads else [],
    }


def context() -> RouterContext:
    found = RouterContext(
        Site("us-east-1", "000000000000", Quotas(), "h:1"), "2026", lambda: 0.0, lambda: "id"
    )
    found.documents["tbl"] = active()
    found.tables["tbl"] = TableSchema.from_document(found.documents["tbl"])
    return found


async def port(stack: AsyncExitStack, told: Callable[[], dict[str, Any]]) -> AdminPort:
    admin = AdminPort(lambda: "", lambda: b"", lambda message, done: None, top=lambda: orjson.dumps(told()))
    await admin.listen("127.0.0.1", 0)
    stack.push_async_callback(admin.close)
    return admin


def test_a_cluster_is_gathered_from_all_its_processes() -> None:
    clock = Ticking()
    control: list[Any] = []

    async def scenario(stack: AsyncExitStack) -> None:
        node = await port(
            stack, lambda: page("node", 1, "az1", clock.at_s, partitions=[replica(clock.at_s, True)])
        )
        other = await port(stack, lambda: page("router", 2, "az2", clock.at_s))
        address = f"127.0.0.1:{node.port}"
        told = {"id": 1, "az": "az1", "address": "x", "admin": address, "state": "up", "alive": True}
        gone = told | {"id": 2, "az": "az2", "alive": False}
        place = {
            "id": 7,
            "table": "tbl",
            "index": None,
            "hash_range": [0, TOP - 1],
            "leader": 1,
            "size_bytes": 30,
        }
        place |= {"replicas": [{"id": 1, "node": 1, "role": "leader"}], "epoch": 1, "items": 3}
        control.append({"nodes": [told, gone], "partitions": [place]})
        known = context()
        caches = DaxPages(known, None, clock, lambda: 0, None)  # type: ignore[arg-type]
        source = ClusterSource(
            Gatherer(known, caches, clock),
            "here",
            lambda: orjson.dumps(page("router", 1, "az1", clock.at_s)),
            lambda message, done: done(control[-1]),
            (f"127.0.0.1:{other.port}",),
        )
        first = await source()
        states = {row["name"]: row["state"] for row in first["view"]["processes"]}
        assert states == {"node-1": "ready", "node-2": "down", "router-1": "ready", "router-2": "ready"}
        assert first["view"]["interval_s"] == 0
        assert first["places"][0]["replicas"][0]["node"] == 1

        clock.at_s += 1
        await other.close()
        control.append(unavailable("no leader"))
        second = await source()
        states = {row["name"]: row["state"] for row in second["view"]["processes"]}
        assert states["router-2"] == "down"
        assert "no leader" in second["view"]["note"]
        assert second["places"] == first["places"]
        assert second["view"]["interval_s"] == 1
        assert second["view"]["partitions"][0]["reads"] == pytest.approx(10)
        [key] = second["view"]["keys"]
        assert key["requests"] == pytest.approx(5)
        assert key["position"] == int.from_bytes(hash_of(b"hot"), "big")

        clock.at_s += 60
        assert (await source())["view"]["interval_s"] == 0, "rates of a minute say nothing about now"

    async def run() -> None:
        async with AsyncExitStack() as stack:
            await scenario(stack)

    asyncio.run(run())


def test_links_are_read_now_and_then_and_only_where_there_are_global_tables() -> None:
    clock, known, asked = Ticking(), context(), [0]

    async def pages() -> list[bytes]:
        asked[0] += 1
        return [b'hashrange_region_pending_keys{table="tbl",source="a",destination="b"} 3\n']

    async def scenario() -> None:
        links = Links(known, clock, pages)
        assert await links.rows() == []
        assert asked == [0]
        known.documents["tbl"]["Replication"] = {}  # type: ignore[typeddict-unknown-key, typeddict-item]
        for _ in range(3):
            [row] = await links.rows()
        assert (row["source"], row["destination"], row["pending_keys"]) == ("a", "b", 3)
        assert asked == [1]
        clock.at_s += 5
        await links.rows()
        assert asked == [2]

    asyncio.run(scenario())


def layout(console: str, routers: int = 2, triggers: int = 1) -> Layout:
    return plan(
        Path("x"),
        azs=3,
        nodes=3,
        routers=routers,
        base_port=9000,
        region="r",
        triggers=triggers,
        console=console,
    )


def test_routers_of_a_local_cluster_serve_consoles_that_know_the_others() -> None:
    first, second = layout(EDIT).of("router")
    config = layout(EDIT).config_of(first)
    assert config["console"] is True
    assert config["console_edit"] is True
    assert config["console_port"] == 9090
    assert layout(EDIT).config_of(second)["console_port"] == 9091
    assert config["console_sources"] == ["127.0.0.1:9302", "127.0.0.1:9501"]
    assert layout(EDIT).console_url == "http://127.0.0.1:9090"
    assert "console" not in layout("").config_of(first)
    assert layout("").console_url == ""
    for process in layout(EDIT).of("node") + layout(EDIT).of("triggers"):
        assert "console" not in layout(EDIT).config_of(process)


def test_consoles_stay_below_the_ports_of_nodes() -> None:
    many = layout("read", routers=20)
    ports = [port for each in many.of("router") if (port := many.console_port(each)) is not None]
    assert len(ports) == 10
    assert max(ports) < 9100
    assert not many.config_of(many.of("router")[0])["console_edit"]
