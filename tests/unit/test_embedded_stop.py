"""Stopping an embedded server whose disk is full: everything is let go of, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hashrange_node.storage.engine import EngineFull

from hashrange.cli.embedded import start_embedded
from hashrange.runtime.config import ServeConfig
from hashrange.runtime.settings import load


def config(directory: Path) -> ServeConfig:
    return load({"data_dir": str(directory), "port": "0"}, {}).config


def full() -> None:
    raise EngineFull("no space left on device")


def test_an_engine_that_cannot_be_flushed_does_not_keep_the_server_from_stopping(tmp_path: Path) -> None:
    async def run() -> None:
        server = await start_embedded(config(tmp_path / "data"))
        server.storage.engine.flush = full  # type: ignore[method-assign]
        await server.stop()
        again = await start_embedded(config(tmp_path / "data"))
        await again.stop()

    asyncio.run(run())
