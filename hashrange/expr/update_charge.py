"""What the statement of an update counts against the limit on the size of an item.

UpdateItem holds two things against the limit: the item as it will be, and the statement. The statement counts
what it writes and a fixed cost for each action and each operator, whatever the item holds: the key and
attributes left alone cost nothing, nor do values read from the item, and every use of a :value costs its
size. It is therefore known before the item is, and checked before the condition. The legacy AttributeUpdates
and the transactions measure the item only. Source: observed behaviour of the real service, to the byte.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hashrange.expr.tree import Path, Tree

_UPDATE: Final = 3
_WRITE: Final = 19
_CLEAR: Final = 1
_TARGET_STEP: Final = 4
_PATH: Final = 1
_PATH_STEP: Final = 14
_OPERATORS: Final = {"+": 34, "-": 37, "list_append": 37}
_IF_NOT_EXISTS: Final = 39


class Charge(NamedTuple):
    """Bytes that do not depend on the values, and the number of a value for each of its uses."""

    fixed: int
    uses: tuple[int, ...]


def charge_of(tree: Tree) -> Charge:
    """The charge of a bound update."""
    uses: list[int] = []
    fixed = _UPDATE
    for action in tree:
        kind, target = action[0], action[1]
        fixed += _target(target)
        if kind == "set":
            fixed += _WRITE + _operand(action[2], uses)
        elif kind == "add":
            fixed += _WRITE
            uses.append(action[2])
        else:
            fixed += _CLEAR
    return Charge(fixed, tuple(uses))


def _operand(tree: Tree, uses: list[int]) -> int:
    kind = tree[0]
    if kind == "value":
        uses.append(tree[1])
        return 0
    if kind == "path":
        return _path(tree[1])
    if kind == "if_not_exists":
        return _IF_NOT_EXISTS + _path(tree[1]) + _operand(tree[2], uses)
    return _OPERATORS[kind] + _operand(tree[1], uses) + _operand(tree[2], uses)


def _target(path: Path) -> int:
    return _length(path[0]) + sum(_TARGET_STEP + _length(step) for step in path[1:])


def _path(path: Path) -> int:
    return _PATH + sum(_PATH_STEP + _length(step) for step in path)


def _length(step: str | int) -> int:
    """Bytes of a name, digits of a position."""
    return len(str(step).encode())
