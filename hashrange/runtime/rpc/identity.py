"""Who a process is to others, and the handshake that tells them: Hello and Refused of proto/rpc.proto."""

from __future__ import annotations

from dataclasses import dataclass

from hashrange.wire.fields import parsed
from hashrange.wire.pb import rpc_pb2 as pb

PROTOCOL = 1
"""Version of the frames and of what they carry; processes of different versions refuse each other."""

NODE = "node"
ROUTER = "router"
TOOL = "tool"


@dataclass(slots=True)
class Identity:
    """One process of a cluster.

    `kind` is "node", "router" or "tool"; `id` the node id (0 for others). `cluster` is "" until it is known, and may
    be set then. `incarnation` names the data directory (hex), `process` is random at each start.
    """

    kind: str
    id: int
    cluster: str
    incarnation: str
    process: int
    az: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}" if self.id else self.kind


def encode_hello(identity: Identity, expected: int = 0) -> bytes:
    """What a process says first; `expected` is the node that it means to reach."""
    data: bytes = pb.Hello(
        protocol=PROTOCOL,
        cluster=identity.cluster,
        kind=identity.kind,
        id=identity.id,
        incarnation=identity.incarnation,
        process=identity.process,
        az=identity.az,
        expected=expected,
    ).SerializeToString()
    return data


def decode_hello(data: bytes) -> tuple[Identity, int, int]:
    """The other's identity, its protocol version, and the node that it expects; FrameError for garbage."""
    hello = parsed(pb.Hello, data)
    identity = Identity(hello.kind, hello.id, hello.cluster, hello.incarnation, hello.process, hello.az)
    return identity, hello.protocol, hello.expected


def encode_refused(reason: str) -> bytes:
    """The answer to a Hello that is not accepted."""
    data: bytes = pb.Refused(reason=reason).SerializeToString()
    return data


def decode_refused(data: bytes) -> str:
    """The reason given; FrameError for garbage."""
    reason: str = parsed(pb.Refused, data).reason
    return reason


def objection(own: Identity, other: Identity, protocol: int) -> str | None:
    """Why `own` does not talk to `other`, or None. Both sides of a connection ask this."""
    if protocol != PROTOCOL:
        return f"{other} speaks protocol version {protocol}, {own} version {PROTOCOL}"
    if foreign(own.cluster, other.cluster):
        return f"{other} belongs to cluster {other.cluster}, {own} to cluster {own.cluster}"
    return None


def foreign(own_cluster: str, other_cluster: str) -> bool:
    """Whether two cluster ids are known and differ."""
    return bool(own_cluster) and bool(other_cluster) and own_cluster != other_cluster
