"""The storage engine behind the state machine: an ordered map of bytes, as a Protocol, and its errors.

Engines are synchronous and used from one thread (`flush` alone may run on another). They promise:
- a write is visible to every read that comes after it;
- a write is atomic, also over a crash: all of it is there afterwards or nothing, and never a later write
  without an earlier one;
- a write survives a crash once `flush` has returned after it; what came later may be lost, and the node's log
  brings it back;
- wrong bytes are never returned: what cannot be read as it was written raises EngineError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

# A key and its new value, None to delete it.
Mutation = tuple[bytes, bytes | None]
KeyRange = tuple[bytes, bytes]


class EngineError(Exception):
    """The engine failed or found its files damaged. The outcome of a write that raised it is unknown."""


class EngineFull(EngineError):  # noqa: N818
    """The disk is full: nothing of the write was done. Reads go on; writes work again when there is room."""


class EngineBusy(EngineError):  # noqa: N818
    """Writes came faster than the disk takes them: nothing of the write was done; it may be tried again."""


class View(Protocol):
    """What an engine held in some ranges when the view was made, whatever is written afterwards.

    A view that is held costs an engine the files and buffers that it would have let go of since: take what is
    needed and close it. It ends when its engine is closed.
    """

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, range by range, each in the order of its keys. To be called once."""
        ...

    def close(self) -> None:
        """Let go of what the view holds; its iterator ends. Twice is harmless."""
        ...


class Engine(Protocol):
    """An ordered map from bytes to bytes. All methods raise EngineError when they cannot do their work."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        ...

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """The values of several keys, in their order."""
        ...

    def write(self, mutations: Sequence[Mutation], delete_ranges: Sequence[KeyRange] = ()) -> None:
        """Delete the half-open ranges, then apply the mutations in order; all of it or nothing.

        Raises EngineFull, EngineBusy (nothing was done), EngineError.
        """
        ...

    def scan(self, lo: bytes, hi: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """The entries with lo <= key < hi in the order of their keys, or in reverse.

        The iterator is valid until the next `write`: take what is needed from it at once and keep lists, not
        iterators.
        """
        ...

    def view(self, ranges: Sequence[KeyRange]) -> View:
        """A consistent view of the half-open ranges as they are now, for reading that goes on for longer."""
        ...

    def flush(self) -> None:
        """Return when everything written before the call is on stable storage. May take seconds."""
        ...

    def approximate_size(self, lo: bytes, hi: bytes) -> int:
        """Bytes of keys and values in lo <= key < hi: exact for small ranges, else an estimate."""
        ...

    def statistics(self) -> dict[str, float]:
        """Counters and gauges for metrics, by name."""
        ...

    def close(self) -> None:
        """Flush and release the files; iterators that are still held end. Twice is harmless."""
        ...
