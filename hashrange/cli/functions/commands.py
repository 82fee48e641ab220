"""The commands of `hashrange functions`. What each does is in a module of its own, imported when it runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hashrange.cli.functions.client import Api

DEFAULT_ENDPOINT = "http://localhost:8000"
DEFAULT_REGION = "us-east-1"
_FUNCTION = "The function"
_TRIGGER = "Its trigger"
_SERVER = "Server"

app = typer.Typer(
    help="""Run handlers written for AWS Lambda on the changes of tables.

A server runs functions when it was started with --triggers:

  hashrange serve --triggers
  hashrange functions deploy handler.py --table orders
  hashrange functions logs handler --follow

boto3's `lambda` client and the AWS CLI work on the same endpoint.
""",
    no_args_is_help=True,
)


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


def _work(endpoint: str, region: str, work: Callable[[Api], Any]) -> Any:
    """Do something with the server; a FunctionsError ends the program with its sentence and code 1."""
    from hashrange.cli.functions.client import Api, FunctionsError, find_credentials

    try:
        return work(Api(endpoint, region, find_credentials(os.environ)))
    except FunctionsError as error:
        typer.echo(f"hashrange: {error}", err=True)
        raise typer.Exit(1) from None
    except BrokenPipeError:
        # Whoever read the output has enough. Nothing may be flushed into the closed pipe at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def deploy(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A .py or .js file, a folder, a .zip, or an executable.")
    ],
    name: Annotated[str | None, _option("--name", "NAME", _FUNCTION, "Its name; else that of PATH.")] = None,
    handler: Annotated[
        str | None,
        _option(
            "--handler", "MODULE.FUNCTION", _FUNCTION, "What runs; else looked for: handler.handler, ..."
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        _option(
            "--runtime", "RUNTIME", _FUNCTION, "python3.12, nodejs20.x, provided.al2023 ...; else by PATH."
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        _option("--env", "NAME=VALUE", _FUNCTION, "An environment variable; repeat for more."),
    ] = None,
    timeout: Annotated[
        int | None, _number("--timeout", "SECONDS", _FUNCTION, "Longest run (default 3).", 1, 900)
    ] = None,
    memory: Annotated[
        int | None, _number("--memory", "MB", _FUNCTION, "Memory limit (default 128).", 128, 10_240)
    ] = None,
    ephemeral: Annotated[
        int | None, _number("--tmp-size", "MB", _FUNCTION, "Room in /tmp (default 512).", 512, 10_240)
    ] = None,
    description: Annotated[
        str | None, _option("--description", "TEXT", _FUNCTION, "What it does, for people.")
    ] = None,
    table: Annotated[
        list[str] | None,
        _option("--table", "TABLE", _TRIGGER, "Run on this table's changes; repeat for more tables."),
    ] = None,
    batch_size: Annotated[
        int | None, _number("--batch-size", "N", _TRIGGER, "Changes in one event (default 100).", 1, 10_000)
    ] = None,
    batch_window: Annotated[
        int | None,
        _number("--batch-window", "SECONDS", _TRIGGER, "Gather changes for this long (default 0).", 0, 300),
    ] = None,
    parallel: Annotated[
        int | None,
        _number("--parallel", "N", _TRIGGER, "Batches of a shard at once, in order for each item.", 1, 10),
    ] = None,
    start: Annotated[
        str | None,
        _option(
            "--start", "POSITION", _TRIGGER, "A new trigger begins with TRIM_HORIZON (default) or LATEST."
        ),
    ] = None,
    filters: Annotated[
        list[str] | None,
        _option(
            "--filter", "JSON", _TRIGGER, "Only changes that match this pattern; repeat for alternatives."
        ),
    ] = None,
    max_retries: Annotated[
        int | None,
        _number("--max-retries", "N", _TRIGGER, "Retries of a batch; -1 without end (default).", -1, 10_000),
    ] = None,
    max_age: Annotated[
        int | None,
        _number("--max-age", "SECONDS", _TRIGGER, "Give up changes older than this; -1 never.", -1, 604_800),
    ] = None,
    bisect: Annotated[
        bool | None,
        _switch("--bisect/--no-bisect", _TRIGGER, "Halve a failed batch, to find the record that fails."),
    ] = None,
    report_failures: Annotated[
        bool | None,
        _switch("--report-failures/--no-report-failures", _TRIGGER, "The handler returns batchItemFailures."),
    ] = None,
    window: Annotated[
        int | None, _number("--tumbling-window", "SECONDS", _TRIGGER, "Keep state over windows.", 0, 900)
    ] = None,
    on_failure: Annotated[
        str | None,
        _option(
            "--on-failure",
            "WHERE",
            _TRIGGER,
            "Where batches go that are given up: ARN of a function or table, or an http(s) URL.",
        ),
    ] = None,
    enabled: Annotated[
        bool | None, _switch("--enabled/--disabled", _TRIGGER, "Switch it on or off; it keeps its place.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Deploy again when PATH changes, and show the log, until Ctrl-C.")
    ] = False,
    endpoint_url: EndpointUrl = DEFAULT_ENDPOINT,
    region: Region = DEFAULT_REGION,
    as_json: AsJson = False,
) -> None:
    """Make a function of a file or folder, and let changes of a table run it.

    Say it again to update it: what is not named keeps its setting. The stream of a table is switched on if need be.

    Examples:
      hashrange functions deploy handler.py --table orders
      hashrange functions deploy handler.py --table orders --batch-size 10 --bisect --max-retries 3
      hashrange functions deploy app/ --name totals --env TARGET=totals --timeout 30 --memory 512
      hashrange functions deploy handler.py --table orders --filter '{"eventName": ["INSERT"]}'
      hashrange functions deploy handler.py --table orders --watch
    """
    from hashrange.cli.functions import settings
    from hashrange.cli.functions.deploy import Deployment, deploy

    given = dict(locals())

    def work(api: Api) -> None:
        wanted = Deployment(
            path=Path(path).expanduser(),
            name=name,
            runtime=runtime,
            handler=handler,
            function=settings.of_function(given),
            environment=settings.environment(env),
            tables=tuple(table or ()),
            mapping=settings.of_mapping(given),
        )
        settings.check_trigger(wanted)
        if watch:
            from hashrange.cli.functions.watch import watch as follow

            follow(api, wanted, typer.echo)
            return
        said = (lambda sentence: typer.echo(sentence, err=True)) if as_json else typer.echo
        outcome = deploy(api, wanted, said)
        if as_json:
            typer.echo(json.dumps(outcome, indent=2))
        else:
            settings.say_next(outcome, endpoint_url, typer.echo)

    _work(endpoint_url, region, work)


@app.command()
def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    endpoint_url: EndpointUrl = DEFAULT_ENDPOINT,
    region: Region = DEFAULT_REGION,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one line an entry.")] = False,
) -> None:
    """Show what a function has written: its prints, START, END and REPORT of every run, and its errors.

    Examples:
      hashrange functions logs handler
      hashrange functions logs handler --follow
    """
    from hashrange.cli.functions import logs as logs_command

    _work(
        endpoint_url, region, lambda api: logs_command.show(api, name, follow, logs_command.printer(as_json))
    )


@app.command()
def invoke(
    name: Name,
    payload: Annotated[
        str, typer.Argument(metavar="[PAYLOAD|-]", help="The event as JSON, @FILE, or - for standard input.")
    ] = "{}",
    event: Annotated[
        bool, typer.Option("--event", help="Queue it (InvocationType Event): retried, and nobody waits.")
    ] = False,
    log: Annotated[bool, typer.Option(help="Show what the run has logged, on standard error.")] = True,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long to wait.")] = 910.0,
    endpoint_url: EndpointUrl = DEFAULT_ENDPOINT,
    region: Region = DEFAULT_REGION,
) -> None:
    """Run a function once and print what it returns. The exit code is 1 when it fails.

    Examples:
      hashrange functions invoke handler '{"Records": []}'
      hashrange functions invoke handler @event.json
      cat event.json | hashrange functions invoke handler -
    """
    from hashrange.cli.functions import invoke as invoke_command

    raise typer.Exit(
        _work(
            endpoint_url,
            region,
            lambda api: invoke_command.run(api, name, payload, event, log, timeout, typer.echo),
        )
    )


@app.command("list")
def list_functions(
    endpoint_url: EndpointUrl = DEFAULT_ENDPOINT, region: Region = DEFAULT_REGION, as_json: AsJson = False
) -> None:
    """Show functions and triggers: state, result of the last batch, and how old its last change was.

    Examples:
      hashrange functions list
      hashrange functions list --json | jq '.mappings[] | select(.state != "Enabled")'
    """
    from hashrange.cli.functions import listing

    _work(endpoint_url, region, lambda api: listing.show(api, as_json))


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    endpoint_url: EndpointUrl = DEFAULT_ENDPOINT,
    region: Region = DEFAULT_REGION,
) -> None:
    """Delete a function and its triggers. Streams and tables stay.

    Examples:
      hashrange functions delete handler
      hashrange functions delete handler --yes
    """
    from hashrange.cli.functions import remove

    _work(endpoint_url, region, lambda api: remove.delete(api, name, yes, typer.echo))
