"""Programs of this installation that another one runs: nodes of a local cluster, cache nodes.

Each is a child with a session of its own, so that Ctrl-C reaches its parent alone, and holds the reading end of a pipe
as its standard input: when the parent dies, however that happens, the pipe closes and the child stops by itself
(`--stop-at-eof`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from hashrange.runtime.settings import ENVIRONMENT_PREFIX


async def start_child(
    program: list[str], role: str, config: Path, log_file: Path
) -> asyncio.subprocess.Process:
    """Start `hashrange ROLE --config FILE`; what it writes is added to a file."""
    # A variable meant for one process must not reach them all: what they need is in the file.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)
    }
    with log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program,
            role,
            "--config",
            str(config),
            "--stop-at-eof",
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


def own_program() -> list[str]:
    """The command that this program was started with, up to its arguments: children are started the same way."""
    arguments = len(sys.argv) - 1
    return [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - arguments]]


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
