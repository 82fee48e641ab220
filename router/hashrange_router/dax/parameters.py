"""Parameter groups: the times to live of the caches. Nodes follow them, so that a change is in force at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hashrange.model.dax import (
    DEFAULT_PARAMETERS,
    QUERY_TTL,
    RECORD_TTL,
    ClusterDocument,
    ParameterDocument,
    ttl_ms,
)
from hashrange_router.dax import pages
from hashrange_router.dax.errors import fault, group_state, invalid, no_group
from hashrange_router.dax.setting import Request

GROUPS_MAX: Final = 20
"""Parameter groups of an account, and parameters of one request (DAX Developer Guide, Quotas; API reference)."""
VALUE_MAX: Final = 2**63 - 1

_DESCRIPTIONS: Final = {
    QUERY_TTL: "Duration in milliseconds for queries to remain cached",
    RECORD_TTL: "Duration in milliseconds for records to remain valid in cache (Default: 0 = infinite)",
}
_DEFAULT: Final[ParameterDocument] = {
    "Description": "Default parameter group for dax1.0",
    "Values": {},
}

Groups = dict[str, ParameterDocument]


def create(request: Request, name: str, known: Groups) -> ParameterDocument:
    """CreateParameterGroup: a group with the default values."""
    if name in known or name == DEFAULT_PARAMETERS:
        raise fault("ParameterGroupAlreadyExistsFault", f"Parameter group {name} already exists.")
    if len(known) >= GROUPS_MAX:
        raise fault("ParameterGroupQuotaExceededFault", f"There are at most {GROUPS_MAX} parameter groups")
    return {"Description": request.get("Description", ""), "Values": {}}


def update(request: Request, name: str, before: ParameterDocument | None) -> ParameterDocument:
    """UpdateParameterGroup: new values of some parameters."""
    if name == DEFAULT_PARAMETERS:
        raise group_state(f"The default parameter group {name} cannot be changed: create one of your own.")
    if before is None:
        raise no_group(name)
    given = request["ParameterNameValues"]
    if not 1 <= len(given) <= GROUPS_MAX:
        raise invalid(f"ParameterNameValues must have 1 to {GROUPS_MAX} parameters")
    values = dict(before["Values"])
    for each in given:
        values[_known(each.get("ParameterName"))] = _value(each)
    return {**before, "Values": values}


def _known(parameter: str | None) -> str:
    if parameter not in _DESCRIPTIONS:
        raise invalid(f"Unknown parameter: {parameter}. There are {' and '.join(_DESCRIPTIONS)}")
    return parameter


def _value(given: dict[str, Any]) -> str:
    text = given.get("ParameterValue") or ""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= VALUE_MAX):
        raise invalid(
            f"Invalid value of {given['ParameterName']}: {text!r}. It is a number of milliseconds, 0 or more"
        )
    return str(int(text))


def check_unused(name: str, before: ParameterDocument | None, clusters: Iterable[ClusterDocument]) -> None:
    """DeleteParameterGroup: whether a group can be deleted."""
    if name == DEFAULT_PARAMETERS:
        raise group_state(f"The default parameter group {name} cannot be deleted.")
    if before is None:
        raise no_group(name)
    users = sorted(each["ClusterName"] for each in clusters if each["ParameterGroup"] == name)
    if users:
        raise group_state(f"Parameter group {name} is in use by {', '.join(users)}.")


def described(name: str, document: ParameterDocument) -> dict[str, Any]:
    """A group as the API shows it."""
    return {"ParameterGroupName": name, "Description": document["Description"]}


def describe_groups(request: Request, names: list[str], known: Groups) -> dict[str, Any]:
    """DescribeParameterGroups: those named, or all."""
    every = {**known, DEFAULT_PARAMETERS: _DEFAULT}
    for name in names:
        if name not in every:
            raise no_group(name)
    found = [
        (name, (name, document)) for name, document in sorted(every.items()) if not names or name in names
    ]
    return pages.page(request, "ParameterGroups", found, lambda entry: described(*entry))


def describe_parameters(request: Request, document: ParameterDocument | None) -> dict[str, Any]:
    """DescribeParameters of a group, or DescribeDefaultParameters: None. Their source is always `user`."""
    found = [(name, _parameter(name, document)) for name in sorted(_DESCRIPTIONS)]
    source = request.get("Source")
    if source is not None:
        found = [entry for entry in found if entry[1]["Source"] == source]
    return pages.page(request, "Parameters", found, dict)


def _parameter(name: str, document: ParameterDocument | None) -> dict[str, Any]:
    return {
        "ParameterName": name,
        "ParameterType": "DEFAULT",
        "ParameterValue": str(ttl_ms(document, name)),
        "NodeTypeSpecificValues": [],
        "Description": _DESCRIPTIONS[name],
        "Source": "user",
        "DataType": "integer",
        "AllowedValues": "0-",
        "IsModifiable": "TRUE",
        "ChangeType": "IMMEDIATE",
    }
