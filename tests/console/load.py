"""Tables and requests for the console to show: several tables, indexes, a stream, and one key that everybody wants."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from typing import Any

HEADERS = {
    "content-type": "application/x-amz-json-1.0",
    "authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, "
    "Signature=0000000000000000000000000000000000000000000000000000000000000000",
    "x-amz-date": "20260101T000000Z",
}
HOT = "session-42"
TOWNS = ("Bergen", "Graz", "Lyon", "Porto", "Turku")


class Client:
    """Calls of the API over one connection, without checking anything."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(
        self, operation: str, request: dict[str, Any], prefix: str = "DynamoDB_20120810"
    ) -> dict[str, Any]:
        """The answer of an operation, of success or not."""
        headers = HEADERS | {"x-amz-target": f"{prefix}.{operation}"}
        self._connection.request("POST", "/", json.dumps(request), headers)
        found: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return found

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def table(name: str, *keys: str, **more: Any) -> dict[str, Any]:
    """The request that makes a table; keys are written `name` or `name:N`."""
    pairs = [(key.partition(":")[0], key.partition(":")[2] or "S") for key in keys]
    types = dict(pairs) | more.pop("types", {})
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": key, "KeyType": kind}
            for (key, _), kind in zip(pairs, ("HASH", "RANGE"), strict=False)
        ],
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": kind} for key, kind in types.items()
        ],
        **more,
    }


TABLES = (
    table(
        "orders",
        "customer",
        "placed:N",
        types={"town": "S"},
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-town",
                "KeySchema": [
                    {"AttributeName": "town", "KeyType": "HASH"},
                    {"AttributeName": "placed", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    ),
    table("sessions", "id"),
    table(
        "inventory",
        "sku",
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 50, "WriteCapacityUnits": 20},
    ),
)


def order(number: int) -> dict[str, Any]:
    """The item of one order."""
    return {
        "customer": {"S": f"customer-{number % 40:02}"},
        "placed": {"N": str(1_790_000_000 + number * 37)},
        "town": {"S": TOWNS[number % len(TOWNS)]},
        "total": {"N": f"{(number * 7919) % 90_000 / 100:.2f}"},
        "paid": {"BOOL": number % 3 != 0},
        "lines": {
            "L": [
                {"M": {"sku": {"S": f"sku-{(number + line) % 200:03}"}, "count": {"N": str(line + 1)}}}
                for line in range(number % 3 + 1)
            ]
        },
    }


def fill(client: Client, orders: int = 200) -> None:
    """Make the tables and put items into them."""
    for each in TABLES:
        client.call("CreateTable", each)
    for each in TABLES:
        deadline = time.monotonic() + 60
        while (
            client.call("DescribeTable", {"TableName": each["TableName"]}).get("Table", {}).get("TableStatus")
            != "ACTIVE"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    for number in range(orders):
        client.call("PutItem", {"TableName": "orders", "Item": order(number)})
    for number in range(60):
        item = {
            "id": {"S": f"session-{number}"},
            "user": {"S": f"user-{number % 17}"},
            "seen": {"N": "1790000000"},
        }
        client.call("PutItem", {"TableName": "sessions", "Item": item})


class Load:
    """Requests in the background from `threads` threads, each at most `rate_per_s`; ends with the block."""

    def __init__(self, port: int, threads: int = 3, rate_per_s: float = 60.0) -> None:
        self._stop = threading.Event()
        self._pause_s = 1 / rate_per_s
        self._threads = [
            threading.Thread(target=self._run, args=(port, number), daemon=True) for number in range(threads)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, port: int, seed: int) -> None:
        dice = random.Random(seed)
        with contextlib.closing(Client(port)) as client:
            while not self._stop.wait(self._pause_s):
                client.call(*_request(dice))


def _request(dice: random.Random) -> tuple[str, dict[str, Any]]:
    """One request: half of all are for sessions, and most of these for one of them."""
    chance = dice.random()
    if chance < 0.55:
        key = HOT if dice.random() < 0.7 else f"session-{dice.randrange(60)}"
        return "GetItem", {"TableName": "sessions", "Key": {"id": {"S": key}}}
    number = dice.randrange(2_000)
    if chance < 0.75:
        customer = {":c": {"S": f"customer-{number % 40:02}"}}
        condition = "customer = :c"
        return "Query", {
            "TableName": "orders",
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": customer,
            "Limit": 10,
        }
    if chance < 0.92:
        return "PutItem", {"TableName": "orders", "Item": order(number)}
    return "UpdateItem", {
        "TableName": "inventory",
        "Key": {"sku": {"S": f"sku-{number % 200:03}"}},
        "UpdateExpression": "ADD stock :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
