"""The commands of `hashrange regions`. What each does is in a module of its own, imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashrange.cli.cluster import options
from hashrange.cli.cluster.commands import run_work, say_all

if TYPE_CHECKING:
    from hashrange.cli.regions.place import Place

DEFAULT_DIRECTORY = "hashrange-regions"

app = typer.Typer(
    help="""Start several regions on this machine, with global tables between them, and try what happens when they
cannot reach one another.

Examples:
  hashrange regions up --regions us-east-1,eu-west-1
  hashrange regions status
  hashrange regions cut eu-west-1 --seconds 60
  hashrange regions verify Music
""",
    no_args_is_help=True,
)

Directory = Annotated[str, typer.Option("--data-dir", metavar="DIR", help="Directory of the regions.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
CredentialsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Access keys that may sign, as in ~/.aws/credentials; regions use the first among themselves.",
        show_default=False,
    ),
]
Names = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="The regions; may be left out when the directory has some.",
        show_default=False,
    ),
]
First = Annotated[str, typer.Argument(metavar="REGION", help="The region that is cut off.")]
Second = Annotated[
    str | None, typer.Argument(metavar="[REGION]", help="From this one only; else from all others.")
]


@app.command()
def up(
    regions: Names = None,
    azs: options.Azs = None,
    nodes: options.Nodes = None,
    routers: options.Routers = None,
    dax: options.Dax = None,
    triggers: options.Triggers = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64_535,
            help="Endpoint of the first region; the next ones are 1000 apart.  [default: 8000]",
        ),
    ] = None,
    data_dir: Directory = DEFAULT_DIRECTORY,
    durability: options.Durability = None,
    in_memory: options.InMemory = False,
    throttling: options.Throttling = None,
    settings: options.Settings = None,
    router_settings: options.RouterSettings = None,
    credentials_file: CredentialsFile = None,
    console: options.Console = False,
    console_edit: options.ConsoleEdit = False,
) -> None:
    """Start regions, show how changes get from one to another, and stop everything with Ctrl-C.

    Each region is a whole cluster of its own, with an endpoint of its own; they know where the others are.
    A table becomes global when it is given a replica: UpdateTable with ReplicaUpdates, as with any AWS SDK.
    With --console each region has a web console of its own, 90 above its endpoint's port.
    Every region takes reads and writes; changes are usually in the others within a second.
    When two regions change an item at once, the later change wins in all of them.
    A directory that holds regions already is started again as it is; more regions may be named.

    The cluster of a region is in a directory of its name: `hashrange cluster kill 2 --data-dir DIR/eu-west-1`.
    Numbers of zones, nodes and routers are for each region. On a small machine: --azs 1 --nodes 1.

    Examples:
      hashrange regions up --regions us-east-1,eu-west-1
      hashrange regions up --regions us-east-1,eu-west-1,ap-northeast-1 --azs 1 --nodes 1
      hashrange regions up --regions us-east-1,eu-west-1 --port 9000 --data-dir /var/tmp/r1
      hashrange regions up --regions us-east-1,eu-west-1 --credentials-file keys.ini
      hashrange regions up --console
    """
    from hashrange.cli.regions.up import RegionsOptions, run

    raise typer.Exit(
        run(
            RegionsOptions(
                directory=Path(data_dir),
                regions=[name.strip() for name in regions.split(",")] if regions is not None else None,
                azs=azs,
                nodes=nodes,
                routers=routers,
                dax=dax,
                triggers=triggers,
                port=port,
                durability=durability,
                in_memory=in_memory,
                throttling=throttling,
                settings=settings or [],
                router_settings=router_settings or [],
                credentials_file=credentials_file,
                console=console,
                console_edit=console_edit,
            )
        )
    )


@app.command()
def status(data_dir: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False) -> None:
    """Show what runs in each region, and how far changes have got.

    Pending keys: items whose last change the other region does not have yet. They are counted once however often
    they change, so that hours of a cut leave no more of them than there are items.

    Examples:
      hashrange regions status
      hashrange regions status --json | jq '.links[] | select(.pending_keys > 0)'
    """
    from hashrange.cli.regions import status as status_command

    place = _place(data_dir)
    run_work(lambda: status_command.show(place, as_json))


@app.command()
def cut(
    region: First,
    other: Second = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Heal after this time; else when told to.", show_default=False),
    ] = None,
    data_dir: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Cut a region off from the others: all of them go on taking writes, and send them when the cut is healed.

    Examples:
      hashrange regions cut eu-west-1
      hashrange regions cut eu-west-1 us-east-1 --seconds 60
    """
    import asyncio

    from hashrange.cli.regions import faults

    place = _place(data_dir)

    async def work() -> None:
        chosen = faults.pairs(place, region, other)
        say_all(await faults.cut(place, chosen))
        if seconds is not None:
            try:
                await asyncio.sleep(seconds)
            finally:
                say_all(await faults.heal(place, region, other))

    run_work(work)


@app.command()
def heal(
    region: Annotated[
        str | None, typer.Argument(metavar="[REGION]", help="Undo the cuts of this one; else all.")
    ] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="[REGION]", help="Only the cut from this one.")
    ] = None,
    data_dir: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Undo cuts between regions."""
    from hashrange.cli.regions import faults

    place = _place(data_dir)

    async def work() -> None:
        say_all(await faults.heal(place, region, other))

    run_work(work)


@app.command()
def verify(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The global table.")],
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Time in which what differs may become equal.")
    ] = 30.0,
    data_dir: Directory = DEFAULT_DIRECTORY,
    credentials_file: CredentialsFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare all items of a table in all regions, and show what differs. Exit code 0 when they are equal.

    Reads the table whole in every region, and what differs again until it is equal.

    Examples:
      hashrange regions verify Music
      hashrange regions verify Music --wait 0 --json | jq .different
    """
    from hashrange.cli.regions import verify as verify_command
    from hashrange.cli.regions.up import first_credentials

    place = _place(data_dir)

    async def work() -> int:
        credentials = None
        if credentials_file is not None:
            key, _, secret = first_credentials(credentials_file).partition(":")
            credentials = key, secret
        return await verify_command.show(place, table, wait, as_json, credentials)

    raise typer.Exit(run_work(work))


def _place(data_dir: str) -> Place:
    from hashrange.cli.cluster.layout import LayoutError
    from hashrange.cli.regions.place import load

    try:
        return load(Path(data_dir))
    except LayoutError as error:
        typer.echo(f"hashrange: {error}", err=True)
        raise typer.Exit(1) from None
