"""The DAX protocol as far as a load generator needs it: requests encoded by hand, replies measured by their length.

A request is CBOR values one after the other without a frame: 1, the number of the method, the table, the key,
options. A reply is an empty array and one value, or an array of error codes, a text and details. What is in a
reply is not decoded: that it is complete and no error is all that is looked at. The Python client of Amazon
takes thirty times as long.

Values of items travel without names, behind the number of a list of names, which the cluster is asked for once.
"""

from __future__ import annotations

import socket
from struct import pack
from typing import Any, Final

from hashrange_client.load.acts import ActSource
from hashrange_client.load.documents import RandomFill, shape_of
from hashrange_client.load.http import ProtocolError
from hashrange_client.load.replies import Outcome, Reader
from hashrange_client.load.requests import Step
from hashrange_client.load.settings import LoadError, LoadSettings
from hashrange_client.load.shape import COUNTER
from hashrange_client.load.workloads import OPERATION_OF, READ_MODIFY_WRITE
from hashrange_client.load.ycsb_shape import FIELDS, field_bytes

GREETING: Final = (
    b"\x67J7yne5G\x00\x50" + bytes(range(1, 17)) + b"\xa1\x69UserAgent\x75DaxPythonClient-2.1.0\x00"
)
"""What a client says first: magic, layering, a session's id, its name, mode."""

METHODS: Final = {
    "GetItem": 263244906,
    "PutItem": -2106490455,
    "UpdateItem": 1425579023,
    "DeleteItem": 1013539361,
    "Query": -931250863,
    "Scan": -1875390620,
    "defineAttributeListId": -1230579644,
}
REPLY_BYTES_MAX: Final = 64 << 20
EXCHANGE_TIMEOUT_S: Final = 10.0

_CONSISTENT, _CAPACITY, _UPDATE, _START, _LIMIT = 2, 3, 8, 9, 13
"""Numbers of options."""
_EQUAL, _VALUE, _PATH, _SET, _ADD = 0, 17, 18, 19, 20
"""Numbers of what expressions are made of."""


def head(kind: int, size: int) -> bytes:
    """The head of a CBOR value: major type and size, count or number."""
    kind <<= 5
    if size < 24:
        return bytes((kind | size,))
    if size < 1 << 8:
        return bytes((kind | 24, size))
    if size < 1 << 16:
        return pack(">BH", kind | 25, size)
    if size < 1 << 32:
        return pack(">BI", kind | 26, size)
    return pack(">BQ", kind | 27, size)


def encode(value: Any) -> bytes:
    """CBOR of numbers, texts, bytes, booleans, None and lists."""
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    return head(4, len(value)) + b"".join(map(encode, value))


def attribute(value: dict[str, Any]) -> bytes:
    """An attribute value of the types that load has: S, N (whole) and BOOL."""
    ((kind, content),) = value.items()
    return encode(int(content) if kind == "N" else content)


def options(*pairs: tuple[int, bytes]) -> bytes:
    """Options, the request for no consumed capacity among them."""
    body = b"".join(encode(number) + value for number, value in (*pairs, (_CAPACITY, encode(0))))
    return b"\xbf" + body + b"\xff"


def skip(data: bytes, position: int) -> int:
    """Where the CBOR value at `position` ends; raises IndexError when it is not all there."""
    first = data[position]
    kind, size = first >> 5, first & 0x1F
    position += 1
    if 24 <= size < 28:
        length = 1 << (size - 24)
        if len(data) < position + length:
            raise IndexError(position)
        size = int.from_bytes(data[position : position + length], "big")
        position += length
    elif size == 31:
        return _skip_stream(data, position)
    if kind in (2, 3):
        position += size
        if position > len(data):
            raise IndexError(position)
        return position
    if kind in (4, 5, 6):
        for _ in range(1 if kind == 6 else size << (kind - 4)):
            position = skip(data, position)
    return position


def _skip_stream(data: bytes, position: int) -> int:
    while data[position] != 0xFF:
        position = skip(data, position)
    return position + 1


class DaxReplies:
    """The replies of a cache node."""

    def whole(self, data: bytes) -> bool:
        """Whether it is one success; an item and an empty answer are known by their first bytes."""
        if data == b"\x80\xf6":
            return True
        start = data[:4]
        if start == b"\x80\xa1\x00\x59":
            return len(data) == 6 + (data[4] << 8 | data[5])
        if start == b"\x80\xa1\x00\x58":
            return len(data) == 5 + data[4]
        try:
            return data[0] == 0x80 and skip(data, 1) == len(data)
        except IndexError:
            return False

    def reader(self) -> Reader:
        """For replies in pieces, and errors."""
        return _DaxReader()


class _DaxReader:
    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Outcome | None:
        self._data += data
        if len(self._data) > REPLY_BYTES_MAX:
            raise ProtocolError("the reply does not end")
        try:
            if self._data[0] == 0x80:
                error, end = "", skip(self._data, 1)
            elif self._data[0] >> 5 == 4:
                error, end = _error(self._data)
            else:
                raise ProtocolError("this is no DAX cluster")
        except IndexError:
            return None
        if end != len(self._data):
            raise ProtocolError("there is more behind the reply")
        return Outcome(error)


