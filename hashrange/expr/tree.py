"""The two trees of an expression, and helpers on document paths.

**Syntax tree**: what the parser makes of a text; names and values are still placeholders. Nested tuples,
the first element tells the kind:

    ("path", (step, ...))            step: "name", "#reference" or a list index as int
    ("value", ":v")
    ("call", function, (operand, ...))
    ("compare", op, a, b)            op: = <> < <= > >=
    ("between", a, low, high)        ("in", a, (candidate, ...))
    ("and", (condition, ...))        ("or", (condition, ...))        ("not", condition)
    ("arithmetic", op, a, b)         op: + -
    ("update", ((clause, ((path, value or None), ...)), ...))        clause: SET REMOVE ADD DELETE
    ("projection", (path, ...))

**Bound tree**: what is compiled, and what travels between processes: placeholders are resolved, a path is the
bare tuple of its steps (str or int), a value is its index in the list of values that goes with the tree.
Every leaf is a str, int or None and every branch a tuple, so msgpack carries it as it is:

    operand      ("path", path)   ("value", i)   ("size", operand)
    condition    (op, a, b)   ("between", a, low, high)   ("in", a, (operand, ...))
                 ("and", (condition, ...))   ("or", (condition, ...))   ("not", condition)
                 ("exists", path)   ("missing", path)   ("type", path, i)
                 ("begins_with", a, b)   ("contains", a, b)
    update       (action, ...) with action ("set", path, value)   ("remove", path)
                 ("add", path, i)   ("delete", path, i)
                 ("legacy_add", path, i)   ("legacy_delete", path, i)
    value        operand   ("+", a, b)   ("-", a, b)   ("if_not_exists", path, value)
                 ("list_append", a, b)
    projection   (path, ...)
    key          ((attribute, op, (i, ...)), ...) or the text of an error
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Tree: TypeAlias = tuple[Any, ...]
Path: TypeAlias = tuple[str | int, ...]

CONDITION: Final = "ConditionExpression"
FILTER: Final = "FilterExpression"
KEY_CONDITION: Final = "KeyConditionExpression"
UPDATE: Final = "UpdateExpression"
PROJECTION: Final = "ProjectionExpression"

MAX_PATH_DEPTH: Final = 32
"""Steps of a document path (observed behaviour of the real service)."""

MAX_LIST_INDEX: Final = 2**31 - 1

MAX_OPERATORS: Final = 300
"""Operators and functions in one expression (DynamoDB Developer Guide, Constraints)."""

MAX_IN_OPERANDS: Final = 100
MAX_EXPRESSION_SIZE: Final = 4096
"""Bytes of an expression as sent (DynamoDB Developer Guide, Constraints)."""


def path_text(path: Path) -> str:
    """A path as the service writes it in errors: `[a, [1], b]`."""
    return "[" + ", ".join(f"[{step}]" if isinstance(step, int) else step for step in path) + "]"


def as_tuples(tree: Any) -> Any:
    """A tree that came from a decoder; one that makes lists makes nothing but lists."""
    if isinstance(tree, list):
        return tuple(map(as_tuples, tree))
    return tree
