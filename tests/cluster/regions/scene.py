"""Regions as processes, for tests: whole clusters by `hashrange regions up`, or an embedded server each.

Both have the same face (`Scene`): where clients connect, cuts, kills, clocks, and what is left when they have stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from hashrange.cli.cluster.layout import NODE, ROUTER, LayoutError
from hashrange.cli.regions import faults, status
from hashrange.cli.regions.figures import Key, Link, add_page
from hashrange.cli.regions.place import PORT_STEP, Place, load
from tests.cluster.kill9 import call
from tests.cluster.local_cluster import CRASH, ROOT, LocalCluster
from tests.cluster.regions.proxy import Network

ODD = Path(__file__).resolve().with_name("odd_program.py")
NAMES = ("us-east-1", "eu-west-1", "ap-northeast-1")
START_TIMEOUT_S = 180.0


def program(changes: tuple[str, ...]) -> tuple[str, ...]:
    """The command line of `hashrange` with changes (`odd_program`), or as it is."""
    if not changes:
        return (sys.executable, "-m", "hashrange.cli.main")
    return (sys.executable, str(ODD), ",".join(changes))


def wait(what: str, condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Wait until a condition is true, and return its value; raises TimeoutError naming it."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {timeout_s:.0f} s")
        time.sleep(0.1)


class Scene(Protocol):
    """Running regions."""

    names: tuple[str, ...]

    def endpoint(self, name: str) -> str:
        """Where clients of a region connect."""
        ...

    def cut(self, one: str, other: str) -> None:
        """Let two regions hear nothing of one another."""
        ...

    def heal(self) -> None:
        """Undo all cuts, let all clocks be right, start what is down."""
        ...

    def kill(self, name: str, rng: random.Random) -> str:
        """kill -9 a process of a region and start it again; its name."""
        ...

    def set_clock(self, name: str, offset_ms: int) -> None:
        """Let the wall clocks of a region be off."""
        ...

    def links(self) -> dict[Key, Link]:
        """What is pending and shipped, by table, source and destination."""
        ...

    def crashes(self) -> list[str]:
        """Signs of a crash."""
        ...

    def stop(self) -> list[str]:
        """Stop everything; what went wrong with that."""
        ...

    def data(self, name: str) -> dict[int, Path]:
        """The data directories of a region's nodes by their ids."""
        ...

    def version_logs(self) -> list[Path]:
        """The files in which versions were written down (`odd_program`)."""
        ...


def api(endpoint: str, operation: str, document: dict[str, Any], timeout_s: float = 30.0) -> dict[str, Any]:
    """One API call; raises RuntimeError unless it succeeds, OSError when nobody answers."""
    import http.client

    host, _, port = endpoint.removeprefix("http://").rpartition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=timeout_s)) as connection:
        code, answer = call(connection, operation, document)
    if code != 200:
        raise RuntimeError(f"{operation}: {code} {answer}")
    return answer


def make_global(scene: Scene, document: dict[str, Any], timeout_s: float = 120.0) -> None:
    """Create a table in the first region, give it a replica in each other one, and wait until all are active."""
    first, *others = scene.names
    table = document["TableName"]
    api(scene.endpoint(first), "CreateTable", document)
    describe = {"TableName": table}

    def settled(name: str) -> bool:
        try:
            found = api(scene.endpoint(name), "DescribeTable", describe)["Table"]
        except (RuntimeError, OSError):
            return False
        replicas = {each["RegionName"]: each["ReplicaStatus"] for each in found.get("Replicas", ())}
        return found["TableStatus"] == "ACTIVE" and all(each == "ACTIVE" for each in replicas.values())

    wait(f"table {table}", lambda: settled(first), timeout_s)
    for name in others:
        change = {"TableName": table, "ReplicaUpdates": [{"Create": {"RegionName": name}}]}
        api(scene.endpoint(first), "UpdateTable", change)
        wait(f"the replica of {table} in {name}", lambda: settled(first), timeout_s)
    for name in scene.names:
        wait(
            f"{table} in {name}", lambda name=name: settled(name) and _complete(scene, name, table), timeout_s
        )


def _complete(scene: Scene, name: str, table: str) -> bool:
    """Whether a region knows of all the others."""
    found = api(scene.endpoint(name), "DescribeTable", {"TableName": table})["Table"]
    return {each["RegionName"] for each in found.get("Replicas", ())} >= set(scene.names) - {name}