def _error(data: bytes) -> tuple[str, int]:
    """Type of an error, and where its reply ends: codes, text, [request id, type, status …] or null."""
    position = skip(data, skip(data, 0))
    end = skip(data, position)
    if data[position] >> 5 == 4:
        start = skip(data, position + 1)
        if data[start] >> 5 == 3:
            after = skip(data, start)
            size = data[start] & 0x1F
            return data[start + (1 if size < 24 else 2) : after].decode(), end
    return "DAX error", end


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """One request on a connection of its own; its reply. Raises OSError and `LoadError`."""
    with socket.create_connection(address, timeout=EXCHANGE_TIMEOUT_S) as connection:
        connection.sendall(GREETING + request)
        reader, whole = _DaxReader(), b""
        while True:
            data = connection.recv(1 << 16)
            if not data:
                raise LoadError("the cache node has closed the connection: is it a DAX endpoint?")
            whole += data
            try:
                outcome = reader.feed(data)
            except ProtocolError as error:
                raise LoadError(str(error)) from None
            if outcome is not None:
                if outcome.error:
                    raise LoadError(f"the cache node has answered {outcome.error}")
                return whole


def attribute_list(address: tuple[str, int], names: list[str]) -> int:
    """The cluster's number of a list of names."""
    reply = exchange(address, encode(1) + encode(METHODS["defineAttributeListId"]) + encode(names))
    size = reply[1] & 0x1F
    return size if size < 24 else int.from_bytes(reply[2:], "big")


class DaxSource:
    """An endless, reproducible supply of requests, as `RequestSource`."""

    def __init__(self, settings: LoadSettings) -> None:
        acts = ActSource(settings)
        self._next = acts.next
        self._fill = RandomFill(settings, acts.random)
        self._shape = shape_of(settings)
        self._ycsb = settings.plan.ycsb
        self._item_bytes = settings.item_bytes
        self._field_bytes = field_bytes(settings.item_bytes) if self._ycsb else 0
        sample = self._shape.item(0, settings.item_bytes)
        self._names = sorted(sample.keys() - self._shape.key(0).keys())
        number = attribute_list(settings.dax_address, self._names)
        self._list = encode(number)
        self._values = encode(self._list + b"".join(attribute(sample[name]) for name in self._names))
        table = encode(settings.table.encode())
        self._prefix = {name: b"\x01" + encode(method) + table for name, method in METHODS.items()}
        strong = settings.consistent_reads
        self._plain = options()
        self._get = options((_CONSISTENT, encode(True))) if strong else self._plain
        self._strong_get = options((_CONSISTENT, encode(True)))
        self._several = ((_CONSISTENT, encode(1)),) if strong else ()
        added = encode([1, [[_ADD, [_PATH, COUNTER], [_VALUE, 0]]], [1]])
        self._add = options((_UPDATE, encode(added)))

    def next(self) -> Step:
        """The next request."""
        act, numbers = self._next()
        number = numbers[0]
        operation = OPERATION_OF[act]
        request = self._prefix[operation] + self._rest(act, operation, number)
        if act != "read-modify-write":
            return operation, request, None
        update = self._prefix["UpdateItem"] + self._rest("update", "UpdateItem", number)
        return operation, request, ("UpdateItem", update, READ_MODIFY_WRITE)

    def _rest(self, act: str, operation: str, number: int) -> bytes:
        """What follows the table."""
        if operation == "Query":
            condition = encode([1, [_EQUAL, [_PATH, "pk"], [_VALUE, 0]], [self._shape.partition_key(number)]])
            return encode(condition) + options(*self._several)
        key = encode(self._key(number))
        if operation == "GetItem":
            return key + (self._strong_get if act == "strong-get" else self._get)
        if operation == "Scan":
            limit = encode(self._fill.limit())
            return options(*self._several, (_START, key), (_LIMIT, limit))
        if operation == "PutItem":
            return key + self._item(fresh=act == "insert") + self._plain
        if operation == "UpdateItem":
            return key + self._update()
        return key + self._plain

    def _key(self, number: int) -> bytes:
        """Partition keys alone are raw bytes; with a sort key they are CBOR, and the sort key raw behind."""
        partition, sort = self._shape.partition_key(number), self._shape.sort_key(number)
        return encode(partition) + sort.encode() if sort else partition.encode()

    def _item(self, fresh: bool) -> bytes:
        if not (self._ycsb and fresh):
            return self._values
        fields = b"".join(encode(self._fill.text(self._field_bytes)) for _ in range(FIELDS))
        return encode(self._list + fields)

    def _update(self) -> bytes:
        if not self._ycsb:
            return self._add
        action = [_SET, [_PATH, self._fill.field()], [_VALUE, 0]]
        update = encode([1, [action], [self._fill.text(self._field_bytes)]])
        return options((_UPDATE, encode(update)))
