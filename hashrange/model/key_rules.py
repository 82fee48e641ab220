"""Rules for key values, with the service's texts: schema, types, empty values, sizes.

`check_key` is for requests that name an item (Get, Update, Delete, batches), `check_item_keys` for requests
that bring one (Put), `check_index_keys` for every item about to be written to a table with indexes. All take
canonical data and return nothing; they are quick when all is in order, and work out what is wrong on a
separate path. Source of the texts: observed behaviour of the real service.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hashrange.errors import VALIDATE, ApiError, invalid_parameter, validation
from hashrange.model import binary

if TYPE_CHECKING:
    from hashrange.model.key import KeyCodec, KeyPart
    from hashrange.model.value import AttributeValue, Item

MAX_HASH_SIZE: Final = 2048
"""Bytes of all hash key values of an item together (DynamoDB Developer Guide, Constraints)."""
MAX_RANGE_SIZE: Final = 1024
"""Bytes of all range key values of an item together (DynamoDB Developer Guide, Constraints)."""

_SCHEMA_MISMATCH = "The provided key element does not match the schema"
_NOT_VALID = "One or more parameter values are not valid. "
_INDEX_VALUE = "A value specified for a secondary index key is not supported. "
_INDEX_UPDATE = (
    "The update expression attempted to update a secondary index key to a value that is not supported. "
)


class KeyMismatch(ApiError):  # noqa: N818 - a finding about a key, reported like any other ApiError
    """ValidationException: a key attribute is missing, superfluous, or of the wrong type.

    Not for empty or oversize values, which the service treats differently in transactions.
    """

    __slots__ = ()

    def __init__(self, message: str = _SCHEMA_MISMATCH) -> None:
        super().__init__("ValidationException", message, namespace=VALIDATE)


def short_length(part_count: int) -> int:
    """Content this long or shorter needs no exact measuring: a character has at most four bytes."""
    return MAX_RANGE_SIZE // 4 // max(part_count, 1)


def check_key(codec: KeyCodec, key: Item) -> None:
    """The key of a request: exactly the attributes of the codec's key (suffix included), of the right types.

    Raises `KeyMismatch`, or a validation error for empty and oversize values.
    """
    if len(key) != len(codec.key_parts):
        raise KeyMismatch
    limit = codec.short_length
    try:
        for name, kind in codec.key_parts:
            content = key[name][kind]
            if not content or len(content) > limit:
                break
        else:
            return
    except KeyError:
        raise KeyMismatch from None
    for name, kind in codec.key_parts:
        if kind not in key.get(name, ()):
            raise KeyMismatch
    _check_empty(codec, key)
    check_sizes(codec, key)


def check_item_keys(codec: KeyCodec, item: Item, *, batch: bool = False) -> None:
    """The table's key attributes inside an item to put; `batch` words mismatches as BatchWriteItem does.

    Raises `KeyMismatch`, or a validation error for empty and oversize values.
    """
    limit = codec.short_length
    try:
        for name, kind in codec.own_parts:
            content = item[name][kind]
            if not content or len(content) > limit:
                break
        else:
            return
    except KeyError:
        pass
    for name, kind in codec.own_parts:
        value = item.get(name)
        if value is None:
            raise KeyMismatch if batch else _mismatch(f"Missing the key {name} in the item")
        if kind not in value:
            raise (
                KeyMismatch
                if batch
                else _mismatch(f"Type mismatch for key {name} expected: {kind} actual: {_type_of(value)}")
            )
    _check_empty(codec, item)
    check_sizes(codec, item)


def check_index_keys(index_name: str, codec: KeyCodec, item: Item, *, updating: bool = False) -> None:
    """The index's key attributes that an item to be stored has; one it lacks keeps it out of the index.

    `updating` words empty values as UpdateItem does. Raises `KeyMismatch`, or a validation error for empty
    and oversize values.
    """
    limit = codec.short_length
    for name, kind in codec.own_parts:
        value = item.get(name)
        if value is not None:
            content = value.get(kind)
            if not content or len(content) > limit:
                break
    else:
        return
    present = [part for part in codec.own_parts if part.name in item]
    for name, kind in present:
        value = item[name]
        if kind not in value:
            raise _mismatch(
                f"Type mismatch for Index Key {name} Expected: {kind} Actual: {_type_of(value)} "
                f"IndexName: {index_name}"
            )
    for name, kind in present:
        if not item[name][kind]:
            reason = f"{_NOT_VALID}{_INDEX_UPDATE if updating else _INDEX_VALUE}{_empty(kind)}"
            raise validation(reason if updating else f"{reason} IndexName: {index_name}, IndexKey: {name}")
    check_sizes(codec, item)


def check_sizes(codec: KeyCodec, item: Item) -> None:
    """A validation error if the key values of `item`, as far as it has them, are too large together."""
    if _total_size(codec.hash_parts, item) > MAX_HASH_SIZE:
        # No space before the number: so the service writes it.
        raise invalid_parameter(
            f"Size of hashkey has exceeded the maximum size limit of{MAX_HASH_SIZE} bytes"
        )
    if _total_size(codec.range_parts, item) > MAX_RANGE_SIZE:
        raise invalid_parameter(
            f"Aggregated size of all range keys has exceeded the size limit of {MAX_RANGE_SIZE} bytes"
        )


def indexable(codec: KeyCodec, item: Item) -> bool:
    """Whether an index holds `item`: it has all key attributes, with values an index key may have.

    A wrong type, an empty or an oversize value keeps an item out as a missing attribute does: the writes
    refuse such values, but an index created later skips items that have them.
    """
    limit = codec.short_length
    short = True
    try:
        for name, kind in codec.own_parts:
            content = item[name][kind]
            if not content:
                return False
            if len(content) > limit:
                short = False
    except KeyError:
        return False
    return short or not _is_oversize(codec, item)


def _is_oversize(codec: KeyCodec, item: Item) -> bool:
    return (
        _total_size(codec.hash_parts, item) > MAX_HASH_SIZE
        or _total_size(codec.range_parts, item) > MAX_RANGE_SIZE
    )


def _check_empty(codec: KeyCodec, item: Item) -> None:
    for name, kind in codec.key_parts:
        if not item[name][kind]:
            raise validation(f"{_NOT_VALID}{_empty(kind)} Key: {name}")


def _empty(kind: str) -> str:
    word = "binary" if kind == "B" else "string"
    return f"The AttributeValue for a key attribute cannot contain an empty {word} value."


def _mismatch(detail: str) -> KeyMismatch:
    return KeyMismatch("One or more parameter values were invalid: " + detail)


def _type_of(value: AttributeValue) -> str:
    [tag] = value
    return tag


def _total_size(parts: Sequence[KeyPart], item: Item) -> int:
    total = 0
    for name, kind in parts:
        if name in item:
            content = item[name][kind]
            if kind == "S":
                total += len(content.encode())
            elif kind == "B":
                total += binary.size(content)
    return total
