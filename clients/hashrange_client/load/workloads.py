"""What can be done to a table, and the workloads made of it. Pure.

An *act* is what a user does: one request, or a read and then a write of what was read. A *workload* is acts with their
shares, the distribution of the keys, and the kind of items. The six YCSB core workloads are those of Cooper et al.,
"Benchmarking cloud serving systems with YCSB" (SoCC 2010), and of its workloads/workloada to workloadf:

    ycsb-a  read 0.5, update 0.5                zipfian       ycsb-d  read 0.95, insert 0.05             latest
    ycsb-b  read 0.95, update 0.05              zipfian       ycsb-e  scan 0.95, insert 0.05             zipfian
    ycsb-c  read 1                              zipfian       ycsb-f  read 0.5, read-modify-write 0.5    zipfian

A scan of ycsb-e is one Scan of 1 to 100 items (uniform) that begins behind a random key: tables are hashed, so
"the next records" are those next in hash order, as YCSB's own DynamoDB binding has it. (The binding also reads
the first record by a GetItem, as ExclusiveStartKey leaves it out; that request is saved here.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hashrange_client.load import shape, ycsb_shape
from hashrange_client.load.distributions import LATEST, UNIFORM, ZIPFIAN

OPERATION_OF: Final = {
    "get": "GetItem",
    "strong-get": "GetItem",
    "put": "PutItem",
    "insert": "PutItem",
    "update": "UpdateItem",
    "delete": "DeleteItem",
    "query": "Query",
    "scan": "Scan",
    "read-modify-write": "GetItem",
    "transact-write": "TransactWriteItems",
    "transact-get": "TransactGetItems",
    "batch-get": "BatchGetItem",
    "batch-write": "BatchWriteItem",
}
"""The operation of each act; of a read-modify-write it is the first one."""

ACTS: Final = tuple(OPERATION_OF)
READ_MODIFY_WRITE: Final = "ReadModifyWrite"
"""What the latency of both requests of a read-modify-write together is counted under."""

SCAN_ITEMS_MAX: Final = 100


@dataclass(frozen=True)
class Workload:
    """Acts with shares that add up to 1; `ycsb` says that items are YCSB's records."""

    name: str
    acts: tuple[tuple[str, float], ...]
    distribution: str = UNIFORM
    ycsb: bool = False

    @property
    def item_bytes(self) -> int:
        """The usual size of an item."""
        return ycsb_shape.ITEM_BYTES if self.ycsb else 500

    @property
    def min_item_bytes(self) -> int:
        """The least size of an item."""
        return ycsb_shape.MIN_ITEM_BYTES if self.ycsb else shape.MIN_ITEM_BYTES

    @property
    def table(self) -> str:
        """The usual name of the table."""
        return "hashrange-ycsb" if self.ycsb else "hashrange-bench"

    def share(self, act: str) -> float:
        """The share of an act."""
        return dict(self.acts).get(act, 0.0)


def _ycsb(letter: str, distribution: str, **shares: float) -> Workload:
    acts = tuple((name.replace("_", "-"), share) for name, share in shares.items())
    return Workload(f"ycsb-{letter}", acts, distribution, ycsb=True)


_COMPOSED: Final = (
    Workload("mix", (("get", 0.6), ("query", 0.1), ("put", 0.15), ("update", 0.15))),
    _ycsb("a", ZIPFIAN, get=0.5, update=0.5),
    _ycsb("b", ZIPFIAN, get=0.95, update=0.05),
    _ycsb("c", ZIPFIAN, get=1.0),
    _ycsb("d", LATEST, get=0.95, insert=0.05),
    _ycsb("e", ZIPFIAN, scan=0.95, insert=0.05),
    _ycsb("f", ZIPFIAN, get=0.5, read_modify_write=0.5),
)

WORKLOADS: Final = {act: Workload(act, ((act, 1.0),)) for act in ACTS} | {
    each.name: each for each in _COMPOSED
}
"""Every workload by name: each act alone, the mix of them, and YCSB's."""

NAMES: Final = tuple(WORKLOADS)


def parse_mix(text: str) -> Workload:
    """A workload from a text such as `get=0.5,put=0.3,query=0.2`; shares count relative to their sum.

    Raises ValueError with a sentence when the text makes no sense.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        if name not in OPERATION_OF:
            raise ValueError(f"a mix has no {name!r}; choose from {', '.join(ACTS)}")
        try:
            share = float(number) if equals else 1.0
        except ValueError:
            share = -1.0
        if not 0.0 <= share < float("inf"):
            raise ValueError(f"{number!r} is no share of {name}; write it like get=0.5,put=0.5")
        shares[name] = shares.get(name, 0.0) + share
    total = sum(shares.values())
    if total <= 0:
        raise ValueError("a mix needs a share above 0; write it like get=0.5,put=0.5")
    return Workload("mix", tuple((name, share / total) for name, share in shares.items() if share))
