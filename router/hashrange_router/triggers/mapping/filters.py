"""Filter patterns: which records of a stream a mapping's function is called for.

    filters = compile_patterns(['{"eventName": ["INSERT"]}'])    # ValueError with a text for whoever wrote it
    filters.matches(record)                                      # the record as the function would get it

A pattern has the shape of the record. Its objects name fields that must all match, its arrays hold alternatives:

    literal                               a string, number, true, false or null, compared with its type
    {"prefix": s}, {"suffix": s}          s may be {"equals-ignore-case": s}
    {"equals-ignore-case": s}
    {"anything-but": x}                   x: string, number, a list of them, or one of the three operators above, whose
                                          operand may be a list here
    {"numeric": [op, n]}, [op, n, op, n]  = < <= > >=; a range goes from a lower to an upper bound
    {"exists": true}, {"exists": false}   for leaves only
    {field: ...}                          a pattern for the elements of a list
    "$or": [{...}, {...}]                 among the fields of an object

Only leaves have values: an object is none, a list stands for each of its elements, an empty list for nothing. So
`exists` never sees `{"S": "x"}` itself, only its "S" (as in the service). Elements of a list are matched one by one:
fields that are named together must be together in one element.

Attribute values lie below the names of their types. Numbers are texts there; `numeric` compares those below "N" and
"NS" exactly, whatever their precision, and no other texts. A literal number equals JSON numbers only, binary values
are compared as base64. (Grammar: AWS Lambda Developer Guide, Control which events Lambda sends to your function, and
Amazon EventBridge User Guide, Comparison operators.)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

PATTERNS_MAX = 10
"""Filters of one mapping: 5 by default, 10 on request (AWS Lambda Developer Guide)."""
PATTERN_CHARS_MAX = 4096
"""Length of one pattern (service model of Lambda)."""
DEPTH_MAX = 100
"""Levels of a pattern: a value nested 32 deep takes two levels for each of its own, and a few lie above."""
ALTERNATIVES_MAX = 1000
"""Combinations that the $or of one pattern may make (as in EventBridge)."""

Leaf = Callable[[Any, bool], bool]
"""Tests one scalar; the flag says that it is a number written as text."""
Node = Callable[[Any, str], bool]
"""Tests what lies at a place of a record (`_ABSENT`: nothing), and the name that it lies under."""

_ABSENT: Any = object()
_NUMBER_TYPES = ("N", "NS")
_OPERATORS = ("prefix", "suffix", "anything-but", "exists", "numeric", "equals-ignore-case")
_UNSUPPORTED = ("wildcard", "cidr")


class Filters:
    """The compiled filters of one mapping: a record is wanted when one of them matches, or when there are none."""

    __slots__ = ("_patterns",)

    def __init__(self, patterns: tuple[Node, ...]) -> None:
        self._patterns = patterns

    def __bool__(self) -> bool:
        """Whether there is anything to filter: without, records need not be decoded."""
        return bool(self._patterns)

    def matches(self, record: dict[str, Any]) -> bool:
        """Whether the function wants this record."""
        patterns = self._patterns
        return not patterns or any(pattern(record, "") for pattern in patterns)


def compile_patterns(patterns: list[str]) -> Filters:
    """Compile the patterns of a mapping's FilterCriteria. ValueError says what is wrong, and where."""
    if len(patterns) > PATTERNS_MAX:
        raise ValueError(f"Filter criteria have at most {PATTERNS_MAX} filters")
    return Filters(tuple(_compile(text) for text in patterns))


