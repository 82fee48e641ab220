"""Podman and podman-compose as a test uses them: as root, on kernels with old control groups too.

`Engine` runs podman with settings of its own (CONTAINERS_CONF), so that the machine's are left as they are: runc where
the kernel has control groups of version 1 or hybrid ones, which crun refuses, and limits of open files that a
restricted machine grants. `Project` is one compose file brought up under a name of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
LIMITS = 'default_ulimits = ["nofile=20000:20000", "nproc=4000:4000"]'
PACKAGES = "podman runc netavark aardvark-dns iptables containernetworking-plugins catatonit debootstrap"
SYSTEMD_NOISE = ("systemd connection", "connect to syslog")
COMMAND_S = 120.0


class EngineError(Exception):
    """A command of podman failed; the text is its last words."""


def _folder() -> Path:
    """Where files are kept that must outlive this process: what ends a container reads the settings again."""
    folder = Path(tempfile.gettempdir()) / f"hashrange-podman-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _settings() -> Path:
    """The file for CONTAINERS_CONF."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    engine = "" if unified else '\n[engine]\nruntime = "runc"\n'
    path = _folder() / "containers.conf"
    path.write_text(f"[containers]\n{LIMITS}\n{engine}", encoding="utf-8")
    return path


def _isolated(file: Path) -> Path:
    """What makes podman keep a compose file's networks apart, as Docker does by itself: a further compose file.

    Without it the machine passes packets from one network to another, and a network that was cut is not.
    """
    networks = yaml.safe_load(file.read_text(encoding="utf-8")).get("networks", {})
    path = _folder() / f"isolated-{file.name}"
    apart = {name: {"driver_opts": {"isolate": "true"}} for name in networks}
    path.write_text(yaml.safe_dump({"networks": apart} if apart else {}), encoding="utf-8")
    return path


def _quiet(text: str) -> str:
    """Output without what podman says for want of systemd, which health checks by timers would need."""
    kept = [line for line in text.splitlines() if not any(noise in line for noise in SYSTEMD_NOISE)]
    return "\n".join(kept)


def find_compose() -> str:
    """The path of podman-compose; raises EngineError with what to install."""
    beside = Path(sys.executable).parent / "podman-compose"
    found = str(beside) if beside.exists() else shutil.which("podman-compose")
    if found is None:
        raise EngineError("there is no podman-compose; pip install podman-compose")
    return found


class Engine:
    """Podman on this machine."""

    def __init__(self) -> None:
        if shutil.which("podman") is None:
            raise EngineError(f"there is no podman; on Debian: apt-get install {PACKAGES}")
        self.environment = {**os.environ, "CONTAINERS_CONF": str(_settings())}

    def run(
        self,
        command: Sequence[str | Path],
        *,
        timeout_s: float = COMMAND_S,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> str:
        """Run a command to its end; its standard output. Raises EngineError when it fails or takes too long."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words,
                cwd=ROOT,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"{' '.join(words[:4])} took more than {timeout_s:.0f} s") from None
        if check and done.returncode:
            words_last = _quiet(done.stdout + done.stderr)[-1500:]
            raise EngineError(f"{' '.join(words[:6])} ended with {done.returncode}: {words_last}")
        return _quiet(done.stdout)

    def podman(self, *arguments: str | Path, timeout_s: float = COMMAND_S, check: bool = True) -> str:
        """Run podman."""
        return self.run(["podman", *arguments], timeout_s=timeout_s, check=check)

    def has_image(self, name: str) -> bool:
        """Whether an image of this name is on this machine."""
        return bool(self.podman("images", "--quiet", name))

    def image_size_mb(self, name: str) -> float:
        """The size of an image, its base included."""
        return float(self.podman("image", "inspect", name, "--format", "{{.Size}}")) / 1e6


class Project:
    """One compose file under a project name, which is the prefix of its containers, networks and volumes."""

    def __init__(self, engine: Engine, file: Path, name: str, variables: Mapping[str, str]) -> None:
        self.engine = engine
        self.file = file
        self.name = name
        self.variables = dict(variables)
        self._command = [find_compose(), "-p", name, "-f", str(file), "-f", str(_isolated(file))]

    def compose(self, *arguments: str, timeout_s: float = 300.0) -> str:
        """Run podman-compose on the file."""
        return self.engine.run(
            [*self._command, *arguments],
            timeout_s=timeout_s,
            environment=self.variables,
        )

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.name}_{service}_1"

    def network(self, name: str) -> str:
        """The name of a network."""
        return f"{self.name}_{name}"

    def healthy(self, service: str) -> bool:
        """Run the image's health check once."""
        try:
            self.engine.podman("healthcheck", "run", self.container(service))
        except EngineError:
            return False
        return True

    def state(self, service: str) -> dict[str, Any]:
        """State of a container as podman inspects it."""
        found: list[dict[str, Any]] = json.loads(self.engine.podman("inspect", self.container(service)))
        state: dict[str, Any] = found[0]["State"]
        return state

    def inside(self, service: str, *command: str) -> str:
        """Run a command in a container; its output."""
        return self.engine.podman("exec", self.container(service), *command)

    def log_end(self, service: str, lines: int = 12) -> str:
        """The last lines that a container has written."""
        command = ["podman", "logs", "--tail", str(lines), self.container(service)]
        done = subprocess.run(
            command, env=self.engine.environment, capture_output=True, text=True, timeout=30, check=False
        )
        return _quiet(done.stdout + done.stderr)

    def kill(self, service: str) -> None:
        """SIGKILL to a container."""
        self.engine.podman("kill", "--signal", "KILL", self.container(service))

    def start(self, service: str) -> None:
        """Start a container that has ended."""
        self.engine.podman("start", self.container(service))

    def disconnect(self, service: str, network: str) -> None:
        """Take a container out of a network: nobody answers its packets any more, and no connection is closed."""
        self.engine.podman("network", "disconnect", self.network(network), self.container(service))

    def connect(self, service: str, network: str, *aliases: str) -> None:
        """Bring it back, under the names that it had there."""
        names = [word for alias in (service, *aliases) for word in ("--alias", alias)]
        self.engine.podman("network", "connect", *names, self.network(network), self.container(service))

    def left_over(self) -> list[str]:
        """Containers, networks and volumes that carry the project's name."""
        prefix = self.name + "_"
        listings = (
            self.engine.podman("ps", "--all", "--format", "{{.Names}}"),
            self.engine.podman("network", "ls", "--format", "{{.Name}}"),
            self.engine.podman("volume", "ls", "--format", "{{.Name}}"),
        )
        return [name for listing in listings for name in listing.split() if name.startswith(prefix)]

    def remove(self) -> None:
        """Take everything away, volumes too; never raises, so that it may clean up after a failure."""
        self.engine.run(
            [*self._command, "down", "--volumes", "--timeout", "2"],
            timeout_s=180,
            environment=self.variables,
            check=False,
        )
        for kind in ("network", "volume"):
            listed = self.engine.podman(kind, "ls", "--format", "{{.Name}}", check=False).split()
            for name in listed:
                if name.startswith(self.name + "_"):
                    self.engine.podman(kind, "rm", "--force", name, check=False)
