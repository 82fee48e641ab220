"""How a refused value is printed in an error: as the service's own objects print themselves.

A structure is `Name(member=value, other=null)` with every member it could have, a list `[a, b]`, a map
`{key=value}`, a string is bare. Members begin with a lower-case letter. Some structures print members that
the published model does not have. Source: observed behaviour of the real service. Only the length has a limit
here that is not the service's: printing is many times longer than the request, and costs accordingly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from hashrange_router.api.model import Shape

LENGTH_MAX: Final = 65_536  # characters; what is longer is cut short with an ellipsis
DEPTH_MAX: Final = 64  # below the recursion limit, and deeper than any value that could be accepted
ELLIPSIS: Final = "..."

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
    return _Printer(shapes).shape(name, value)


def shorten(text: str) -> str:
    """`text`, cut to the limit of an echo."""
    return text if len(text) <= LENGTH_MAX else text[:LENGTH_MAX] + ELLIPSIS


class _Printer:
    """Prints one value; `left` counts down the characters that may still be printed."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = shapes
        self.left = LENGTH_MAX

    def shape(self, name: str, value: Any) -> str:
        if value is None:
            return "null"
        if name == "AttributeValue":
            return self.attribute_value(value, 0)
        shape = self.shapes[name]
        if shape.kind == "structure":
            members = {
                member: self.shape(child, value.get(member)) for member, child in shape.members.items()
            }
            members.update((member, "null") for member in UNPUBLISHED_MEMBERS.get(name, ()))
            return self.structure(name, members)
        if shape.kind == "list":
            return in_brackets([self.shape(shape.element, item) for item in self.within(value)], value)
        if shape.kind == "map":
            return in_braces({key: self.shape(shape.value, value[key]) for key in self.within(value)}, value)
        return self.scalar(value)

    def attribute_value(self, value: Any, depth: int) -> str:
        if value is None:
            return "null"
        if type(value) is not dict or depth > DEPTH_MAX:
            return ELLIPSIS
        members = {
            tag: self.content(tag, value[tag], depth) if value.get(tag) is not None else "null"
            for tag in ATTRIBUTE_VALUE_MEMBERS
        }
        return self.structure("AttributeValue", members)

    def content(self, tag: str, content: Any, depth: int) -> str:
        """What one type tag of an attribute value holds; never fails, whatever JSON it is."""
        if tag == "M" and type(content) is dict:
            texts = {key: self.attribute_value(content[key], depth + 1) for key in self.within(content)}
            return in_braces(texts, content)
        if tag == "L" and type(content) is list:
            return in_brackets(
                [self.attribute_value(item, depth + 1) for item in self.within(content)], content
            )
        if type(content) is list:
            element = "B" if tag == "BS" else "S"
            return in_brackets([self.content(element, item, depth) for item in self.within(content)], content)
        if tag == "B" and type(content) is str:
            length = len(content) // 4 * 3 - content[-2:].count("=")
            return self.scalar(f"java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]")
        return self.scalar(content)

    def within(self, collection: Collection[Any]) -> Iterator[Any]:
        """The entries of a list, or the keys of a map, until the limit is reached."""
        for entry in collection:
            if self.left <= 0:
                return
            self.left -= 2 + (len(entry) if type(entry) is str else 0)
            yield entry

    def structure(self, name: str, members: dict[str, str]) -> str:
        self.left -= sum(map(len, members)) + 3 * len(members)
        return f"{name}({', '.join(f'{lower_first(member)}={text}' for member, text in members.items())})"

    def scalar(self, value: Any) -> str:
        if type(value) is bool:
            return "true" if value else "false"
        text = shorten(str(value))
        self.left -= len(text)
        return text


def in_brackets(texts: list[str], collection: Collection[Any]) -> str:
    """The printed entries of `collection`, with an ellipsis where some are missing."""
    return f"[{', '.join(texts if len(texts) == len(collection) else [*texts, ELLIPSIS])}]"


def in_braces(texts: dict[str, str], collection: Collection[Any]) -> str:
    """The printed entries of the map `collection`, with an ellipsis where some are missing."""
    entries = [f"{key}={text}" for key, text in texts.items()]
    return "{" + ", ".join(entries if len(entries) == len(collection) else [*entries, ELLIPSIS]) + "}"
