"""Second check of a syntax tree, and its bound form: placeholders resolved, values numbered.

A `Binder` goes through the tree in the order in which the service looks at it, resolves names, and notes the
checks that depend on a request's values as steps (see `steps`). Where something is wrong whatever the values
are, it notes that as the last step and stops: whether an undefined value comes before it is for the request
to find out.

Trees are at most a few hundred levels deep (`MAX_OPERATORS`), and each level costs one frame of recursion.

Within one condition the order is: undefined names and values, number of operands, distinct operands, operand
types; conditions are checked from left to right, inner functions before outer ones (observed behaviour of the
real service).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from hashrange.expr import errors
from hashrange.expr.errors import Message, Worded
from hashrange.expr.overlap import find_clash
from hashrange.expr.steps import (
    ADDABLE,
    ANY_TYPE,
    DELETABLE,
    LISTS,
    NUMBERS,
    ORDERED,
    PREFIXED,
    SIZED,
    AreBounds,
    Defined,
    Fails,
    HasActionType,
    HasType,
    IsTypeName,
    Step,
)
from hashrange.expr.tree import (
    MAX_IN_OPERANDS,
    MAX_PATH_DEPTH,
    PROJECTION,
    UPDATE,
    Path,
    Tree,
    path_text,
)
from hashrange.expr.words import OPERAND_COUNTS


class _UnbindableError(Exception):
    """Binding has met an error that no values can avert; it is the last step."""


class Binder:
    """Binds one expression; the results are its attributes.

    `steps` in order; `value_names` maps each :value to its number, in the order of first use; `heads` are
    the top-level attributes that the expression names and `nested_heads` those it looks into.
    """

    def __init__(self, names: Mapping[str, str | None]) -> None:
        self.names = names
        self.steps: list[Step] = []
        self.value_names: dict[str, int] = {}
        self.heads: dict[str, None] = {}
        self.nested_heads: dict[str, None] = {}

    def bind(self, kind: str, tree: Tree) -> Tree | None:
        """The bound tree, or None if the last step fails for any values."""
        try:
            if kind == UPDATE:
                return self._update(tree)
            if kind == PROJECTION:
                paths = tuple(self._path(path) for path in tree[1])
                self._check_clash(paths)
                return paths
            return self._condition(tree)
        except _UnbindableError:
            return None

    def _fail(self, message: Message) -> NoReturn:
        self.steps.append(Fails(message))
        raise _UnbindableError

    # Placeholders

    def _path(self, tree: Tree) -> Path:
        steps: Path = tree[1]
        path = tuple(self._name(step) if isinstance(step, str) else step for step in steps)
        if len(path) > MAX_PATH_DEPTH:
            self._fail(f"The document path has too many nesting levels; nesting levels: {len(path)}")
        head = path[0]
        assert isinstance(head, str)
        self.heads[head] = None
        if len(path) > 1:
            self.nested_heads[head] = None
        return path

    def _name(self, step: str) -> str:
        if step[0] != "#":
            return step
        name = self.names.get(step)
        if name is None:
            self._fail(errors.undefined_name(step))
        return name

    def _value(self, tree: Tree) -> int:
        name: str = tree[1]
        if name not in self.value_names:
            self.steps.append(Defined(name))
        return self.value_names.setdefault(name, len(self.value_names))

    # Conditions

    def _condition(self, tree: Tree) -> Tree:
        kind = tree[0]
        if kind in ("and", "or"):
            members = []
            for condition in tree[1]:
                members.append(self._condition(condition))
            return (kind, tuple(members))
        if kind == "not":
            return ("not", self._condition(tree[1]))
        if kind == "compare":
            return self._comparison(tree)
        if kind == "between":
            return self._between(tree)
        if kind == "in":
            first = self._operand(tree[1])
            candidates = tuple([self._operand(candidate) for candidate in tree[2]])
            if len(candidates) > MAX_IN_OPERANDS:
                self._fail(
                    "The IN operator is provided with too many operands; "
                    f"number of operands: {len(candidates)}"
                )
            self._check_distinct("IN", first, candidates)
            return ("in", first, candidates)
        return self._function(tree)

    def _comparison(self, tree: Tree) -> Tree:
        _, operator, left, right = tree
        a, b = self._operand(left), self._operand(right)
        self._check_distinct(operator, a, (b,))
        if operator not in ("=", "<>"):
            self._check_type(left, a, ORDERED, operator)
            self._check_type(right, b, ORDERED, operator)
        return (operator, a, b)

    def _between(self, tree: Tree) -> Tree:
        operands = tree[1:]
        bound = tuple([self._operand(operand) for operand in operands])
        self._check_distinct("BETWEEN", bound[0], bound[1:])
        for operand, tied in zip(operands, bound, strict=True):
            self._check_type(operand, tied, ORDERED, "BETWEEN")
        _, low, high = operands
        if low[0] == "value" and high[0] == "value":
            self.steps.append(AreBounds(low[1], high[1]))
        return ("between", *bound)

    def _function(self, tree: Tree) -> Tree:
        """A function that is a condition."""
        _, function, arguments = tree
        bound = [self._operand(argument) for argument in arguments]
        first = bound[0]
        self._check_count(function, bound)
        self._check_distinct(function, first, bound[1:])
        if function in ("attribute_exists", "attribute_not_exists", "attribute_type") and first[0] != "path":
            self._fail(errors.needs_path(function))
        if function == "attribute_exists":
            return ("exists", first[1])
        if function == "attribute_not_exists":
            return ("missing", first[1])
        if function == "attribute_type":
            self._check_type_name(bound[1], arguments[1])
            return ("type", first[1], bound[1][1])
        if function == "begins_with":
            for argument, tied in zip(arguments, bound, strict=True):
                self._check_type(argument, tied, PREFIXED, function)
        return (function, *bound)

    def _operand(self, tree: Tree) -> Tree:
        kind = tree[0]
        if kind == "path":
            return ("path", self._path(tree))
        if kind == "value":
            return ("value", self._value(tree))
        bound = []
        for argument in tree[2]:
            bound.append(self._operand(argument))
        self._check_count("size", bound)
        self._check_type(tree[2][0], bound[0], SIZED, "size")
        return ("size", bound[0])

    def _check_count(self, function: str, arguments: Sequence[Tree]) -> None:
        if len(arguments) != OPERAND_COUNTS[function]:
            self._fail(errors.operand_count(function, len(arguments)))

    def _check_distinct(self, operator: str, first: Tree, others: Sequence[Tree]) -> None:
        if first[0] == "path" and first in others:
            self._fail(errors.not_distinct(operator, path_text(first[1])))

    def _check_type(self, tree: Tree, bound: Tree, allowed: frozenset[str], function: str) -> None:
        if bound[0] == "value":
            self.steps.append(HasType(tree[1], allowed, function))
        elif bound[0] == "size" and "N" not in allowed:
            self._fail(errors.operand_type(function, "N"))

    def _check_type_name(self, bound: Tree, tree: Tree) -> None:
        if bound[0] == "value":
            self.steps.append(IsTypeName(tree[1]))
        elif bound[0] == "size":
            self._fail(errors.operand_type("attribute_type", "N"))
        else:
            current, classic = ANY_TYPE
            self._fail(
                Worded(
                    errors.operand_type("attribute_type", current),
                    errors.operand_type("attribute_type", classic),
                )
            )

    # Updates

    def _update(self, tree: Tree) -> Tree:
        """Targets and their overlaps first, then the actions from the last to the first."""
        actions = [(keyword, *action) for keyword, clause in tree[1] for action in clause]
        targets = [self._path(target) for _, target, _ in actions]
        self._check_clash(targets)
        for _, _, value in reversed(actions):
            if value is not None:
                self._resolve_names(value)
        bound: list[Tree] = []
        for (keyword, _, value), target in zip(reversed(actions), reversed(targets), strict=True):
            bound.append(self._action(keyword, target, value))
        return tuple(reversed(bound))

    def _action(self, keyword: str, target: Path, value: Tree | None) -> Tree:
        if value is None:
            return ("remove", target)
        if keyword == "SET":
            return ("set", target, self._set_value(value))
        number = self._value(value)
        allowed = ADDABLE if keyword == "ADD" else DELETABLE
        self.steps.append(HasActionType(value[1], allowed, keyword))
        return (keyword.lower(), target, number)

    def _set_value(self, tree: Tree) -> Tree:
        kind = tree[0]
        if kind == "path":
            return ("path", self._path(tree))
        if kind == "value":
            return ("value", self._value(tree))
        function = tree[1]
        arguments = tree[2:] if kind == "arithmetic" else tree[2]
        bound: list[Tree] = []
        for argument in arguments:
            bound.append(self._set_value(argument))
        if kind == "arithmetic":
            self._check_operands(arguments, bound, NUMBERS, function)
            return (function, *bound)
        self._check_count(function, bound)
        if function == "if_not_exists":
            if bound[0][0] != "path":
                self._fail(errors.needs_path(function))
            self._check_distinct(function, bound[0], bound[1:])
            return (function, bound[0][1], bound[1])
        self._check_operands(arguments, bound, LISTS, function)
        return (function, *bound)

    def _check_operands(
        self, trees: Sequence[Tree], bound: Sequence[Tree], allowed: frozenset[str], function: str
    ) -> None:
        for tree, tied in zip(trees, bound, strict=True):
            self._check_type(tree, tied, allowed, function)

    def _resolve_names(self, tree: Tree) -> None:
        """All names of an action's value must be defined before any value is looked at."""
        kind = tree[0]
        if kind == "path":
            self._path(tree)
        elif kind == "arithmetic":
            self._resolve_names(tree[2])
            self._resolve_names(tree[3])
        elif kind == "call":
            for argument in tree[2]:
                self._resolve_names(argument)

    def _check_clash(self, paths: Sequence[Path]) -> None:
        clash = find_clash(paths)
        if clash is not None:
            self._fail(clash)
