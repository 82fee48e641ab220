"""The keys of one partition that one other region lacks, as far as they are in memory. Pure.

A `Lane` knows where each key stands: `ready` to be sent, `flying` (in a request), `asleep` (the other region asked to
wait), or `stale` (it cannot be sent any more). A key is in one of them only, so that it is never in two requests at
once; one that is marked again while it flies is ready again when it has landed. Each key has a `since`: the stamp of
its first change that the region lacks, 0 when only a fill has marked it.

Marks are durable in the engine, the lane is not: beyond `limit` keys it takes no more and `scanning` says that the
engine has marks which are not here. Whoever fills the lane scans the marks from `cursor` on (`found`), and begins
anew when keys behind the cursor were left out meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

LIMIT: Final = 50_000
"""Keys of one partition for one region in memory."""


class Lane:
    """The pending keys of a partition for the replica with a bit in its marks."""

    __slots__ = (
        "_barriers",
        "_missed",
        "again",
        "asleep",
        "bit",
        "counted",
        "counted_since",
        "cursor",
        "filled",
        "flying",
        "limit",
        "ready",
        "retries",
        "scanning",
        "stale",
    )

    def __init__(self, bit: int, limit: int = LIMIT) -> None:
        self.bit = bit
        self.limit = limit
        self.ready: dict[bytes, int] = {}
        self.flying: dict[bytes, int] = {}
        self.again: dict[bytes, int] = {}
        """Of keys that fly: the first change that is not in the request."""
        self.asleep: dict[bytes, int] = {}
        self.stale: dict[bytes, int] = {}
        self.scanning = True
        self.cursor = b""
        self.filled = True
        """Whether the region has had everything once; until then nothing is too old to be sent."""
        self.counted = self.counted_since = 0
        """By the last count over the engine: keys pending, and the first of their stamps."""
        self.retries = 0
        """Times in a row that the region asked to come again."""
        self._missed = False
        self._barriers: list[tuple[set[bytes] | None, Callable[[], None]]] = []

    # ---- what comes in

    def mark(self, key: bytes, since: int) -> bool:
        """A key was changed; whether it has become ready by that."""
        if key in self.flying:
            self.again.setdefault(key, since)
            return False
        for part in (self.ready, self.asleep):
            held = part.get(key)
            if held is not None:
                if not held:
                    part[key] = since
                return False
        self.stale.pop(key, None)
        if len(self) >= self.limit:
            self._leave_out(key)
            return False
        self.ready[key] = since
        return True

    def _leave_out(self, key: bytes) -> None:
        if not self.scanning:
            self.scanning, self.cursor, self._missed = True, b"", False
        elif key < self.cursor:
            self._missed = True

    def found(self, marks: Iterable[tuple[bytes, int]], cursor: bytes | None) -> bool:
        """Marks that the engine has for this lane, and where to scan on; None: it has no more. Whether any is new.

        The caller sees to it that there is room.
        """
        grown = False
        for key, since in marks:
            if (
                key not in self.ready
                and key not in self.flying
                and key not in self.asleep
                and key not in self.stale
            ):
                self.ready[key] = since
                grown = True
        if cursor is not None:
            self.cursor = cursor
        elif self._missed:
            self.cursor, self._missed = b"", False
        else:
            self.scanning, self.cursor = False, b""
            self.counted = self.counted_since = 0
        self._look()
        return grown

    # ---- what goes out

    def take(self, count: int) -> list[bytes]:
        """Up to `count` keys for a request."""
        ready, flying = self.ready, self.flying
        keys = list(islice(ready, count))
        for key in keys:
            flying[key] = ready.pop(key)
        return keys

    def landed(self, key: bytes) -> int:
        """The region has what was sent of a key. Returns the key's `since`."""
        since = self.flying.pop(key, 0)
        later = self.again.pop(key, None)
        if later is not None:
            self.ready[key] = later
        if self._barriers:
            self._passed(key)
        return since

    def failed(self, key: bytes) -> None:
        """A key was not sent, or nobody knows whether it was."""
        self._settle(key, self.ready)

    def sleep(self, key: bytes) -> None:
        """A key has to wait (`wake`)."""
        self._settle(key, self.asleep)

    def _settle(self, key: bytes, part: dict[bytes, int]) -> None:
        since = self.flying.pop(key, None)
        if since is not None:
            part[key] = since or self.again.get(key, 0)
            self.again.pop(key, None)

    def wake(self, keys: Iterable[bytes]) -> None:
        """Keys have waited long enough."""
        for key in keys:
            since = self.asleep.pop(key, None)
            if since is not None:
                self.ready[key] = since

    def expire(self, key: bytes) -> None:
        """What is to be sent of a key is too old; until it is changed again."""
        since = self.flying.pop(key, 0)
        later = self.again.pop(key, None)
        if later is not None:
            self.ready[key] = later
        else:
            self.stale[key] = since
        self._passed(key)

    # ---- what is asked

    def __len__(self) -> int:
        return len(self.ready) + len(self.flying) + len(self.asleep) + len(self.stale)

    @property
    def room(self) -> bool:
        """Whether a scan should go on: not before half of what was there has gone."""
        return len(self) <= self.limit // 2

    @property
    def pending(self) -> int:
        """Keys that the region lacks: exact while all are in memory, else as last counted."""
        return max(len(self), self.counted)

    @property
    def oldest(self) -> int:
        """The first stamp that the region lacks, fills left out; 0 when there is none."""
        parts = (self.ready, self.flying, self.asleep, self.stale)
        firsts = [min(filter(None, part.values()), default=0) for part in parts]
        return min(filter(None, (*firsts, self.counted_since)), default=0)

    def when_passed(self, callback: Callable[[], None]) -> None:
        """Call once everything that is pending now has been delivered, whatever is marked later."""
        self._barriers.append((None, callback))
        self._look()

    def _look(self) -> None:
        """Begin with barriers that waited for the end of a scan."""
        if self.scanning:
            return
        barriers, self._barriers = self._barriers, []
        for keys, callback in barriers:
            begun = {*self.ready, *self.flying, *self.asleep} if keys is None else keys
            self._barriers.append((begun, callback))
        self._pass_on()

    def _passed(self, key: bytes) -> None:
        for keys, _ in self._barriers:
            if keys is not None:
                keys.discard(key)
        self._pass_on()

    def _pass_on(self) -> None:
        over = [callback for keys, callback in self._barriers if keys is not None and not keys]
        if over:
            self._barriers = [each for each in self._barriers if each[0] is None or each[0]]
            for callback in over:
                callback()
