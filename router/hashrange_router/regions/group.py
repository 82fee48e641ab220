"""The regions of one global table, as the document of each region's table keeps them. Pure.

Beside what `hashrange.model.regions` says of `Replication`, it has what regions need to agree:

    Id          names the global table; a table of that name with another id, or none, is somebody else's
    Replicas    also: {"At": moment, "OverridesAt"?: moment} of each replica
    Joining     {region: {"At", "Status": CREATING | CREATION_FAILED, "StatusDescription"?, "OverridesAt"?, and what
                it has of its own}}: replicas whose table is not known to be there yet; nothing is sent to them
    Leaving     {region: {"At", "State"}}: replicas that were taken away, and have not yet said that they know
    Gone        the same, of those that have
    Shared      settings, by section (see `settings`), each with the moment of its last change
    Applying?   sections that are being made true here
    Legacy?     epoch seconds of its creation as a global table of version 2017.11.29

A moment is [milliseconds, region that made the change]: of two changes of the same thing the later one counts, in
every region. So regions may tell one another what they know in any order and any number of times (`view`, and
`hashrange_router.regions.merge`), and come to the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashrange.errors import ApiError, limit_exceeded
from hashrange.model.regions import SLOTS
from hashrange.model.table_document import TableDocument, revised

Moment = list[Any]
View = dict[str, Any]
Overrides = dict[str, Any]

CREATING: Final = "CREATING"
ACTIVE: Final = "ACTIVE"
DELETING: Final = "DELETING"
CREATION_FAILED: Final = "CREATION_FAILED"

PRESENT: Final = "present"
REMOVED: Final = "removed"
"""Taken away, and its table with it."""
LEFT: Final = "left"
"""Taken away; its table stays, as a table of that region alone (version 2017.11.29)."""
ABSENT: Final = "absent"
"""Found to have no such table any more."""

OVERRIDES: Final = ("Read", "OnDemandRead", "TableClass", "KMSMasterKeyId", "Indexes")
"""Members of a replica that are its own and not those of the global table."""


def moment(now_ms: int, region: str, *after: Moment | None) -> Moment:
    """The moment of a change made now, later than those it replaces whatever the clock says."""
    return [max([now_ms, *(each[0] + 1 for each in after if each is not None)]), region]


def later(first: Moment, second: Moment | None) -> bool:
    """Whether `first` is the later of two moments."""
    return second is None or (first[0], first[1]) > (second[0], second[1])


def is_global(document: TableDocument) -> bool:
    """Whether a table is, or is becoming, a global one."""
    return "Replication" in document


def own_region(document: TableDocument) -> str:
    """The region that keeps a global table's document."""
    return str(document["Replication"]["Region"])


def own_replica(document: TableDocument) -> dict[str, Any]:
    """The replica that the document is of."""
    replication = document["Replication"]
    found: dict[str, Any] = replication["Replicas"][replication["Region"]]
    return found


def others(document: TableDocument) -> list[str]:
    """Regions that have to be told of changes: all but this one that have, will have, or had a replica until now."""
    replication = document["Replication"]
    found = {*replication["Replicas"], *replication["Joining"], *replication["Leaving"]}
    return sorted(found - {replication["Region"]})


def present(document: TableDocument) -> dict[str, dict[str, Any]]:
    """The replicas that there are or will be, this region's too, by region."""
    replication = document["Replication"]
    return {**replication["Joining"], **replication["Replicas"]}


def overrides_of(replica: Mapping[str, Any]) -> Overrides:
    """What a replica has of its own."""
    return {name: replica[name] for name in OVERRIDES if name in replica}


def take_slot(document: TableDocument) -> int:
    """A bit that no replica had before, taken in place; LimitExceededException when all were used."""
    slot: int = document.get("SlotsUsed", 0)
    if slot >= SLOTS:
        raise _no_slots(document["TableName"])
    document["SlotsUsed"] = slot + 1
    return slot


def _no_slots(table: str) -> ApiError:
    return limit_exceeded(
        f"Subscriber limit exceeded: Table {table} has had {SLOTS} replicas since it was created in this region. "
        "Create a new table to add more"
    )


