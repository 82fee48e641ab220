"""Checkpoints: when they are due, what they ask of the driver and in which order, and what then leaves the log."""

from __future__ import annotations

from collections.abc import Callable

from hashrange_node.checkpoint import Checkpointer
from hashrange_node.log import MemoryLog
from hashrange_node.storage.engine import EngineBusy, EngineError, EngineFull
from hashrange_node.storage.memory import MemoryEngine


class SizedLog(MemoryLog):
    """A log of `first_position`..`position` bytes that forgets whole segments of 10."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.end = 0

    def size_bytes(self) -> int:
        return self.end - self.first

    def remove_before(self, position: int) -> None:
        self.first = max(self.first, position // 10 * 10)


class Scene:
    """A checkpointer with everything around it, in the hands of a test; it is the driver, too."""

    def __init__(self, trigger: int = 100) -> None:
        self.calls: list[str] = []
        self.log = SizedLog()
        self.floor: int | None = None
        self.refusal: EngineError | None = None
        self.reports: list[BaseException] = []
        self.timers: list[Callable[[], None]] = []
        self.flushes: list[Callable[[BaseException | None], None]] = []
        self.checkpointer = Checkpointer(
            self.log,
            MemoryEngine(),
            self,
            run_off_loop=lambda work, done: self.flushes.append(done),
            call_later=lambda delay_s, callback: self.timers.append(callback),
            trigger_bytes=trigger,
            on_error=lambda text, error: self.reports.append(error),
        )
        self.checkpointer.start()

    def prepare_checkpoint(self) -> None:
        self.calls.append("prepare")
        if self.refusal is not None:
            raise self.refusal

    def log_floor(self) -> int:
        self.calls.append("floor")
        return self.log.end if self.floor is None else self.floor

    def log_removed(self) -> None:
        self.calls.append("removed")

    def look(self) -> bool:
        """A second later: has a flush begun?"""
        before = len(self.flushes)
        (timer,) = self.timers
        self.timers.clear()
        timer()
        return len(self.flushes) > before

    def flushed(self, error: BaseException | None = None) -> None:
        self.flushes.pop()(error)


def test_a_small_log_is_left_alone() -> None:
    scene = Scene()
    scene.log.end = 99
    assert not scene.look()
    assert scene.calls == []
    scene.log.end = 100
    assert scene.look()


def test_what_came_during_the_flush_stays() -> None:
    scene = Scene()
    scene.log.end = 105
    assert scene.look()
    assert scene.calls == ["prepare", "floor"]
    assert scene.checkpointer.running
    scene.log.end = 200
    assert scene.log.first == 0, "nothing goes before the flush is done"
    scene.flushed()
    assert scene.log.first == 100
    assert scene.calls == ["prepare", "floor", "removed"]
    assert not scene.checkpointer.running
    assert scene.checkpointer.checkpoints == 1
    assert scene.look(), "the log is large again"


def test_a_log_that_has_to_stay_is_not_flushed_for_all_the_time() -> None:
    scene = Scene()
    scene.log.end, scene.floor = 300, 0
    assert scene.look()
    scene.flushed()
    scene.log.end = 349
    assert not scene.look()
    scene.log.end = 350
    assert scene.look()
    scene.flushed()
    assert not scene.look(), "what is left is from before"
    scene.log.end, scene.floor = 400, 390
    assert scene.look()
    scene.flushed()
    assert scene.log.first == 390
    scene.log.end = 480
    assert not scene.look()


def test_a_busy_engine_is_asked_again_later() -> None:
    scene = Scene()
    scene.log.end = 100
    scene.refusal = EngineBusy()
    assert not scene.look()
    assert not scene.look()
    assert scene.reports == []
    scene.refusal = None
    assert scene.look()


def test_failures_are_reported_and_the_log_keeps_everything() -> None:
    scene = Scene()
    scene.log.end = 100
    scene.refusal = EngineFull("full")
    assert not scene.look()
    scene.refusal = None
    assert scene.look()
    scene.flushed(EngineError("broken"))
    assert [type(error) for error in scene.reports] == [EngineFull, EngineError]
    assert scene.log.first == 0
    assert scene.checkpointer.checkpoints == 0
    assert scene.look(), "it is tried again"


def test_a_stopped_checkpointer_looks_no_more() -> None:
    scene = Scene()
    scene.log.end = 100
    scene.checkpointer.stopped = True
    assert not scene.look()
    assert scene.timers == []
