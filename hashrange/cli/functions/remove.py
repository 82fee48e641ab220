"""`hashrange functions delete`: a function and the triggers that run it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import typer

from hashrange.cli.functions import paths
from hashrange.cli.functions.client import Api, FunctionsError, RefusedError
from hashrange.cli.functions.deploy import find_function
from hashrange.cli.functions.listing import pages, table_of

GONE_DEADLINE_S = 30.0
POLL_S = 0.1


def delete(api: Api, name: str, yes: bool, say: Callable[[str], None]) -> None:
    """Delete it after asking; raises FunctionsError when there is none."""
    function = find_function(api, name)
    if function is None:
        known = ", ".join(
            each["FunctionName"] for each in pages(api, paths.FUNCTIONS + "/", "Functions")[:10]
        )
        raise FunctionsError(f"there is no function {name}" + (f"; there are {known}" if known else ""))
    mappings = pages(api, paths.MAPPINGS + "/", "EventSourceMappings", {"FunctionName": name})
    triggers = ", ".join(table_of(each.get("EventSourceArn", "")) for each in mappings)
    what = f"function {name}" + (f" and its triggers on {triggers}" if mappings else "")
    if not yes and not typer.confirm(f"Delete {what}?"):
        raise FunctionsError("nothing is deleted")
    for mapping in mappings:
        _drop(api, paths.mapping(mapping["UUID"]))
    _until_gone(api, mappings)
    _drop(api, paths.function(name))
    say(f"{what} is deleted" if not mappings else f"{what} are deleted")


def _drop(api: Api, path: str) -> None:
    """Delete something that may be gone already."""
    try:
        api.lambda_("DELETE", path)
    except RefusedError as refusal:
        if refusal.status != 404:
            raise


def _until_gone(api: Api, mappings: list[dict[str, Any]]) -> None:
    """A mapping finishes its batch first: the function must be there for it."""
    deadline = time.monotonic() + GONE_DEADLINE_S
    for mapping in mappings:
        while time.monotonic() < deadline:
            try:
                api.lambda_("GET", paths.mapping(mapping["UUID"]))
            except RefusedError as refusal:
                if refusal.status == 404:
                    break
                raise
            time.sleep(POLL_S)