class RegionCluster(LocalCluster):
    """One region of `hashrange regions up`, which starts and stops it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.base_port = self.layout().base_port


class LocalRegions:
    """`hashrange regions up` as a child process."""

    def __init__(
        self,
        directory: Path,
        names: tuple[str, ...] = NAMES[:2],
        *,
        nodes: int = 3,
        azs: int = 3,
        routers: int = 1,
        port: int | None = None,
        changes: tuple[str, ...] = (),
        settings: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        self.names = names
        self.directory = directory
        self.clusters: dict[str, RegionCluster] = {}
        self._port = free_base_port(len(names)) if port is None else port
        self._program = program(changes)
        self._options = ["--azs", str(azs), "--nodes", str(nodes), "--routers", str(routers)]
        self._options += [part for setting in settings for part in ("--set", setting)]
        self._options += options
        self._supervisor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LocalRegions:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def output_file(self) -> Path:
        """What the command writes."""
        return self.directory.with_name(self.directory.name + "-up.txt")

    def start(self) -> None:
        """Start them, or start them again; returns when everything is ready."""
        again = (self.directory / "regions.json").exists()
        options = (
            [] if again else ["--regions", ",".join(self.names), "--port", str(self._port), *self._options]
        )
        with self.output_file.open("wb") as output:
            self._supervisor = subprocess.Popen(
                [*self._program, "regions", "up", "--data-dir", str(self.directory), *options],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while f"region {self.names[-1]} is serving" not in self.output_file.read_text():
            if self._supervisor.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the regions did not start:\n{self.output_file.read_text()[-4000:]}")
            time.sleep(0.1)
        self.clusters = {
            region.name: self.clusters.get(region.name) or RegionCluster(region.directory)
            for region in self.place().regions
        }

    def stop(self) -> list[str]:
        """Ctrl-C, and wait; kills what does not stop in time."""
        if self._supervisor is None:
            return []
        supervisor, self._supervisor = self._supervisor, None
        for cluster in self.clusters.values():
            with contextlib.suppress(LayoutError):
                cluster.resume(*cluster.every())
        supervisor.send_signal(signal.SIGINT)
        try:
            code = supervisor.wait(90)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            code = supervisor.wait(10)
        return [f"the regions ended with code {code}: {self.output_file.read_text()[-500:]}"] if code else []

    def place(self) -> Place:
        """The regions as their file has them."""
        return load(self.directory)

    def endpoint(self, name: str) -> str:
        """Where clients of a region connect."""
        return self.place().find(name).endpoint

    def cut(self, one: str, other: str) -> None:
        """Let two regions hear nothing of one another."""
        place = self.place()
        self._must(asyncio.run(faults.cut(place, faults.pairs(place, one, other))))

    def heal(self) -> None:
        """Undo all cuts, let all clocks be right, start what is down."""
        for name, cluster in self.clusters.items():
            self.set_clock(name, 0)
            down = cluster.down()
            if down:
                cluster.restart(*down)
        self._must(asyncio.run(faults.heal(self.place())))

    @staticmethod
    def _must(said: list[str]) -> None:
        failed = [sentence for sentence in said if "could not be told" in sentence]
        if failed:
            raise RuntimeError("; ".join(failed))

    def kill(self, name: str, rng: random.Random) -> str:
        """kill -9 a node, more seldom the router, and start it again."""
        cluster = self.clusters[name]
        processes = cluster.layout().processes
        victims = [each.name for each in processes if each.role == (NODE if rng.random() < 0.75 else ROUTER)]
        victim = rng.choice(victims)
        cluster.kill(victim)
        cluster.restart(victim)
        return victim

    def set_clock(self, name: str, offset_ms: int) -> None:
        """Let the wall clocks of a region's processes be off."""
        for process in self.clusters[name].layout().processes:
            (self.directory / name / process.name / "clock").write_text(str(offset_ms))

    def links(self) -> dict[Key, Link]:
        """What is pending and shipped, by table, source and destination."""
        return asyncio.run(status.figures_of(self.place())).links

    def crashes(self) -> list[str]:
        """Signs of a crash."""
        return [f"{name}: {sign}" for name, each in self.clusters.items() for sign in each.crashes()]

    def data(self, name: str) -> dict[int, Path]:
        """The data directories of a region's nodes by their ids."""
        cluster = self.clusters[name]
        return {node: cluster.data_of(node) for node in cluster.nodes()}

    def version_logs(self) -> list[Path]:
        """The files in which versions were written down."""
        return sorted(self.directory.glob("*/*/versions"))


