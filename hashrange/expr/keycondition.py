"""Key conditions applied to a key schema: which partition key, and which range of sort keys.

Conditions come from a KeyConditionExpression (`hashrange.expr.context`) or from the legacy KeyConditions
(`hashrange.expr.legacy`), in both cases as `Condition`s on attributes. `resolve_key_condition` holds them
against the key schema of the table or index: one hash and at most one range attribute, or, for an index with
a multi-attribute key, up to four of each. Every hash attribute needs an equality; range attributes are used
from left to right, and only the last one used may have another operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from hashrange.errors import invalid_parameter, validation
from hashrange.model.key_rules import MAX_RANGE_SIZE
from hashrange.model.sizes import value_size
from hashrange.model.value import AttributeValue


class KeyAttribute(Protocol):
    """What a key schema says of one attribute (for example `hashrange.model.key.KeyPart`)."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...


class Condition(NamedTuple):
    """One condition on one attribute: = < <= > >= BETWEEN begins_with, or a legacy operator name."""

    attribute: str
    operator: str
    values: Sequence[AttributeValue]


class KeyCondition:
    """A key condition that fits its schema.

    `hash_values` has one value for each hash attribute, `range_equals` one for each leading range attribute
    with an equality. `op` and `operands` are the condition on the next range attribute: None, or one of
    < <= > >= BETWEEN begins_with.
    """

    __slots__ = ("hash_values", "op", "operands", "range_equals")

    def __init__(
        self,
        hash_values: list[AttributeValue],
        range_equals: list[AttributeValue],
        op: str | None,
        operands: list[AttributeValue],
    ) -> None:
        self.hash_values = hash_values
        self.range_equals = range_equals
        self.op = op
        self.operands = operands


_SURELY_SHORT = MAX_RANGE_SIZE // 4
"""Characters that a range key may have however many bytes each takes."""
_INDEXABLE = frozenset({"=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"})


def resolve_key_condition(
    conditions: Sequence[Condition],
    hash_parts: Sequence[KeyAttribute],
    range_parts: Sequence[KeyAttribute],
) -> KeyCondition:
    """The key condition that `conditions` make of a key schema; validation errors if they do not fit it."""
    named = {condition.attribute: condition for condition in conditions}
    single = len(hash_parts) == 1 and len(range_parts) <= 1
    if single:
        common = _common_case(named, hash_parts[0], range_parts)
        if common is not None:
            return common
    if len(named) > len(hash_parts) + len(range_parts):
        raise validation(
            f"The number of query conditions ({len(named)}) exceeds the number of key attributes "
            f"defined in the schema ({len(hash_parts) + len(range_parts)})"
        )
    if single:
        _check_single(named, hash_parts[0], range_parts)
    else:
        _check_multiple(named, hash_parts, range_parts)
    for part in (*hash_parts, *range_parts):
        if part.name in named:
            _check_values(part, named[part.name])
    _check_range_sizes([named[part.name] for part in range_parts if part.name in named])
    hash_values = [named[part.name].values[0] for part in hash_parts]
    range_equals: list[AttributeValue] = []
    for part in range_parts:
        condition = named.get(part.name)
        if condition is None:
            break
        if condition.operator != "=":
            return KeyCondition(hash_values, range_equals, condition.operator, list(condition.values))
        range_equals.append(condition.values[0])
    return KeyCondition(hash_values, range_equals, None, [])


def _common_case(
    named: Mapping[str, Condition], hash_part: KeyAttribute, range_parts: Sequence[KeyAttribute]
) -> KeyCondition | None:
    """An equality on the hash attribute, and at most a condition on the range attribute, without fault."""
    condition = named.get(hash_part.name)
    if condition is None or condition.operator != "=" or not condition.values[0].get(hash_part.type):
        return None
    hash_values = [condition.values[0]]
    if len(named) == 1:
        return KeyCondition(hash_values, [], None, [])
    if len(named) > 2 or not range_parts:
        return None
    [range_part] = range_parts
    condition = named.get(range_part.name)
    if condition is None or condition.operator not in _INDEXABLE:
        return None
    operands = list(condition.values)
    for operand in operands:
        content = operand.get(range_part.type)
        if not content or len(content) > _SURELY_SHORT:
            return None
    if condition.operator == "=":
        return KeyCondition(hash_values, operands, None, [])
    return KeyCondition(hash_values, [], condition.operator, operands)


def _check_single(
    named: Mapping[str, Condition], hash_part: KeyAttribute, range_parts: Sequence[KeyAttribute]
) -> None:
    """The rules and texts of a key with one hash and at most one range attribute."""
    for part in (hash_part, *range_parts):
        condition = named.get(part.name)
        if condition is None:
            if part is hash_part or len(named) > 1:
                raise validation(f"Query condition missed key schema element: {part.name}")
            return
        _check_operator(condition)
        _check_type(part, condition)
        if part is hash_part and condition.operator != "=":
            raise validation("Query key condition not supported")


def _check_multiple(
    named: Mapping[str, Condition],
    hash_parts: Sequence[KeyAttribute],
    range_parts: Sequence[KeyAttribute],
) -> None:
    """The rules of a multi-attribute key."""
    unequal = [part.name for part in hash_parts if not _is_equality(named.get(part.name))]
    if len(hash_parts) == 1 and unequal:
        if unequal[0] not in named:
            raise validation(f"Query condition missed key schema element: {unequal[0]}")
        raise validation("Query key condition not supported")
    if unequal:
        raise validation(
            f"HASH key attributes {', '.join(unequal)} must have equality conditions specified in the query"
        )
    for condition in named.values():
        _check_operator(condition)
    used = [number for number, part in enumerate(range_parts) if part.name in named]
    if len(used) + len(hash_parts) != len(named):
        raise validation("Query key condition not supported")
    last = used[-1] if used else 0
    unequal = [part.name for part in range_parts[:last] if not _is_equality(named.get(part.name))]
    if unequal:
        raise validation(
            f"RANGE key attributes {', '.join(unequal)} must have equality conditions specified in the "
            f"query because a condition is present on key attribute {range_parts[last].name}"
        )
    for part in (*hash_parts, *range_parts):
        if part.name in named:
            _check_type(part, named[part.name])


def _is_equality(condition: Condition | None) -> bool:
    return condition is not None and condition.operator == "="


def _check_operator(condition: Condition) -> None:
    if condition.operator not in _INDEXABLE:
        raise validation("Attempted conditional constraint is not an indexable operation")


def _check_type(part: KeyAttribute, condition: Condition) -> None:
    for value in condition.values:
        if part.type not in value:
            raise invalid_parameter("Condition parameter type does not match schema type")


def _check_values(part: KeyAttribute, condition: Condition) -> None:
    """No key can be empty, so a condition on an empty one is refused."""
    for value in condition.values:
        if not value[part.type]:
            kind = "string" if part.type == "S" else "binary"
            raise validation(
                "One or more parameter values are not valid. The AttributeValue for a key attribute "
                f"cannot contain an empty {kind} value. Key: {part.name}"
            )


def _check_range_sizes(conditions: Sequence[Condition]) -> None:
    """Range values of a query are held to the size of a range key; those of hash attributes are not."""
    if sum(max(map(value_size, condition.values)) for condition in conditions) > MAX_RANGE_SIZE:
        raise invalid_parameter(
            f"Aggregated size of all range keys has exceeded the size limit of {MAX_RANGE_SIZE} bytes"
        )
