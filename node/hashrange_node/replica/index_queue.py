"""Sending queued index changes on to the partitions of global indexes.

Every write queues its index changes in its own batch (`secondary`), so a change is queued exactly when the
item changed. The shipper of a replica takes them in order, sends them to the index partitions, and when
those have them durably removes them from the queue. After a crash everything still queued is sent again;
entries carry the stamp of the item's write, and the receiver ignores what is not newer. Writes that come faster
than their changes can be delivered are refused while the queue is long: it lies in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack

from hashrange.errors import ApiError
from hashrange.wire.messages import Transport, WriteEntries
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.secondary import find_global_index
from hashrange_node.replica.strong import StrongReads
from hashrange_node.storage import keyspace

BATCH = 2_000
BATCH_BYTES = 2 << 20
BACKLOG_MAX = 100_000
BACKLOG_ENFORCED_MAX = 5_000
"""Where partitions have ceilings, a hot one of an index holds its table's writes back so much earlier."""

RETRY_DELAY_S = 0.2


class IndexShipper:
    """Drains one replica's queue. `lag_s` delays every batch on purpose, to show programs stale indexes."""

    def __init__(
        self,
        replica: Replica,
        transport: Transport,
        call_later: Callable[[float, Callable[[], None]], Any],
        lag_s: float,
    ) -> None:
        self.replica = replica
        self._transport = transport
        self._call_later = call_later
        self._lag_s = lag_s
        self._queue: deque[tuple[bytes, list[Any]]] = deque()
        self._busy = False
        self._waiting = 0
        self._failed = False
        self._taken = self._delivered_count = 0
        self._waiters: deque[tuple[int, Callable[[], None]]] = deque()
        self._strong = StrongReads(replica.group.driver)
        self.stopped = False

    def load(self) -> None:
        """Take over what the queue held when the node stopped."""
        prefix = keyspace.queue_prefix(self.replica.id)
        upper = keyspace.queue_prefix(self.replica.id + 1)
        for key, value in self.replica.engine.scan(prefix, upper):
            self._queue.append((key, msgpack.unpackb(value)))
        self._taken = len(self._queue)
        self.replica.congested = len(self._queue) >= self._backlog_max
        self._schedule()

    def enqueue(self, queued: list[tuple[bytes, list[Any]]]) -> None:
        """Take changes that were just applied."""
        self._queue.extend(queued)
        self._taken += len(queued)
        if len(self._queue) >= self._backlog_max:
            self.replica.congested = True
        self._schedule()

    @property
    def _backlog_max(self) -> int:
        return BACKLOG_ENFORCED_MAX if self.replica.throttles else BACKLOG_MAX

    @property
    def backlog(self) -> int:
        """Queued writes whose index changes have not been delivered yet."""
        return len(self._queue)

    def when_delivered(self, callback: Callable[[], None]) -> None:
        """Call once everything queued so far has been delivered, whatever is queued behind it."""
        if self._queue:
            self._waiters.append((self._taken, callback))
        else:
            callback()

    def _schedule(self) -> None:
        if not self._busy and self._queue and not self.stopped:
            self._busy = True
            self._call_later(self._lag_s, self._drain)

    def _next_batch(self) -> list[tuple[bytes, list[Any]]]:
        batch: list[tuple[bytes, list[Any]]] = []
        size = 0
        for queued in self._queue:
            batch.append(queued)
            for change in queued[1]:
                if change[3] is not None:
                    size += len(change[3])
            if len(batch) == BATCH or size >= BATCH_BYTES:
                break
        return batch

    def _drain(self) -> None:
        """Send the next batch, if this replica still leads.

        One that was replaced while its process stood still must not: a later leader may have delivered newer
        changes, and behind the deletion of an entry an older one would bring it back.
        """
        if self.stopped:
            return
        group = self.replica.group
        if self._strong.leased(group):
            self._send()
        else:
            self._strong.confirm(group, lambda: None, self._confirmed)

    def _confirmed(self, answer: Any) -> None:
        if isinstance(answer, ApiError):
            self._call_later(RETRY_DELAY_S, self._drain)
        else:
            self._send()

    def _send(self) -> None:
        if self.stopped:
            return
        batch = self._next_batch()
        targets: dict[int, list[tuple[bytes, bytes | None, int]]] = {}
        names: dict[int, str] = {}
        for _, changes in batch:
            for name, delete_key, put_key, record, stamp in changes:
                index = find_global_index(self.replica.schema, name)
                if index is None:
                    continue  # the index was deleted meanwhile
                if delete_key is not None:
                    partition = index.partitions.of(delete_key).id
                    targets.setdefault(partition, []).append((delete_key, None, stamp))
                    names[partition] = name
                if put_key is not None:
                    partition = index.partitions.of(put_key).id
                    names[partition] = name
                    targets.setdefault(partition, []).append((put_key, record, stamp))
        self._failed = False
        self._waiting = 1 + len(targets)
        fence = (self.replica.id, self.replica.group.core.term, keyspace.queue_sequence(batch[-1][0]))
        for partition, entries in targets.items():
            message = WriteEntries(partition, 1, entries, fence)
            self._transport.send(message, self._receiver(len(batch), names[partition]))
        self._delivered(None, len(batch))

    def _receiver(self, count: int, index: str) -> Callable[[Any], None]:
        return lambda answer: self._delivered(answer, count, index)

    def _delivered(self, answer: Any, count: int, index: str = "") -> None:
        if isinstance(answer, ApiError) and answer.type_name != "ResourceNotFoundException":
            self._failed = True
            self.replica.behind = index or self.replica.behind
        self._waiting -= 1
        if self._waiting:
            return
        if self._failed:
            self._call_later(RETRY_DELAY_S, self._drain)
            return
        trim: list[tuple[bytes, bytes | None]] = [(self._queue[n][0], None) for n in range(count)]
        self.replica.group.propose(Effects(trim, [], count), self._trimmed)

    def _trimmed(self, answer: Any) -> None:
        if isinstance(answer, ApiError):
            self._call_later(RETRY_DELAY_S, self._drain)
            return
        for _ in range(answer):
            self._queue.popleft()
        self._busy = False
        self._delivered_count += answer
        if len(self._queue) < self._backlog_max:
            self.replica.congested = False
        while self._waiters and self._waiters[0][0] <= self._delivered_count and not self.stopped:
            self._waiters.popleft()[1]()
        self._schedule()
