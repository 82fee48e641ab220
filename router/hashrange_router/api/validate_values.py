"""JSON types inside an attribute value, checked only when a request is refused anyway.

A value of a wrong type is a SerializationException and comes before every other fault of the request. The
values of a valid request are checked where they are normalised; this is for a request that breaks some other
rule too, so that the right one of its errors is answered. Source of the texts: observed behaviour of the real
service.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

from hashrange.errors import ApiError, serialization

DEPTH_MAX: Final = 64  # deeper than any value that could be accepted, and safely below the recursion limit

OUT_OF_PLACE: Final = "Start of structure or map found where not expected"
PACKAGE: Final = "com.amazonaws.dynamodb.v20120810."
JAVA_CLASSES: Final = {
    "string": "java.lang.String",
    "integer": "java.lang.Integer",
    "long": "java.lang.Long",
    "double": "java.lang.Double",
    "float": "java.lang.Float",
    "boolean": "java.lang.Boolean",
    "timestamp": "java.util.Date",
    "blob": "java.nio.ByteBuffer",
}
_LISTS: Final = frozenset({"SS", "NS", "BS", "L"})


def wrong_scalar(value: Any, kind: str) -> ApiError:
    """SerializationException for a JSON value where a scalar of the model's `kind` belongs."""
    if type(value) is list:
        return serialization(f"Unrecognized collection type class {JAVA_CLASSES[kind]}")
    if type(value) is dict:
        return serialization(OUT_OF_PLACE)
    simple = JAVA_CLASSES[kind].rpartition(".")[2]
    return serialization(f"{_token(value)} cannot be converted to {simple}")


def _token(value: Any) -> str:
    """The name that the service's parser gives to a scalar of JSON."""
    if type(value) is bool:
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if type(value) is int:
        return "NUMBER_VALUE"
    return "DECIMAL_VALUE" if type(value) is float else "STRING_VALUE"


def check_attribute_value(value: dict[str, Any], depth: int) -> None:
    """Raise SerializationException for the first member of `value`, or of a value in it, of a wrong type."""
    if depth > DEPTH_MAX:
        return
    for tag, content in value.items():
        if content is None:
            continue
        if tag in ("S", "N"):
            _check_string(content)
        elif tag == "B":
            _check_binary(content)
        elif tag in ("BOOL", "NULL"):
            _check_boolean(content)
        elif tag in _LISTS:
            _check_list(tag, content, depth)
        elif tag == "M":
            _check_map(content, depth)


def _check_list(tag: str, content: Any, depth: int) -> None:
    if type(content) is not list:
        raise serialization(OUT_OF_PLACE if type(content) is dict else "Unexpected field type")
    for element in content:
        if element is None:
            continue
        if tag == "L":
            _check_nested(element, depth)
        elif tag == "BS":
            _check_binary(element)
        else:
            _check_string(element)


def _check_map(content: Any, depth: int) -> None:
    if type(content) is list:
        raise serialization(
            f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}AttributeValue>"
        )
    if type(content) is not dict:
        raise serialization("Unexpected field type")
    for element in content.values():
        if element is not None:
            _check_nested(element, depth)


def _check_nested(element: Any, depth: int) -> None:
    if type(element) is list:
        raise serialization(f"Unrecognized collection type class {PACKAGE}AttributeValue")
    if type(element) is not dict:
        raise serialization("Unexpected value type in payload")
    check_attribute_value(element, depth + 1)


def _check_string(content: Any) -> None:
    if type(content) is not str:
        raise wrong_scalar(content, "string")


def _check_boolean(content: Any) -> None:
    if type(content) is str:
        if content.upper() not in ("TRUE", "FALSE", "1", "0", "YES", "NO"):
            raise serialization("Unexpected token received from parser")
    elif type(content) is not bool:
        raise wrong_scalar(content, "boolean")


def _check_binary(content: Any) -> None:
    if type(content) is list:
        raise serialization("Unrecognized collection type class java.nio.ByteBuffer")
    if type(content) is dict:
        raise serialization(OUT_OF_PLACE)
    if type(content) is not str:
        raise serialization("only base-64-encoded strings are convertible to bytes")
    if len(content) % 4:
        raise serialization(
            f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(content)}"
        )
    try:
        b64decode(content, validate=True)
    except ValueError:
        raise serialization("Invalid last non-pad Base64 character dectected") from None
