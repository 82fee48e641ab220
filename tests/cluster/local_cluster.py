"""A real cluster for tests: `hashrange cluster up` as a child process, and a handle to everything in it.

    with LocalCluster(directory) as cluster:
        cluster.create_table(CREATE)
        cluster.kill(cluster.leader_of(partition))
        cluster.restart("node-2")

What the command line offers is done through its own modules (status, cuts, restarts, splits, moves); signals are
sent by process id. `program` replaces `hashrange`: a wrapper that runs it with something changed. `options` are
further flags of `cluster up`.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

from hashrange.cli.cluster import faults, operate, processes, status
from hashrange.cli.cluster.ask import AskError
from hashrange.cli.cluster.control import command as ask_supervisor
from hashrange.cli.cluster.layout import NODE, PORTS, ROUTER, Layout, LayoutError, Process, load
from hashrange.cli.cluster.targets import resolve
from hashrange.wire.cluster import CONTROL
from tests.cluster.kill9 import call

ROOT = Path(__file__).resolve().parent.parent.parent
HASHRANGE = (sys.executable, "-m", "hashrange.cli.main")
START_TIMEOUT_S = 90.0
CRASH = re.compile(r"Traceback \(most recent call last\)|AssertionError|Segmentation fault|\[critical", re.I)


def free_base_port() -> int:
    """A base below the ephemeral ports with none of the usual ports of a cluster in use."""
    rng = random.Random()
    while True:
        base = rng.randrange(10_000, 32_000 - PORTS)
        wanted = [base, *(base + offset + n for offset in (100, 200, 300, 400, 500) for n in range(1, 10))]
        if all(_is_free(port) for port in wanted):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class LocalCluster:
    """One cluster on this machine. `ended_by_us` names the processes whose end was our doing."""

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 3,
        azs: int = 3,
        routers: int = 1,
        program: tuple[str, ...] = HASHRANGE,
        settings: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.directory = directory
        self.base_port = free_base_port()
        self.ended_by_us: set[str] = set()
        self._program = program
        self._say = say
        self._options = ["--azs", str(azs), "--nodes", str(nodes), "--routers", str(routers)]
        self._options += [part for setting in settings for part in ("--set", setting)]
        self._options += options
        self._supervisor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LocalCluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Life

    def start(self, prepare: Callable[[], None] | None = None) -> None:
        """Start it, or start it again; returns when every process is ready."""
        again = (self.directory / "cluster.json").exists()
        options = [] if again else [*self._options, "--port", str(self.base_port)]
        with self.directory.with_name(self.directory.name + "-up.txt").open("ab") as output:
            self._supervisor = subprocess.Popen(
                [*self._program, "cluster", "up", "--data-dir", str(self.directory), *options],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._supervisor.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the cluster did not start:\n{self.output()[-4000:]}")
            time.sleep(0.1)
        self.base_port = self.layout().base_port

    def _is_ready(self) -> bool:
        # The socket for commands appears when everything has become ready.
        return (self.directory / "control").exists() and not self._starting()

    def _starting(self) -> bool:
        try:
            layout = self.layout()
        except LayoutError:
            return True
        return layout.supervisor_pid != (self._supervisor.pid if self._supervisor else None) or any(
            process.state == "starting" for process in layout.processes
        )

    def stop(self) -> int:
        """Ctrl-C, and wait; kills what does not stop in time. The supervisor's exit code."""
        if self._supervisor is None:
            return 0
        supervisor, self._supervisor = self._supervisor, None
        supervisor.send_signal(signal.SIGINT)
        try:
            return supervisor.wait(60)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            self._signal(self.every(), signal.SIGKILL)
            return supervisor.wait(10)

    def output(self) -> str:
        """What the supervisor has written."""
        return self.directory.with_name(self.directory.name + "-up.txt").read_text(errors="replace")

    # What there is

    def layout(self) -> Layout:
        """The cluster as its file has it now."""
        return load(self.directory)

    @property
    def endpoint(self) -> str:
        """Where clients connect."""
        return self.layout().endpoint

    def every(self) -> list[str]:
        """The names of all processes."""
        return [process.name for process in self.layout().processes]

    def nodes(self) -> list[int]:
        """The ids of all nodes."""
        return [process.id for process in self.layout().of(NODE)]

    def routers(self) -> list[str]:
        """The names of all routers."""
        return [process.name for process in self.layout().of(ROUTER)]

    def process(self, name: str) -> Process:
        """One process by its name."""
        role, _, number = name.rpartition("-")
        return self.layout().find(role, int(number))

    def zone_of(self, node: int) -> str:
        """The zone that a node is in."""
        return self.layout().find(NODE, node).az

    def log_of(self, name: str) -> str:
        """What a process has written."""
        return (self.directory / name / "log.txt").read_text(errors="replace")

    def data_of(self, node: int) -> Path:
        """A node's data directory."""
        return self.directory / f"node-{node}" / "data"

    def status(self) -> dict[str, Any]:
        """As `hashrange cluster status --json`."""
        return asyncio.run(status.gather(self.layout()))

    def partitions(self, table: str | None = None) -> list[dict[str, Any]]:
        """The partitions that serve, of all tables or of one, in order of their hash ranges."""
        found = [
            each
            for each in self.view()["partitions"]
            if each["id"] != CONTROL
            and (table is None or each["table"] == table)
            and not each.get("successors")
        ]
        return sorted(found, key=lambda each: (each["table"], each["hash_range"][0]))

    def control(self) -> dict[str, Any]:
        """The control plane's own partition."""
        return dict(next(each for each in self.view()["partitions"] if each["id"] == CONTROL))

    def view(self) -> dict[str, Any]:
        """The control plane's own view; raises AskError when there is none."""
        found, note = asyncio.run(status.control_view(self.layout()))
        if note:
            raise AskError(note)
        return found

    def leader_of(self, partition: int) -> int:
        """The node that leads a partition; waits for one."""
        return int(
            self.wait(
                f"a leader of partition {partition}",
                lambda: next(
                    (each["leader"] for each in self.view()["partitions"] if each["id"] == partition), None
                ),
            )
        )

    def behind(self, slack: int = 0) -> list[str]:
        """What is not yet as it should be: partitions without a leader, replicas that are missing or behind."""
        found = []
        for each in [self.control(), *self.partitions()]:
            label = f"partition {each['id']}"
            if each["leader"] is None:
                found.append(f"{label} has no leader")
            if len(each["replicas"]) != min(3, len({self.zone_of(n) for n in self.nodes()})):
                found.append(f"{label} has {len(each['replicas'])} replicas")
            for replica in each["replicas"]:
                lacking = replica.get("behind", 0 if replica["role"] == "leader" else -1)
                unknown = replica["role"] == "unknown"
                if unknown or replica.get("damaged") or replica.get("leaving") or not 0 <= lacking <= slack:
                    found.append(f"{label}: replica {replica}")
        return found

    def endpoints(self) -> list[str]:
        """Where clients connect; routers share one port."""
        return [self.endpoint]

    def wait(self, what: str, condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
        """Wait until a condition is true, and return its value; raises TimeoutError naming it."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                value = condition()
            except (AskError, LayoutError):
                value = None
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come within {timeout_s:.0f} s")
            time.sleep(0.2)

    # What clients do

    def call(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        """One API call through the first router; raises RuntimeError unless it succeeds."""
        import http.client

        host, _, port = self.endpoint.removeprefix("http://").rpartition(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
            code, answer = call(connection, operation, document)
        if code != 200:
            raise RuntimeError(f"{operation}: {code} {answer}")
        return answer

    def create_table(self, document: dict[str, Any]) -> None:
        """Create a table and wait until it can be used and every partition has a leader."""
        self.call("CreateTable", document)
        name = document["TableName"]
        describe = {"TableName": name}
        self.wait(
            f"table {name}",
            lambda: self.call("DescribeTable", describe)["Table"]["TableStatus"] == "ACTIVE",
        )
        self.wait(f"leaders of {name}", lambda: all(each["leader"] for each in self.partitions(name)))

    def split_empty(self, table: str, count: int) -> None:
        """Give an empty table several partitions, so that several nodes lead. Those of a round are split at once."""
        while len(found := self.partitions(table)) < count:
            widest = sorted(found, key=lambda each: each["hash_range"][0] - each["hash_range"][1])
            split = widest[: count - len(found)]
            for each in split:
                low, high = each["hash_range"]
                # There is no middle of its entries: the hash has to be given.
                self.insist("split", partition=each["id"], at=(low + high + 1) // 2)
            self.wait(
                "the halves of partitions",
                lambda wanted=len(found) + len(split): (
                    len(now := self.partitions(table)) == wanted and all(each["leader"] for each in now)
                ),
            )

    # Faults

    def kill(self, *names: str) -> None:
        """kill -9, all at once."""
        self.ended_by_us.update(names)
        self._signal(list(names), signal.SIGKILL)

    def pause(self, *names: str) -> None:
        """SIGSTOP."""
        self._signal(list(names), signal.SIGSTOP)

    def resume(self, *names: str) -> None:
        """SIGCONT."""
        self._signal(list(names), signal.SIGCONT)

    def _signal(self, names: list[str], number: signal.Signals) -> None:
        layout = self.layout()
        for name in names:
            role, _, identity = name.rpartition("-")
            process = layout.find(role, int(identity))
            processes.send(process.pid, process.started, number)

    def restart(self, *names: str) -> None:
        """Start processes that are down (stop those that run first); returns when they are ready."""
        self._ask({"verb": "restart", "names": list(names)})

    def stop_processes(self, *names: str) -> None:
        """Stop processes gracefully."""
        self.ended_by_us.update(names)
        self._ask({"verb": "stop", "names": list(names)})

    def add_node(self, az: str | None = None) -> int:
        """Start a further node; its id."""
        return int(self._ask({"verb": "add-node", "az": az})["id"])

    def decommission(self, node: int) -> None:
        """Empty a node and take it out; returns when it is gone."""
        self.ended_by_us.add(f"node-{node}")
        asyncio.run(operate.decommission(self.layout(), node, True, self._say))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return asyncio.run(ask_supervisor(self.directory, request, self._say))

    def command(self, verb: str, **arguments: Any) -> Any:
        """A command to the control plane: split, move, drain, undrain, balance."""
        return asyncio.run(operate.give(self.layout(), verb, arguments))

    def insist(self, verb: str, timeout_s: float = 90.0, **arguments: Any) -> Any:
        """As `command`, again and again while the control plane refuses: it may be at work on the partition."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.command(verb, **arguments)
            except (AskError, LayoutError):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.3)

    def cut(self, names: list[str], others: list[str] | None = None) -> None:
        """Cut nodes, zones or routers off from others, or from all."""
        layout = self.layout()
        chosen = resolve(layout, names)
        named = resolve(layout, others) if others is not None else None
        asyncio.run(faults.cut(layout, chosen, faults.others_of(layout, chosen, named)))

    def heal(self) -> None:
        """Undo every cut, and let every paused process go on."""
        self.resume(*self.every())
        asyncio.run(faults.heal(self.layout(), None))

    # What must not happen

    def down(self) -> list[str]:
        """Processes that do not run."""
        return [
            process.name
            for process in self.layout().processes
            if processes.state_of(process.pid, process.started) == processes.GONE
        ]

    def crashes(self) -> list[str]:
        """Signs of a crash in the logs, and processes that ended without our doing."""
        found = []
        for process in self.layout().processes:
            if process.name in self.down() and process.name not in self.ended_by_us:
                found.append(f"{process.name} ended: {process.exit}")
            log = self.log_of(process.name)
            place = CRASH.search(log)
            if place is not None:
                found.append(f"{process.name} wrote: {log[place.start() : place.start() + 1500].strip()}")
        return found
