"""Scaling policies: PutScalingPolicy, DeleteScalingPolicy and DescribeScalingPolicies.

A table or an index is scaled by target tracking alone, on the predefined metric of the dimension. There are no alarms
to be looked at here: those that a reply names say which of its rules made the scaler act (see the activities).
"""

from __future__ import annotations

from typing import Any

from hashrange.model.scaling import METRICS, Scalable, TargetDocument
from hashrange.model.table_document import timestamp
from hashrange.wire.documents import ControlDocuments
from hashrange_router.scaling import pages
from hashrange_router.scaling.errors import in_words, no_target, not_found, validation
from hashrange_router.scaling.requests import Change, Request, Setting, described, targets

TRACKING = "TargetTrackingScaling"
TARGET_VALUE_MIN = 20
TARGET_VALUE_MAX = 90
"""Per cent of the provisioned units (DynamoDB Developer Guide, managing throughput capacity automatically)."""

ALARMS = ("AlarmHigh", "AlarmLow", "ProvisionedCapacityHigh", "ProvisionedCapacityLow")
_CONFIGURATION = "TargetTrackingScalingPolicyConfiguration"


def put(request: Request, what: Scalable, before: TargetDocument | None, setting: Setting) -> Change:
    """PutScalingPolicy: a new policy, or another configuration of one."""
    _check_type(request)
    if before is None:
        raise no_target("registered", what)
    name = request["PolicyName"]
    known = before["Policies"].get(name)
    given = request.get(_CONFIGURATION)
    if known is None and request.get("PolicyType") is None:
        raise validation("PolicyType must be specified for a new scaling policy")
    if given is None:
        if known is None:
            raise validation(f"{_CONFIGURATION} must be specified for a new scaling policy")
        given = known["Given"]
    _check_configuration(given, what)
    if any(other != name for other in before["Policies"]):
        raise validation("Only one TargetTrackingScaling policy for a given metric specification is allowed.")
    policy = {
        "Arn": known["Arn"] if known else _arn(name, what, setting),
        "CreatedAt": known["CreatedAt"] if known else timestamp(setting.now),
        "AlarmId": known["AlarmId"] if known else setting.new_id,
        "TargetValue": given["TargetValue"],
        "InCooldown": given.get("ScaleInCooldown", 0),
        "OutCooldown": given.get("ScaleOutCooldown", 0),
        "DisableIn": given.get("DisableScaleIn", False),
        "Given": given,
    }
    reply = {"PolicyARN": policy["Arn"], "Alarms": _alarms(policy, what, setting)}
    return Change({**before, "Policies": {**before["Policies"], name: policy}}, reply)


def _check_type(request: Request) -> None:
    kind = request.get("PolicyType") or TRACKING
    if kind != TRACKING or "StepScalingPolicyConfiguration" in request:
        unsupported = kind if kind != TRACKING else "StepScaling"
        raise validation(
            f"The policy type {unsupported} is not supported for DynamoDB resources; use {TRACKING}"
        )


def _check_configuration(given: dict[str, Any], what: Scalable) -> None:
    if "CustomizedMetricSpecification" in given:
        raise validation("CustomizedMetricSpecification is not supported by this server: it keeps no metrics")
    specification = given.get("PredefinedMetricSpecification")
    if specification is None:
        raise validation("A PredefinedMetricSpecification must be specified")
    metric = specification["PredefinedMetricType"]
    if metric != METRICS[what.units]:
        raise validation(
            f"The predefined metric type {metric} does not fit the scalable dimension {what.dimension}; "
            f"use {METRICS[what.units]}"
        )
    if "ResourceLabel" in specification:
        raise validation(f"ResourceLabel cannot be specified for {metric}")
    if not TARGET_VALUE_MIN <= given["TargetValue"] <= TARGET_VALUE_MAX:
        raise validation(f"TargetValue must be between {TARGET_VALUE_MIN} and {TARGET_VALUE_MAX}")
    for member in ("ScaleInCooldown", "ScaleOutCooldown"):
        if given.get(member, 0) < 0:
            raise validation(f"{member} must not be negative")


def _arn(name: str, what: Scalable, setting: Setting) -> str:
    return (
        f"arn:aws:autoscaling:{setting.region}:{setting.account}:scalingPolicy:{setting.new_id}"
        f":resource/dynamodb/{what.resource_id}:policyName/{name}"
    )


def _alarms(policy: dict[str, Any], what: Scalable, setting: Setting) -> list[dict[str, str]]:
    names = [f"TargetTracking-{what.resource_id}-{alarm}-{policy['AlarmId']}" for alarm in ALARMS]
    prefix = f"arn:aws:cloudwatch:{setting.region}:{setting.account}:alarm:"
    return [{"AlarmName": name, "AlarmARN": prefix + name} for name in names]


def delete(request: Request, what: Scalable, before: TargetDocument | None, setting: Setting) -> Change:
    """DeleteScalingPolicy."""
    name = request["PolicyName"]
    if before is None or name not in before["Policies"]:
        raise not_found(f"No scaling policy found for {in_words(what)}, policy name: {name}")
    kept = {other: policy for other, policy in before["Policies"].items() if other != name}
    return Change({**before, "Policies": kept}, {})


def describe_policies(request: Request, controls: ControlDocuments, setting: Setting) -> dict[str, Any]:
    """DescribeScalingPolicies."""
    wanted = request.get("PolicyNames")
    found = [
        ([what.document_name, name], (what, name, policy))
        for what, document in targets(controls, request)
        for name, policy in sorted(document["Policies"].items())
        if wanted is None or name in wanted or policy["Arn"] in wanted
    ]

    def render(entry: tuple[Scalable, str, dict[str, Any]]) -> dict[str, Any]:
        what, name, policy = entry
        return {
            "PolicyARN": policy["Arn"],
            "PolicyName": name,
            **described(what),
            "PolicyType": TRACKING,
            _CONFIGURATION: policy["Given"],
            "Alarms": _alarms(policy, what, setting),
            "CreationTime": policy["CreatedAt"],
        }

    return pages.page(request, "ScalingPolicies", found, render, pages.PAGE_OF_POLICIES)
