"""Expressions as the clients send them: parsed already, as arrays that begin with the code of a function.

    condition, filter, key condition   [1, expression, [value ...]]
    update                             [1, [action ...], [value ...]]
    projection                         [1, [path ...]]

The 1 is the version of the format. They become `hashrange.expr.compiled.Compiled`, which a request has in the place of
a text. What only a client's own parser could have refused (a function where it cannot stand, too many operands) is
left to the checks of the expression, which say it as the API does; what no expression can look like is a
`CodecError`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from hashrange.errors import ApiError
from hashrange.expr.compiled import Compiled
from hashrange.expr.errors import ExpressionError
from hashrange.expr.tree import (
    CONDITION,
    FILTER,
    KEY_CONDITION,
    MAX_OPERATORS,
    PROJECTION,
    UPDATE,
    Path,
    Tree,
)
from hashrange.model.value import AttributeValue
from hashrange_dax.codec import values
from hashrange_dax.codec.cbor import read_integer, read_string
from hashrange_dax.codec.heads import ARRAY, LIST_INDEX, TAG, CodecError, head, read_head

_VERSION: Final = 1

_COMPARATORS: Final = {0: "=", 1: "<>", 2: "<", 3: ">=", 4: ">", 5: "<="}
_AND: Final = 6
_OR: Final = 7
_NOT: Final = 8
_BETWEEN: Final = 9
_IN: Final = 10
_FUNCTIONS: Final = {
    11: "attribute_exists",
    12: "attribute_not_exists",
    13: "attribute_type",
    14: "begins_with",
    15: "contains",
    16: "size",
    23: "if_not_exists",
    24: "list_append",
}
_VARIABLE: Final = 17
_PATH: Final = 18
_SET: Final = 19
_REMOVE: Final = 22
_ACTIONS: Final = {_SET: "SET", 20: "ADD", 21: "DELETE", _REMOVE: "REMOVE"}
_ARITHMETIC: Final = {25: "+", 26: "-"}

_LIST_INDEX: Final = head(TAG, LIST_INDEX)

_LONGEST_KEPT: Final = 4096
"""Bytes of a projection that is worth keeping: no text may be longer."""

# Every level but that of a path or a value is an operator or function, which there may be so many of.
_MAX_NESTED: Final = MAX_OPERATORS + 2


class Projection:
    """A projection: its paths in the order of the request, whose positions are what the reply goes by."""

    __slots__ = ("compiled", "paths")

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self.compiled = Compiled.of(PROJECTION, ("projection", tuple([("path", path) for path in paths])))


def condition(blob: bytes) -> Compiled:
    """A ConditionExpression. `CodecError`, `ExpressionError`."""
    return _conditional(CONDITION, blob)


def filter_(blob: bytes) -> Compiled:
    """A FilterExpression. `CodecError`, `ExpressionError`."""
    return _conditional(FILTER, blob)


def key_condition(blob: bytes) -> Compiled:
    """A KeyConditionExpression. `CodecError`, `ExpressionError`."""
    return _conditional(KEY_CONDITION, blob)


def update(blob: bytes) -> Compiled:
    """An UpdateExpression. `CodecError`, `ExpressionError`."""
    reader = _Reader(blob, UPDATE)
    reader.begin(3)
    return Compiled.of(UPDATE, reader.update(), reader.values())


def projection(blob: bytes) -> Projection:
    """A ProjectionExpression, from a cache if it was seen before. `CodecError`, `ExpressionError`."""
    return (_kept_projection if len(blob) <= _LONGEST_KEPT else _projection)(blob)


def _projection(blob: bytes) -> Projection:
    reader = _Reader(blob, PROJECTION)
    reader.begin(2)
    return Projection(reader.projection())


_kept_projection = lru_cache(maxsize=1024)(_projection)


def _conditional(kind: str, blob: bytes) -> Compiled:
    reader = _Reader(blob, kind)
    reader.begin(3)
    tree = reader.condition(0)
    return Compiled.of(kind, tree, reader.values())


class _Reader:
    """A position in the bytes of one expression."""

    def __init__(self, data: bytes, kind: str) -> None:
        self.data = data
        self.kind = kind
        self.position = 0
        self.variables = 0

    def begin(self, members: int) -> None:
        if self.array() != members or self.integer() != _VERSION:
            raise CodecError("an expression in an unknown format")

    def array(self) -> int:
        """The number of elements of the array that is next."""
        major, count, self.position = read_head(self.data, self.position)
        if major != ARRAY or count < 0 or count > len(self.data) - self.position:
            raise CodecError("an expression that is no array")
        return count

    def integer(self) -> int:
        number, self.position = read_integer(self.data, self.position)
        return number

    def function(self) -> tuple[int, int]:
        """The code of the function that is next, and the number of its arguments."""
        data, position = self.data, self.position
        try:
            first, code = data[position], data[position + 1]
        except IndexError:
            raise CodecError("truncated") from None
        if 0x81 <= first < 0x98 and code < 0x18:
            self.position = position + 2
            return code, first - 0x81
        count = self.array()
        if not count:
            raise CodecError("a function without a code")
        return self.integer(), count - 1

    def condition(self, depth: int) -> Tree:
        if depth > _MAX_NESTED:
            raise _too_many_operators(self.kind)
        code, count = self.function()
        comparator = _COMPARATORS.get(code)
        if comparator is not None:
            _check(count == 2)
            return ("compare", comparator, self.operand(depth + 1), self.operand(depth + 1))
        if code in (_AND, _OR):
            return self.joined(code, count, depth)
        if code == _NOT:
            _check(count == 1)
            return ("not", self.condition(depth + 1))
        if code == _BETWEEN:
            _check(count == 3)
            depth += 1
            return ("between", self.operand(depth), self.operand(depth), self.operand(depth))
        if code == _IN:
            _check(count == 2)
            operand = self.operand(depth + 1)
            return ("in", operand, self.operands(self.array(), depth + 1))
        function = _FUNCTIONS.get(code)
        if function is None:
            raise CodecError(f"no condition has the code {code}")
        return ("call", function, self.operands(count, depth + 1))

    def joined(self, code: int, count: int, depth: int) -> Tree:
        """Conditions joined by AND or OR. They come in pairs, and `a AND b AND c` as one in the other."""
        members: list[Tree] = []
        kind = "and" if code == _AND else "or"
        while True:
            _check(count >= 2)
            for _ in range(count - 1):
                member = self.condition(depth + 1)
                members.extend(member[1] if member[0] == kind else (member,))
            if len(members) > MAX_OPERATORS:
                raise _too_many_operators(self.kind)
            start = self.position
            following, count = self.function()
            if following != code:
                self.position = start
                members.append(self.condition(depth + 1))
                return (kind, tuple(members))

    def operands(self, count: int, depth: int) -> Tree:
        _check(count > 0)
        return tuple([self.operand(depth) for _ in range(count)])

    def operand(self, depth: int) -> Tree:
        if depth > _MAX_NESTED:
            raise _too_many_operators(self.kind)
        start = self.position
        code, count = self.function()
        if code == _PATH:
            return ("path", self.steps(count))
        if code == _VARIABLE:
            _check(count == 1)
            return self.variable()
        function = _FUNCTIONS.get(code)
        if function is None:
            raise CodecError(f"no operand has the code {code}, at {start}")
        return ("call", function, self.operands(count, depth + 1))

    def variable(self) -> Tree:
        number = self.integer()
        # How many values there are comes behind the expression; the largest number is held against it then.
        if number >= len(self.data) or number < 0:
            raise CodecError("an expression uses a value that it does not have")
        self.variables = max(self.variables, number + 1)
        return ("value", f":{number}")

    def path(self) -> Tree:
        code, count = self.function()
        _check(code == _PATH)
        return ("path", self.steps(count))

    def steps(self, count: int) -> Path:
        _check(count > 0)
        steps: list[str | int] = []
        data = self.data
        for _ in range(count):
            if data.startswith(_LIST_INDEX, self.position):
                self.position += len(_LIST_INDEX)
                step: Any = self.integer()
                _check(step >= 0 and bool(steps))
            else:
                step, self.position = read_string(data, self.position)
                _check(isinstance(step, str))
            steps.append(step)
        return tuple(steps)

    def projection(self) -> tuple[Path, ...]:
        paths = tuple([self.path()[1] for _ in range(self.array())])
        self.end()
        _check(bool(paths))
        return paths

    def update(self) -> Tree:
        """Actions in the order written; neighbours of one kind are a clause."""
        clauses: list[tuple[str, list[Tree]]] = []
        for _ in range(self.array()):
            code, count = self.function()
            keyword = _ACTIONS.get(code)
            if keyword is None:
                raise CodecError(f"no action has the code {code}")
            _check(count == (1 if code == _REMOVE else 2))
            target = self.path()
            if code == _SET:
                value: Tree | None = self.set_value()
            else:
                value = self.operand(0) if code != _REMOVE else None
            if not clauses or clauses[-1][0] != keyword:
                clauses.append((keyword, []))
            clauses[-1][1].append((target, value))
        _check(bool(clauses))
        return ("update", tuple([(keyword, tuple(actions)) for keyword, actions in clauses]))

    def set_value(self) -> Tree:
        start = self.position
        code, count = self.function()
        operator = _ARITHMETIC.get(code)
        if operator is None:
            self.position = start
            return self.operand(0)
        _check(count == 2)
        return ("arithmetic", operator, self.operand(1), self.operand(1))

    def values(self) -> list[AttributeValue]:
        count = self.array()
        found, self.position = values.decode_values(self.data, self.position, count)
        self.end()
        if self.variables > count:
            raise CodecError("an expression uses a value that it does not have")
        return found

    def end(self) -> None:
        if self.position != len(self.data):
            raise CodecError("bytes behind an expression")


def _check(well_formed: bool) -> None:
    if not well_formed:
        raise CodecError("a malformed expression")


def _too_many_operators(kind: str) -> ApiError:
    return ExpressionError(
        f"Invalid {kind}: The expression contains too many operators; operator count: {MAX_OPERATORS + 1}"
    )
