"""UpdateTable with ReplicaUpdates: the rules that the request and this region's table decide. Pure.

The order and the texts are those of the real service as observed in 2026: replicas are changed one at a time and by
themselves; every refusal is a ValidationException, and none of the exceptions that the older API has for the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hashrange.errors import ApiError, invalid_parameter, resource_in_use, validation
from hashrange.model.table_document import PAY_PER_REQUEST, PROVISIONED, TableDocument, is_updating
from hashrange_router.api.tables_plan import check_settled, in_use
from hashrange_router.api.tables_settings import encryption_description
from hashrange_router.regions import group

MEMBERS: Final = ("ReplicaUpdates", "GlobalTableWitnessUpdates", "MultiRegionConsistency")
"""Members of UpdateTable that are about replicas."""
_KINDS: Final = ("Create", "Update", "Delete", "Disassociate")
_OVERRIDES: Final = (
    "KMSMasterKeyId",
    "ProvisionedThroughputOverride",
    "OnDemandThroughputOverride",
    "GlobalSecondaryIndexes",
    "TableClassOverride",
)
_ALONE: Final = ("TableName", "AttributeDefinitions", *MEMBERS)

IN_USE: Final = "The resource which you are attempting to change is in use."
NO_ACTION: Final = "There are no actions specified in the Replica Update Action of the request."
KEY_FOR_EACH: Final = "KMSMasterKeyId must be specified for each replica."


def concerns_replicas(request: Mapping[str, Any]) -> bool:
    """Whether an UpdateTable is about replicas."""
    return any(request.get(member) is not None for member in MEMBERS)


def action_of(request: Mapping[str, Any], region: str) -> tuple[str, Mapping[str, Any]]:
    """What an UpdateTable asks for: "Create", "Update" or "Delete", and the action; ValidationException."""
    if any(request.get(member) is not None for member in request if member not in _ALONE):
        raise invalid_parameter("Replica modification must be the only operation in the request")
    _check_consistency(request)
    updates: Sequence[Mapping[str, Any]] = request["ReplicaUpdates"]
    actions: list[tuple[str, Mapping[str, Any]]] = []
    for update in updates:
        asked = [kind for kind in _KINDS if update.get(kind) is not None]
        if not asked:
            raise validation(NO_ACTION)
        if len(asked) > 1:
            raise _mixed()
        actions.append((asked[0], update[asked[0]]))
    if len({kind for kind, _ in actions}) > 1:
        raise _mixed()
    kind, action = actions[0]
    if len({each["RegionName"] for _, each in actions}) > 1:
        if kind == "Update":
            raise validation("Cannot target multiple regions with the same action")
        raise validation(
            "Update table operation with more than one create or delete replica actions not allowed"
        )
    if kind == "Disassociate":
        raise validation("Disassociating a replica is not supported by this server; delete it with Delete")
    if action["RegionName"] == region:
        raise validation(
            "Cannot add or delete the local region through ReplicaUpdates. "
            "Use CreateTable, DeleteTable, or UpdateTable as required."
        )
    if kind == "Update":
        _check_update(action)
    return kind, action


def _mixed() -> ApiError:
    return validation("Update table operation with more than one type of replica actions not allowed")


def _check_consistency(request: Mapping[str, Any]) -> None:
    consistency = request.get("MultiRegionConsistency")
    if request.get("GlobalTableWitnessUpdates") is not None and consistency != "STRONG":
        raise validation(
            "MultiRegionConsistency must be set as STRONG when GlobalTableWitnessUpdates parameter is present"
        )
    if consistency == "STRONG":
        raise validation(
            "MultiRegionConsistency STRONG is not supported by this server: its global tables are eventually "
            "consistent. Leave the parameter out, or set it to EVENTUAL"
        )
    if request.get("ReplicaUpdates") is None:
        raise validation("MultiRegionConsistency can only be specified when replicas are created")
    if consistency is not None and not all(update.get("Create") for update in request["ReplicaUpdates"]):
        raise validation("MultiRegionConsistency can only be specified when replicas are created")


def _check_update(action: Mapping[str, Any]) -> None:
    if action.get("KMSMasterKeyId") is not None:
        raise invalid_parameter(KEY_FOR_EACH)
    if not any(action.get(member) for member in _OVERRIDES):
        raise validation(NO_ACTION)
    for index in action.get("GlobalSecondaryIndexes") or ():
        if not index.get("ProvisionedThroughputOverride") and not index.get("OnDemandThroughputOverride"):
            raise validation(NO_ACTION)


def check_create(
    document: TableDocument,
    action: Mapping[str, Any],
    account: str,
    scaled: Mapping[str | None, bool],
) -> None:
    """Whether this region's table may get the replica. `scaled`: whether writes to it, and its indexes, are scaled."""
    check_settled(document)
    region = action["RegionName"]
    if group.is_global(document):
        _check_version(document)
        if region in group.others(document):
            raise exists(document["TableName"])
        if any(each["Status"] == group.CREATING for each in group.present(document).values()):
            raise resource_in_use(IN_USE)
    if is_updating(document):
        raise in_use(f"Table is being updated: {document['TableName']}")
    if document["BillingMode"] == PROVISIONED:
        for index, is_scaled in scaled.items():
            if not is_scaled:
                what = "Table" if index is None else "GSI"
                raise validation(f"{what} write capacity should either be Pay-Per-Request or AutoScaled.")
    _check_key(document, action.get("KMSMasterKeyId"), account)
    check_override_modes(document, action, creating=True)


