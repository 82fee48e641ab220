"""Running a program on one uvloop event loop: signals, graceful stop, garbage collector.

    async def main(stop: StopSignal) -> int:
        server = await start(...)
        settle_memory()
        await stop.wait()
        await server.stop()
        return 0

    sys.exit(run(main))

The first SIGTERM or SIGINT asks for a graceful stop; the second ends the process at once, with the exit code
shells expect (128 + signal number). A write that was acknowledged is durable by then either way.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import uvloop

GC_THRESHOLDS = (50_000, 20, 50)
"""Allocations before a collection, by generation. Requests leave no cycles behind, so that the interpreter's
default of 700 only adds collections that find nothing."""


class StopSignal:
    """Whether the program was asked to stop, and by what."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.signal_name: str | None = None
        """`SIGTERM`, `SIGINT`, or None while running or when the program asked itself."""

    @property
    def requested(self) -> bool:
        """Whether somebody asked for a stop."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when somebody asks for a stop."""
        await self._event.wait()

    def request(self, signal_name: str | None = None) -> None:
        """Ask for a graceful stop; further requests change nothing."""
        if not self._event.is_set():
            self.signal_name = signal_name
            self._event.set()


Main = Callable[[StopSignal], Coroutine[Any, Any, int]]


def run(main: Main) -> int:
    """Run `main` on a new uvloop event loop and return its exit code; must be called on the main thread."""

    async def supervised() -> int:
        stop = StopSignal()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _on_signal, number, stop)
        try:
            return await main(stop)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
                # While the loop winds up, a signal must neither be lost nor print a traceback.
                signal.signal(number, _end_at_once)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(supervised())


def settle_memory() -> None:
    """Call once a program has started: what lives now lives for good, so no collection looks at it again."""
    gc.set_threshold(*GC_THRESHOLDS)
    gc.collect()
    gc.freeze()


def _on_signal(number: int, stop: StopSignal) -> None:
    if stop.requested:
        os._exit(128 + number)
    stop.request(signal.Signals(number).name)


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
