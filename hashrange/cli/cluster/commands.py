"""The commands of `hashrange cluster`. What each does is in a module of its own, imported when it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashrange.cli.cluster import options

if TYPE_CHECKING:
    from hashrange.cli.cluster.layout import Layout

DEFAULT_DIRECTORY = "hashrange-cluster"

app = typer.Typer(
    help="""Start a whole cluster on this machine, look at it, and try faults on it.

Examples:
  hashrange cluster up
  hashrange cluster up --nodes 6 --routers 2 --port 9000
  hashrange cluster status
  hashrange cluster kill az2
  hashrange cluster restart az2
""",
    no_args_is_help=True,
)

Directory = Annotated[
    str, typer.Option("--data-dir", metavar="DIR", help="Directory of the cluster.", show_default=True)
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Admin port of a node or router, for a cluster elsewhere.", show_default=False
    ),
]
Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...", help="az2 (the nodes of a zone), node-2 or 2, router-1, triggers-1, dax-1."
    ),
]


def node_number(text: str) -> int:
    """The number of a node, written 4 or node-4."""
    number = text.strip().removeprefix("node-")
    if not number.isascii() or not number.isdigit() or int(number) < 1:
        raise typer.BadParameter(f"{text!r} names no node; write 4 or node-4")
    return int(number)


def _node(metavar: str, meaning: str) -> Any:
    return typer.Argument(metavar=metavar, parser=node_number, help=f"{meaning}: 4 or node-4.")


NodeNumber = Annotated[int, _node("NODE", "The node")]


@app.command()
def up(
    azs: options.Azs = None,
    nodes: options.Nodes = None,
    routers: options.Routers = None,
    dax: options.Dax = None,
    triggers: options.Triggers = None,
    port: options.Port = None,
    data_dir: Directory = DEFAULT_DIRECTORY,
    region: options.Region = None,
    durability: options.Durability = None,
    in_memory: options.InMemory = False,
    settings: options.Settings = None,
    router_settings: options.RouterSettings = None,
    trigger_settings: options.TriggerSettings = None,
    dax_settings: options.DaxSettings = None,
    throttling: options.Throttling = None,
    capacity_multiplier: options.CapacityMultiplier = None,
    throttle_faults: options.ThrottleFaults = None,
    console: options.Console = False,
    console_edit: options.ConsoleEdit = False,
) -> None:
    """Start a cluster, show what runs, and stop everything with Ctrl-C.

    Nodes go round the zones; every partition has a replica in three of them. Routers share the endpoint.
    Trigger pools run functions on changes; a directory may be started again with more or fewer of them.
    Cache nodes come and go as the DAX API says (boto3's `dax` client); --dax makes a first cluster of them.
    Each process has a directory with its configuration, its log (log.txt) and its data.
    A directory that holds a cluster already is started again as it is.

    From another terminal: `hashrange cluster status`, and faults to try with `kill`, `pause`, `cut`.

    Examples:
      hashrange cluster up
      hashrange cluster up --nodes 6 --routers 2 --data-dir /var/tmp/c1 --port 9000
      hashrange cluster up --set durability=os --set segment_mb=16
      hashrange cluster up --set stream_retention_s=600 --set stream_rollover_s=60
      hashrange cluster up --throttling on
      hashrange cluster up --triggers 2
      hashrange cluster up --dax 3 --set-dax memory_mb=512
      hashrange cluster up --console
    """
    from hashrange.cli.cluster.up import UpOptions, run

    raise typer.Exit(
        run(
            UpOptions(
                azs=azs,
                nodes=nodes,
                routers=routers,
                dax=dax,
                triggers=triggers,
                port=port,
                directory=Path(data_dir),
                region=region,
                durability=durability,
                in_memory=in_memory,
                settings=settings or [],
                router_settings=router_settings or [],
                trigger_settings=trigger_settings or [],
                dax_settings=dax_settings or [],
                throttling=throttling,
                capacity_multiplier=capacity_multiplier,
                throttle_faults=throttle_faults,
                console=console,
                console_edit=console_edit,
            )
        )
    )


@app.command()
def status(
    data_dir: Directory = DEFAULT_DIRECTORY,
    endpoint: Endpoint = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Show the processes of a cluster and where its partitions are.

    Examples:
      hashrange cluster status
      hashrange cluster status --json | jq '.partitions[] | select(.leader == null)'
    """
    from hashrange.cli.cluster import status as status_command

    run_work(lambda: status_command.show(_place(data_dir, endpoint), as_json))


@app.command("targets")
def scrape_targets(data_dir: Directory = DEFAULT_DIRECTORY) -> None:
    """Print the processes of a cluster for Prometheus (file_sd_configs), as JSON.

    Examples:
      hashrange cluster targets > targets.json
    """
    import json

    from hashrange.cli.cluster.scrape import targets

    typer.echo(json.dumps(targets(_layout(data_dir)), indent=2))


@app.command()
def split(
    what: Annotated[
        str, typer.Argument(metavar="PARTITION|TABLE", help="A partition, or a table: its largest partition.")
    ],
    at: Annotated[int | None, typer.Option(help="First hash of the upper half; else the middle.")] = None,
    data_dir: Directory = DEFAULT_DIRECTORY,
    endpoint: Endpoint = None,
) -> None:
    """Split a partition in two."""
    _command(data_dir, endpoint, "split", {"partition": what, "at": at})


@app.command()
def move(
    what: Annotated[
        str, typer.Argument(metavar="PARTITION|TABLE", help="The partition to move a replica of.")
    ],
    source: Annotated[int, _node("FROM", "Node that the replica is on")],
    target: Annotated[int, _node("TO", "Node that it goes to")],
    data_dir: Directory = DEFAULT_DIRECTORY,
    endpoint: Endpoint = None,
) -> None:
    """Move one replica of a partition to another node."""
    _command(data_dir, endpoint, "move", {"partition": what, "from": source, "to": target})


@app.command()
def drain(node: NodeNumber, data_dir: Directory = DEFAULT_DIRECTORY, endpoint: Endpoint = None) -> None:
    """Move everything away from a node, which stays in the cluster."""
    _command(data_dir, endpoint, "drain", {"node": node})


@app.command()
def undrain(node: NodeNumber, data_dir: Directory = DEFAULT_DIRECTORY, endpoint: Endpoint = None) -> None:
    """Let a drained node take replicas again."""
    _command(data_dir, endpoint, "undrain", {"node": node})


@app.command()
def balance(data_dir: Directory = DEFAULT_DIRECTORY, endpoint: Endpoint = None) -> None:
    """Spread replicas and leaders evenly over the nodes."""
    _command(data_dir, endpoint, "balance", {})


@app.command()
def decommission(
    node: NodeNumber,
    data_dir: Directory = DEFAULT_DIRECTORY,
    endpoint: Endpoint = None,
    wait: Annotated[bool, typer.Option(help="Wait until the node is empty, then stop it.")] = True,
) -> None:
    """Move everything away from a node, then take it out of the cluster and stop it."""
    from hashrange.cli.cluster import operate

    run_work(lambda: operate.decommission(_place(data_dir, endpoint), node, wait, typer.echo))


@app.command("add-node")
def add_node(
    az: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Zone; else the one with the fewest nodes.")
    ] = None,
    data_dir: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Start a further node in a running cluster."""
    _ask_supervisor(data_dir, {"verb": "add-node", "az": az})


@app.command()
def restart(targets: Targets, data_dir: Directory = DEFAULT_DIRECTORY) -> None:
    """Start processes that are down; stop and start those that run."""
    _ask_supervisor(data_dir, {"verb": "restart", "names": _names(data_dir, targets)})


@app.command()
def stop(targets: Targets, data_dir: Directory = DEFAULT_DIRECTORY) -> None:
    """Stop processes gracefully; `restart` brings them back."""
    _ask_supervisor(data_dir, {"verb": "stop", "names": _names(data_dir, targets)})


@app.command()
def kill(targets: Targets, data_dir: Directory = DEFAULT_DIRECTORY) -> None:
    """Kill processes at once (SIGKILL); `restart` brings them back."""
    _signal(data_dir, "kill", targets)


@app.command()
def pause(targets: Targets, data_dir: Directory = DEFAULT_DIRECTORY) -> None:
    """Freeze processes (SIGSTOP); `resume` lets them go on."""
    _signal(data_dir, "pause", targets)


@app.command()
def resume(targets: Targets, data_dir: Directory = DEFAULT_DIRECTORY) -> None:
    """Let paused processes go on."""
    _signal(data_dir, "resume", targets)


@app.command()
def cut(
    targets: Targets,
    off: Annotated[
        list[str] | None, typer.Option("--from", metavar="TARGET", help="Cut off from these only.")
    ] = None,
    data_dir: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Cut zones, nodes or routers off from all others: the network between them goes silent."""
    from hashrange.cli.cluster import faults
    from hashrange.cli.cluster import targets as naming

    layout = _layout(data_dir)

    async def work() -> None:
        chosen = naming.resolve(layout, targets)
        named = naming.resolve(layout, off) if off else None
        say_all(await faults.cut(layout, chosen, faults.others_of(layout, chosen, named)))

    run_work(work)


@app.command()
def heal(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[TARGET]...", help="Undo the cuts of these; else all.")
    ] = None,
    data_dir: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Undo cuts."""
    from hashrange.cli.cluster import faults
    from hashrange.cli.cluster import targets as naming

    layout = _layout(data_dir)

    async def work() -> None:
        say_all(await faults.heal(layout, naming.resolve(layout, targets) if targets else None))

    run_work(work)


def run_work(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run a command; a LayoutError or AskError ends the program with its sentence and code 1."""
    import asyncio

    from hashrange.cli.cluster.ask import AskError
    from hashrange.cli.cluster.layout import LayoutError

    async def main() -> Any:
        return await work()

    try:
        return asyncio.run(main())
    except (LayoutError, AskError) as error:
        typer.echo(f"hashrange: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _layout(data_dir: str) -> Layout:
    from hashrange.cli.cluster.layout import LayoutError, load

    try:
        return load(Path(data_dir))
    except LayoutError as error:
        typer.echo(f"hashrange: {error}", err=True)
        raise typer.Exit(1) from None


def _place(data_dir: str, endpoint: str | None) -> Layout | str:
    return endpoint if endpoint is not None else _layout(data_dir)


def _names(data_dir: str, targets: list[str]) -> list[str]:
    from hashrange.cli.cluster import targets as naming

    layout = _layout(data_dir)

    async def work() -> list[str]:
        return [process.name for process in naming.resolve(layout, targets)]

    names: list[str] = run_work(work)
    return names


def say_all(sentences: list[str]) -> None:
    """Print sentences, one a line."""
    for sentence in sentences:
        typer.echo(sentence)


def _signal(data_dir: str, verb: str, targets: list[str]) -> None:
    from hashrange.cli.cluster import faults
    from hashrange.cli.cluster import targets as naming

    layout = _layout(data_dir)

    async def work() -> None:
        say_all(faults.signal_all(layout, verb, naming.resolve(layout, targets)))

    run_work(work)


def _ask_supervisor(data_dir: str, request: dict[str, Any]) -> None:
    from hashrange.cli.cluster.control import command

    _layout(data_dir)
    answer = run_work(lambda: command(Path(data_dir), request, typer.echo))
    if request["verb"] == "stop":
        say_all([f"{name} is stopped" for name in answer["names"]])


def _command(data_dir: str, endpoint: str | None, verb: str, arguments: dict[str, Any]) -> None:
    from hashrange.cli.cluster import operate

    run_work(lambda: operate.command(_place(data_dir, endpoint), verb, arguments, typer.echo))
