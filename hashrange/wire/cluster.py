"""What the programs of a cluster tell one another about the cluster itself: values and control messages.

Placements and node records are JSON documents in the catalogue (group 0) and travel as such; `Placement` is the
parsed form. Control messages are answered like all others, through a `done` callback; those to the control plane go
to the leader of group 0 (`CONTROL`), those to a partition to its leader.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

CONTROL = 0
"""The partition id of the control plane: group 0."""


class ReplicaPlace(TypedDict):
    """Where one replica is. `generation` counts the data directories that the node has had.

    `leaving` is there while the replica is to be taken out of its group: it goes from the placement after that.
    """

    id: int
    node: int
    generation: int
    leaving: NotRequired[bool]


class SplitIntent(TypedDict):
    """A split that has been decided: `at` is the first hash of the upper child, `children` the new partitions."""

    at: int
    children: list[int]


class Placement(TypedDict):
    """One partition as the control plane places it. Its hash range never changes; a split makes new partitions.

    `store` names the key range on disk: children of a split share their parent's. `origin` tells how the group
    began: "create" (empty, with the replicas `initial`) or "split" (with its parent's data). `conf` grows with
    every change of this record. `next_replica` is the id that the next replica gets: ids are never reused.
    `split` is a split that is under way: the membership does not change meanwhile. `successors` are the partitions
    that a split put in its place: it serves nothing any more.
    """

    id: int
    store: int
    table: str
    index: str | None
    lo: int
    hi: int
    origin: str
    initial: list[int]
    replicas: list[ReplicaPlace]
    conf: int
    next_replica: int
    parent: NotRequired[int]
    split: NotRequired[SplitIntent]
    successors: NotRequired[list[int]]


class NodeRecord(TypedDict):
    """One node as the control plane knows it. `state` is "up", "draining" or "removed".

    `incarnation` names the data directory (hex); another one under the same node id is a new `generation`, on
    which no replica of the generation before it can be. `retiring`: it is drained in order to be removed.
    """

    id: int
    az: str
    address: str
    admin: str
    incarnation: str
    generation: int
    state: str
    retiring: NotRequired[bool]


class ClusterRecord(TypedDict):
    """What a cluster began with: its id (hex), when (epoch seconds), and the first nodes with their directories."""

    cluster: str
    created: float
    members: list[NodeRecord]


@dataclass(slots=True)
class RegisterNode:
    """A node presents itself to the control plane. Answer: its NodeRecord; refused with ApiError.

    `cluster` is the cluster id that the data directory belongs to, "" for a new one.
    """

    node: int
    az: str
    address: str
    admin: str
    incarnation: str
    cluster: str


@dataclass(slots=True)
class GroupReport:
    """What one replica's node tells the control plane about it.

    Leaders alone fill `voters`, `learners`, `joint` (a joint configuration is in force), `behind` (replica id ->
    entries that it lacks; -1 while it needs a snapshot), `counts` (space -> (entries, bytes)) and the rates of
    the last seconds. `damaged` says why the replica cannot go on, else "". `split_applied`: the split that closed
    this partition is applied here. `queued`: index changes not delivered yet. `heat_at`: the hash that halves the
    requests of the last seconds; None when there were few, or most were for one key.
    """

    partition: int
    replica: int
    role: str
    term: int
    applied: int
    voters: list[int] = field(default_factory=list)
    learners: list[int] = field(default_factory=list)
    joint: bool = False
    behind: dict[int, int] = field(default_factory=dict)
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    size_bytes: int = 0
    reads_per_s: float = 0.0
    writes_per_s: float = 0.0
    damaged: str = ""
    split_applied: bool = False
    queued: int = 0
    heat_at: int | None = None


@dataclass(slots=True)
class NodeReport:
    """A node's news for the control plane, about once a second. Answer: the index of its catalogue."""

    node: int
    generation: int
    disk_free_bytes: int
    cpu_seconds: float
    groups: list[GroupReport]


@dataclass(slots=True)
class WorkDone:
    """The leader of a partition has finished background work that a table's document asks for. Answer: None.

    `what` is "filled:<index>" or "drained:<index>". Repeated until the document has moved on.
    """

    table: str
    table_id: str
    partition: int
    what: str


@dataclass(slots=True)
class ChangeMembers:
    """To a partition's leader: change the group's members. Answer: None once the change has been proposed.

    `learners` are added as learners; `voters` is, if not empty, the set of voters to reach by joint consensus;
    `remove` are learners to remove. Refused with Overloaded when a change is under way.
    """

    partition: int
    learners: list[int]
    voters: list[int]
    remove: list[int]


@dataclass(slots=True)
class TransferLeader:
    """To a partition's leader: let another replica lead. Answer: None once that has begun."""

    partition: int
    replica: int


@dataclass(slots=True)
class SplitPartition:
    """To a partition's leader: split it. Answer: None once applied at the leader.

    `at` is the first hash of the upper child; None lets the leader choose the middle of its entries.
    `children` are the ids of the two new partitions, allocated by the control plane.
    """

    partition: int
    at: int | None
    children: list[int]


@dataclass(slots=True)
class SplitHint:
    """Ask a leader where its entries are: the hash that halves them. Answer: int, or None if it cannot be split."""

    partition: int


@dataclass(slots=True)
class ClusterCommand:
    """What an operator asks of the control plane. Answer: JSON document that tells what will happen.

    `verb` and `arguments`: "split" {"partition", "at"?}, "move" {"partition", "from", "to"},
    "drain" {"node"} (moves everything away, node stays), "undrain" {"node"}, "decommission" {"node"} (drain, then
    removed), "balance" {}.
    """

    verb: str
    arguments: dict[str, Any]


@dataclass(slots=True)
class ClusterStatus:
    """Ask the control plane for its view. Answer: JSON document {"nodes": [...], "partitions": [...], ...}."""


@dataclass(slots=True)
class WatchCatalogue:
    """Ask a node to send every change of the catalogue, after `after_index` (0: from the beginning). Answer: None.

    The node then casts `CatalogueUpdate`s on the same connection until it ends; one at once.
    """

    after_index: int


@dataclass(slots=True)
class CatalogueUpdate:
    """Changes of the catalogue up to `index` of group 0. `full`: `entries` are everything there is.

    Entries are (engine key, value or None). Updates may be lost on the way: one that does not follow on what the
    receiver has (its index is below `after_index`) is of no use to it, and it asks again.
    """

    index: int
    full: bool
    entries: list[tuple[bytes, bytes | None]]
    after_index: int = 0


@dataclass(slots=True)
class RaftBatch:
    """Raft messages of one tick for one node: (group, message), with entries' payloads as bytes."""

    messages: list[tuple[int, Any]]


@dataclass(slots=True)
class SnapshotChunk:
    """A part of the state of a replica on its way to another. Answer: None once it is staged.

    `stream` names the transfer; chunks are numbered from 0 and each is answered before the next is sent. `entries`
    are (engine key, value). The last chunk has `message`, the InstallSnapshot that is delivered when all is staged.
    """

    group: int
    replica: int
    stream: int
    number: int
    entries: list[tuple[bytes, bytes]]
    message: Any = None


@dataclass(slots=True)
class ScrubReport:
    """To the leader of a partition: what a replica had in a slice of its data when it applied `index`. Answer: None.

    `round` names the check. `error` says why the slice could not be read, else ""; `checksum` counts then not.
    """

    partition: int
    replica: int
    round: int
    index: int
    entries: int
    checksum: int
    error: str


@dataclass(slots=True)
class ReplicaDamaged:
    """From the leader of a partition to a replica: the others agree that your data are wrong. Answer: None.

    The replica takes part no longer and says so in its reports; the control plane puts another in its place.
    """

    partition: int
    replica: int
    reason: str


@dataclass(slots=True)
class Bootstrap:
    """Between the first nodes of a new cluster: are you empty too, and shall this be our cluster id?

    Answer: {"cluster": id or "", "empty": bool, "node": its NodeRecord, "record": ClusterRecord or None}. With
    `commit` True the id and `record` are taken over: the first state of group 0, the same on all members.
    """

    cluster: str
    members: list[int]
    commit: bool
    record: ClusterRecord | None = None
