"""Settings of `hashrange serve`: every one with its type, range, default and meaning.

This module says what may be set; `settings.py` says from where (file, environment, command line) and collects
the mistakes. A name is spelt `idle_timeout_s` in the file, `HASHRANGE_IDLE_TIMEOUT_S` in the environment and
`--idle-timeout-s` on the command line. The model itself has no rule between two settings: those need to know
where each value came from and are in `settings.py` too.

pydantic validates; pydantic-settings was left out because it adds 100 ms and 10 MB to the start of a server
and cannot say which source a value came from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

# Looking for plugins of pydantic reads the metadata of every installed package: a tenth of the server's start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from hashrange.runtime.credentials import parse_credential_list
from hashrange.runtime.peers import parse_peers


def _not_boolean(value: Any) -> Any:
    """TOML's `true` is no number, though Python would count it as 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _year_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _list_of_origins(value: Any) -> Any:
    """`-cors` of DynamoDB Local takes a comma-separated list; so do the variable and the flag."""
    if isinstance(value, str):
        return [part for part in (piece.strip() for piece in value.split(",")) if part]
    return value


_FAULT = re.compile(r"(?P<table>\*|[A-Za-z0-9_.-]{3,255})=(?P<share>[0-9]*\.?[0-9]+)")


def parse_throttle_faults(faults: Iterable[str]) -> dict[str, float]:
    """Table name, or `*` for all others, to the share of its requests that is refused, of texts `TABLE=SHARE`."""
    found: dict[str, float] = {}
    for text in faults:
        match = _FAULT.fullmatch(text)
        if match is None or not 0 <= float(match["share"]) <= 1:
            raise ValueError(f"{text!r} is no TABLE=SHARE with a share from 0 to 1")
        if match["table"] in found:
            raise ValueError(f"{match['table']} is named twice")
        found[match["table"]] = float(match["share"])
    return found


def _faults(value: Any) -> Any:
    value = _list_of_origins(value)
    if isinstance(value, list | tuple):
        parse_throttle_faults(str(each) for each in value)
    return value


def _peers(value: Any) -> Any:
    value = _list_of_origins(value)
    if isinstance(value, list | tuple):
        return tuple(f"{region}={'|'.join(urls)}" for region, urls in parse_peers(map(str, value)).items())
    return value


def _one_credential(value: Any) -> Any:
    """KEY:SECRET, which is never repeated in a message."""
    if not isinstance(value, str):
        return value
    found, mistake = parse_credential_list(value)
    if mistake or len(found) != 1:
        raise ValueError("must be ACCESS_KEY:SECRET, one pair")
    return found[0]


def _home_expanded(value: Any) -> Any:
    return Path(value).expanduser() if isinstance(value, str | Path) and str(value) else value


Whole = Annotated[int, BeforeValidator(_not_boolean)]
Seconds = Annotated[float, BeforeValidator(_not_boolean)]
Directory = Annotated[Path, BeforeValidator(_home_expanded)]


class Credential(BaseModel):
    """One access key that may sign requests, and its secret (which prints as asterisks)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key: str = Field(min_length=1, max_length=128, pattern=r"^[\x21-\x2b\x2d-\x39\x3b-\x7e]+$")
    secret: SecretStr = Field(min_length=1)


class RegionsConfig(BaseModel):
    """Settings of whatever speaks to other regions: the embedded server, nodes and routers."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    peers: Annotated[tuple[str, ...], BeforeValidator(_peers)] = Field(
        (),
        description="REGION=URL, ...: the routers of other regions, for global tables; several URLs of one region "
        "are separated by |",
    )
    peer_credentials: Annotated[Credential | None, BeforeValidator(_one_credential)] = Field(
        None,
        description="ACCESS_KEY:SECRET that requests to other regions are signed with; needed when these have "
        "credentials configured",
    )


class CapacityConfig(BaseModel):
    """Settings of whatever enforces capacity: routers the budgets of tables, nodes the ceilings of partitions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    throttling: Literal["off", "on", "provisioned-only"] = Field(
        "off",
        description="refuse what exceeds the capacity of a table, an index or a partition: of all tables, or only "
        "of those in provisioned mode",
    )
    capacity_multiplier: Seconds = Field(
        1.0, ge=0.001, le=1e6, description="every budget and ceiling times this, for tests"
    )


class EndpointConfig(CapacityConfig):
    """Settings of whatever serves the API over HTTP: the embedded server and a router."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 for all")
    port: Whole = Field(8000, ge=0, le=65535, description="TCP port; 0 picks a free one")
    cors: Annotated[tuple[str, ...], BeforeValidator(_list_of_origins)] = Field(
        ("*",), description="origins a browser may call from, comma-separated; * allows all"
    )
    max_connections: Whole = Field(10_000, ge=1, le=1_000_000, description="open connections at once")
    max_body_bytes: Whole = Field(
        16 * 1024 * 1024, ge=16_384, le=256 * 1024 * 1024, description="largest request body, inflated"
    )
    idle_timeout_s: Seconds = Field(
        3_600.0, gt=0, le=86_400, description="close a connection that has been idle for this long"
    )
    request_timeout_s: Seconds = Field(
        30.0, gt=0, le=3_600, description="close a connection whose request has not arrived whole by then"
    )
    shutdown_grace_s: Seconds = Field(
        10.0, ge=0, le=600, description="time that requests under way are given when the server stops"
    )

    region: str = Field(
        "us-east-1", pattern=r"^[a-z][a-z0-9-]{0,31}$", description="AWS region the endpoint speaks for"
    )
    strict_region: bool = Field(False, description="refuse requests signed for another region")
    credentials_file: Directory | None = Field(
        None,
        description="file in the format of ~/.aws/credentials; once credentials are configured every "
        "signature is verified",
    )
    credentials: tuple[Credential, ...] = Field((), description="access keys that may sign requests")
    throttle_faults: Annotated[tuple[str, ...], BeforeValidator(_faults)] = Field(
        (),
        description="TABLE=SHARE, ...: throttle that share of the requests on purpose; * for all other tables",
    )
    validation_wording: Annotated[Literal["2026", "classic"], BeforeValidator(_year_as_text)] = Field(
        "2026", description="texts of validation errors: as AWS words them today, or before June 2026"
    )

    def secrets(self) -> dict[str, str]:
        """Access key to secret, for the signature verifier; empty when any credentials are accepted."""
        return {
            credential.access_key: credential.secret.get_secret_value() for credential in self.credentials
        }


