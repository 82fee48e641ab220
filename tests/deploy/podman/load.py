"""What clients do in a run: unmodified boto3 with its retries, and writers that remember what was acknowledged."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterable
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tests.deploy.podman.steps import StepError, wait_for

REGION = "us-east-1"
WRITERS = 4
BODY = "x" * 200
HANDLER = '''
import boto3

def handler(event, context):
    """Write down which keys of `written` have been seen to change."""
    seen = boto3.resource("dynamodb").Table("seen")
    for record in event.get("Records", []):
        seen.put_item(Item={"id": record["dynamodb"]["Keys"]["id"]["S"]})
    return {"records": len(event.get("Records", []))}
'''
ROLE = "arn:aws:iam::000000000000:role/any"


def client(service: str, endpoint: str, key: str, secret: str, region: str = REGION) -> Any:
    """A boto3 client as any program makes it: nothing but the endpoint is set."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def make_table(dynamodb: Any, name: str, stream: bool = False) -> None:
    """A table with the string key `id`, on demand; ready when this returns."""
    wanted: dict[str, Any] = {
        "TableName": name,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if stream:
        wanted["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    dynamodb.create_table(**wanted)
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def all_items(dynamodb: Any, table: str) -> dict[str, dict[str, Any]]:
    """Every item by its key, read with strong consistency."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {item["id"]["S"]: item for page in pages for item in page["Items"]}


def transact(dynamodb: Any, table: str, keys: Iterable[str]) -> None:
    """Put items with these keys, all or none."""
    puts = [{"Put": {"TableName": table, "Item": {"id": {"S": key}}}} for key in keys]
    dynamodb.transact_write_items(TransactItems=puts)


def stream_keys(streams: Any, arn: str) -> Counter[str]:
    """How many records each key has in a stream, all shards read from their beginning."""
    counted: Counter[str] = Counter()
    shards = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    for shard in shards:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            counted.update(record["dynamodb"]["Keys"]["id"]["S"] for record in page["Records"])
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return counted


def make_function(lambda_client: Any, name: str, stream_arn: str) -> None:
    """A Python function that runs on every change of a stream."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("code.py", HANDLER)
    lambda_client.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler="code.handler",
        Timeout=30,
        Code={"ZipFile": archive.getvalue()},
    )
    lambda_client.get_waiter("function_active_v2").wait(FunctionName=name)
    lambda_client.create_event_source_mapping(
        FunctionName=name, EventSourceArn=stream_arn, StartingPosition="TRIM_HORIZON", BatchSize=50
    )


class Writers:
    """Threads that put items through an endpoint, until stopped; what was acknowledged is in `acknowledged`."""

    def __init__(self, endpoint: str, table: str, key: str, secret: str, region: str = REGION) -> None:
        self._make = lambda: client("dynamodb", endpoint, key, secret, region)
        self._table = table
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: dict[str, str] = {}
        self.failed: Counter[str] = Counter()
        self._last = time.monotonic()
        self.longest_gap_s = 0.0
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> Writers:
        self._last = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop writing; requests under way are waited for."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        dynamodb = self._make()
        count = 0
        while not self._stop.is_set():
            count += 1
            key, value = f"w{number}-{count}", str(count)
            item = {"id": {"S": key}, "value": {"N": value}, "body": {"S": BODY}}
            try:
                dynamodb.put_item(TableName=self._table, Item=item)
            except (ClientError, BotoCoreError) as error:
                with self._lock:
                    self.failed[type(error).__name__] += 1
                continue
            with self._lock:
                now = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now - self._last)
                self._last = now
                self.acknowledged[key] = value

    def go_on(self, count: int, timeout_s: float = 60.0) -> str:
        """Wait until so many more writes are acknowledged; the longest time without one since the last call."""
        with self._lock:
            wanted = len(self.acknowledged) + count
            self.longest_gap_s = 0.0
        wait_for(f"{count} more writes", lambda: len(self.acknowledged) >= wanted, timeout_s)
        return f"{count} more writes, the longest time without one {self.longest_gap_s:.1f} s"

    def check(self, dynamodb: Any) -> str:
        """Read everything; raises StepError when an acknowledged write is missing or different."""
        there = all_items(dynamodb, self._table)
        lost = [
            key for key, value in self.acknowledged.items() if there.get(key, {}).get("value") != {"N": value}
        ]
        if lost:
            raise StepError(f"{len(lost)} acknowledged writes are lost, such as {lost[:3]}")
        failed = (
            f", {sum(self.failed.values())} given up by boto3: {dict(self.failed)}" if self.failed else ""
        )
        return f"{len(self.acknowledged)} acknowledged writes, all there{failed}"
