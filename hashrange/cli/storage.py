"""What a program that stores data stands on: the event loop's scheduling, the log and the engine of its directory."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hashrange_node.log.errors import LogError
from hashrange_node.log.protocol import NodeLog
from hashrange_node.storage.engine import Engine, EngineError

from hashrange.runtime.config import DataConfig
from hashrange.runtime.startup import StartupError
from hashrange.runtime.telemetry import Telemetry

FATAL_EXIT = 70


class LoopScheduler:
    """The event loop's scheduling functions, as the node wants them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # One thread: flushes run one after the other.
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self.call_soon: Callable[[Callable[[], None]], Any] = loop.call_soon

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        """Call after a delay, or at the end of this tick."""
        if delay_s <= 0:
            return self._loop.call_soon(callback)
        return self._loop.call_later(delay_s, callback)

    def run_off_loop(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Run blocking work in a thread and report on the loop."""
        future = self._loop.run_in_executor(self.executor, work)
        future.add_done_callback(lambda f: done(f.exception()))


class Storage:
    """Log and engine of one process, on disk or in memory. `node` is the id of a node of a cluster."""

    def __init__(
        self,
        config: DataConfig,
        loop: asyncio.AbstractEventLoop,
        telemetry: Telemetry,
        node: int | None = None,
    ) -> None:
        self.log: NodeLog
        self.engine: Engine
        self.directory: Any = None
        if config.in_memory:
            from hashrange_node.log.memory import MemoryLog
            from hashrange_node.storage.memory import MemoryEngine

            self.log = MemoryLog()
            self.engine = MemoryEngine()
            return
        from hashrange_node.log.log import FileLog
        from hashrange_node.storage.datadir import DataDirectory, DataDirError
        from hashrange_node.storage.options import RocksSettings
        from hashrange_node.storage.rocks import RocksEngine

        fsync = telemetry.histogram("hashrange_log_fsync_seconds", "Duration of each sync of the log.")
        try:
            self.directory = DataDirectory.open(config.data_dir)
        except DataDirError as error:
            raise StartupError(str(error)) from error
        try:
            self.directory.claim(node)
            existed = self.directory.has_engine_data
            self.log = FileLog.open(
                self.directory.log_path,
                self.directory.id,
                call_soon=loop.call_soon_threadsafe,
                durability=config.durability,
                segment_bytes=config.segment_mb << 20,
                must_exist=existed,
                observe_fsync=fsync.observe,
                fatal=fatal,
            )
            self.engine = RocksEngine(
                self.directory.engine_path, RocksSettings(block_cache_bytes=config.block_cache_mb << 20)
            )
        except (DataDirError, LogError, EngineError) as error:
            self.directory.close()
            raise StartupError(str(error)) from error
        except BaseException:
            self.directory.close()
            raise

    def release(self) -> None:
        """Let go of the directory when log or engine could not be used."""
        if self.directory is not None:
            self.directory.close()

    def close(self) -> None:
        """Make everything durable and let go of the files, all of them even if one cannot be written."""
        try:
            self.log.close()
        finally:
            try:
                self.engine.close()
            finally:
                self.release()


def fatal(message: str, code: int = FATAL_EXIT) -> None:
    """End the process at once: what it would do next could not be trusted."""
    print(f"hashrange: {message}", file=sys.stderr, flush=True)
    os._exit(code)
