"""Cache nodes of a local cluster: the supervisor starts and stops them as the control plane wants them.

    caches = Caches(supervisor, say)
    await caches.start()                # makes the cluster that was asked for, and waits until its nodes can serve
    await caches.stop()

They are processes of the cluster like all others, named by their slots (`dax-1`), but come and go by themselves. One
that somebody has stopped stays down until it is restarted; one that has died is started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from hashrange.cli.cluster import processes
from hashrange.cli.cluster.ask import AskError, ask_json
from hashrange.cli.cluster.layout import (
    DAX,
    FAILED,
    READY,
    ROUTER,
    STARTING,
    STOPPED,
    Layout,
    LayoutError,
    Process,
)
from hashrange.cli.cluster.supervisor import Supervisor
from hashrange.cli.dax.fleet import Fleet, Key, Running, View, Wanted
from hashrange.errors import unavailable

LOOK_TIMEOUT_S = 1.0
CHANGE_TIMEOUT_S = 8.0
READY_TIMEOUT_S = 60.0
POLL_S = 0.1
DEFAULT_CLUSTER = "dax"

Say = Callable[[str], None]


class RouterDocuments:
    """The control documents as the routers know them, asked on their admin ports (`fleet.Documents`)."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def look(self) -> View | None:
        """What the first router that answers says."""
        answer = await self._ask("/dax", None, LOOK_TIMEOUT_S)
        if answer is None:
            return None
        return View(answer["at"], answer["clusters"], [(name, node) for name, node in answer["nodes"]])

    async def gone(self, cluster: str, node_id: str, process: str) -> None:
        """A process has ended."""
        await self.change("/dax/gone", {"cluster": cluster, "node": node_id, "process": process})

    async def forget(self, cluster: str) -> None:
        """A cluster that is being deleted has no node left."""
        await self.change("/dax/forget", {"cluster": cluster})

    async def settle(self, cluster: str) -> None:
        """Nodes of a cluster have come or gone."""
        await self.change("/dax/settle", {"cluster": cluster})

    async def change(self, path: str, body: dict[str, Any]) -> None:
        """Have a router change the documents; ApiError when none does."""
        if await self._ask(path, body, CHANGE_TIMEOUT_S) is None:
            raise unavailable("no router has taken the change")

    async def _ask(self, path: str, body: dict[str, Any] | None, timeout_s: float) -> Any:
        for router in self._layout.of(ROUTER):
            if processes.state_of(router.pid, router.started) == processes.RUNNING:
                try:
                    return await ask_json(self._layout.admin_url(router), path, body, timeout_s)
                except AskError:
                    continue
        return None


class Caches:
    """The cache nodes of one supervisor (`fleet.Host`)."""

    def __init__(self, supervisor: Supervisor, say: Say) -> None:
        self._supervisor = supervisor
        self._layout = supervisor.layout
        self._say = say
        self._documents = RouterDocuments(self._layout)
        self._fleet = Fleet(self._documents, self, say)
        self._wanted: dict[str, Wanted] = {}
        """What each process was started for, by its name."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make the cluster that was asked for, if there is none yet; LayoutError when its nodes cannot serve."""
        self._supervisor.ended = self._ended
        if self._layout.dax_nodes:
            wanted = {"cluster": DEFAULT_CLUSTER, "nodes": self._layout.dax_nodes}
            await self._documents.change("/dax/ensure", wanted)
        self._fleet.start()
        if self._layout.dax_nodes:
            try:
                await asyncio.wait_for(self._all_ready(), READY_TIMEOUT_S)
            except TimeoutError:
                raise LayoutError(
                    f"the cache nodes are not ready after {READY_TIMEOUT_S:.0f} s; see log.txt of dax-* in "
                    f"{self._layout.directory}"
                ) from None

    async def _all_ready(self) -> None:
        while True:
            view = await self._documents.look()
            if view is not None:
                mine = [each for each in view.clusters if each["ClusterName"] == DEFAULT_CLUSTER]
                slots = {node["Slot"] for each in mine for node in each["Nodes"]}
                if mine and slots <= {each.id for each in self._layout.of(DAX) if each.state == READY}:
                    return
            await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """Start and stop nothing any more; the processes are the supervisor's to stop."""
        self._supervisor.ended = lambda process: None
        await self._fleet.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- fleet.Host

    def running(self) -> Mapping[Key, Running]:
        """All processes that are there."""
        found = {}
        for process in self._layout.of(DAX):
            wanted = self._wanted.get(process.name)
            if wanted is not None and self._supervisor.runs(process):
                found[wanted.key] = Running(wanted, process.dax["process"])
        return found

    def held(self) -> Collection[Key]:
        """Nodes that somebody has stopped, or is starting now."""
        return {
            self._wanted[process.name].key
            for process in self._layout.of(DAX)
            if process.state in (STOPPED, STARTING) and process.name in self._wanted
        }

    def keep(self, wanted: Collection[Key]) -> None:
        """Let go of processes that are stopped or have ended, and are wanted no more."""
        gone = [
            process
            for process in self._layout.of(DAX)
            if process.state != STARTING
            and not self._supervisor.runs(process)
            and self._wanted.get(process.name, _NOBODY).key not in wanted
        ]
        for process in gone:
            self._forget(process)

    def _forget(self, process: Process) -> None:
        self._layout.processes.remove(process)
        self._wanted.pop(process.name, None)
        self._layout.save()
        self._say(f"{process.name} ({process.az}) has left")

    async def begin(self, node: Wanted) -> None:
        """Start a node."""
        process = next((each for each in self._layout.of(DAX) if each.id == node.slot), None)
        if process is None:
            process = Process(DAX, node.slot, node.zone)
            self._layout.processes.append(process)
        process.az = node.zone
        process.dax = {
            "id": node.number,
            "cluster": node.cluster,
            "node": node.node_id,
            "reboots": node.reboots,
        }
        self._wanted[process.name] = node
        try:
            await self._supervisor.spawn(process)
        except OSError:
            process.state = FAILED
            raise
        task = asyncio.get_running_loop().create_task(self._wait(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, process: Process) -> None:
        try:
            await self._supervisor.wait_ready([process], self._say)
        except LayoutError as error:
            # One that somebody stops or restarts meanwhile was not to start.
            if process.state != STOPPED:
                self._say(str(error))

    async def end(self, key: Key) -> None:
        """Stop a node, which is none of the cluster's processes any more."""
        for process in self._layout.of(DAX):
            if self._wanted.get(process.name, _NOBODY).key == key:
                await self._supervisor.end(process)
                if process in self._layout.processes:
                    self._forget(process)

    def _ended(self, process: Process) -> None:
        if process.role == DAX and process.name in self._wanted:
            self._fleet.died(self._wanted[process.name].key, process.exit)


_NOBODY = Wanted("", "", 0, "", -1, 0)
