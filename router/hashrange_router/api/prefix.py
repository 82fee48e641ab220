"""The two wordings of the real service's validation errors, and the prefix by which they differ most.

In 2026 the service began to answer from a new validation layer. `"2026"` is its wording and the default;
`"classic"` is the one before, kept for users whose tests pin it. In the new wording PutItem, UpdateItem and
DeleteItem report every fault of the request's shape behind `1 validation error detected: `; errors that depend on the
table, and those of the other operations, are bare in both. Source: observed behaviour of the real service.
"""

from __future__ import annotations

from typing import Final

from hashrange.errors import ApiError, validation
from hashrange.expr.errors import ExpressionError, Wording
from hashrange.model.shape_error import ShapeError

__all__ = ["ONE_ERROR", "PREFIXED_OPERATIONS", "Wording", "rejection", "with_prefix"]

ONE_ERROR: Final = "1 validation error detected: "
PREFIXED_OPERATIONS: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem"})


def rejection(operation: str, message: str, wording: Wording) -> ApiError:
    """ValidationException for a fault of the request's shape, with the prefix where `operation` has one."""
    if wording == "2026" and operation in PREFIXED_OPERATIONS:
        return validation(ONE_ERROR + message)
    return validation(message)


def with_prefix(operation: str, error: ApiError, wording: Wording) -> ApiError:
    """The error to answer when parsing the expressions or the values of a request has raised `error`.

    Only `ExpressionError` and `ShapeError` are faults of the request's shape; anything else is returned
    unchanged. The given error is never altered.
    """
    if error.message is None or not isinstance(error, (ExpressionError, ShapeError)):
        return error
    if wording == "2026" and operation in PREFIXED_OPERATIONS:
        return validation(ONE_ERROR + error.message)
    return error
