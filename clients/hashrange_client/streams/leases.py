"""Leases and checkpoints of an application, in a DynamoDB table of its own.

One item a shard: `shard` (partition key), `stream`, `owner`, `counter` (grows with every renewal), `checkpoint` (a
sequence number, or one of the words below). Nobody compares clocks: a lease has run out when its counter has stood
still for the lease's time on the clock of whoever looks. Every write is conditional on owner and counter, so a worker
that was replaced while it stood still cannot move the checkpoint any more (after the Kinesis Client Library's table).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

TRIM_HORIZON = "TRIM_HORIZON"
LATEST = "LATEST"
SHARD_END = "SHARD_END"

_BEGUN = "$begun#"
"""Partition key of the item that says that the application has listed a stream's shards once."""


class LeaseLostError(Exception):
    """Another worker has taken the shard; what this one processed since its checkpoint will be processed again."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A row of the table. `owner` is "" for a shard that nobody reads."""

    shard: str
    stream: str
    owner: str
    counter: int
    checkpoint: str

    @property
    def finished(self) -> bool:
        """Whether everything in the shard has been processed."""
        return self.checkpoint == SHARD_END


class LeaseTable:
    """The table `name`, through a boto3 DynamoDB client. `observe` tells which leases have run out.

    `now` gives monotonic seconds. All calls block: run them off the event loop. botocore's exceptions come through.
    """

    def __init__(self, client: Any, name: str, worker: str, lease_s: float, now: Callable[[], float]) -> None:
        self._client = client
        self._name = name
        self._worker = worker
        self._lease_s = lease_s
        self._now = now
        self._seen: dict[str, tuple[str, int, float]] = {}
        self._conflict = client.exceptions.ConditionalCheckFailedException

    def create(self) -> None:
        """Make the table if it is not there, and wait until it can be used."""
        try:
            self._client.create_table(
                TableName=self._name,
                AttributeDefinitions=[{"AttributeName": "shard", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "shard", "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except self._client.exceptions.ResourceInUseException:
            pass
        self._client.get_waiter("table_exists").wait(
            TableName=self._name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )

    def begun(self, stream: str) -> bool:
        """Whether the application has begun with a stream: its first shards have their rows."""
        found = self._client.get_item(
            TableName=self._name, Key={"shard": {"S": _BEGUN + stream}}, ConsistentRead=True
        )
        return "Item" in found

    def begin(self, stream: str) -> None:
        """Remember that. From then on a shard that appears is read from its start."""
        self._client.put_item(TableName=self._name, Item={"shard": {"S": _BEGUN + stream}})

    def leases(self, stream: str) -> dict[str, Lease]:
        """All rows of a stream, by shard."""
        found: dict[str, Lease] = {}
        pages = self._client.get_paginator("scan").paginate(TableName=self._name, ConsistentRead=True)
        for page in pages:
            for item in page["Items"]:
                if item.get("stream", {}).get("S") == stream:
                    lease = _lease(item)
                    found[lease.shard] = lease
        return found

    def add(self, shard: str, stream: str, checkpoint: str) -> None:
        """Make a shard known, unless it is."""
        lease = Lease(shard, stream, "", 0, checkpoint)
        try:
            self._client.put_item(
                TableName=self._name,
                Item=_item(lease),
                ConditionExpression="attribute_not_exists(#s)",
                ExpressionAttributeNames={"#s": "shard"},  # a reserved word
            )
        except self._conflict:
            pass

    def observe(self, leases: dict[str, Lease]) -> set[str]:
        """Take note of the counters; returns the shards that can be taken: free, or their lease has run out."""
        now = self._now()
        free: set[str] = set()
        for shard, lease in leases.items():
            owner, counter, since = self._seen.get(shard, ("", -1, now))
            if (owner, counter) != (lease.owner, lease.counter):
                self._seen[shard] = (lease.owner, lease.counter, now)
                since = now
            if not lease.owner or (lease.owner != self._worker and now - since >= self._lease_s):
                free.add(shard)
        for gone in self._seen.keys() - leases.keys():
            del self._seen[gone]
        return free

    def take(self, lease: Lease) -> Lease:
        """Become the owner of a shard whose lease was seen like this. LeaseLostError when somebody was faster."""
        return self._update(lease, replace(lease, owner=self._worker, counter=lease.counter + 1))

    def renew(self, lease: Lease) -> Lease:
        """Keep a lease. LeaseLostError when it is not ours any more."""
        return self._update(lease, replace(lease, counter=lease.counter + 1))

    def checkpoint(self, lease: Lease, checkpoint: str) -> Lease:
        """Everything up to `checkpoint` has been processed; renews the lease as well. LeaseLostError as `renew`."""
        return self._update(lease, replace(lease, counter=lease.counter + 1, checkpoint=checkpoint))

    def release(self, lease: Lease) -> None:
        """Let others have it at once. Harmless when it is not ours any more."""
        try:
            self._update(lease, replace(lease, owner="", counter=lease.counter + 1))
        except LeaseLostError:
            pass

    def forget(self, lease: Lease) -> None:
        """Remove the row of a finished shard that the stream does not list any more."""
        self._client.delete_item(TableName=self._name, Key={"shard": {"S": lease.shard}})

    def _update(self, seen: Lease, wanted: Lease) -> Lease:
        try:
            self._client.put_item(
                TableName=self._name,
                Item=_item(wanted),
                ConditionExpression="#o = :owner AND #c = :counter",
                ExpressionAttributeNames={"#o": "owner", "#c": "counter"},
                ExpressionAttributeValues={
                    ":owner": {"S": seen.owner},
                    ":counter": {"N": str(seen.counter)},
                },
            )
        except self._conflict:
            current = self._current(seen.shard)
            if current == wanted:
                return wanted  # an attempt of this very write that was not answered had been carried out
            raise LeaseLostError(seen.shard) from None
        return wanted

    def _current(self, shard: str) -> Lease | None:
        found = self._client.get_item(
            TableName=self._name, Key={"shard": {"S": shard}}, ConsistentRead=True
        ).get("Item")
        return _lease(found) if found is not None else None


def _lease(item: dict[str, Any]) -> Lease:
    return Lease(
        item["shard"]["S"],
        item["stream"]["S"],
        item["owner"]["S"],
        int(item["counter"]["N"]),
        item["checkpoint"]["S"],
    )


def _item(lease: Lease) -> dict[str, Any]:
    return {
        "shard": {"S": lease.shard},
        "stream": {"S": lease.stream},
        "owner": {"S": lease.owner},
        "counter": {"N": str(lease.counter)},
        "checkpoint": {"S": lease.checkpoint},
    }
