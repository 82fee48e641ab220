"""Routers with their operations: requests of the API go in, bodies of replies come out.

A router can be killed, at any message that it sends or gets an answer to, and started again: it keeps nothing but its
clock, and whatever it was in the middle of is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from hashrange_node.replica.expiry import ExpirySweeper
from hashrange_node.transactions.upkeep import Upkeep
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.operations import entries
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas

from hashrange.errors import ApiError
from hashrange.wire.messages import Done
from hashrange.wire.transactions import DONE, REPEATED, TransactOutcome
from tests.sim.cluster import FIRST_ROUTER, Cluster
from tests.sim.events import Killed, Process, WallClock
from tests.sim.transactions.intents import TABLES
from tests.sim.transactions.late import Ghost
from tests.sim.transactions.steps import ANSWERED, SENDING, SENT, WRITE, Trap, step_of
from tests.sim.whole import WholeCluster, WholeMachine, WholeRouter

ACCOUNT = "000000000000"
SWEEP_S = 1.0
Reply = Callable[[Any], None]
"""Called with a reply's document, or an ApiError."""


class ApiRouter(WholeRouter):
    """A router that runs requests. `lost` is told of those that it will never answer."""

    cluster: TransactCluster

    def __init__(self, cluster: Cluster, number: int, wall: WallClock | None = None) -> None:
        super().__init__(cluster, number, wall)
        self.trap: Trap | None = None
        self._open: dict[int, Reply] = {}
        self._asked = 0

    def _compose(self) -> None:
        super()._compose()
        process = self.process
        rng = self.cluster.world.random
        self.context = RouterContext(
            Site("us-east-1", ACCOUNT, Quotas(), f"router:{self.id}"),
            "2026",
            lambda: process.wall_ms() / 1000,
            lambda: f"{rng.getrandbits(128):032x}",
        )
        self.context.next_partition_id = lambda: self.routing.view.next_partition_id
        self.context.locate = self.routing.places.locate
        self.routing.view.on_document.append(self.context.follow)
        self._entries = {entry.name: entry for entry in entries(self.context).values()}

    def _on_document(self, name: str, before: Any, after: Any) -> None:
        """Documents go to the context."""

    @property
    def alive(self) -> bool:
        return self.process.alive

    @property
    def ready(self) -> bool:
        """Whether clients would be sent here: it knows their tables."""
        return self.alive and all(name in self.context.tables for name in TABLES)

    def ask(self, operation: str, request: dict[str, Any], reply: Reply) -> int:
        """Run a request; the number by which it can be given up."""
        self._asked += 1
        number = self._asked
        self._open[number] = reply
        document = orjson.loads(orjson.dumps(request))
        self.process.call_soon(lambda: self._run(operation, document, number))
        return number

    def give_up(self, number: int) -> None:
        """The client waits no longer."""
        self._open.pop(number, None)

    def kill(self) -> None:
        """End the process. Clients notice that their connections break."""
        self.process.kill()
        self.cluster.network.gone(self.id)
        waiting, self._open = list(self._open.values()), {}
        world = self.cluster.world
        for reply in waiting:
            world.after(world.random.uniform(0.001, 0.02), _answer(reply, Lost()))

    def pause(self) -> None:
        """Stand still: what was asked goes on later."""
        self.process.pause()
        self.cluster.network.stopped(self.id)

    def resume(self) -> None:
        if self.process.paused:
            self.process.resume()
            self.cluster.network.resumed(self.id)

    def _run(self, operation: str, document: dict[str, Any], number: int) -> None:
        entry = self._entries[operation]
        call = Call(entry.name, number, self, self._finish)
        call.entry = entry
        try:
            entry.validate(document)
            generator = entry.handle(call, document)
        except ApiError as error:
            self._finish(call, error)
            return
        call.run(generator)

    def _finish(self, call: Call, outcome: Any) -> None:
        reply = self._open.pop(call.request, None)
        if isinstance(outcome, Exception) and not isinstance(outcome, ApiError):
            raise outcome
        if reply is None:
            return
        if isinstance(outcome, ApiError):
            outcome = call.entry.finish_error(call.operation, outcome)
        else:
            outcome = orjson.loads(outcome)
        world = self.cluster.world
        world.after(world.random.uniform(0.0001, 0.001), _answer(reply, outcome))

    def send(self, message: Any, done: Done) -> None:
        """The operations' way to the nodes: past the traps, and past the ghost who sends again later."""
        trap = self.trap
        step = step_of(message)
        if trap is not None and trap.springs(step, SENDING):
            self._die(trap)
        if step != WRITE:
            self.cluster.ghost.saw(message, step)

        def answered(answer: Any) -> None:
            if step == WRITE and answer.__class__ is TransactOutcome and answer.verdict in (DONE, REPEATED):
                self.cluster.ghost.saw(message, step)
            trap = self.trap
            if trap is not None and trap.springs(step, ANSWERED):
                self._die(trap)
            done(answer)

        super().send(message, answered)
        if trap is not None and trap.springs(step, SENT):
            self._die(trap)

    def _die(self, trap: Trap) -> None:
        self.cluster.trace(f"router {self.id} dies: {trap}")
        deaths = self.cluster.deaths
        deaths[str(trap)] = deaths.get(str(trap), 0) + 1
        self.trap = None
        self.cluster.router_died(self)
        raise Killed


class Lost(ApiError):
    """The connection to the router broke, or the client waited long enough."""

    def __init__(self) -> None:
        super().__init__("ConnectionLost", "no answer", status=0)


class TransactMachine(WholeMachine):
    """A machine whose node finishes what stalls, and sweeps what expires."""

    def _open(self, process: Process) -> None:
        super()._open(process)
        node = self.node
        self.upkeep = Upkeep(
            node,
            wall_ms=process.wall_ms,
            monotonic=process.monotonic,
            call_later=process.call_later,
            report=self._report,
        )
        self.sweeper = ExpirySweeper(
            lambda: list(node.replicas.values()),
            process.wall_ms,
            process.call_later,
            SWEEP_S,
            self._report,
            self.upkeep.ledger.keeps,
        )
        self.upkeep.start()
        self.sweeper.start()


class TransactCluster(WholeCluster):
    """A whole cluster whose routers run the API."""

    machine_class = TransactMachine
    router_class = ApiRouter
    routers: dict[int, ApiRouter]  # type: ignore[assignment]
    deaths: dict[str, int]

    def start(self) -> None:
        """Start machines, routers, and the one who sends late duplicates."""
        super().start()
        self.deaths = {}
        self.ghost = Ghost(self, FIRST_ROUTER + 500)
        self.router_died: Callable[[ApiRouter], None] = lambda router: router.kill()

    def restart_router(self, number: int) -> None:
        """A new process in the place of a router that died."""
        before = self.routers[number]
        if not before.alive:
            self.trace(f"router {number} starts")
            self.routers[number] = ApiRouter(self, number, before.wall)


def _answer(reply: Reply, outcome: Any) -> Callable[[], None]:
    return lambda: reply(outcome)
