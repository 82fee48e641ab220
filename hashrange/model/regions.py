"""Global tables: which regions have a replica of a table, and which of two versions of an item wins.

A global table's document (`hashrange.model.table_document`) has a member `Replication`, the same in every region but
for `Region` and `Slot`s:

    Replication   {"Region": name of the region that keeps this document,
                   "Version": [milliseconds, region name],      # of the last change of what all regions share
                   "Replicas": {region name: Replica}}           # this region's too
    Replica       {"Status": CREATING | ACTIVE | UPDATING | DELETING | CREATION_FAILED, "StatusDescription"?,
                   "Slot": 0..23,                                # its bit in the marks kept here; never used again
                   "Filled": bool,                               # everything that was here before it came has been sent
                   "Read"?, "OnDemandRead"?, "TableClass"?, "KMSMasterKeyId"?, "Indexes"?: {name: {"Read"?, ...}},
                   "InaccessibleSince"?}

`hashrange_router.regions.group` says what else is there, for regions to agree: replicas that are not made yet, and
those that were taken away, are not among `Replicas`.

A version is (stamp, number of the region that wrote it), and the greater one wins: first by time, then by the
region's number, which is derived from its name and therefore the same everywhere. What a deletion leaves behind is a
tombstone: a record without an item, which has a version like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

SLOTS: Final = 24
"""Replicas in other regions that a table may have had: each has a bit of its own in the marks of changed items."""

FILLING: Final = 1 << 31
"""Bit of a mark that a fill made: nobody has just written the item, so that it says nothing about latency."""

AHEAD_MAX_MS: Final = 500
"""A version that lies further in the future is held back: a wrong clock must not win for long (CockroachDB and
YugabyteDB bound offsets of clocks by the same half second)."""

SHIPPED_STATES: Final = frozenset({"CREATING", "ACTIVE", "UPDATING"})
"""States of a replica in which changes are sent to it."""


def region_number(name: str) -> int:
    """The number of a region, 1 to 65535: two bytes of a hash of its name, so that all regions derive the same."""
    return int.from_bytes(blake2b(name.encode(), digest_size=2).digest(), "big") or 1


def same_number(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that have the same number, and so cannot be regions of one table; None when there are none."""
    seen: dict[int, str] = {}
    for name in sorted(set(names)):
        other = seen.setdefault(region_number(name), name)
        if other != name:
            return other, name
    return None


@dataclass(frozen=True, slots=True)
class ReplicaTarget:
    """A replica of a table in another region, as a partition sends changes to it."""

    region: str
    slot: int
    filled: bool

    @property
    def bit(self) -> int:
        """Its bit in marks."""
        return 1 << self.slot


def targets(document: Mapping[str, Any]) -> tuple[ReplicaTarget, ...]:
    """The other regions that changes of a table are sent to."""
    replication = document.get("Replication")
    if replication is None:
        return ()
    own = replication["Region"]
    return tuple(
        ReplicaTarget(region, replica["Slot"], replica["Filled"])
        for region, replica in sorted(replication["Replicas"].items())
        if region != own and replica["Status"] in SHIPPED_STATES
    )


def own_number(document: Mapping[str, Any]) -> int:
    """The number of the region that keeps a global table's document; 0 for any other table."""
    replication = document.get("Replication")
    return region_number(replication["Region"]) if replication is not None else 0
