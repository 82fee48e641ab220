"""Reading an attribute value at a document path.

A getter is a function of (item, values) that gives an attribute value, or None where the item has nothing at
the path. Getters never copy: what they return belongs to the item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from hashrange.expr.tree import Path
from hashrange.model.value import AttributeValue, Item

Values: TypeAlias = Sequence[AttributeValue]
Getter: TypeAlias = Callable[[Item, Values], AttributeValue | None]


def value_at(item: Item, path: Path) -> AttributeValue | None:
    """The value at `path`, or None."""
    current: AttributeValue | None = item.get(path[0])  # type: ignore[arg-type]
    for step in path[1:]:
        if current is None:
            return None
        if step.__class__ is int:
            elements = current.get("L")
            current = elements[step] if elements is not None and step < len(elements) else None
        else:
            members = current.get("M")
            current = members.get(step) if members is not None else None
    return current


def path_getter(path: Path) -> Getter:
    """A getter of the value at `path`."""
    if len(path) > 1:
        return lambda item, values: value_at(item, path)
    name = path[0]
    assert isinstance(name, str)
    return lambda item, values: item.get(name)


def value_getter(number: int) -> Getter:
    """A getter of a request's value."""
    return lambda item, values: values[number]
