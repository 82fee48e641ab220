"""Values that update actions compute: SET's operands and functions, ADD's sums, and set arithmetic.

Everything reads the item as it was before the update and makes new values; nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hashrange.errors import ApiError, validation
from hashrange.expr.paths import Values, value_at
from hashrange.expr.tree import Path, Tree
from hashrange.model.binary import decode
from hashrange.model.number import add, order_key, subtract
from hashrange.model.value import AttributeValue, Item

Compute: TypeAlias = Callable[[Item, Values], AttributeValue]
Act: TypeAlias = Callable[[AttributeValue | None, Item, Values], AttributeValue | None]
"""An action on one place: (value there or None, item before, values) to the new value, None for nothing.

To leave the place alone it returns the very object that is there.
"""


def _missing_attribute() -> ApiError:
    return validation("The provided expression refers to an attribute that does not exist in the item")


def _wrong_type() -> ApiError:
    return validation("An operand in the update expression has an incorrect data type")


def _legacy_wrong_type() -> ApiError:
    return validation("Type mismatch for attribute to update")


def compile_value(tree: Tree) -> Compute:
    """The function of a bound value of SET."""
    kind = tree[0]
    if kind == "value":
        number = tree[1]
        return lambda item, values: values[number]
    if kind == "path":
        return _copy(tree[1])
    if kind == "if_not_exists":
        return _if_not_exists(tree[1], compile_value(tree[2]))
    first, second = compile_value(tree[1]), compile_value(tree[2])
    if kind == "list_append":
        return _list_append(first, second)
    return _arithmetic(add if kind == "+" else subtract, first, second)


def _copy(path: Path) -> Compute:
    def copy(item: Item, values: Values) -> AttributeValue:
        value = value_at(item, path)
        if value is None:
            raise _missing_attribute()
        return value

    return copy


def _if_not_exists(path: Path, otherwise: Compute) -> Compute:
    def if_not_exists(item: Item, values: Values) -> AttributeValue:
        value = value_at(item, path)
        return value if value is not None else otherwise(item, values)

    return if_not_exists


def _list_append(first: Compute, second: Compute) -> Compute:
    def list_append(item: Item, values: Values) -> AttributeValue:
        head, tail = first(item, values), second(item, values)
        if "L" not in head or "L" not in tail:
            raise _wrong_type()
        return {"L": head["L"] + tail["L"]}

    return list_append


def _arithmetic(operate: Callable[[str, str], str], first: Compute, second: Compute) -> Compute:
    def arithmetic(item: Item, values: Values) -> AttributeValue:
        a, b = first(item, values), second(item, values)
        if "N" not in a or "N" not in b:
            raise _wrong_type()
        return {"N": operate(a["N"], b["N"])}

    return arithmetic


def add_action(number: int, legacy: bool) -> Act:
    """ADD: a number to a number, members to a set; legacy ADD also puts lists together.

    What is missing counts as zero or as empty.
    """
    mismatch = _legacy_wrong_type if legacy else _wrong_type

    def add_value(existing: AttributeValue | None, item: Item, values: Values) -> AttributeValue:
        value = values[number]
        if existing is None:
            return value
        [(tag, content)] = value.items()
        present = existing.get(tag)
        if present is None:
            raise mismatch()
        if tag == "N":
            return {"N": add(present, content)}
        if tag == "L":
            return {"L": present + content}
        known = set(present)
        new = [member for member in content if member not in known]
        return {tag: _sorted_members(tag, present + new)} if new else existing

    return add_value


def delete_action(number: int, legacy: bool) -> Act:
    """DELETE: members from a set; a set that becomes empty goes away."""
    mismatch = _legacy_wrong_type if legacy else _wrong_type

    def delete_members(existing: AttributeValue | None, item: Item, values: Values) -> AttributeValue | None:
        if existing is None:
            return None
        [(tag, content)] = values[number].items()
        present = existing.get(tag)
        if present is None:
            raise mismatch()
        dropped = set(content)
        kept = [member for member in present if member not in dropped]
        if len(kept) == len(present):
            return existing
        return {tag: kept} if kept else None

    return delete_members


def _sorted_members(tag: str, members: list[str]) -> list[str]:
    """Members of a set in canonical order."""
    if tag == "NS":
        return sorted(members, key=order_key)
    return sorted(members, key=decode) if tag == "BS" else sorted(members)