def _compile(text: str) -> Node:
    """One pattern."""
    if len(text) > PATTERN_CHARS_MAX:
        raise _invalid(f"it is longer than {PATTERN_CHARS_MAX} characters")
    try:
        document = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)
    except RecursionError:
        raise _invalid("it is nested too deeply") from None
    except (ValueError, InvalidOperation) as error:
        raise _invalid(f"it is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise _invalid("it must be a JSON object")
    if _combinations(document, 0) > ALTERNATIVES_MAX:
        raise _invalid(f"its $or make more than {ALTERNATIVES_MAX} combinations")
    return _object(document, "")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _invalid(detail: str) -> ValueError:
    return ValueError(detail)


def _combinations(pattern: Any, depth: int) -> int:
    """How many patterns without $or one stands for; refuses those nested too deeply."""
    if depth > DEPTH_MAX:
        raise _invalid("it is nested too deeply")
    if isinstance(pattern, list):
        for part in pattern:
            _combinations(part, depth + 1)
        return 1
    if not isinstance(pattern, dict):
        return 1
    total = 1
    for name, part in pattern.items():
        if name == "$or" and isinstance(part, list):
            total *= sum(_combinations(branch, depth + 1) for branch in part)
        else:
            total *= _combinations(part, depth + 1)
    return total


def _object(pattern: dict[str, Any], path: str) -> Node:
    """All fields of an object."""
    if not pattern:
        raise _invalid(f"{path or 'the pattern'} is an empty object")
    fields: list[tuple[str, Node]] = []
    groups: list[tuple[Node, ...]] = []
    for name, part in pattern.items():
        where = f"{path}.{name}" if path else name
        if name == "$or" and isinstance(part, list):
            groups.append(_branches(part, where, path))
        elif isinstance(part, dict):
            fields.append((name, _object(part, where)))
        elif isinstance(part, list):
            fields.append((name, _alternatives(part, where)))
        else:
            raise _invalid(f"{where} must be an object or an array of alternatives")

    def test(value: dict[str, Any]) -> bool:
        for name, node in fields:
            if not node(value.get(name, _ABSENT), name):
                return False
        return all(any(branch(value, "") for branch in group) for group in groups)

    def match(value: Any, _name: str) -> bool:
        if isinstance(value, dict):
            return test(value)
        if isinstance(value, list) and value:
            return any(match(element, "") for element in value)
        return test({})

    return match


def _branches(parts: list[Any], where: str, path: str) -> tuple[Node, ...]:
    """The objects of a $or."""
    if not parts or not all(isinstance(part, dict) for part in parts):
        raise _invalid(f"{where} must be an array of objects")
    return tuple(_object(part, path) for part in parts)


def _alternatives(parts: list[Any], where: str) -> Node:
    """The alternatives of one field."""
    if not parts:
        raise _invalid(f"{where} is an empty array")
    strings: set[str] = set()
    leaves: list[Leaf] = []
    nested: list[Node] = []
    absent = False
    for part in parts:
        if isinstance(part, str):
            strings.add(part)
        elif isinstance(part, list):
            raise _invalid(f"{where} has an array among its alternatives")
        elif not isinstance(part, dict):
            leaves.append(_literal(part))
        elif part.get("exists") is False and len(part) == 1:
            absent = True
        elif _is_operator(part, where):
            leaves.append(_operator(part, where))
        else:
            nested.append(_object(part, where))

    if not leaves and not nested and not absent:
        return _strings(strings)

    def one(value: Any, number: bool) -> bool:
        if isinstance(value, str) and value in strings:
            return True
        return any(leaf(value, number) for leaf in leaves)

    def match(value: Any, name: str) -> bool:
        if isinstance(value, str) and value in strings:
            return True
        found = _scalars(value)
        number = name in _NUMBER_TYPES
        if not found:
            if absent:
                return True
        elif any(one(scalar, number) for scalar in found):
            return True
        return any(node(value, name) for node in nested)

    return match


def _strings(wanted: set[str]) -> Node:
    """Alternatives that are all strings: most are."""

    def match(value: Any, _name: str) -> bool:
        if isinstance(value, str):
            return value in wanted
        return isinstance(value, list) and any(
            isinstance(scalar, str) and scalar in wanted for scalar in _scalars(value)
        )

    return match


def _scalars(value: Any) -> list[Any]:
    """The leaves at a place of a record."""
    if value is _ABSENT or isinstance(value, dict):
        return []
    if isinstance(value, list):
        return [scalar for element in value for scalar in _scalars(element)]
    return [value]


def _literal(expected: Any) -> Leaf:
    """true, false, null or a number."""
    if isinstance(expected, Decimal):
        return lambda value, _number: _is_number(value) and Decimal(str(value)) == expected
    return lambda value, _number: value is expected


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_operator(part: dict[str, Any], where: str) -> bool:
    """Whether an object among alternatives is an operator, and not a pattern for the elements of a list."""
    for name in part:
        if name in _UNSUPPORTED:
            raise _invalid(f"{where} uses {name}, which mappings do not support")
        if name in _OPERATORS:
            if len(part) > 1:
                raise _invalid(f"{where} has an operator with more than one key")
            return True
    if part and not all(isinstance(below, dict | list) for below in part.values()):
        raise _invalid(f"{where} uses an unknown operator: {next(iter(part))}")
    return False


def _operator(part: dict[str, Any], where: str) -> Leaf:
    """One of `_OPERATORS`."""
    [(name, operand)] = part.items()
    if name == "exists":
        if operand is not True:
            raise _invalid(f"exists of {where} must be true or false")
        return lambda _value, _number: True
    if name == "numeric":
        return _numeric(operand, where)
    if name == "anything-but":
        return _anything_but(operand, where)
    test = _text_operator(name, operand, where)
    return lambda value, _number: isinstance(value, str) and test(value)


def _text_operator(name: str, operand: Any, where: str) -> Callable[[str], bool]:
    """prefix, suffix and equals-ignore-case."""
    folded = name == "equals-ignore-case"
    if isinstance(operand, dict) and list(operand) == ["equals-ignore-case"] and not folded:
        folded = True
        operand = operand["equals-ignore-case"]
    if not isinstance(operand, str):
        raise _invalid(f"{name} of {where} must be a string")
    text = operand.casefold() if folded else operand
    if name == "equals-ignore-case":
        return lambda value: value.casefold() == text
    if name == "prefix":
        return lambda value: (value.casefold() if folded else value).startswith(text)
    return lambda value: (value.casefold() if folded else value).endswith(text)


def _anything_but(operand: Any, where: str) -> Leaf:
    """A value that is there, and is none of those named."""
    if isinstance(operand, dict):
        if len(operand) != 1 or next(iter(operand)) not in ("prefix", "suffix", "equals-ignore-case"):
            raise _invalid(f"anything-but of {where} knows prefix, suffix and equals-ignore-case")
        [(name, texts)] = operand.items()
        wanted = texts if isinstance(texts, list) else [texts]
        if not wanted:
            raise _invalid(f"anything-but of {where} is an empty array")
        tests = [_text_operator(name, text, where) for text in wanted]
        return lambda value, _number: not (isinstance(value, str) and any(test(value) for test in tests))
    values = operand if isinstance(operand, list) else [operand]
    if not values:
        raise _invalid(f"anything-but of {where} is an empty array")
    if not all(isinstance(value, str | Decimal) for value in values):
        raise _invalid(f"anything-but of {where} must be strings or numbers")
    strings = {value for value in values if isinstance(value, str)}
    numbers = [_literal(value) for value in values if isinstance(value, Decimal)]
    return lambda value, number: (
        not ((isinstance(value, str) and value in strings) or any(test(value, number) for test in numbers))
    )


_COMPARISONS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _numeric(operand: Any, where: str) -> Leaf:
    """One comparison, or a range. Comparing Decimals is exact at any precision."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise _invalid(
            f"numeric of {where} must be [operator, number] or [operator, number, operator, number]"
        )
    for operator, bound in zip(operand[::2], operand[1::2], strict=True):
        if not isinstance(operator, str) or operator not in _COMPARISONS:
            raise _invalid(f"numeric of {where} knows =, <, <=, > and >=")
        if not isinstance(bound, Decimal):
            raise _invalid(f"numeric of {where} must compare with numbers")
    if len(operand) == 4:
        if operand[0] not in (">", ">=") or operand[2] not in ("<", "<=") or operand[1] >= operand[3]:
            raise _invalid(f"numeric of {where} must go from a lower bound (>, >=) to a higher one (<, <=)")
    tests = [
        (_COMPARISONS[operator], bound) for operator, bound in zip(operand[::2], operand[1::2], strict=True)
    ]

    def match(value: Any, number: bool) -> bool:
        if not _is_number(value) and not (number and isinstance(value, str)):
            return False
        try:
            exact = Decimal(str(value))
        except InvalidOperation:
            return False
        return all(test(exact, bound) for test, bound in tests)

    return match
