"""Tags of tables: TagResource, UntagResource, ListTagsOfResource, and the Tags of CreateTable.

The service words all errors on tags itself instead of leaving them to the constraints of the API model. A
request is taken whole or not at all. Up to 50 tags fit in one page, so a list of them is never continued; a
NextToken is ignored.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hashrange.errors import ApiError, resource_not_found, validation
from hashrange.model.table_arn import resolve_resource_name
from hashrange.model.table_document import TableDocument, revised
from hashrange_router.api.tables_plan import Catalogue, Plan, Site, check_settled
from hashrange_router.api.tables_quotas import TAG_KEY_LENGTH_MAX, TAG_VALUE_LENGTH_MAX, TAGS_MAX

_PUNCTUATION = frozenset("_.:/=+-@")
_RESERVED_PREFIX = "aws:"


def tag_resource(request: Mapping[str, Any], catalogue: Catalogue, site: Site) -> Plan:
    """TagResource: set tags; a key that is set already gets the new value. The answer has no body."""
    name = resolve_resource_name(request.get("ResourceArn"), site.region, site.account)
    tags = request.get("Tags") or ()
    if not tags:
        raise validation("Atleast one Tag needs to be provided as Input.")
    _check_tags(tags)
    document = _writable(name, request["ResourceArn"], catalogue)
    return _plan(document, merged_tags(document["Tags"], tags))


def untag_resource(request: Mapping[str, Any], catalogue: Catalogue, site: Site) -> Plan:
    """UntagResource: take tags away by key; a key that is not set is no error. The answer has no body."""
    name = resolve_resource_name(request.get("ResourceArn"), site.region, site.account)
    keys = request.get("TagKeys") or ()
    if not keys:
        raise validation("Atleast one Tag Key needs to be provided as Input.")
    if len(keys) > TAGS_MAX:
        raise _too_many()
    for key in keys:
        _check_key(key)
    document = _writable(name, request["ResourceArn"], catalogue)
    return _plan(document, {key: value for key, value in document["Tags"].items() if key not in keys})


def list_tags_of_resource(request: Mapping[str, Any], catalogue: Catalogue, site: Site) -> dict[str, Any]:
    """ListTagsOfResource: all tags, in the order in which their keys were first set."""
    name = resolve_resource_name(request.get("ResourceArn"), site.region, site.account)
    document = _existing(name, request["ResourceArn"], catalogue)
    return {"Tags": [{"Key": key, "Value": value} for key, value in document["Tags"].items()]}


def merged_tags(current: Mapping[str, str], tags: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The tags after `tags` were set; ValidationException when one is wrong or there are too many."""
    _check_tags(tags)
    merged = {**current, **{tag["Key"]: tag["Value"] for tag in tags}}
    if len(merged) > TAGS_MAX:
        raise _too_many()
    return merged


def _check_tags(tags: Sequence[Mapping[str, Any]]) -> None:
    if len(tags) > TAGS_MAX:
        raise _too_many()
    seen: set[str] = set()
    for tag in tags:
        key = tag.get("Key")
        _check_key(key)
        value = tag.get("Value")
        if value is None or len(value) > TAG_VALUE_LENGTH_MAX or not _allowed(value):
            shown = "null" if value is None else value
            raise validation(f"The Tag Value provided is invalid, Value: {shown}")
        if key in seen:
            raise validation(f"Duplicate Tag Keys provided as input: Duplicate Tag Key found {key}")
        seen.add(str(key))


def _check_key(key: str | None) -> None:
    if not key or len(key) > TAG_KEY_LENGTH_MAX or not _allowed(key):
        raise validation(f"The Tag Key provided is invalid, Key: {'null' if key is None else key}")
    if key[:4].lower() == _RESERVED_PREFIX:
        raise validation(f"Tag Key cannot be prefixed with aws:, Key: {key}")


def _allowed(text: Iterable[str]) -> bool:
    """Letters, numbers and spaces of any script, and a few signs."""
    return all(character in _PUNCTUATION or unicodedata.category(character)[0] in "LNZ" for character in text)


def _too_many() -> ApiError:
    return validation("Number of Tags exceed the current limit for the provided ResourceArn")


def _existing(name: str | None, arn: str, catalogue: Catalogue) -> TableDocument:
    document = catalogue.get(name) if name is not None else None
    if document is None:
        raise resource_not_found(f"Requested resource not found: ResourceArn: {arn} not found")
    return document


def _writable(name: str | None, arn: str, catalogue: Catalogue) -> TableDocument:
    document = _existing(name, arn, catalogue)
    check_settled(document)
    return document


def _plan(document: TableDocument, tags: dict[str, str]) -> Plan:
    """The plan that sets the tags; none is needed when they are set already."""
    if tags == document["Tags"]:
        return Plan(document, None)
    new = revised(document)
    new["Tags"] = tags
    return Plan(new, None, changed=True)
