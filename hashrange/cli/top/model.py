"""What `hashrange top` shows, as plain values: rows of processes, tables, partitions and hot keys. See `build.py`.

Rates are per second, times seconds, shares between 0 and 1. None means that it is not known.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

WITHOUT_DATA = ("router", "triggers", "dax")
"""Roles of processes that store nothing."""


@dataclass(slots=True)
class Sample:
    """What all processes told at one moment.

    `place` says what is looked at. `pages` are documents of `page.py` by name of the process. `processes` are all
    there should be: {"name", "role", "id", "az", "state"}. `partitions` is the control plane's view of them, empty when
    there is none. `note` is something that the user should know.
    """

    place: str
    pages: dict[str, dict[str, Any]]
    processes: list[dict[str, Any]]
    partitions: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""


@dataclass(slots=True)
class Load:
    """Requests of something, and how long they took; latencies are those of requests that succeeded."""

    requests: float = 0.0
    reads: float = 0.0
    writes: float = 0.0
    errors: float = 0.0
    throttled: float = 0.0
    conflicts: float = 0.0
    read_units: float = 0.0
    write_units: float = 0.0
    p50_s: float | None = None
    p99_s: float | None = None


@dataclass(slots=True)
class ProcessRow:
    """One process. `leads` and `partitions` are of nodes, `connections` and `requests` of those that have clients."""

    name: str
    role: str
    zone: str
    state: str
    cpu: float | None = None
    memory_bytes: int | None = None
    leads: int | None = None
    partitions: int | None = None
    reads: float | None = None
    writes: float | None = None
    requests: float | None = None
    connections: int | None = None
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None
    sync_p99_s: float | None = None


@dataclass(slots=True)
class IndexRow:
    """The capacity of one global index."""

    name: str
    read_units: float = 0.0
    write_units: float = 0.0
    read_provisioned: float = 0.0
    write_provisioned: float = 0.0


@dataclass(slots=True)
class TableRow:
    """One table. Units are those of the table itself; `load` has those of its indexes too.

    `reasons` are throttled requests by reason, `operations` requests by operation.
    """

    name: str
    status: str = ""
    billing: str = ""
    load: Load = field(default_factory=Load)
    read_units: float = 0.0
    write_units: float = 0.0
    read_provisioned: float = 0.0
    write_provisioned: float = 0.0
    indexes: list[IndexRow] = field(default_factory=list)
    reasons: dict[str, float] = field(default_factory=dict)
    operations: dict[str, float] = field(default_factory=dict)
    partitions: int = 0
    items: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class PartitionRow:
    """One partition of a table, or of a global index. `leader` is a process, None while nobody leads."""

    id: int
    table: str
    index: str | None
    hash_range: list[int]
    leader: str | None = None
    zone: str = ""
    reads: float = 0.0
    writes: float = 0.0
    read_bytes: float = 0.0
    write_bytes: float = 0.0
    items: int | None = None
    size_bytes: int | None = None


@dataclass(slots=True)
class KeyRow:
    """One hot partition key: DynamoDB JSON of the key; `whole`: one item, else several of this partition key."""

    table: str
    index: str | None
    partition: int
    key: dict[str, Any]
    whole: bool
    share: float
    requests: float


@dataclass(slots=True)
class MappingRow:
    """The changes of one table that run a function. `age_s`: how old the last one of the last finished batch was."""

    table: str
    records: float = 0.0
    retries: float = 0.0
    dropped: float = 0.0
    age_s: float | None = None


@dataclass(slots=True)
class FunctionRow:
    """One function, over all pools. `duration_s` is the mean of its runs, `running` how many go on."""

    name: str
    runs: float = 0.0
    errors: float = 0.0
    throttles: float = 0.0
    running: int = 0
    duration_s: float | None = None
    mappings: list[MappingRow] = field(default_factory=list)


@dataclass(slots=True)
class View:
    """Everything on one screen. `interval_s` is the time that rates are over, 0 when there is nothing to compare."""

    place: str
    interval_s: float
    totals: Load
    transactions: dict[str, float]
    processes: list[ProcessRow]
    tables: list[TableRow]
    partitions: list[PartitionRow]
    keys: list[KeyRow]
    uptime_s: float
    functions: list[FunctionRow] = field(default_factory=list)
    left_out: int = 0
    keys_shown: bool = True
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The view as a document for scripts."""
        return asdict(self)
