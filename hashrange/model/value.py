"""Attribute values and items: validation, canonical form, sizes, equality and order.

A value is the parsed DynamoDB JSON itself, everywhere (`{"S": "a"}`, `{"L": [{"N": "1"}]}`, binary as
base64 text), and an item is a dict of names to values. `normalise_item` and `normalise_value` check data that
came from a client and bring it to its canonical form in place, in one pass that also measures it; everything
else here takes canonical data and does not check it again.

Canonical: numbers as `hashrange.model.number` writes them, base64 padded and without stray bits, sets sorted
(strings by UTF-8 bytes, numbers by value, binaries by bytes), booleans as JSON booleans, no null members.
Equal values are equal Python objects, and `dump` gives equal bytes for them.

The pass is written for valid data: it gives up at anything unusual, and `hashrange.model.value_repair` then
finds the exact error, or repairs what the service tolerates. Texts of the errors come in two wordings, see
`ValueRules`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import orjson

from hashrange.errors import ApiError, validation
from hashrange.model import value_repair
from hashrange.model.binary import decode, decode_strict
from hashrange.model.number import canonical, order_key, quick_size
from hashrange.model.number import compare as compare_numbers
from hashrange.model.number import size as number_size
from hashrange.model.shape_error import ShapeError
from hashrange.model.sizes import item_size, value_size

__all__ = [
    "CLASSIC",
    "CURRENT",
    "MAX_DEPTH",
    "MAX_ITEM_SIZE",
    "AttributeValue",
    "Item",
    "ShapeError",
    "ValueRules",
    "Wording",
    "check_item_size",
    "check_update_size",
    "compare",
    "dump",
    "equal",
    "item_size",
    "normalise_item",
    "normalise_value",
    "type_of",
    "value_size",
]

AttributeValue: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, AttributeValue]
Wording: TypeAlias = Literal["2026", "classic"]

MAX_ITEM_SIZE: Final = 409_600
"""Bytes of an item, names included (DynamoDB Developer Guide, Constraints: 400 KB)."""

MAX_DEPTH: Final = value_repair.MAX_DEPTH
MAX_NAME_SIZE: Final = value_repair.MAX_NAME_SIZE

# What the pass over valid data runs into when the data is not.
_UNUSUAL: Final = (AttributeError, LookupError, TypeError, ValueError, ApiError)


class ValueRules:
    """The checks of attribute values in one of the service's two wordings.

    "2026" is what PutItem, UpdateItem, DeleteItem, GetItem, BatchGetItem and Query answer today, "classic"
    what BatchWriteItem, Scan and the transactions (and a few regions for all operations) still answer. The
    wording matters only for the texts of errors: both accept the same data.
    """

    __slots__ = ("_classic",)

    def __init__(self, wording: Wording = "2026") -> None:
        self._classic = wording == "classic"

    def normalise_item(self, item: Item) -> int:
        """Checks every value, makes the item canonical in place, and returns its size in bytes.

        Raises `SerializationException` for JSON of the wrong type, `ShapeError` for bad numbers and sets, and
        other validation errors for values without or with several types, for depth, and for attribute names.
        Rules that depend on the table, and `check_item_size`, are the caller's.
        """
        try:
            size = _measure_map(item, 0)
        except _UNUSUAL:
            value_repair.repair_item(item, self._classic)
            size = _measure_map(item, 0)
        if size > MAX_NAME_SIZE:  # otherwise no name can be too long
            value_repair.check_name_sizes(item)
        return size

    def normalise_value(self, value: AttributeValue, depth: int = 0) -> int:
        """The same for one attribute value; `depth` is the number of lists and maps it stands in."""
        try:
            size = _measure(value, depth)
        except _UNUSUAL:
            value_repair.repair_value(value, depth, self._classic)
            size = _measure(value, depth)
        if size > MAX_NAME_SIZE:
            value_repair.check_name_sizes({"": value})
        return size


def _measure_map(members: Item, depth: int) -> int:
    """Names and values of a map's members (or an item's attributes), made canonical in place."""
    if "" in members:
        raise LookupError
    names = "".join(members)
    total = len(names) if names.isascii() else len(names.encode())
    for value in members.values():
        [tag] = value
        if tag == "S":
            text = value["S"]
            total += len(text) if text.isascii() else len(text.encode())
        elif tag == "N":
            total += quick_size(value["N"]) or _measure_number(value, depth)
        else:
            total += _MEASURES[tag](value, depth)
    return total


def _measure(value: AttributeValue, depth: int) -> int:
    [tag] = value
    return _MEASURES[tag](value, depth)


def _measure_string(value: AttributeValue, depth: int) -> int:
    text = value["S"]
    return len(text) if text.isascii() else len(text.encode())


def _measure_number(value: AttributeValue, depth: int) -> int:
    text = value["N"]
    number = canonical(text)
    if number is not text:
        value["N"] = number
    return number_size(number)


def _measure_binary(value: AttributeValue, depth: int) -> int:
    return len(decode_strict(value["B"]))


def _measure_bool(value: AttributeValue, depth: int) -> int:
    flag = value["BOOL"]
    if flag is True or flag is False:
        return 1
    raise TypeError


def _measure_null(value: AttributeValue, depth: int) -> int:
    if value["NULL"] is True:
        return 1
    raise TypeError


def _measure_list(value: AttributeValue, depth: int) -> int:
    elements = value["L"]
    depth += 1
    if depth >= MAX_DEPTH or elements.__class__ is not list:
        raise LookupError
    total = 3 + len(elements)
    for element in elements:
        [tag] = element
        if tag == "S":
            text = element["S"]
            total += len(text) if text.isascii() else len(text.encode())
        elif tag == "N":
            total += quick_size(element["N"]) or _measure_number(element, depth)
        else:
            total += _MEASURES[tag](element, depth)
    return total


def _measure_document(value: AttributeValue, depth: int) -> int:
    members = value["M"]
    depth += 1
    if depth >= MAX_DEPTH:
        raise LookupError
    return 3 + len(members) + _measure_map(members, depth)


def _measure_strings(value: AttributeValue, depth: int) -> int:
    members = value["SS"]
    joined = "".join(members)
    if members.__class__ is not list or not members or len(set(members)) != len(members):
        raise ValueError
    # Order by code points is order by UTF-8 bytes.
    members.sort()
    return len(joined) if joined.isascii() else len(joined.encode())


def _measure_numbers(value: AttributeValue, depth: int) -> int:
    members = value["NS"]
    numbers = [canonical(member) for member in members]
    if members.__class__ is not list or not numbers or len(set(numbers)) != len(numbers):
        raise ValueError
    try:
        numbers.sort(key=int)
    except ValueError:
        numbers.sort(key=order_key)
    value["NS"] = numbers
    return sum(map(number_size, numbers))


def _measure_binaries(value: AttributeValue, depth: int) -> int:
    members = value["BS"]
    if members.__class__ is not list or not members:
        raise ValueError
    decoded = {decode_strict(member): member for member in members}
    if len(decoded) != len(members):
        raise ValueError
    value["BS"] = [decoded[raw] for raw in sorted(decoded)]
    return sum(map(len, decoded))


_MEASURES: Final[dict[str, Callable[[AttributeValue, int], int]]] = {
    "S": _measure_string,
    "N": _measure_number,
    "B": _measure_binary,
    "BOOL": _measure_bool,
    "NULL": _measure_null,
    "L": _measure_list,
    "M": _measure_document,
    "SS": _measure_strings,
    "NS": _measure_numbers,
    "BS": _measure_binaries,
}


CURRENT: Final = ValueRules("2026")
CLASSIC: Final = ValueRules("classic")

normalise_item = CURRENT.normalise_item
normalise_value = CURRENT.normalise_value


def check_item_size(size: int) -> None:
    """A validation error if an item of `size` bytes is too large to put."""
    if size > MAX_ITEM_SIZE:
        raise validation("Item size has exceeded the maximum allowed size")


def check_update_size(size: int) -> None:
    """A validation error if an item of `size` bytes is too large to be the result of an update."""
    if size > MAX_ITEM_SIZE:
        raise validation("Item size to update has exceeded the maximum allowed size")


def type_of(value: AttributeValue) -> str:
    """The type of a canonical value: S, N, B, BOOL, NULL, SS, NS, BS, L or M."""
    [tag] = value
    return tag


def equal(a: AttributeValue, b: AttributeValue) -> bool:
    """Whether two canonical values are equal as DynamoDB sees it: sets and maps have no order."""
    return a == b


def compare(a: AttributeValue, b: AttributeValue) -> int | None:
    """Negative, zero or positive for two canonical strings, numbers or binaries of one type; else None.

    Strings compare by their UTF-8 bytes, binaries by unsigned bytes, numbers by value.
    """
    [tag] = a
    if tag not in b:
        return None
    left, right = a[tag], b[tag]
    if tag == "N":
        return compare_numbers(left, right)
    if tag == "B":
        left, right = decode(left), decode(right)
    elif tag != "S":
        return None
    return int(left > right) - int(left < right)


def dump(item: Item) -> bytes:
    """The canonical JSON bytes of a canonical item (or value): equal items give equal bytes."""
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
