"""How functions are invoked: reserved concurrency, and what becomes of asynchronous invocations."""

from __future__ import annotations

from typing import Any

from hashrange_router.functions.destinations import DestinationRules
from hashrange_router.functions.errors import invalid, not_found
from hashrange_router.functions.names import LATEST
from hashrange_router.functions.requests import (
    Change,
    Document,
    Request,
    Setting,
    check_qualifier,
    existing,
)

ACCOUNT_CONCURRENCY = 1000
"""Executions at once of all functions (AWS Lambda Developer Guide, Lambda quotas)."""
UNRESERVED_MIN = 100
"""How much of it must be left for functions that reserve nothing (the same)."""
RETRIES = 2
EVENT_AGE_S = 21_600


def put_concurrency(
    request: Request, before: Document | None, setting: Setting, reserved_by_others: int
) -> Change:
    """PutFunctionConcurrency."""
    document = existing(before, setting.names.parse(request["FunctionName"]).name, setting)
    wanted = request["ReservedConcurrentExecutions"]
    if wanted and ACCOUNT_CONCURRENCY - reserved_by_others - wanted < UNRESERVED_MIN:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}]."
        )
    return Change({**document, "ReservedConcurrency": wanted}, {"ReservedConcurrentExecutions": wanted})


def delete_concurrency(request: Request, before: Document | None, setting: Setting) -> Change:
    """DeleteFunctionConcurrency."""
    document = existing(before, setting.names.parse(request["FunctionName"]).name, setting)
    return Change({key: value for key, value in document.items() if key != "ReservedConcurrency"})


def put_event_invoke(
    request: Request, before: Document | None, setting: Setting, rules: DestinationRules
) -> Change:
    """PutFunctionEventInvokeConfig: whatever is not given has its default again."""
    document, at = _place(request, before, setting)
    return _event_invoke(request, document, at, {}, setting, rules)


def update_event_invoke(
    request: Request, before: Document | None, setting: Setting, rules: DestinationRules
) -> Change:
    """UpdateFunctionEventInvokeConfig: whatever is not given stays."""
    document, at = _place(request, before, setting)
    return _event_invoke(request, document, at, find_event_invoke(document, at, setting), setting, rules)


def delete_event_invoke(request: Request, before: Document | None, setting: Setting) -> Change:
    """DeleteFunctionEventInvokeConfig."""
    document, at = _place(request, before, setting)
    find_event_invoke(document, at, setting)
    kept = {key: value for key, value in document["EventInvoke"].items() if key != at}
    return Change({**document, "EventInvoke": kept})


def get_event_invoke(request: Request, before: Document | None, setting: Setting) -> dict[str, Any]:
    """GetFunctionEventInvokeConfig."""
    return find_event_invoke(*_place(request, before, setting), setting)


def find_event_invoke(document: Document, at: str, setting: Setting) -> dict[str, Any]:
    """What is set for a qualifier; ResourceNotFoundException when nothing is."""
    found: dict[str, Any] | None = document["EventInvoke"].get(at)
    if found is None:
        arn = setting.names.arn(document["Name"], at)
        raise not_found(f"The function {arn} doesn't have an EventInvokeConfig")
    return found


def in_force(found: dict[str, Any] | None) -> dict[str, Any]:
    """A configuration with the service's defaults where nothing is set."""
    return {
        "MaximumRetryAttempts": RETRIES,
        "MaximumEventAgeInSeconds": EVENT_AGE_S,
        "DestinationConfig": {},
        **(found or {}),
    }


def _place(request: Request, before: Document | None, setting: Setting) -> tuple[Document, str]:
    """The function, and the qualifier that its configuration is kept under."""
    named = setting.names.parse(request["FunctionName"], request.get("Qualifier") or None)
    document = existing(before, named.name, setting)
    check_qualifier(document, named.qualifier, setting)
    return document, named.qualifier or LATEST


def _event_invoke(
    request: Request,
    document: Document,
    at: str,
    kept: dict[str, Any],
    setting: Setting,
    rules: DestinationRules,
) -> Change:
    after = {
        **kept,
        "LastModified": setting.seconds,
        "FunctionArn": setting.names.arn(document["Name"], at),
    }
    for member in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds"):
        if member in request:
            after[member] = request[member]
    if "DestinationConfig" in request:
        after["DestinationConfig"] = rules.check(request["DestinationConfig"], "OnSuccess", "OnFailure")
    after.setdefault("DestinationConfig", {})
    shown = {**after, "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}, **after["DestinationConfig"]}}
    return Change({**document, "EventInvoke": {**document["EventInvoke"], at: after}}, shown)
