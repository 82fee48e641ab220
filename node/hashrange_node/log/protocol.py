"""What the replicas need of a log: the Protocol that FileLog and MemoryLog both fulfil."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from .format import Appendable, Entry


class NodeLog(Protocol):
    """One append-only log per node, shared by all replication groups; used from one thread only.

    Positions are opaque, monotonic integers; the position *after* a record stands for "up to and including
    this record" wherever a position is given or taken, except by `read` and `last_starts`: a record is read from
    where it starts. `readable` is false when nothing that was appended can ever be read back.
    """

    @property
    def readable(self) -> bool: ...

    def append(self, entries: Sequence[Appendable]) -> int:
        """Write a batch with one system call; returns the position after it.

        All of the batch is appended or, when this raises LogFull, nothing of it. Appended is not durable: see
        `sync`. LogFailed when the process is about to end.
        """
        ...

    def sync(self, position: int, done: Callable[[int], object]) -> None:
        """Call `done(durable position)` once everything up to `position` is durable.

        With durability 'os' that is at once, from within this call. Calls are made in the order of the
        requests, on the thread that owns the log. `done` is never called when durability cannot be promised.
        """
        ...

    def last_starts(self) -> list[int]:
        """The position at which each record of the batch that `append` took last starts."""
        ...

    def read(self, position: int) -> Entry:
        """The record that starts at `position`, durable or not, as it was appended; payloads as bytes.

        Raises RecordGone (a KeyError) when it has been removed or was never kept, RecordDamaged (a LogDamaged)
        when it is not what was written.
        """
        ...

    @property
    def first_position(self) -> int:
        """Where the oldest record kept starts: what starts before it cannot be read."""
        ...

    @property
    def position(self) -> int:
        """The position after the last record appended."""
        ...

    def replay(self) -> Iterator[tuple[int, Entry]]:
        """(position after it, entry) of every record kept, oldest first; raises LogDamaged.

        Has to run to its end once before the first `append`.
        """
        ...

    def remove_before(self, position: int) -> None:
        """Allow the log to forget the records up to `position`; it forgets whole segments only."""
        ...

    def size_bytes(self) -> int:
        """Bytes of records kept."""
        ...

    def statistics(self) -> dict[str, float]:
        """Counters and gauges for metrics, by name."""
        ...

    def close(self) -> None:
        """Make everything durable, run the callbacks that wait for it, and release the files."""
        ...
