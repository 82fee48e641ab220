"""The legacy conditional parameters, turned into the same trees and values as expressions.

Expected, QueryFilter and ScanFilter give a `Bound`, KeyConditions give `Condition`s for
`keycondition.resolve_key_condition`, and AttributeUpdates give a `BoundUpdate`. Their errors are
`ExpressionError`s with texts of their own. Enumerations (comparison operators, actions, AND and OR) have been
checked by the caller; values are validated and made canonical here.

Where the old operators mean something else than the new ones: NE is true of a missing attribute, but
NOT_CONTAINS, like CONTAINS, is false of one; NULL and NOT_NULL ask whether the attribute exists, whatever its
type; ADD also puts lists together; wrong types show as `Type mismatch for attribute to update` (DynamoDB
Developer Guide, Legacy conditional parameters, and observed behaviour of the real service).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hashrange.expr.errors import CURRENT_WORDING, ExpressionError, Wording
from hashrange.expr.keycondition import Condition
from hashrange.expr.program import Bound, BoundUpdate, Program
from hashrange.expr.tree import CONDITION, UPDATE, Tree
from hashrange.model.value import CLASSIC, CURRENT, AttributeValue, compare

# Fewest and most arguments.
_COUNTS: Final = {
    "NULL": (0, 0),
    "NOT_NULL": (0, 0),
    "IN": (1, 1_000_000),
    "BETWEEN": (2, 2),
}
_ONE_ARGUMENT: Final = (1, 1)

_SCALARS: Final = frozenset({"S", "N", "B"})
_TYPES: Final = {
    "LE": _SCALARS,
    "LT": _SCALARS,
    "GE": _SCALARS,
    "GT": _SCALARS,
    "IN": _SCALARS,
    "BETWEEN": _SCALARS,
    "CONTAINS": _SCALARS | {"BOOL", "NULL"},
    "NOT_CONTAINS": _SCALARS | {"BOOL", "NULL"},
    "BEGINS_WITH": frozenset({"S", "B"}),
}

_COMPARATORS: Final = {"EQ": "=", "NE": "<>", "LE": "<=", "LT": "<", "GE": ">=", "GT": ">"}
_KEY_OPERATORS: Final = {
    "EQ": "=",
    "LE": "<=",
    "LT": "<",
    "GE": ">=",
    "GT": ">",
    "BETWEEN": "BETWEEN",
    "BEGINS_WITH": "begins_with",
}
_ADDED_TYPES: Final = frozenset({"N", "L", "SS", "NS", "BS"})
_DELETED_TYPES: Final = frozenset({"SS", "NS", "BS"})


def check_conditional_operator(operator: str | None, conditions: Mapping[str, Any] | None) -> None:
    """ConditionalOperator needs a filter or Expected of at least two conditions."""
    if operator is None:
        return
    if not conditions:
        raise ExpressionError("ConditionalOperator cannot be used without Filter or Expected")
    if len(conditions) == 1:
        raise ExpressionError(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements"
        )


def legacy_expected(
    expected: Mapping[str, Mapping[str, Any]] | None,
    conditional_operator: str | None = None,
    wording: Wording = CURRENT_WORDING,
) -> Bound | None:
    """The condition of an Expected map, or None if there is none."""
    check_conditional_operator(conditional_operator, expected)
    builder = _Builder(wording)
    for name, expectation in (expected or {}).items():
        operator, arguments = _expectation(name, expectation)
        builder.add(name, operator, arguments)
    return builder.bound(conditional_operator)


def legacy_filter(
    conditions: Mapping[str, Mapping[str, Any]] | None,
    conditional_operator: str | None = None,
    wording: Wording = CURRENT_WORDING,
) -> Bound | None:
    """The filter of a QueryFilter or ScanFilter map, or None if there is none."""
    check_conditional_operator(conditional_operator, conditions)
    builder = _Builder(wording)
    for name, condition in (conditions or {}).items():
        builder.add(name, condition["ComparisonOperator"], condition.get("AttributeValueList") or [])
    return builder.bound(conditional_operator)


def legacy_key_conditions(
    conditions: Mapping[str, Mapping[str, Any]], wording: Wording = CURRENT_WORDING
) -> list[Condition]:
    """The conditions of a KeyConditions map, before its key schema is known."""
    result = []
    for name, condition in conditions.items():
        operator: str = condition["ComparisonOperator"]
        arguments: list[AttributeValue] = condition.get("AttributeValueList") or []
        _check_arguments(operator, arguments, wording)
        result.append(Condition(name, _KEY_OPERATORS.get(operator, operator), arguments))
    if not 1 <= len(result) <= 2:
        raise ExpressionError("Conditions can be of length 1 or 2 only")
    return result


def legacy_update(
    updates: Mapping[str, Mapping[str, Any]] | None, wording: Wording = CURRENT_WORDING
) -> BoundUpdate | None:
    """The update of an AttributeUpdates map; None for none, which only makes sure that the item exists."""
    normalise = _normalise(wording)
    values: list[AttributeValue] = []
    actions: list[Tree] = []
    for name, update in (updates or {}).items():
        action = update.get("Action") or "PUT"
        value = update.get("Value")
        if value is None:
            if action != "DELETE":
                raise _invalid("Only DELETE action is allowed when no attribute value is specified")
            actions.append(("remove", (name,)))
            continue
        normalise(value)
        [tag] = value
        if action == "DELETE" and tag not in _DELETED_TYPES:
            raise _invalid(f"DELETE action with value is not supported for the type {tag}")
        if action == "ADD" and tag not in _ADDED_TYPES:
            raise _invalid(f"ADD action is not supported for the type {tag}")
        number = len(values)
        values.append(value)
        if action == "PUT":
            actions.append(("set", (name,), ("value", number)))
        else:
            actions.append((f"legacy_{action.lower()}", (name,), number))
    if not actions:
        return None
    return BoundUpdate(Program.from_tree(UPDATE, tuple(actions)), values)


class _Builder:
    """Collects conditions and their values."""

    def __init__(self, wording: Wording) -> None:
        self._wording: Wording = wording
        self._conditions: list[Tree] = []
        self._values: list[AttributeValue] = []

    def add(self, name: str, operator: str, arguments: Sequence[AttributeValue]) -> None:
        _check_arguments(operator, arguments, self._wording)
        first = len(self._values)
        self._values.extend(arguments)
        numbers = range(first, len(self._values))
        operands = tuple([("value", number) for number in numbers])
        self._conditions.append(_condition((name,), operator, operands))

    def bound(self, conditional_operator: str | None) -> Bound | None:
        if not self._conditions:
            return None
        if len(self._conditions) == 1:
            [tree] = self._conditions
        else:
            kind = "or" if conditional_operator == "OR" else "and"
            tree = (kind, tuple(self._conditions))
        return Bound(Program.from_tree(CONDITION, tree), self._values)


def _condition(path: tuple[str], operator: str, operands: tuple[Tree, ...]) -> Tree:
    """The bound tree of a legacy operator."""
    attribute = ("path", path)
    if operator == "NULL":
        return ("missing", path)
    if operator == "NOT_NULL":
        return ("exists", path)
    if operator in _COMPARATORS:
        return (_COMPARATORS[operator], attribute, operands[0])
    if operator == "BETWEEN":
        return ("between", attribute, *operands)
    if operator == "IN":
        return ("in", attribute, operands)
    if operator == "NOT_CONTAINS":
        return ("and", (("exists", path), ("not", ("contains", attribute, operands[0]))))
    return (operator.lower(), attribute, operands[0])


def _expectation(name: str, expectation: Mapping[str, Any]) -> tuple[str, Sequence[AttributeValue]]:
    """Operator and arguments of one expectation, in its newer form or as Value and Exists."""
    operator = expectation.get("ComparisonOperator")
    listed = expectation.get("AttributeValueList")
    value = expectation.get("Value")
    exists = expectation.get("Exists")
    problem = None
    if listed is not None and value is not None:
        problem = "Value and AttributeValueList cannot be used together"
    elif operator is not None:
        if exists is not None:
            problem = "Exists and ComparisonOperator cannot be used together"
        elif listed is None and value is None and operator not in ("NULL", "NOT_NULL"):
            problem = f"Value or AttributeValueList must be used with ComparisonOperator: {operator}"
    elif listed is not None:
        problem = "AttributeValueList can only be used with a ComparisonOperator"
    elif value is None and exists is not False:
        problem = f"Value must be provided when Exists is {'null' if exists is None else 'true'}"
    elif value is not None and exists is False:
        problem = "Value cannot be used when Exists is false"
    if problem is not None:
        raise _invalid(f"{problem} for Attribute: {name}")
    if operator is None:
        return ("EQ", [value]) if value is not None else ("NULL", [])
    return operator, [value] if value is not None else listed or []


def _check_arguments(operator: str, arguments: Sequence[AttributeValue], wording: Wording) -> None:
    """Validates the values, their number, and their types for the operator."""
    normalise = _normalise(wording)
    for argument in arguments:
        normalise(argument)
    fewest, most = _COUNTS.get(operator, _ONE_ARGUMENT)
    if not fewest <= len(arguments) <= most:
        raise _invalid(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
    if not arguments:
        return
    [tag] = arguments[0]
    if any(tag not in argument for argument in arguments):
        raise _invalid("AttributeValues inside AttributeValueList must be of same type")
    if tag not in _TYPES.get(operator, (tag,)):
        raise _invalid(f"ComparisonOperator {operator} is not valid for {tag} AttributeValue type")
    if operator == "BETWEEN" and (compare(*arguments) or 0) > 0:
        raise ExpressionError(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )


def _invalid(problem: str) -> ExpressionError:
    return ExpressionError(f"One or more parameter values were invalid: {problem}")


def _normalise(wording: Wording) -> Any:
    return (CURRENT if wording == "2026" else CLASSIC).normalise_value
