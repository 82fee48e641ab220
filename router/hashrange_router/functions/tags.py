"""Tags of functions and of event source mappings."""

from __future__ import annotations

from collections.abc import Mapping

from hashrange_router.functions.errors import invalid
from hashrange_router.functions.requests import Change, Document, Request

TAGS_MAX = 50
"""Tags of one resource (AWS Lambda Developer Guide)."""
_SIGNS = frozenset("_.:/=+-@ ")


def check_tags(tags: Mapping[str, str]) -> None:
    """Which tags a resource may have; InvalidParameterValueException otherwise."""
    if len(tags) > TAGS_MAX:
        raise invalid(f"Number of tags exceeds resource tag limit. Limit: {TAGS_MAX}")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise invalid(
                "System tags cannot be added or updated by the requester: the prefix aws: is reserved"
            )
        for text in (key, value):
            if not all(sign.isalnum() or sign.isspace() or sign in _SIGNS for sign in text):
                raise invalid(f"The tag {key!r} has characters that are not allowed")


def tag(request: Request, document: Document) -> Change:
    """TagResource."""
    tags = {**document["Tags"], **request["Tags"]}
    check_tags(tags)
    return Change({**document, "Tags": tags})


def untag(request: Request, document: Document) -> Change:
    """UntagResource: keys that are not there are passed over."""
    gone = set(request["TagKeys"])
    return Change(
        {**document, "Tags": {key: kept for key, kept in document["Tags"].items() if key not in gone}}
    )
