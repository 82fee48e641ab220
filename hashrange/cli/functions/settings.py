"""From the options of `hashrange functions deploy` to settings of the Lambda API, with the rules between options."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hashrange.cli.functions.client import FunctionsError
from hashrange.cli.functions.deploy import Deployment

_FUNCTION = {"timeout": "Timeout", "memory": "MemorySize", "description": "Description"}
_MAPPING = {
    "batch_size": "BatchSize",
    "batch_window": "MaximumBatchingWindowInSeconds",
    "parallel": "ParallelizationFactor",
    "max_retries": "MaximumRetryAttempts",
    "max_age": "MaximumRecordAgeInSeconds",
    "bisect": "BisectBatchOnFunctionError",
    "window": "TumblingWindowInSeconds",
    "enabled": "Enabled",
}
POSITIONS = ("TRIM_HORIZON", "LATEST")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_AGE_LEAST_S = 60


def deployment(given: Mapping[str, Any]) -> Deployment:
    """What is to be deployed, of the options of the command; raises FunctionsError for what makes no sense."""
    wanted = Deployment(
        path=Path(given["path"]).expanduser(),
        name=given["name"],
        runtime=given["runtime"],
        handler=given["handler"],
        function=of_function(given),
        environment=environment(given["env"]),
        tables=tuple(given["table"] or ()),
        mapping=of_mapping(given),
    )
    check_trigger(wanted)
    return wanted


def of_function(given: Mapping[str, Any]) -> dict[str, Any]:
    """The function's settings that were given."""
    settings = {theirs: given[ours] for ours, theirs in _FUNCTION.items() if given[ours] is not None}
    if given["ephemeral"] is not None:
        settings["EphemeralStorage"] = {"Size": given["ephemeral"]}
    return settings


def environment(pairs: list[str] | None) -> dict[str, str] | None:
    """Variables of `NAME=VALUE` texts, None when none were given."""
    if not pairs:
        return None
    variables: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise FunctionsError(
                f"--env takes NAME=VALUE, not {pair!r}; a name has two or more letters, digits and underscores"
            )
        variables[name] = value
    return variables


def of_mapping(given: Mapping[str, Any]) -> dict[str, Any]:
    """The trigger's settings that were given; raises FunctionsError for what no server would take."""
    settings = {theirs: given[ours] for ours, theirs in _MAPPING.items() if given[ours] is not None}
    if given["start"] is not None:
        position = given["start"].upper().replace("-", "_")
        if position not in POSITIONS:
            raise FunctionsError(f"--start is {' or '.join(POSITIONS)}, not {given['start']}")
        settings["StartingPosition"] = position
    if given["max_age"] is not None and 0 <= given["max_age"] < _AGE_LEAST_S:
        raise FunctionsError(f"--max-age is -1 (never), or from {_AGE_LEAST_S} seconds on")
    if given["filters"]:
        settings["FilterCriteria"] = {"Filters": [{"Pattern": _pattern(text)} for text in given["filters"]]}
    if given["report_failures"] is not None:
        settings["FunctionResponseTypes"] = ["ReportBatchItemFailures"] if given["report_failures"] else []
    if given["on_failure"] is not None:
        settings["DestinationConfig"] = {"OnFailure": {"Destination": given["on_failure"]}}
    return settings


def _pattern(text: str) -> str:
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise FunctionsError(f'--filter takes JSON, such as {{"eventName": ["INSERT"]}}: {error}') from None
    if not isinstance(pattern, dict):
        raise FunctionsError(f'--filter takes a JSON object, such as {{"eventName": ["INSERT"]}}, not {text}')
    return text


def check_trigger(wanted: Deployment) -> None:
    """Options of a trigger mean nothing without a table."""
    if wanted.mapping and not wanted.tables:
        flags = {theirs: "--" + ours.replace("_", "-") for ours, theirs in _MAPPING.items()} | {
            "StartingPosition": "--start",
            "FilterCriteria": "--filter",
            "FunctionResponseTypes": "--report-failures",
            "DestinationConfig": "--on-failure",
            "TumblingWindowInSeconds": "--tumbling-window",
            "Enabled": "--enabled/--disabled",
        }
        names = ", ".join(flags[key] for key in wanted.mapping)
        raise FunctionsError(f"{names}: this is about a trigger; name its table with --table")


def say_next(outcome: dict[str, Any], endpoint: str, say: Callable[[str], None]) -> None:
    """What one can do with the function now."""
    from hashrange.cli.functions.options import DEFAULT_ENDPOINT

    name = outcome["function"]["FunctionName"]
    where = "" if endpoint == DEFAULT_ENDPOINT else f" --endpoint-url {endpoint}"
    say(f"see it run: hashrange functions logs {name} --follow{where}")
    if not outcome["mappings"]:
        say(f"run it once: hashrange functions invoke {name} '{{}}'{where}")