def found_group(document: TableDocument, region: str, group_id: str, at: Moment) -> None:
    """Make a table a global one, in place: the group has this region alone."""
    own = {"Status": ACTIVE, "Slot": take_slot(document), "Filled": True, "At": at}
    document["Replication"] = {
        "Id": group_id,
        "Region": region,
        "Version": at,
        "Replicas": {region: own},
        "Joining": {},
        "Leaving": {},
        "Gone": {},
        "Shared": {},
    }


def add_joining(document: TableDocument, region: str, at: Moment, overrides: Overrides) -> None:
    """Have a replica in another region that has none yet, in place."""
    replication = document["Replication"]
    entry = {"At": at, "Status": CREATING, **overrides}
    if overrides:
        entry["OverridesAt"] = at
    replication["Joining"][region] = entry
    replication["Leaving"].pop(region, None)
    replication["Gone"].pop(region, None)


def joined(document: TableDocument, region: str) -> TableDocument:
    """The table of a joining replica is there: changes are sent to it from now on, after all that there is."""
    entry = document["Replication"]["Joining"].get(region)
    if entry is None:
        return document
    new = revised(document)
    replication = new["Replication"]
    entry = replication["Joining"].pop(region)
    entry.pop("StatusDescription", None)
    # Who was here before this region is not being made.
    older = later(own_replica(new)["At"], entry["At"])
    entry["Status"] = ACTIVE if older else CREATING
    replication["Replicas"][region] = {**entry, "Slot": take_slot(new), "Filled": False}
    return new


def creation_failed(document: TableDocument, region: str, why: str) -> TableDocument:
    """A joining replica cannot be made."""
    entry = document["Replication"]["Joining"].get(region)
    if entry is None or (entry["Status"] == CREATION_FAILED and entry.get("StatusDescription") == why):
        return document
    new = revised(document)
    new["Replication"]["Joining"][region].update(Status=CREATION_FAILED, StatusDescription=why)
    return new


def take_away(document: TableDocument, region: str, at: Moment, state: str) -> None:
    """Take a replica away, in place. One that is absent need not be told."""
    replication = document["Replication"]
    for known in ("Replicas", "Joining", "Leaving", "Gone"):
        replication[known].pop(region, None)
    replication["Gone" if state == ABSENT else "Leaving"][region] = {"At": at, "State": state}


def told(document: TableDocument, region: str) -> TableDocument:
    """A replica that was taken away knows it."""
    if region not in document["Replication"]["Leaving"]:
        return document
    new = revised(document)
    replication = new["Replication"]
    replication["Gone"][region] = replication["Leaving"].pop(region)
    dissolve_if_alone(new)
    return new


def dissolve_if_alone(document: TableDocument) -> None:
    """A table with no other replica, and nobody to tell of it, is no global table any more; in place."""
    if not others(document):
        del document["Replication"]


def note_reached(document: TableDocument, region: str, since: float | None) -> TableDocument:
    """Whether a region can be reached: since when it cannot (epoch seconds), or None."""
    replica = document["Replication"]["Replicas"].get(region)
    if replica is None or ("InaccessibleSince" in replica) == (since is not None):
        return document
    new = revised(document)
    replica = new["Replication"]["Replicas"][region]
    if since is None:
        del replica["InaccessibleSince"]
    else:
        replica["InaccessibleSince"] = since
    return new


def view(document: TableDocument) -> View:
    """What all regions of a global table are to know, as this one knows it."""
    replication = document["Replication"]
    members: dict[str, Any] = {}
    for region, replica in present(document).items():
        members[region] = {"At": replica["At"], "State": PRESENT, "Overrides": overrides_of(replica)}
        if "OverridesAt" in replica:
            members[region]["OverridesAt"] = replica["OverridesAt"]
    for region, entry in {**replication["Gone"], **replication["Leaving"]}.items():
        members[region] = {"At": entry["At"], "State": entry["State"]}
    found = {"Id": replication["Id"], "Members": members, "Shared": replication["Shared"]}
    if "Legacy" in replication:
        found["Legacy"] = replication["Legacy"]
    return found
