"""Tags of clusters: lists of keys and values, in the order in which the keys came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hashrange_router.dax.errors import invalid, no_tag, too_many_tags

TAGS_MAX: Final = 50
"""Tags of one cluster (DAX Developer Guide, Tagging)."""
KEY_MAX: Final = 128
VALUE_MAX: Final = 256

Tags = list[dict[str, str]]


def merged(before: Tags, given: Sequence[dict[str, Any]]) -> Tags:
    """Tags with others added; those with the same keys are replaced. TagQuotaPerResourceExceeded."""
    found = {tag["Key"]: tag["Value"] for tag in before}
    for tag in given:
        key, value = tag.get("Key") or "", tag.get("Value") or ""
        if not key or len(key) > KEY_MAX or len(value) > VALUE_MAX:
            raise invalid(
                f"A tag has a key of 1 to {KEY_MAX} characters and a value of at most {VALUE_MAX} characters"
            )
        if key.lower().startswith("aws:"):
            raise invalid(f"Tag keys that begin with aws: are reserved: {key}")
        found[key] = value
    if len(found) > TAGS_MAX:
        raise too_many_tags(TAGS_MAX)
    return [{"Key": key, "Value": value} for key, value in found.items()]


def without(before: Tags, keys: Sequence[str]) -> Tags:
    """Tags but for those with these keys; TagNotFoundFault for one that there is not."""
    known = {tag["Key"] for tag in before}
    for key in keys:
        if key not in known:
            raise no_tag(key)
    return [tag for tag in before if tag["Key"] not in keys]
