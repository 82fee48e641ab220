"""`hashrange functions deploy`: from a file to a function that runs on a table's changes.

Everything can be said again: what is there already is updated, what is the same is left alone, and what was not
named keeps its setting.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from hashrange.cli.functions import paths
from hashrange.cli.functions.client import Api, FunctionsError, RefusedError
from hashrange.cli.functions.package import Package, make_package, name_of

ROLE = "arn:aws:iam::000000000000:role/hashrange"
"""Functions need a role for the API's sake; nothing here asks what it allows."""
VIEW_TYPE = "NEW_AND_OLD_IMAGES"
STREAM_DEADLINE_S = 60.0
SETTLED_DEADLINE_S = 30.0
POLL_S = 0.1
FROM_THE_BEGINNING = {"StartingPosition": "TRIM_HORIZON"}
"""A mapping that is made begins with the oldest change: what is written while it is made is not missed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the command was told. `function` and `mapping` are settings in the API's words, as far as given."""

    path: Path
    name: str | None = None
    runtime: str | None = None
    handler: str | None = None
    function: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] | None = None
    tables: tuple[str, ...] = ()
    mapping: dict[str, Any] = field(default_factory=dict)


def deploy(api: Api, wanted: Deployment, say: Say) -> dict[str, Any]:
    """Do it; returns {"function": configuration, "mappings": [...], "changed": bool}. Raises FunctionsError."""
    name = wanted.name or name_of(wanted.path)
    there = find_function(api, name) if wanted.path.exists() else None
    before = (there.get("Runtime", ""), there.get("Handler", "")) if there is not None else None
    package = make_package(wanted.path, wanted.runtime, wanted.handler, before)
    configuration, changed = _deploy_code(api, wanted, package, name, there, say)
    mappings = [connect(api, name, table, wanted.mapping, say) for table in wanted.tables]
    return {"function": configuration, "mappings": mappings, "changed": changed}


def _deploy_code(
    api: Api, wanted: Deployment, package: Package, name: str, there: dict[str, Any] | None, say: Say
) -> tuple[dict[str, Any], bool]:
    """Create or update the function; its configuration, and whether anything changed."""
    settings = dict(wanted.function)
    if wanted.environment is not None:
        known = ((there or {}).get("Environment") or {}).get("Variables") or {}
        settings["Environment"] = {"Variables": known | wanted.environment}
    size = f"{len(package.data) / 1000:,.1f} kB, {package.files} file{'' if package.files == 1 else 's'}"
    if there is None:
        request = {
            "FunctionName": name,
            "Runtime": package.runtime,
            "Handler": package.handler,
            "Role": ROLE,
            "Code": {"ZipFile": base64.b64encode(package.data).decode()},
            **settings,
        }
        made = api.lambda_("POST", paths.FUNCTIONS, request)
        say(f"function {name} is created: {package.runtime}, handler {package.handler} ({size})")
        return settled(api, name) or made, True
    changed = False
    if there["CodeSha256"] != base64.b64encode(sha256(package.data).digest()).decode():
        body = {"ZipFile": base64.b64encode(package.data).decode()}
        there = api.lambda_("PUT", paths.function(name, "/code"), body)
        settled(api, name)
        say(f"function {name}: code is updated ({size})")
        changed = True
    settings |= {"Runtime": package.runtime, "Handler": package.handler}
    different = {key: value for key, value in settings.items() if not _same(there.get(key), value)}
    if different:
        there = api.lambda_("PUT", paths.function(name, "/configuration"), different)
        say(f"function {name}: {', '.join(_spelt(key, value) for key, value in different.items())}")
        changed = True
    if not changed:
        say(f"function {name} is as it was: nothing has changed")
    return settled(api, name) or there, changed


def _same(there: Any, wanted: Any) -> bool:
    if isinstance(there, dict) and isinstance(wanted, dict):
        return all(there.get(key) == value for key, value in wanted.items())
    return bool(there == wanted)


def _spelt(key: str, value: Any) -> str:
    if key == "Environment":
        return f"environment has {', '.join(sorted(value['Variables'])) or 'no variables'}"
    return f"{key} is {value['Size'] if key == 'EphemeralStorage' else value}"


def find_function(api: Api, name: str) -> dict[str, Any] | None:
    """The configuration of a function, None when there is none."""
    try:
        return api.lambda_("GET", paths.function(name, "/configuration"))
    except RefusedError as refusal:
        if refusal.status == 404:
            return None
        raise


