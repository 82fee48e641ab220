"""How a refused value is printed in an error: as the service's own objects print themselves.

A structure is `Name(member=value, other=null)` with every member it could have, a list `[a, b]`, a map
`{key=value}`, a string is bare. Members begin with a lower-case letter. Some structures print members that
the published model does not have. Source: observed behaviour of the real service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashrange_router.api.model import Shape

DEPTH_MAX: Final = 64  # below the recursion limit, and deeper than any value that could be accepted

ATTRIBUTE_VALUE_MEMBERS: Final = (
    "S",
    "N",
    "B",
    "INT",
    "DECIMAL",
    "DOUBLE",
    "SS",
    "NS",
    "BS",
    "INTSET",
    "DECIMALSET",
    "DOUBLESET",
    "M",
    "L",
    "NULL",
    "BOOL",
)
UNPUBLISHED_MEMBERS: Final = {"PutRequest": ("WorkloadProfileName",)}


def lower_first(name: str) -> str:
    """The name of a member as errors spell it: `tableName` for `TableName`, `sSEType` for `SSEType`."""
    return name[:1].lower() + name[1:]


def render(shapes: Mapping[str, Shape], name: str, value: Any) -> str:
    """`value`, of the shape `name` and with all JSON types right, as the service echoes it."""
    if value is None:
        return "null"
    shape = shapes[name]
    if name == "AttributeValue":
        return _attribute_value(value, 0)
    if shape.kind == "structure":
        members = [(child, render(shapes, shape.members[child], value.get(child))) for child in shape.members]
        members += [(child, "null") for child in UNPUBLISHED_MEMBERS.get(name, ())]
        return _structure(name, members)
    if shape.kind == "list":
        return _list([render(shapes, shape.element, item) for item in value])
    if shape.kind == "map":
        return _map({key: render(shapes, shape.value, item) for key, item in value.items()})
    return _scalar(value)


def _attribute_value(value: Any, depth: int) -> str:
    if value is None:
        return "null"
    if type(value) is not dict or depth > DEPTH_MAX:
        return "..."
    members = [
        (tag, _content(tag, value[tag], depth) if value.get(tag) is not None else "null")
        for tag in ATTRIBUTE_VALUE_MEMBERS
    ]
    return _structure("AttributeValue", members)


def _content(tag: str, content: Any, depth: int) -> str:
    """What one type tag of an attribute value holds; never fails, whatever JSON it is."""
    if tag == "M" and type(content) is dict:
        return _map({key: _attribute_value(item, depth + 1) for key, item in content.items()})
    if type(content) is list:
        if tag == "L":
            return _list([_attribute_value(item, depth + 1) for item in content])
        return _list([_content(tag[0], item, depth) for item in content])
    if tag == "B" and type(content) is str:
        length = len(content) // 4 * 3 - content[-2:].count("=")
        return f"java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]"
    return _scalar(content)


def _structure(name: str, members: list[tuple[str, str]]) -> str:
    return f"{name}({', '.join(f'{lower_first(member)}={text}' for member, text in members)})"


def _list(texts: list[str]) -> str:
    return f"[{', '.join(texts)}]"


def _map(texts: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}={text}" for key, text in texts.items()) + "}"


def _scalar(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    return str(value)
