"""Second pass of validation: the constraints of the model, all violations of a request collected at once.

`compile_constraints(shapes, name)` gives a closure that walks a value of right types and appends what it
finds, in the service's order, as `Violation`s. Their paths are the service's: lower-first names, list
positions from 1 followed by `.member`, map entries as `.<key>.member`. A constraint on the scalars of a list
or on the entries of a map is reported on the whole collection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from hashrange_router.api.model import Shape
from hashrange_router.api.validate_order import check_order
from hashrange_router.api.validate_render import lower_first, render

Rule = Literal["null", "pattern", "minimum", "maximum", "enum", "elements", "keys", "values"]


class Violation(NamedTuple):
    """One broken constraint: where, of which kind, what it demands, and its text in the classic wording."""

    path: str
    rule: Rule
    demand: str
    text: str


class Constraint(NamedTuple):
    """One constraint of a single value: its kind, its wording, and whether a value breaks it."""

    rule: Rule
    demand: str
    broken: Callable[[Any], bool]


Checker = Callable[[Any, str, list[Violation]], None]

NULL_DEMAND: Final = "Member must not be null"
ARN_PREFIX: Final = "arn:"
ARN_LENGTH_MAX: Final = 1024
FOUND_MAX: Final = 100
"""Violations after which a collection is walked no further: ten times what an answer lists."""


def compile_constraints(shapes: Mapping[str, Shape], name: str) -> Checker | None:
    """The checker of the shape `name`, or None where nothing can be violated."""
    return _Compiler(shapes).checker(name)


def constraints(shape: Shape) -> list[Constraint]:
    """The constraints on one value itself, not on what it holds, in the order in which they are reported."""
    if shape.kind in ("integer", "long", "double", "float"):
        return _bounds(shape, "value", lambda value: value)
    found: list[Constraint] = []
    if shape.enum:
        allowed = frozenset(shape.enum)
        demand = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        found.append(Constraint("enum", demand, lambda value: value not in allowed))
    if shape.pattern is not None:
        matches = re.compile(python_pattern(shape.pattern), re.ASCII).fullmatch
        demand = f"Member must satisfy regular expression pattern: {shape.pattern}"
        # An empty name that may stand for an ARN is reported for its length alone.
        needed = bool if shape.arn else _always
        found.append(Constraint("pattern", demand, lambda value: needed(value) and not matches(value)))
    found += _bounds(shape, "length", len)
    if shape.arn:
        return [constraint._replace(broken=_unless_arn(constraint.broken)) for constraint in found]
    return found


def _always(value: Any) -> bool:
    return True


def python_pattern(pattern: str) -> str:
    """A pattern of the model, which is Java's dialect, as one of Python with the same meaning."""
    return pattern.replace(r"\p{Print}", r"[\x20-\x7E]").replace(
        r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010ffff"
    )


def _bounds(shape: Shape, noun: str, measure: Callable[[Any], Any]) -> list[Constraint]:
    found: list[Constraint] = []
    low, high = shape.minimum, shape.maximum
    if low is not None:
        demand = f"Member must have {noun} greater than or equal to {low}"
        found.append(Constraint("minimum", demand, lambda value: bool(measure(value) < low)))
    if high is not None:
        demand = f"Member must have {noun} less than or equal to {high}"
        found.append(Constraint("maximum", demand, lambda value: bool(measure(value) > high)))
    return found


