"""Lists in pages: MaxResults and NextToken of the Describe operations.

A list has an order of its own that does not change between two calls, so a token says after which entry to go on.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from hashrange.errors import ApiError
from hashrange_router.dax.errors import invalid

SMALLEST: Final = 20
LARGEST: Final = 100
"""The bounds of MaxResults; the largest page is what is given without it (API reference, DescribeClusters)."""


def page(
    request: Mapping[str, Any],
    member: str,
    entries: Sequence[tuple[Any, Any]],
    render: Callable[[Any], Any],
) -> dict[str, Any]:
    """The reply with one page. `entries` are (key, entry) in ascending order of the keys: all texts, or all numbers."""
    limit = request.get("MaxResults", LARGEST)
    if not SMALLEST <= limit <= LARGEST:
        raise invalid(f"MaxResults must be between {SMALLEST} and {LARGEST}")
    left = entries
    if request.get("NextToken"):
        after = _key(request["NextToken"])
        try:
            left = [entry for entry in entries if entry[0] > after]
        except TypeError:
            raise _invalid_token() from None
    reply: dict[str, Any] = {member: [render(entry) for _, entry in left[:limit]]}
    if len(left) > limit:
        reply["NextToken"] = base64.urlsafe_b64encode(orjson.dumps([left[limit - 1][0]])).decode()
    return reply


def _key(token: str) -> Any:
    try:
        key = orjson.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError):
        raise _invalid_token() from None
    if not isinstance(key, list) or len(key) != 1:
        raise _invalid_token()
    return key[0]


def _invalid_token() -> ApiError:
    return invalid("The next token supplied is invalid")
