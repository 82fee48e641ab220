"""Event source mappings: which function is called for the changes of which stream, and how.

The document of a mapping has all its settings with the service's defaults filled in, and besides them:

    UUID, EventSourceArn, FunctionArn (as it is called: qualified if it was given so), FunctionName, Tags
    State         what is wanted: "Enabled" | "Disabled" | "Deleting"
    Transition    what the mapping is shown as until pools have taken the change over: "Creating", "Updating", ...
    Revision      grows with every change of the document: pools say which one they act on (`contracts.STATUS_ROW`)
    Created, LastModified
"""

from __future__ import annotations

from typing import Any

from hashrange_router.functions.destinations import DestinationRules
from hashrange_router.functions.errors import conflict, in_use, invalid, not_found, unsupported
from hashrange_router.functions.requests import Change, Document, Request, Setting
from hashrange_router.functions.tags import check_tags
from hashrange_router.triggers.mapping.filters import compile_patterns

NO_RECORDS = "No records processed"
RECORD_AGE_MIN_S = 60

DEFAULTS: dict[str, Any] = {
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 0,
    "ParallelizationFactor": 1,
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": -1,
    "BisectBatchOnFunctionError": False,
    "TumblingWindowInSeconds": 0,
    "FunctionResponseTypes": [],
}
"""Settings of a mapping of a DynamoDB stream (AWS Lambda API Reference, CreateEventSourceMapping)."""

OTHER_SOURCES = (
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "ProvisionedPollerConfig",
    "ScalingConfig",
)
"""Members that belong to other event sources."""

_FINAL = {"Enabled": "Enabled", "Disabled": "Disabled", "Deleting": "Deleting"}
_HIDDEN = frozenset({"State", "Transition", "Revision", "Created", "FunctionName", "Tags", "Name"})


def create_mapping(
    request: Request, function_arn: str, name: str, rules: DestinationRules, setting: Setting
) -> Change:
    """CreateEventSourceMapping, once the function and the stream are known to be there."""
    position = request.get("StartingPosition")
    if position is None:
        raise invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if position == "AT_TIMESTAMP" or "StartingPositionTimestamp" in request:
        raise invalid("Unsupported starting position for the specified event source: AT_TIMESTAMP")
    tags = request.get("Tags") or {}
    check_tags(tags)
    enabled = request.get("Enabled", True)
    uuid = setting.new_id()
    document = {
        "UUID": uuid,
        "EventSourceMappingArn": setting.names.mapping_arn(uuid),
        "EventSourceArn": request["EventSourceArn"],
        "FunctionArn": function_arn,
        "FunctionName": name,
        "StartingPosition": position,
        **DEFAULTS,
        "DestinationConfig": {},
        "Tags": tags,
        "State": "Enabled" if enabled else "Disabled",
        "Transition": "Creating",
        "Revision": 1,
        "Created": setting.seconds,
        "LastModified": setting.seconds,
    }
    document = _with_settings(document, request, rules)
    return Change(document, show_mapping(document, None))


def update_mapping(
    request: Request,
    function: tuple[str, str] | None,
    before: Document,
    rules: DestinationRules,
    setting: Setting,
) -> Change:
    """UpdateEventSourceMapping. `function` is (ARN, name) of the function to call from now on, None for the same."""
    if before["State"] == "Deleting":
        raise in_use(
            f"Cannot update the event source mapping because it is in use. It is being deleted: {before['UUID']}"
        )
    document = _with_settings(before, request, rules)
    if function is not None:
        document["FunctionArn"], document["FunctionName"] = function
    transition = "Updating"
    if "Enabled" in request:
        wanted = "Enabled" if request["Enabled"] else "Disabled"
        if wanted != before["State"]:
            transition = "Enabling" if request["Enabled"] else "Disabling"
        document["State"] = wanted
    document.update(Transition=transition, Revision=before["Revision"] + 1, LastModified=setting.seconds)
    return Change(document, show_mapping(document, None))


def delete_mapping(before: Document, seen: bool, setting: Setting) -> Change:
    """DeleteEventSourceMapping. `seen`: pools know of the mapping, so that one of them has to clean up first."""
    document = {
        **before,
        "State": "Deleting",
        "Transition": "Deleting",
        "Revision": before["Revision"] + 1,
        "LastModified": setting.seconds,
    }
    return Change(document if seen else None, show_mapping(document, None))


def show_mapping(document: Document, status: dict[str, Any] | None) -> dict[str, Any]:
    """A mapping as the API shows it; `status` is its status row, as plain values."""
    shown = {member: value for member, value in document.items() if member not in _HIDDEN}
    shown["DestinationConfig"] = {"OnFailure": {}, **document["DestinationConfig"]}
    settled = status is not None and status["revision"] >= document["Revision"]
    shown["State"] = _FINAL[document["State"]] if settled else document["Transition"]
    shown["StateTransitionReason"] = "User action"
    shown["LastProcessingResult"] = (status or {}).get("result") or NO_RECORDS
    return shown


def check_duplicate(documents: list[Document], document: Document) -> None:
    """One mapping for a stream and a function; ResourceConflictException for a second one."""
    for other in documents:
        if (
            other["UUID"] != document["UUID"]
            and other["EventSourceArn"] == document["EventSourceArn"]
            and other["FunctionArn"] == document["FunctionArn"]
            and other["State"] != "Deleting"
        ):
            raise conflict(
                f'The event source arn (" {document["EventSourceArn"]} ") and function '
                f'(" {document["FunctionName"]} ") provided mapping already exists. Please update or delete the '
                f"existing mapping with UUID {other['UUID']}"
            )


def mapping_not_found() -> Exception:
    """ResourceNotFoundException for a UUID."""
    return not_found("The resource you requested does not exist.")


def _with_settings(before: Document, request: Request, rules: DestinationRules) -> Document:
    """A document with what a request sets; everything is checked against everything else."""
    for member in OTHER_SOURCES:
        if request.get(member):
            raise invalid(f"{member} is not supported for event sources that are DynamoDB streams")
    for member in ("KMSKeyArn", "LoggingConfig"):
        if request.get(member):
            raise unsupported(member)
    after = dict(before)
    for member in DEFAULTS:
        if request.get(member) is not None:
            after[member] = request[member]
    if request.get("MetricsConfig") is not None:
        after["MetricsConfig"] = request["MetricsConfig"]
    if request.get("DestinationConfig") is not None:
        after["DestinationConfig"] = rules.check(request["DestinationConfig"], "OnFailure")
    if request.get("FilterCriteria") is not None:
        _set_filters(after, request["FilterCriteria"])
    age = after["MaximumRecordAgeInSeconds"]
    if age != -1 and age < RECORD_AGE_MIN_S:
        raise invalid(
            f"Invalid MaximumRecordAgeInSeconds: {age}. It must be -1 or at least {RECORD_AGE_MIN_S} seconds"
        )
    return after


def _set_filters(document: Document, criteria: dict[str, Any]) -> None:
    """FilterCriteria: none at all takes away what was there."""
    patterns = [one.get("Pattern") for one in criteria.get("Filters") or []]
    if not patterns:
        document.pop("FilterCriteria", None)
        return
    if any(pattern is None for pattern in patterns):
        raise invalid("Invalid filter pattern definition: a filter needs a Pattern")
    try:
        compile_patterns(patterns)
    except ValueError as error:
        raise invalid(f"Invalid filter pattern definition: {error}") from None
    document["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in patterns]}
