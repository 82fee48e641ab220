"""Programs: expressions compiled once and shared by all requests that use the same text and names.

A `Program` is everything about an expression that does not depend on a request's values: the bound tree and
what was compiled from it, the placeholders it uses, and the checks to make on values (`steps`). Programs come
from a text (`program_for`) or from a bound tree that came from another process (`Program.from_tree`), in both
cases through a bounded cache.

A request pairs a program with its list of values: `Bound` for conditions and filters, `BoundUpdate` for
updates. Both travel as `to_portable()`: nested tuples and the JSON of the values, for msgpack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import orjson

from hashrange.expr.binding import Binder
from hashrange.expr.condition import Test, compile_test
from hashrange.expr.errors import ExpressionError, Wording
from hashrange.expr.key_structure import KeyStructure, key_structure
from hashrange.expr.parser import ParseError, parse
from hashrange.expr.paths import Values
from hashrange.expr.projection import Projection
from hashrange.expr.steps import Defined, Step, StepError
from hashrange.expr.tokens import references
from hashrange.expr.tree import KEY_CONDITION, PROJECTION, UPDATE, Path, Tree, as_tuples
from hashrange.expr.update import UpdatePlan, UpdateResult, check_updated_keys
from hashrange.expr.words import check_words
from hashrange.model.value import AttributeValue, Item, check_update_size, value_size

# Expressions that people write are short; a few programs generate long ones, which cost more memory.
_SHORT_TEXT: Final = 512
_SHORT_PROGRAMS: Final = 2048
_LONG_PROGRAMS: Final = 128

MAX_PLACEHOLDER_SIZE: Final = 255
"""Bytes of a #name or :value, with its mark (observed behaviour of the real service)."""

_NO_ITEM: Final[Item] = {}
_NO_NAMES: Final[dict[str, str]] = {}
_NO_VALUES: Final[dict[str, AttributeValue]] = {}


class Program:
    """A compiled expression; immutable.

    `value_names` are the :values in the order of their numbers; `long_placeholders` tells that one of the
    placeholders is too long to stand in a request's maps. `heads` and `nested_heads` the top-level
    attributes that the expression names and looks into. One of `test`, `plan`, `projection` and `key` is set,
    according to `kind`; none if the expression is wrong whatever the values, and then a step fails.
    """

    __slots__ = (
        "_take",
        "checks",
        "heads",
        "key",
        "kind",
        "long_placeholders",
        "nested_heads",
        "plan",
        "projection",
        "steps",
        "test",
        "tree",
        "used_names",
        "used_values",
        "valid",
        "value_names",
    )

    def __init__(
        self,
        kind: str,
        tree: Tree | None,
        binder: Binder | None,
        names: frozenset[str],
        own_values: bool = False,
    ) -> None:
        """`names` are those of the request that are used; with `own_values` no values of the request are."""
        self.kind = kind
        self.tree = tree
        self.used_names = names
        self.steps: tuple[Step, ...] = tuple(binder.steps) if binder else ()
        self.checks = tuple(step for step in self.steps if not isinstance(step, Defined))
        self.value_names: tuple[str, ...] = tuple(binder.value_names) if binder else ()
        self.used_values: frozenset[str] = frozenset(() if own_values else self.value_names)
        self._take = _taker(self.value_names)
        self.heads: tuple[str, ...] = tuple(binder.heads) if binder else ()
        self.nested_heads: tuple[str, ...] = tuple(binder.nested_heads) if binder else ()
        self.valid = tree is not None
        self.long_placeholders = any(
            len(name) > MAX_PLACEHOLDER_SIZE for name in (*self.used_names, *self.value_names)
        )
        self.test: Test | None = None
        self.plan: UpdatePlan | None = None
        self.projection: Projection | None = None
        self.key: KeyStructure | None = None
        if tree is None:
            return
        if kind == UPDATE:
            self.plan = UpdatePlan(tree)
        elif kind == PROJECTION:
            self.projection = Projection.of(tree)
        elif kind == KEY_CONDITION:
            self.key = key_structure(tree)
        else:
            self.test = compile_test(tree)

    @staticmethod
    def from_tree(kind: str, tree: Tree) -> Program:
        """The program of a bound tree, without steps: its values have been checked where it was bound."""
        return _from_tree(kind, tree)

    def check_values(self, values: Mapping[str, AttributeValue] | None, wording: Wording) -> Values:
        """The values of a request in the order of their numbers.

        Raises `ExpressionError` for the first thing that is wrong with expression and values together.
        """
        if values is None:
            values = _NO_VALUES
        try:
            numbered = self._take(values)
            for check in self.checks:
                check.run(values, wording)
            if self.valid:
                return numbered
        except (KeyError, StepError):
            pass
        for step in self.steps:
            try:
                step.run(values, wording)
            except StepError as error:
                raise ExpressionError(f"Invalid {self.kind}: {error}") from None
        raise AssertionError("an expression was refused, but all of its steps passed")


def _taker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """A function that takes what `names` stand for out of a map, in order; `KeyError` if one is missing."""
    if not names:
        return lambda values: ()
    if len(names) == 1:
        [name] = names
        return lambda values: (values[name],)
    return itemgetter(*names)


