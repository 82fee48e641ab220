"""Steps of a run: each is printed with its result and its time, and the first that fails ends the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

POLL_S = 0.2

Found = TypeVar("Found")


class StepError(Exception):
    """A step did not do what it must; the text says what was seen."""


class Steps:
    """Prints what is done. A step may say figures by `note`; they are printed behind it."""

    def __init__(self, out: Callable[[str], None] = lambda line: print(line, flush=True)) -> None:
        self._out = out
        self._notes: list[str] = []
        self.done = 0

    def note(self, text: str) -> None:
        """A figure of the step under way."""
        self._notes.append(text)

    def say(self, text: str) -> None:
        """A line of its own."""
        self._out(f"      {text}")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """One step; whatever is raised in it is printed as FAILED and raised again."""
        self._notes = []
        begun = time.monotonic()
        try:
            yield
        except BaseException as error:
            self._out(f"FAILED {what} after {time.monotonic() - begun:.1f} s: {error!r}")
            raise
        self.done += 1
        notes = f": {'; '.join(self._notes)}" if self._notes else ""
        self._out(f"OK    {time.monotonic() - begun:6.1f} s  {what}{notes}")


def wait_for(what: str, look: Callable[[], Found], timeout_s: float) -> Found:
    """What `look` gives as soon as it is true; errors of it count as not yet. Raises StepError in the end."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = look()
            if found:
                return found
            last = found
        except Exception as error:
            last = repr(error)
        time.sleep(POLL_S)
    raise StepError(f"{what}: not within {timeout_s:.0f} s; last seen: {last}")
