"""The expressions of a request, new and legacy, as programs with values; and their rules about keys.

Errors of the expressions alone come before the table is looked up, so the functions that need the table are
apart (`check_*`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from hashrange.expr import (
    Bound,
    BoundUpdate,
    ExpressionContext,
    Projection,
    attributes_to_get,
    check_scalar_keys,
    legacy_expected,
    legacy_update,
)
from hashrange.model.key_rules import check_index_keys
from hashrange.model.table import TableSchema
from hashrange.model.value import Wording

load = orjson.loads


def projection_of(request: dict[str, Any], wording: Wording) -> Projection | None:
    """What ProjectionExpression or AttributesToGet name; None for the whole item."""
    text = request.get("ProjectionExpression")
    if text is not None:
        context = ExpressionContext(request.get("ExpressionAttributeNames"), None, wording)
        projection = context.projection(text)
        context.finish()
        return projection
    names = request.get("AttributesToGet")
    return attributes_to_get(names) if names is not None else None


def condition_of(request: dict[str, Any], wording: Wording) -> Bound | None:
    """The condition of PutItem and DeleteItem: ConditionExpression or Expected."""
    text = request.get("ConditionExpression")
    if text is not None:
        context = _context(request, wording)
        bound = context.condition(text)
        context.finish()
        return bound
    if "Expected" in request:
        return legacy_expected(request["Expected"], request.get("ConditionalOperator"), wording)
    return None


def update_of(request: dict[str, Any], wording: Wording) -> tuple[BoundUpdate | None, Bound | None]:
    """Update and condition of UpdateItem, new or legacy."""
    text = request.get("UpdateExpression")
    condition_text = request.get("ConditionExpression")
    if text is not None or condition_text is not None:
        context = _context(request, wording)
        update = context.update(text) if text is not None else None
        condition = context.condition(condition_text) if condition_text is not None else None
        context.finish()
        return update, condition
    legacy = (
        legacy_update(request.get("AttributeUpdates"), wording) if "AttributeUpdates" in request else None
    )
    expected = None
    if "Expected" in request:
        expected = legacy_expected(request["Expected"], request.get("ConditionalOperator"), wording)
    return legacy, expected


def _context(request: dict[str, Any], wording: Wording) -> ExpressionContext:
    return ExpressionContext(
        request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues"), wording
    )


def check_update_keys(update: BoundUpdate, table: TableSchema) -> None:
    """An update names no attribute of the primary key, and gives index keys only values they can have."""
    update.check_keys(table.key_names)
    if table.lsis or table.gsis:
        check_scalar(update.program.nested_heads, table)
        known = update.assigned_values()
        if known:
            item = dict(known)
            for index in table.indexes:
                if any(name in item for name in index.key_names):
                    check_index_keys(index.name, index.codec, item, updating=True)


def check_scalar(nested_heads: Collection[str], table: TableSchema) -> None:
    """An expression does not look into a key attribute of the table or of one of its indexes."""
    if nested_heads:
        index_keys = [name for index in table.indexes for name in index.key_names]
        check_scalar_keys(nested_heads, table.key_names, index_keys)
