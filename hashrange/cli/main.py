"""The program `hashrange`: what its commands are called. Each command's work is in a module of its own.

Modules are imported when their command runs: `hashrange version` loads no server, and a server loads no load
generator.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hashrange import __version__
from hashrange.cli import local_flags, serve
from hashrange.cli.bench import command as bench
from hashrange.cli.cluster import commands as cluster
from hashrange.cli.dax import commands as dax
from hashrange.cli.functions import commands as functions
from hashrange.cli.regions import commands as regions

ABOUT = """A distributed, DynamoDB-compatible datastore.

Start it, and point any AWS SDK at it:

  [bold]hashrange serve[/bold]
  [bold]boto3.resource("dynamodb", endpoint_url="http://127.0.0.1:8000")[/bold]

Every command explains itself with --help.
"""

app = typer.Typer(
    name="hashrange",
    help=ABOUT,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command("serve")(serve.serve)
app.command("bench", cls=bench.BenchCommand, help=bench.HELP)(bench.bench)
app.add_typer(cluster.app, name="cluster")
app.add_typer(regions.app, name="regions")
app.add_typer(dax.app, name="dax")
app.add_typer(functions.app, name="functions")

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file with the settings; else HASHRANGE_CONFIG.",
        show_default=False,
    ),
]
StopAtEof = Annotated[bool, typer.Option("--stop-at-eof", help="Stop when standard input ends.", hidden=True)]


@app.command()
def node(config: ConfigFile = None, stop_at_eof: StopAtEof = False) -> None:
    """Run one storage node of a cluster.

    Settings: the file of --config, then HASHRANGE_* variables.

    Examples:
      hashrange node --config node-1.toml
      HASHRANGE_ID=4 HASHRANGE_AZ=az1 HASHRANGE_PORT=8101 HASHRANGE_SEEDS=1/10.0.1.5:8101 hashrange node
    """
    from hashrange.cli import role

    raise typer.Exit(role.run_node(config, stop_at_eof))


@app.command()
def router(config: ConfigFile = None, stop_at_eof: StopAtEof = False) -> None:
    """Run one router of a cluster: the endpoint that SDKs connect to.

    Settings: the file of --config, then HASHRANGE_* variables.

    Examples:
      hashrange router --config router.toml
      HASHRANGE_SEEDS=1/10.0.1.5:8101,2/10.0.2.5:8101 hashrange router
    """
    from hashrange.cli import role

    raise typer.Exit(role.run_router(config, stop_at_eof))


@app.command()
def triggers(
    seed: Annotated[
        list[str] | None,
        typer.Option(
            "--seed",
            metavar="ID/HOST:PORT",
            help="A node of the cluster that is asked for the way; repeat for more.",
            show_default=False,
        ),
    ] = None,
    number: Annotated[
        str | None,
        typer.Option("--id", metavar="N", help="Number of the pool (default 1).", show_default=False),
    ] = None,
    az: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Zone that the pool is in (default az1).", show_default=False),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address to listen on (default 127.0.0.1).", show_default=False),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(metavar="PORT", help="TCP port; 0 picks one (default 8010).", show_default=False),
    ] = None,
    advertise: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="As routers reach the pool, if elsewhere.", show_default=False
        ),
    ] = None,
    work_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Code and logs of functions (default hashrange-functions).",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    stop_at_eof: StopAtEof = False,
) -> None:
    """Run a trigger pool of a cluster: it runs functions, for the routers and on changes of tables.

    Any number of pools share the work. One that ends hands its shards on; one that dies is replaced within seconds.

    Settings: the file of --config, then HASHRANGE_* variables, then these flags.

    Examples:
      hashrange triggers --seed 1/10.0.1.5:8101 --seed 2/10.0.2.5:8101 --host 10.0.1.7
      hashrange triggers --seed 1/10.0.1.5:8101 --host 0.0.0.0 --advertise 10.0.1.7:8010
      hashrange triggers --config triggers.toml
    """
    from hashrange.cli import role

    given = {
        "seeds": ",".join(text.replace("=", "/", 1) for text in seed) if seed else None,
        "id": number,
        "az": az,
        "host": host,
        "port": port,
        "advertise": advertise,
        "work_dir": work_dir,
    }
    flags = {name: value for name, value in given.items() if value is not None}
    raise typer.Exit(role.run_triggers(config, stop_at_eof, flags))


@app.command()
def api(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Show which operations of the DynamoDB APIs are supported.

    Examples:
      hashrange api
      hashrange api --json | jq '.[] | select(.supported | not) | .operation'
    """
    from hashrange.cli import api_table

    api_table.show(as_json)


