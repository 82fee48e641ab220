"""Answers what is asked of streams: the shards of a partition, pages of records, and positions.

The leader answers. A reader that waits for records is answered when an entry with some is applied, when its shard is
closed, or when its time is up; when the replica stops leading, with where to ask instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError, resource_not_found
from hashrange.model.stream_sequence import sequence_text
from hashrange.wire.faults import StaleRoute
from hashrange.wire.messages import Done
from hashrange.wire.streams import LocateRecord, ReadRecords, ReadShards, RecordPage, Shard
from hashrange_node.replica.effects import Effects
from hashrange_node.streams.keeper import StreamKeeper
from hashrange_node.streams.pages import before_time, behind_all, read_page

if TYPE_CHECKING:
    from hashrange_node.node import Node

WAIT_MS_MAX = 10_000
"""Longer than that nobody waits in one message: its sender has to answer in time too."""
PAGE_RECORDS_MAX = 2_000
PAGE_BYTES_MAX = 4 << 20
"""Of one page, whatever is asked for: some milliseconds, in which nothing else happens on the node."""


class Waiting:
    """One reader that waits."""

    __slots__ = ("done", "message")

    def __init__(self, message: ReadRecords, done: Done) -> None:
        self.message = message
        self.done = done


class Reading:
    """The handlers of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._woken: dict[StreamKeeper, None] = {}
        node.handle(ReadShards, self._shards)
        node.handle(ReadRecords, self._records)
        node.handle(LocateRecord, self._locate)

    # ---- shards

    def _shards(self, message: ReadShards, done: Done) -> None:
        keeper = self._keeper(message, done)
        if keeper is None:
            return
        node, group = self._node, keeper.replica.group

        def answer() -> dict[str, Any]:
            replica = self._keeper_of(message).replica
            shown = [_keeper(replica).shown(row) for row in _keeper(replica).rows.values()]
            found = [shard.to_document() for shard in shown if shard and shard.label == message.label]
            return {"lo": replica.place.lo, "hi": replica.place.hi, "shards": found}

        if not keeper.agreed:
            # A shard is being opened or closed: the answer comes behind that.
            keeper.agree()
            self._behind_all(keeper, answer, done)
        elif node.strong.leased(group):
            done(answer())
        else:
            node.strong.confirm(group, answer, done, node.refusing(message))

    def _behind_all(self, keeper: StreamKeeper, answer: Any, done: Done) -> None:
        """Answer once everything that is under way is applied."""

        def applied(outcome: Any) -> None:
            if isinstance(outcome, ApiError):
                done(outcome)
                return
            try:
                found = answer()
            except ApiError as error:
                done(error)
            else:
                done(found)

        keeper.replica.group.propose(Effects([], [], None), applied)

    # ---- records

    def _records(self, message: ReadRecords, done: Done) -> None:
        keeper = self._keeper(message, done)
        if keeper is None:
            return
        node, group = self._node, keeper.replica.group
        page = self._page(keeper, message)
        if page.records or page.ended:
            group.reads_served += 1
            done(page)
        elif message.wait_ms:
            self._wait(keeper, message, done)
        elif node.strong.leased(group):
            done(page)
        else:
            # What another leader has acknowledged must not be missing.
            confirmed = lambda: self._page(self._keeper_of(message), message)  # noqa: E731
            node.strong.confirm(group, confirmed, done, node.refusing(message))

    def _page(self, keeper: StreamKeeper, message: ReadRecords) -> RecordPage:
        replica = keeper.replica
        shard = _shard(keeper, message.shard)
        limit, max_bytes = min(message.limit, PAGE_RECORDS_MAX), min(message.max_bytes, PAGE_BYTES_MAX)
        return read_page(replica.engine, replica.place.store, shard, message.after, limit, max_bytes)

    def _wait(self, keeper: StreamKeeper, message: ReadRecords, done: Done) -> None:
        waiting = Waiting(message, done)
        keeper.readers.append(waiting)

        def over() -> None:
            if waiting in keeper.readers:
                keeper.readers.remove(waiting)
                done(RecordPage([], message.after, False))

        self._node.scheduler.call_later(min(message.wait_ms, WAIT_MS_MAX) / 1000, over)

    def recorded(self, keeper: StreamKeeper) -> None:
        """Records of a partition were applied, or a shard was opened or closed: in the next tick readers hear of it."""
        if not self._woken:
            self._node.scheduler.call_soon(self._wake)
        self._woken[keeper] = None

    def _wake(self) -> None:
        woken, self._woken = self._woken, {}
        for keeper in woken:
            group = keeper.replica.group
            if group.split is not None or not group.serving:
                self.release(keeper)
                continue
            readers, keeper.readers = keeper.readers, []
            for waiting in readers:
                try:
                    page = self._page(keeper, waiting.message)
                except Exception as error:
                    self._node.refusing(waiting.message)(error, waiting.done)
                    continue
                if page.records or page.ended:
                    keeper.replica.group.reads_served += 1
                    waiting.done(page)
                else:
                    keeper.readers.append(waiting)

    def release(self, keeper: StreamKeeper) -> None:
        """The replica does not lead any more, or was split: whoever waits is told where to ask."""
        readers, keeper.readers = keeper.readers, []
        group = keeper.replica.group
        for waiting in readers:
            if group.split is not None:
                self._node.send(waiting.message, waiting.done)
            else:
                self._node.driver.answer(waiting.done, group.not_leader())

    # ---- positions

    def _locate(self, message: LocateRecord, done: Done) -> None:
        keeper = self._keeper(message, done)
        if keeper is None:
            return
        node, group = self._node, keeper.replica.group

        def answer() -> dict[str, str]:
            keeper = self._keeper_of(message)
            replica = keeper.replica
            shard = _shard(keeper, message.shard)
            applied = replica.group.core.log.applied
            if message.at_ms is None:
                after = behind_all(shard, applied)
            else:
                after = before_time(replica.engine, replica.place.store, shard, message.at_ms, applied)
            return {"after": sequence_text(after)}

        if node.strong.leased(group):
            done(answer())
        else:
            node.strong.confirm(group, answer, done, node.refusing(message))

    # ---- who answers

    def _keeper(self, message: Any, done: Done) -> StreamKeeper | None:
        """The keeper of the partition that a message is for; None when it waits for a leader."""
        replica = self._node.leader(message, done)
        if replica is None:
            return None
        return self._checked(message, _keeper(replica))

    def _keeper_of(self, message: Any) -> StreamKeeper:
        """The same once a quorum has confirmed the leader: it may have been split meanwhile."""
        return self._checked(message, _keeper(self._node.replica(message.partition)))

    def _checked(self, message: Any, keeper: StreamKeeper) -> StreamKeeper:
        place = keeper.replica.place
        if not place.lo <= message.lo <= place.hi:
            raise StaleRoute(place.id, [])
        return keeper


def _keeper(replica: Any) -> StreamKeeper:
    keeper = replica.stream
    if keeper is None:
        raise resource_not_found()
    found: StreamKeeper = keeper
    return found


def _shard(keeper: StreamKeeper, shard_id: str) -> Shard:
    row = keeper.rows.get(shard_id)
    shard = keeper.shown(row) if row is not None else None
    if shard is None:
        raise resource_not_found("Shard does not exist")
    return shard
