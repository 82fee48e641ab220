"""Runs `hashrange top`: takes samples, shows views, listens to keys. Ends with exit code 0, or 1 with a sentence."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import orjson
from rich.console import Console
from rich.live import Live

from hashrange.cli.top.build import SORTS, build
from hashrange.cli.top.model import Sample
from hashrange.cli.top.screen import Screen
from hashrange.cli.top.sources import AskError, LayoutError, Source, find

HISTORY = 120
FIRST_INTERVAL_S = 0.5
PIPED_WIDTH = 100
PIPED_HEIGHT = 40
KEYS_HELP = "s: sort by something else   q: quit"


@dataclass(slots=True)
class TopOptions:
    """What the command line asks for."""

    endpoints: list[str]
    data_dir: str | None
    interval_s: float
    once: bool
    as_json: bool
    sort: str


def run(options: TopOptions) -> int:
    """Show the view until the user has seen enough; returns the exit code."""
    try:
        return asyncio.run(_run(options))
    except (AskError, LayoutError) as error:
        print(f"hashrange: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


async def _run(options: TopOptions) -> int:
    source = await find(options.endpoints, options.data_dir)
    if options.as_json:
        return await _json(source, options)
    console = _console()
    if options.once:
        before = await source()
        await asyncio.sleep(options.interval_s)
        view = build(before, await source(), options.sort)
        console.print(Screen(view, sort=options.sort))
        return 0
    if not console.is_terminal:
        raise AskError("standard output is no terminal: add --once for one screen, or --json for scripts")
    return await _Live(source, options, console).run()


async def _json(source: Source, options: TopOptions) -> int:
    """One document a line; each is over the interval before it."""
    before = await source()
    while True:
        await asyncio.sleep(options.interval_s)
        after = await source()
        view = build(before, after, options.sort)
        sys.stdout.write(orjson.dumps(view.to_json()).decode() + "\n")
        sys.stdout.flush()
        if options.once:
            return 0
        before = after


def _console() -> Console:
    """The terminal, or what stands for one: COLUMNS and LINES say how large it is."""
    if sys.stdout.isatty():
        return Console()
    size = [
        int(text) if text.isdecimal() and int(text) > 0 else default
        for text, default in (
            (os.environ.get("COLUMNS", ""), PIPED_WIDTH),
            (os.environ.get("LINES", ""), PIPED_HEIGHT),
        )
    ]
    return Console(width=size[0], height=size[1])


class _Live:
    """The screen that follows. One sample after the other: a slow process delays the next, and none pile up."""

    def __init__(self, source: Source, options: TopOptions, console: Console) -> None:
        self._source = source
        self._options = options
        self._console = console
        self._sort = options.sort
        self._history: deque[float] = deque(maxlen=HISTORY)
        self._samples: tuple[Sample | None, Sample | None] = (None, None)
        self._quit = asyncio.Event()

    async def run(self) -> int:
        """Draw until the user quits."""
        first = await self._source()
        self._samples = (None, first)
        with Live(console=self._console, screen=True, auto_refresh=False) as live, self._keys(live):
            self._draw(live)
            interval_s = min(FIRST_INTERVAL_S, self._options.interval_s)
            while not await self._quits_within(interval_s):
                self._samples = (self._samples[1], await self._take())
                self._draw(live, sampled=True)
                interval_s = self._options.interval_s
        return 0

    async def _take(self) -> Sample | None:
        """A sample; the last one with a note while nobody answers."""
        try:
            return await self._source()
        except (AskError, LayoutError) as error:
            last = self._samples[1]
            if last is None:
                raise
            rows = [{**row, "state": "unreachable"} for row in last.processes]
            return Sample(last.place, {}, rows, last.partitions, f"{error}; trying again")

    async def _quits_within(self, interval_s: float) -> bool:
        try:
            await asyncio.wait_for(self._quit.wait(), interval_s)
        except TimeoutError:
            return False
        return True

    def _draw(self, live: Live, sampled: bool = False) -> None:
        before, after = self._samples
        assert after is not None
        view = build(before, after, self._sort)
        if sampled:
            self._history.append(view.totals.requests)
        live.update(Screen(view, tuple(self._history), self._sort, KEYS_HELP), refresh=True)

    @contextmanager
    def _keys(self, live: Live) -> Iterator[None]:
        """Listen to single keys while the screen is shown, where standard input is a terminal."""
        loop = asyncio.get_running_loop()
        if not sys.stdin.isatty():
            yield
            return
        descriptor = sys.stdin.fileno()
        settings = termios.tcgetattr(descriptor)

        def pressed() -> None:
            for letter in os.read(descriptor, 64).decode("latin-1").lower():
                if letter in ("q", "\x03", "\x04"):
                    self._quit.set()
                elif letter == "s":
                    self._sort = SORTS[(SORTS.index(self._sort) + 1) % len(SORTS)]
                    self._draw(live)

        tty.setcbreak(descriptor)
        loop.add_reader(descriptor, pressed)
        loop.add_signal_handler(signal.SIGWINCH, self._draw, live)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            loop.remove_reader(descriptor)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)
