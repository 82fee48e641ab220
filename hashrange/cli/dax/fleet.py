"""Keeps the processes of cache nodes as the control documents want them: starts, stops, starts anew.

    fleet = Fleet(documents, host, say)
    fleet.start()                      # looks twice a second, and at once when woken
    await fleet.stop()                 # the processes are the host's to stop

One loop for `hashrange serve --dax` and `hashrange cluster up`: `documents` are those of this process or a router's,
`host` runs the processes. `plan` is the whole decision and pure. A node that has died is started again after a pause
that doubles each time it does not live long; always at the ports that its slot says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from hashrange.errors import ApiError
from hashrange.model.dax import ClusterDocument, NodeDocument
from hashrange.runtime.logging import get_logger

LOOK_S = 0.5
PAUSE_MIN_S = 1.0
PAUSE_MAX_S = 30.0
LONG_LIFE_S = 60.0
"""A process that has lived this long pauses for the shortest time when it dies."""

log = get_logger("dax")

Key = tuple[str, str]
"""A node: its cluster and its id."""


class Wanted(NamedTuple):
    """A node as it is to run. One that differs from what runs is stopped, and started as it is wanted."""

    cluster: str
    node_id: str
    number: int
    zone: str
    slot: int
    reboots: int

    @property
    def key(self) -> Key:
        """The cluster and the node's id."""
        return self.cluster, self.node_id


class Running(NamedTuple):
    """A process: what it was started for, and the name of this start (`NodeDocument.Process`)."""

    wanted: Wanted
    process: str


class View(NamedTuple):
    """What the documents say; `at` grows with it, so that an older view is known for one."""

    at: int
    clusters: Sequence[ClusterDocument]
    nodes: Sequence[tuple[str, NodeDocument]]


class Plan(NamedTuple):
    """What is to be done now: end, start, documents of processes that are gone, clusters without nodes, news."""

    end: list[Key]
    start: list[Wanted]
    gone: list[tuple[str, str, str]]
    forget: list[str]
    settle: list[str]


class Documents(Protocol):
    """The control documents."""

    async def look(self) -> View | None:
        """What they say now; None when nobody answers."""
        ...

    async def gone(self, cluster: str, node_id: str, process: str) -> None:
        """A process has ended; ApiError when that could not be noted."""
        ...

    async def forget(self, cluster: str) -> None:
        """A cluster that is being deleted has no node left."""
        ...

    async def settle(self, cluster: str) -> None:
        """Nodes of a cluster have come or gone."""
        ...


class Host(Protocol):
    """Whoever runs the processes."""

    def running(self) -> Mapping[Key, Running]:
        """All processes that are there, those being stopped among them."""
        ...

    def held(self) -> Collection[Key]:
        """Nodes that somebody has stopped by hand: they are let alone."""
        ...

    def keep(self, wanted: Collection[Key]) -> None:
        """These nodes are wanted: what is known of any other that does not run is forgotten."""
        ...

    async def begin(self, node: Wanted) -> None:
        """Start a node, under a name that no start has had; OSError when that is impossible."""
        ...

    async def end(self, key: Key) -> None:
        """Stop a node gracefully, in the end by force."""
        ...


def wanted_of(clusters: Sequence[ClusterDocument]) -> dict[Key, Wanted]:
    """The nodes that are to run: those of clusters with a supervisor that are not being deleted."""
    return {
        (cluster["ClusterName"], node["NodeId"]): Wanted(
            cluster["ClusterName"],
            node["NodeId"],
            node["Number"],
            node["AvailabilityZone"],
            node["Slot"],
            node["Reboots"],
        )
        for cluster in clusters
        if cluster["Managed"] and not cluster["Deleting"]
        for node in cluster["Nodes"]
    }


def plan(view: View, running: Mapping[Key, Running], idle: Collection[Key]) -> Plan:
    """What is to be done. `idle` are nodes that are not to be started now: held, or pausing after a death.

    Every process of a cluster with a supervisor is one of `running`: a document of any other is left from one that
    died, also before this program began.
    """
    wanted = wanted_of(view.clusters)
    managed = {cluster["ClusterName"] for cluster in view.clusters if cluster["Managed"]}
    end = [key for key, process in running.items() if wanted.get(key) != process.wanted]
    start = [node for key, node in wanted.items() if key not in running and key not in idle]
    alive = {process.process for process in running.values()}
    gone = [
        (cluster, node["NodeId"], node["Process"])
        for cluster, node in view.nodes
        if cluster in managed and node["Process"] not in alive
    ]
    inhabited = {cluster for cluster, _ in view.nodes} | {key[0] for key in running}
    forget = [
        cluster["ClusterName"]
        for cluster in view.clusters
        if (cluster["Deleting"] or not cluster["Managed"]) and cluster["ClusterName"] not in inhabited
    ]
    settle = [cluster["ClusterName"] for cluster in view.clusters if _unsettled(cluster, view.nodes)]
    return Plan(end, start, gone, forget, settle)


