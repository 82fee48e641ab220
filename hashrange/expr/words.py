"""First check of a syntax tree: reserved words, list indexes, function names and where functions stand.

It needs neither names nor values and goes through the expression in the order it is written; the first
problem is the error (observed behaviour of the real service: all of these come before an undefined
placeholder is reported, and a function is looked at before its operands).
"""

from __future__ import annotations

from typing import Final

from hashrange.expr.errors import misused_function
from hashrange.expr.parser import ParseError
from hashrange.expr.reserved import RESERVED_WORDS
from hashrange.expr.tree import MAX_LIST_INDEX, PROJECTION, UPDATE, Tree

CONDITION_FUNCTIONS: Final = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
"""Functions that are conditions, with their number of operands."""

OPERAND_FUNCTIONS: Final = {"size": 1}
"""Functions that are operands of a condition."""

UPDATE_FUNCTIONS: Final = {"if_not_exists": 2, "list_append": 2}
"""Functions that give a value to SET."""

OPERAND_COUNTS: Final = {**CONDITION_FUNCTIONS, **OPERAND_FUNCTIONS, **UPDATE_FUNCTIONS}


def check_words(kind: str, tree: Tree) -> None:
    """Raises `ParseError` for the first word of the expression that cannot stand where it does."""
    if kind == UPDATE:
        _check_update(tree)
    elif kind == PROJECTION:
        for path in tree[1]:
            _check_path(path)
    else:
        _check_condition(tree)


def _check_path(path: Tree) -> None:
    for step in path[1]:
        if isinstance(step, int):
            if step > MAX_LIST_INDEX:
                raise ParseError(f"List index is not within the allowable range; index: [{step}]")
        elif step.upper() in RESERVED_WORDS:
            raise ParseError(f"Attribute name is a reserved keyword; reserved keyword: {step}")


def _check_condition(tree: Tree) -> None:
    kind = tree[0]
    if kind in ("and", "or"):
        for condition in tree[1]:
            _check_condition(condition)
    elif kind == "not":
        _check_condition(tree[1])
    elif kind == "call":
        _check_function(tree[1])
        if tree[1] not in CONDITION_FUNCTIONS:
            raise ParseError(misused_function(tree[1]))
        for operand in tree[2]:
            _check_operand(operand)
    elif kind == "compare":
        _check_operand(tree[2])
        _check_operand(tree[3])
    elif kind == "between":
        for operand in tree[1:]:
            _check_operand(operand)
    else:
        _check_operand(tree[1])
        for operand in tree[2]:
            _check_operand(operand)


def _check_operand(tree: Tree) -> None:
    """An operand of a condition: a path, a value, or a function that gives one."""
    if tree[0] == "path":
        _check_path(tree)
    elif tree[0] == "call":
        _check_function(tree[1])
        if tree[1] not in OPERAND_FUNCTIONS:
            raise ParseError(misused_function(tree[1]))
        for operand in tree[2]:
            _check_operand(operand)


def _check_function(function: str) -> None:
    """A function of a condition; names are case-sensitive."""
    if function not in OPERAND_COUNTS:
        raise ParseError(f"Invalid function name; function: {function}")
    if function in UPDATE_FUNCTIONS:
        raise ParseError(f"The function is not allowed in a condition expression; function: {function}")


def _check_update(tree: Tree) -> None:
    # A section is read whole, in the place of its first clause, before its repetition is noticed.
    sections: dict[str, list[Tree]] = {}
    for keyword, actions in tree[1]:
        sections.setdefault(keyword, []).append(actions)
    for keyword, clauses in sections.items():
        for actions in clauses:
            for target, value in actions:
                _check_path(target)
                if value is not None:
                    _check_set_value(value, nested=False)
        if len(clauses) > 1:
            raise ParseError(f'The "{keyword}" section can only be used once in an update expression;')


def _check_set_value(tree: Tree, nested: bool) -> None:
    if tree[0] == "path":
        _check_path(tree)
    elif tree[0] == "arithmetic":
        _check_set_value(tree[2], nested)
        _check_set_value(tree[3], nested)
    elif tree[0] == "call":
        function = tree[1]
        if function not in OPERAND_COUNTS:
            raise ParseError(f"Invalid function name; function: {function}")
        if function not in UPDATE_FUNCTIONS:
            raise ParseError(f"The function is not allowed in an update expression; function: {function}")
        if nested and function == "list_append":
            raise ParseError(misused_function(function))
        for operand in tree[2]:
            _check_set_value(operand, nested=True)
