"""Starts and stops `hashrange serve` as a user would: one process, a free port, ready when it says so."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

START_DEADLINE_S = 60.0


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_ready(port: int) -> bool:
    """Whether GET /health/ready answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Server:
    """A running `hashrange serve`; `stop` ends it by its own pid, `kill` without warning."""

    def __init__(self, *options: str, log: Path, port: int | None = None) -> None:
        self.options = options
        self.port = port or free_port()
        self.log = log
        command = [sys.executable, "-m", "hashrange.cli.main", "serve", "--port", str(self.port), *options]
        # The suite's own variables are no settings of the server, nor are the developer's settings ours.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HASHRANGE_")}
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def endpoint(self) -> str:
        """The URL for boto3's endpoint_url."""
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> Server:
        """Return once the server answers; raise with its log if it ends or stays silent."""
        deadline = time.monotonic() + START_DEADLINE_S
        while not is_ready(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                text = self.log.read_text(errors="replace")[-4000:]
                raise RuntimeError(f"hashrange serve {' '.join(self.options)} did not start:\n{text}")
            time.sleep(0.02)
        return self

    def stop(self) -> int:
        """SIGTERM, then wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL: what was acknowledged must still be there afterwards."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)


@contextlib.contextmanager
def running(*options: str, log: Path) -> Iterator[Server]:
    """A ready server with these options of `hashrange serve`, stopped at the end."""
    server = Server(*options, log=log)
    try:
        yield server.wait_ready()
    finally:
        server.stop()
