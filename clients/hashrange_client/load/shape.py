"""The items that load is put on: ten attributes of mixed types, of an exact size, ten items to a partition.

All keys have the same length, so that requests differ only in a few bytes at a known place and need no
serialisation. Sizes follow DynamoDB's rule: attribute names and values in UTF-8 bytes, numbers by digits.
"""

from __future__ import annotations

import json
from typing import Any

PER_PARTITION = 10
KEY_LENGTH = 9
SORT_LENGTH = 2
COUNTER = "n"

MIN_ITEM_BYTES = 150

_FIXED: dict[str, dict[str, Any]] = {
    COUNTER: {"N": "0"},
    "active": {"BOOL": True},
    "city": {"S": "Amsterdam"},
    "created": {"N": "1790000000000"},
    "email": {"S": "someone.else@example.com"},
    "name": {"S": "Someone Else"},
    "status": {"S": "shipped"},
}


def partition_key(number: int) -> str:
    """The partition key value of item `number`."""
    return f"p{number // PER_PARTITION:08d}"


def sort_key(number: int) -> str:
    """The sort key value of item `number`."""
    return f"s{number % PER_PARTITION}"


def key(number: int) -> dict[str, Any]:
    """The key of item `number`, as DynamoDB JSON."""
    return {"pk": {"S": partition_key(number)}, "sk": {"S": sort_key(number)}}


def item(number: int, item_bytes: int) -> dict[str, Any]:
    """Item `number`, exactly `item_bytes` large."""
    whole = {**key(number), **_FIXED, "note": {"S": ""}}
    filler = item_bytes - size(whole)
    if filler < 0:
        raise ValueError(f"an item has at least {item_bytes - filler} bytes")
    whole["note"] = {"S": ("lorem ipsum dolor sit amet " * (filler // 27 + 1))[:filler]}
    return whole


def size(whole: dict[str, Any]) -> int:
    """Bytes of an item of the types used here (S, N, BOOL), by DynamoDB's rule."""
    total = 0
    for name, value in whole.items():
        total += len(name.encode())
        if "S" in value:
            total += len(value["S"].encode())
        elif "N" in value:
            digits = value["N"].strip("0") or ""
            total += 1 + (len(digits) + 1) // 2
        else:
            total += 1
    return total


def table_definition(table: str) -> dict[str, Any]:
    """A CreateTable request."""
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    }


def compact(document: dict[str, Any]) -> bytes:
    """JSON as SDKs write it on the wire."""
    return json.dumps(document, separators=(",", ":")).encode()
