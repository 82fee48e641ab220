"""The options of `hashrange serve`, one type for each, so that the command's signature stays readable.

Values are taken as texts and validated by the configuration, which reports the mistakes of all sources
together; only switches are booleans. Defaults are shown in the help by hand, because the command line must
tell "not given" from "given as the default". A switch that a file turns on is turned off by its variable
(HASHRANGE_STRICT_REGION=false). A test compares all this with the configuration's fields.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

_ENDPOINT = "Endpoint"
_DATA = "Data"
_BEHAVIOUR = "Behaviour"
_CAPACITY = "Capacity"
_LOGS = "Logs"
_FUNCTIONS = "Functions"
_CACHE = "Cache tier (DAX)"
_REGIONS = "Global tables"
_CONSOLE = "Web console"


def _text(flag: str, metavar: str, panel: str, text: str, default: str = "") -> Any:
    shown = f" (default {default})" if default else ""
    return typer.Option(flag, metavar=metavar, help=text + shown, rich_help_panel=panel, show_default=False)


def _switch(flag: str, panel: str, text: str) -> Any:
    return typer.Option(flag, help=text, rich_help_panel=panel, show_default=False)


Text = str | None
Switch = bool | None

Host = Annotated[
    Text, _text("--host", "ADDRESS", _ENDPOINT, "Address to listen on; 0.0.0.0 for all.", "127.0.0.1")
]
Port = Annotated[Text, _text("--port", "PORT", _ENDPOINT, "TCP port; 0 picks a free one.", "8000")]
Cors = Annotated[
    Text,
    _text(
        "--cors", "ORIGINS", _ENDPOINT, "Origins a browser may call from, comma-separated; * allows all.", "*"
    ),
]
MaxConnections = Annotated[
    Text, _text("--max-connections", "N", _ENDPOINT, "Open connections at once.", "10000")
]
MaxBodyBytes = Annotated[
    Text, _text("--max-body-bytes", "BYTES", _ENDPOINT, "Largest request body, inflated.", "16777216")
]
IdleTimeout = Annotated[
    Text, _text("--idle-timeout-s", "SECONDS", _ENDPOINT, "Close a connection idle for this long.", "3600.0")
]
RequestTimeout = Annotated[
    Text,
    _text(
        "--request-timeout-s",
        "SECONDS",
        _ENDPOINT,
        "Close a connection whose request has not arrived whole by then.",
        "30.0",
    ),
]
ShutdownGrace = Annotated[
    Text,
    _text(
        "--shutdown-grace-s",
        "SECONDS",
        _ENDPOINT,
        "Time that requests under way are given when the server stops.",
        "10.0",
    ),
]

DataDir = Annotated[
    Text,
    _text("--data-dir", "DIR", _DATA, "Directory that holds the data; made when missing.", "hashrange-data"),
]
InMemory = Annotated[Switch, _switch("--in-memory", _DATA, "Keep everything in memory and nothing on disk.")]
Durability = Annotated[
    Text,
    _text(
        "--durability",
        "fsync|os",
        _DATA,
        "When a write is answered: fsync, on stable storage; os, when the operating system has it "
        "(survives a crash of the server, not a power cut).",
        "fsync",
    ),
]
BlockCache = Annotated[
    Text, _text("--block-cache-mb", "MB", _DATA, "Memory for blocks read from disk.", "64")
]
Segment = Annotated[Text, _text("--segment-mb", "MB", _DATA, "Size of one segment of the log.", "64")]

Region = Annotated[
    Text, _text("--region", "REGION", _BEHAVIOUR, "AWS region the endpoint speaks for.", "us-east-1")
]
StrictRegion = Annotated[
    Switch, _switch("--strict-region", _BEHAVIOUR, "Refuse requests signed for another region.")
]
CredentialsFile = Annotated[
    Text,
    _text(
        "--credentials-file",
        "FILE",
        _BEHAVIOUR,
        "Access keys in the format of ~/.aws/credentials. Without it any credentials are accepted; "
        "with it every signature is verified.",
    ),
]
ValidationWording = Annotated[
    Text,
    _text(
        "--validation-wording",
        "2026|classic",
        _BEHAVIOUR,
        "Texts of validation errors: as AWS words them today, or before June 2026.",
        "2026",
    ),
]
DelayStatuses = Annotated[
    Switch,
    _switch(
        "--delay-transient-statuses",
        _BEHAVIOUR,
        "Let tables and indexes stay a while in CREATING, UPDATING and DELETING, as on AWS.",
    ),
]
TtlInterval = Annotated[
    Text,
    _text("--ttl-interval-ms", "MS", _BEHAVIOUR, "Time between two searches for expired items.", "10000"),
]
IndexLag = Annotated[
    Text,
    _text(
        "--index-lag-ms",
        "MS",
        _BEHAVIOUR,
        "Hold global secondary indexes back on purpose, to test code that reads them.",
        "0",
    ),
]

Throttling = Annotated[
    Text,
    _text(
        "--throttling",
        "MODE",
        _CAPACITY,
        "Refuse what exceeds the capacity of a table, an index or a partition: on, for all tables; "
        "provisioned-only, for those in provisioned mode; off.",
        "off",
    ),
]
CapacityMultiplier = Annotated[
    Text,
    _text(
        "--capacity-multiplier",
        "FACTOR",
        _CAPACITY,
        "Every budget and ceiling times this, so that a test need not wait for a large table's limits.",
        "1.0",
    ),
]
ThrottleFaults = Annotated[
    Text,
    _text(
        "--throttle-faults",
        "TABLE=SHARE,...",
        _CAPACITY,
        "Throttle this share of the requests on purpose, such as orders=0.2,*=0.01; * is for all other "
        "tables. Works with throttling off too.",
    ),
]
ScalingSpeed = Annotated[
    Text,
    _text(
        "--scaling-speed",
        "FACTOR",
        _CAPACITY,
        "The minutes and cooldowns of auto scaling are divided by this (1 to 60): at 60 a table scales out after "
        "seconds.",
        "1.0",
    ),
]
OnDemandWindow = Annotated[
    Text,
    _text(
        "--on-demand-window-s",
        "SECONDS",
        _CAPACITY,
        "The time in which a table on demand may double its previous peak (1 to 86400); shorter for tests.",
        "1800.0",
    ),
]
StreamRetention = Annotated[
    Text,
    _text(
        "--stream-retention-s",
        "SECONDS",
        _BEHAVIOUR,
        "How long the records of a stream can be read, also when it is off or its table deleted (1 to 604800); "
        "shorter for tests.",
        "86400.0",
    ),
]
StreamRollover = Annotated[
    Text,
    _text(
        "--stream-rollover-s",
        "SECONDS",
        _BEHAVIOUR,
        "The age at which an open shard of a stream is closed and continued by another (1 to 604800); shorter "
        "for tests.",
        "14400.0",
    ),
]
ShowHotKeys = Annotated[
    Text,
    _text(
        "--show-hot-keys",
        "true|false",
        _BEHAVIOUR,
        "Let hashrange top show the keys that are asked for most; false for keys that are secrets.",
        "true",
    ),
]

LogFormat = Annotated[
    Text,
    _text("--log-format", "text|json|auto", _LOGS, "auto: text on a terminal, JSON lines otherwise.", "auto"),
]
LogLevel = Annotated[
    Text, _text("--log-level", "LEVEL", _LOGS, "Least level logged: debug, info, warning or error.", "info")
]
Access = Annotated[Switch, _switch("--access-log", _LOGS, "Log one line for every request.")]

Triggers = Annotated[
    Switch,
    _switch("--triggers", _FUNCTIONS, "Run functions, on table changes too: see hashrange functions."),
]
FunctionConcurrency = Annotated[
    Text,
    _text("--function-concurrency", "N", _FUNCTIONS, "Invocations at once, over all functions.", "1000"),
]
FunctionWorkers = Annotated[
    Text,
    _text(
        "--function-workers", "N", _FUNCTIONS, "Worker processes at most; 0: as many as the CPUs carry.", "0"
    ),
]
FunctionIdle = Annotated[
    Text,
    _text(
        "--function-idle-s", "SECONDS", _FUNCTIONS, "End a worker that has been idle for this long.", "600.0"
    ),
]
FunctionEndpoint = Annotated[
    Text,
    _text(
        "--function-endpoint",
        "URL",
        _FUNCTIONS,
        "AWS_ENDPOINT_URL of functions, where it is not this server itself.",
    ),
]
Dax = Annotated[
    Switch, _switch("--dax", _CACHE, "Serve DAX clients, from cache nodes that this server starts.")
]
DaxPort = Annotated[
    Text,
    _text(
        "--dax-port", "PORT", _CACHE, "Port of DAX clients; 399 above it are cache nodes'. 0 picks.", "8111"
    ),
]
DaxHost = Annotated[
    Text,
    _text("--dax-host", "HOST", _CACHE, "Host that clients reach cache nodes by, where it is not --host."),
]
DaxMemory = Annotated[
    Text, _text("--dax-memory-mb", "MB", _CACHE, "Memory of a cache node for what it has cached.", "256")
]
Peers = Annotated[
    Text,
    _text(
        "--peers",
        "REGION=URL,...",
        _REGIONS,
        "Where the routers of other regions are, such as eu-west-1=http://10.1.0.5:8000; several URLs of one region "
        "are separated by |. Requests to them are signed with HASHRANGE_PEER_CREDENTIALS=ACCESS_KEY:SECRET.",
    ),
]
TombstoneRetention = Annotated[
    Text,
    _text(
        "--tombstone-retention-s",
        "SECONDS",
        _REGIONS,
        "How long deletions are remembered for regions that are cut off (1 to 31536000); shorter for tests.",
        "604800.0",
    ),
]
Console = Annotated[Switch, _switch("--console", _CONSOLE, "Serve the web console, on a port of its own.")]
ConsoleHost = Annotated[
    Text, _text("--console-host", "ADDRESS", _CONSOLE, "Address that the console listens on.", "127.0.0.1")
]
ConsolePort = Annotated[
    Text, _text("--console-port", "PORT", _CONSOLE, "TCP port of the console; 0 picks a free one.", "8088")
]
ConsoleEdit = Annotated[
    Switch,
    _switch(
        "--console-edit",
        _CONSOLE,
        "Let its users change items, and make and delete tables; it is read-only otherwise.",
    ),
]
ConsoleNames = Annotated[
    Text,
    _text(
        "--console-names",
        "NAME,...",
        _CONSOLE,
        "Host names that browsers open the console by; addresses and localhost need none.",
    ),
]

ConfigFile = Annotated[
    Text,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Read settings from this TOML file; HASHRANGE_CONFIG names one too.",
        show_default=False,
    ),
]
PrintConfig = Annotated[
    bool,
    typer.Option(
        "--print-config",
        help="Print the effective settings with the source of each, and exit.",
        show_default=False,
    ),
]
