"""How long a partition cannot be written: one writer for each, which notes when its writes were acknowledged."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from hashrange.model.key import KeyCodec, KeyPart
from tests.cluster.workloads.client import ApiClient, Refused, Unknown, Unsent

PAUSE_S = 0.05
CODEC = KeyCodec((KeyPart("pk", "S"),), ())


def hash_of_key(text: str) -> int:
    """The partition hash of a string partition key."""
    return int.from_bytes(CODEC.encode({"pk": {"S": text}})[:8], "big")


def key_within(low: int, high: int, mark: str) -> str:
    """A partition key whose hash is in [low, high); `high` may be 2**64."""
    number = 0
    while True:
        key = f"{mark}q{number}"
        if low <= hash_of_key(key) < high:
            return key
        number += 1


class Probe:
    """One writer. `gaps` are (from, until) between acknowledged writes, of more than half a second."""

    def __init__(self, table: str, key: str, label: str) -> None:
        self.label = label
        self.key = key
        self.gaps: list[tuple[float, float]] = []
        self.acknowledged = 0
        self.stopped_at = 0.0
        self._table = table
        self._last = time.monotonic()
        self._sent = self._acknowledged_sent = 0.0

    async def run(self, client: ApiClient, stop: asyncio.Event) -> None:
        """Write until told to stop."""
        number = 0
        self._last = time.monotonic()
        while not stop.is_set():
            number += 1
            self._sent = time.monotonic()
            item: dict[str, Any] = {"pk": {"S": self.key}, "n": {"N": str(number)}}
            try:
                await client.ready()
                await client.call("PutItem", {"TableName": self._table, "Item": item})
            except (Unknown, Unsent, Refused):
                pass
            else:
                self._note(time.monotonic())
            await asyncio.sleep(PAUSE_S)
        self.stopped_at = time.monotonic()
        client.close()

    def _note(self, now: float) -> None:
        self.acknowledged += 1
        self._acknowledged_sent = self._sent
        if now - self._last > 0.5:
            self.gaps.append((self._last, now))
        self._last = now

    def written_since(self, instant: float) -> bool:
        """Whether a write that was sent after an instant has been acknowledged."""
        return self._acknowledged_sent > instant

    @property
    def last_s_ago(self) -> float:
        """Seconds since the last acknowledged write."""
        return time.monotonic() - self._last

    def longest_s(self, since: float = 0.0, until: float = float("inf")) -> float:
        """The longest time without an acknowledged write, of those that touch a span of time."""
        end = self.stopped_at or time.monotonic()
        gaps = [*self.gaps, (self._last, end)]
        return max((b - a for a, b in gaps if b > since and a < until), default=0.0)
