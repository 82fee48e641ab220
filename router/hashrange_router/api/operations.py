"""The supported operations: name, checks and handler of each, by the target that names it.

An operation of the service model that is not here is answered with UnknownOperationException, as the service
does for names it does not know; `hashrange api` prints which are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hashrange.errors import ApiError
from hashrange_router.api import deep, rules_batch, rules_item, rules_query, rules_transact
from hashrange_router.api.batch import BatchOperations
from hashrange_router.api.context import RouterContext
from hashrange_router.api.control import TableOperations
from hashrange_router.api.dispatch import OperationEntry
from hashrange_router.api.items import ItemOperations
from hashrange_router.api.model import service_model
from hashrange_router.api.prefix import with_prefix
from hashrange_router.api.query import RangeOperations
from hashrange_router.api.validate import Validation
from hashrange_router.streams.operations import StreamOperations
from hashrange_router.transactions.operations import TransactionOperations

Check = Callable[[dict[str, Any], Any], None]

CHECKS: dict[str, Check] = {
    "GetItem": rules_item.check_get_item,
    "PutItem": rules_item.check_put_item,
    "UpdateItem": rules_item.check_update_item,
    "DeleteItem": rules_item.check_delete_item,
    "Query": rules_query.check_query,
    "Scan": rules_query.check_scan,
    "BatchGetItem": rules_batch.check_batch_get_item,
    "BatchWriteItem": rules_batch.check_batch_write_item,
    "TransactWriteItems": rules_transact.check_transact_write_items,
}

SUPPORTED: dict[str, bool] = dict.fromkeys(
    (
        *CHECKS,
        "TransactGetItems",
        "CreateTable",
        "UpdateTable",
        "DeleteTable",
        "DescribeTable",
        "ListTables",
        "TagResource",
        "UntagResource",
        "ListTagsOfResource",
        "UpdateTimeToLive",
        "DescribeTimeToLive",
        "DescribeLimits",
        "DescribeEndpoints",
        "DescribeContinuousBackups",
        "UpdateContinuousBackups",
        "DescribeContributorInsights",
        "DescribeKinesisStreamingDestination",
        "DescribeTableReplicaAutoScaling",
        "UpdateTableReplicaAutoScaling",
        "CreateGlobalTable",
        "UpdateGlobalTable",
        "DescribeGlobalTable",
        "ListGlobalTables",
        "DescribeGlobalTableSettings",
        "UpdateGlobalTableSettings",
        "ListStreams",
        "DescribeStream",
        "GetShardIterator",
        "GetRecords",
    ),
    True,
)
"""Operations with a handler. A test compares it with the handlers that `entries` finds."""


def entries(context: RouterContext) -> dict[bytes, OperationEntry]:
    """Target header -> entry, for every supported operation."""
    items, batch, ranges = ItemOperations(context), BatchOperations(context), RangeOperations(context)
    transactions = TransactionOperations(context)
    handlers: dict[str, Any] = {
        "GetItem": items.get_item,
        "PutItem": items.put_item,
        "UpdateItem": items.update_item,
        "DeleteItem": items.delete_item,
        "Query": ranges.query,
        "Scan": ranges.scan,
        "BatchGetItem": batch.batch_get_item,
        "BatchWriteItem": batch.batch_write_item,
        "TransactWriteItems": transactions.transact_write_items,
        "TransactGetItems": transactions.transact_get_items,
        **TableOperations(context).handlers(),
        **StreamOperations(context).handlers(),
    }
    validation, classic = Validation(wording=context.wording), Validation(wording="classic")

    def finish_error(operation: str, error: ApiError) -> ApiError:
        return with_prefix(operation, error, context.wording)

    found: dict[bytes, OperationEntry] = {}
    for name, handler in handlers.items():
        validate = _checked(validation.compile_validator(name), CHECKS.get(name), context.wording)
        prefix = (
            "DynamoDB_20120810"
            if service_model().operations[name].service == "dynamodb"
            else ("DynamoDBStreams_20120810")
        )
        entry = OperationEntry(name, validate, handler, finish_error)
        if name in deep.VALUE_CHECKS and context.wording == "2026":
            older = _checked(classic.compile_validator(name), CHECKS[name], "classic")
            entry = replace(entry, reconsider=deep.older_answer(name, older))
        found[f"{prefix}.{name}".encode()] = entry
    return found


def _checked(
    validate: Callable[[dict[str, Any]], None], check: Check | None, wording: str
) -> Callable[[dict[str, Any]], None]:
    """Model constraints, then the rules on the operation's parameters."""
    if check is None:
        return validate

    def both(request: dict[str, Any]) -> None:
        validate(request)
        check(request, wording)

    return both
