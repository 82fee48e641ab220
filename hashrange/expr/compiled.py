"""Expressions that are parsed already, and stand in a request in the place of their texts.

Clients of the DAX protocol parse expressions themselves and send trees, in which names are real names and values
are numbered. A `Compiled` is such a tree with its values. It is a str, so that a request which holds one is still a
document: it can be validated, compared, and written as JSON, where it stands as a digest of all that it says.

    tree = ("compare", "=", ("path", ("pk",)), ("value", ":0"))
    request["ConditionExpression"] = Compiled.of(CONDITION, tree, [value])

`ExpressionContext` takes it wherever it takes a text, and holds it against the same rules, but for those on the text
itself: its length, reserved words, and the request's maps of names and values, which it does not use.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import orjson

from hashrange.expr.binding import Binder
from hashrange.expr.errors import ExpressionError
from hashrange.expr.parser import ParseError
from hashrange.expr.program import Program
from hashrange.expr.tree import MAX_OPERATORS, PROJECTION, UPDATE, Tree, as_tuples
from hashrange.expr.words import check_words
from hashrange.model.value import AttributeValue

_PREFIX: Final = "compiled:"
_DIGEST_SIZE: Final = 16

# As for texts: most are short and few are long, which cost more memory; what is longer than any text is not kept.
_SHORT_TREE: Final = 1024
_LONG_TREE: Final = 8192
_SHORT_TREES: Final = 2048
_LONG_TREES: Final = 128

_MAX_NAME_SIZE: Final = 65_535
_MALFORMED: Final = "The expression is malformed;"
_CLAUSES: Final = ("SET", "REMOVE", "ADD", "DELETE")
_COMPARATORS: Final = ("=", "<>", "<", "<=", ">", ">=")


class Compiled(str):
    """An expression as a syntax tree (see `tree`) with the values that its `:0`, `:1` ... stand for.

    Every step of a path that is a str is an attribute's real name, whatever it begins with. Values are brought into
    canonical form in place when a request is run. Two are equal, as texts, if they said the same when they were made.
    """

    __slots__ = ("kind", "size", "tree", "values")

    kind: str
    size: int
    tree: Tree
    values: tuple[AttributeValue, ...]

    @classmethod
    def of(cls, kind: str, tree: Tree, values: Sequence[AttributeValue] = ()) -> Compiled:
        """An expression of a kind (`tree.CONDITION` ...). `ExpressionError` if it cannot be one at all."""
        try:
            packed = orjson.dumps(tree)
            said = orjson.dumps(values)
        except TypeError:
            raise ExpressionError(f"Invalid {kind}: {_MALFORMED}") from None
        digest = blake2b(kind.encode() + b"\0" + packed + b"\0" + said, digest_size=_DIGEST_SIZE)
        return cls._made(_PREFIX + digest.hexdigest(), kind, len(packed), tree, tuple(values))

    @classmethod
    def _made(
        cls, text: str, kind: str, size: int, tree: Tree, values: tuple[AttributeValue, ...]
    ) -> Compiled:
        self = cls(text)
        self.kind = kind
        self.size = size
        self.tree = tree
        self.values = values
        return self

    def to_portable(self) -> tuple[str, str, int, Tree, bytes]:
        """What `from_portable` needs, made of types that msgpack carries.

        The text goes along: values may have become canonical since it was made, and it has to stay the same.
        """
        return (str(self), self.kind, self.size, self.tree, orjson.dumps(self.values))

    @staticmethod
    def from_portable(portable: Sequence[Any]) -> Compiled:
        """The inverse of `to_portable`; takes lists for tuples."""
        text, kind, size, tree, values = portable
        return Compiled._made(text, kind, size, as_tuples(tree), tuple(orjson.loads(values)))


def program_of(kind: str, compiled: Compiled) -> Program:
    """The program of an expression in the place of a text of this kind, from a cache if it was seen before.

    Raises `ExpressionError` for what is wrong with it, whatever its values are.
    """
    if compiled.size <= _SHORT_TREE:
        return _short_trees(kind, compiled.tree)
    return (_long_trees if compiled.size <= _LONG_TREE else _compile)(kind, compiled.tree)


@lru_cache(maxsize=256)
def value_names(count: int) -> tuple[str, ...]:
    """How the first `count` values of an expression are named."""
    return tuple([f":{number}" for number in range(count)])


def _compile(kind: str, tree: Tree) -> Program:
    naming = _Naming()
    try:
        try:
            named = naming.expression(kind, tree)
        except (TypeError, ValueError, IndexError, AttributeError):
            raise ParseError(_MALFORMED) from None
        check_words(kind, named)
    except ParseError as error:
        raise ExpressionError(f"Invalid {kind}: {error}") from None
    binder = Binder(naming.names)
    return Program(kind, binder.bind(kind, named), binder, frozenset(), own_values=True)


_short_trees = lru_cache(maxsize=_SHORT_TREES)(_compile)
_long_trees = lru_cache(maxsize=_LONG_TREES)(_compile)


class _Naming:
    """Makes of a tree with real names one with #references, as texts have them; checks its shape on the way.

    So the words of the tree are not taken for reserved ones, and everything else goes on as for a text. Operators
    are counted before what they join is looked into, which bounds the depth.
    """

    def __init__(self) -> None:
        self.names: dict[str, str | None] = {}
        self._references: dict[str, str] = {}
        self._operators = 0

    def expression(self, kind: str, tree: Tree) -> Tree:
        if kind == UPDATE:
            head, clauses = tree
            _check(head == "update" and bool(clauses))
            return ("update", tuple([self._clause(*clause) for clause in clauses]))
        if kind == PROJECTION:
            head, paths = tree
            _check(head == "projection" and bool(paths))
            return ("projection", tuple([self._path(path) for path in paths]))
        return self._condition(tree)

    def _count(self, operators: int = 1) -> None:
        self._operators += operators
        if self._operators > MAX_OPERATORS:
            raise ParseError(
                f"The expression contains too many operators; operator count: {MAX_OPERATORS + 1}"
            )

    def _condition(self, tree: Tree) -> Tree:
        kind = tree[0]
        if kind in ("and", "or"):
            _, members = tree
            self._count(max(1, len(members) - 1))
            _check(bool(members))
            return (kind, tuple([self._condition(member) for member in members]))
        if kind == "call":
            return self._operand(tree)
        self._count()
        if kind == "not":
            _, inner = tree
            return ("not", self._condition(inner))
        if kind == "compare":
            _, operator, left, right = tree
            _check(operator in _COMPARATORS)
            return ("compare", operator, self._operand(left), self._operand(right))
        if kind == "between":
            _, value, low, high = tree
            return ("between", self._operand(value), self._operand(low), self._operand(high))
        _, value, candidates = tree
        _check(kind == "in" and bool(candidates))
        return ("in", self._operand(value), tuple([self._operand(candidate) for candidate in candidates]))

    def _operand(self, tree: Tree) -> Tree:
        """A path, a value or a function; in an update also a sum or a difference, which `_value` allows."""
        kind = tree[0]
        if kind == "path":
            return self._path(tree)
        if kind == "value":
            _, name = tree
            _check(name.__class__ is str and name[0] == ":" and name[1:].isdecimal())
            return ("value", name)
        _, function, arguments = tree
        _check(kind == "call" and function.__class__ is str)
        self._count()
        return ("call", function, tuple([self._operand(argument) for argument in arguments]))

    def _clause(self, keyword: str, actions: Sequence[Any]) -> Tree:
        _check(keyword in _CLAUSES and bool(actions))
        named = []
        for target, value in actions:
            if keyword == "SET":
                value = self._value(value)
            elif keyword == "REMOVE":
                _check(value is None)
            else:
                _check(value[0] == "value")
                value = self._operand(value)
            named.append((self._path(target), value))
        return (keyword, tuple(named))

    def _value(self, tree: Tree) -> Tree:
        """What SET gives to a path."""
        if tree[0] != "arithmetic":
            return self._operand(tree)
        _, operator, left, right = tree
        _check(operator in ("+", "-"))
        self._count()
        return ("arithmetic", operator, self._operand(left), self._operand(right))

    def _path(self, tree: Tree) -> Tree:
        kind, steps = tree
        _check(kind == "path" and bool(steps) and isinstance(steps[0], str))
        return ("path", tuple([self._step(step) for step in steps]))

    def _step(self, step: Any) -> str | int:
        if isinstance(step, int):
            _check(step >= 0 and step.__class__ is int)
            return step
        _check(step.__class__ is str)
        reference = self._references.get(step)
        if reference is None:
            if not step:
                raise ParseError("Empty attribute name;")
            if len(step.encode("utf-8", "surrogatepass")) > _MAX_NAME_SIZE:
                raise ParseError("Attribute name is too large, must be less than 65536 bytes;")
            reference = self._references[step] = f"#{len(self._references)}"
            self.names[reference] = step
        return reference


def _check(well_formed: bool) -> None:
    if not well_formed:
        raise ParseError(_MALFORMED)
