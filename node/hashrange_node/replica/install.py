"""Installing a staged snapshot: it takes the place of a replica's state in the engine.

A mark in the engine (`keyspace.installing`) names the staged snapshot from the first change on to the last, so an
installation that a crash has interrupted is done again at the next start, before the group is opened. Nothing of
the old state is touched before the whole snapshot was read once without an error. Order of the work:

    verify the staged snapshot          off the loop
    mark, delete the partition's ranges one batch
    delete its part of the expiry index slices, where other partitions have entries there too
    write the entries                   slices
    state record, remove the mark       one batch
    flush the engine                    off the loop
    remove the staged snapshot

While it runs the driver writes nothing of the group to the engine, and reads nothing. A crash leaves the effects of
a prefix of these batches (storage/engine.py), so either the mark is there, or all of it was done, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import sleep

import msgpack

from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.replica.slices import ENTRY_COST, SLICE_ENTRIES, Entry, RunOffLoop, Scheduler
from hashrange_node.replica.staging import Staged, StagedDamaged, Staging
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine, EngineBusy, EngineError, EngineFull, Mutation

RATE_BYTES_PER_S = 64 << 20
BUSY_PAUSE_S = 0.02
FULL_PAUSE_S = 1.0

Done = Callable[[BaseException | None], None]
Adopt = Callable[[int, bytes], bytes]


@dataclass(slots=True)
class Interrupted:
    """An installation that a crash interrupted, as its mark tells."""

    ranges: PartitionRanges
    staged: str


class Installer:
    """Installs snapshots into one engine, and erases replicas, one after the other.

    `adopt(group, record)` turns the state record that the sender had into the one to be stored here: what is a
    replica's own (its vote) must not come from another. It is asked when the record is about to be written.
    """

    def __init__(
        self,
        engine: Engine,
        scheduler: Scheduler,
        run_off_loop: RunOffLoop,
        *,
        rate_bytes_per_s: float = RATE_BYTES_PER_S,
        adopt: Adopt = lambda group, record: record,
    ) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._run_off_loop = run_off_loop
        self._rate = rate_bytes_per_s
        self._adopt = adopt
        self._queue: list[_Work] = []
        self.installed = 0
        self.stopped = False

    def install(self, group_id: int, ranges: PartitionRanges, staged: Staged, done: Done) -> None:
        """Replace the state of a group by a staged snapshot; `done(None)` when that is on stable storage.

        `done(error)`: StagedDamaged or EngineError. If the group's mark is in the engine then (`interrupted`), the
        old state is gone and the replica has none; else it still has the old one.
        """
        assert group_id == ranges.partition
        staged.in_use = True
        self._queue.append(_Work(ranges, staged, done))
        if len(self._queue) == 1:
            self._begin(self._queue[0])

    def erase(self, ranges: PartitionRanges, done: Done) -> None:
        """Delete everything that a replica has in the engine, its state record last, in slices.

        `done(None)` when it is written: a crash brings it back whole or in part, but then with its state record.
        """
        self._queue.append(_Work(ranges, None, done))
        if len(self._queue) == 1:
            self._begin(self._queue[0])

    def interrupted(self) -> list[Interrupted]:
        """The installations that have begun and not ended."""
        found = []
        for _, value in self._engine.scan(b"I", b"J"):
            store, lo, hi, number, name, data = msgpack.unpackb(value)
            found.append(Interrupted(PartitionRanges(number, store, lo, hi, data), name))
        return found

    def resume(self, staging: Staging, pause: Callable[[float], None] = sleep) -> dict[int, str]:
        """At the start, before any group is opened: finish what a crash interrupted; blocks until it is done.

        Returns the groups that have no usable state, and why: they must not vote, and need a new replica id. Their
        marks stay until they are dropped. Raises EngineError.
        """
        lost: dict[int, str] = {}
        for each in self.interrupted():
            group = each.ranges.partition
            staged = staging.open(each.staged)
            try:
                if staged is None:
                    raise StagedDamaged(f"the staged snapshot {each.staged} is gone")
                staged.verify()
                with closing(self._steps(each.ranges, staged)) as steps:
                    for seconds in steps:
                        if seconds >= BUSY_PAUSE_S:
                            pause(seconds)
                self._engine.flush()
                staged.remove()
            except StagedDamaged as error:
                lost[group] = f"a snapshot was being installed, and {error}"
        staging.clean(())
        return lost

    def stop(self) -> None:
        """Do no more, and call no `done`; what has begun is resumed at the next start."""
        self.stopped = True

    def _begin(self, work: _Work) -> None:
        staged = work.staged
        if staged is None:
            steps = self._erasing(work.ranges)
            self._scheduler.call_soon(lambda: self._step(work, steps))
            return

        def verified(error: BaseException | None) -> None:
            if self.stopped:
                return
            if error is not None:
                self._finish(work, error)
            else:
                self._step(work, self._steps(work.ranges, staged))

        self._run_off_loop(staged.verify, verified)

    def _step(self, work: _Work, steps: Generator[float, None, None]) -> None:
        if self.stopped:
            steps.close()
            return
        try:
            seconds = next(steps)
        except StopIteration:
            if work.staged is None:
                self._finish(work, None)
            else:
                self._run_off_loop(self._engine.flush, partial(self._flushed, work, work.staged))
        except (StagedDamaged, EngineError) as error:
            self._finish(work, error)
        else:
            self._scheduler.call_later(seconds, lambda: self._step(work, steps))

    def _flushed(self, work: _Work, staged: Staged, error: BaseException | None) -> None:
        if self.stopped:
            return
        if error is None:
            self.installed += 1
            staged.remove()
        self._finish(work, error)

    def _finish(self, work: _Work, error: BaseException | None) -> None:
        assert self._queue[0] is work
        if work.staged is not None:
            work.staged.in_use = False
        del self._queue[0]
        if self._queue:
            self._begin(self._queue[0])
        work.done(error)

    def _steps(self, ranges: PartitionRanges, staged: Staged) -> Generator[float, None, None]:
        """All changes to the engine; yields the seconds to wait before the next."""
        mark = keyspace.installing(ranges.partition)
        details = (ranges.store, ranges.lo, ranges.hi, ranges.partition, staged.name, ranges.data)
        yield from self._write([(mark, msgpack.packb(details))], ranges.own)
        yield from self._clear_mixed(ranges)
        state_key = keyspace.group_state(ranges.partition)
        record: bytes | None = None
        for chunk in staged.chunks():
            if chunk and chunk[-1][0] == state_key:
                record = chunk.pop()[1]
            _check(ranges, chunk)
            for first in range(0, len(chunk), SLICE_ENTRIES):
                yield from self._write(chunk[first : first + SLICE_ENTRIES])
        if record is None:
            raise StagedDamaged("the staged snapshot has no state record")
        state = self._adopt(ranges.partition, record)
        yield from self._write([(state_key, state), (mark, None)])

    def _erasing(self, ranges: PartitionRanges) -> Generator[float, None, None]:
        yield from self._clear_mixed(ranges)
        gone: list[Mutation] = [
            (keyspace.group_state(ranges.partition), None),
            (keyspace.installing(ranges.partition), None),
        ]
        yield from self._write(gone, ranges.own)

    def _clear_mixed(self, ranges: PartitionRanges) -> Generator[float, None, None]:
        """Delete what belongs to the partition where others have entries too."""
        if ranges.mixed is None:
            return
        low, high = ranges.mixed
        while True:
            keys = [key for key, _ in islice(self._engine.scan(low, high), SLICE_ENTRIES)]
            yield from self._write([(key, None) for key in keys if ranges.owns(key)])
            if len(keys) < SLICE_ENTRIES:
                return
            low = keys[-1] + b"\0"

    def _write(
        self, mutations: Sequence[Mutation], delete_ranges: Sequence[tuple[bytes, bytes]] = ()
    ) -> Generator[float, None, None]:
        """Write, waiting as long as the engine is busy or the disk is full; then the pause that keeps the rate."""
        while True:
            try:
                self._engine.write(mutations, delete_ranges)
                break
            except EngineBusy:
                yield BUSY_PAUSE_S
            except EngineFull:
                yield FULL_PAUSE_S
        size = sum(len(key) + len(value) for key, value in mutations if value is not None)
        yield (size + len(mutations) * ENTRY_COST) / self._rate


@dataclass(slots=True)
class _Work:
    """One snapshot to be installed (None: a replica to be erased), and who waits for it."""

    ranges: PartitionRanges
    staged: Staged | None
    done: Done


def _check(ranges: PartitionRanges, chunk: list[Entry]) -> None:
    """Refuse what was meant for another partition. Chunks are in order, so their ends tell."""
    if chunk and not (ranges.owns(chunk[0][0]) and ranges.owns(chunk[-1][0])):
        raise StagedDamaged(f"the staged snapshot holds keys outside partition {ranges.partition}")
