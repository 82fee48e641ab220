"""Requests as bytes: templates in which only a key changes from one request to the next.

A `Template` is made once for each operation; building a request is one join of five byte strings, or a hash
and a signature more when requests are signed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from hashrange_client.load import shape
from hashrange_client.load.settings import LoadSettings
from hashrange_client.load.signing import CONTENT_TYPE, Signer, constant_authorization

TARGET_PREFIX = "DynamoDB_20120810."
CONSTANT_DATE = "20261001T000000Z"

MIX = (("GetItem", 60), ("Query", 10), ("PutItem", 15), ("UpdateItem", 15))
"""Operations of the mixed workload, with their share in percent."""

OPERATION_OF = {"get": "GetItem", "put": "PutItem", "update": "UpdateItem", "query": "Query"}

_KEY_MARK = b"p99999999"
_SORT_MARK = b"s9"
_MARK_NUMBER = 999_999_999

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


class Template:
    """One operation, cut at the places where partition key and sort key go."""

    __slots__ = ("_cuts", "_head", "_unsigned", "operation")

    def __init__(self, operation: str, document: dict[str, Any], head: Head) -> None:
        """`document` is the request for item `_MARK_NUMBER`."""
        self.operation = operation
        self._head = head
        body = shape.compact(document)
        before, _, rest = body.partition(_KEY_MARK)
        between, mark, after = rest.partition(_SORT_MARK)
        self._cuts = (before, between, after, bool(mark))
        self._unsigned = b"" if head.signs else head.headers(operation, body)

    def build(self, number: int) -> bytes:
        """The request for item `number`."""
        before, between, after, sorted_key = self._cuts
        key = b"p%08d" % (number // shape.PER_PARTITION)
        if sorted_key:
            parts = (self._unsigned, before, key, between, b"s%d" % (number % shape.PER_PARTITION), after)
        else:
            parts = (self._unsigned, before, key, between, b"", after)
        if self._unsigned:
            return b"".join(parts)
        body = b"".join(parts)
        return self._head.request(self.operation, body)

    def parts(self) -> tuple[bytes, bytes, bytes, bool]:
        """For other tools: an unsigned request before the partition key, between the keys, and after.

        The last tells whether the sort key is in the request at all.
        """
        before, between, after, sorted_key = self._cuts
        return self._unsigned + before, between, after, sorted_key


def templates(settings: LoadSettings, head: Head) -> dict[str, Template]:
    """A template for each operation of the workloads, by operation name."""
    table = settings.table
    key = shape.key(_MARK_NUMBER)
    documents: dict[str, dict[str, Any]] = {
        "GetItem": {"TableName": table, "Key": key},
        "PutItem": {"TableName": table, "Item": shape.item(_MARK_NUMBER, settings.item_bytes)},
        "UpdateItem": {
            "TableName": table,
            "Key": key,
            "UpdateExpression": f"ADD {shape.COUNTER} :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        },
        "Query": {
            "TableName": table,
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": key["pk"]},
        },
    }
    if settings.consistent_reads:
        for name in ("GetItem", "Query"):
            documents[name]["ConsistentRead"] = True
    return {name: Template(name, document, head) for name, document in documents.items()}


class RequestSource:
    """An endless, reproducible supply of requests of one workload."""

    __slots__ = ("_choices", "_items", "_random")

    def __init__(self, settings: LoadSettings, head: Head) -> None:
        made = templates(settings, head)
        if settings.workload == "mix":
            self._choices = [made[name] for name, percent in MIX for _ in range(percent)]
        else:
            self._choices = [made[OPERATION_OF[settings.workload]]]
        # Queries read whole partitions, so that items beyond the last full one are left out.
        self._items = settings.items - settings.items % shape.PER_PARTITION
        self._random = random.Random(settings.seed).random

    def next(self) -> tuple[str, bytes]:
        """Operation name and bytes of the next request."""
        choices = self._choices
        template = choices[int(self._random() * len(choices))] if len(choices) > 1 else choices[0]
        return template.operation, template.build(int(self._random() * self._items))
