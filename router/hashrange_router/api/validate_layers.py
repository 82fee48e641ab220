"""Turning the violations of the model into the answer: which are listed, in which wording.

In the classic wording all violations are listed in the order of their checks, ten at most. The newer layer of
the service words some constraints of its own and stops early for others; PutItem, UpdateItem, DeleteItem,
GetItem, Query and BatchGetItem answer from it in the 2026 wording, a few constraints of Query and
BatchGetItem in both. Source: observed behaviour of the real service in the summer and autumn of 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from hashrange.errors import ApiError, validation
from hashrange_router.api.prefix import Wording, rejection
from hashrange_router.api.validate_constraints import Violation
from hashrange_router.api.validate_render import shorten

LISTED_MAX: Final = 10

Found = list[Violation]
Arrange = Callable[[dict[str, Any], Found], ApiError]

ITEM_OPERATIONS: Final = frozenset({"PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query", "Scan"})
WRITE_OPERATIONS: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem"})

MISSING_TABLE_NAME: Final = "The parameter 'TableName' is required but was not present in the request"
RETURN_VALUES: Final = (
    "Failed to satisfy constraint: Member must satisfy enum value set: "
    "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
)
RETURN_METRICS: Final = "ReturnItemCollectionMetrics can only be SIZE or NONE"
CONDITIONAL_OPERATOR: Final = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"


def arrangement(operation: str, wording: Wording) -> Arrange:
    """The function that makes the error of a request of `operation` from its violations (at least one)."""
    if operation == "CreateTable":
        return _create_table
    if operation == "BatchGetItem":
        return _batch_get_2026 if wording == "2026" else _batch_get_classic
    if operation == "BatchWriteItem":
        return _batch_write_2026 if wording == "2026" else _batch_write_classic
    if operation in ITEM_OPERATIONS and wording == "2026":
        return _item_2026(operation)
    return _query_classic if operation == "Query" else _classic


def listing(texts: list[str]) -> ApiError:
    """ValidationException that counts and lists the errors, ten at most."""
    texts = texts[:LISTED_MAX]
    plural = "" if len(texts) == 1 else "s"
    return validation(f"{len(texts)} validation error{plural} detected: {'; '.join(texts)}")


def bare_value(path: str, demand: str) -> str:
    """The newer layer's form of a violation: the path in the API's own spelling, and no value."""
    return f"Value at '{path}' failed to satisfy constraint: {demand}"


def _classic(request: dict[str, Any], found: Found) -> ApiError:
    return listing([violation.text for violation in found])


def _create_table(request: dict[str, Any], found: Found) -> ApiError:
    if any(violation.path == "tableName" and violation.rule == "null" for violation in found):
        return validation(MISSING_TABLE_NAME)
    return _classic(request, found)


def _query_text(violation: Violation) -> str:
    """Query words its Limit in the newer form in both wordings."""
    if violation.path == "limit":
        return bare_value("Limit", violation.demand)
    return violation.text


def _query_classic(request: dict[str, Any], found: Found) -> ApiError:
    return listing([_query_text(violation) for violation in found])


def _item_2026(operation: str) -> Arrange:
    """The newer layer for the operations on one table. It runs only when no required member is missing."""

    def arrange(request: dict[str, Any], found: Found) -> ApiError:
        first = {violation.path: violation for violation in reversed(found)}
        if not any(violation.rule == "null" and "." not in violation.path for violation in found):
            if "tableName" in first and first["tableName"].rule == "minimum":
                return listing([bare_value("TableName", first["tableName"].demand)])
            if operation in WRITE_OPERATIONS:
                return _write_2026(operation, found)
            if operation == "Query" and "conditionalOperator" in first:
                return validation(CONDITIONAL_OPERATOR)
        return _query_classic(request, found) if operation == "Query" else _classic(request, found)

    return arrange


def _write_2026(operation: str, found: Found) -> ApiError:
    """Enums of the writes that the newer layer checks itself, after all that the model checks.

    UpdateItem stops at an invalid ReturnValues. ConditionalOperator is looked at when nothing else is wrong.
    """
    paths = {violation.path for violation in found}
    own = {"returnValues": RETURN_VALUES, "returnItemCollectionMetrics": RETURN_METRICS}
    if operation == "UpdateItem" and "returnValues" in paths:
        return listing([RETURN_VALUES])
    texts = [one.text for one in found if one.path not in own and one.path != "conditionalOperator"]
    texts += [text for path, text in own.items() if path in paths]
    return listing(texts) if texts else rejection(operation, CONDITIONAL_OPERATOR, "2026")


def _is_empty_batch(violation: Violation) -> bool:
    return violation.path == "requestItems" and violation.rule == "minimum"


def _batch(operation: str, found: Found, texts: list[str]) -> ApiError:
    """An empty batch is refused with a sentence of its own, but only when nothing else is wrong."""
    if _is_empty_batch(found[0]) and len(found) == 1:
        return validation(f"The requestItems parameter is required for {operation}")
    return listing(texts)


def _batch_get_text(violation: Violation) -> str:
    """The length of a list of keys is worded in the newer form in both wordings."""
    if violation.path.endswith(".member.keys") and violation.rule in ("minimum", "maximum"):
        table = violation.path.removeprefix("requestItems.").removesuffix(".member.keys")
        return bare_value(f"RequestItems.{table}.member.Keys", violation.demand)
    return violation.text


def _batch_get_classic(request: dict[str, Any], found: Found) -> ApiError:
    kept = [one for one in found if not _is_empty_batch(one)] or found
    return _batch("BatchGetItem", kept, [_batch_get_text(violation) for violation in kept])


def _batch_get_2026(request: dict[str, Any], found: Found) -> ApiError:
    if any(violation.path == "requestItems" and violation.rule == "null" for violation in found):
        return _classic(request, found)
    ordered = sorted(found, key=lambda violation: not violation.path.startswith("requestItems"))
    return listing([_batch_get_text_2026(request, violation) for violation in ordered])


def _batch_get_text_2026(request: dict[str, Any], violation: Violation) -> str:
    """The newer layer echoes the map as the JSON it came in, and an empty one not at all."""
    if _is_empty_batch(violation):
        return bare_value("RequestItems", violation.demand)
    if violation.path == "requestItems" and violation.rule in ("keys", "maximum"):
        echo = _json(request["RequestItems"])
        if echo is not None:
            return f"Value '{echo}' at 'requestItems' failed to satisfy constraint: {violation.demand}"
    return _batch_get_text(violation)


def _json(value: Any) -> str | None:
    """Compact JSON text, or None for a value nested too deeply to be written."""
    try:
        return shorten(orjson.dumps(value).decode())
    except orjson.JSONEncodeError:
        return None


def _batch_write_classic(request: dict[str, Any], found: Found) -> ApiError:
    kept = [one for one in found if not _is_empty_batch(one)] or found
    return _batch("BatchWriteItem", kept, [violation.text for violation in kept])


def _batch_write_2026(request: dict[str, Any], found: Found) -> ApiError:
    """A wrong enum is reported before anything about the requests themselves is looked at."""
    enums = [violation for violation in found if violation.rule == "enum"]
    missing = any(violation.path == "requestItems" and violation.rule == "null" for violation in found)
    if enums and not missing:
        return listing([violation.text for violation in enums])
    return _batch_write_classic(request, found)
