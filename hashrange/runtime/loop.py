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
"""Allocations before a collection, by generation. Requests leave no cycles behind, so that collections find
next to nothing; fewer of them are fewer pauses."""


class StopSignal:
    """Whether the program was asked to stop, and by what. Belongs to the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self.requested = False
        """Whether somebody asked for a stop."""
        self.signal_name: str | None = None
        """`SIGTERM`, `SIGINT`, or None while running or when the program asked itself."""

    async def wait(self) -> None:
        """Return when somebody asks for a stop."""
        await self._event.wait()

    def request(self, signal_name: str | None = None) -> None:
        """Ask for a graceful stop, from any thread or signal handler; further requests change nothing."""
        if not self.requested:
            self.requested = True
            self.signal_name = signal_name
            self._loop.call_soon_threadsafe(self._event.set)


Main = Callable[[StopSignal], Coroutine[Any, Any, int]]


def run(main: Main) -> int:
    """Run `main` on a new uvloop event loop and return its exit code; must be called on the main thread."""

    async def supervised() -> int:
        stop = StopSignal()

        # Not loop.add_signal_handler: its handlers run in the loop only, so that nothing could interrupt a
        # start that replays a long log in one go.
        def on_signal(number: int, _frame: FrameType | None) -> None:
            if stop.requested:
                os._exit(128 + number)
            stop.request(signal.Signals(number).name)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        try:
            return await main(stop)
        finally:
            # While the loop winds up, a signal must neither be lost nor print a traceback.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, _end_at_once)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(supervised())


def settle_memory() -> None:
    """Call once a program has started: what lives now lives for good, so no collection looks at it again."""
    gc.set_threshold(*GC_THRESHOLDS)
    gc.collect()
    gc.freeze()


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
