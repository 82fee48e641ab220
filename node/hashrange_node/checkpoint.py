"""Checkpoints: flushing the engine so that old segments of the log can go.

RocksDB keeps what was applied in memory until it flushes; until then the log is what makes it durable. When
the log has grown past `trigger_bytes`, the engine is flushed off the event loop, and the segments whose
entries had all been applied when the flush began are removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange_node.log.protocol import NodeLog
from hashrange_node.replica.group import Driver
from hashrange_node.storage.engine import Engine, EngineError

INTERVAL_S = 1.0


class Checkpointer:
    """Looks at the log once a second. `run_off_loop(work, done)` runs blocking work in a thread."""

    def __init__(
        self,
        log: NodeLog,
        engine: Engine,
        driver: Driver,
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
        self.checkpoints = 0
        self.stopped = False
        self.running = False

    def start(self) -> None:
        """Begin to watch the log."""
        self._call_later(INTERVAL_S, self._look)

    def _look(self) -> None:
        if self.stopped:
            return
        if self._log.size_bytes() < self._trigger_bytes:
            self._call_later(INTERVAL_S, self._look)
            return
        position = self._driver.applied_position
        self.running = True

        def flushed(error: BaseException | None) -> None:
            self.running = False
            if error is None:
                self.checkpoints += 1
                self._log.remove_before(position)
            elif isinstance(error, EngineError):
                self._on_error("a checkpoint failed; the log keeps what it covers", error)
            else:
                raise error
            self._call_later(INTERVAL_S, self._look)

        self._run_off_loop(self._engine.flush, flushed)
