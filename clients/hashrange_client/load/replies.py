"""Reading HTTP replies with as little work as possible: status, length, whether the connection stays open.

An ordinary reply comes in one piece, says 200, and writes its headers as the one before it did.
`HttpReplies.whole` tells such a one from all others by four searches; whatever else arrives goes to a
`ResponseReader`, which understands it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import orjson

from hashrange_client.load.http import ProtocolError, Response, ResponseReader

_LENGTH = re.compile(rb"\r\n[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]: ?")
_NEVER = b"\r\n\r\n\r\n"
_LEFT_OUT = re.compile(rb'"Unprocessed(?:Items|Keys)": ?\{[^}]')


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reply means: `error` is its type, empty for success; the connection may end with it."""

    error: str = ""
    keep_alive: bool = True


class Reader(Protocol):
    """Collects the bytes of one reply that did not come as expected."""

    def feed(self, data: bytes) -> Outcome | None:
        """What it means, once it is complete; raises ProtocolError for what is no reply."""


class Replies(Protocol):
    """How replies of a protocol are read."""

    def whole(self, data: bytes) -> bool:
        """Whether `data` is exactly one successful reply, after which the connection stays open."""

    def reader(self) -> Reader:
        """For all others."""


class HttpReplies:
    """The replies of one HTTP server. It learns how that writes Content-Length."""

    __slots__ = ("_name",)

    def __init__(self) -> None:
        self._name = _NEVER

    def whole(self, data: bytes) -> bool:
        if data[9:12] != b"200":
            return False
        end = data.find(b"\r\n\r\n")
        name = self._name
        place = data.find(name, 0, end)
        if place < 0:
            return False
        place += len(name)
        size = int(data[place : data.find(b"\r\n", place)])
        return len(data) == end + 4 + size and data.find(b"onnection: close", 0, end) < 0

    def reader(self) -> Reader:
        return _HttpReader(self)

    def learn(self, data: bytes) -> None:
        """Note the spelling of Content-Length in a reply."""
        found = _LENGTH.search(data, 0, max(0, data.find(b"\r\n\r\n") + 2))
        if found is not None and data[found.end() : found.end() + 1].isdigit():
            self._name = found.group()


class _HttpReader:
    __slots__ = ("_first", "_reader", "_replies")

    def __init__(self, replies: HttpReplies) -> None:
        self._replies = replies
        self._reader = ResponseReader()
        self._first = b""

    def feed(self, data: bytes) -> Outcome | None:
        if not self._first:
            self._first = data
        response = self._reader.feed(data)
        if response is None:
            return None
        self._replies.learn(self._first)
        return Outcome("" if response.status == 200 else error_type(response), response.keep_alive)


def error_type(response: Response) -> str:
    """What to count a failed request under: the name in `__type`, or the status code."""
    try:
        name = orjson.loads(response.body)["__type"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status}"
    return str(name).rpartition("#")[2]


def left_out(reply: bytes) -> bool:
    """Whether the reply to a batch says that a part of it was not done."""
    return _LEFT_OUT.search(reply) is not None


__all__ = [
    "HttpReplies",
    "Outcome",
    "ProtocolError",
    "Reader",
    "Replies",
    "error_type",
    "left_out",
]