def _unless_arn(broken: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def broken_unless_arn(value: Any) -> bool:
        if value.startswith(ARN_PREFIX) and len(value) <= ARN_LENGTH_MAX:
            return False
        return broken(value)

    return broken_unless_arn


def _collective(own: list[Constraint]) -> str:
    """Constraints as they are listed for the entries of a collection: longest first, patterns last."""
    rank = {"maximum": 0, "minimum": 1, "pattern": 2, "enum": 3}
    return f"[{', '.join(constraint.demand for constraint in sorted(own, key=lambda one: rank[one.rule]))}]"


class _Compiler:
    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = shapes

    def checker(self, name: str) -> Checker | None:
        if name == "AttributeValue":
            return None
        own = self._own(name)
        inner = self._inner(name)
        if own is None or inner is None:
            return own or inner

        def check(value: Any, path: str, found: list[Violation]) -> None:
            own(value, path, found)
            inner(value, path, found)

        return check

    def _own(self, name: str) -> Checker | None:
        """The constraints on a value itself, each reported by itself."""
        checks = constraints(self.shapes[name])
        if not checks:
            return None

        def check(value: Any, path: str, found: list[Violation]) -> None:
            for rule, demand, broken in checks:
                if broken(value):
                    found.append(self._violation(name, value, path, rule, demand))

        return check

    def _inner(self, name: str) -> Checker | None:
        """The constraints on what a value holds."""
        kind = self.shapes[name].kind
        if kind == "structure":
            return self._members(self.shapes[name])
        if kind == "list":
            return self._elements(name)
        return self._entries(name) if kind == "map" else None

    def _members(self, shape: Shape) -> Checker | None:
        parts = [
            (name, lower_first(name), name in shape.required, self.checker(shape.members[name]))
            for name in check_order(shape.members)
        ]
        parts = [part for part in parts if part[2] or part[3] is not None]
        if not parts:
            return None

        def check(value: Any, path: str, found: list[Violation]) -> None:
            for name, spelled, required, inner in parts:
                item = value.get(name)
                where = f"{path}.{spelled}" if path else spelled
                if item is not None:
                    if inner is not None:
                        inner(item, where, found)
                elif required:
                    found.append(_null(where))

        return check

    def _elements(self, name: str) -> Checker:
        element = self.shapes[name].element
        shape = self.shapes[element]
        scalar = shape.kind not in ("structure", "list", "map")
        own = constraints(shape) if scalar else []
        inner = None if scalar else self.checker(element)
        demand = f"Member must satisfy constraint: {_collective(own)}"

        def check(value: Any, path: str, found: list[Violation]) -> None:
            for position, item in enumerate(value, 1):
                if len(found) >= FOUND_MAX:
                    break
                if item is None:
                    found.append(_null(f"{path}.{position}.member"))
                elif inner is not None:
                    inner(item, f"{path}.{position}.member", found)
            if own and any(item is not None and _breaks(item, own) for item in value):
                found.append(self._violation(name, value, path, "elements", demand))

        return check

    def _entries(self, name: str) -> Checker | None:
        shape = self.shapes[name]
        if shape.value == "AttributeValue":
            return None
        keys = constraints(self.shapes[shape.key])
        keys_demand = f"Map keys must satisfy constraint: {_collective(keys)}"
        values = constraints(self.shapes[shape.value])
        values_demand = f"Map value must satisfy constraint: {_collective(values)}"
        inner = self._inner(shape.value)

        def check(value: Any, path: str, found: list[Violation]) -> None:
            if keys and any(_breaks(key, keys) for key in value):
                found.append(self._violation(name, value, path, "keys", keys_demand))
            if values and any(item is not None and _breaks(item, values) for item in value.values()):
                found.append(self._violation(name, value, path, "values", values_demand))
            for key, item in value.items():
                if len(found) >= FOUND_MAX:
                    break
                if item is None:
                    found.append(_null(f"{path}.{key}.member"))
                elif inner is not None:
                    inner(item, f"{path}.{key}.member", found)

        return check

    def _violation(self, name: str, value: Any, path: str, rule: Rule, demand: str) -> Violation:
        echo = render(self.shapes, name, value)
        return Violation(
            path, rule, demand, f"Value '{echo}' at '{path}' failed to satisfy constraint: {demand}"
        )


def _breaks(value: Any, checks: list[Constraint]) -> bool:
    return any(constraint.broken(value) for constraint in checks)


def _null(path: str) -> Violation:
    text = f"Value null at '{path}' failed to satisfy constraint: {NULL_DEMAND}"
    return Violation(path, "null", NULL_DEMAND, text)
