"""Sizes of canonical values and items in bytes, as they count against limits and capacity.

An item is the sum of its names (UTF-8) and values. A string counts its UTF-8 bytes, a binary its bytes, a
number as `hashrange.model.number.size`, a boolean or null 1, a set the sum of its members, a list or map 3
plus 1 for each element plus the elements (in a map with their names). Source: DynamoDB Developer Guide, item
sizes and formats, and observed behaviour of the real service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hashrange.model.binary import size as binary_size
from hashrange.model.number import size as number_size


def item_size(item: dict[str, dict[str, Any]]) -> int:
    """The size of a canonical item (or of the members of a map, without the map's own 3 and 1 each)."""
    names = "".join(item)
    total = len(names) if names.isascii() else len(names.encode())
    for value in item.values():
        [tag] = value
        if tag == "S":
            text = value["S"]
            total += len(text) if text.isascii() else len(text.encode())
        else:
            total += _SIZES[tag](value[tag])
    return total


def value_size(value: dict[str, Any]) -> int:
    """The size of one canonical value."""
    [tag] = value
    return _SIZES[tag](value[tag])


def _text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _one(_flag: bool) -> int:
    return 1


def _list_size(elements: list[dict[str, Any]]) -> int:
    total = 3 + len(elements)
    for element in elements:
        [tag] = element
        if tag == "S":
            text = element["S"]
            total += len(text) if text.isascii() else len(text.encode())
        else:
            total += _SIZES[tag](element[tag])
    return total


def _map_size(members: dict[str, dict[str, Any]]) -> int:
    return 3 + len(members) + item_size(members)


def _strings_size(members: list[str]) -> int:
    return _text_size("".join(members))


def _numbers_size(members: list[str]) -> int:
    return sum(map(number_size, members))


def _binaries_size(members: list[str]) -> int:
    return sum(map(binary_size, members))


_SIZES: Final[dict[str, Callable[[Any], int]]] = {
    "S": _text_size,
    "N": number_size,
    "B": binary_size,
    "BOOL": _one,
    "NULL": _one,
    "L": _list_size,
    "M": _map_size,
    "SS": _strings_size,
    "NS": _numbers_size,
    "BS": _binaries_size,
}
