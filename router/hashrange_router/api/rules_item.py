"""Rules on the parameters of the operations on one item: PutItem, GetItem, UpdateItem and DeleteItem.

Called after the operation's validator and before values and expressions are parsed. They look only at the
request; what depends on the table comes later. All raise ValidationException.
"""

from __future__ import annotations

from typing import Any, Final

from hashrange_router.api.prefix import Wording, rejection
from hashrange_router.api.rules_common import (
    NAMES,
    VALUES,
    Parameters,
    check_attributes_to_get,
    check_conditional_operator,
    check_empty_maps,
    check_expressions,
)

_CONDITION: Final = ("ConditionExpression",)
_EXPECTED: Final = ("Expected", "ConditionalOperator")

PUT: Final = Parameters("PutItem", _CONDITION, _EXPECTED, _CONDITION, "Expected")
DELETE: Final = Parameters("DeleteItem", _CONDITION, _EXPECTED, _CONDITION, "Expected")
GET: Final = Parameters("GetItem", ("ProjectionExpression",), ("AttributesToGet",), (), "")
UPDATE: Final = Parameters(
    "UpdateItem",
    ("UpdateExpression", "ConditionExpression"),
    ("AttributeUpdates", *_EXPECTED),
    ("UpdateExpression", "ConditionExpression"),
    "Expected",
)

ONLY_OLD: Final = "ReturnValues can only be ALL_OLD or NONE"


def check_put_item(request: dict[str, Any], wording: Wording) -> None:
    """Rules on the parameters of PutItem."""
    if len(request) > 2:  # more than the required TableName and Item
        _check_whole_write(request, PUT, wording)


def check_delete_item(request: dict[str, Any], wording: Wording) -> None:
    """Rules on the parameters of DeleteItem."""
    if len(request) > 2:  # more than the required TableName and Key
        _check_whole_write(request, DELETE, wording)


def check_update_item(request: dict[str, Any], wording: Wording) -> None:
    """Rules on the parameters of UpdateItem."""
    if len(request) == 2:
        return
    plain = (
        "Expected" not in request
        and "AttributeUpdates" not in request
        and "ConditionalOperator" not in request
    )
    if plain and "UpdateExpression" in request and request.get(VALUES, True) and request.get(NAMES, True):
        return
    check_expressions(request, UPDATE, wording)
    check_conditional_operator(request, UPDATE, wording)
    check_empty_maps(request, UPDATE, wording)


def check_get_item(request: dict[str, Any], wording: Wording) -> None:
    """Rules on the parameters of GetItem."""
    if len(request) == 2:
        return
    if "AttributesToGet" not in request and ("ProjectionExpression" in request or NAMES not in request):
        if request.get(NAMES, True):
            return
    check_expressions(request, GET, wording)
    check_attributes_to_get(request.get("AttributesToGet"))
    check_empty_maps(request, GET, wording)


def _check_whole_write(request: dict[str, Any], parameters: Parameters, wording: Wording) -> None:
    """PutItem and DeleteItem, which take a condition and may return the item as it was."""
    returned = request.get("ReturnValues")
    plain = "Expected" not in request and "ConditionalOperator" not in request
    if plain and "ConditionExpression" in request:
        plain = bool(request.get(VALUES, True) and request.get(NAMES, True))
    elif plain:
        plain = NAMES not in request and VALUES not in request
    if not plain:
        check_expressions(request, parameters, wording)
    if returned is not None and returned != "ALL_OLD" and returned != "NONE":
        raise rejection(parameters.operation, ONLY_OLD, wording)
    if not plain:
        check_conditional_operator(request, parameters, wording)
        check_empty_maps(request, parameters, wording)
