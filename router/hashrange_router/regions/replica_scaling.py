"""Auto scaling of the replicas of a global table: DescribeTableReplicaAutoScaling, UpdateTableReplicaAutoScaling.

Both are another face of the Application Auto Scaling API: they read and write the same documents. Write capacity is
scaled alike in all regions (`scaling_settings`), read capacity in each as it is set up there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from hashrange.errors import ApiError, resource_not_found, validation
from hashrange.model.scaling import METRICS, READ, TARGETS, WRITE, Scalable, TargetDocument
from hashrange.model.table_document import PAY_PER_REQUEST, TableDocument, find_global_index
from hashrange.wire.documents import ChangeDocument, ControlDocuments
from hashrange.wire.messages import ConflictError
from hashrange_router.regions import group
from hashrange_router.regions.steps import RACES_MAX, Scope
from hashrange_router.scaling import policies, targets
from hashrange_router.scaling.requests import Setting

Update = Mapping[str, Any]
"""{"Index": index name or "", "Units": READ | WRITE, "Settings": AutoScalingSettingsUpdate}."""

OFF: Final = {"AutoScalingDisabled": True, "ScalingPolicies": []}
_CONFIGURATION: Final = "TargetTrackingScalingPolicyConfiguration"


def replica(document: TableDocument, controls: ControlDocuments, account: str) -> dict[str, Any]:
    """ReplicaAutoScalingDescription of this region's replica."""
    own = group.own_replica(document)
    name = document["TableName"]

    def settings(index: str, units: str) -> dict[str, Any]:
        stored = controls.get(TARGETS, Scalable(name, index or None, units).document_name)
        return _described(stored["document"], account) if stored is not None else dict(OFF)

    return {
        "RegionName": group.own_region(document),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index["IndexName"],
                "IndexStatus": index["Status"],
                "ProvisionedReadCapacityAutoScalingSettings": settings(index["IndexName"], READ),
                "ProvisionedWriteCapacityAutoScalingSettings": settings(index["IndexName"], WRITE),
            }
            for index in document["GlobalSecondaryIndexes"]
        ],
        "ReplicaProvisionedReadCapacityAutoScalingSettings": settings("", READ),
        "ReplicaProvisionedWriteCapacityAutoScalingSettings": settings("", WRITE),
        "ReplicaStatus": own["Status"],
    }


def unknown_replica(document: TableDocument, region: str, status: str) -> dict[str, Any]:
    """The same of a region that cannot be asked: it has the indexes that all have, and what it scales is not known."""
    return {
        "RegionName": region,
        "GlobalSecondaryIndexes": [
            {"IndexName": index["IndexName"], "IndexStatus": index["Status"]}
            for index in document["GlobalSecondaryIndexes"]
        ],
        "ReplicaStatus": status,
    }


def _described(target: TargetDocument, account: str) -> dict[str, Any]:
    bounds = target["Target"]
    return {
        "MinimumUnits": bounds["Min"],
        "MaximumUnits": bounds["Max"],
        "AutoScalingRoleArn": targets.role(account),
        "ScalingPolicies": [
            {
                "PolicyName": name,
                _CONFIGURATION: {
                    member: policy["Given"][member]
                    for member in ("DisableScaleIn", "ScaleInCooldown", "ScaleOutCooldown", "TargetValue")
                    if member in policy["Given"]
                },
            }
            for name, policy in sorted(target["Policies"].items())
        ],
    }


def check(table: str, update: Update) -> None:
    """ValidationException for settings that are not whole: all three are needed, or it is switched off."""
    settings = update["Settings"]
    if settings.get("AutoScalingDisabled"):
        return
    missing = [
        member for member in ("MaximumUnits", "ScalingPolicyUpdate", "MinimumUnits") if member not in settings
    ]
    if missing:
        listed = ", ".join(f"'{member}'" for member in missing)
        raise validation(
            f"Failed to update settings for global table with name: ‘{table}’: Parameters {listed} are required "
            "unless auto scaling is being disabled."
        )


def change(scope: Scope, table: str, updates: list[Update]) -> Generator[Any, Any, None]:
    """Steps that set up auto scaling of this region's replica. Raises what the Application Auto Scaling API would."""
    document = scope.context.get(table)
    if document is None:
        raise resource_not_found(f"Global table with name: '{table}' does not exist.")
    for update in updates:
        index = update["Index"] or None
        if index is not None and find_global_index(document, index) is None:
            raise resource_not_found(
                f"Requested resource not found: Index: {index} not found for table: {table}"
            )
        if document["BillingMode"] == PAY_PER_REQUEST and not update["Settings"].get("AutoScalingDisabled"):
            raise on_demand(document, update["Units"])
        check(table, update)
    for update in updates:
        what = Scalable(table, update["Index"] or None, update["Units"])
        yield from _commit(scope, what, update["Settings"])


def on_demand(document: TableDocument, units: str) -> ApiError:
    """ValidationException: a table on demand has no capacity to be scaled."""
    listed = ", ".join(f"'{region.upper()}'" for region in sorted(group.present(document)))
    member = (
        "GlobalTableProvisionedWriteCapacityAutoScalingSettingsUpdate"
        if units == WRITE
        else "ReplicaProvisionedReadCapacityAutoScalingSettingsUpdate"
    )
    return validation(
        f"Failed to update global table with name ‘{document['TableName']}‘. Replicas {listed} BillingMode is "
        f"PayPerRequest. You must convert table's BillingMode to PROVISIONED to set parameters: '{member}'."
    )


def _commit(scope: Scope, what: Scalable, settings: Mapping[str, Any]) -> Generator[Any, Any, None]:
    context = scope.context
    for _ in range(RACES_MAX):
        stored = context.controls.get(TARGETS, what.document_name)
        before = stored["document"] if stored is not None else None
        setting = Setting(scope.region, context.site.account, context.now(), context.new_id())
        after = _planned(what, before, settings, setting)
        if after == before:
            return
        try:
            yield ChangeDocument(
                TARGETS, what.document_name, stored["generation"] if stored is not None else None, after
            )
        except ConflictError:
            continue
        return


def _planned(
    what: Scalable, before: TargetDocument | None, settings: Mapping[str, Any], setting: Setting
) -> TargetDocument | None:
    if settings.get("AutoScalingDisabled"):
        return None
    bounds = {"MinCapacity": settings["MinimumUnits"], "MaxCapacity": settings["MaximumUnits"]}
    made = targets.register(bounds, what, before, setting).document
    assert made is not None, "a registration makes a document"
    policy = settings["ScalingPolicyUpdate"]
    name = policy.get("PolicyName") or next(iter(made["Policies"]), default_policy(what))
    request = {
        "PolicyName": name,
        "PolicyType": policies.TRACKING,
        _CONFIGURATION: {
            **policy[_CONFIGURATION],
            "PredefinedMetricSpecification": {"PredefinedMetricType": METRICS[what.units]},
        },
    }
    kept = {known: each for known, each in made["Policies"].items() if known == name}
    return policies.put(request, what, {**made, "Policies": kept}, setting).document


def default_policy(what: Scalable) -> str:
    """The name of a policy that was given none."""
    return f"{METRICS[what.units]}:{what.resource_id}"
