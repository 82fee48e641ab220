"""Building blocks of the codecs: lengths, parsing, and messages that map onto protobuf field by field.

A `Plain` codec is made from a class and the generated message of the same fields. How a field travels follows from
the .proto alone: a scalar as it is, `optional` for one that may be None, `repeated` for a list, and `<name>_json`
for a field `<name>` that holds a JSON document. A list of messages is told the codec of its elements.

    plain = Plain(cluster.WorkDone, pb.WorkDone)
    data = plain.encode(message)
    message = plain.decode(data)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf.message import DecodeError

JSON_SUFFIX = "_json"


class FrameError(ValueError):
    """Bytes that are no frame, or a frame whose contents cannot be read."""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_LENGTHS_KEPT = 2_048
_LENGTHS = [_varint(length) for length in range(_LENGTHS_KEPT)]


def length_prefix(length: int) -> bytes:
    """A length as protobuf writes it before bytes and submessages."""
    return _LENGTHS[length] if length < _LENGTHS_KEPT else _varint(length)


def read_length(data: bytes, at: int) -> tuple[int, int]:
    """The length at an offset, and the offset after it; IndexError when the bytes end before it does."""
    length = data[at]
    if length < 128:
        return length, at + 1
    shift = 7
    length &= 127
    while True:
        at += 1
        byte = data[at]
        length |= (byte & 127) << shift
        if byte < 128:
            return length, at + 1
        shift += 7
        if shift > 35:
            raise FrameError("a length that no frame can have")


def parsed(message_type: Any, data: bytes) -> Any:
    """A protobuf message of its bytes; FrameError for bytes that are none."""
    try:
        return message_type.FromString(data)
    except DecodeError as error:
        raise FrameError(f"not a {message_type.DESCRIPTOR.name}: {error}") from error


class Plain:
    """Codec of a class whose attributes are the fields of a protobuf message."""

    def __init__(self, made: type, message_type: Any, parts: dict[str, Plain] | None = None) -> None:
        """`made` is called with all fields as keyword arguments. `parts`: the codecs of repeated messages."""
        self.made = made
        self._parts = parts or {}
        self._parse = message_type
        self._make = message_type
        self._scalars: list[str] = []
        self._optional: list[str] = []
        self._repeated: list[str] = []
        self._json: list[tuple[str, str, bool]] = []
        for field in message_type.DESCRIPTOR.fields:
            if field.name.endswith(JSON_SUFFIX):
                self._json.append((field.name, field.name.removesuffix(JSON_SUFFIX), field.has_presence))
            elif field.name in self._parts:
                continue
            elif field.message_type is not None:
                raise TypeError(f"{message_type.DESCRIPTOR.name}.{field.name} is a message of its own")
            elif field.is_repeated:
                self._repeated.append(field.name)
            elif field.has_presence:
                self._optional.append(field.name)
            else:
                self._scalars.append(field.name)

    def encode(self, message: Any) -> bytes:
        """The protobuf bytes of a message."""
        part = self._make()
        self.fill(part, message)
        data: bytes = part.SerializeToString()
        return data

    def fill(self, part: Any, message: Any) -> None:
        """Set the fields of a protobuf message."""
        for name in self._scalars:
            value = getattr(message, name)
            if value:
                setattr(part, name, value)
        for name in self._optional:
            value = getattr(message, name)
            if value is not None:
                setattr(part, name, value)
        for name in self._repeated:
            value = getattr(message, name)
            if value:
                getattr(part, name).extend(value)
        for name, attribute, optional in self._json:
            value = getattr(message, attribute)
            if value is not None or not optional:
                setattr(part, name, orjson.dumps(value))
        for name, plain in self._parts.items():
            add = getattr(part, name).add
            for value in getattr(message, name):
                plain.fill(add(), value)

    def decode(self, data: bytes) -> Any:
        """The message of its bytes; FrameError for bytes that are none."""
        return self.made(**self.fields(parsed(self._parse, data)))

    def fields(self, part: Any) -> dict[str, Any]:
        """The fields of a protobuf message, by name."""
        found: dict[str, Any] = {name: getattr(part, name) for name in self._scalars}
        for name in self._optional:
            found[name] = getattr(part, name) if part.HasField(name) else None
        for name in self._repeated:
            found[name] = list(getattr(part, name))
        for name, attribute, optional in self._json:
            absent = optional and not part.HasField(name)
            found[attribute] = None if absent else orjson.loads(getattr(part, name))
        for name, plain in self._parts.items():
            found[name] = [plain.made(**plain.fields(each)) for each in getattr(part, name)]
        return found


Encoder = Callable[[Any], bytes]
Decoder = Callable[[bytes], Any]
