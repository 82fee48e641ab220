"""Scalable targets: RegisterScalableTarget, DeregisterScalableTarget, DescribeScalableTargets, and their tags."""

from __future__ import annotations

from typing import Any

from hashrange.model.scaling import Scalable, TargetDocument
from hashrange.model.table_document import TableDocument, find_global_index, timestamp
from hashrange.wire.documents import ControlDocuments
from hashrange_router.scaling import pages
from hashrange_router.scaling.errors import no_target, resource_not_found, too_many_tags, validation
from hashrange_router.scaling.requests import Change, Request, Setting, described, targets

TAGS_MAX = 50
_SUSPENDED = {
    "In": "DynamicScalingInSuspended",
    "Out": "DynamicScalingOutSuspended",
    "Scheduled": "ScheduledScalingSuspended",
}


def check_exists(what: Scalable, table: TableDocument | None) -> None:
    """ValidationException when there is no such table or index."""
    if table is None:
        raise validation(f"DynamoDB table does not exist: table/{what.table}")
    if what.index is not None and find_global_index(table, what.index) is None:
        raise validation(f"DynamoDB index does not exist: {what.resource_id}")


def check_bounds(low: int, high: int) -> None:
    """ValidationException for a range that no capacity can lie in."""
    if low < 1:
        raise validation("Minimum capacity cannot be less than 1")
    if high < low:
        raise validation("Maximum capacity cannot be less than minimum capacity")


def register(request: Request, what: Scalable, before: TargetDocument | None, setting: Setting) -> Change:
    """RegisterScalableTarget: a new target, or changes of one; what the request leaves out stays."""
    if before is None:
        if "MinCapacity" not in request or "MaxCapacity" not in request:
            raise validation("MinCapacity and MaxCapacity must be specified for a new scalable target")
        target: dict[str, Any] = {
            "CreatedAt": timestamp(setting.now),
            "Arn": _arn(setting),
            "Suspended": {},
            "Tags": dict(request.get("Tags") or {}),
        }
    else:
        target = dict(before["Target"])
    for member, kept in (("MinCapacity", "Min"), ("MaxCapacity", "Max")):
        if member in request:
            target[kept] = request[member]
            target["BoundsAt"] = setting.now
    check_bounds(target["Min"], target["Max"])
    if len(target["Tags"]) > TAGS_MAX:
        raise too_many_tags(target["Arn"], TAGS_MAX)
    given = request.get("SuspendedState") or {}
    target["Suspended"] = {
        **target["Suspended"],
        **{kept: given[member] for kept, member in _SUSPENDED.items() if member in given},
    }
    rest = before or {
        "ResourceId": what.resource_id,
        "ScalableDimension": what.dimension,
        "Policies": {},
        "Actions": {},
    }
    return Change({**rest, "Target": target}, {"ScalableTargetARN": target["Arn"]})


def _arn(setting: Setting) -> str:
    name = "0ec5" + setting.new_id.replace("-", "")[:30]
    return f"arn:aws:application-autoscaling:{setting.region}:{setting.account}:scalable-target/{name}"


def deregister(request: Request, what: Scalable, before: TargetDocument | None, setting: Setting) -> Change:
    """DeregisterScalableTarget: its policies and scheduled actions go with it."""
    if before is None:
        raise no_target("found", what)
    return Change(None, {})


def describe_targets(request: Request, controls: ControlDocuments, setting: Setting) -> dict[str, Any]:
    """DescribeScalableTargets."""
    found = [([what.document_name], (what, document)) for what, document in targets(controls, request)]

    def render(entry: tuple[Scalable, TargetDocument]) -> dict[str, Any]:
        what, target = entry[0], entry[1]["Target"]
        suspended = target["Suspended"]
        return {
            **described(what),
            "MinCapacity": target["Min"],
            "MaxCapacity": target["Max"],
            "RoleARN": role(setting.account),
            "CreationTime": target["CreatedAt"],
            "SuspendedState": {m: suspended.get(kept, False) for kept, m in _SUSPENDED.items()},
            "ScalableTargetARN": target["Arn"],
        }

    return pages.page(request, "ScalableTargets", found, render)


def role(account: str) -> str:
    """The role that the service acts in: always its own, whatever a request names."""
    return (
        f"arn:aws:iam::{account}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
    )


def with_arn(request: Request, documents: list[TargetDocument]) -> TargetDocument:
    """The target that a request on tags names; ResourceNotFoundException."""
    arn = request["ResourceARN"]
    for document in documents:
        if document["Target"]["Arn"] == arn:
            return document
    raise resource_not_found(arn)


def tag(request: Request, before: TargetDocument) -> Change:
    """TagResource."""
    tags = {**before["Target"]["Tags"], **request["Tags"]}
    if len(tags) > TAGS_MAX:
        raise too_many_tags(before["Target"]["Arn"], TAGS_MAX)
    return Change({**before, "Target": {**before["Target"], "Tags": tags}}, {})


def untag(request: Request, before: TargetDocument) -> Change:
    """UntagResource; keys that the target does not have are ignored."""
    tags = {key: value for key, value in before["Target"]["Tags"].items() if key not in request["TagKeys"]}
    return Change({**before, "Target": {**before["Target"], "Tags": tags}}, {})
