"""The supervisor of a local cluster: starts its processes, watches them, stops them.

    supervisor = Supervisor(layout, say)
    await supervisor.start()            # everything runs and can serve, or a sentence says why not
    await supervisor.stop()             # cache nodes, pools and routers first, then nodes

Each process is a child with a session of its own, so that Ctrl-C reaches the supervisor alone, and holds the
reading end of a pipe as its standard input: when the supervisor dies, however that happens, the pipe closes and
the process stops by itself (`--stop-at-eof`). A process that ends unasked stays down until somebody restarts it:
a crash is for people to see. What a process writes goes to log.txt in its directory.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Callable, Iterable
from typing import Any

from hashrange.cli.children import describe_exit, own_program, start_child
from hashrange.cli.cluster import processes
from hashrange.cli.cluster.ask import AskError, ask
from hashrange.cli.cluster.control import Progress
from hashrange.cli.cluster.layout import (
    DAX,
    FAILED,
    NODE,
    READY,
    ROUTER,
    STARTING,
    STOPPED,
    TRIGGERS,
    Layout,
    LayoutError,
    Process,
)
from hashrange.runtime.cluster_settings import as_toml

READY_POLL_S = 0.05
READY_ASK_S = 1.0
START_TIMEOUT_S = 60.0
STOP_GRACE_S = 15.0
LOG_TAIL_BYTES = 2_000

Say = Callable[[str], None]


class Supervisor:
    """The processes of one cluster as children of this one. `say` tells people what happens."""

    def __init__(self, layout: Layout, say: Say, program: list[str] | None = None) -> None:
        self.layout = layout
        self._say = say
        self._program = program or own_program()
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.ended: Callable[[Process], None] = lambda process: None
        """Told of a process that has ended unasked."""

    def runs(self, process: Process) -> bool:
        """Whether a process is there."""
        return process.name in self._children

    async def start(self) -> None:
        """Start every process and wait until all can serve; raises LayoutError when one cannot."""
        for role in (NODE, ROUTER, TRIGGERS):
            for process in self.layout.of(role):
                await self.spawn(process)
        await self.wait_ready(self.layout.processes, self._say)

    async def spawn(self, process: Process) -> None:
        """Start one process, with its configuration as it is now."""
        if process.role == DAX:
            process.dax["process"] = secrets.token_hex(8)
        process.state, process.exit = STARTING, ""
        directory = self.layout.directory_of(process)
        directory.mkdir(mode=0o700, exist_ok=True)
        config = directory / "config.toml"
        config.write_text(as_toml(self.layout.config_of(process)), encoding="utf-8")
        child = await start_child(self._program, process.role, config, directory / "log.txt")
        process.pid = child.pid
        process.started = processes.start_time(child.pid)
        self._children[process.name] = child
        self.layout.save()
        watcher = asyncio.create_task(self._watch(process, child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, process: Process, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        if self._children.get(process.name) is not child:
            return
        del self._children[process.name]
        expected = process.state == STOPPED
        process.pid = process.started = None
        process.exit = describe_exit(code)
        if not expected:
            process.state = FAILED
            self._say(f"{process.name} ({process.az}) ended: {process.exit}")
            self.ended(process)
        self.layout.save()

    async def wait_ready(self, wanted: Iterable[Process], progress: Progress) -> None:
        """Wait until processes can serve; raises LayoutError with the end of the log of one that cannot."""
        waiting = [asyncio.create_task(self._wait_one(process, progress)) for process in wanted]
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await asyncio.gather(*waiting)
        except TimeoutError:
            late = [each for each in self.layout.processes if each.state == STARTING]
            reasons = [f"{process.name}: {await self.not_ready(process)}" for process in late]
            raise LayoutError(
                f"not ready after {START_TIMEOUT_S:.0f} s: {'; '.join(reasons)}; "
                f"see log.txt in {self.layout.directory}"
            ) from None
        finally:
            for task in waiting:
                task.cancel()

    async def _wait_one(self, process: Process, progress: Progress) -> None:
        begun = asyncio.get_running_loop().time()
        while await self.not_ready(process):
            if process.state in (FAILED, STOPPED):
                raise LayoutError(
                    f"{process.name} did not start ({process.exit}): {self.last_words(process)}"
                )
            await asyncio.sleep(READY_POLL_S)
        process.state = READY
        self.layout.save()
        seconds = asyncio.get_running_loop().time() - begun
        progress(
            f"{process.name} ({process.az}) is ready after {seconds:.1f} s: pid {process.pid}, "
            f"{self.layout.address(process)}"
        )

    async def not_ready(self, process: Process) -> str:
        """Why a process cannot serve, in its own words; "" when it can."""
        try:
            await ask(self.layout.admin_url(process), "/health/ready", timeout_s=READY_ASK_S)
        except AskError as error:
            return str(error)
        return ""

    def last_words(self, process: Process) -> str:
        """The last line that a process wrote."""
        try:
            with (self.layout.directory_of(process) / "log.txt").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "it wrote nothing"

    async def end(self, process: Process, grace_s: float = STOP_GRACE_S) -> None:
        """Stop one process gracefully, after a grace period by force. Nothing happens if it does not run."""
        child = self._children.get(process.name)
        if child is None:
            return
        process.state = STOPPED
        processes.send(process.pid, process.started, signal.SIGTERM)
        # One that was paused would not see the signal before it goes on.
        processes.send(process.pid, process.started, signal.SIGCONT)
        try:
            await asyncio.wait_for(child.wait(), grace_s)
        except TimeoutError:
            self._say(f"{process.name} did not stop within {grace_s:.0f} s and is killed")
            processes.send(process.pid, process.started, signal.SIGKILL)
            await child.wait()
        process.exit = "stopped"

    async def stop(self) -> None:
        """Stop everything, nodes last, so that what clients and functions have begun is still answered."""
        self.stopping = True
        for role in (DAX, TRIGGERS, ROUTER, NODE):
            await asyncio.gather(*(self.end(process) for process in self.layout.of(role)))
        while self._watchers:
            await asyncio.gather(*self._watchers)
        self.layout.save()

    async def obey(self, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Carry out a command of another terminal (`control.Handler`)."""
        if self.stopping:
            raise LayoutError("the cluster is being stopped")
        verb = request["verb"]
        if verb == "add-node":
            return await self._add_node(request.get("az"), progress)
        chosen = [self._named(name) for name in request["names"]]
        if verb == "restart":
            await asyncio.gather(*(self.end(process) for process in chosen))
            for process in chosen:
                await self.spawn(process)
            if request.get("wait", True):
                await self.wait_ready(chosen, progress)
        elif verb == "stop":
            await asyncio.gather(*(self.end(process) for process in chosen))
        elif verb == "forget":
            for process in chosen:
                await self.end(process)
                self.layout.processes.remove(process)
                self._say(f"{process.name} ({process.az}) has left; its data is still in its directory")
            self.layout.save()
        else:
            raise LayoutError(f"the running cluster knows no command {verb!r}")
        return {"names": [process.name for process in chosen]}

    async def _add_node(self, az: str | None, progress: Progress) -> dict[str, Any]:
        process = self.layout.add_node(az)
        try:
            check_ports(self.layout, [process])
            await self.spawn(process)
            self._say(f"{process.name} ({process.az}) is added")
            await self.wait_ready([process], progress)
        except LayoutError:
            await self.end(process)
            self.layout.processes.remove(process)
            self.layout.save()
            raise
        return {"name": process.name, "id": process.id, "az": process.az}

    def _named(self, name: str) -> Process:
        role, _, number = name.rpartition("-")
        return self.layout.find(role, int(number))


def check_ports(layout: Layout, wanted: Iterable[Process]) -> None:
    """Refuse ports that another program has, before anything is started; raises LayoutError."""
    import socket

    taken: set[int] = set()
    ports = {layout.admin_port(process) for process in wanted}
    ports |= {int(layout.address(process).rpartition(":")[2]) for process in wanted}
    ports |= {port for process in wanted if (port := layout.console_port(process)) is not None}
    for port in sorted(ports):
        with socket.socket(socket.AF_INET6 if ":" in layout.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((layout.host, port))
            except OSError:
                taken.add(port)
    if taken:
        raise LayoutError(
            f"{'port' if len(taken) == 1 else 'ports'} {', '.join(map(str, sorted(taken)))} "
            f"{'is' if len(taken) == 1 else 'are'} in use; stop the program that listens there "
            "(ss -ltnp shows it), or choose another base with --port"
        )
