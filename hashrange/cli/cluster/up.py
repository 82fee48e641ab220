"""`hashrange cluster up`: lays a cluster out or finds the one there is, supervises it until told to stop.

Exit codes: 0 after a clean stop, 1 when the cluster could not start, 2 for options that make no sense.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hashrange.cli.cluster import control, processes
from hashrange.cli.cluster.caches import Caches
from hashrange.cli.cluster.layout import (
    DAX,
    EDIT,
    NODE,
    READ,
    ROUTER,
    STATE_NAME,
    STOPPED,
    TRIGGERS,
    Layout,
    LayoutError,
    load,
    make_directory,
    plan,
)
from hashrange.cli.cluster.supervisor import STOP_GRACE_S, Say, Supervisor, check_ports
from hashrange.errors import ApiError
from hashrange.runtime.config import EndpointConfig
from hashrange.runtime.expectations import expectation
from hashrange.runtime.settings import flag_of

EXIT_START = 1
POLL_S = 0.1


@dataclass
class UpOptions:
    """The options of the command, as given; None where nothing was said."""

    directory: Path
    azs: int | None = None
    nodes: int | None = None
    routers: int | None = None
    dax: int | None = None
    triggers: int | None = None
    port: int | None = None
    region: str | None = None
    durability: str | None = None
    in_memory: bool = False
    settings: list[str] = field(default_factory=list)
    router_settings: list[str] = field(default_factory=list)
    trigger_settings: list[str] = field(default_factory=list)
    dax_settings: list[str] = field(default_factory=list)
    throttling: str | None = None
    capacity_multiplier: str | None = None
    throttle_faults: str | None = None
    console: bool = False
    console_edit: bool = False

    @property
    def console_mode(self) -> str:
        """What the console may do, "" where none is asked for."""
        return (EDIT if self.console_edit else READ) if self.console else ""


def run(options: UpOptions) -> int:
    """Run a cluster in the foreground."""
    try:
        if options.triggers:
            check_packages()
        make_directory(options.directory)
        with lock(options.directory):
            return asyncio.run(_supervise(options))
    except LayoutError as error:
        print(f"hashrange: {error}", file=sys.stderr)
        return EXIT_START


@contextmanager
def lock(directory: Path, what: str = "cluster") -> Iterator[None]:
    """One supervisor for a directory; raises LayoutError when there is one already. `what` has a `status` command."""
    descriptor = os.open(directory / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 32, 0).decode().strip()
        raise LayoutError(
            f"the {what} in {directory} {'is' if what == 'cluster' else 'are'} running already (pid {pid}); look "
            f"with `hashrange {what} status`, or give another --data-dir and --port"
        ) from None
    else:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def layout_for(options: UpOptions) -> Layout:
    """The cluster of the directory, or a new one; raises LayoutError for options that contradict it."""
    both, routers_only = _capacity(options)
    if not (options.directory / STATE_NAME).exists():
        settings = both | _pairs("--set", options.settings)
        if options.durability is not None:
            settings["durability"] = options.durability
        if options.in_memory:
            settings["in_memory"] = "true"
        azs = 3 if options.azs is None else options.azs
        return plan(
            options.directory,
            azs=azs,
            nodes=max(3, azs) if options.nodes is None else options.nodes,
            routers=1 if options.routers is None else options.routers,
            base_port=8000 if options.port is None else options.port,
            region="us-east-1" if options.region is None else options.region,
            settings=settings,
            router_settings=both | routers_only | _pairs("--set-router", options.router_settings),
            triggers=options.triggers or 0,
            trigger_settings=_pairs("--set-triggers", options.trigger_settings),
            dax_nodes=options.dax or 0,
            dax_settings=_pairs("--set-dax", options.dax_settings),
            console=options.console_mode,
        )
    layout = load(options.directory)
    for flag, given, there in (
        ("--azs", options.azs, layout.azs),
        ("--nodes", options.nodes, len(layout.of("node"))),
        ("--routers", options.routers, len(layout.of("router"))),
        ("--port", options.port, layout.base_port),
        ("--region", options.region, layout.region),
    ):
        if given is not None and given != there:
            hint = "; add nodes with `hashrange cluster add-node` while it runs" if flag == "--nodes" else ""
            raise LayoutError(
                f"the cluster in {options.directory} has {flag} {there}, not {given}; leave the option out"
                f"{hint}, or give another --data-dir for another cluster"
            )
    layout.settings.update(both | _pairs("--set", options.settings))
    if options.durability is not None:
        layout.settings["durability"] = options.durability
    layout.router_settings.update(both | routers_only | _pairs("--set-router", options.router_settings))
    layout.trigger_settings.update(_pairs("--set-triggers", options.trigger_settings))
    layout.dax_settings.update(_pairs("--set-dax", options.dax_settings))
    layout.console = options.console_mode
    if options.triggers is not None:
        layout.set_pools(options.triggers)
    if options.dax is not None:
        layout.dax_nodes = options.dax
    return layout


def check_packages() -> None:
    """Raise LayoutError when a trigger pool could not start for want of packages."""
    from hashrange.cli.trigger_packages import missing

    sentence = missing()
    if sentence:
        raise LayoutError(sentence)


def _capacity(options: UpOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings about capacity: of nodes and routers alike, and of routers."""
    both = {"throttling": options.throttling, "capacity_multiplier": options.capacity_multiplier}
    routers_only = {"throttle_faults": options.throttle_faults}
    given = {name: value for name, value in (both | routers_only).items() if value is not None}
    try:
        EndpointConfig.model_validate(given)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise LayoutError(f"{flag_of(name)} must be {expectation(name)}, not {given[name]!r}") from None
    return tuple({n: v for n, v in part.items() if v is not None} for part in (both, routers_only))  # type: ignore[return-value]


