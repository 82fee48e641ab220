"""A stream and a table in memory, as boto3's clients show them: what a consumer needs, and no more."""

from __future__ import annotations

import threading
from typing import Any


class Conditional(Exception):
    """ConditionalCheckFailedException."""


class Expired(Exception):
    """ExpiredIteratorException."""


class Trimmed(Exception):
    """TrimmedDataAccessException."""


class NotFound(Exception):
    """ResourceNotFoundException."""


class InUse(Exception):
    """ResourceInUseException."""


class _Errors:
    ConditionalCheckFailedException = Conditional
    ExpiredIteratorException = Expired
    TrimmedDataAccessException = Trimmed
    ResourceNotFoundException = NotFound
    ResourceInUseException = InUse


class FakeTable:
    """Items by their `shard`, and the one condition that leases use."""

    exceptions = _Errors

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.conditional = True
        """Without it every write succeeds: a control for the tests."""
        self.lost_answers = 0
        """So many conditional writes are carried out and then answered with a failed condition, as a retry is."""
        self._lock = threading.Lock()

    def create_table(self, **_: Any) -> None:
        raise InUse

    def get_waiter(self, _: str) -> FakeTable:
        return self

    def wait(self, **_: Any) -> None:
        """The table is there."""

    def get_item(self, Key: dict[str, Any], **_: Any) -> dict[str, Any]:
        item = self.items.get(Key["shard"]["S"])
        return {"Item": item} if item is not None else {}

    def delete_item(self, Key: dict[str, Any], **_: Any) -> None:
        self.items.pop(Key["shard"]["S"], None)

    def get_paginator(self, _: str) -> FakeTable:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Items": list(self.items.values())}]

    def put_item(
        self,
        Item: dict[str, Any],
        ConditionExpression: str | None = None,
        ExpressionAttributeValues: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        with self._lock:
            held = self.items.get(Item["shard"]["S"])
            if ConditionExpression is not None and self.conditional:
                if ExpressionAttributeValues is None:
                    holds = held is None
                else:
                    owner, counter = (
                        ExpressionAttributeValues[":owner"],
                        ExpressionAttributeValues[":counter"],
                    )
                    holds = held is not None and held["owner"] == owner and held["counter"] == counter
                if not holds:
                    raise Conditional
            self.items[Item["shard"]["S"]] = Item
            if ConditionExpression is not None and self.lost_answers:
                self.lost_answers -= 1
                raise Conditional


class FakeStream:
    """Shards of records. `page` is how many shards DescribeStream gives at once."""

    exceptions = _Errors

    def __init__(self, page: int = 2) -> None:
        self.shards: dict[str, dict[str, Any]] = {}
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.page = page
        self.expire_next = self.trim_next = False
        self.failing = 0
        self.reads: list[str] = []

    def open(self, shard: str, parent: str | None = None) -> None:
        """A new shard; its parent is closed."""
        described: dict[str, Any] = {"ShardId": shard, "SequenceNumberRange": {"StartingSequenceNumber": "0"}}
        if parent is not None:
            described["ParentShardId"] = parent
            self.close(parent)
        self.shards[shard] = described
        self.records[shard] = []

    def close(self, shard: str) -> None:
        if shard in self.shards:
            self.shards[shard]["SequenceNumberRange"]["EndingSequenceNumber"] = "9" * 22

    def write(self, shard: str, *values: int) -> None:
        for value in values:
            change = {"SequenceNumber": f"{value:021d}", "Keys": {"pk": {"S": str(value % 3)}}}
            self.records[shard].append({"eventName": "INSERT", "dynamodb": change})

    def describe_stream(self, StreamArn: str, ExclusiveStartShardId: str | None = None) -> dict[str, Any]:
        names = list(self.shards)
        first = 0 if ExclusiveStartShardId is None else names.index(ExclusiveStartShardId) + 1
        chosen = names[first : first + self.page]
        found: dict[str, Any] = {"Shards": [self.shards[name] for name in chosen]}
        if first + self.page < len(names):
            found["LastEvaluatedShardId"] = chosen[-1]
        return {"StreamDescription": found}

    def get_shard_iterator(
        self, StreamArn: str, ShardId: str, ShardIteratorType: str, SequenceNumber: str | None = None
    ) -> dict[str, Any]:
        if ShardId not in self.shards:
            raise NotFound
        records = self.records[ShardId]
        if ShardIteratorType == "TRIM_HORIZON":
            at = 0
        elif ShardIteratorType == "LATEST":
            at = len(records)
        else:
            at = sum(each["dynamodb"]["SequenceNumber"] <= str(SequenceNumber) for each in records)
        return {"ShardIterator": f"{ShardId}|{at}"}

    def get_records(self, ShardIterator: str, Limit: int) -> dict[str, Any]:
        if self.failing:
            self.failing -= 1
            raise RuntimeError("a failure of the network")
        if self.expire_next:
            self.expire_next = False
            raise Expired
        if self.trim_next:
            self.trim_next = False
            raise Trimmed
        shard, _, place = ShardIterator.partition("|")
        self.reads.append(shard)
        at = int(place)
        found = self.records[shard][at : at + Limit]
        answer: dict[str, Any] = {"Records": found}
        closed = "EndingSequenceNumber" in self.shards[shard]["SequenceNumberRange"]
        if not closed or at + len(found) < len(self.records[shard]):
            answer["NextShardIterator"] = f"{shard}|{at + len(found)}"
        return answer
