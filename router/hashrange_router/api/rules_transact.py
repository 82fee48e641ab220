"""Rules on the parameters of the transactions, before values are parsed and tables are known.

Lengths, required members and enums are constraints of the model and checked by the validator. What is here is what
the service checks of single elements: exactly one action in each, and its expressions. Actions are checked in the
order of the request; `check_action` is called for each as its turn comes. Source of the texts: observed behaviour of
the real service, which answers transactions in the classic wording. All raise ValidationException.
"""

from __future__ import annotations

from typing import Any, Final

from hashrange.errors import validation
from hashrange_router.api.prefix import Wording
from hashrange_router.api.rules_common import NAMES, VALUES, Parameters, check_empty_maps, check_expressions

ACTIONS: Final = ("ConditionCheck", "Put", "Delete", "Update")
"""The members of an element, in the order of the model."""
MEMBERS: Final = frozenset(
    (
        "TableName",
        "Item",
        "Key",
        "UpdateExpression",
        "ConditionExpression",
        NAMES,
        VALUES,
        "ReturnValuesOnConditionCheckFailure",
    )
)
"""The members of actions, all kinds together."""

SEVERAL_ACTIONS: Final = "TransactItems can only contain one of Check, Put, Update or Delete"
NO_ACTION: Final = "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
DUPLICATES: Final = "Transaction request cannot include multiple operations on one item"

_CONDITION: Final = ("ConditionExpression",)
_UPDATE: Final = ("UpdateExpression", "ConditionExpression")
PARAMETERS: Final = {
    "ConditionCheck": Parameters("TransactWriteItems", _CONDITION, (), _CONDITION, ""),
    "Put": Parameters("TransactWriteItems", _CONDITION, (), _CONDITION, ""),
    "Delete": Parameters("TransactWriteItems", _CONDITION, (), _CONDITION, ""),
    "Update": Parameters("TransactWriteItems", _UPDATE, (), _UPDATE, ""),
}
GET: Final = Parameters("TransactGetItems", ("ProjectionExpression",), (), (), "")


def check_transact_write_items(request: dict[str, Any], wording: Wording) -> None:
    """One action in every element."""
    for element in request["TransactItems"]:
        count = sum(name in element for name in ACTIONS)
        if count != 1:
            raise validation(SEVERAL_ACTIONS if count else NO_ACTION)


def check_action(kind: str, action: dict[str, Any]) -> None:
    """Names and values of one action: only with an expression, and not empty."""
    if NAMES in action or VALUES in action:
        parameters = PARAMETERS[kind]
        check_expressions(action, parameters, "classic")
        check_empty_maps(action, parameters, "classic")


def check_get(get: dict[str, Any]) -> None:
    """Names of one Get: only with a projection, and not empty."""
    if NAMES in get:
        check_expressions(get, GET, "classic")
        check_empty_maps(get, GET, "classic")