@app.command()
def top(
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="An embedded server, or the admin port of a node or router; may be repeated.",
            show_default=False,
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option("--data-dir", metavar="DIR", help="Directory of a local cluster.", show_default=False),
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3_600, metavar="SECONDS", help="Time between two looks.")
    ] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look for one interval, print one screen, end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one document a line; with --once a single one.")
    ] = False,
    sort: Annotated[
        str,
        typer.Option(
            metavar="ORDER",
            help="Order of tables and partitions: requests, p99, throttled, units, size, name.",
        ),
    ] = "requests",
) -> None:
    """Watch tables, functions, partitions, zones, latencies, throttles and hot keys.

    Without --endpoint and --data-dir: the cluster in ./hashrange-cluster if it runs, else http://127.0.0.1:8000.

    Rates are over the last interval; s sorts by something else, q quits.

    Reading the screen:

    - read units/s 37/50: 37 capacity units consumed a second, of 50 provisioned. On demand there is no second number.

    - throttled/s: requests refused for want of capacity. conflicts/s: those that a transaction stood in the way of.

    - share of partition: how much of one partition's load is for one partition key. A split cannot part such a load.

    - iterator age: how old the last change was that a function has been run with. It grows with what is not done yet.

    - sync p99: how long the log's disk took. It bounds the latency of writes.

    Hot keys are keys of your items: `--show-hot-keys false` on a server keeps them to itself.

    Examples:
      hashrange top
      hashrange top --data-dir /var/tmp/c1 --sort p99
      hashrange top --endpoint http://127.0.0.1:8001
      hashrange top --endpoint http://10.0.1.5:8201 --endpoint http://10.0.1.9:8301
      hashrange top --once --json | jq '.tables[] | select(.load.throttled > 0) | .name'
    """
    from hashrange.cli.top import build, run

    if sort not in build.SORTS:
        raise typer.BadParameter(f"{sort!r} is none of {', '.join(build.SORTS)}", param_hint="--sort")
    raise typer.Exit(run.run(run.TopOptions(endpoint or [], data_dir, interval, once, as_json, sort)))


DataDirectory = Annotated[
    str, typer.Option("--data-dir", metavar="DIR", help="Data directory of a server that is not running.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


@app.command()
def reset(data_dir: DataDirectory = "hashrange-data", yes: Yes = False) -> None:
    """Delete all data in a data directory, after asking.

    Examples:
      hashrange reset
      hashrange reset --data-dir /var/lib/hashrange --yes
    """
    from hashrange.cli import reset as reset_command

    reset_command.run(data_dir, yes)


@app.command()
def repair(data_dir: DataDirectory = "hashrange-data", yes: Yes = False) -> None:
    """Explain the damage in a data directory and, after asking, keep what is intact.

    A server refuses to start on a damaged log: writes it has acknowledged may be missing.

    This command says what is damaged, moves it aside and keeps the intact part before the damage.

    Examples:
      hashrange repair
      hashrange repair --data-dir /var/lib/hashrange
    """
    from hashrange.cli import repair as repair_command

    repair_command.run(data_dir, yes)


@app.command()
def health(
    url: Annotated[
        str | None,
        typer.Argument(metavar="[URL]", help="Where the server is; else found as in a container."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask whether it runs, not whether it can serve.")
    ] = False,
) -> None:
    """Ask a server, or a process of a cluster, whether it can serve. The exit code says so: 0 or 1.

    Without a URL: port 8000, or what HASHRANGE_ADMIN_PORT, HASHRANGE_PORT or the server of this container says.

    Examples:
      hashrange health
      hashrange health http://10.0.1.5:8201
      hashrange health --live 10.0.1.5:8201
    """
    from hashrange.cli import health as health_command

    raise typer.Exit(health_command.run(url, ready=not live))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"hashrange {__version__}")


def main() -> None:
    """Entry point of the console script."""
    app(args=local_flags.translate(sys.argv[1:]), prog_name="hashrange")


if __name__ == "__main__":
    main()
