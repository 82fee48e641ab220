"""Updates as functions: a bound update (see `tree`) compiled once for each expression.

All actions read the item as it was before the update, so their order does not matter; the targets never
overlap. They are therefore kept as a tree of places, and the new item is made in one walk down that tree:
only the maps and lists on the way to a target are copied, everything else is shared with the item before,
which is never changed. List positions are those before the update: elements are removed, and values set
beyond the end appended in the order of their positions, after everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from hashrange.errors import ApiError, invalid_parameter, validation
from hashrange.expr.paths import Values
from hashrange.expr.tree import Path, Tree
from hashrange.expr.update_charge import charge_of
from hashrange.expr.update_values import Act, add_action, compile_value, delete_action
from hashrange.model.value import MAX_DEPTH, MAX_ITEM_SIZE, AttributeValue, Item

# A place of the tree: (name or position, its action or None, the places inside it or None).
_Places: TypeAlias = list[tuple[Any, Act | None, Any]]


class UpdateResult:
    """The item after an update, None if there is none, and the paths that the update names."""

    __slots__ = ("new_item", "touched")

    def __init__(self, new_item: Item | None, touched: tuple[Path, ...]) -> None:
        self.new_item = new_item
        self.touched = touched


class UpdatePlan:
    """A compiled update: immutable, shared by all requests with the same expression.

    `paths` are the targets in the order written, `heads` their top-level attributes; `creates` tells whether
    the update makes an item where there is none (REMOVE and DELETE alone do not), `charge` what its statement
    counts against the limit on the size of an item; with values of `surely_fits` bytes together it cannot reach it.
    """

    __slots__ = ("_flat", "_places", "charge", "creates", "heads", "paths", "surely_fits")

    def __init__(self, tree: Tree) -> None:
        self.paths: tuple[Path, ...] = tuple(action[1] for action in tree)
        self.heads = frozenset(str(path[0]) for path in self.paths)
        self.creates = any(action[0] in _WRITING for action in tree)
        self.charge = charge_of(tree)
        self.surely_fits = (MAX_ITEM_SIZE - self.charge.fixed) // max(1, len(self.charge.uses))
        self._places = _places(tree)
        # Top-level targets only, which is the common case: no tree to walk.
        self._flat = all(inner is None for _, _, inner in self._places)

    def run(self, item: Item, values: Values) -> Item:
        """The new item, or `item` itself if nothing changes. Raises validation errors of the evaluation."""
        if not self._flat:
            return _update_members(self._places, item, item, values)
        new: Item | None = None
        for name, act, _ in self._places:
            existing = item.get(name)
            value = act(existing, item, values)  # type: ignore[misc]
            if value is existing:
                continue
            if new is None:
                new = item.copy()
            if value is None:
                del new[name]
            else:
                new[name] = value
        return item if new is None else new

    def apply(self, item: Item | None, key: Item, values: Values) -> UpdateResult:
        """The outcome for `item`, or for no item with key `key`; reads of a new item see its key."""
        if not self.heads.isdisjoint(key):
            raise _cannot_update(next(name for name in key if name in self.heads))
        if item is not None:
            return UpdateResult(self.run(item, values), self.paths)
        if not self.creates:
            return UpdateResult(None, self.paths)
        return UpdateResult(self.run(dict(key), values), self.paths)


_WRITING = frozenset({"set", "add", "legacy_add"})


def check_updated_keys(heads: frozenset[str], key_names: Sequence[str]) -> None:
    """A validation error if an update names an attribute of the primary key."""
    if not heads.isdisjoint(key_names):
        raise _cannot_update(next(name for name in key_names if name in heads))


def _cannot_update(name: str) -> ApiError:
    return invalid_parameter(f"Cannot update attribute {name}. This attribute is part of the key")


def _invalid_path() -> ApiError:
    return validation("The document path provided in the update expression is invalid for update")


def _places(tree: Tree) -> _Places:
    """The actions as a tree of places, positions of a list in ascending order."""
    root: dict[Any, Any] = {}
    for action in tree:
        path: Path = action[1]
        node = root
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = _act(action)
    return _ordered(root)


def _ordered(node: Mapping[Any, Any]) -> _Places:
    steps = sorted(node) if isinstance(next(iter(node)), int) else list(node)
    places: _Places = []
    for step in steps:
        below = node[step]
        places.append((step, None, _ordered(below)) if isinstance(below, dict) else (step, below, None))
    return places


def _act(action: Tree) -> Act:
    kind, path, *operand = action
    if kind == "set":
        return _set_action(path, operand[0])
    if kind == "remove":
        return lambda existing, item, values: None
    legacy = kind.startswith("legacy_")
    return (add_action if kind.endswith("add") else delete_action)(operand[0], legacy)


def _set_action(path: Path, tree: Tree) -> Act:
    compute = compile_value(tree)
    containers = len(path) - 1
    if not containers:
        if tree[0] == "value":
            number = tree[1]
            return lambda existing, item, values: values[number]
        return lambda existing, item, values: compute(item, values)

    def set_nested(existing: AttributeValue | None, item: Item, values: Values) -> AttributeValue:
        value = compute(item, values)
        if ("M" in value or "L" in value) and containers + _containers(value) >= MAX_DEPTH:
            raise validation(
                "Nesting Levels have exceeded supported limits: "
                "Attributes in the item have nested levels beyond supported limit"
            )
        return value

    return set_nested


def _containers(value: AttributeValue) -> int:
    """How many maps and lists stand in one another in a value."""
    inner = value.get("L")
    if inner is None:
        members = value.get("M")
        if members is None:
            return 0
        inner = members.values()
    deepest = 0
    for element in inner:
        deepest = max(deepest, _containers(element))
    return 1 + deepest


def _update_members(places: _Places, members: Item, item: Item, values: Values) -> Item:
    """The members of a map (or attributes of the item) after the update; the same object if unchanged."""
    new: Item | None = None
    for name, act, inner in places:
        existing = members.get(name)
        if act is not None:
            value = act(existing, item, values)
        else:
            value = _update_value(inner, existing, item, values)
        if value is existing:
            continue
        if new is None:
            new = members.copy()
        if value is None:
            del new[name]
        else:
            new[name] = value
    return members if new is None else new


def _update_value(
    places: _Places, value: AttributeValue | None, item: Item, values: Values
) -> AttributeValue:
    """A map or list after the update of places inside it; an error if it is neither, or not there."""
    tag = "M" if isinstance(places[0][0], str) else "L"
    inner = value.get(tag) if value is not None else None
    if inner is None:
        raise _invalid_path()
    update = _update_members if tag == "M" else _update_elements
    new = update(places, inner, item, values)
    assert value is not None
    return value if new is inner else {tag: new}


def _update_elements(places: _Places, elements: Any, item: Item, values: Values) -> Any:
    """The elements of a list after the update; the same object if unchanged."""
    replaced: dict[int, AttributeValue] = {}
    removed: list[int] = []
    appended: list[AttributeValue] = []
    for position, act, inner in places:
        existing = elements[position] if position < len(elements) else None
        if act is not None:
            value = act(existing, item, values)
        else:
            value = _update_value(inner, existing, item, values)
        if value is existing:
            continue
        if value is None:
            removed.append(position)
        elif existing is None:
            appended.append(value)
        else:
            replaced[position] = value
    if not (replaced or removed or appended):
        return elements
    new = list(elements)
    for position, value in replaced.items():
        new[position] = value
    for position in reversed(removed):
        del new[position]
    return new + appended
