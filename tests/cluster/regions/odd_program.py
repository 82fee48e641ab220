"""`hashrange` made observable, or with a rule of global tables broken.

    python tests/cluster/regions/odd_program.py clock,log regions up --regions ...

The first argument names what is changed, separated by commas; the rest is an ordinary command line. Processes that a
supervisor started like this starts are changed the same way.

| name | what is changed |
|---|---|
| clock | the wall clock is off by the milliseconds in the file `clock` beside the process's configuration |
| coarse | the wall clock goes in steps of 20 ms: two regions often make the same stamp |
| log | every version that a leader makes is added to the file `versions` beside its configuration |
| tie | of two versions with one stamp neither wins: the region does not decide |
| arrival | whatever comes last wins |
| graves | what arrives is not compared with tombstones |

An embedded server's files are `DIR.clock` and `DIR.versions`, DIR being its data directory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent.parent))

LOOK_S = 0.05
STEP_MS = 20


class OffsetFile:
    """A number of milliseconds in a file that may change at any time; 0 while there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = 0.0
        self._offset_ms = 0

    def read(self) -> int:
        """The number, at most `LOOK_S` old."""
        now = time.monotonic()
        if now - self._looked > LOOK_S:
            self._looked = now
            try:
                self._offset_ms = int(self._path.read_text())
            except (OSError, ValueError):
                self._offset_ms = 0
        return self._offset_ms


def file_beside(arguments: list[str], name: str) -> Path | None:
    """Where a process finds its file of this name; None for a command that has no such thing."""
    for flag, place in (
        ("--config", lambda path: path.with_name(name)),
        ("--data-dir", lambda path: path.with_name(f"{path.name}.{name}")),
    ):
        if flag in arguments:
            made: Path = place(Path(arguments[arguments.index(flag) + 1]))
            return made
    return None


def move_clock(arguments: list[str]) -> None:
    """Let the wall clock be off by what a file says."""
    from hashrange.runtime.clock import SystemClock

    path = file_beside(arguments, "clock")
    if path is None:
        return
    offset = OffsetFile(path)
    original = SystemClock.wall_ms

    def wall_ms(self: SystemClock) -> int:
        return original(self) + offset.read()

    SystemClock.wall_ms = wall_ms  # type: ignore[method-assign]


def step_clock(arguments: list[str]) -> None:
    """Let the wall clock go in large steps."""
    from hashrange.runtime.clock import SystemClock

    original = SystemClock.wall_ms

    def wall_ms(self: SystemClock) -> int:
        return original(self) // STEP_MS * STEP_MS

    SystemClock.wall_ms = wall_ms  # type: ignore[method-assign]


def log_versions(arguments: list[str]) -> None:
    """Write down each version as it is made, before anybody can be told of it: key, stamp, region, value."""
    from hashrange_node.regions import versions

    from hashrange.model import record as records

    path = file_beside(arguments, "versions")
    if path is None:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    original = versions.mark

    def mark(effects: Any, schema: Any, full_key: bytes, stamp: int) -> None:
        original(effects, schema, full_key, stamp)
        made = next((value for key, value in reversed(effects.mutations) if key == full_key), None)
        value = json.loads(records.item_json(made)).get("v", {}).get("S") if made is not None else None
        line = json.dumps([schema.name, full_key[10:].hex(), stamp, schema.region, value])
        os.write(descriptor, line.encode() + b"\n")

    versions.mark = mark


def no_tie_break(arguments: list[str]) -> None:
    """Let the region decide nothing."""
    from hashrange_node.regions import versions

    from hashrange.model import record as records

    def wins(record: bytes, stored: bytes) -> bool:
        return records.stamp(record) > records.stamp(stored)

    versions.wins = wins


def last_to_arrive(arguments: list[str]) -> None:
    """Let whatever arrives take the place of what is there."""
    from hashrange_node.regions import versions

    def wins(record: bytes, stored: bytes) -> bool:
        return record[24:] != stored[24:]

    versions.wins = wins


def no_graves(arguments: list[str]) -> None:
    """Let nobody look at tombstones when a version arrives; deletions are still sent."""
    from hashrange_node.regions import apply, receiving
    from hashrange_node.storage import keyspace

    original = apply.land

    def land(entries: Any, landing: apply.Landing) -> apply.Landed:
        def find(key: bytes) -> bytes | None:
            return None if key[9] == keyspace.TOMBSTONES else landing.find(key)

        return original(entries, landing._replace(find=find))

    receiving.land = land


CHANGES: dict[str, Callable[[list[str]], None]] = {
    "clock": move_clock,
    "coarse": step_clock,
    "log": log_versions,
    "tie": no_tie_break,
    "arrival": last_to_arrive,
    "graves": no_graves,
}


def main(arguments: list[str]) -> None:
    """Change something, then be `hashrange`."""
    names, *rest = arguments
    if rest[:1] in (["node"], ["serve"]):
        # The rounding comes first, so that an offset is not rounded away.
        for name in sorted(names.split(","), key=lambda each: each != "coarse"):
            CHANGES[name](rest)
    # A supervisor starts its children with the command that it was itself started with, up to these arguments.
    sys.argv[1:] = rest
    from hashrange.cli.main import main as run

    run()


if __name__ == "__main__":
    main(sys.argv[1:])
