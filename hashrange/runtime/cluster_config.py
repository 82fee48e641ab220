"""Settings of the programs of a cluster: `hashrange node`, `hashrange router`, `hashrange triggers`, `hashrange dax`.

Each program reads one TOML file and HASHRANGE_* variables (`cluster_settings.py`). A node:

    id = 1
    az = "az1"
    port = 8101                        # what the other programs of the cluster connect to
    advertise = "10.0.1.5:8101"        # as they reach it, where that differs from host and port
    admin_port = 8201                  # metrics, health and administration
    data_dir = "/var/lib/hashrange"
    members = ["1/az1/10.0.1.5:8101", "2/az2/10.0.2.5:8101", "3/az3/10.0.3.5:8101"]

`members` are the nodes that the cluster begins with, the same list at each of them. A node that joins later has
none, and `seeds` instead: nodes that it asks for the way. A router, a trigger pool and a cache node have `seeds` alone.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from hashrange.runtime.config import (
    CapacityConfig,
    ConsoleConfig,
    DataConfig,
    Directory,
    EndpointConfig,
    LogConfig,
    PoolConfig,
    RegionsConfig,
    Seconds,
    Whole,
)
from hashrange.runtime.peers import contradiction

_AZ = r"^[a-z0-9][a-z0-9-]{0,31}$"
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[IPv6]:port`; raises ValueError with what is expected."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise ValueError(f"{text!r} is no address; write host:port with a port from 1 to 65535")
    if ":" in bare or bare != host:
        ipaddress.IPv6Address(bare)
        if bare == host:
            raise ValueError(f"{text!r} is no address; write [{bare}]:{port}")
    elif _HOST_NAME.fullmatch(bare) is None:
        raise ValueError(f"{text!r} is no address; write host:port")
    return bare, int(port)


def format_address(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Member:
    """One of the nodes that a cluster begins with; written `ID/AZ/HOST:PORT`."""

    id: int
    az: str
    address: str

    def __str__(self) -> str:
        return f"{self.id}/{self.az}/{self.address}"


@dataclass(frozen=True, slots=True)
class Seed:
    """A node that is asked for the way into the cluster; written `ID/HOST:PORT`."""

    id: int
    address: str

    def __str__(self) -> str:
        return f"{self.id}/{self.address}"


def _pieces(value: Any) -> Any:
    """A list, which a variable writes with commas."""
    if isinstance(value, str):
        return [piece.strip() for piece in value.split(",") if piece.strip()]
    return value


def _member(text: Any) -> Member:
    if isinstance(text, Member):
        return text
    parts = str(text).split("/")
    if len(parts) != 3 or not parts[0].isdigit() or int(parts[0]) < 1 or not re.match(_AZ, parts[1]):
        raise ValueError(f"{text!r} is no member; write ID/AZ/HOST:PORT, such as 1/az1/10.0.1.5:8101")
    parse_address(parts[2])
    return Member(int(parts[0]), parts[1], parts[2])


def _seed(text: Any) -> Seed:
    if isinstance(text, Seed):
        return text
    parts = str(text).split("/")
    if len(parts) != 2 or not parts[0].isdigit() or int(parts[0]) < 1:
        raise ValueError(f"{text!r} is no seed; write ID/HOST:PORT, such as 1/10.0.1.5:8101")
    parse_address(parts[1])
    return Seed(int(parts[0]), parts[1])


def _members(value: Any) -> Any:
    value = _pieces(value)
    return tuple(_member(each) for each in value) if isinstance(value, list | tuple) else value


def _seeds(value: Any) -> Any:
    value = _pieces(value)
    return tuple(_seed(each) for each in value) if isinstance(value, list | tuple) else value


def _address(value: Any) -> Any:
    if value is not None:
        parse_address(str(value))
    return value


def _addresses(value: Any) -> Any:
    value = _pieces(value)
    for each in value if isinstance(value, list | tuple) else ():
        parse_address(str(each))
    return value


def _check_peers(region: str, peers: tuple[str, ...]) -> None:
    impossible = contradiction(region, peers)
    if impossible:
        raise ValueError(f"peers: {impossible}")


Members = Annotated[tuple[Member, ...], BeforeValidator(_members)]
Seeds = Annotated[tuple[Seed, ...], BeforeValidator(_seeds)]
Address = Annotated[str | None, BeforeValidator(_address)]
Addresses = Annotated[tuple[str, ...], BeforeValidator(_addresses)]


class NodeConfig(LogConfig, DataConfig, CapacityConfig, RegionsConfig):
    """The effective settings of one node; frozen, so that parts may keep what they read."""

    id: Whole = Field(ge=1, le=65_535, description="number of the node, its own for ever")
    az: str = Field(pattern=_AZ, description="availability zone that the node is in")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 for all")
    port: Whole = Field(ge=0, le=65_535, description="TCP port for the other programs of the cluster")
    advertise: Address = Field(None, description="HOST:PORT where the others reach the node")
    admin_host: str = Field("127.0.0.1", min_length=1, description="address of the admin port")
    admin_port: Whole = Field(0, ge=0, le=65_535, description="TCP port for metrics and administration")
    admin_advertise: Address = Field(None, description="HOST:PORT where the admin port is reached")
    region: str = Field(
        "us-east-1", pattern=r"^[a-z][a-z0-9-]{0,31}$", description="AWS region the cluster speaks for"
    )

    members: Members = Field((), description="the nodes that the cluster begins with")
    seeds: Seeds = Field((), description="nodes that a node which joins asks for the way")

    # Times of replication: the same at all nodes, because leases depend on them.
    tick_ms: Whole = Field(100, ge=5, le=10_000, description="unit of the times of replication")
    election_ticks: Whole = Field(18, ge=3, le=1_000, description="silence after which a leader is replaced")
    heartbeat_ticks: Whole = Field(3, ge=1, le=500, description="time between a leader's heartbeats")
    lease_ticks: Whole = Field(
        15, ge=0, le=1_000, description="time that an answer binds a voter; 0: no lease"
    )
    drift_ticks: Whole = Field(1, ge=0, le=100, description="drift of two clocks within a lease")

    quiet_ticks: Whole = Field(
        50, ge=1, le=1_000_000, description="time without work after which a partition's replicas go idle"
    )
    slow_sync_s: Seconds = Field(
        1.0, gt=0, le=3_600, description="a sync that takes longer makes the node hand its leaders over"
    )
    stuck_sync_s: Seconds = Field(
        10.0, gt=0, le=3_600, description="a sync that takes longer ends the process"
    )

    # Placement
    replace_grace_s: Seconds = Field(
        300.0, ge=0, le=604_800, description="silence after which a node's replicas are made anew elsewhere"
    )
    split_size_mb: Whole = Field(
        10_240, ge=1, le=1_048_576, description="size at which a partition is split in two"
    )
    split_reads_per_s: Seconds = Field(
        3_000.0, gt=0, le=1e9, description="sustained reads at which a partition is split"
    )
    split_writes_per_s: Seconds = Field(
        1_000.0, gt=0, le=1e9, description="sustained writes at which a partition is split"
    )
    split_sustained_s: Seconds = Field(
        60.0, gt=0, le=86_400, description="for how long that load must last before a split"
    )
    balance: bool = Field(True, description="spread replicas and leaders evenly without being asked")
    rebuild_mb_per_s: Seconds = Field(
        32.0, gt=0, le=100_000, description="rate at which a node sends replicas to others"
    )
    log_retention_mb: Whole = Field(
        256, ge=1, le=1_048_576, description="log kept for replicas that are behind"
    )
    scrub_interval_s: Seconds = Field(
        3_600.0, ge=0, le=31_536_000, description="time in which replicas are compared once; 0: never"
    )

    shutdown_grace_s: Seconds = Field(
        10.0, ge=0, le=600, description="time that requests under way are given when the node stops"
    )
    fault_injection: bool = Field(False, description="let the admin port cut connections, for tests")

    @model_validator(mode="after")
    def _together(self) -> NodeConfig:
        """Rules between settings: a node belongs to the members or has seeds, never contradicting itself."""
        mine = [member for member in self.members if member.id == self.id]
        if len({member.id for member in self.members}) != len(self.members):
            raise ValueError("members: two of them have the same id; correct one")
        if len({member.address for member in self.members}) != len(self.members):
            raise ValueError("members: two of them have the same address; correct one")
        if self.members and not mine and not self.seeds:
            raise ValueError(f"members: node {self.id} is none of them; add it, or name seeds to join")
        if mine and mine[0].az != self.az:
            raise ValueError(f"members: node {self.id} is in {mine[0].az} there, but az says {self.az}")
        if not self.members and not self.seeds:
            raise ValueError("members: name the nodes the cluster begins with, or seeds to join one")
        if self.lease_ticks > self.election_ticks:
            raise ValueError("lease_ticks: must not be more than election_ticks")
        if self.heartbeat_ticks >= self.election_ticks:
            raise ValueError("heartbeat_ticks: must be less than election_ticks")
        _check_peers(self.region, self.peers)
        return self

    @property
    def address(self) -> str:
        """HOST:PORT as the others of the cluster reach this node."""
        if self.advertise is not None:
            return self.advertise
        for member in self.members:
            if member.id == self.id:
                return member.address
        return format_address(self.host, self.port)

    @property
    def admin_address(self) -> str:
        """HOST:PORT where the admin port is reached."""
        return self.admin_advertise or format_address(self.admin_host, self.admin_port)

    @property
    def way_in(self) -> tuple[Seed, ...]:
        """Other nodes to ask first: seeds, and the members besides this one."""
        found = {seed.id: seed for seed in self.seeds}
        for member in self.members:
            found.setdefault(member.id, Seed(member.id, member.address))
        found.pop(self.id, None)
        return tuple(found.values())


class RouterConfig(LogConfig, EndpointConfig, RegionsConfig, ConsoleConfig):
    """The effective settings of one router; frozen, so that parts may keep what they read."""

    id: Whole = Field(1, ge=1, le=65_535, description="number of the router, for its metrics and logs")
    az: str = Field("az1", pattern=_AZ, description="availability zone that the router is in")
    reuse_port: bool = Field(False, description="share the port with other routers on this machine")
    seeds: Seeds = Field(min_length=1, description="nodes of the cluster that are asked for the way")
    admin_host: str = Field("127.0.0.1", min_length=1, description="address of the admin port")
    admin_port: Whole = Field(0, ge=0, le=65_535, description="TCP port for metrics and administration")
    request_deadline_s: Seconds = Field(
        5.0, gt=0, le=600, description="time within which a request is answered, with an error if need be"
    )
    hedge_ms: Whole = Field(
        50, ge=1, le=60_000, description="wait before an eventual read is sent to another zone as well"
    )
    fault_injection: bool = Field(False, description="let the admin port cut connections, for tests")
    dax_base_port: Whole = Field(
        0,
        ge=0,
        le=65_135,
        description="first of the ports of cache clusters, discovery among them; 0: none here",
    )
    dax_host: str | None = Field(
        None, min_length=1, description="host that clients reach cache clusters by; host where it is not set"
    )
    dax_zones: Annotated[tuple[str, ...], BeforeValidator(_pieces)] = Field(
        ("az1",), description="zones that the nodes of a cache cluster are spread over"
    )
    console_sources: Addresses = Field(
        (),
        description="HOST:PORT, ...: admin ports of other routers and of trigger pools, for the console to show; "
        "nodes and cache nodes are found without",
    )

    @model_validator(mode="after")
    def _together(self) -> RouterConfig:
        if len({seed.id for seed in self.seeds}) != len(self.seeds):
            raise ValueError("seeds: two of them have the same id; correct one")
        _check_peers(self.region, self.peers)
        return self


class TriggersConfig(RouterConfig, PoolConfig):
    """The effective settings of one trigger pool: it knows the cluster as a router does, and runs functions."""

    port: Whole = Field(8010, ge=0, le=65_535, description="TCP port; 0 picks a free one")
    advertise: Address = Field(None, description="HOST:PORT where routers reach the pool")
    work_dir: Directory = Field(
        Path("hashrange-functions"), description="directory for the code and the logs of functions"
    )
    hide: Annotated[tuple[Path, ...], BeforeValidator(_pieces)] = Field(
        (), description="directories that functions must not see, where the machine allows it"
    )

    @model_validator(mode="after")
    def _reached(self) -> TriggersConfig:
        if self.host in ("0.0.0.0", "::") and self.advertise is None:
            raise ValueError(f"advertise: name HOST:PORT where routers reach the pool; host is {self.host}")
        return self


class DaxConfig(RouterConfig):
    """The effective settings of one cache node: it knows the cluster as a router does, and answers from memory.

    `id` is the node's number in its cache cluster, `port` the ordinary API with the cache behind it.
    """

    id: Whole = Field(1, ge=1, le=65_535, description="number of the node, its own in its cache cluster")
    port: Whole = Field(
        8211, ge=0, le=65_535, description="TCP port of the cached HTTP API; 0 picks a free one"
    )
    cluster: str = Field(
        "dax",
        pattern=r"^[a-z](-?[a-z0-9]){0,19}$",
        description="name of the cache cluster that the node is in",
    )
    node: str | None = Field(
        None,
        pattern=r"^[a-z](-?[a-z0-9]){0,62}$",
        description="name of the node; CLUSTER-ID where it is not set",
    )
    dax_port: Whole = Field(8111, ge=0, le=65_535, description="TCP port of DAX clients; 0 picks a free one")
    peer_port: Whole = Field(
        8311, ge=0, le=65_535, description="TCP port for the other nodes of the cache cluster; 0 picks one"
    )
    advertise_host: str | None = Field(
        None, min_length=1, description="host that clients and the other nodes reach the node by"
    )
    memory_mb: Whole = Field(256, ge=1, le=1_048_576, description="memory for cached items and query results")
    attribute_lists_max: Whole = Field(
        10_000,
        ge=1,
        le=10_000_000,
        description="lists of attribute names that DAX clients may make, over all clusters",
    )
    tls: bool = Field(
        False, description="speak TLS with DAX clients; a cluster made by the API says so itself"
    )
    tls_certificate: Directory | None = Field(
        None, description="certificate chain in PEM; made by the cluster's own authority where it is not set"
    )
    tls_key: Directory | None = Field(None, description="private key of tls_certificate in PEM")
    reboots: Whole = Field(0, ge=0, le=1_000_000_000, description="set by a supervisor: which start this is")
    process: str = Field("", pattern=r"^[0-9a-f]{0,64}$", description="set by a supervisor: names this start")
    pass_key: str = Field(
        "", pattern=r"^[0-9a-f]{0,64}$", description="set by a supervisor: lets the node in"
    )

    @model_validator(mode="after")
    def _node(self) -> DaxConfig:
        if self.host in ("0.0.0.0", "::") and self.advertise_host is None:
            raise ValueError(
                f"advertise_host: name the host that clients reach the node by; host is {self.host}"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_key: give tls_certificate and tls_key together, or neither")
        return self

    @property
    def node_id(self) -> str:
        """The name of the node."""
        return self.node or f"{self.cluster}-{self.id}"

    @property
    def reached_by(self) -> str:
        """The host that clients and the other nodes reach the node by."""
        return self.advertise_host or self.host
