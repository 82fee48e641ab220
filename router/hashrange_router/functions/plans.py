"""Plans for functions and their versions: Create, UpdateCode, UpdateConfiguration, Publish, Delete; and how they read.

The document of a function:

    Name
    Latest: {Configuration, Code, CodeSize, Revision}     as the API shows it; the package's SHA-256 in hex, its bytes
    Versions: {"1": the same, ...}, NextVersion           numbers are not used again
    Aliases: {name: AliasConfiguration}
    Tags, Policy: {qualifier or "": {RevisionId, Statement: [...]}}
    ReservedConcurrency?
    EventInvoke: {qualifier or "$LATEST": FunctionEventInvokeConfig}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hashrange_router.functions.configuration import (
    check_settings,
    new_configuration,
    same_function,
    shown,
    stamped,
    updated_configuration,
    worker_revision,
)
from hashrange_router.functions.errors import conflict, invalid, too_many_versions
from hashrange_router.functions.names import LATEST
from hashrange_router.functions.requests import (
    Change,
    Document,
    Request,
    Setting,
    check_revision,
    existing,
    packages_of,
    stored_version,
)
from hashrange_router.functions.tags import check_tags

CONFIGURATION_OF_LATEST_ONLY = ("State", "LastUpdateStatus")
"""Members that lists of functions leave out, as those of the service do."""

VERSIONS_MAX = 500
"""Versions of one function: all are in its document, which is kept in the catalogue and read whole by everybody."""


@dataclass(frozen=True, slots=True)
class Package:
    """A deployment package that has been checked: SHA-256 in hex and in base64, bytes zipped."""

    code: str
    sha256: str
    size: int


def create(request: Request, package: Package, before: Document | None, setting: Setting) -> Change:
    """CreateFunction."""
    name = setting.names.parse(request["FunctionName"]).name
    if before is not None:
        raise conflict(f"Function already exist: {name}")
    configuration = new_configuration(request, name, setting)
    tags = request.get("Tags") or {}
    check_tags(tags)
    document: Document = {
        "Name": name,
        "Latest": _with_code(configuration, package, setting),
        "Versions": {},
        "NextVersion": 1,
        "Aliases": {},
        "Tags": tags,
        "Policy": {},
        "EventInvoke": {},
    }
    return _published(document, setting) if request.get("Publish") else _changed(document, document["Latest"])


def update_code(request: Request, package: Package, before: Document | None, setting: Setting) -> Change:
    """UpdateFunctionCode."""
    document = existing(before, setting.names.parse(request["FunctionName"]).name, setting)
    configuration = document["Latest"]["Configuration"]
    check_revision(request, configuration["RevisionId"])
    check_settings(request)
    if request.get("Architectures"):
        configuration = {**configuration, "Architectures": request["Architectures"]}
    latest = _with_code(configuration, package, setting)
    if request.get("DryRun"):
        return Change(before, shown(latest))
    after = {**document, "Latest": latest}
    change = _published(after, setting) if request.get("Publish") else _changed(after, latest)
    return Change(change.document, change.reply, packages_of(before) - packages_of(change.document))


def update_configuration(request: Request, before: Document | None, setting: Setting) -> Change:
    """UpdateFunctionConfiguration."""
    document = existing(before, setting.names.parse(request["FunctionName"]).name, setting)
    latest = document["Latest"]
    check_revision(request, latest["Configuration"]["RevisionId"])
    check_settings(request)
    configuration = stamped(updated_configuration(latest["Configuration"], request), setting)
    after = {
        **latest,
        "Configuration": configuration,
        "Revision": worker_revision(configuration, latest["Code"]),
    }
    return _changed({**document, "Latest": after}, after)


def publish(request: Request, before: Document | None, setting: Setting) -> Change:
    """PublishVersion: the version published last, when nothing has changed since."""
    document = existing(before, setting.names.parse(request["FunctionName"]).name, setting)
    if request.get("PublishTo"):
        check_settings(request)
    configuration = document["Latest"]["Configuration"]
    check_revision(request, configuration["RevisionId"])
    wanted = request.get("CodeSha256")
    if wanted and wanted != configuration["CodeSha256"]:
        raise invalid(
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST "
            f"({configuration['CodeSha256']}). Please try again with the CodeSHA256 in $LATEST."
        )
    return _published(document, setting, request.get("Description"))


def delete(request: Request, before: Document | None, setting: Setting) -> Change:
    """DeleteFunction: all of it, or one version."""
    named = setting.names.parse(request["FunctionName"], request.get("Qualifier"))
    document = existing(before, named.name, setting)
    number = named.qualifier
    if number is None:
        return Change(None, None, packages_of(document))
    if number == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    if number in document["Aliases"]:
        raise invalid("The function version to delete must be a number: an alias is deleted with DeleteAlias")
    stored_version(document, number, setting)
    users = sorted(
        name
        for name, alias in document["Aliases"].items()
        if number in (alias["FunctionVersion"], *_weights(alias))
    )
    if users:
        raise conflict(
            f"Version {number} is in use by the following aliases, which must be changed or deleted first: "
            + ", ".join(users)
        )
    after = {
        **document,
        "Versions": _without(document["Versions"], number),
        "EventInvoke": _without(document["EventInvoke"], number),
        "Policy": _without(document["Policy"], number),
    }
    return Change(after, None, packages_of(document) - packages_of(after))


def configuration_of(document: Document, qualifier: str | None, setting: Setting) -> dict[str, Any]:
    """What GetFunctionConfiguration shows for a version, or for an alias: then under the alias's ARN."""
    arn = setting.names.arn(document["Name"], qualifier)
    alias = document["Aliases"].get(qualifier)
    number = alias["FunctionVersion"] if alias is not None else qualifier
    return shown(stored_version(document, number, setting), arn)


