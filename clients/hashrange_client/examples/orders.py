"""Makes the tables of the example handler, changes orders at random, and compares the totals with the orders.

    python -m hashrange_client.examples.orders --create       # tables orders, totals and failed
    hashrange functions deploy clients/hashrange_client/examples/totals.py --table orders
    python -m hashrange_client.examples.orders                # 200 changes, then the totals

The exit code is 0 when the totals have become those of the orders.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from decimal import Decimal
from typing import Any

import boto3

CUSTOMERS = ("Ada", "Grace", "Edsger", "Barbara", "Donald")
DEADLINE_S = 60.0


def connect(endpoint: str) -> Any:
    """The tables of an endpoint; any credentials do where none are configured."""
    return boto3.resource(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="hashrange",
        aws_secret_access_key="hashrange",
    )


def create(dynamodb: Any) -> None:
    """Make the tables, unless they are there. `failed` is for `--on-failure table:failed`."""
    there = {table.name for table in dynamodb.tables.all()}
    for name, key in (("orders", "id"), ("totals", "customer"), ("failed", "id")):
        if name not in there:
            dynamodb.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            ).wait_until_exists()
        print(f"table {name} is there")


def change(table: Any, changes: int, rng: random.Random) -> None:
    """Put, change and delete orders."""
    for _ in range(changes):
        key = {"id": f"order-{rng.randrange(max(1, changes // 4))}"}
        if rng.random() < 0.2:
            table.delete_item(Key=key)
        else:
            table.put_item(Item={**key, "customer": rng.choice(CUSTOMERS), "amount": rng.randrange(1, 100)})
    print(f"made {changes} changes of orders")


def scan(table: Any) -> list[dict[str, Any]]:
    """All items of a table, as they are now."""
    items: list[dict[str, Any]] = []
    page = table.scan(ConsistentRead=True)
    items += page["Items"]
    while "LastEvaluatedKey" in page:
        page = table.scan(ConsistentRead=True, ExclusiveStartKey=page["LastEvaluatedKey"])
        items += page["Items"]
    return items


def expected(orders: list[dict[str, Any]]) -> dict[str, Decimal]:
    """The totals as they should be."""
    sums: dict[str, Decimal] = {}
    for order in orders:
        sums[order["customer"]] = sums.get(order["customer"], Decimal(0)) + order["amount"]
    return sums


def totals(table: Any) -> dict[str, Decimal]:
    """The totals as the function keeps them, without its marks."""
    return {item["customer"]: item["spent"] for item in scan(table) if item.get("spent")}


def main() -> int:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="http://127.0.0.1:8000")
    parser.add_argument("--create", action="store_true", help="make the tables and stop")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    dynamodb = connect(arguments.endpoint)
    if arguments.create:
        create(dynamodb)
        return 0
    change(dynamodb.Table("orders"), arguments.changes, random.Random(arguments.seed))
    wanted = expected(scan(dynamodb.Table("orders")))
    deadline = time.monotonic() + DEADLINE_S
    while (found := totals(dynamodb.Table("totals"))) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    for customer in sorted(found):
        print(f"  {customer:<10} {found[customer]:>6}")
    if found != wanted:
        print(f"the totals are not those of the orders: {wanted}; see hashrange functions list")
        return 1
    print("the totals are those of the orders")
    return 0


if __name__ == "__main__":
    sys.exit(main())
