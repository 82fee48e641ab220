"""`hashrange dax`: runs a cache node; and the commands for whoever looks at cache clusters."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="""Run a cache node of a cluster (DAX), and look at cache clusters.

Without a command: run one node. Settings: the file of --config, then HASHRANGE_* variables.

Nodes with the same `cluster` find one another. `hashrange serve --dax` and `hashrange cluster up --dax 3` start theirs
themselves.

Examples:
  hashrange dax --config dax-1.toml
  HASHRANGE_SEEDS=1/10.0.1.5:8101 HASHRANGE_HOST=10.0.1.7 hashrange dax
  hashrange dax certificate > ca.pem
  hashrange dax stats --watch
""",
    invoke_without_command=True,
)

EndpointUrl = Annotated[
    str,
    typer.Option("--endpoint-url", metavar="URL", help="Endpoint of the server or of a router."),
]
DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", metavar="DIR", help="Directory of a local cluster.", show_default=False),
]
DEFAULT_ENDPOINT = "http://127.0.0.1:8000"


@app.callback()
def node(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="TOML file with the settings; else HASHRANGE_CONFIG.",
            show_default=False,
        ),
    ] = None,
    stop_at_eof: Annotated[
        bool, typer.Option("--stop-at-eof", help="Stop when standard input ends.", hidden=True)
    ] = False,
) -> None:
    """Run a cache node if no command is given."""
    if context.invoked_subcommand is None:
        from hashrange.cli import role

        raise typer.Exit(role.run_dax(config, stop_at_eof))


@app.command()
def certificate(endpoint_url: EndpointUrl = DEFAULT_ENDPOINT, data_dir: DataDir = None) -> None:
    """Print the certificate that clients of daxs:// are to trust.

    Examples:
      hashrange dax certificate > ca.pem
      SSL_CERT_FILE=ca.pem python app.py
      NODE_EXTRA_CA_CERTS=ca.pem node app.js
    """
    from hashrange.cli.dax import stats

    raise typer.Exit(stats.certificate(endpoint_url, data_dir))


@app.command("stats")
def show_stats(
    endpoint_url: EndpointUrl = DEFAULT_ENDPOINT,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3_600, metavar="SECONDS", help="Time between two looks.")
    ] = 2.0,
) -> None:
    """Show what cache nodes have counted: requests, hits and misses, memory, connections.

    Totals since each node's start. Names in JSON are those of CloudWatch's namespace AWS/DAX.

    Examples:
      hashrange dax stats
      hashrange dax stats --data-dir /var/tmp/c1 --watch
      hashrange dax stats --json | jq '.nodes[] | {id, hits: .metrics.ItemCacheHits}'
    """
    from hashrange.cli.dax import stats

    raise typer.Exit(stats.show(endpoint_url, data_dir, as_json, interval if watch else None))
