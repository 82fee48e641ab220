"""DescribeGlobalTableSettings and UpdateGlobalTableSettings: capacity of a global table of version 2017.11.29."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashrange.errors import ApiError
from hashrange.model.scaling import READ, WRITE
from hashrange.model.table_document import PAY_PER_REQUEST, TableDocument
from hashrange_router.regions import group, plans, replica_scaling, settings
from hashrange_router.regions.operations import scale_there, scaling_there
from hashrange_router.regions.settings import Site
from hashrange_router.regions.steps import Scope, Steps, change_table

_INDEX_SCALING: Final = (
    "ProvisionedReadCapacityAutoScalingSettings",
    "ProvisionedWriteCapacityAutoScalingSettings",
)


def described(scope: Scope, document: TableDocument) -> Steps[list[dict[str, Any]]]:
    """ReplicaSettingsDescription of every replica. Auto scaling is left out of one whose region does not answer."""
    found = []
    for region, entry in sorted(group.present(document).items()):
        if region == scope.region:
            scaling = replica_scaling.replica(document, scope.context.controls, scope.context.site.account)
        else:
            scaling = (yield from scaling_there(scope, document, region)) or {}
        found.append(_replica(document, region, entry, scaling))
    return found


def _replica(
    document: TableDocument, region: str, entry: Mapping[str, Any], scaling: Mapping[str, Any]
) -> dict[str, Any]:
    billing = settings.extract(document)["billing"]
    on_demand = billing["BillingMode"] == PAY_PER_REQUEST
    shown: dict[str, Any] = {
        "RegionName": region,
        "ReplicaStatus": entry["Status"],
        "ReplicaBillingModeSummary": {"BillingMode": billing["BillingMode"]},
        "ReplicaProvisionedReadCapacityUnits": 0 if on_demand else entry.get("Read") or billing["Read"],
        "ReplicaProvisionedWriteCapacityUnits": billing["Write"],
    }
    for member in (
        "ReplicaProvisionedReadCapacityAutoScalingSettings",
        "ReplicaProvisionedWriteCapacityAutoScalingSettings",
    ):
        if member in scaling:
            shown[member] = scaling[member]
    if "TableClass" in entry:
        shown["ReplicaTableClassSummary"] = {"TableClass": entry["TableClass"]}
    scaled = {index["IndexName"]: index for index in scaling.get("GlobalSecondaryIndexes", ())}
    indexes = []
    for index in document["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        units = billing["Indexes"].get(name, {"Read": 0, "Write": 0})
        own = entry.get("Indexes", {}).get(name, {})
        capacity = (
            {}
            if on_demand
            else {
                "ProvisionedReadCapacityUnits": own.get("Read") or units["Read"],
                "ProvisionedWriteCapacityUnits": units["Write"],
            }
        )
        known = scaled.get(name, {})
        indexes.append(
            {
                "IndexName": name,
                "IndexStatus": index["Status"],
                **capacity,
                **{member: known[member] for member in _INDEX_SCALING if member in known},
            }
        )
    if indexes:
        shown["ReplicaGlobalSecondaryIndexSettings"] = indexes
    return shown


def update(scope: Scope, name: str, request: Mapping[str, Any]) -> Steps[None]:
    """Change what UpdateGlobalTableSettings names, of all replicas or of some."""
    indexes = request.get("GlobalTableGlobalSecondaryIndexSettingsUpdate") or ()
    writes = {
        each["IndexName"]: each["ProvisionedWriteCapacityUnits"]
        for each in indexes
        if "ProvisionedWriteCapacityUnits" in each
    }
    mode = request.get("GlobalTableBillingMode")
    units = request.get("GlobalTableProvisionedWriteCapacityUnits")
    replicas = request.get("ReplicaSettingsUpdate") or ()

    def plan(known: TableDocument | None, site: Site) -> TableDocument | None:
        if known is None or not group.is_global(known):
            raise ApiError(
                "GlobalTableNotFoundException", f"Global table with name: '{name}' does not exist."
            )
        new = known
        if mode is not None or units is not None or writes:
            new = plans.set_billing(known, mode, units, writes, site, scope.context.site.quotas)
        for replica in replicas:
            action = _action(replica)
            if action:
                new = plans.overridden(new, replica["RegionName"], action, site, scope.context.site.quotas)
        return new

    yield from change_table(scope, name, plan)
    yield from _scale(scope, name, request, indexes, replicas)


def _action(replica: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of one replica, as UpdateTable would say it."""
    found: dict[str, Any] = {}
    if "ReplicaProvisionedReadCapacityUnits" in replica:
        found["ProvisionedThroughputOverride"] = {
            "ReadCapacityUnits": replica["ReplicaProvisionedReadCapacityUnits"]
        }
    if "ReplicaTableClass" in replica:
        found["TableClassOverride"] = replica["ReplicaTableClass"]
    indexes = [
        {
            "IndexName": index["IndexName"],
            "ProvisionedThroughputOverride": {"ReadCapacityUnits": index["ProvisionedReadCapacityUnits"]},
        }
        for index in replica.get("ReplicaGlobalSecondaryIndexSettingsUpdate") or ()
        if "ProvisionedReadCapacityUnits" in index
    ]
    if indexes:
        found["GlobalSecondaryIndexes"] = indexes
    return found


def _scale(scope: Scope, name: str, request: Mapping[str, Any], indexes: Any, replicas: Any) -> Steps[None]:
    here: list[replica_scaling.Update] = []
    whole = request.get("GlobalTableProvisionedWriteCapacityAutoScalingSettingsUpdate")
    if whole is not None:
        here.append({"Index": "", "Units": WRITE, "Settings": whole})
    for index in indexes:
        update = index.get("ProvisionedWriteCapacityAutoScalingSettingsUpdate")
        if update is not None:
            here.append({"Index": index["IndexName"], "Units": WRITE, "Settings": update})
    elsewhere: dict[str, list[replica_scaling.Update]] = {}
    for replica in replicas:
        updates: list[replica_scaling.Update] = []
        read = replica.get("ReplicaProvisionedReadCapacityAutoScalingSettingsUpdate")
        if read is not None:
            updates.append({"Index": "", "Units": READ, "Settings": read})
        for index in replica.get("ReplicaGlobalSecondaryIndexSettingsUpdate") or ():
            update = index.get("ProvisionedReadCapacityAutoScalingSettingsUpdate")
            if update is not None:
                updates.append({"Index": index["IndexName"], "Units": READ, "Settings": update})
        if replica["RegionName"] == scope.region:
            here += updates
        elif updates:
            elsewhere[replica["RegionName"]] = updates
    if here:
        yield from replica_scaling.change(scope, name, here)
    document = scope.context.get(name)
    if document is not None and group.is_global(document):
        for region, updates in elsewhere.items():
            yield from scale_there(scope, document, region, updates)
