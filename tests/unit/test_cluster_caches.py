"""Cache nodes as processes of a local cluster: what the supervisor's list says of those that come and go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hashrange.cli.cluster.caches import Caches
from hashrange.cli.cluster.layout import DAX, FAILED, READY, STOPPED, LayoutError, Process, plan
from hashrange.cli.dax.fleet import Wanted


class Supervisor:
    """Processes in memory."""

    def __init__(self, directory: Path) -> None:
        self.layout = plan(
            directory, azs=1, nodes=1, routers=1, base_port=20_000, region="us-east-1", dax_nodes=1
        )
        self.there: set[str] = set()
        self.ended: Any = None

    def runs(self, process: Process) -> bool:
        return process.name in self.there

    async def spawn(self, process: Process) -> None:
        self.there.add(process.name)
        process.dax["process"] = f"start of {process.name}"
        process.state = READY

    async def end(self, process: Process) -> None:
        self.there.discard(process.name)
        process.state = STOPPED

    async def wait_ready(self, wanted: list[Process], progress: Any) -> None:
        # It is stopped, or ends, while it is waited for.
        raise LayoutError(f"{wanted[0].name} did not start")


def node(number: int) -> Wanted:
    return Wanted("dax", f"dax-{number}", number, "az1", number, 0)


def test_nodes_that_are_wanted_no_more_leave_the_list_however_they_ended(tmp_path: Path) -> None:
    async def main() -> None:
        supervisor = Supervisor(tmp_path)
        caches = Caches(supervisor, lambda sentence: None)  # type: ignore[arg-type]
        for number in (1, 2, 3):
            await caches.begin(node(number))
        of = supervisor.layout.of
        of(DAX)[0].state = STOPPED
        of(DAX)[1].state = FAILED
        supervisor.there = {"dax-3"}
        assert caches.held() == {node(1).key}
        caches.keep([node(1).key, node(2).key])
        # One that still runs is ended first.
        assert [each.name for each in of(DAX)] == ["dax-1", "dax-2", "dax-3"]
        caches.keep([])
        assert [each.name for each in of(DAX)] == ["dax-3"]
        assert caches.held() == set()
        await caches.end(node(3).key)
        assert of(DAX) == []
        await caches.stop()

    asyncio.run(main())


def test_a_node_that_somebody_stops_while_it_starts_is_no_failure(tmp_path: Path) -> None:
    async def main(state: str) -> list[str]:
        supervisor = Supervisor(tmp_path)
        said: list[str] = []
        caches = Caches(supervisor, said.append)  # type: ignore[arg-type]
        await caches.begin(node(1))
        supervisor.layout.of(DAX)[0].state = state
        await asyncio.sleep(0)
        await caches.stop()
        return said

    assert asyncio.run(main(STOPPED)) == []
    assert asyncio.run(main(FAILED)) == ["dax-1 did not start"]
