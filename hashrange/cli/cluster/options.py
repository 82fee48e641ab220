"""The options of `hashrange cluster up`, one type for each, so that the command's signature stays readable."""

from __future__ import annotations

from typing import Annotated

import typer

Azs = Annotated[int | None, typer.Option(min=1, max=26, help="Availability zones.  [default: 3]")]
Nodes = Annotated[int | None, typer.Option(min=1, max=99, help="Storage nodes.  [default: 3]")]
Routers = Annotated[int | None, typer.Option(min=1, max=99, help="Routers.  [default: 1]")]
Dax = Annotated[
    int | None,
    typer.Option(min=0, max=11, help="Nodes of a cache cluster for DAX clients, made once.  [default: 0]"),
]
DaxSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set-dax", metavar="NAME=VALUE", help="A setting of every cache node, such as memory_mb=64."
    ),
]
Triggers = Annotated[
    int | None,
    typer.Option(min=0, max=99, help="Trigger pools, which run functions on changes.  [default: 0]"),
]
Port = Annotated[
    int | None,
    typer.Option(
        min=1, max=64_535, help="Endpoint; the cluster uses ports up to 999 above it.  [default: 8000]"
    ),
]
Region = Annotated[
    str | None, typer.Option(metavar="REGION", help="AWS region to speak for.  [default: us-east-1]")
]
Durability = Annotated[
    str | None,
    typer.Option(metavar="fsync|os", help="When a write is answered, see serve.  [default: fsync]"),
]
InMemory = Annotated[bool, typer.Option("--in-memory", help="Keep nothing on disk.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of every node, such as segment_mb=16."),
]
RouterSettings = Annotated[
    list[str] | None,
    typer.Option("--set-router", metavar="NAME=VALUE", help="A setting of every router."),
]
TriggerSettings = Annotated[
    list[str] | None,
    typer.Option("--set-triggers", metavar="NAME=VALUE", help="A setting of every trigger pool."),
]
Throttling = Annotated[
    str | None,
    typer.Option(metavar="MODE", help="Enforce capacity: on, provisioned-only, off.  [default: off]"),
]
CapacityMultiplier = Annotated[
    str | None, typer.Option(metavar="FACTOR", help="Every budget and ceiling times this.  [default: 1]")
]
ThrottleFaults = Annotated[
    str | None,
    typer.Option(metavar="TABLE=SHARE,...", help="Throttle a share of requests on purpose, see serve."),
]
Console = Annotated[
    bool,
    typer.Option("--console", help="Serve the web console, 90 above the port; further routers' above it."),
]
ConsoleEdit = Annotated[
    bool,
    typer.Option("--console-edit", help="Let the console change items and tables; else it is read-only."),
]
