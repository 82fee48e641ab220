"""`hashrange functions list`: functions and triggers, with what the metrics know of them.

State and last result are what the API says. How old the last change was (iterator age) and how often a function ran
is what the programs that run functions count, since they were started. As JSON:

    {"functions": [{"name", "runtime", "handler", "state", "modified", "invocations", "errors"}],
     "mappings": [{"uuid", "function", "table", "stream", "state", "result", "iterator_age_ms", "batch_size"}]}
"""

from __future__ import annotations

import json
from typing import Any

from hashrange.cli.functions import paths
from hashrange.cli.functions.client import Api, FunctionsError

PAGES_MAX = 1_000


def pages(api: Api, path: str, member: str, query: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Everything that a list of the API has, over its pages."""
    found: list[dict[str, Any]] = []
    marker: str | None = None
    for _ in range(PAGES_MAX):
        answer = api.lambda_("GET", path, query={**(query or {}), **({"Marker": marker} if marker else {})})
        found += answer.get(member, [])
        marker = answer.get("NextMarker")
        if not marker:
            break
    return found


def gather(api: Api) -> dict[str, Any]:
    """The document of the command."""
    functions = pages(api, paths.FUNCTIONS + "/", "Functions")
    mappings = pages(api, paths.MAPPINGS + "/", "EventSourceMappings")
    figures = _figures(api)
    return {
        "functions": [_function(each, figures.get("functions", {})) for each in functions],
        "mappings": [_mapping(each, figures.get("mappings", {})) for each in mappings],
    }


def _figures(api: Api) -> dict[str, Any]:
    """What the server counts of functions and mappings; empty where it cannot say."""
    try:
        return api.lambda_("GET", paths.LOGS)
    except FunctionsError:
        return {}


def _function(each: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    counted = figures.get(each["FunctionName"], {})
    return {
        "name": each["FunctionName"],
        "runtime": each.get("Runtime"),
        "handler": each.get("Handler"),
        "state": each.get("State", "Active"),
        "modified": each.get("LastModified"),
        "invocations": counted.get("invocations"),
        "errors": counted.get("errors"),
    }


def _mapping(each: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    stream = each.get("EventSourceArn", "")
    return {
        "uuid": each["UUID"],
        "function": each.get("FunctionArn", "").split(":function:")[-1],
        "table": table_of(stream),
        "stream": stream,
        "state": each.get("State"),
        "result": each.get("LastProcessingResult"),
        "iterator_age_ms": figures.get(each["UUID"], {}).get("iterator_age_ms"),
        "batch_size": each.get("BatchSize"),
    }


def table_of(stream: str) -> str:
    """The table of a stream's ARN."""
    return stream.partition(":table/")[2].partition("/stream/")[0] or stream


def show(api: Api, as_json: bool) -> None:
    """Print it as tables, or as JSON."""
    document = gather(api)
    if as_json:
        print(json.dumps(document, indent=2))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not document["functions"]:
        console.print(
            "no functions yet: hashrange functions deploy handler.py --table TABLE", highlight=False
        )
    else:
        table = Table("function", "runtime", "handler", "state", box=box.SIMPLE_HEAD)
        table.add_column("runs", justify="right")
        table.add_column("errors", justify="right")
        for each in document["functions"]:
            numbers = (_count(each["invocations"]), _count(each["errors"]))
            table.add_row(each["name"], each["runtime"] or "", each["handler"] or "", each["state"], *numbers)
        console.print(table)
    if document["mappings"]:
        table = Table("table", "runs", "state", "last result", box=box.SIMPLE_HEAD)
        table.add_column("iterator age", justify="right")
        table.add_column("uuid", overflow="fold")
        for each in document["mappings"]:
            table.add_row(
                each["table"],
                each["function"],
                each["state"] or "",
                each["result"] or "",
                age(each["iterator_age_ms"]),
                each["uuid"],
            )
        console.print(table)


def _count(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def age(milliseconds: float | None) -> str:
    """A time for people."""
    if milliseconds is None:
        return ""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1_000
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