def listed(stored: dict[str, Any], arn: str | None = None) -> dict[str, Any]:
    """A version as lists show it."""
    return {
        member: value
        for member, value in shown(stored, arn).items()
        if member not in CONFIGURATION_OF_LATEST_ONLY
    }


def versions_of(document: Document, setting: Setting) -> list[tuple[str, dict[str, Any]]]:
    """All versions with keys to sort them by: $LATEST first, under a qualified ARN, then by number."""
    latest = listed(document["Latest"], setting.names.arn(document["Name"], LATEST))
    return [
        ("", latest),
        *((f"{int(number):012d}", listed(kept)) for number, kept in document["Versions"].items()),
    ]


def code_size(document: Document) -> int:
    """Bytes of the packages that count for a function: each once."""
    sizes = {kept["Code"]: kept["CodeSize"] for kept in [document["Latest"], *document["Versions"].values()]}
    return sum(sizes.values())


def _weights(alias: dict[str, Any]) -> dict[str, float]:
    weights: dict[str, float] = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return weights


def _without(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != key}


def _with_code(configuration: dict[str, Any], package: Package, setting: Setting) -> dict[str, Any]:
    after = stamped(
        {**configuration, "CodeSize": package.size, "CodeSha256": package.sha256},
        setting,
    )
    return {
        "Configuration": after,
        "Code": package.code,
        "CodeSize": package.size,
        "Revision": worker_revision(after, package.code),
    }


def _changed(document: Document, stored: dict[str, Any]) -> Change:
    return Change(document, shown(stored))


def _published(document: Document, setting: Setting, description: str | None = None) -> Change:
    latest = document["Latest"]
    number = str(document["NextVersion"])
    previous = document["Versions"].get(document.get("LastPublished", ""))
    if previous is not None and same_function(previous, latest):
        return Change(document, shown(previous))
    if len(document["Versions"]) >= VERSIONS_MAX:
        raise too_many_versions(document["Name"], VERSIONS_MAX)
    configuration = {
        **latest["Configuration"],
        "FunctionArn": setting.names.arn(document["Name"], number),
        "Version": number,
        "RevisionId": setting.new_id(),
    }
    if description is not None:
        configuration["Description"] = description
    version = {**latest, "Configuration": configuration}
    if description is not None:
        version["Described"] = latest["Configuration"]["Description"]
    after = {
        **document,
        "Versions": {**document["Versions"], number: version},
        "NextVersion": document["NextVersion"] + 1,
        "LastPublished": number,
    }
    return Change(after, shown(version))
