"""Cache nodes of the embedded server: the ports they may have, and what is said of one that ends."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from hashrange.cli.dax.fleet import Key, Wanted
from hashrange.cli.embedded_dax import Children, base_port
from hashrange.model.dax import ports_of
from hashrange.runtime.config import ServeConfig
from hashrange.runtime.startup import StartupError

BASE = 23_400


@pytest.mark.parametrize("taken", [ports_of(BASE, 0).wire, ports_of(BASE, 0).http])
def test_a_port_of_somebody_else_is_refused(taken: int) -> None:
    config = ServeConfig.model_validate({"dax": True, "dax_port": BASE, "port": 0})
    assert base_port(config) == BASE
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(StartupError) as refused:
        base_port(config)
    assert f"port {taken} is in use" in str(refused.value)
    assert "--dax-port" in str(refused.value)


def test_the_ports_of_clients_differ() -> None:
    with pytest.raises(StartupError):
        base_port(ServeConfig.model_validate({"dax": True, "dax_port": BASE, "port": BASE}))


def test_a_node_that_ends_says_why(tmp_path: Path) -> None:
    """A node without the door of a server: its settings are wrong."""
    died: list[tuple[Key, str]] = []

    class Fleet:
        def died(self, key: Key, how: str) -> None:
            died.append((key, how))

    async def main() -> None:
        children = Children(tmp_path, {"seeds": ["nonsense"]}, BASE, "127.0.0.1", 5.0)
        children.fleet = Fleet()  # type: ignore[assignment]
        # As a program of this name would be started by hand.
        children._program = [sys.executable, "-c", "from hashrange.cli.main import main; main()"]
        await children.begin(Wanted("dax", "dax-1", 1, "az1", 1, 0))
        await asyncio.gather(*children._watchers)

    asyncio.run(main())
    [(key, how)] = died
    assert key == ("dax", "dax-1")
    assert "seeds" in how
