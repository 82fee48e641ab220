"""The virtual disk of one machine: what a crash leaves of the node's log and of its engine.

`Disk` is what survives. `SimLog` and `SimEngine` are one process's way to it, and end with the process. A crash of the
power keeps, of what was appended and not synced, a prefix of any length (the torn rest is what recovery cuts off);
a crash of the process alone keeps all of it, because the kernel has it. Of the engine a crash keeps the state of the
last flush and, as RocksDB may have flushed on its own, any number of the batches after it, in order and whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from hashrange_node.log.errors import LogFailed, LogFull, RecordGone
from hashrange_node.log.format import HEADER_SIZE, Appendable, Entry
from hashrange_node.replica.staging import MemoryStaging
from hashrange_node.storage.engine import EngineFull, KeyRange, Mutation
from hashrange_node.storage.memory import MemoryEngine

from tests.sim.events import Process, World

SEGMENT_RECORDS = 10

Batch = tuple[Sequence[Mutation], Sequence[KeyRange]]


class Disk:
    """What lies on one machine's disk, and how the disk behaves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.records: list[Entry] = []
        self.starts: list[int] = []
        self.first = self.end = 0
        self.durable = 0
        self.flushed: dict[bytes, bytes] = {}
        self.journal: list[Batch] = []
        self.staging = MemoryStaging()
        self.sync_s = (0.0002, 0.002)
        self.slow_s = 0.0
        self.full = False
        self.fails_syncs = False
        self.syncs = 0

    def crash(self, power: bool) -> None:
        """The process has ended, or the power failed."""
        chance = self.world.random
        if power:
            synced = bisect_left(self.starts, self.durable)
            kept = chance.randint(synced, len(self.records))
            self.end = self.starts[kept] if kept < len(self.records) else self.end
            del self.records[kept:], self.starts[kept:]
        self.durable = self.end  # recovery syncs what it found before it relies on it
        engine = MemoryEngine()
        engine.write(list(self.flushed.items()))
        for mutations, ranges in self.journal[: chance.randint(0, len(self.journal))]:
            engine.write(mutations, ranges)
        self.flushed = dict(engine.scan(b"", b"\xff"))
        self.journal.clear()
        for staged in self.staging.finished.values():
            staged.in_use = False


class SimLog:
    """Fulfils NodeLog on a `Disk`. A position counts the bytes before it, headers included."""

    readable = True

    def __init__(self, disk: Disk, process: Process, fatal: Callable[[str], None]) -> None:
        self.disk = disk
        self.observers: list[Callable[[Sequence[Entry]], None]] = []
        self._process = process
        self._fatal = fatal
        self._waiting: deque[tuple[int, Callable[[int], object]]] = deque()
        self._syncing = self._failed = False
        self._batch = 0

    def append(self, entries: Sequence[Appendable]) -> int:
        """Write a batch."""
        disk = self.disk
        if self._failed:
            raise LogFailed("the disk has failed")
        if disk.full:
            raise LogFull("no space left on device")
        batch = [
            Entry(group, index, term, payload if payload.__class__ is bytes else payload.encode(), kind)  # type: ignore[union-attr]
            for group, index, term, payload, kind in entries
        ]
        disk.records += batch
        self._batch = len(batch)
        for record in batch:
            disk.starts.append(disk.end)
            disk.end += HEADER_SIZE + len(record.payload)
        for observer in self.observers:
            observer(batch)
        return disk.end

    def sync(self, position: int, done: Callable[[int], object]) -> None:
        """Make everything up to `position` durable; requests that come meanwhile share the next sync."""
        self._waiting.append((position, done))
        if not self._syncing:
            self._begin_sync()

    def _begin_sync(self) -> None:
        disk = self.disk
        self._syncing = True
        disk.syncs += 1
        target = disk.end
        delay = disk.world.random.uniform(*disk.sync_s) + disk.slow_s
        # The disk works on while the process is stopped: what is under way gets done, and a crash may find it so.
        disk.world.after(delay, lambda: self._written(target))

    def _written(self, target: int) -> None:
        disk = self.disk
        if not self._process.alive:
            return
        if disk.fails_syncs:
            disk.fails_syncs = False
            self._failed = True
            disk.world.after(0, lambda: self._fatal("the log could not be made durable"), self._process)
            return
        disk.durable = max(disk.durable, target)
        disk.world.after(0, lambda: self._synced(target), self._process)

    def _synced(self, target: int) -> None:
        self._syncing = False
        waiting = self._waiting
        while waiting and waiting[0][0] <= target:
            waiting.popleft()[1](target)
        if waiting and not self._syncing:
            self._begin_sync()

    def last_starts(self) -> list[int]:
        """The position of each record of the last batch."""
        starts = self.disk.starts
        return starts[len(starts) - self._batch :]

    def read(self, position: int) -> Entry:
        """The record that starts at `position`."""
        disk = self.disk
        number = bisect_left(disk.starts, position)
        if number == len(disk.starts) or disk.starts[number] != position:
            raise RecordGone(position)
        return disk.records[number]

    @property
    def first_position(self) -> int:
        return self.disk.first

    @property
    def position(self) -> int:
        return self.disk.end

    def replay(self) -> Iterator[tuple[int, Entry]]:
        """Every record kept."""
        disk = self.disk
        ends = [*disk.starts[1:], disk.end][: len(disk.records)]
        yield from list(zip(ends, disk.records, strict=True))

    def remove_before(self, position: int) -> None:
        """Forget whole segments of records before `position`."""
        disk = self.disk
        count = bisect_left(disk.starts, min(position, disk.durable)) // SEGMENT_RECORDS * SEGMENT_RECORDS
        del disk.records[:count], disk.starts[:count]
        disk.first = disk.starts[0] if disk.starts else disk.end

    def size_bytes(self) -> int:
        return self.disk.end - self.disk.first

    def statistics(self) -> dict[str, float]:
        return {"records": float(self.disk.end), "syncs": float(self.disk.syncs)}

    def close(self) -> None:
        """Make everything durable."""
        self.disk.durable = self.disk.end


class SimEngine(MemoryEngine):
    """Fulfils Engine on a `Disk`: in memory until it is flushed."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        super().write(list(disk.flushed.items()))
        self.disk = disk

    def write(self, mutations: Sequence[Mutation], delete_ranges: Sequence[KeyRange] = ()) -> None:
        if self.disk.full:
            raise EngineFull("no space left on device")
        super().write(mutations, delete_ranges)
        self.disk.journal.append((list(mutations), list(delete_ranges)))

    def flush(self) -> None:
        """Everything written so far survives."""
        self.disk.flushed = dict(self._data)
        self.disk.journal.clear()

    def close(self) -> None:
        self.flush()
        super().close()