def _pairs(flag: str, texts: list[str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise LayoutError(f"{flag} takes NAME=VALUE, not {text!r}")
        pairs[name.replace("-", "_")] = value
    return pairs


class Run:
    """One cluster from its start to its stop, in this process. `say` tells people what happens."""

    def __init__(self, layout: Layout, say: Say) -> None:
        self.layout = layout
        self._say = say
        self._supervisor = Supervisor(layout, say)
        self._caches = Caches(self._supervisor, say)
        self._server: asyncio.Server | None = None

    async def prepare(self) -> None:
        """Stop what an earlier supervisor left, and look whether the ports are free; raises LayoutError."""
        layout = self.layout
        await end_leftovers(layout, self._say)
        # The control plane says which cache nodes there are to be.
        layout.processes = [process for process in layout.processes if process.role != DAX]
        check_ports(layout, layout.processes)
        layout.boot = processes.boot_id()
        layout.supervisor_pid = os.getpid()
        layout.supervisor_started = processes.start_time(os.getpid())

    async def start(self) -> None:
        """Start everything and wait until it can serve; raises LayoutError. From then on other terminals are heard."""
        begun = asyncio.get_running_loop().time()
        self._say(f"starting {_in_words(self.layout)} in {self.layout.directory}")
        await self._supervisor.start()
        try:
            await self._caches.start()
        except ApiError as error:
            raise LayoutError(f"the cache cluster could not be made: {error.message}") from None
        self._say(f"everything is ready after {asyncio.get_running_loop().time() - begun:.1f} s")
        self._server = await control.listen(self.layout.directory, self._supervisor.obey)

    async def stop(self) -> None:
        """Stop everything; also what was only half started."""
        self._say(f"stopping: {_first_to_stop(self.layout)}routers first, then nodes")
        if self._server is not None:
            self._server.close()
        await self._caches.stop()
        await self._supervisor.stop()
        self.layout.supervisor_pid = self.layout.supervisor_started = None
        self.layout.save()
        (self.layout.directory / control.NAME).unlink(missing_ok=True)
        self._say("stopped")


def stop_signals() -> asyncio.Event:
    """Set by the first signal that asks this program to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def _supervise(options: UpOptions) -> int:
    stopped = stop_signals()
    layout = layout_for(options)
    report = _report()
    running = Run(layout, report.say)
    await running.prepare()
    code = 0
    try:
        if await unless(stopped, running.start()):
            await report.follow(layout, stopped)
    except LayoutError as error:
        print(f"hashrange: {error}", file=sys.stderr)
        code = EXIT_START
    finally:
        await running.stop()
    return code


def _first_to_stop(layout: Layout) -> str:
    names = {DAX: "cache nodes", TRIGGERS: "pools"}
    there = [name for role, name in names.items() if layout.of(role)]
    return f"{', '.join(there)} and " if there else ""


def _in_words(layout: Layout) -> str:
    """What a cluster is made of."""
    routers, pools = len(layout.of(ROUTER)), len(layout.of(TRIGGERS))
    parts = [f"{len(layout.of(NODE))} nodes in {len(layout.zones)} zones"]
    parts.append(f"{routers} router{'s' if routers > 1 else ''}")
    if layout.dax_nodes:
        parts.append(f"{layout.dax_nodes} cache node{'s' if layout.dax_nodes > 1 else ''}")
    if pools:
        parts.append(f"{pools} trigger pool{'s' if pools > 1 else ''}")
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


async def unless(stopped: asyncio.Event, work: Any) -> bool:
    """Whether some work was finished before somebody asked for a stop, which cancels it."""
    task = asyncio.ensure_future(work)
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        await task
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


def _report() -> Any:
    """The live screen on a terminal, plain lines otherwise."""
    from hashrange.cli.cluster.screen import LiveReport, PlainReport

    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return LiveReport()
    return PlainReport()


async def end_leftovers(layout: Layout, say: Say) -> None:
    """Stop what an earlier supervisor left running; a process that only has the same id is let alone."""
    if layout.boot == processes.boot_id():
        for process in layout.processes:
            if processes.state_of(process.pid, process.started) == processes.GONE:
                continue
            say(f"{process.name} still runs from before (pid {process.pid}) and is stopped")
            processes.send(process.pid, process.started, signal.SIGTERM)
            processes.send(process.pid, process.started, signal.SIGCONT)
            deadline = asyncio.get_running_loop().time() + STOP_GRACE_S
            while processes.state_of(process.pid, process.started) != processes.GONE:
                if asyncio.get_running_loop().time() > deadline:
                    processes.send(process.pid, process.started, signal.SIGKILL)
                await asyncio.sleep(POLL_S)
    for process in layout.processes:
        process.pid = process.started = None
        process.state = STOPPED
