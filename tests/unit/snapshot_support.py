"""What the tests of snapshots and scrubs share: a loop driven by hand, peers, engines that fail and crash."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from hashrange_node.raft.confchange import Configuration
from hashrange_node.raft.messages import InstallSnapshot, Snapshot
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.staging import Staged, Staging
from hashrange_node.storage import Engine, KeyRange, MemoryEngine, Mutation, keyspace

LEFT = PartitionRanges(7, 5, 0, 2**63 - 1)
RIGHT = PartitionRanges(8, 5, 2**63)
WHOLE = PartitionRanges(5, 5)
CONTROL = PartitionRanges(0, 0)


class Loop:
    """Fulfils Scheduler; time passes only in `run`. Blocking work is done in a later turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.call_later(0.0, callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + delay_s, next(self._numbers), callback))

    def run_off_loop(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:
                failure: BaseException | None = error
            else:
                failure = None
            self.call_soon(lambda: done(failure))

        self.call_soon(run)

    def run(self, until: float = 3600.0, steps: int | None = None) -> None:
        """Run what is due up to a time, or only so many callbacks."""
        while self._due and self._due[0][0] <= until and steps != 0:
            self.now, _, callback = heapq.heappop(self._due)
            callback()
            if steps is not None:
                steps -= 1


class Wire:
    """Fulfils Peers: hands requests to a handler in a later turn; `lose` may answer in its place."""

    def __init__(self, loop: Loop, handler: Callable[[int, Any, Callable[[Any], None]], None]) -> None:
        self._loop = loop
        self._handler = handler
        self.sent: list[tuple[int, Any, float]] = []
        self.lose: Callable[[int, Any], Any] = lambda node, message: None

    def request(self, node: int, message: Any, done: Callable[[Any], None], timeout_s: float = 10.0) -> None:
        self.sent.append((node, message, self._loop.now))
        answer = self.lose(node, message)
        if answer is not None:
            self._loop.call_soon(lambda: done(answer))
        else:
            self._loop.call_soon(lambda: self._handler(node, message, done))


class CrashingEngine(MemoryEngine):
    """A memory engine that remembers every write since the last flush, so that a crash may lose any end of them.

    `failures` are raised by the next writes, one each (None: the write succeeds).
    """

    def __init__(self, entries: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__()
        self.failures: list[Exception | None] = []
        self.flushed = dict(entries)
        self.writes: list[tuple[list[Mutation], list[KeyRange]]] = []
        super().write(list(entries))

    def write(self, mutations: Sequence[Mutation], delete_ranges: Sequence[KeyRange] = ()) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.writes.append((list(mutations), list(delete_ranges)))
        super().write(mutations, delete_ranges)

    def flush(self) -> None:
        self.flushed = contents(self)
        self.writes = []

    def after_crash(self, kept: int) -> CrashingEngine:
        """The engine of the next start, with the first `kept` writes since the last flush."""
        engine = CrashingEngine(sorted(self.flushed.items()))
        for mutations, ranges in self.writes[:kept]:
            MemoryEngine.write(engine, mutations, ranges)
        return engine


def contents(engine: Engine) -> dict[bytes, bytes]:
    return dict(engine.scan(b"", b"\xff"))


def own(engine: Engine, ranges: PartitionRanges) -> dict[bytes, bytes]:
    """Everything of a partition but its state record."""
    return {key: value for key, value in contents(engine).items() if ranges.owns(key)}


def data_of(ranges: PartitionRanges, entries: int, tag: bytes = b"v", size: int = 40) -> list[Mutation]:
    """Entries in all spaces of a partition, evenly over its hashes, with its queue, cursors and requests."""
    width = (ranges.hi - ranges.lo) // max(1, entries)
    found: list[Mutation] = []
    for n in range(entries):
        key = (ranges.lo + n * width).to_bytes(8, "big") + b"key%d" % n
        found.append((keyspace.space_prefix(ranges.store, n % 6) + key, tag * size))
        expiry = keyspace.space_prefix(ranges.store, keyspace.EXPIRY)
        found.append((expiry + (n % 97).to_bytes(8, "big") + key, b""))
    number = ranges.partition
    found.append((keyspace.fill_cursor(number, "gsi:one"), tag))
    found.append((keyspace.queue_key(keyspace.queue_prefix(number), 3, 1), tag))
    found.append((keyspace.request_window_prefix(number) + b"\0" * 8, tag))
    return found


def install_message(group: int = 7, to: int = 3, index: int = 40, term: int = 4) -> InstallSnapshot:
    return InstallSnapshot(1, to, term, Snapshot(index, term, Configuration.of((1, 2, 3)), "here"), 9)


def stage(staging: Staging, name: str, chunks: list[list[tuple[bytes, bytes]]], loop: Loop) -> Staged:
    """Stage a snapshot without a sender."""
    stage = staging.begin(name)
    finished: list[Any] = []
    for chunk in chunks:
        answers: list[BaseException | None] = []
        stage.add(chunk, answers.append)
        loop.run(loop.now)
        assert answers == [None]
    stage.finish(finished.append)
    loop.run(loop.now)
    staged = finished[0]
    assert not isinstance(staged, BaseException), staged
    return staged