class DataConfig(BaseModel):
    """Settings of whatever stores data: the embedded server and a node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Directory = Field(Path("hashrange-data"), description="directory that holds the data")
    in_memory: bool = Field(False, description="keep everything in memory and nothing on disk")
    durability: Literal["fsync", "os"] = Field(
        "fsync",
        description="fsync: a write is answered when it is on stable storage; os: when the operating system "
        "has it (survives a crash of the server, not a power cut)",
    )
    block_cache_mb: Whole = Field(64, ge=1, le=1_048_576, description="memory for blocks read from disk")
    segment_mb: Whole = Field(64, ge=1, le=4_096, description="size of one segment of the log")
    delay_transient_statuses: bool = Field(
        False, description="let tables and indexes stay a while in CREATING, UPDATING and DELETING"
    )
    ttl_interval_ms: Whole = Field(
        10_000, ge=10, le=86_400_000, description="time between two searches for expired items"
    )
    index_lag_ms: Whole = Field(
        0, ge=0, le=3_600_000, description="hold global secondary indexes back on purpose, for tests"
    )
    scaling_speed: Seconds = Field(
        1.0,
        ge=1,
        le=60,
        description="the minutes and cooldowns of auto scaling are divided by this, for tests",
    )
    on_demand_window_s: Seconds = Field(
        1_800.0,
        ge=1,
        le=86_400,
        description="time in which a table on demand may double its previous peak; shorter for tests",
    )
    stream_retention_s: Seconds = Field(
        86_400.0,
        ge=1,
        le=604_800,
        description="time for which the records of a stream can be read, also when it is off or its table deleted; "
        "shorter for tests",
    )
    stream_rollover_s: Seconds = Field(
        14_400.0,
        ge=1,
        le=604_800,
        description="age at which an open shard of a stream is closed and continued by another; shorter for tests",
    )
    tombstone_retention_s: Seconds = Field(
        604_800.0,
        ge=1,
        le=31_536_000,
        description="time for which a global table remembers deletions: a region that was cut off for longer has to "
        "be removed and added again; shorter for tests",
    )
    show_hot_keys: bool = Field(
        True,
        description="let hashrange top show the keys that are asked for most; off for keys that are secrets",
    )


class PoolConfig(BaseModel):
    """Settings of whatever runs functions: the embedded server, if asked to, and a trigger pool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    function_concurrency: Whole = Field(
        1_000, ge=1, le=100_000, description="invocations at once, over all functions and all pools"
    )
    function_workers: Whole = Field(
        0, ge=0, le=10_000, description="worker processes of this pool at most; 0: as many as the CPUs carry"
    )
    function_idle_s: Seconds = Field(
        600.0, ge=1, le=86_400, description="end a worker that has had nothing to do for this long"
    )
    function_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s/]+/?$",
        description="URL where functions reach the API (AWS_ENDPOINT_URL); this server's own where it is not set",
    )


class LogConfig(BaseModel):
    """Settings of every program's log output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_format: Literal["text", "json", "auto"] = Field(
        "auto", description="auto: text on a terminal, JSON lines otherwise"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    access_log: bool = Field(False, description="log one line for every request")


def _list_of_names(value: Any) -> Any:
    value = _list_of_origins(value)
    return tuple(str(each).lower() for each in value) if isinstance(value, list | tuple) else value


class ConsoleConfig(BaseModel):
    """Settings of whatever serves the web console: the embedded server and a router."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    console: bool = Field(False, description="serve the web console, on a port of its own")
    console_host: str = Field(
        "127.0.0.1", min_length=1, description="address that the console listens on; 0.0.0.0 for all"
    )
    console_port: Whole = Field(
        8088, ge=0, le=65_535, description="TCP port of the console; 0 picks a free one"
    )
    console_edit: bool = Field(
        False, description="let the console's users change items, and make and delete tables"
    )
    console_names: Annotated[tuple[str, ...], BeforeValidator(_list_of_names)] = Field(
        (), description="host names that browsers open the console by, comma-separated; addresses need none"
    )


class ServeConfig(LogConfig, DataConfig, EndpointConfig, PoolConfig, RegionsConfig, ConsoleConfig):
    """The effective settings of one embedded server; frozen, so that parts may keep what they read."""

    triggers: bool = Field(False, description="run functions on table changes")
    dax: bool = Field(
        False, description="serve DAX clients: start cache nodes, and the API of cache clusters"
    )
    dax_port: Whole = Field(
        8111,
        ge=0,
        le=65_135,
        description="TCP port of DAX clients, the first of the ports of cache clusters; 0 picks some",
    )
    dax_host: str | None = Field(
        None, min_length=1, description="host that clients reach cache nodes by; host where it is not set"
    )
    dax_memory_mb: Whole = Field(
        256, ge=1, le=1_048_576, description="memory of a cache node for items and query results"
    )


Setting = str | int | float | bool | Path | tuple[str, ...] | tuple[Credential, ...] | Credential | None
"""Any value a setting can have, for printing."""