def _check_key(document: TableDocument, key: str | None, account: str) -> None:
    """A table with a key of its owner needs one for every replica; others take none."""
    encryption = document.get("SSEDescription")
    region = document["TableArn"].split(":")[3]
    managed = encryption_description({}, region, account)["KMSMasterKeyArn"]
    owned = encryption is not None and encryption["KMSMasterKeyArn"] != managed
    if owned != (key is not None):
        raise invalid_parameter(KEY_FOR_EACH)
    if key == "alias/aws/dynamodb":
        raise invalid_parameter("All replica keys must either be Customer Managed CMK or AWS Managed CMK.")


def check_override_modes(document: TableDocument, action: Mapping[str, Any], *, creating: bool) -> None:
    """Overrides fit the billing mode; a new replica may be told units for a mode that the table is not in yet."""
    owners = [action, *(action.get("GlobalSecondaryIndexes") or ())]
    for owner in owners:
        if owner.get("OnDemandThroughputOverride") and document["BillingMode"] == PROVISIONED:
            raise validation(
                "MaxReadRequestUnits for OnDemandThroughput cannot be specified "
                "when the table BillingMode is PROVISIONED"
            )
        if (
            owner.get("ProvisionedThroughputOverride")
            and document["BillingMode"] == PAY_PER_REQUEST
            and not creating
        ):
            raise validation(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
                "when BillingMode is PAY_PER_REQUEST"
            )


def check_member(document: TableDocument, region: str, *, leaving: bool = True) -> None:
    """ValidationException when a region has no replica. `leaving` False: also when it is about to have none."""
    if group.is_global(document):
        _check_version(document)
        if region in group.present(document):
            return
        if leaving and region in document["Replication"]["Leaving"]:
            raise resource_in_use(IN_USE)
    raise validation(
        "Update global table operation failed because one or more replicas were not part of the global table. "
        f"Please retry the request without these replicas: [{region}]."
    )


def _check_version(document: TableDocument) -> None:
    if "Legacy" in document["Replication"]:
        raise validation(
            f"Table {document['TableName']} is a replica of a global table of version 2017.11.29, "
            "whose replicas are changed by UpdateGlobalTable"
        )


def exists(name: str) -> ApiError:
    """There is a table of that name where the replica is to be."""
    return validation(
        f"Failed to create a the new replica of table with name: ‘{name}’ because one or more replicas already "
        "existed as tables."
    )


def no_endpoint(region: str) -> ApiError:
    """This installation does not know where the region is."""
    return validation(
        f"Region {region} is not supported: no endpoint of it is configured here. Name its routers in the setting "
        f"peers (--peers {region}=http://HOST:PORT, HASHRANGE_PEERS) of every node and router, "
        "and this region's in the other one"
    )


def check_there(reply: Mapping[str, Any], name: str, region: str, own: str) -> None:
    """Whether the other region can have a replica, as it answered itself (see `control`)."""
    if not reply.get("Knows", True):
        raise validation(
            f"Region {region} has no endpoint of {own}, so that it could not send its changes. Name this region's "
            f"routers in the setting peers of every node and router of {region} (--peers {own}=http://HOST:PORT)"
        )
    if reply["State"] != "none":
        raise exists(name)


def protected(name: str, region: str) -> ApiError:
    """The replica must not be deleted."""
    return validation(
        f"Cannot delete table {name} in region {region} because it has deletion protection enabled. "
        "Disable deletion protection first."
    )
