"""Reading one shard with ordinary calls: where an iterator begins, and what to do when it cannot be used any more.

All calls block: run them off the event loop.
"""

from __future__ import annotations

from typing import Any

from hashrange_client.streams.leases import LATEST, TRIM_HORIZON


def list_shards(client: Any, stream: str) -> list[dict[str, Any]]:
    """All shards that DescribeStream lists, over all its pages; an empty page may be in between."""
    shards: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        described = client.describe_stream(StreamArn=stream, **more)["StreamDescription"]
        shards += described["Shards"]
        last = described.get("LastEvaluatedShardId")
        if last is None:
            return shards
        more = {"ExclusiveStartShardId": last}


class ShardReader:
    """Reads a shard from a checkpoint on. `trimmed` counts how often records were gone before they could be read."""

    def __init__(self, client: Any, stream: str, shard: str, checkpoint: str, limit: int) -> None:
        self.shard = shard
        self.trimmed = 0
        self._client = client
        self._stream = stream
        self._position = checkpoint
        self._limit = limit
        self._iterator: str | None = None
        self.ended = False

    def read(self) -> list[dict[str, Any]]:
        """The next records, [] when there are none now; `ended` is set once there will be none.

        An iterator that has expired is made anew behind what was read. When records have been trimmed away before they
        were read, reading goes on with the oldest there are. botocore's other exceptions come through.
        """
        errors = self._client.exceptions
        for _ in range(3):
            try:
                if self._iterator is None:
                    self._iterator = self._open()
                answer = self._client.get_records(ShardIterator=self._iterator, Limit=self._limit)
            except errors.ExpiredIteratorException:
                self._iterator = None
                continue
            except errors.TrimmedDataAccessException:
                self.trimmed += 1
                self._position, self._iterator = TRIM_HORIZON, None
                continue
            records: list[dict[str, Any]] = answer["Records"]
            self._iterator = answer.get("NextShardIterator")
            self.ended = self._iterator is None
            if records:
                self._position = records[-1]["dynamodb"]["SequenceNumber"]
            return records
        return []

    def _open(self) -> str:
        where: dict[str, Any] = {"ShardIteratorType": self._position}
        if self._position not in (TRIM_HORIZON, LATEST):
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._position}
        answer = self._client.get_shard_iterator(StreamArn=self._stream, ShardId=self.shard, **where)
        iterator: str = answer["ShardIterator"]
        return iterator
