"""The options of `hashrange functions`, one type for each, so that the commands' signatures stay readable."""

from __future__ import annotations

from typing import Annotated, Any

import typer

DEFAULT_ENDPOINT = "http://localhost:8000"
DEFAULT_REGION = "us-east-1"
_FUNCTION = "The function"
_TRIGGER = "Its trigger"
_SERVER = "Server"


def _option(flag: str, metavar: str, panel: str, text: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, rich_help_panel=panel, show_default=False)


def _number(flag: str, metavar: str, panel: str, text: str, least: int, most: int) -> Any:
    return typer.Option(
        flag, metavar=metavar, min=least, max=most, help=text, rich_help_panel=panel, show_default=False
    )


def _switch(flag: str, panel: str, text: str) -> Any:
    return typer.Option(flag, help=text, rich_help_panel=panel, show_default=False)


EndpointUrl = Annotated[
    str,
    typer.Option(
        "--endpoint-url", metavar="URL", help="The server, or a router of a cluster.", rich_help_panel=_SERVER
    ),
]
Region = Annotated[
    str,
    typer.Option(
        "--region", metavar="REGION", help="Region to sign for.", envvar="AWS_REGION", rich_help_panel=_SERVER
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The function: its name, NAME:ALIAS, or its ARN.")]

Path = Annotated[
    str, typer.Argument(metavar="PATH", help="A .py or .js file, a folder, a .zip, or an executable.")
]
NewName = Annotated[str | None, _option("--name", "NAME", _FUNCTION, "Its name; else that of PATH.")]
Handler = Annotated[
    str | None,
    _option("--handler", "MODULE.FUNCTION", _FUNCTION, "What runs; else looked for: handler.handler, ..."),
]
Runtime = Annotated[
    str | None,
    _option("--runtime", "RUNTIME", _FUNCTION, "python3.12, nodejs20.x, provided.al2023 ...; else by PATH."),
]
Env = Annotated[
    list[str] | None,
    _option("--env", "NAME=VALUE", _FUNCTION, "An environment variable; repeat for more. Others stay."),
]
Timeout = Annotated[
    int | None, _number("--timeout", "SECONDS", _FUNCTION, "Longest run (default 3).", 1, 900)
]
Memory = Annotated[
    int | None, _number("--memory", "MB", _FUNCTION, "Memory limit (default 128).", 128, 10_240)
]
Ephemeral = Annotated[
    int | None, _number("--tmp-size", "MB", _FUNCTION, "Room in /tmp (default 512).", 512, 10_240)
]
Description = Annotated[str | None, _option("--description", "TEXT", _FUNCTION, "What it does, for people.")]
Table = Annotated[
    list[str] | None,
    _option("--table", "TABLE", _TRIGGER, "Run on this table's changes; repeat for more tables."),
]
BatchSize = Annotated[
    int | None, _number("--batch-size", "N", _TRIGGER, "Changes in one event (default 100).", 1, 10_000)
]
BatchWindow = Annotated[
    int | None,
    _number("--batch-window", "SECONDS", _TRIGGER, "Gather changes for this long (default 0).", 0, 300),
]
Parallel = Annotated[
    int | None,
    _number("--parallel", "N", _TRIGGER, "Batches of a shard at once, in order for each item.", 1, 10),
]
Start = Annotated[
    str | None,
    _option("--start", "POSITION", _TRIGGER, "A new trigger begins with TRIM_HORIZON (default) or LATEST."),
]
Filters = Annotated[
    list[str] | None,
    _option("--filter", "JSON", _TRIGGER, "Only changes that match this pattern; repeat for alternatives."),
]
MaxRetries = Annotated[
    int | None,
    _number("--max-retries", "N", _TRIGGER, "Retries of a batch; -1 without end (default).", -1, 10_000),
]
MaxAge = Annotated[
    int | None,
    _number("--max-age", "SECONDS", _TRIGGER, "Give up changes older than this; -1 never.", -1, 604_800),
]
Bisect = Annotated[
    bool | None,
    _switch("--bisect/--no-bisect", _TRIGGER, "Halve a failed batch, to find the record that fails."),
]
ReportFailures = Annotated[
    bool | None,
    _switch("--report-failures/--whole-batches", _TRIGGER, "The handler returns batchItemFailures."),
]
Window = Annotated[
    int | None, _number("--tumbling-window", "SECONDS", _TRIGGER, "Keep state over windows.", 0, 900)
]
OnFailure = Annotated[
    str | None,
    _option(
        "--on-failure",
        "WHERE",
        _TRIGGER,
        "Where batches go that are given up: table:NAME, function:NAME, an http(s) URL, an ARN, or none.",
    ),
]
Enabled = Annotated[
    bool | None, _switch("--enabled/--disabled", _TRIGGER, "Switch it on or off; it keeps its place.")
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Deploy again when PATH changes, and show the log, until Ctrl-C.")
]
