"""Rules on the parameters of BatchGetItem and BatchWriteItem, before values are parsed and tables are known.

That a single table's list is neither empty nor too long is a constraint of the model and checked by the
validator; the limits here are those on the whole batch. Source of the texts: observed behaviour of the real
service. All raise ValidationException.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

import orjson

from hashrange.errors import validation
from hashrange_router.api.prefix import Wording
from hashrange_router.api.rules_common import (
    NAMES,
    Parameters,
    check_attributes_to_get,
    check_empty_maps,
    check_expressions,
    mixture,
)

KEYS_MAX: Final = 100
WRITES_MAX: Final = 25

TOO_MANY: Final = "Too many items requested for the {operation} call"
DUPLICATES: Final = "Provided list of item keys contains duplicates"
NOT_ONE_REQUEST: Final = (
    "Supplied AttributeValue has more than one datatypes set, "
    "must contain exactly one of the supported datatypes"
)

_ENTRY: Final = Parameters("BatchGetItem", ("ProjectionExpression",), ("AttributesToGet",), (), "")


def check_batch_get_item(request: dict[str, Any], wording: Wording) -> None:
    """Rules on the parameters of BatchGetItem, its limit on keys, and no key twice for one table.

    Keys are compared as they were sent: two spellings of one number are two keys here.
    """
    tables = request["RequestItems"]
    legacy = expressions = False
    count = 0
    for entry in tables.values():
        legacy = legacy or "AttributesToGet" in entry
        expressions = expressions or "ProjectionExpression" in entry
        count += len(entry["Keys"])
        if NAMES in entry or "AttributesToGet" in entry:
            check_expressions(entry, _ENTRY, wording)
            check_attributes_to_get(entry.get("AttributesToGet"))
            check_empty_maps(entry, _ENTRY, wording)
    if legacy and expressions:
        raise validation(mixture(["AttributesToGet"], ["ProjectionExpression"]))
    if count > KEYS_MAX:
        raise validation(TOO_MANY.format(operation="BatchGetItem"))
    for entry in tables.values():
        if len(entry["Keys"]) > 1:
            check_no_duplicates(map(_identity, entry["Keys"]))


def check_batch_write_item(request: dict[str, Any], wording: Wording) -> None:
    """Rules on the parameters of BatchWriteItem: one put or one delete in each request, and their limit.

    Duplicate keys cannot be seen before the tables' schemas are known: see `check_no_duplicates`.
    """
    count = 0
    for writes in request["RequestItems"].values():
        count += len(writes)
        for write in writes:
            if ("PutRequest" in write) is ("DeleteRequest" in write):
                raise validation(NOT_ONE_REQUEST)
    if count > WRITES_MAX:
        raise validation(TOO_MANY.format(operation="BatchWriteItem"))


def check_no_duplicates(identities: Iterable[Hashable]) -> None:
    """Refuse a batch that names one item twice; `identities` are encoded keys or their like."""
    seen: set[Hashable] = set()
    for identity in identities:
        if identity in seen:
            raise validation(DUPLICATES)
        seen.add(identity)


def _identity(key: dict[str, Any]) -> Hashable:
    """A key's JSON with sorted names; one nested too deeply to be written is nobody's duplicate."""
    try:
        return orjson.dumps(key, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return id(key)
