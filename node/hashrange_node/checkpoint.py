"""Checkpoints: flushing the engine so that old segments of the log can go.

RocksDB keeps what was applied in memory until it flushes; until then the log is what makes it durable. When
the log has grown by enough, the engine is flushed off the event loop, and the segments that nothing needs any
more are removed. What that is the driver says before the flush begins: it first writes to the engine what only the
log has besides entries (terms, votes), then names the position below which everything is applied and no follower
that is behind needs an entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hashrange_node.log.protocol import NodeLog
from hashrange_node.storage.engine import Engine, EngineBusy, EngineError

INTERVAL_S = 1.0


class LogUser(Protocol):
    """What the checkpointer asks of the driver."""

    def prepare_checkpoint(self) -> None:
        """Write to the engine what only the log has besides entries. Raises EngineError; EngineBusy: not now."""
        ...

    def log_floor(self) -> int:
        """The position up to which nothing of the log is needed once the engine has what it was given so far."""
        ...

    def log_removed(self) -> None:
        """The log has removed records: those before its `first_position` cannot be read any more."""
        ...


class Checkpointer:
    """Looks at the log once a second. `run_off_loop(work, done)` runs blocking work in a thread.

    A checkpoint is due when the log has `trigger_bytes`, and at least half as much came since the last one: part
    of the log may have to stay for followers that are behind.
    """

    def __init__(
        self,
        log: NodeLog,
        engine: Engine,
        driver: LogUser,
        *,
        run_off_loop: Callable[[Callable[[], None], Callable[[BaseException | None], None]], None],
        call_later: Callable[[float, Callable[[], None]], Any],
        trigger_bytes: int,
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self._log = log
        self._engine = engine
        self._driver = driver
        self._run_off_loop = run_off_loop
        self._call_later = call_later
        self._trigger_bytes = trigger_bytes
        self._on_error = on_error
        self._left_bytes = 0
        self.checkpoints = 0
        self.stopped = False
        self.running = False

    def start(self) -> None:
        """Begin to watch the log."""
        self._call_later(INTERVAL_S, self._look)

    def _look(self) -> None:
        if self.stopped:
            return
        if self._due():
            try:
                self._driver.prepare_checkpoint()
            except EngineBusy:
                pass  # the engine does not keep up with the writes that it has: look again later
            except EngineError as error:
                self._report(error)
            else:
                self._flush(self._driver.log_floor())
                return
        self._call_later(INTERVAL_S, self._look)

    def _due(self) -> bool:
        size = self._log.size_bytes()
        return size >= self._trigger_bytes and size >= self._left_bytes + self._trigger_bytes // 2

    def _flush(self, floor: int) -> None:
        """Flush, then let go of the log up to `floor`."""
        size_before = self._log.size_bytes()
        self.running = True

        def flushed(error: BaseException | None) -> None:
            self.running = False
            if error is None:
                self.checkpoints += 1
                grown = self._log.size_bytes() - size_before
                self._log.remove_before(floor)
                self._left_bytes = self._log.size_bytes() - grown
                self._driver.log_removed()
            elif isinstance(error, EngineError):
                self._report(error)
            else:
                raise error
            self._call_later(INTERVAL_S, self._look)

        self._run_off_loop(self._engine.flush, flushed)

    def _report(self, error: EngineError) -> None:
        self._on_error("a checkpoint failed; the log keeps what it covers", error)
