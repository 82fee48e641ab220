"""UpdateTable: the rules that the request alone decides.

They come before the table is looked up. The service takes nearly one concern a request: most pairs of
settings are refused however right each is on its own, and the first of them in a fixed order names the
error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hashrange.errors import invalid_parameter, validation
from hashrange.model.table_document import PAY_PER_REQUEST, PROVISIONED, key_names
from hashrange_router.api.tables_keys import (
    check_global_key_order,
    check_keys_defined,
    check_projection,
)
from hashrange_router.api.tables_settings import (
    check_encryption,
    check_stream_on_update,
    refuse_unsupported,
)
from hashrange_router.api.tables_throughput import check_bounds

_NOTHING_TO_DO = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, "
    "SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, "
    "MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput "
    "or TableClass is required"
)

_EXCLUSIVE = (
    ("SSESpecification", "Server-Side Encryption modification must be the only operation in the request"),
    ("TableClass", "TableClass modification must be the only operation in the request"),
    (
        "DeletionProtectionEnabled",
        "DeletionProtection modification must be the only operation in the request",
    ),
)
_CHANGES = (
    "ProvisionedThroughput",
    "BillingMode",
    "StreamSpecification",
    "GlobalSecondaryIndexUpdates",
    "SSESpecification",
    "DeletionProtectionEnabled",
    "OnDemandThroughput",
    "WarmThroughput",
    "TableClass",
)


def check_request(request: Mapping[str, Any]) -> None:
    """Raise the first error of an UpdateTable request that does not depend on the table."""
    refuse_unsupported(request)
    present = {member for member in _CHANGES if _given(request, member)}
    if not present:
        raise validation(_NOTHING_TO_DO)
    updates = request.get("GlobalSecondaryIndexUpdates")
    if updates is not None and not updates:
        raise invalid_parameter("List of GlobalSecondaryIndexUpdates is empty")
    _check_combination(present, request.get("BillingMode"), updates or ())
    _check_billing(request)
    if "StreamSpecification" in present:
        check_stream_on_update(request["StreamSpecification"])
    if "SSESpecification" in present:
        check_encryption(request["SSESpecification"])
    _check_index_updates(request, updates or ())


def _given(request: Mapping[str, Any], member: str) -> bool:
    """Whether a member says anything; only an SSESpecification may be empty and still mean something."""
    value = request.get(member)
    if member == "SSESpecification" or isinstance(value, bool):
        return value is not None
    return bool(value)


def _check_combination(
    present: set[str], billing_mode: str | None, updates: Sequence[Mapping[str, Any]]
) -> None:
    """Which changes may come in one request."""
    for member, text in _EXCLUSIVE:
        if member in present and len(present) > 1:
            raise invalid_parameter(text)
    structural = any(update.get("Create") or update.get("Delete") for update in updates)
    if "WarmThroughput" in present and len(present) > 1:
        if any(update.get("Create") for update in updates):
            raise invalid_parameter(
                "Create global secondary index cannot be specified when updating WarmThroughput"
            )
        raise invalid_parameter("WarmThroughput must be the only operation in the request")
    if "OnDemandThroughput" in present and present - {"OnDemandThroughput", "BillingMode"}:
        raise invalid_parameter(
            "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"
        )
    changes_units = "ProvisionedThroughput" in present or billing_mode == PROVISIONED
    if changes_units and "StreamSpecification" in present:
        raise invalid_parameter("You cannot modify stream status while updating table IOPS")
    if changes_units and structural:
        raise invalid_parameter("You cannot create or delete index while updating table IOPS")
    if "StreamSpecification" in present and structural:
        raise invalid_parameter("You cannot create or delete index while changing stream status")


def _check_billing(request: Mapping[str, Any]) -> None:
    mode, provisioned = request.get("BillingMode"), request.get("ProvisionedThroughput")
    if mode == PAY_PER_REQUEST and provisioned is not None:
        raise invalid_parameter(
            "ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST"
        )
    if mode == PROVISIONED and provisioned is None:
        raise invalid_parameter("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    if provisioned is not None:
        check_bounds(provisioned)


def _check_index_updates(request: Mapping[str, Any], updates: Sequence[Mapping[str, Any]]) -> None:
    """One action an entry, one entry an index, and new indexes well defined."""
    names: set[str] = set()
    for update in updates:
        actions = [kind for kind in ("Update", "Create", "Delete") if update.get(kind) is not None]
        if not actions:
            raise invalid_parameter(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null"
            )
        if len(actions) > 1:
            raise invalid_parameter(
                "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"
            )
        action = update[actions[0]]
        name = action["IndexName"]
        if name in names:
            raise invalid_parameter(
                f"Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )
        names.add(name)
        if actions[0] == "Create":
            _check_new_index(action, request.get("AttributeDefinitions"))
        elif actions[0] == "Update":
            warm = action.get("WarmThroughput")
            if warm is not None and not warm:
                raise invalid_parameter(
                    "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond "
                    f"specified for index: {name}"
                )


def _check_new_index(index: Mapping[str, Any], definitions: Sequence[Mapping[str, str]] | None) -> None:
    """Key and projection of an index to be added; its key must be defined in the same request."""
    if not definitions:
        raise invalid_parameter(f"AttributeDefinitions is not specified for index: {index['IndexName']}")
    names = [definition["AttributeName"] for definition in definitions]
    check_keys_defined(key_names(index["KeySchema"]), names)
    for position, name in enumerate(names):
        if name in names[:position]:
            raise validation(f"Attribute Name is duplicated: {name}")
    check_global_key_order(index["KeySchema"])
    check_projection(index["Projection"])
