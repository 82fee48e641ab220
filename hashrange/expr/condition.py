"""Conditions as functions: a bound tree (see `tree`) compiled to closures, once for each expression.

`compile_test(tree)` gives a function of (item, values) that answers whether the item satisfies the
condition. Items and values are canonical, so equal values are equal Python objects. An item that does not
exist is given as an empty dict: it has no attributes at all, not even its key.

Semantics (observed behaviour of the real service): a missing operand makes `=`, an order, BETWEEN, IN and
`contains` false and `<>` true; values of different types are unequal and have no order; `size` of a type
without a size counts as missing. Strings are ordered by their UTF-8 bytes, which is the order of their code
points, and binaries by unsigned bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hashrange.expr.paths import Getter, Values, path_getter, value_at, value_getter
from hashrange.expr.tree import Path, Tree
from hashrange.model.binary import decode
from hashrange.model.binary import size as binary_size
from hashrange.model.number import compare as compare_numbers
from hashrange.model.value import AttributeValue, Item, compare

Test: TypeAlias = Callable[[Item, Values], bool]


def compile_test(tree: Tree) -> Test:
    """The function of a bound condition."""
    kind = tree[0]
    if kind in ("and", "or"):
        tests = []
        for condition in tree[1]:
            tests.append(compile_test(condition))
        return _all(tests) if kind == "and" else _any(tests)
    if kind == "not":
        test = compile_test(tree[1])
        return lambda item, values: not test(item, values)
    return _COMPILERS[kind](tree)


def _all(tests: list[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda item, values: first(item, values) and second(item, values)

    def test_all(item: Item, values: Values) -> bool:
        for test in tests:  # noqa: SIM110  a generator expression would cost a frame a condition
            if not test(item, values):
                return False
        return True

    return test_all


def _any(tests: list[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda item, values: first(item, values) or second(item, values)

    def test_any(item: Item, values: Values) -> bool:
        for test in tests:  # noqa: SIM110  a generator expression would cost a frame a condition
            if test(item, values):
                return True
        return False

    return test_any


# Operands


def _getter(tree: Tree) -> Getter:
    kind = tree[0]
    if kind == "path":
        return path_getter(tree[1])
    if kind == "value":
        return value_getter(tree[1])
    measured = _getter(tree[1])

    def size(item: Item, values: Values) -> AttributeValue | None:
        value = measured(item, values)
        length = size_of(value) if value is not None else None
        return {"N": str(length)} if length is not None else None

    return size


def size_of(value: AttributeValue) -> int | None:
    """What the function size() gives: UTF-16 units, bytes or elements; None for numbers, BOOL and NULL."""
    [(tag, content)] = value.items()
    if tag == "S":
        return len(content) if content.isascii() else len(content.encode("utf-16-le")) >> 1
    if tag == "B":
        return binary_size(content)
    if tag in ("N", "BOOL", "NULL"):
        return None
    return len(content)


def _is_name(tree: Tree) -> bool:
    """Whether the operand is a top-level attribute: the case worth a function of its own."""
    return tree[0] == "path" and len(tree[1]) == 1


# Comparisons


def _equal(tree: Tree) -> Test:
    _, a, b = tree
    if _is_name(a) and b[0] == "value":
        name, number = a[1][0], b[1]
        return lambda item, values: item.get(name) == values[number]
    get_a, get_b = _getter(a), _getter(b)

    def equal(item: Item, values: Values) -> bool:
        left = get_a(item, values)
        return left is not None and left == get_b(item, values)

    return equal


def _unequal(tree: Tree) -> Test:
    equal = _equal(tree)
    return lambda item, values: not equal(item, values)


def _order(accept: Callable[[int], bool]) -> Callable[[Tree], Test]:
    """The compiler of an order operator; `accept` takes the sign of the comparison."""

    def compile_order(tree: Tree) -> Test:
        get_a, get_b = _getter(tree[1]), _getter(tree[2])

        def in_order(item: Item, values: Values) -> bool:
            left = get_a(item, values)
            if left is None:
                return False
            right = get_b(item, values)
            if right is None:
                return False
            if "N" in left:
                return "N" in right and accept(compare_numbers(left["N"], right["N"]))
            sign = compare(left, right)
            return sign is not None and accept(sign)

        return in_order

    return compile_order


def _between(tree: Tree) -> Test:
    get_value, get_low, get_high = (_getter(operand) for operand in tree[1:])

    def between(item: Item, values: Values) -> bool:
        value = get_value(item, values)
        low = get_low(item, values)
        high = get_high(item, values)
        if value is None or low is None or high is None:
            return False
        above = compare(value, low)
        if above is None or above < 0:
            return False
        below = compare(value, high)
        return below is not None and below <= 0

    return between


def _in(tree: Tree) -> Test:
    get_value = _getter(tree[1])
    candidates = [_getter(candidate) for candidate in tree[2]]

    def one_of(item: Item, values: Values) -> bool:
        value = get_value(item, values)
        if value is None:
            return False
        for candidate in candidates:  # noqa: SIM110
            if candidate(item, values) == value:
                return True
        return False

    return one_of


# Functions


def _exists(tree: Tree) -> Test:
    path: Path = tree[1]
    if len(path) == 1:
        name = path[0]
        return lambda item, values: name in item
    return lambda item, values: value_at(item, path) is not None


def _missing(tree: Tree) -> Test:
    path: Path = tree[1]
    if len(path) == 1:
        name = path[0]
        return lambda item, values: name not in item
    return lambda item, values: value_at(item, path) is None


def _has_type(tree: Tree) -> Test:
    _, path, number = tree

    def has_type(item: Item, values: Values) -> bool:
        value = value_at(item, path)
        return value is not None and values[number]["S"] in value

    return has_type


def _begins_with(tree: Tree) -> Test:
    get_value, get_prefix = _getter(tree[1]), _getter(tree[2])

    def test_begins_with(item: Item, values: Values) -> bool:
        value = get_value(item, values)
        prefix = get_prefix(item, values)
        return value is not None and prefix is not None and begins_with(value, prefix)

    return test_begins_with


def begins_with(value: AttributeValue, prefix: AttributeValue) -> bool:
    """Whether a string begins with a string, or a binary with a binary; false for other types."""
    if "S" in value and "S" in prefix:
        return bool(value["S"].startswith(prefix["S"]))
    if "B" in value and "B" in prefix:
        return decode(value["B"]).startswith(decode(prefix["B"]))
    return False


def _contains(tree: Tree) -> Test:
    get_value, get_part = _getter(tree[1]), _getter(tree[2])

    def test_contains(item: Item, values: Values) -> bool:
        value = get_value(item, values)
        part = get_part(item, values)
        return value is not None and part is not None and contains(value, part)

    return test_contains


_MEMBER_TYPE = {"SS": "S", "NS": "N", "BS": "B"}


def contains(value: AttributeValue, part: AttributeValue) -> bool:
    """Whether `part` is a substring of a string (or binary), a member of a set, or an element of a list."""
    [(tag, content)] = value.items()
    if tag == "S":
        return "S" in part and part["S"] in content
    if tag == "L":
        return part in content
    member = _MEMBER_TYPE.get(tag)
    if member is not None:
        return part.get(member) in content
    return tag == "B" and "B" in part and decode(part["B"]) in decode(content)


_COMPILERS: dict[str, Callable[[Tree], Test]] = {
    "=": _equal,
    "<>": _unequal,
    "<": _order(lambda sign: sign < 0),
    "<=": _order(lambda sign: sign <= 0),
    ">": _order(lambda sign: sign > 0),
    ">=": _order(lambda sign: sign >= 0),
    "between": _between,
    "in": _in,
    "exists": _exists,
    "missing": _missing,
    "type": _has_type,
    "begins_with": _begins_with,
    "contains": _contains,
}