def program_for(kind: str, text: str, names: Mapping[str, str] | None) -> Program:
    """The program of an expression with the names of a request, from a cache if it was seen before.

    Raises `ExpressionError` for what is wrong with the text alone.
    """
    cache = _short_programs if len(text) <= _SHORT_TEXT else _long_programs
    if "#" not in text:
        return cache(kind, text, ())
    try:
        return cache(kind, text, _reference_taker(text)(names or _NO_NAMES))
    except KeyError:  # some are not defined
        return cache(kind, text, tuple([(names or _NO_NAMES).get(name) for name in references(text)]))


def _compile(kind: str, text: str, names: tuple[str | None, ...]) -> Program:
    """`names` are those of the #references of the text, in order; missing ones are None."""
    try:
        tree = parse(kind, text)
        check_words(kind, tree)
    except ParseError as error:
        raise ExpressionError(f"Invalid {kind}: {error}") from None
    used = references(text)
    if "" in names:
        raise ExpressionError("ExpressionAttributeNames contains invalid value: Empty attribute name")
    binder = Binder(dict(zip(used, names, strict=True)))
    return Program(kind, binder.bind(kind, tree), binder, frozenset(used))


@lru_cache(maxsize=_SHORT_PROGRAMS)
def _reference_taker(text: str) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    return _taker(references(text))


_short_programs = lru_cache(maxsize=_SHORT_PROGRAMS)(_compile)
_long_programs = lru_cache(maxsize=_LONG_PROGRAMS)(_compile)


@lru_cache(maxsize=_SHORT_PROGRAMS)
def _from_tree(kind: str, tree: Tree) -> Program:
    return Program(kind, tree, None, frozenset())


class Bound:
    """A condition or filter with the values of a request."""

    __slots__ = ("_test", "program", "values")

    def __init__(self, program: Program, values: Values) -> None:
        assert program.test is not None
        self.program = program
        self.values = values
        self._test = program.test

    def matches(self, item: Item | None) -> bool:
        """Whether an item satisfies the condition; None is no item, which has no attributes at all."""
        return self._test(item if item is not None else _NO_ITEM, self.values)

    def to_portable(self) -> tuple[str, Tree, bytes]:
        """Kind, bound tree and values: what `from_portable` needs, made of types that msgpack carries."""
        return _to_portable(self.program, self.values)

    @staticmethod
    def from_portable(portable: Sequence[Any]) -> Bound:
        """The inverse of `to_portable`; takes lists for tuples."""
        kind, tree, values = portable
        return Bound(_from_tree(kind, as_tuples(tree)), orjson.loads(values))


class BoundUpdate:
    """An update with the values of a request."""

    __slots__ = ("plan", "program", "values", "values_size")

    def __init__(self, program: Program, values: Values, values_size: int | None = None) -> None:
        """`values_size` is the bytes of all values together, None where the statement is not measured."""
        assert program.plan is not None
        self.values_size = values_size
        self.program = program
        self.values = values
        self.plan = program.plan

    @property
    def paths(self) -> tuple[Path, ...]:
        """The document paths that the update writes to or clears."""
        return self.plan.paths

    def apply(self, item: Item | None, key: Item) -> UpdateResult:
        """The outcome for `item`, or for no item with the key attributes `key`.

        The item is never changed; the new one is the same object if nothing changes. Raises validation
        errors: an attribute of the key is named, a missing attribute is read, an operand has a wrong type, a
        document path is invalid, a number or the nesting goes over its limit.
        """
        return self.plan.apply(item, key, self.values)

    def check_keys(self, key_names: Sequence[str]) -> None:
        """A validation error if the update names an attribute of the primary key."""
        check_updated_keys(self.plan.heads, key_names)

    def check_charge(self) -> None:
        """A validation error if the statement counts more than an item may (see `update_charge`)."""
        size = self.values_size
        if size is not None and size > self.plan.surely_fits:
            fixed, uses = self.plan.charge
            check_update_size(fixed + sum(value_size(self.values[number]) for number in uses))

    def assigned_values(self) -> list[tuple[str, AttributeValue]]:
        """Top-level attributes that the update sets, or adds to, with values known beforehand.

        For checking types of index keys before the item is read. The result of arithmetic is given as a
        number of value 0, for its type.
        """
        return [
            (name, self.values[operand[1]] if operand[0] == "value" else {"N": "0"})
            for name, operand in _known_operands(self.program.tree or ())
        ]

    def to_portable(self) -> tuple[str, Tree, bytes]:
        """Kind, bound tree and values: what `from_portable` needs, made of types that msgpack carries."""
        return _to_portable(self.program, self.values)

    @staticmethod
    def from_portable(portable: Sequence[Any]) -> BoundUpdate:
        """The inverse of `to_portable`; takes lists for tuples."""
        kind, tree, values = portable
        return BoundUpdate(_from_tree(kind, as_tuples(tree)), orjson.loads(values))


def _known_operands(tree: Tree) -> list[tuple[str, Tree]]:
    known = []
    for kind, path, *operand in tree:
        if len(path) == 1 and kind == "set" and operand[0][0] in ("value", "+", "-"):
            known.append((path[0], operand[0]))
        elif len(path) == 1 and kind in ("add", "legacy_add"):
            known.append((path[0], ("value", operand[0])))
    return known


def _to_portable(program: Program, values: Values) -> tuple[str, Tree, bytes]:
    assert program.tree is not None
    return (program.kind, program.tree, orjson.dumps(values))
