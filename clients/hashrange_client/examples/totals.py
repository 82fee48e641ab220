"""A handler that keeps a derived table: what each customer has ordered in all, always up to date.

    hashrange functions deploy totals.py --table orders --env TOTALS=totals

It is an ordinary AWS Lambda function, and runs there unchanged. Changes come in the order in which each order was
changed, at least once: a batch that fails is given again. So that no change is added twice, each sum goes with a mark
of the last change of that order, in one transaction; a change that is not newer than the mark is passed over.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import boto3
from botocore.config import Config

TOTALS = os.environ.get("TOTALS", "totals")
DIGITS = 40
"""Sequence numbers as texts of one length sort like numbers."""

client = boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 10, "mode": "standard"}))


def handler(event: dict[str, Any], context: Any) -> None:
    """Add what each change of an order has changed to the totals of its customers."""
    for record in event["Records"]:
        change = record["dynamodb"]
        differences: dict[str, Decimal] = {}
        for image, sign in (("OldImage", -1), ("NewImage", 1)):
            order = change.get(image)
            if order is not None:
                amount = sign * Decimal(order["amount"]["N"])
                customer = order["customer"]["S"]
                differences[customer] = differences.get(customer, Decimal(0)) + amount
        apply(change["Keys"]["id"]["S"], change["SequenceNumber"].zfill(DIGITS), differences)
    print(f"{len(event['Records'])} changes are in the totals")


def apply(order: str, sequence: str, differences: dict[str, Decimal]) -> None:
    """Change the totals and the order's mark together, or nothing if the mark says that they have this change."""
    actions: list[dict[str, Any]] = [
        {
            "Update": {
                "TableName": TOTALS,
                "Key": {"customer": {"S": f"order#{order}"}},
                "UpdateExpression": "SET applied = :sequence",
                "ConditionExpression": "attribute_not_exists(applied) OR applied < :sequence",
                "ExpressionAttributeValues": {":sequence": {"S": sequence}},
            }
        }
    ]
    for customer, difference in differences.items():
        actions.append(
            {
                "Update": {
                    "TableName": TOTALS,
                    "Key": {"customer": {"S": customer}},
                    "UpdateExpression": "ADD spent :difference",
                    "ExpressionAttributeValues": {":difference": {"N": str(difference)}},
                }
            }
        )
    try:
        client.transact_write_items(TransactItems=actions)
    except client.exceptions.TransactionCanceledException as error:
        reasons = [reason["Code"] for reason in error.response["CancellationReasons"]]
        if reasons[0] != "ConditionalCheckFailed":
            raise  # a conflict with another writer: the batch is given again
