"""Records as YCSB has them: one key, ten fields of 100 bytes. The core workloads are put on these.

YCSB's keys are `user` and a hash of the record's number, so that neighbours in number are none in the store.
Tables hash their partition keys anyway: here the number itself is in the key, and all keys have one length.
Source: Cooper et al., "Benchmarking cloud serving systems with YCSB" (SoCC 2010), section 4.1.
"""

from __future__ import annotations

import hashlib
import string
from typing import Any

PER_PARTITION = 1
FIELDS = 10
FIELD_BYTES = 100
_NAMES_BYTES = FIELDS * len("field0") + len("pk")
_KEY_BYTES = len("user") + 10
ITEM_BYTES = _KEY_BYTES + _NAMES_BYTES + FIELDS * FIELD_BYTES
MIN_ITEM_BYTES = _KEY_BYTES + _NAMES_BYTES + FIELDS

_LETTERS = string.ascii_letters + string.digits + "/ .,-"
FILLER = "".join(_LETTERS[byte % len(_LETTERS)] for byte in hashlib.shake_256(b"fields").digest(8_192))
"""Fields are pieces of this text, so that a random one costs a slice."""


def partition_key(number: int) -> str:
    """The key of record `number`."""
    return f"user{number:010d}"


def sort_key(_number: int) -> str:
    """Records have no sort key."""
    return ""


def key(number: int) -> dict[str, Any]:
    """The key of record `number`, as DynamoDB JSON."""
    return {"pk": {"S": partition_key(number)}}


def field_bytes(item_bytes: int) -> int:
    """Bytes of each field of a record of about `item_bytes`."""
    return max(1, (item_bytes - _KEY_BYTES - _NAMES_BYTES) // FIELDS)


def item(number: int, item_bytes: int) -> dict[str, Any]:
    """Record `number`; the same every time."""
    length = field_bytes(item_bytes)
    filler = FILLER * (length // len(FILLER) + 2)
    places = ((number * FIELDS + field) * 7_919 % len(FILLER) for field in range(FIELDS))
    fields = {f"field{field}": {"S": filler[at : at + length]} for field, at in enumerate(places)}
    return {**key(number), **fields}


def table_definition(table: str) -> dict[str, Any]:
    """A CreateTable request."""
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
