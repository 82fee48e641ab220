"""Functions in the embedded server: the pool is in the same process, and its directory below the data directory.

The data directory is locked, so this pool is the only one. As soon as nothing runs any more for the pool of a server
that was killed, what it had is free at once, instead of after the time that pools of a cluster wait for one another.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hashrange_router.api.dispatch import OperationEntry
from hashrange_router.triggers.predecessors import have_ended

from hashrange.cli.screen import endpoint_url
from hashrange.cli.trigger_host import Host
from hashrange.cli.trigger_settings import pool_settings
from hashrange.cli.triggers import Triggers
from hashrange.runtime.cluster_config import format_address
from hashrange.runtime.config import ServeConfig

if TYPE_CHECKING:
    from hashrange.cli.embedded import EmbeddedServer

FOLDER = "functions"


class EmbeddedTriggers:
    """The functions of an embedded server. Made by `start_functions`."""

    def __init__(self, triggers: Triggers, temporary: Path | None) -> None:
        self.triggers = triggers
        self._temporary = temporary

    async def stop(self, grace_s: float) -> None:
        """Let functions end, then their workers; what a server in memory has unpacked goes with it."""
        await self.triggers.stop(grace_s)
        self.remove_files()

    def remove_files(self) -> None:
        """Remove what was only for this run."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


async def is_alone(config: ServeConfig) -> bool:
    """Whether nothing runs any more for an earlier pool of this data directory, which is waited for."""
    return config.in_memory or await have_ended(config.data_dir.absolute() / FOLDER)


async def start_functions(
    server: EmbeddedServer, operations: dict[bytes, OperationEntry], alone: bool
) -> EmbeddedTriggers:
    """Let a server that listens run functions; raises StartupError when none can run here. `alone`: see `Triggers`."""
    config = server.config
    temporary = None
    if config.in_memory:
        temporary = Path(tempfile.mkdtemp(prefix="hashrange-functions-"))
    directory = temporary or config.data_dir / FOLDER
    host = Host(
        server.context,
        operations,
        server.node,
        server.dispatcher,
        server.telemetry,
        server.clock,
        server.node.catalogue.subscribe_controls,
        config.secrets(),
    )
    hidden = () if config.in_memory else (config.data_dir,)
    settings = pool_settings(config, directory, endpoint_url(config.host, server.port), hidden)
    address = format_address(config.host, server.port)
    functions = EmbeddedTriggers(Triggers(host, settings, "embedded", address, alone), temporary)
    server.top.add(functions.triggers.top_part)
    try:
        await functions.triggers.prepare()
        await functions.triggers.start()
    except BaseException:
        functions.remove_files()
        raise
    return functions
