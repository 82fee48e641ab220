"""Requests as bytes: templates in which only keys and values change from one request to the next.

A `Template` is made once for each act; building a request is one join of some byte strings, or a hash and a
signature more when requests are signed. All that changes has a fixed length, so that headers are the same for
all requests of an act.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

from hashrange_client.load import shape
from hashrange_client.load.acts import ActSource
from hashrange_client.load.documents import Documents, RandomFill, Shape
from hashrange_client.load.settings import LoadSettings
from hashrange_client.load.signing import CONTENT_TYPE, Signer, constant_authorization
from hashrange_client.load.workloads import ACTS, OPERATION_OF, READ_MODIFY_WRITE

TARGET_PREFIX = "DynamoDB_20120810."
CONSTANT_DATE = "20261001T000000Z"

FollowUp = tuple[str, bytes, str]
"""What a connection sends next without choosing anew: operation, request, and what both together are counted under."""

Step = tuple[str, bytes, FollowUp | None]
"""Operation, request, and what follows."""

_MARK_NUMBER: Final = 999_999_999
_PARTITION, _SORT, _FIELD, _TEXT, _LIMIT = range(5)
_YCSB_ACTS: Final = ("get", "strong-get", "put", "insert", "update", "delete", "scan", "read-modify-write")

Now = Callable[[], float]


class Head:
    """Makes the request line and headers of requests to one endpoint."""

    def __init__(self, settings: LoadSettings, now: Now = time.time) -> None:
        default = 443 if settings.tls else 80
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.host = host if settings.port == default else f"{host}:{settings.port}"
        self._now = now
        self._constant = constant_authorization(settings.region)
        self._signer: Signer | None = None
        if settings.access_key and settings.secret:
            self._signer = Signer(settings.access_key, settings.secret, settings.region, self.host)

    @property
    def signs(self) -> bool:
        """Whether requests are signed, so that no part of the headers can be reused."""
        return self._signer is not None

    def request(self, operation: str, body: bytes) -> bytes:
        """A whole request."""
        return self.headers(operation, body) + body

    def headers(self, operation: str, body: bytes) -> bytes:
        """Request line and headers, with the empty line that ends them."""
        target = TARGET_PREFIX + operation
        if self._signer is None:
            date, authorization = CONSTANT_DATE, self._constant
        else:
            date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
            authorization = self._signer.authorization(target, body, date)
        return (
            f"POST / HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: {CONTENT_TYPE}\r\n"
            f"X-Amz-Target: {target}\r\nX-Amz-Date: {date}\r\nAuthorization: {authorization}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()


class MarkFill:
    """Fills a document with marks that a template is cut at."""

    def field(self) -> str:
        return "field#"

    def text(self, length: int) -> str:
        return "~" * length

    def limit(self) -> int:
        return 999


class Template:
    """One act, cut at the places where keys and values go."""

    __slots__ = ("_cuts", "_fill", "_head", "_parts", "_plain", "_shape", "_slots", "_unsigned", "operation")

    def __init__(
        self, operation: str, document: dict[str, Any], head: Head, items: Shape, fill: RandomFill
    ) -> None:
        """`document` is the request for item `_MARK_NUMBER`, or several times that one, filled with marks."""
        self.operation = operation
        self._head = head
        self._shape = items
        self._fill = fill
        body = shape.compact(document)
        self._unsigned = b"" if head.signs else head.headers(operation, body)
        self._parts, self._slots = _cut(body, items.partition_key(_MARK_NUMBER).encode())
        kinds = [kind for _, kind, _ in self._slots]
        self._cuts = (
            self._parts[0],
            self._parts[2],
            self._parts[4] if len(self._parts) > 4 else b"",
            kinds[1:] == [_SORT],
        )
        self._plain = kinds in ([_PARTITION], [_PARTITION, _SORT]) and items.PER_PARTITION > 1

    def build(self, *numbers: int) -> bytes:
        """The request for these items; as many as the document had."""
        if self._plain:
            before, between, after, sorted_key = self._cuts
            partition, sort = divmod(numbers[0], shape.PER_PARTITION)
            if sorted_key:
                body = (self._unsigned, before, b"p%08d" % partition, between, b"s%d" % sort, after)
            else:
                body = (self._unsigned, before, b"p%08d" % partition, between, b"", b"")
            request = b"".join(body)
        else:
            request = self._unsigned + b"".join(self._filled(numbers))
        return request if self._unsigned else self._head.request(self.operation, request)

    def _filled(self, numbers: tuple[int, ...]) -> list[bytes]:
        parts, items, fill = self._parts.copy(), self._shape, self._fill
        at = -1
        for place, kind, length in self._slots:
            if kind == _PARTITION:
                at += 1
                parts[place] = items.partition_key(numbers[at]).encode()
            elif kind == _SORT:
                parts[place] = items.sort_key(numbers[at]).encode()
            elif kind == _TEXT:
                parts[place] = fill.text(length).encode()
            elif kind == _FIELD:
                parts[place] = fill.field().encode()
            else:
                parts[place] = b"%3d" % fill.limit()  # JSON may have blanks before a number
        return parts

    def parts(self) -> tuple[bytes, bytes, bytes, bool]:
        """For other tools: an unsigned request before the partition key, between the keys, and after.

        The last tells whether the sort key is in the request at all.
        """
        before, between, after, sorted_key = self._cuts
        return self._unsigned + before, between, after, sorted_key


def _cut(body: bytes, partition_mark: bytes) -> tuple[list[bytes], list[tuple[int, int, int]]]:
    """The body in pieces, and which of them are to be filled: place, kind, length."""
    marks = rb"(%s)|(?<=\")(s9)(?=\")|(field#)|(~+)|(?<=\"Limit\":)(999)" % re.escape(partition_mark)
    parts: list[bytes] = []
    slots: list[tuple[int, int, int]] = []
    position = 0
    for found in re.finditer(marks, body):
        parts.append(body[position : found.start()])
        slots.append((len(parts), (found.lastindex or 1) - 1, found.end() - found.start()))
        parts.append(b"")
        position = found.end()
    parts.append(body[position:])
    return parts, slots


def templates(settings: LoadSettings, head: Head, fill: RandomFill | None = None) -> dict[str, Template]:
    """A template for each act that the settings' items allow, by the act's name."""
    documents = Documents(settings)
    values = fill or RandomFill(settings, ActSource(settings).random)
    made = {}
    for act in _YCSB_ACTS if settings.plan.ycsb else ACTS:
        document = documents.make(act, (_MARK_NUMBER,) * settings.group, MarkFill())
        if act in OPERATION_OF:
            made[act] = Template(OPERATION_OF[act], document, head, documents.shape, values)
    return made


class RequestSource:
    """An endless, reproducible supply of requests of one workload."""

    __slots__ = ("_next", "_templates", "_update")

    def __init__(self, settings: LoadSettings, head: Head) -> None:
        acts = ActSource(settings)
        self._next = acts.next
        self._templates = templates(settings, head, RandomFill(settings, acts.random))
        self._update = self._templates["update"]

    def next(self) -> Step:
        """The next request."""
        act, numbers = self._next()
        template = self._templates[act]
        request = template.build(*numbers)
        if act != "read-modify-write":
            return template.operation, request, None
        update = self._update
        return template.operation, request, (update.operation, update.build(*numbers), READ_MODIFY_WRITE)
