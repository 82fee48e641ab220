"""Which items a write is about: what must not be served any more when nobody knows what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange.model.value import ValueRules
from hashrange_dax.coherence.messages import Key
from hashrange_dax.contracts import Request

_RULES = ValueRules()


def keys_of(operation: str, request: Request, table: Callable[[str], TableSchema]) -> list[Key]:
    """The keys that a write may have changed, each with its table's id.

    A key that cannot be made out is left out: a write that has one is refused, wherever it is made.
    """
    found: list[Key] = []
    for name, item in _named(operation, request):
        try:
            schema = table(name)
            found.append((schema.table_id, _encoded(schema, item)))
        except (ApiError, KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def _named(operation: str, request: Request) -> list[tuple[str, Any]]:
    """Table names, each with a document that has the key attributes in it."""
    if operation == "PutItem":
        return [(request["TableName"], request["Item"])]
    if operation in ("UpdateItem", "DeleteItem"):
        return [(request["TableName"], request["Key"])]
    if operation == "BatchWriteItem":
        return [
            (name, each["PutRequest"]["Item"] if "PutRequest" in each else each["DeleteRequest"]["Key"])
            for name, requests in request["RequestItems"].items()
            for each in requests
        ]
    if operation == "TransactWriteItems":
        actions = [action for each in request["TransactItems"] for action in each.values()]
        return [(action["TableName"], action.get("Item") or action.get("Key")) for action in actions]
    return []


def _encoded(schema: TableSchema, item: dict[str, Any]) -> bytes:
    key = {name: dict(item[name]) for name in schema.key_names}
    for value in key.values():
        _RULES.normalise_value(value)
    return schema.codec.encode(key)
