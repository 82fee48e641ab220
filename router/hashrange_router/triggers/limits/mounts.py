"""Where the kernel shows its control groups, and which of them this process is in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mounts."""

    target: Path
    kind: str
    options: frozenset[str]


def parse_mounts(text: str) -> list[Mount]:
    """The mounts in the text of /proc/self/mounts."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) >= 4:
            target = fields[1].replace("\\040", " ")
            found.append(Mount(Path(target), fields[2], frozenset(fields[3].split(","))))
    return found


def parse_own(text: str) -> dict[str, str]:
    """Controller to path, from the text of /proc/self/cgroup; "" for the one hierarchy of version 2."""
    found = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = path
    return found


def read_mounts() -> list[Mount]:
    """What is mounted, as this process sees it."""
    return parse_mounts(Path("/proc/self/mounts").read_text())


def own_paths() -> dict[str, str]:
    """The groups this process is in."""
    try:
        return parse_own(Path("/proc/self/cgroup").read_text())
    except OSError:
        return {}
