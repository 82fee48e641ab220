"""Projections: the part of an item that a list of document paths names.

Elements taken from a list come back side by side in the order of their positions, and several paths into one
element or map meet in one copy of it. A path that leads nowhere adds nothing; keys are not added. What is
returned shares its values with the item.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from hashrange.errors import invalid_parameter
from hashrange.expr.tree import PROJECTION, Path, Tree, as_tuples
from hashrange.model.value import AttributeValue, Item

_LONGEST_KEPT = 4096
"""Characters of the names in a projection that is worth keeping."""

# Steps of paths as a tree: the branches of a map or list by name or position, None where a path ends.
_Branches: TypeAlias = list[tuple[Any, Any]]


class Projection:
    """A compiled projection; make it with `Projection.of`, or from an expression with an `ExpressionContext`.

    `paths` are its document paths; none is the beginning of another. `heads` are the top-level attributes
    that it needs, `nested_heads` those it looks into.
    """

    __slots__ = ("_branches", "_names", "heads", "nested_heads", "paths")

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.heads: tuple[str, ...] = tuple(dict.fromkeys(str(path[0]) for path in self.paths))
        self.nested_heads: tuple[str, ...] = tuple(
            dict.fromkeys(str(path[0]) for path in self.paths if len(path) > 1)
        )
        self._branches = _sorted_branches(_path_tree(self.paths)) if self.nested_heads else None
        self._names = self.heads

    @staticmethod
    def of(paths: Sequence[Path]) -> Projection:
        """The projection of these paths, from a cache."""
        return _projection(tuple(paths))

    def apply(self, item: Item) -> Item:
        """The named part of `item`; `{}` if it has none of it."""
        if self._branches is not None:
            return _project_members(self._branches, item)
        return {name: item[name] for name in self._names if name in item}

    def to_portable(self) -> Tree:
        """The projection as nested tuples that msgpack can carry."""
        return (PROJECTION, self.paths)

    @staticmethod
    def from_portable(portable: Any) -> Projection:
        """The inverse of `to_portable`; takes lists for tuples."""
        return _projection(as_tuples(portable[1]))


def _projection(paths: tuple[Path, ...]) -> Projection:
    # Names may be long, and what is kept is counted in projections.
    if sum([len(step) for path in paths for step in path if isinstance(step, str)]) > _LONGEST_KEPT:
        return Projection(paths)
    return _kept(paths)


_kept = lru_cache(maxsize=1024)(Projection)


def touched_attributes(item: Item, paths: Sequence[Path]) -> Item:
    """What UPDATED_OLD and UPDATED_NEW return: the branches of an item at the paths that an update names.

    The paths are looked up as written in the item before and after: after the removal of an element its
    successor is found in its place, and an element appended by a position beyond the end is not found
    (observed behaviour of the real service).
    """
    return _projection(tuple(paths)).apply(item)


def attributes_to_get(names: Sequence[str]) -> Projection:
    """The projection of the legacy AttributesToGet; a validation error if a name stands in it twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise invalid_parameter(f"Duplicate value in attribute name: {name}")
        seen.add(name)
    return _projection(tuple((name,) for name in names))


def _path_tree(paths: Sequence[Path]) -> dict[Any, Any]:
    root: dict[Any, Any] = {}
    for path in paths:
        node = root
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = None
    return root


def _sorted_branches(node: dict[Any, Any]) -> _Branches:
    """Branches with positions in ascending order, names as they came. At most 32 levels deep."""
    steps = sorted(node) if isinstance(next(iter(node)), int) else list(node)
    return [(step, _sorted_branches(node[step]) if node[step] is not None else None) for step in steps]


def _project_members(branches: _Branches, members: Item) -> Item:
    result: Item = {}
    for name, inner in branches:
        value = members.get(name)
        if value is None:
            continue
        if inner is not None:
            value = _project_value(inner, value)
            if value is None:
                continue
        result[name] = value
    return result


def _project_value(branches: _Branches, value: AttributeValue) -> AttributeValue | None:
    """The named part of a map or list, or None if it is neither or has none of it."""
    if isinstance(branches[0][0], str):
        members = value.get("M")
        projected = _project_members(branches, members) if members is not None else None
        return {"M": projected} if projected else None
    elements = value.get("L")
    if elements is None:
        return None
    kept = []
    for position, inner in branches:
        if position >= len(elements):
            break
        element = elements[position]
        if inner is not None:
            element = _project_value(inner, element)
        if element is not None:
            kept.append(element)
    return {"L": kept} if kept else None
