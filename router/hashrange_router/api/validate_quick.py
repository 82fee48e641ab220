"""The fast path of validation: predicates that are true only of values no pass would refuse or change.

A predicate that says False proves nothing: the exact passes then decide and word the errors. So a predicate
may be strict wherever that is cheaper, but it must never accept what the exact passes reject.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hashrange_router.api.model import Shape
from hashrange_router.api.validate_constraints import constraints

Predicate = Callable[[Any], bool]

NAMES_MAX: Final = 4096
"""How many names one predicate remembers; with names of at most 255 characters that is 1 MB."""

_TYPES: Final[dict[str, type]] = {"string": str, "boolean": bool}
_BITS: Final = {"integer": 31, "long": 63}


def plain_type(shapes: Mapping[str, Shape], name: str) -> type | None:
    """The JSON type that alone makes a value of the shape valid, or None when there is more to check."""
    shape = shapes[name]
    if name == "AttributeValue":
        return dict
    if shape.kind == "map" and shape.value == "AttributeValue" and not constraints(shape):
        return dict
    if shape.kind in ("string", "boolean") and not constraints(shape):
        return _TYPES[shape.kind]
    return None


def compile_quick(shapes: Mapping[str, Shape], name: str) -> Predicate:
    """The predicate for values of the shape `name`."""
    plain = plain_type(shapes, name)
    if plain is not None:
        return _of_type(plain)
    shape = shapes[name]
    if shape.kind == "structure":
        return _structure(shapes, shape)
    if shape.kind == "list":
        return _list(compile_quick(shapes, shape.element), *_lengths(shape))
    if shape.kind == "map":
        return _map(shapes, shape)
    if shape.kind in _BITS:
        return _whole_number(shape)
    return _text(shape) if shape.kind == "string" else _never


def _never(value: Any) -> bool:
    """For kinds too rare to be worth a predicate: the exact passes decide."""
    return False


def _of_type(plain: type) -> Predicate:
    def check(value: Any) -> bool:
        return isinstance(value, plain)  # an expression may be a Compiled

    return check


def _structure(shapes: Mapping[str, Shape], shape: Shape) -> Predicate:
    members = {name: compile_quick(shapes, child) for name, child in shape.members.items()}
    required = tuple(shape.required)

    def check(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name in required:
            if name not in value:
                return False
        for name, item in value.items():
            inner = members.get(name)
            if inner is not None and not inner(item):
                return False
        return True

    return check


def _lengths(shape: Shape) -> tuple[int, int]:
    return shape.minimum or 0, 1 << 62 if shape.maximum is None else shape.maximum


def _list(element: Predicate, shortest: int, longest: int) -> Predicate:
    def check(value: Any) -> bool:
        if type(value) is not list or not shortest <= len(value) <= longest:
            return False
        return all(map(element, value))

    return check


def _map(shapes: Mapping[str, Shape], shape: Shape) -> Predicate:
    shortest, longest = _lengths(shape)
    entry = compile_quick(shapes, shape.value)
    if plain_type(shapes, shape.key) is str:  # as all keys of JSON are

        def check(value: Any) -> bool:
            if type(value) is not dict or not shortest <= len(value) <= longest:
                return False
            for item in value.values():  # noqa: SIM110 (all() costs half as much again here)
                if not entry(item):
                    return False
            return True

        return check
    key = compile_quick(shapes, shape.key)

    def check_both(value: Any) -> bool:
        if type(value) is not dict or not shortest <= len(value) <= longest:
            return False
        return all(map(key, value)) and all(map(entry, value.values()))

    return check_both


def _whole_number(shape: Shape) -> Predicate:
    bound = 1 << _BITS[shape.kind]
    low = -bound if shape.minimum is None else shape.minimum
    high = bound - 1 if shape.maximum is None else shape.maximum

    def check(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    return check


def _text(shape: Shape) -> Predicate:
    checks = constraints(shape)
    if shape.enum and len(checks) == 1:
        return frozenset(shape.enum).__contains__
    if shape.pattern is not None and shape.maximum is not None and shape.maximum <= 255:
        return _name(shape)
    if [constraint.rule for constraint in checks] == ["maximum"]:
        return _at_most(shape.maximum)

    def check(value: Any) -> bool:
        return type(value) is str and not any(constraint.broken(value) for constraint in checks)

    return check


def _at_most(longest: int | None) -> Predicate:
    limit = longest or 0

    def check(value: Any) -> bool:
        return type(value) is str and len(value) <= limit

    return check


def _name(shape: Shape) -> Predicate:
    """For names of tables and indexes: those found valid once are remembered, all forgotten when too many."""
    checks = constraints(shape)
    known: set[str] = set()

    def check(value: Any) -> bool:
        if value in known:
            return True
        if type(value) is not str or any(constraint.broken(value) for constraint in checks):
            return False
        if len(known) >= NAMES_MAX:
            known.clear()
        known.add(value)
        return True

    return check
