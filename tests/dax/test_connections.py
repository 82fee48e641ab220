"""What no client of ours sends, and a thousand that send nothing."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.support import s, table, wait_until
from tests.dax import fuzz
from tests.dax.clients import dax_client
from tests.dax.server import DaxServer, dax_server

CONNECTIONS = 400
IDLE = 1_000
IDLE_BYTES_MAX = 50 << 20


def node_address(server: DaxServer) -> tuple[str, int]:
    """Where a node itself listens."""
    endpoint = server.cluster()["Nodes"][0]["Endpoint"]
    return endpoint["Address"], endpoint["Port"]


@pytest.mark.parametrize("through", ["node", "discovery"])
def test_malformed_bytes_end_a_connection_and_nothing_else(
    dax: DaxServer, direct: Any, cached: Any, through: str
) -> None:
    pids = dax.node_pids()
    address = node_address(dax) if through == "node" else ("127.0.0.1", dax.port)
    with table(direct) as name:
        cached.put_item(TableName=name, Item={"p": s("a"), "v": s("x")})
        outcomes = fuzz.run(address, CONNECTIONS if through == "node" else CONNECTIONS // 4, seed=1)
        assert len(outcomes) > 1, outcomes
        assert cached.get_item(TableName=name, Key={"p": s("a")})["Item"]["v"] == s("x")
    assert dax.node_pids() == pids
    assert "Traceback" not in dax.log()


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_thousand_idle_connections(tmp_path: Path) -> None:
    with dax_server("--in-memory", log=tmp_path / "log") as server, ExitStack() as idle:
        with dax_client(server.url):  # from now on the node listens
            pass
        (pid,) = server.node_pids()
        address = node_address(server)
        before = resident_bytes(pid)
        for _ in range(IDLE):
            connection = idle.enter_context(socket.create_connection(address, 10))
            connection.sendall(fuzz.HANDSHAKE)
        wait_until(lambda: server.counted()["ClientConnections"] >= IDLE, "all connections")
        with dax_client(server.url):  # there is room for more
            pass
        assert resident_bytes(pid) - before < IDLE_BYTES_MAX
        idle.close()
        wait_until(
            lambda: server.counted().get("ClientConnections", 0) < IDLE // 10, "the end of the connections"
        )
