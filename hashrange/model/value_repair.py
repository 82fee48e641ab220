"""The slow half of value validation: what is wrong with a value, or how to make it regular.

`hashrange.model.value` runs one fast pass over valid data and comes here when that pass gives up.
`repair_item` and `repair_value` then either raise the exact error the service answers, or remove what the
service tolerates (null and unknown members, booleans written as words), after which the fast pass succeeds.

Order, as the service has it: wrong JSON types anywhere first (SerializationException), then an empty
attribute name at the top, then values in the order of the request, then empty keys inside maps. Source of
order and texts: observed behaviour of the real service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from hashrange.errors import ApiError, invalid_parameter, serialization, validation
from hashrange.model import number
from hashrange.model.binary import decode, decode_strict
from hashrange.model.shape_error import ShapeError

MAX_DEPTH: Final = 32
"""Levels of a value, its scalar leaf included (DynamoDB Developer Guide, Constraints)."""
MAX_NAME_SIZE: Final = 65_535
"""Bytes of an attribute name or map key (DynamoDB Developer Guide, Constraints)."""

_INVALID = "One or more parameter values were invalid: "
_UNEXPECTED_OBJECT = "Start of structure or map found where not expected"
_UNEXPECTED_FIELD = "Unexpected field type"
_TOO_DEEP = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)
_NO_TYPE = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
_SEVERAL_TYPES = (
    "Supplied AttributeValue has more than one datatypes set, "
    "must contain exactly one of the supported datatypes"
)
_VALUE_CLASS = "com.amazonaws.dynamodb.v20120810.AttributeValue"

_foreign_character = re.compile(r"[^A-Za-z0-9+/=]").search
_BOOLEAN_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def repair_item(item: Any, classic: bool) -> None:
    """Raises the first error of `item`, or makes it regular in place."""
    if item.__class__ is not dict:
        raise _wrong_map(item)
    check_types(item.values())
    if "" in item:
        raise validation("Empty attribute name")
    check_name_sizes(item)
    for value in item.values():
        _check_value(value, 0, classic)
    _check_empty_keys(item.values())


def repair_value(value: Any, depth: int, classic: bool) -> None:
    """Raises the first error of `value`, which stands in `depth` lists and maps, or makes it regular."""
    check_types((value,))
    check_name_sizes({"": value})
    _check_value(value, depth, classic)
    _check_empty_keys((value,))


def check_types(values: Iterable[Any]) -> None:
    """SerializationException for the first member, in the order of the request, of a wrong JSON type.

    Removes null and unknown members and turns words into booleans. Values may be nested to any depth.
    """
    stack = [iter(values)]
    while stack:
        for value in stack[-1]:
            inner = _check_members(value)
            if inner:
                stack.append(iter(inner))
                break
        else:
            stack.pop()


def check_name_sizes(members: dict[str, Any]) -> None:
    """A validation error if a name, in `members` or in maps inside, is longer than the service takes."""
    pending: list[dict[str, Any]] = [{"M": members}]
    while pending:
        value = pending.pop()
        for name, member in value.get("M", {}).items():
            if len(name) * 4 > MAX_NAME_SIZE and len(name.encode()) > MAX_NAME_SIZE:
                raise validation("Attribute name is too large, must be less than 65536 bytes")
            if member and ("M" in member or "L" in member):
                pending.append(member)
        pending.extend(
            element for element in value.get("L", ()) if element and ("M" in element or "L" in element)
        )


# ---- JSON types --------------------------------------------------------------------------------------------


def _check_members(value: Any) -> list[Any]:
    """Checks and tidies one attribute value; returns the values inside it, still to be checked."""
    if value is None:
        return []
    if value.__class__ is list:
        raise serialization(f"Unrecognized collection type class {_VALUE_CLASS}")
    if value.__class__ is not dict:
        raise serialization("Unexpected value type in payload")
    inner: list[Any] = []
    for tag, content in list(value.items()):
        check = _MEMBER_CHECKS.get(tag)
        if check is None or content is None:
            del value[tag]
        elif tag == "BOOL" or tag == "NULL":
            value[tag] = _boolean(content)
        else:
            inner += check(content)
    return inner


def _check_string(content: Any) -> tuple[()]:
    if content.__class__ is not str:
        raise _wrong_scalar(content, "String")
    return ()


def _check_blob(content: Any) -> tuple[()]:
    if content.__class__ is list:
        raise serialization("Unrecognized collection type class java.nio.ByteBuffer")
    if content.__class__ is dict:
        raise serialization(_UNEXPECTED_OBJECT)
    if content.__class__ is not str:
        raise serialization("only base-64-encoded strings are convertible to bytes")
    if len(content) % 4:
        raise serialization(
            f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(content)}"
        )
    foreign = _foreign_character(content)
    if foreign:
        raise serialization(f"Invalid Base64 character: '{foreign[0]}'")
    try:
        decode_strict(content)
    except ValueError:
        raise serialization("Invalid last non-pad Base64 character dectected") from None
    return ()


def _boolean(content: Any) -> bool:
    if content.__class__ is bool:
        return content
    if content.__class__ is str:
        word = _BOOLEAN_WORDS.get(content.lower())
        if word is None:
            raise serialization("Unexpected token received from parser")
        return word
    raise _wrong_scalar(content, "Boolean")


def _check_list(content: Any) -> list[Any]:
    if content.__class__ is dict:
        raise serialization(_UNEXPECTED_OBJECT)
    if content.__class__ is not list:
        raise serialization(_UNEXPECTED_FIELD)
    return content


def _check_string_list(content: Any) -> tuple[()]:
    for member in _check_list(content):
        if member is not None:
            _check_string(member)
    return ()


def _check_blob_list(content: Any) -> tuple[()]:
    for member in _check_list(content):
        if member is not None:
            _check_blob(member)
    return ()


def _check_map(content: Any) -> list[Any]:
    if content.__class__ is not dict:
        raise _wrong_map(content)
    return list(content.values())


_MEMBER_CHECKS: Final[dict[str, Callable[[Any], Iterable[Any]]]] = {
    "S": _check_string,
    "N": _check_string,
    "B": _check_blob,
    "BOOL": lambda content: (),
    "NULL": lambda content: (),
    "SS": _check_string_list,
    "NS": _check_string_list,
    "BS": _check_blob_list,
    "L": _check_list,
    "M": _check_map,
}


def _wrong_scalar(content: Any, expected: str) -> ApiError:
    kind = content.__class__
    if kind is list:
        return serialization(f"Unrecognized collection type class java.lang.{expected}")
    if kind is dict:
        return serialization(_UNEXPECTED_OBJECT)
    if kind is bool:
        token = "TRUE_VALUE" if content else "FALSE_VALUE"
    else:
        token = "NUMBER_VALUE" if kind is int else "DECIMAL_VALUE"
    return serialization(f"{token} cannot be converted to {expected}")


def _wrong_map(content: Any) -> ApiError:
    if content.__class__ is list:
        return serialization(f"Unrecognized collection type java.util.Map<java.lang.String, {_VALUE_CLASS}>")
    return serialization(_UNEXPECTED_FIELD)


# ---- values of the right JSON types ------------------------------------------------------------------------


def _check_value(value: dict[str, Any] | None, depth: int, classic: bool) -> None:
    """The first validation error of a tidied value. Every type present is checked before their number is."""
    if not value:
        raise validation(_NO_TYPE)
    for tag, content in value.items():
        if tag == "N":
            number.canonical(content, classic)
        elif tag == "NULL":
            if not content:
                raise ShapeError(_INVALID + "Null attribute value types must have the value of true")
        elif tag == "SS":
            _check_strings(content, classic)
        elif tag == "NS":
            _check_numbers(content, classic)
        elif tag == "BS":
            _check_binaries(content, classic)
        elif tag == "L" or tag == "M":
            if depth + 1 >= MAX_DEPTH:
                raise ShapeError(_TOO_DEEP)
            for element in content if tag == "L" else content.values():
                _check_value(element, depth + 1, classic)
    if len(value) > 1:
        raise validation(_SEVERAL_TYPES)


def _check_empty_keys(values: Iterable[dict[str, Any]]) -> None:
    """A validation error for an empty key in a map. Values are no deeper than the limit by now."""
    for value in values:
        members = value.get("M")
        if members is not None:
            if "" in members:
                raise validation("Empty attribute name")
            _check_empty_keys(members.values())
        _check_empty_keys(value.get("L", ()))


def _check_strings(members: list[Any], classic: bool) -> None:
    if not members:
        raise ShapeError(_INVALID + "An string set  may not be empty")
    if None in members:
        raise invalid_parameter("An string set  may not have a null string as a member")
    if len(set(members)) != len(members):
        listed = ", ".join(members if classic else _quoted(members, members))
        raise ShapeError(f"{_INVALID}Input collection [{listed}] contains duplicates.")


def _check_numbers(members: list[Any], classic: bool) -> None:
    if not members:
        raise ShapeError(_INVALID + "An number set  may not be empty")
    numbers = [number.canonical(member or "", classic) for member in members]
    if len(set(numbers)) != len(numbers):
        duplicates = "Input collection contains duplicates"
        raise ShapeError(duplicates if classic else f"{_INVALID}{duplicates}.")


def _check_binaries(members: list[Any], classic: bool) -> None:
    if not members:
        raise ShapeError(_INVALID + "Binary sets should not be empty")
    if None in members:
        raise invalid_parameter("Binary sets may not contain null or empty values")
    if len(set(members)) != len(members):
        listed = ", ".join(members) if classic else ",".join(_quoted(members, list(map(decode, members))))
        raise ShapeError(f"{_INVALID}Input collection [{listed}]of type BS contains duplicates.")


def _quoted(members: list[str], order: list[Any]) -> list[str]:
    """The members of a set with duplicates as the current wording lists them, in quotes.

    Members before the first repeat are sorted by their `order`; the repeat and what follows stay as sent.
    """
    seen: dict[Any, str] = {}
    for position, (key, member) in enumerate(zip(order, members, strict=True)):
        if key in seen:
            listed = [seen[k] for k in sorted(seen)] + members[position:]
            return [f'"{text}"' for text in listed]
        seen[key] = member
    raise AssertionError("a set without duplicates")
