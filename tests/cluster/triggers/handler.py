"""The function of the campaign: it carries every change of `Source` over to `Derived`, blindly, in the order told.

There is no condition and no sequence number in what it writes. So the copy is exact only if no change is left out,
none comes before an earlier one of its item. It also writes down in `Runs` when it worked on which items: no two
invocations may ever work on one at the same time.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import boto3
from botocore.config import Config

client = boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 30, "mode": "standard"}))

BATCH_MAX = 25


def handle(event: dict[str, Any], context: Any) -> None:
    """Write the last state of every item in the batch."""
    began = time.time()
    last: dict[str, dict[str, Any]] = {}
    for record in event["Records"]:
        change = record["dynamodb"]
        key = change["Keys"]["pk"]["S"]
        if record["eventName"] == "REMOVE":
            last[key] = {"DeleteRequest": {"Key": change["Keys"]}}
        else:
            last[key] = {"PutRequest": {"Item": change["NewImage"]}}
    waiting = list(last.values())
    while waiting:
        answer = client.batch_write_item(RequestItems={"Derived": waiting[:BATCH_MAX]})
        waiting = answer.get("UnprocessedItems", {}).get("Derived", []) + waiting[BATCH_MAX:]
        if answer.get("UnprocessedItems"):
            time.sleep(0.05)
    client.put_item(
        TableName="Runs",
        Item={
            "pk": {"S": uuid.uuid4().hex},
            "began": {"N": repr(began)},
            "ended": {"N": repr(time.time())},
            "keys": {"SS": list(last)},
        },
    )
