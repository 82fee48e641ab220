"""Scheduled actions, and what the scaler has done: PutScheduledAction and its kin, DescribeScalingActivities."""

from __future__ import annotations

from typing import Any

from hashrange.model.scaling import HISTORIES, Scalable, TargetDocument, scalable
from hashrange.model.schedule import ScheduleError, parse
from hashrange.model.table_document import timestamp
from hashrange.wire.documents import ControlDocuments
from hashrange_router.scaling import pages
from hashrange_router.scaling.errors import in_words, limit_exceeded, no_target, not_found, validation
from hashrange_router.scaling.requests import Change, Request, Setting, check_namespace, described, targets
from hashrange_router.scaling.targets import check_bounds

ACTIONS_MAX = 200
"""Scheduled actions of one target (Application Auto Scaling quotas)."""

TIME_MAX = 253_402_300_799
"""The last second of the year 9999."""

_STORED = {"Min": "MinCapacity", "Max": "MaxCapacity"}
_SHOWN = {"Timezone": "Timezone", "Start": "StartTime", "End": "EndTime"}


def put(request: Request, what: Scalable, before: TargetDocument | None, setting: Setting) -> Change:
    """PutScheduledAction: a new action, or changes of one. Start and end times not given again are taken away."""
    if before is None:
        raise no_target("registered", what)
    name = request["ScheduledActionName"]
    known = before["Actions"].get(name)
    if known is None and len(before["Actions"]) >= ACTIONS_MAX:
        raise limit_exceeded(f"A scalable target has at most {ACTIONS_MAX} scheduled actions")
    action: dict[str, Any] = {
        "Arn": known["Arn"] if known else _arn(name, what, setting),
        "CreatedAt": known["CreatedAt"] if known else timestamp(setting.now),
        "ChangedAt": setting.now,
        "Schedule": request.get("Schedule") or (known or {}).get("Schedule"),
    }
    zone = request.get("Timezone") or (known or {}).get("Timezone")
    if zone is not None:
        action["Timezone"] = zone
    for kept in ("Start", "End"):
        if _SHOWN[kept] in request:
            action[kept] = request[_SHOWN[kept]]
    given = request.get("ScalableTargetAction")
    for kept, member in _STORED.items():
        if given is not None and member in given:
            action[kept] = given[member]
        elif given is None and known is not None and kept in known:
            action[kept] = known[kept]
    _check(action)
    return Change({**before, "Actions": {**before["Actions"], name: action}}, {})


def _check(action: dict[str, Any]) -> None:
    if action["Schedule"] is None:
        raise validation("Schedule must be specified for a new scheduled action")
    try:
        parse(action["Schedule"], action.get("Timezone"))
    except ScheduleError as error:
        raise validation(f"Invalid Schedule: {error}") from None
    if "Min" not in action and "Max" not in action:
        raise validation("ScalableTargetAction must specify MinCapacity or MaxCapacity")
    check_bounds(action.get("Min", 1), action.get("Max", action.get("Min", 1)))
    for kept in ("Start", "End"):
        if not 0 <= action.get(kept, 0) <= TIME_MAX:
            raise validation(f"{_SHOWN[kept]} must be a time from 1970 to 9999")
    if "Start" in action and "End" in action and action["End"] <= action["Start"]:
        raise validation("EndTime must be after StartTime")


def _arn(name: str, what: Scalable, setting: Setting) -> str:
    return (
        f"arn:aws:autoscaling:{setting.region}:{setting.account}:scheduledAction:{setting.new_id}"
        f":resource/dynamodb/{what.resource_id}:scheduledActionName/{name}"
    )


def delete(request: Request, what: Scalable, before: TargetDocument | None, setting: Setting) -> Change:
    """DeleteScheduledAction."""
    name = request["ScheduledActionName"]
    if before is None or name not in before["Actions"]:
        raise not_found(f"No scheduled action found for {in_words(what)}, scheduled action name: {name}")
    kept = {other: action for other, action in before["Actions"].items() if other != name}
    return Change({**before, "Actions": kept}, {})


def describe_actions(request: Request, controls: ControlDocuments, setting: Setting) -> dict[str, Any]:
    """DescribeScheduledActions."""
    wanted = request.get("ScheduledActionNames")
    found = [
        ([what.document_name, name], (what, name, action))
        for what, document in targets(controls, request)
        for name, action in sorted(document["Actions"].items())
        if wanted is None or name in wanted
    ]

    def render(entry: tuple[Scalable, str, dict[str, Any]]) -> dict[str, Any]:
        what, name, action = entry
        return {
            "ScheduledActionName": name,
            "ScheduledActionARN": action["Arn"],
            **described(what),
            "Schedule": action["Schedule"],
            **{shown: action[kept] for kept, shown in _SHOWN.items() if kept in action},
            "ScalableTargetAction": {
                shown: action[kept] for kept, shown in _STORED.items() if kept in action
            },
            "CreationTime": action["CreatedAt"],
        }

    return pages.page(request, "ScheduledActions", found, render)


def describe_activities(request: Request, controls: ControlDocuments, setting: Setting) -> dict[str, Any]:
    """DescribeScalingActivities: newest first. Kept when a target is deregistered, as by the service."""
    check_namespace(request)
    resource, dimension = request.get("ResourceId"), request.get("ScalableDimension")
    found: list[tuple[list[Any], Any]] = []
    for name, stored in controls.of(HISTORIES).items():
        what = scalable(*name.split("|"))
        if what is None or (resource is not None and what.resource_id != resource):
            continue
        if dimension is None or what.dimension == dimension:
            for activity in stored["document"]["Activities"]:
                found.append(([-activity["StartedAt"], name, activity["Id"]], (what, activity)))
    found.sort(key=lambda entry: entry[0])

    def render(entry: tuple[Scalable, dict[str, Any]]) -> dict[str, Any]:
        what, activity = entry
        shown = {
            "ActivityId": activity["Id"],
            **described(what),
            "Description": activity["Description"],
            "Cause": activity["Cause"],
            "StartTime": timestamp(activity["StartedAt"]),
            "StatusCode": activity["Status"],
            "StatusMessage": activity["Message"],
        }
        if "EndedAt" in activity:
            shown["EndTime"] = timestamp(activity["EndedAt"])
        return shown

    return pages.page(request, "ScalingActivities", found, render)
