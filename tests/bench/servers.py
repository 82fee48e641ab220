"""The servers of a comparison: how each is started, found to be ready, watched and stopped.

A server that this module starts listens on a port of its own and keeps its data in a directory of its own;
one that runs already takes part by its URL (and its process id, for processor time).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hashrange_client.load.requests import Head
from hashrange_client.load.settings import LoadSettings

from hashrange.runtime.system import cpu_seconds, resident_bytes

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


@dataclass
class Server:
    """A server under measurement; `pid` 0 means that its processor time cannot be read."""

    name: str
    url: str
    pid: int = 0
    is_peer: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def cpu_s(self) -> float | None:
        """Processor time used so far, children included."""
        return cpu_seconds(self.pid) if self.pid else None

    def memory_mb(self) -> float | None:
        """Resident memory, children included."""
        resident = resident_bytes(self.pid) if self.pid else None
        return None if resident is None else resident / 1e6

    def stop(self) -> None:
        """End the process if this program started it."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Place:
    """Where the programs of peers are installed, and where servers may put their data."""

    peers: Path | None
    scratch: Path

    def dynalite(self) -> Path | None:
        """The start script of dynalite (npm)."""
        return self._first("**/node_modules/dynalite/cli.js")

    def dynamodb_local(self) -> Path | None:
        """The archive of DynamoDB Local."""
        return self._first("**/DynamoDBLocal.jar")

    def _first(self, pattern: str) -> Path | None:
        return next(iter(sorted(self.peers.glob(pattern))), None) if self.peers else None


Command = Callable[[Place, int, Path], list[str] | None]
"""Place, port, data directory → the command line, or None when the program is not installed."""


def _hashrange(*flags: str, disk: bool = True) -> Command:
    def command(_place: Place, port: int, data: Path) -> list[str]:
        where = ["--data-dir", str(data)] if disk else []
        return [sys.executable, "-m", "hashrange.cli.main", "serve", "--port", str(port), *where, *flags]

    return command


def _cluster(_place: Place, port: int, data: Path) -> list[str]:
    """Three nodes and a router; the supervisor's processor time is that of all of them."""
    program = [sys.executable, "-m", "hashrange.cli.main", "cluster", "up"]
    return [*program, "--port", str(port), "--data-dir", str(data)]


def _dynalite(disk: bool) -> Command:
    def command(place: Place, port: int, data: Path) -> list[str] | None:
        node, script = shutil.which("node"), place.dynalite()
        if node is None or script is None:
            return None
        where = ["--path", str(data)] if disk else []
        return [node, str(script), "--port", str(port), "--createTableMs", "0", *where]

    return command


def _dynamodb_local(disk: bool) -> Command:
    def command(place: Place, port: int, data: Path) -> list[str] | None:
        java, archive = shutil.which("java"), place.dynamodb_local()
        if java is None or archive is None:
            return None
        library = f"-Djava.library.path={archive.parent / 'DynamoDBLocal_lib'}"
        where = ["-dbPath", str(data)] if disk else ["-inMemory"]
        return [java, library, "-jar", str(archive), "-sharedDb", "-port", str(port), *where]

    return command


CATALOGUE: dict[str, Command] = {
    "hashrange-memory": _hashrange("--in-memory", disk=False),
    "hashrange-os": _hashrange("--durability", "os"),
    "hashrange-fsync": _hashrange("--durability", "fsync"),
    "hashrange-cluster": _cluster,
    "dynalite-memory": _dynalite(disk=False),
    "dynalite-disk": _dynalite(disk=True),
    "local-memory": _dynamodb_local(disk=False),
    "local-disk": _dynamodb_local(disk=True),
}
"""The servers that can be started, by name."""


def start(name: str, place: Place, port: int) -> Server | None:
    """Start the named server and wait until it answers; None when it is not installed.

    Raises RuntimeError with the end of its output when it does not come up.
    """
    data = place.scratch / name
    data.mkdir(parents=True)
    command = CATALOGUE[name](place, port, data)
    if command is None:
        return None
    log = place.scratch / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    is_peer = not name.startswith("hashrange")
    server = Server(name, f"http://127.0.0.1:{port}", process.pid, is_peer, process)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(server.url):
            return server
        time.sleep(0.05)
    server.stop()
    raise RuntimeError(f"{name} did not start:\n{log.read_text(errors='replace')[-2_000:]}")


def _answers(url: str) -> bool:
    """Whether the server answers ListTables."""
    head = Head(LoadSettings(endpoint=url)).headers("ListTables", b"{}").decode()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    request = urllib.request.Request(url, data=b"{}", headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
