"""Reads a stream as a careful consumer does: parents before their children, each shard from its beginning to its end.

    reader = StreamReader(client, arn)
    while not reader.finished:
        reader.step()

A call that fails is made again with the same iterator, so that nothing is read twice.
"""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

FINAL = {"ExpiredIteratorException", "TrimmedDataAccessException", "ValidationException"}


class StreamReader:
    """Reads one stream from the trim horizon. `shards` are descriptions, `read` the records of each, by shard id.

    `page` is how many shards are asked for at a time: few, so that DescribeStream is paged.
    """

    def __init__(self, client: Any, arn: str, page: int = 3) -> None:
        self.arn = arn
        self.shards: dict[str, dict[str, Any]] = {}
        self.read: dict[str, list[dict[str, Any]]] = {}
        self.order: list[dict[str, Any]] = []
        """All records in the order in which they were read."""
        self.failures = 0
        self._client = client
        self._page = page
        self._iterators: dict[str, str] = {}
        self._ended: set[str] = set()

    def step(self) -> int:
        """Look for shards, then read a page of each that can be read; the number of records."""
        self.discover()
        count = 0
        for shard_id, shard in self.shards.items():
            parent = shard.get("ParentShardId")
            if shard_id in self._ended or (parent in self.shards and parent not in self._ended):
                continue
            count += self._read(shard_id)
        return count

    def discover(self) -> None:
        """Take over the shards that there are now."""
        start: dict[str, str] = {}
        while True:
            answer = self._ask("describe_stream", StreamArn=self.arn, Limit=self._page, **start)
            description = answer["StreamDescription"]
            for shard in description["Shards"]:
                self.shards[shard["ShardId"]] = shard
            if "LastEvaluatedShardId" not in description:
                return
            start = {"ExclusiveStartShardId": description["LastEvaluatedShardId"]}

    def _read(self, shard_id: str) -> int:
        iterator = self._iterators.get(shard_id)
        if iterator is None:
            iterator = self._ask(
                "get_shard_iterator", StreamArn=self.arn, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
        answer = self._ask("get_records", ShardIterator=iterator)
        records = answer["Records"]
        self.read.setdefault(shard_id, []).extend(records)
        self.order += records
        if "NextShardIterator" in answer:
            self._iterators[shard_id] = answer["NextShardIterator"]
        else:
            self._ended.add(shard_id)
        return len(records)

    @property
    def count(self) -> int:
        """Records read so far."""
        return len(self.order)

    @property
    def finished(self) -> bool:
        """Whether every shard was closed and has been read: nothing more will come."""
        return bool(self.shards) and self._ended >= self.shards.keys()

    def drain(self, rounds: int = 3, timeout_s: float = 60.0) -> None:
        """Read until nothing has come for some rounds over all shards, or everything is finished."""
        deadline = time.monotonic() + timeout_s
        empty = 0
        while empty < rounds and not self.finished:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the stream has not ended after {self.count} records")
            empty = 0 if self.step() else empty + 1

    def _ask(self, operation: str, **request: Any) -> dict[str, Any]:
        """One call, again while servers are away."""
        deadline = time.monotonic() + 60.0
        while True:
            try:
                return getattr(self._client, operation)(**request)  # type: ignore[no-any-return]
            except (BotoCoreError, ClientError) as error:
                code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
                if code in FINAL or code == "ResourceNotFoundException" or time.monotonic() > deadline:
                    raise
                self.failures += 1
                time.sleep(0.1)
