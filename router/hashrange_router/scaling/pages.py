"""Lists in pages: MaxResults and NextToken of the Describe operations.

A list has an order of its own that does not change between two calls, so a token says after which entry to go on.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from hashrange_router.scaling.errors import invalid_token, validation

PAGE = 50
PAGE_OF_POLICIES = 10


def page(
    request: Mapping[str, Any],
    member: str,
    entries: Sequence[tuple[list[Any], Any]],
    render: Callable[[Any], dict[str, Any]],
    largest: int = PAGE,
) -> dict[str, Any]:
    """The reply with one page. `entries` are (key, entry) in ascending order of their keys, which are JSON lists."""
    limit = request.get("MaxResults", largest)
    if not 1 <= limit <= largest:
        raise validation(f"MaxResults must be between 1 and {largest}")
    after = _key(request["NextToken"]) if request.get("NextToken") else None
    try:
        left = [entry for entry in entries if after is None or entry[0] > after]
    except TypeError:
        raise invalid_token() from None
    reply: dict[str, Any] = {member: [render(entry) for _, entry in left[:limit]]}
    if len(left) > limit:
        reply["NextToken"] = base64.urlsafe_b64encode(orjson.dumps(left[limit - 1][0])).decode()
    return reply


def _key(token: str) -> list[Any]:
    try:
        key = orjson.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError):
        raise invalid_token() from None
    if not isinstance(key, list):
        raise invalid_token()
    return key
