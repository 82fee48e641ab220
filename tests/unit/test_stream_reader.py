"""What the trigger pool reads streams with: the same partitions as the API, positions instead of iterators."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hashrange_router.streams.reader import StreamReader

from hashrange.errors import ApiError

from .stream_support import FakeStream


class Client:
    """A `LocalClient` whose messages take a turn of the loop."""

    def __init__(self, stream: FakeStream) -> None:
        self._stream = stream

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return self._stream.ask(operation, **request)

    async def send(self, message: Any) -> Any:
        await asyncio.sleep(0)
        answers: list[Any] = []
        self._stream.send(message, answers.append)
        if isinstance(answers[0], ApiError):
            raise answers[0]
        return answers[0]


def test_a_pool_reads_parents_then_children() -> None:
    async def read() -> None:
        stream = FakeStream()
        reader = StreamReader(stream.context, Client(stream))
        written = [stream.change(stream.first, 10 + n, "k", {"p": {"S": "k"}}) for n in range(3)]
        children = stream.split(stream.partitions[0], 100)
        shards = await reader.shards(stream.arn)
        assert [shard.id for shard in shards] == [stream.first.id, *(each.id for each in children)]
        page = await reader.read(shards[0], 0, 2, 1 << 20)
        assert [record.sequence for record in page.records] == written[:2]
        assert (page.after, page.ended) == (written[1], False)
        page = await reader.read(shards[0], page.after, 2, 1 << 20, wait_ms=1000)
        assert [record.sequence for record in page.records] == written[2:]
        assert page.ended
        assert stream.asked[-1].wait_ms == 1000

    asyncio.run(read())


def test_a_pool_finds_where_to_begin() -> None:
    async def read() -> None:
        stream = FakeStream()
        reader = StreamReader(stream.context, Client(stream))
        first = stream.change(stream.first, 10, "k", {"p": {"S": "k"}})
        stream.now_s += 1
        stream.change(stream.first, 11, "k", {"p": {"S": "k"}})
        (shard,) = await reader.shards(stream.arn)
        assert await reader.locate(shard, int(stream.now_s * 1000)) == first
        latest = await reader.locate(shard, None)
        assert (await reader.read(shard, latest, 10, 1 << 20)).records == []

    asyncio.run(read())


def test_what_a_pool_cannot_read() -> None:
    async def read() -> None:
        stream = FakeStream()
        reader = StreamReader(stream.context, Client(stream))
        assert (await reader.stream(stream.arn)).status == "ENABLED"
        with pytest.raises(ApiError, match="not found"):
            await reader.stream(stream.arn[:-3] + "999")
        with pytest.raises(ApiError, match="Invalid StreamArn"):
            await reader.shards("arn:aws:s3:::bucket")
        with pytest.raises(ApiError, match="Shard does not exist"):
            await reader.read(stream.first, 0, 10, 1 << 20)

    asyncio.run(read())
