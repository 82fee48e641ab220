"""Aliases: names for versions, which may send a share of invocations to a second version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange_router.functions.errors import (
    conflict,
    invalid,
    not_found,
    precondition_failed,
    too_many_aliases,
)
from hashrange_router.functions.names import LATEST
from hashrange_router.functions.requests import (
    Change,
    Document,
    Request,
    Setting,
    existing,
    stored_version,
)

ALIASES_MAX = 500
"""Aliases of one function: all are in its document."""


def create_alias(request: Request, before: Document | None, setting: Setting) -> Change:
    """CreateAlias."""
    document = existing(before, setting.names.parse(request["FunctionName"]).name, setting)
    name = request["Name"]
    arn = setting.names.arn(document["Name"], name)
    if name in document["Aliases"]:
        raise conflict(f"Alias already exists: {arn}")
    if len(document["Aliases"]) >= ALIASES_MAX:
        raise too_many_aliases(ALIASES_MAX)
    alias = {
        "AliasArn": arn,
        "Name": name,
        "FunctionVersion": request["FunctionVersion"],
        "Description": request.get("Description", ""),
        **_routing(request.get("RoutingConfig")),
        "RevisionId": setting.new_id(),
    }
    return _checked(document, alias, setting)


def update_alias(request: Request, before: Document | None, setting: Setting) -> Change:
    """UpdateAlias: a RoutingConfig that is given, if only an empty one, replaces the one before."""
    document = existing(before, setting.names.parse(request["FunctionName"]).name, setting)
    kept = find_alias(document, request["Name"], setting)
    wanted = request.get("RevisionId")
    if wanted is not None and wanted != kept["RevisionId"]:
        raise precondition_failed()
    alias = {**kept, "RevisionId": setting.new_id()}
    for member in ("FunctionVersion", "Description"):
        if request.get(member) is not None:
            alias[member] = request[member]
    if request.get("RoutingConfig") is not None:
        alias.pop("RoutingConfig", None)
        alias.update(_routing(request["RoutingConfig"]))
    return _checked(document, alias, setting)


def delete_alias(request: Request, before: Document | None, setting: Setting) -> Change:
    """DeleteAlias: one that is not there is gone already."""
    document = existing(before, setting.names.parse(request["FunctionName"]).name, setting)
    name = request["Name"]
    if name not in document["Aliases"]:
        return Change(document)
    after = dict(document)
    for member in ("Aliases", "EventInvoke", "Policy"):
        after[member] = {key: value for key, value in document[member].items() if key != name}
    return Change(after)


def find_alias(document: Document, name: str, setting: Setting) -> dict[str, Any]:
    """An alias of a function; ResourceNotFoundException when there is none of that name."""
    alias: dict[str, Any] | None = document["Aliases"].get(name)
    if alias is None:
        raise not_found(f"Cannot find alias arn: {setting.names.arn(document['Name'], name)}")
    return alias


def choose_version(alias: dict[str, Any], chance: Callable[[], float]) -> str:
    """The version that an invocation of the alias runs: `chance` gives a number from 0 up to 1."""
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights")
    if weights:
        drawn = chance()
        for number, weight in weights.items():
            if drawn < weight:
                return str(number)
            drawn -= weight
    return str(alias["FunctionVersion"])


def _routing(given: dict[str, Any] | None) -> dict[str, Any]:
    """The member that an alias has for a RoutingConfig with anything in it."""
    weights = (given or {}).get("AdditionalVersionWeights")
    return {"RoutingConfig": {"AdditionalVersionWeights": weights}} if weights else {}


def _checked(document: Document, alias: dict[str, Any], setting: Setting) -> Change:
    """The change that an alias is, once the versions it names are there."""
    stored_version(document, alias["FunctionVersion"], setting)
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if weights:
        if len(weights) > 1:
            raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
        if alias["FunctionVersion"] == LATEST or LATEST in weights:
            raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
        if alias["FunctionVersion"] in weights:
            raise invalid(
                f"Invalid function version {alias['FunctionVersion']}. Function version "
                f"{alias['FunctionVersion']} is already included in routing configuration."
            )
        for number in weights:
            stored_version(document, number, setting)
    return Change({**document, "Aliases": {**document["Aliases"], alias["Name"]: alias}}, alias)
