"""Keys: how the key attributes of an item become the bytes under which the engine keeps it.

    partition hash (8) . hash parts . range parts [ . key of the table, for an entry of an index ]

`KeyCodec` holds one key schema, of a table or of an index. A table's codec has no suffix, and the last part
of its key is stored as it is; every part that something follows is terminated (`hashrange.model.key_bytes`).
An index's codec has the table's codec as its suffix, which makes entries with equal index keys distinct and
puts them in the order of the table's keys. Within a partition key value, memcmp order is the order of the
range parts.

All values given to a codec must be canonical, see `hashrange.model.value`. The rules for key values with
their texts are in `hashrange.model.key_rules` and are offered here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from hashrange.model.key_bytes import (
    RAW,
    TERMINATED,
    PartEncoder,
    PartType,
    escape,
    hash_of,
    successor,
    terminate,
)
from hashrange.model.key_rules import (
    MAX_HASH_SIZE,
    MAX_RANGE_SIZE,
    KeyMismatch,
    check_index_keys,
    check_item_keys,
    check_key,
    indexable,
    short_length,
)
from hashrange.model.value import AttributeValue, Item

__all__ = [
    "MAX_HASH_SIZE",
    "MAX_RANGE_SIZE",
    "KeyCodec",
    "KeyMismatch",
    "KeyPart",
    "PartType",
    "RangeOperator",
    "check_index_keys",
    "check_item_keys",
    "check_key",
    "hash_of",
    "successor",
]

RangeOperator: TypeAlias = Literal["=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"]


class KeyPart(NamedTuple):
    """A key attribute: its name and scalar type."""

    name: str
    type: PartType


class KeyCodec:
    """One key schema: hash parts, range parts and, for an index, the codec of the table as suffix.

    Two functions are chosen at construction to fit the schema; both raise `KeyMismatch` if a part is missing
    or of another type, and check no sizes, which is for the functions of `hashrange.model.key_rules`:

    `encode(item)` gives the key of an item that has all parts.

    `partition_prefix(values)` gives what the keys of all items with these hash parts begin with.
    `range_bounds` has the exact bounds: in a table without range key the only key there is *equals* the
    prefix, and a longer key may begin with it if hashes collide.
    """

    __slots__ = (
        "_range_encoders",
        "attribute_names",
        "encode",
        "hash_parts",
        "key_parts",
        "own_parts",
        "partition_prefix",
        "range_parts",
        "short_length",
        "suffix",
    )

    encode: Callable[[Item], bytes]
    partition_prefix: Callable[[Sequence[AttributeValue]], bytes]

    def __init__(
        self,
        hash_parts: tuple[KeyPart, ...],
        range_parts: tuple[KeyPart, ...],
        suffix: KeyCodec | None = None,
    ) -> None:
        self.hash_parts = hash_parts
        self.range_parts = range_parts
        self.suffix = suffix
        self.own_parts = hash_parts + range_parts
        """Hash parts, then range parts, without the suffix."""
        self.attribute_names = tuple(part.name for part in self.own_parts)
        """Their names."""
        inherited: tuple[KeyPart, ...] = suffix.key_parts if suffix is not None else ()
        self.key_parts: tuple[KeyPart, ...] = tuple(dict.fromkeys(self.own_parts + inherited))
        """All attributes that make up the key, each once: what a start key of the table or index has."""
        self.short_length = short_length(max(len(hash_parts), len(range_parts)))
        self._range_encoders = self._encoders_of_range_parts()
        self.partition_prefix = self._choose_partition_prefix()
        self.encode = self._choose_encode()

    def encode_entry(self, item: Item) -> bytes | None:
        """The key of the item's entry in this index; None if it has none.

        That is so if a key attribute is missing (a sparse index), but also if it is of another type, empty or
        oversize, as items can be that are older than the index.
        """
        return self.encode(item) if indexable(self, item) else None

    def range_bounds(
        self,
        prefix: bytes,
        equals: Sequence[AttributeValue],
        op: RangeOperator | None,
        operands: Sequence[AttributeValue],
    ) -> tuple[bytes, bytes]:
        """Bounds `[lo, hi)` of the keys that a query selects: never `hi < lo`, and empty if `hi == lo`.

        `prefix` is a `partition_prefix`, `equals` are values of the leading range parts, and `op` with its
        `operands` (two for BETWEEN, else one) is a condition on the range part after these, if any. Raises
        `KeyMismatch` for an operand that is not of the part's type.
        """
        lo = prefix
        for position, value in enumerate(equals):
            lo += self._range_bytes(position, value)
        position = len(equals)
        if op == "=":
            lo += self._range_bytes(position, operands[0])
            position += 1
        if op is None or op == "=":
            complete = self.suffix is None and position == len(self.range_parts)
            return lo, lo + b"\x00" if complete else successor(lo)
        if op == "begins_with":
            start = lo + self._range_prefix(position, operands[0])
            return start, successor(start)
        first = lo + self._range_bytes(position, operands[0])
        if op == "<":
            return lo, first
        if op == ">=":
            return first, successor(lo)
        if op == "<=":
            return lo, self._after(position, first)
        if op == ">":
            return self._after(position, first), successor(lo)
        last = lo + self._range_bytes(position, operands[1])
        return first, max(first, self._after(position, last))

    def _range_bytes(self, position: int, value: AttributeValue) -> bytes:
        try:
            content = value[self.range_parts[position].type]
        except KeyError:
            raise KeyMismatch from None
        return self._range_encoders[position](content)

    def _range_prefix(self, position: int, value: AttributeValue) -> bytes:
        """The bytes that all encodings of values beginning with `value` begin with."""
        kind = self.range_parts[position].type
        if kind == "N" or kind not in value:
            raise KeyMismatch
        raw = RAW[kind](value[kind])
        return raw if self._is_last(position) else escape(raw)

    def _after(self, position: int, key: bytes) -> bytes:
        """The smallest bytes behind everything of `key`, which ends with the range part at `position`."""
        return key + b"\x00" if self._is_last(position) else successor(key)

    def _is_last(self, position: int) -> bool:
        return self.suffix is None and position == len(self.range_parts) - 1

    def _encoders_of_range_parts(self) -> tuple[PartEncoder, ...]:
        return tuple(
            (RAW if self._is_last(position) else TERMINATED)[part.type]
            for position, part in enumerate(self.range_parts)
        )

    def _choose_partition_prefix(self) -> Callable[[Sequence[AttributeValue]], bytes]:
        if len(self.hash_parts) > 1:
            return _prefix_of_several(tuple(part.type for part in self.hash_parts))
        ends_key = self.suffix is None and not self.range_parts
        return _prefix_of_one(self.hash_parts[0].type, ends_key)

    def _choose_encode(self) -> Callable[[Item], bytes]:
        if len(self.hash_parts) == 1 and self.hash_parts[0].type == "S" and self.suffix is None:
            if not self.range_parts:
                return _encode_string(self.hash_parts[0].name)
            if len(self.range_parts) == 1:
                return _encode_string_and_range(self.hash_parts[0].name, self.range_parts[0])
        return self._encode_any

    def _encode_any(self, item: Item) -> bytes:
        try:
            key = self.partition_prefix([item[part.name] for part in self.hash_parts])
            for (name, kind), encode in zip(self.range_parts, self._range_encoders, strict=True):
                key += encode(item[name][kind])
        except KeyError:
            raise KeyMismatch from None
        return key if self.suffix is None else key + self.suffix.encode(item)


def _encode_string(name: str) -> Callable[[Item], bytes]:
    """`encode` for the commonest schema: one string, no range key."""

    def encode(item: Item) -> bytes:
        try:
            raw: bytes = item[name]["S"].encode()
        except KeyError:
            raise KeyMismatch from None
        return hash_of(raw) + raw

    return encode


def _encode_string_and_range(name: str, range_part: KeyPart) -> Callable[[Item], bytes]:
    """`encode` for the second commonest schema: one string and a range key of any type."""
    range_name, range_type = range_part
    encode_range = RAW[range_type]

    def encode(item: Item) -> bytes:
        try:
            raw: bytes = item[name]["S"].encode()
            return hash_of(raw) + terminate(raw) + encode_range(item[range_name][range_type])
        except KeyError:
            raise KeyMismatch from None

    return encode


def _prefix_of_one(kind: PartType, ends_key: bool) -> Callable[[Sequence[AttributeValue]], bytes]:
    """`partition_prefix` for one hash part, which may be the end of the key."""
    encode_raw = RAW[kind]
    plain = ends_key or kind == "N"

    def partition_prefix(hash_values: Sequence[AttributeValue]) -> bytes:
        [value] = hash_values
        try:
            raw = encode_raw(value[kind])
        except KeyError:
            raise KeyMismatch from None
        return hash_of(raw) + (raw if plain else terminate(raw))

    return partition_prefix


def _prefix_of_several(kinds: tuple[PartType, ...]) -> Callable[[Sequence[AttributeValue]], bytes]:
    """`partition_prefix` for several hash parts: all of them are terminated, and hashed like this."""
    encoders = tuple((kind, TERMINATED[kind]) for kind in kinds)

    def partition_prefix(hash_values: Sequence[AttributeValue]) -> bytes:
        try:
            joined = b"".join(
                encode(value[kind]) for (kind, encode), value in zip(encoders, hash_values, strict=True)
            )
        except KeyError:
            raise KeyMismatch from None
        return hash_of(joined) + joined

    return partition_prefix
