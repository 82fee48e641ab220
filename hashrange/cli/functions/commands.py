"""The commands of `hashrange functions`. What each does is in a module of its own, imported when it runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashrange.cli.functions import options
from hashrange.cli.functions.options import DEFAULT_ENDPOINT, DEFAULT_REGION

if TYPE_CHECKING:
    from hashrange.cli.functions.client import Api

app = typer.Typer(
    help="""Run handlers written for AWS Lambda on the changes of tables.

A server runs functions when it was started with --triggers.

Examples:
  hashrange serve --triggers
  hashrange functions deploy handler.py --table orders
  hashrange functions logs handler --follow

boto3's `lambda` client and the AWS CLI work on the same endpoint.
""",
    no_args_is_help=True,
)


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
    path: options.Path,
    name: options.NewName = None,
    handler: options.Handler = None,
    runtime: options.Runtime = None,
    env: options.Env = None,
    timeout: options.Timeout = None,
    memory: options.Memory = None,
    ephemeral: options.Ephemeral = None,
    description: options.Description = None,
    table: options.Table = None,
    batch_size: options.BatchSize = None,
    batch_window: options.BatchWindow = None,
    parallel: options.Parallel = None,
    start: options.Start = None,
    filters: options.Filters = None,
    max_retries: options.MaxRetries = None,
    max_age: options.MaxAge = None,
    bisect: options.Bisect = None,
    report_failures: options.ReportFailures = None,
    window: options.Window = None,
    on_failure: options.OnFailure = None,
    enabled: options.Enabled = None,
    watch: options.Watch = False,
    endpoint_url: options.EndpointUrl = DEFAULT_ENDPOINT,
    region: options.Region = DEFAULT_REGION,
    as_json: options.AsJson = False,
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
    given = dict(locals())
    _work(endpoint_url, region, lambda api: _deploy(api, given))


def _deploy(api: Api, given: dict[str, Any]) -> None:
    from hashrange.cli.functions import settings
    from hashrange.cli.functions.deploy import deploy as carry_out
    from hashrange.cli.functions.watch import watch

    wanted = settings.deployment(given)
    if given["watch"]:
        watch(api, wanted, typer.echo)
    elif given["as_json"]:
        outcome = carry_out(api, wanted, lambda sentence: typer.echo(sentence, err=True))
        typer.echo(json.dumps(outcome, indent=2))
    else:
        outcome = carry_out(api, wanted, typer.echo)
        settings.say_next(outcome, given["endpoint_url"], typer.echo)


@app.command()
def logs(
    name: options.Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help="The last entries only.", show_default=False)
    ] = None,
    endpoint_url: options.EndpointUrl = DEFAULT_ENDPOINT,
    region: options.Region = DEFAULT_REGION,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one line an entry.")] = False,
) -> None:
    """Show what a function has written: its prints, START, END and REPORT of every run, and its errors.

    Examples:
      hashrange functions logs handler
      hashrange functions logs handler --lines 20 --follow
    """
    from hashrange.cli.functions import logs as logs_command

    _work(
        endpoint_url,
        region,
        lambda api: logs_command.show(api, name, follow, lines, logs_command.printer(as_json)),
    )


@app.command()
def invoke(
    name: options.Name,
    payload: Annotated[
        str, typer.Argument(metavar="[PAYLOAD|-]", help="The event as JSON, @FILE, or - for standard input.")
    ] = "{}",
    event: Annotated[
        bool, typer.Option("--event", help="Queue it (InvocationType Event): retried, and nobody waits.")
    ] = False,
    log: Annotated[bool, typer.Option(help="Show what the run has logged, on standard error.")] = True,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long to wait.")] = 910.0,
    endpoint_url: options.EndpointUrl = DEFAULT_ENDPOINT,
    region: options.Region = DEFAULT_REGION,
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
    endpoint_url: options.EndpointUrl = DEFAULT_ENDPOINT,
    region: options.Region = DEFAULT_REGION,
    as_json: options.AsJson = False,
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
    name: options.Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    endpoint_url: options.EndpointUrl = DEFAULT_ENDPOINT,
    region: options.Region = DEFAULT_REGION,
) -> None:
    """Delete a function and its triggers. Streams and tables stay.

    Examples:
      hashrange functions delete handler
      hashrange functions delete handler --yes
    """
    from hashrange.cli.functions import remove

    _work(endpoint_url, region, lambda api: remove.delete(api, name, yes, typer.echo))
