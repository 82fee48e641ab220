"""What this node tells the others: one numbered log, from which each of them is given what it has not had yet.

A node that was away for a moment goes on where it was. One that has missed what is not kept any more sees that the
numbers do not follow on, and gives up what it has cached, rather than serve what may have been overwritten.
"""

from __future__ import annotations


class ChangeLog:
    """Encoded changes by sequence number, from 1; the oldest go when all have them, or when there are too many."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries: list[bytes] = []
        self._start = 0
        """Where in `_entries` the oldest one is that is still kept."""
        self.first = 1
        """The number of the oldest change kept; one more than `head` if none is."""
        self.bytes = 0
        self.dropped = 0
        """Changes that were never logged, as too much waited."""

    @property
    def head(self) -> int:
        """The number of the newest change; 0 before there was one."""
        return self.first + len(self._entries) - self._start - 1

    def append(self, entry: bytes, *, dispensable: bool) -> bool:
        """Add a change. A dispensable one is left out while much waits; returns whether it was added."""
        size = len(entry)
        if dispensable and self.bytes + size > self._bytes_max // 2:
            self.dropped += 1
            return False
        self._entries.append(entry)
        self.bytes += size
        while self.bytes > self._bytes_max:
            self._drop_first()
        return True

    def skip(self) -> None:
        """There was a change that nobody is there to be told of."""
        self.forget(self.head)
        self.first += 1

    def after(self, sequence: int, bytes_max: int) -> tuple[bytes, int] | None:
        """The changes that follow a number, joined, of about `bytes_max` bytes, and the number of the last of them.

        None if some of them are not kept any more. With nothing after it, the number itself comes back.
        """
        if sequence < self.first - 1:
            return None
        at = begin = self._start + sequence - self.first + 1
        entries = self._entries
        size = 0
        while at < len(entries) and size < bytes_max:
            size += len(entries[at])
            at += 1
        return b"".join(entries[begin:at]), sequence + at - begin

    def forget(self, sequence: int) -> None:
        """Everybody has what is up to this number."""
        while self.first <= sequence and self._start < len(self._entries):
            self._drop_first()

    def _drop_first(self) -> None:
        self.bytes -= len(self._entries[self._start])
        self._entries[self._start] = b""
        self._start += 1
        self.first += 1
        if self._start > 1024 and self._start * 2 > len(self._entries):
            del self._entries[: self._start]
            self._start = 0
