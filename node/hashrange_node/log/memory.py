"""MemoryLog: the log of a server that keeps nothing. Records are counted, never encoded or stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .errors import RecordGone
from .format import Appendable, Entry


class MemoryLog:
    """Fulfils NodeLog without a disk: everything appended counts as durable at once."""

    readable = False

    def __init__(self) -> None:
        self._position = 0
        self._batch_start = 0

    def append(self, entries: Sequence[Appendable]) -> int:
        """Count a batch; the position is the number of records so far."""
        self._batch_start = self._position
        self._position += len(entries)
        return self._position

    def last_starts(self) -> list[int]:
        """The numbers of the last batch's records, counted from 0."""
        return list(range(self._batch_start, self._position))

    def read(self, position: int) -> Entry:
        """Nothing is kept: raises RecordGone."""
        raise RecordGone(position)

    def sync(self, position: int, done: Callable[[int], object]) -> None:
        """Call `done` at once."""
        done(self._position)

    def replay(self) -> Iterator[tuple[int, Entry]]:
        """Nothing is kept, so nothing comes back."""
        return iter(())

    def remove_before(self, position: int) -> None:
        """Nothing to remove."""

    @property
    def first_position(self) -> int:
        """The end: nothing before it is kept."""
        return self._position

    @property
    def position(self) -> int:
        """The number of records so far."""
        return self._position

    def size_bytes(self) -> int:
        """Always 0."""
        return 0

    def statistics(self) -> dict[str, float]:
        """The number of records appended."""
        return {"records": float(self._position)}

    def close(self) -> None:
        """Nothing to release."""
