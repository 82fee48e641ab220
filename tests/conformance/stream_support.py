"""What the tests of streams share: tables with a stream, and readers that follow its shards to the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.conformance.raw import Raw, Reply
from tests.conformance.support import Item, table, wait_active, wait_until

VIEW_TYPES = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
BOTH = "NEW_AND_OLD_IMAGES"


def specification(view_type: str = BOTH) -> dict[str, Any]:
    """StreamSpecification of a stream that is on."""
    return {"StreamEnabled": True, "StreamViewType": view_type}


@contextlib.contextmanager
def streamed(client: Any, keys: str = "p", view_type: str = BOTH, **more: Any) -> Iterator[tuple[str, str]]:
    """(table name, stream ARN) of a new table with a stream, deleted at the end."""
    with table(client, keys, StreamSpecification=specification(view_type), **more) as name:
        yield name, latest_arn(client, name)


def latest_arn(client: Any, name: str) -> str:
    """LatestStreamArn of a table."""
    return str(client.describe_table(TableName=name)["Table"]["LatestStreamArn"])


def enable(client: Any, name: str, view_type: str = BOTH) -> str:
    """Switch a stream on; its ARN, once the table is ACTIVE again."""
    client.update_table(TableName=name, StreamSpecification=specification(view_type))
    return str(wait_active(client, name)["LatestStreamArn"])


def disable(client: Any, name: str) -> None:
    """Switch the stream off, and wait for it."""
    client.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    wait_active(client, name)


def describe(streams: Any, arn: str, **more: Any) -> dict[str, Any]:
    """The StreamDescription with the shards of all its pages."""
    description: dict[str, Any] = streams.describe_stream(StreamArn=arn, **more)["StreamDescription"]
    last = description.get("LastEvaluatedShardId")
    while last is not None:
        page = streams.describe_stream(StreamArn=arn, **more | {"ExclusiveStartShardId": last})[
            "StreamDescription"
        ]
        description["Shards"] += page["Shards"]
        last = page.get("LastEvaluatedShardId")
    return description


def shards(streams: Any, arn: str) -> list[dict[str, Any]]:
    """All shards of a stream."""
    found: list[dict[str, Any]] = describe(streams, arn)["Shards"]
    return found


def iterator(streams: Any, arn: str, shard_id: str, kind: str = "TRIM_HORIZON", **more: Any) -> str:
    """GetShardIterator."""
    reply = streams.get_shard_iterator(StreamArn=arn, ShardId=shard_id, ShardIteratorType=kind, **more)
    return str(reply["ShardIterator"])


def drain(streams: Any, start: str | None, limit: int = 1000) -> tuple[list[dict[str, Any]], str | None]:
    """Records from an iterator on, until there are none for now or the shard has ended; the next iterator, or None."""
    found: list[dict[str, Any]] = []
    while start is not None:
        page = streams.get_records(ShardIterator=start, Limit=limit)
        found += page["Records"]
        start = page.get("NextShardIterator")
        if not page["Records"]:
            break
    return found, start


def read_all(streams: Any, arn: str, limit: int = 1000) -> list[dict[str, Any]]:
    """Everything that can be read of a stream now, parents before their children."""
    return [
        record
        for shard in shards(streams, arn)
        for record in drain(streams, iterator(streams, arn, shard["ShardId"]), limit)[0]
    ]


def wait_records(streams: Any, arn: str, count: int) -> list[dict[str, Any]]:
    """All records of a stream once there are so many: a write by the system itself takes its time."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = read_all(streams, arn)
        return len(found) >= count

    wait_until(there, f"{count} records in {arn}")
    return found


def changes(records: list[dict[str, Any]]) -> list[tuple[str, Any, Any, Any]]:
    """(event name, keys, old image, new image) of records; None for an image that is not there."""
    return [
        (
            record["eventName"],
            record["dynamodb"]["Keys"],
            record["dynamodb"].get("OldImage"),
            record["dynamodb"].get("NewImage"),
        )
        for record in records
    ]


def post(raw: Raw, operation: str, body: dict[str, Any]) -> Reply:
    """A request as JSON, for members and values that an older SDK does not send."""
    return raw.post(None, body, x_amz_target=f"DynamoDBStreams_20120810.{operation}")


def sequence(record: dict[str, Any]) -> str:
    """A record's number."""
    return str(record["dynamodb"]["SequenceNumber"])


def replayed(records: list[dict[str, Any]]) -> dict[str, Item]:
    """What a table holds after its records with both images, by its keys; checks that each fits what was before."""
    state: dict[str, Item] = {}
    for event, keys, old, new in changes(records):
        key = repr(sorted(keys.items()))
        assert state.get(key) == old, (event, keys)
        assert (event == "INSERT") == (old is None)
        assert (event == "REMOVE") == (new is None)
        if new is None:
            del state[key]
        else:
            state[key] = new
    return state