def _unsettled(cluster: ClusterDocument, nodes: Sequence[tuple[str, NodeDocument]]) -> bool:
    """Whether nodes are there that were never noted, or the cluster was never noted as complete."""
    if not cluster["Managed"] or cluster["Deleting"]:
        return False
    announced = cluster["Told"].get("Announced", [])
    noted = set(announced) if isinstance(announced, list) else set()
    wanted = {node["NodeId"] for node in cluster["Nodes"]}
    present = {node["NodeId"] for name, node in nodes if name == cluster["ClusterName"]} & wanted
    if present - noted or noted - wanted:
        return True
    return present == wanted and not cluster["Told"].get("Settled")


class Fleet:
    """The nodes of one supervisor. `say` tells people what happens."""

    def __init__(self, documents: Documents, host: Host, say: Callable[[str], None]) -> None:
        self._documents = documents
        self._host = host
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._working: dict[Key, asyncio.Task[None]] = {}
        self._until: dict[Key, float] = {}
        self._deaths: dict[Key, int] = {}
        self._begun: dict[Key, float] = {}
        self._newest = 0

    def start(self) -> None:
        """Look after the nodes from now on."""
        self._task = self._loop.create_task(self._run())

    def wake(self) -> None:
        """Something has changed: look at once."""
        self._woken.set()

    def died(self, key: Key, how: str) -> None:
        """A process has ended by itself: it is started again after a pause."""
        now = self._loop.time()
        long_life = now - self._begun.get(key, now) >= LONG_LIFE_S
        deaths = self._deaths[key] = 1 if long_life else self._deaths.get(key, 0) + 1
        pause = min(PAUSE_MAX_S, PAUSE_MIN_S * 2.0 ** min(deaths - 1, 10))
        self._until[key] = now + pause
        self._say(f"cache node {key[1]} ended ({how}); it is started again in {pause:.0f} s")
        self._loop.call_later(pause, self.wake)
        self.wake()

    async def stop(self) -> None:
        """Look after nothing any more; what is being started or stopped is waited for."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except ApiError as error:
                log.debug("the control plane has not taken a note about cache nodes", reason=str(error))
            except Exception:
                log.exception("looking after cache nodes failed")
            # Not wait_for, which loses a cancellation that comes when it is woken (Python before 3.12).
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
            self._woken.clear()

    async def _look(self) -> None:
        view = await self._documents.look()
        if view is None or view.at < self._newest:
            return
        self._newest = view.at
        self._forget(wanted_of(view.clusters))
        now = self._loop.time()
        pausing = {key for key, until in self._until.items() if now < until}
        idle = {*self._host.held(), *pausing, *self._working}
        found = plan(view, self._host.running(), idle)
        for key in found.end:
            self._work(key, self._host.end(key))
        for node in found.start:
            self._begun[node.key] = now
            self._work(node.key, self._begin(node))
        for each in found.gone:
            await self._documents.gone(*each)
        for name in found.forget:
            await self._documents.forget(name)
        for name in found.settle:
            await self._documents.settle(name)

    def _forget(self, wanted: Collection[Key]) -> None:
        """One of the same name that is wanted later begins anew: neither held nor pausing."""
        self._host.keep(wanted)
        for known in (self._until, self._deaths, self._begun):
            for key in [each for each in known if each not in wanted]:
                known.pop(key)

    async def _begin(self, node: Wanted) -> None:
        try:
            await self._host.begin(node)
        except OSError as error:
            self.died(node.key, f"it could not be started: {error}")

    def _work(self, key: Key, work: Coroutine[Any, Any, None]) -> None:
        """One thing at a time for a node."""
        if key in self._working:
            work.close()
            return
        task = self._working[key] = self._loop.create_task(work)

        def done(ended: asyncio.Task[None]) -> None:
            self._working.pop(key, None)
            self.wake()
            if not ended.cancelled() and ended.exception() is not None:
                log.error("a cache node could not be started or stopped", exc_info=ended.exception())

        task.add_done_callback(done)
