"""The options of `hashrange bench`, one name each."""

from __future__ import annotations

from typing import Annotated

import typer

LOAD = "Load"
KEYS = "Items and keys"
SERVER = "Server"
OUTPUT = "Output"
CHECKS = "For scripts"

Workload = Annotated[str, typer.Argument(metavar="WORKLOAD", help="What to do, see above.")]
Mix = Annotated[
    str,
    typer.Option(
        metavar="SHARES", help="Acts of your own with shares.", rich_help_panel=LOAD, show_default=False
    ),
]
Connections = Annotated[
    int,
    typer.Option(min=1, max=10_000, help="Connections over all processes.", rich_help_panel=LOAD),
]
Processes = Annotated[
    int, typer.Option(min=1, max=64, help="Processes that generate load.", rich_help_panel=LOAD)
]
Duration = Annotated[
    float,
    typer.Option(min=0.1, metavar="SECONDS", help="How long to measure.", rich_help_panel=LOAD),
]
WarmUp = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="Load that is not counted, before.", rich_help_panel=LOAD),
]
Count = Annotated[
    int | None,
    typer.Option(
        min=1, help="Send this many requests instead of measuring for a time.", rich_help_panel=LOAD
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        help="Requests per second to send; otherwise as fast as answers come.",
        rich_help_panel=LOAD,
    ),
]
Arrivals = Annotated[
    str,
    typer.Option(help="At a fixed rate, gaps are constant or poisson.", rich_help_panel=LOAD),
]
Backlog = Annotated[
    int,
    typer.Option(
        min=1,
        help="At a fixed rate, requests that may wait for a connection; more are not sent.",
        rich_help_panel=LOAD,
    ),
]
Client = Annotated[
    str,
    typer.Option(help="raw (bare sockets), boto3 (threads), dax (DAX wire protocol).", rich_help_panel=LOAD),
]
Items = Annotated[int, typer.Option(min=10, help="Items to preload and to work on.", rich_help_panel=KEYS)]
ValueBytes = Annotated[
    int | None,
    typer.Option(
        min=100,
        max=400_000,
        help="Size of an item (500; YCSB: ten fields of 100).",
        rich_help_panel=KEYS,
        show_default=False,
    ),
]
Distribution = Annotated[
    str,
    typer.Option(
        help="uniform, zipfian, latest, hotspot or sequential; the workload's own if not given.",
        rich_help_panel=KEYS,
        show_default=False,
    ),
]
HotKeys = Annotated[
    int | None,
    typer.Option(
        min=1, help="Items that are hot (1), for hotspot.", rich_help_panel=KEYS, show_default=False
    ),
]
HotShare = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Share of requests for the hot items (0.8).",
        rich_help_panel=KEYS,
        show_default=False,
    ),
]
Group = Annotated[
    int,
    typer.Option(min=1, max=100, help="Items of a batch or a transaction.", rich_help_panel=KEYS),
]
ConsistentReads = Annotated[
    bool,
    typer.Option("--consistent-reads", help="Ask for strongly consistent reads.", rich_help_panel=KEYS),
]
Table = Annotated[
    str,
    typer.Option(
        help="Table to use, made when missing (hashrange-bench; YCSB: hashrange-ycsb).",
        rich_help_panel=KEYS,
        show_default=False,
    ),
]
Preload = Annotated[
    bool,
    typer.Option(help="Load the items first (skipped when they are there).", rich_help_panel=KEYS),
]
Seed = Annotated[int, typer.Option(help="The same seed draws the same keys.", rich_help_panel=KEYS)]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Endpoint to put load on (http://127.0.0.1:8000, or that of --data-dir).",
        rich_help_panel=SERVER,
        show_default=False,
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Directory of a local cluster: its endpoint, and the metrics of all its processes.",
        rich_help_panel=SERVER,
        show_default=False,
    ),
]
Dax = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="Where --client dax connects to, such as dax://127.0.0.1:8111.",
        rich_help_panel=SERVER,
        show_default=False,
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        help="Metrics to read meanwhile, repeat for more; found by itself for local servers.",
        rich_help_panel=SERVER,
        show_default=False,
    ),
]
ScrapeInterval = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Time between two looks at the metrics; 0: none.",
        rich_help_panel=SERVER,
    ),
]
ServerPid = Annotated[
    int | None,
    typer.Option(
        help="Process id of a local server, to measure its processor time.",
        rich_help_panel=SERVER,
        show_default=False,
    ),
]
Sign = Annotated[
    str | None,
    typer.Option(
        metavar="KEY:SECRET",
        help="Sign requests; otherwise a constant header is sent.",
        rich_help_panel=SERVER,
        show_default=False,
    ),
]
Region = Annotated[str, typer.Option(help="Region to sign for.", rich_help_panel=SERVER)]
AsJson = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="[FILE]",
        help="Write everything measured as JSON; alone or with - to standard output.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Report = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.html",
        help="Write a page with charts, which needs no server and no network.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="A.json B.json",
        help="Put no load on anything: print the ratios of two earlier runs.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
MaxErrorRate = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="SHARE",
        help="End with code 1 when more requests fail.",
        rich_help_panel=CHECKS,
        show_default=False,
    ),
]
ExpectP99Ms = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="MS",
        help="End with code 1 when the 99th percentile is above.",
        rich_help_panel=CHECKS,
        show_default=False,
    ),
]
