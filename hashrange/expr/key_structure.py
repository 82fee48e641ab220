"""The shape of a key condition: which attributes it compares, how, and with which values.

A KeyConditionExpression has the grammar of a condition, but only `=`, the order operators, BETWEEN and
begins_with joined by AND make sense in it, each with one attribute and otherwise values. What else the
grammar allows is refused here, before the key schema is known (`keycondition` applies the schema).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from hashrange.expr.errors import Message, Worded
from hashrange.expr.tree import Tree

_FLIPPED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NAMES: Final = {
    "or": "OR",
    "not": "NOT",
    "in": "IN",
    "<>": "<>",
    "exists": "attribute_exists",
    "missing": "attribute_not_exists",
    "type": "attribute_type",
    "contains": "contains",
}
_FIRST_MUST_BE_KEY: Final = {"between": "BETWEEN", "begins_with": "begins_with"}


class KeyStructure(NamedTuple):
    """Conditions by attribute as (operator, numbers of the values), or what is wrong with them."""

    conditions: Mapping[str, tuple[str, tuple[int, ...]]]
    error: Message | None


class _RefusedError(Exception):
    def __init__(self, message: Message) -> None:
        self.message = message


def _named(rule: str) -> Worded:
    """A rule about all key conditions, which only the older layer states without naming the parameter."""
    text = f"KeyConditionExpressions {rule}"
    return Worded(f"Invalid KeyConditionExpression: {text}", text)


def key_structure(tree: Tree) -> KeyStructure:
    """The structure of a bound condition; the operator is one of = < <= > >= BETWEEN begins_with."""
    conditions: dict[str, tuple[str, tuple[int, ...]]] = {}
    try:
        _collect(tree, conditions)
    except _RefusedError as refused:
        return KeyStructure({}, refused.message)
    return KeyStructure(conditions, None)


def _collect(tree: Tree, conditions: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    operator = tree[0]
    if operator == "and":
        for condition in tree[1]:
            _collect(condition, conditions)
        return
    if operator in _NAMES:
        raise _RefusedError(f"Invalid operator used in KeyConditionExpression: {_NAMES[operator]}")
    operands = tree[1:]
    if operator in _FIRST_MUST_BE_KEY and operands[0][0] != "path":
        raise _RefusedError(
            f"Invalid condition in KeyConditionExpression: {_FIRST_MUST_BE_KEY[operator]} operator "
            "must have the key attribute as its first operand"
        )
    name = _key_name(operands)
    if name in conditions:
        raise _RefusedError(_named("must only contain one condition per key"))
    if operator == "between":
        operator = "BETWEEN"
    elif operands[0][0] != "path":
        operator = _FLIPPED[operator]
    conditions[name] = (operator, tuple(operand[1] for operand in operands if operand[0] == "value"))


def _key_name(operands: tuple[Tree, ...]) -> str:
    """The one attribute among the operands of a condition."""
    name: str | None = None
    for operand in operands:
        if operand[0] == "size":
            raise _RefusedError(_named("cannot contain nested operations"))
        if operand[0] != "path":
            continue
        if name is not None:
            raise _RefusedError(
                "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
            )
        if len(operand[1]) > 1:
            raise _RefusedError(_named("cannot have conditions on nested attributes"))
        name = operand[1][0]
    if name is None:
        raise _RefusedError("Invalid condition in KeyConditionExpression: No key attribute specified")
    return name
