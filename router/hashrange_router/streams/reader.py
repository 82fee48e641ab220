"""Reading streams from within: what the trigger pool uses instead of the public API.

reader = StreamReader(context, client)
for shard in await reader.shards(stream_arn):             # parents before children
    after = await reader.locate(shard, None)              # LATEST; 0 is TRIM_HORIZON
    page = await reader.read(shard, after, limit=1000, max_bytes=6 << 20, wait_ms=1000)
    ... page.records ...; page.after is where the next read goes on, page.ended says that nothing will come

Positions are sequence numbers (`hashrange.model.stream_sequence`): what lies behind one is to be read. Records are
decoded no further than their parts; `hashrange.model.stream_record` renders them for a handler.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hashrange.errors import resource_not_found
from hashrange.model.stream_record import StreamRecord, unpack
from hashrange.model.stream_sequence import sequence_from
from hashrange.wire.streams import LocateRecord, ReadRecords, RecordPage, Shard
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.streams.directory import Stream, StreamDirectory
from hashrange_router.streams.gathering import KnownShards, Steps, gather, owner
from hashrange_router.triggers.contracts import LocalClient

__all__ = ["Page", "Shard", "Stream", "StreamReader", "StreamRecord"]


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one shard in order. `after`: where the next read goes on. `ended`: closed, and all has been read."""

    records: list[StreamRecord]
    after: int
    ended: bool


class StreamReader:
    """Reads the streams of the tables that `context` knows. All errors are ApiErrors, as the public API gives them."""

    def __init__(self, context: RouterContext, client: LocalClient) -> None:
        self._context = context
        self._client = client
        self._directory = StreamDirectory(context)
        self._known = KnownShards()

    async def stream(self, stream_arn: str) -> Stream:
        """The stream that an ARN names, as it is now; no node is asked.

        ValidationException for what is no ARN of a stream, ResourceNotFoundException when there is no such stream.
        """
        return self._directory.get(stream_arn)

    async def shards(self, stream_arn: str) -> list[Shard]:
        """All shards of a stream, parents before their children: open ones, and those not trimmed away yet."""
        found: list[Shard] = await self._run(gather(self._context, self._directory.get(stream_arn)))
        self._known.learn(stream_arn, found)
        return found

    async def read(self, shard: Shard, after: int, limit: int, max_bytes: int, wait_ms: int = 0) -> Page:
        """Records of a shard that `shards` has given, behind the sequence number `after` (0: from the oldest).

        At most `limit` of them, and `max_bytes` as they are stored, but one at least if there is one. Without any,
        the answer of an open shard comes once there is one, after `wait_ms` at the latest.
        TrimmedDataAccessException when records behind `after` are gone, ResourceNotFoundException when the shard is.
        """
        message = ReadRecords(
            self._owner(shard), ANY_EPOCH, shard.lo, shard.id, after, limit, max_bytes, wait_ms
        )
        page: RecordPage = await self._client.send(message)
        return Page([unpack(sequence, stored) for sequence, stored in page.records], page.after, page.ended)

    async def locate(self, shard: Shard, at_ms: int | None) -> int:
        """Where to begin in a shard: behind all that is there now (None), or before the first record of a time."""
        answer = await self._client.send(
            LocateRecord(self._owner(shard), ANY_EPOCH, shard.lo, shard.id, at_ms)
        )
        return sequence_from(answer["after"])

    def _owner(self, shard: Shard) -> int:
        stream_arn = self._known.stream_of(shard.id)
        if stream_arn is None:
            raise resource_not_found("Shard does not exist")
        return owner(self._context, self._directory.get(stream_arn).partitions, shard.lo)

    async def _run(self, steps: Steps) -> list[Shard]:
        """Drive steps that ask several at a time."""
        answers = None
        while True:
            try:
                questions = steps.send(answers)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answers = await asyncio.gather(*(self._client.send(question) for question in questions))
