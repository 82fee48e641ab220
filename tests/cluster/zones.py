"""Availability zones as network namespaces: real sockets, real silence, cuts in one direction.

Needs root and iproute2. A namespace in the middle forwards between the zones, and to the routers and clients outside;
a cut is a rule there that throws away what goes from one zone to another, so that neither side is told anything:

    zones = Zones(3)
    zones.create()
    zones.drop("az1", "az2")       # what az1 sends to az2 is lost, the other way is open
    zones.heal()
    zones.destroy()

Run as a program, `python tests/cluster/zones.py NAME COMMAND...` is `hashrange` with the nodes of a zone started
within its namespace; `NAME` is `Zones.name`.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

OUTSIDE = "outside"
"""Routers and clients."""

NETWORK = 10


class ZonesUnavailableError(Exception):
    """Namespaces cannot be made here; the text says why."""


def ip(*words: str, namespace: str | None = None, check: bool = True) -> None:
    """Run `ip`, in a namespace or outside."""
    command = ["ip", *(["netns", "exec", namespace, "ip"] if namespace else []), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise ZonesUnavailableError(f"{' '.join(command)}: {done.stderr.strip()}")


class Zones:
    """The namespaces of one cluster. `name` tells them from others' and chooses their addresses."""

    def __init__(self, count: int, name: str | None = None) -> None:
        self.name = name or f"hr{random.randrange(100, 250)}"
        self.places = [OUTSIDE, *(f"az{number}" for number in range(1, count + 1))]
        self._rules: list[list[str]] = []

    @property
    def _middle(self) -> str:
        return f"{self.name}-mid"

    def namespace(self, zone: str) -> str:
        """The name of a zone's namespace."""
        return f"{self.name}-{zone}"

    def address(self, zone: str) -> str:
        """The address of a zone."""
        return f"{NETWORK}.{self.name[2:]}.{self._number(zone)}.2"

    def _number(self, zone: str) -> int:
        return 0 if zone == OUTSIDE else int(zone.removeprefix("az"))

    def _subnet(self, zone: str) -> str:
        return f"{NETWORK}.{self.name[2:]}.{self._number(zone)}.0/24"

    def create(self) -> None:
        """Make the namespaces and their links; raises ZonesUnavailableError, with nothing left behind."""
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise ZonesUnavailableError("network namespaces need root and iproute2")
        try:
            ip("netns", "add", self._middle)
            ip("link", "set", "lo", "up", namespace=self._middle)
            for place in self.places:
                self._link(place)
            forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
            subprocess.run(["ip", "netns", "exec", self._middle, "sh", "-c", forward], check=True)
            # Only what a node must reach is routed from outside: the zones of this cluster.
            ip("route", "add", f"{NETWORK}.{self.name[2:]}.0.0/16", "via", self._gateway(OUTSIDE))
        except (ZonesUnavailableError, subprocess.CalledProcessError) as error:
            self.destroy()
            raise ZonesUnavailableError(str(error)) from error

    def _gateway(self, place: str) -> str:
        return f"{NETWORK}.{self.name[2:]}.{self._number(place)}.1"

    def _link(self, place: str) -> None:
        number = self._number(place)
        inner, outer = f"{self.name}i{number}", f"{self.name}o{number}"
        ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        ip("link", "set", outer, "netns", self._middle)
        ip("addr", "add", f"{self._gateway(place)}/24", "dev", outer, namespace=self._middle)
        ip("link", "set", outer, "up", namespace=self._middle)
        namespace = None
        if place != OUTSIDE:
            namespace = self.namespace(place)
            ip("netns", "add", namespace)
            ip("link", "set", inner, "netns", namespace)
            ip("link", "set", "lo", "up", namespace=namespace)
        ip("addr", "add", f"{self.address(place)}/24", "dev", inner, namespace=namespace)
        ip("link", "set", inner, "up", namespace=namespace)
        if namespace is not None:
            ip("route", "add", "default", "via", self._gateway(place), namespace=namespace)

    def drop(self, source: str, target: str) -> None:
        """Lose what goes from one place to another; the other direction stays open."""
        rule = ["from", self._subnet(source), "to", self._subnet(target), "blackhole"]
        ip("rule", "add", *rule, namespace=self._middle)
        self._rules.append(rule)

    def cut(self, zone: str, others: list[str] | None = None) -> None:
        """Lose everything between a zone and others, or all others, in both directions."""
        for other in others if others is not None else self.places:
            if other != zone:
                self.drop(zone, other)
                self.drop(other, zone)

    def heal(self) -> None:
        """Lose nothing any more."""
        for rule in self._rules:
            ip("rule", "del", *rule, namespace=self._middle, check=False)
        self._rules.clear()

    def destroy(self) -> None:
        """Take everything away."""
        ip("link", "del", f"{self.name}i0", check=False)
        for place in self.places:
            if place != OUTSIDE:
                ip("netns", "del", self.namespace(place), check=False)
        ip("netns", "del", self._middle, check=False)

    def program(self) -> tuple[str, ...]:
        """The command line of a cluster in these zones."""
        return (sys.executable, str(Path(__file__).resolve()), self.name)

    @contextmanager
    def addressed(self) -> Iterator[None]:
        """Within this, layouts of clusters give the addresses of these zones."""
        undo = place_nodes(self)
        try:
            yield
        finally:
            undo()


def place_nodes(zones: Zones) -> Callable[[], None]:
    """Have every layout put nodes at the addresses of their zones; returns what undoes it."""
    from hashrange.cli.cluster.layout import NODE, Layout, Process

    kept: dict[str, Any] = {name: getattr(Layout, name) for name in ("address", "admin_url", "config_of")}

    def at_zone(text: str, process: Process) -> str:
        return text.replace("127.0.0.1", zones.address(process.az)) if process.role == NODE else text

    def address(self: Layout, process: Process) -> str:
        return at_zone(kept["address"](self, process), process)

    def admin_url(self: Layout, process: Process) -> str:
        return at_zone(kept["admin_url"](self, process), process)

    def config_of(self: Layout, process: Process) -> dict[str, Any]:
        config: dict[str, Any] = kept["config_of"](self, process)
        if process.role == NODE:
            config["host"] = config["admin_host"] = zones.address(process.az)
        return config

    for name, function in (("address", address), ("admin_url", admin_url), ("config_of", config_of)):
        setattr(Layout, name, function)

    def undo() -> None:
        for name, function in kept.items():
            setattr(Layout, name, function)

    return undo


def main(arguments: list[str]) -> None:
    """Be `hashrange`, with nodes in namespaces."""
    name, *rest = arguments
    if rest[:1] == ["cluster"]:
        from hashrange.cli.cluster.layout import NODE, Process
        from hashrange.cli.cluster.supervisor import Supervisor

        zones = Zones(26, name)
        place_nodes(zones)
        original = Supervisor.spawn

        async def spawn(self: Supervisor, process: Process) -> None:
            # Processes are started one after the other: no other start sees this program.
            program = self._program
            if process.role == NODE:
                self._program = ["ip", "netns", "exec", zones.namespace(process.az), *program]
            try:
                await original(self, process)
            finally:
                self._program = program

        Supervisor.spawn = spawn  # type: ignore[method-assign]
    sys.argv[1:] = rest
    from hashrange.cli.main import main as run

    with suppress(KeyboardInterrupt):
        run()


if __name__ == "__main__":
    main(sys.argv[1:])