def settled(api: Api, name: str) -> dict[str, Any] | None:
    """Wait until a function can be run; its configuration then."""
    deadline = time.monotonic() + SETTLED_DEADLINE_S
    while True:
        there = find_function(api, name)
        if there is None:
            return None
        if there.get("State") == "Failed":
            raise FunctionsError(f"function {name} cannot run: {there.get('StateReason', 'no reason given')}")
        if there.get("State", "Active") == "Active" and there.get("LastUpdateStatus") != "InProgress":
            return there
        if time.monotonic() > deadline:
            return there
        time.sleep(POLL_S)


def connect(api: Api, name: str, table: str, settings: dict[str, Any], say: Say) -> dict[str, Any]:
    """Let the changes of a table run a function; creates or updates the mapping, and the stream if there is none."""
    stream = stream_of(api, table, say)
    settings = _with_destination(settings, stream)
    found = api.lambda_("GET", paths.MAPPINGS, query={"FunctionName": name, "EventSourceArn": stream}).get(
        "EventSourceMappings", []
    )
    if not found:
        request = {**FROM_THE_BEGINNING, **settings, "FunctionName": name, "EventSourceArn": stream}
        made = api.lambda_("POST", paths.MAPPINGS, request)
        say(f"changes of table {table} run {name} ({describe_mapping(made)})")
        return made
    there: dict[str, Any] = found[0]
    different = {
        key: value
        for key, value in settings.items()
        if key not in ("StartingPosition", "Enabled") and not _same(there.get(key), value)
    }
    if "Enabled" in settings and settings["Enabled"] is not (
        there.get("State") not in ("Disabled", "Disabling")
    ):
        different["Enabled"] = settings["Enabled"]
    if different:
        there = api.lambda_("PUT", paths.mapping(there["UUID"]), {"FunctionName": name, **different})
        say(f"the trigger of table {table} is updated ({describe_mapping(there)})")
    else:
        say(f"changes of table {table} run {name} already")
    return there


def _with_destination(settings: dict[str, Any], stream: str) -> dict[str, Any]:
    """Settings with the ARN of a destination that was named shortly: `table:NAME`, `function:NAME`, `none`."""
    if "DestinationConfig" not in settings:
        return settings
    where = settings["DestinationConfig"]["OnFailure"]["Destination"]
    kind, _, name = where.partition(":")
    region, account = stream.split(":")[3:5]
    if kind == "table":
        where = f"arn:aws:dynamodb:{region}:{account}:table/{name}"
    elif kind == "function":
        where = f"arn:aws:lambda:{region}:{account}:function:{name}"
    elif where == "none":
        where = ""
    return settings | {"DestinationConfig": {"OnFailure": {"Destination": where}}}


def describe_mapping(mapping: dict[str, Any]) -> str:
    """The settings of a mapping that matter most, in words."""
    words = [f"batches of up to {mapping.get('BatchSize', 100)}"]
    if mapping.get("MaximumBatchingWindowInSeconds"):
        words.append(f"gathered for {mapping['MaximumBatchingWindowInSeconds']} s")
    if (mapping.get("FilterCriteria") or {}).get("Filters"):
        words.append("filtered")
    if (mapping.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination"):
        words.append(f"failures go to {mapping['DestinationConfig']['OnFailure']['Destination']}")
    if mapping.get("State") in ("Disabled", "Disabling"):
        words.append("switched off")
    return ", ".join(words)


def stream_of(api: Api, table: str, say: Say) -> str:
    """The ARN of a table's stream, which is switched on when there is none."""
    description = _table(api, table)
    if not (description.get("StreamSpecification") or {}).get("StreamEnabled"):
        specification = {"StreamEnabled": True, "StreamViewType": VIEW_TYPE}
        api.dynamodb("UpdateTable", {"TableName": table, "StreamSpecification": specification})
        say(f"table {table} had no stream: it is switched on, with {VIEW_TYPE}")
    elif description["StreamSpecification"].get("StreamViewType") != VIEW_TYPE:
        say(
            f"the stream of table {table} has {description['StreamSpecification'].get('StreamViewType')}: "
            "the handler sees no more than that"
        )
    deadline = time.monotonic() + STREAM_DEADLINE_S
    while True:
        description = _table(api, table)
        arn = description.get("LatestStreamArn")
        if arn and description.get("TableStatus") == "ACTIVE":
            return str(arn)
        if time.monotonic() > deadline:
            raise FunctionsError(f"the stream of table {table} is not ready after {STREAM_DEADLINE_S:.0f} s")
        time.sleep(POLL_S)


def _table(api: Api, table: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = api.dynamodb("DescribeTable", {"TableName": table})["Table"]
        return found
    except RefusedError as refusal:
        if not refusal.type.startswith("ResourceNotFound"):
            raise
        names = api.dynamodb("ListTables", {}).get("TableNames", [])
        known = f"there are {', '.join(names[:10])}" if names else "there are none yet"
        raise FunctionsError(f"there is no table {table} ({known}); create it first, then deploy") from None
