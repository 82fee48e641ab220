"""The embedded server with its pool, as a child process that can be killed and started again."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.cluster.kill9 import free_port

START_TIMEOUT_S = 60.0


class EmbeddedWithPool:
    """`hashrange serve --triggers` on a data directory. `options` are further flags."""

    def __init__(self, directory: Path, program: tuple[str, ...], options: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        self._program = program
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.kills = 0

    @property
    def endpoint(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory.parent / "server.log").open("ab") as output:
            where = ["--port", str(self.port), "--data-dir", str(self.directory)]
            self._process = subprocess.Popen(
                [*self._program, "serve", "--triggers", *where, *self._options],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"the server ended with {self._process.returncode}: {self.output()[-3000:]}"
                )
            try:
                with urllib.request.urlopen(f"{self.endpoint}/health/ready", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"the server was not ready in time: {self.output()[-3000:]}")

    def output(self) -> str:
        """What it has written."""
        return (self.directory.parent / "server.log").read_text(errors="replace")

    def kill_and_restart(self) -> None:
        """kill -9, and start it again."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.kills += 1
        self.start()

    def stop(self) -> int:
        """Ctrl-C, and wait."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(10)