def free_base_port(regions: int) -> int:
    """A base below the ephemeral ports, so that the usual ports of all regions are free."""
    rng = random.Random()
    while True:
        base = rng.randrange(10_000, 32_000 - regions * PORT_STEP)
        wanted = [
            base + region * PORT_STEP + offset for region in range(regions) for offset in (0, 101, 201, 301)
        ]
        if all(_is_free(port) for port in wanted):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class EmbeddedRegions:
    """One `hashrange serve` a region, with a network between them that can be cut; `direct`: without, for speed."""

    def __init__(
        self,
        directory: Path,
        names: tuple[str, ...] = NAMES[:2],
        *,
        changes: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
        direct: bool = False,
    ) -> None:
        self.names = names
        self.directory = directory
        self._program = program(changes)
        self._options = options
        self._direct = direct
        self._network = Network()
        self._ports: dict[str, int] = {}
        self._peers: dict[str, list[str]] = {}
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> EmbeddedRegions:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._network.__enter__()
        base = free_base_port(len(self.names))
        self._ports = {name: base + number for number, name in enumerate(self.names)}
        try:
            for name in self.names:
                others = [other for other in self.names if other != name]
                self._peers[name] = [f"{other}=http://127.0.0.1:{self._way(name, other)}" for other in others]
            for name in self.names:
                self._spawn(name)
            for name in self.names:
                self._wait_ready(name)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._network.__exit__(None, None, None)

    def _spawn(self, name: str) -> None:
        flags = ["--port", str(self._ports[name]), "--region", name, "--data-dir", str(self.directory / name)]
        flags += ["--peers", ",".join(self._peers[name]), *self._options]
        with self._log(name).open("ab") as log:
            self._servers[name] = subprocess.Popen(
                [*self._program, "serve", *flags], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT
            )

    def _way(self, name: str, other: str) -> int:
        """The port at which one server reaches another."""
        return self._ports[other] if self._direct else self._network.way(name, other, self._ports[other])

    def pid(self, name: str) -> int:
        """The process id of a region's server."""
        return self._servers[name].pid

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _wait_ready(self, name: str) -> None:
        def ready() -> bool:
            if self._servers[name].poll() is not None:
                raise RuntimeError(f"{name} did not start: {self._log(name).read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(self.endpoint(name) + "/health/ready", timeout=2) as answer:
                    return bool(answer.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        wait(f"{name}", ready)

    def endpoint(self, name: str) -> str:
        """Where clients of a region connect."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def cut(self, one: str, other: str) -> None:
        """Let two regions hear nothing of one another."""
        self._network.cut(one, other)

    def heal(self) -> None:
        """Undo all cuts, let all clocks be right."""
        for name in self.names:
            self.set_clock(name, 0)
        self._network.heal()

    def kill(self, name: str, rng: random.Random) -> str:
        """kill -9 the server and start it again."""
        self._servers[name].kill()
        self._servers[name].wait()
        self.resume(name)
        return "the server"

    def halt(self, name: str) -> None:
        """Stop a server gracefully."""
        self._servers[name].terminate()
        self._servers[name].wait(30)

    def resume(self, name: str) -> None:
        """Start a server again; returns when it is ready."""
        self._spawn(name)
        self._wait_ready(name)

    def set_clock(self, name: str, offset_ms: int) -> None:
        """Let the wall clock of a region be off."""
        (self.directory / f"{name}.clock").write_text(str(offset_ms))

    def links(self) -> dict[Key, Link]:
        """What is pending and shipped, by table, source and destination; of the servers that run."""
        found: dict[Key, Link] = {}
        for name, server in self._servers.items():
            if server.poll() is None:
                with urllib.request.urlopen(self.endpoint(name) + "/metrics", timeout=10) as answer:
                    add_page(found, answer.read().decode())
        return found

    def crashes(self) -> list[str]:
        """Signs of a crash."""
        found = []
        for name in self.names:
            log = self._log(name).read_text(errors="replace")
            place = CRASH.search(log)
            if place is not None:
                found.append(f"{name} wrote: {log[place.start() : place.start() + 1500].strip()}")
        return found

    def stop(self) -> list[str]:
        """Stop all servers; what went wrong with that."""
        wrong = []
        for server in self._servers.values():
            server.terminate()
        for name, server in self._servers.items():
            try:
                code = server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                code = server.wait()
            if code:
                wrong.append(f"{name} ended with code {code}")
        self._servers.clear()
        return wrong

    def data(self, name: str) -> dict[int, Path]:
        """The data directory of a region's only node."""
        return {1: self.directory / name}

    def version_logs(self) -> list[Path]:
        """The files in which versions were written down."""
        return sorted(self.directory.glob("*.versions"))


def read_versions(logs: list[Path]) -> list[tuple[str, bytes, int, int, str | None]]:
    """Table, relative key, stamp, region and value of every version that was written down, by anyone."""
    found = []
    for path in logs:
        for line in path.read_text().splitlines():
            try:
                table, key, stamp, region, value = json.loads(line)
            except ValueError:
                continue  # cut off by a kill: nobody was told of it
            found.append((table, bytes.fromhex(key), stamp, region, value))
    return found
