"""How what is known of a global table comes together: changes made here, and what another region tells. Pure.

    document = noted(document, site)          # what was changed here since is everybody's from now on
    document = merged(document, view, site)   # and here is what another region knows
    document = applied(document, site)        # settings that came from elsewhere are made true

Each takes a document and returns the next one, or the same object when there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashrange.model.table_document import ACTIVE, PROVISIONED, TableDocument, find_global_index, revised
from hashrange_router.regions import group, settings
from hashrange_router.regions.group import ABSENT, PRESENT, View, later, moment
from hashrange_router.regions.settings import SECTIONS, Site


def noted(document: TableDocument, site: Site) -> TableDocument:
    """Settings that differ from what was agreed on, and are not on their way here, were changed here."""
    replication = document["Replication"]
    new = _noted_overrides(document, site)
    applying = replication.get("Applying", ())
    current = {**settings.extract(new), "scaling": dict(site.scaling)}
    changed = {
        section: value
        for section, value in current.items()
        if section not in applying and replication["Shared"].get(section, {}).get("Value") != value
    }
    if not changed:
        return new
    if new is document:
        new = revised(document)
    shared = new["Replication"]["Shared"]
    for section, value in changed.items():
        at = moment(int(site.now * 1000), site.region, shared.get(section, {}).get("At"))
        shared[section] = {"At": at, "Value": value}
    _stamp(new)
    return new


def _stamp(document: TableDocument) -> None:
    """The version is the moment of the last change of any section."""
    replication = document["Replication"]
    latest = max((each["At"] for each in replication["Shared"].values()), key=tuple)
    replication["Version"] = list(latest)


def _noted_overrides(document: TableDocument, site: Site) -> TableDocument:
    """What a replica has of its own is what it is given here; read units that are scaled here become its own."""
    own = group.own_replica(document)
    found = group.overrides_of(own)
    provisioned = document["BillingMode"] == PROVISIONED
    reads = site.scaled_reads if provisioned else ()
    if not (found or reads) or "Overrides" in document["Replication"].get("Applying", ()):
        return document
    now_own = dict(found)
    if provisioned and ("Read" in found or "" in reads):
        now_own["Read"] = document["Throughput"]["Read"]
    if "TableClass" in found:
        now_own["TableClass"] = settings.table_class(document)
    indexes = {name: dict(index) for name, index in found.get("Indexes", {}).items()}
    indexes.update({name: indexes.get(name, {}) for name in reads if name})
    for name, index in indexes.items():
        there = find_global_index(document, name)
        if there is not None and provisioned and ("Read" in index or name in reads):
            index["Read"] = there["Throughput"]["Read"]
    if indexes:
        now_own["Indexes"] = indexes
    if now_own == found:
        return document
    new = revised(document)
    replica = group.own_replica(new)
    replica.update(now_own)
    # Units that become its own only because they are scaled are nobody's decision: one that is on its way counts.
    made_now = "OverridesAt" in own or any(found[name] != now_own[name] for name in found)
    replica["OverridesAt"] = (
        moment(int(site.now * 1000), site.region, own.get("OverridesAt")) if made_now else own["At"]
    )
    return new


def merged(document: TableDocument, view: View, site: Site) -> TableDocument:
    """The document with what another region knows. Nothing that was changed here is lost: it is noted first.

    That this region's own replica was taken away is left to the caller (`taken_away`).
    """
    before = noted(document, site)
    new = revised(before)
    for region, member in view["Members"].items():
        if region == site.region:
            _merge_own(new, member, site)
        else:
            _merge_member(new, region, member)
    _merge_shared(new, view["Shared"])
    if {**new, "Generation": 0} == {**before, "Generation": 0}:
        return before
    return applied(new, site, revise=False)


def taken_away(document: TableDocument, view: View, region: str) -> str | None:
    """What another region says became of this region's own replica (REMOVED, LEFT), when that is news; else None."""
    member = view["Members"].get(region)
    if member is None or member["State"] in (PRESENT, ABSENT):
        return None
    return str(member["State"]) if later(member["At"], group.own_replica(document)["At"]) else None


def _merge_own(new: TableDocument, member: Mapping[str, Any], site: Site) -> None:
    own = group.own_replica(new)
    if member["State"] == PRESENT and later(member["At"], own["At"]):
        own["At"] = member["At"]  # two regions have asked for it at once
    elif member["State"] == ABSENT and later(member["At"], own["At"]):
        # It is here: whoever missed it looked at the wrong moment.
        own["At"] = moment(int(site.now * 1000), site.region, member["At"])
    if _take_overrides(own, member):
        _wait_for(new, "Overrides")


def _merge_member(new: TableDocument, region: str, member: Mapping[str, Any]) -> None:
    replication = new["Replication"]
    known = next(
        (
            replication[part][region]
            for part in ("Replicas", "Joining", "Leaving", "Gone")
            if region in replication[part]
        ),
        None,
    )
    here = region in replication["Replicas"] or region in replication["Joining"]
    if known is None or later(member["At"], known["At"]):
        if member["State"] != PRESENT:
            group.take_away(new, region, member["At"], member["State"])
            return
        if here and known is not None:
            known["At"] = member["At"]
        else:
            group.add_joining(new, region, member["At"], {})
    if member["State"] == PRESENT:
        entry = replication["Replicas"].get(region) or replication["Joining"].get(region)
        if entry is not None:
            _take_overrides(entry, member)


def _take_overrides(replica: dict[str, Any], member: Mapping[str, Any]) -> bool:
    """Take over what a replica has of its own, if it was changed later than what is known; whether it was."""
    at = member.get("OverridesAt")
    if member["State"] != PRESENT or at is None or not later(at, replica.get("OverridesAt")):
        return False
    for name in group.OVERRIDES:
        replica.pop(name, None)
    replica.update(member["Overrides"], OverridesAt=at)
    return True


def _merge_shared(new: TableDocument, theirs: Mapping[str, Any]) -> None:
    shared = new["Replication"]["Shared"]
    for section, entry in theirs.items():
        known = shared.get(section)
        if known is not None and not later(entry["At"], known["At"]):
            continue
        shared[section] = entry
        if known is None or known["Value"] != entry["Value"]:
            _wait_for(new, section)
    if shared:
        _stamp(new)


def _wait_for(new: TableDocument, what: str) -> None:
    replication = new["Replication"]
    replication["Applying"] = sorted({*replication.get("Applying", ()), what})


def applied(document: TableDocument, site: Site, *, revise: bool = True) -> TableDocument:
    """Make settings that came from elsewhere true, as far as they can be now.

    With `revise` False the document is the caller's own, and is changed in place.
    """
    waiting = document["Replication"].get("Applying", ())
    if not [each for each in waiting if each != "scaling"] or document["Status"] != ACTIVE:
        return document
    new = revised(document) if revise else document
    replication = new["Replication"]
    shared = replication["Shared"]
    if "Overrides" in waiting:
        _apply_overrides(new, site)
    for section in SECTIONS:
        if section in waiting:
            settings.apply(section, new, shared[section]["Value"], shared, site)
    left = [
        each
        for each in waiting
        if each == "scaling" or (each in SECTIONS and not settings.agrees(each, new, shared[each]["Value"]))
    ]
    if left:
        replication["Applying"] = left
    else:
        del replication["Applying"]
    if revise and {**new, "Generation": 0} == {**document, "Generation": 0}:
        return document
    return new


def _apply_overrides(new: TableDocument, site: Site) -> None:
    """Give this replica what it has of its own, and what is common where it has nothing of its own any more."""
    shared = new["Replication"]["Shared"]
    own = group.own_replica(new)
    billing = shared["billing"]["Value"]
    settings.set_owner(new, new, billing, None, site)
    for index in new["GlobalSecondaryIndexes"]:
        units = billing["Indexes"].get(index["IndexName"])
        if units is not None:
            settings.set_owner(new, index, units, index["IndexName"], site)
    settings.set_class(new, own.get("TableClass") or shared["class"]["Value"]["TableClass"], site)


def scaling_applied(document: TableDocument) -> TableDocument:
    """Auto scaling is as agreed."""
    waiting = document["Replication"].get("Applying", ())
    if "scaling" not in waiting:
        return document
    new = revised(document)
    left = [each for each in waiting if each != "scaling"]
    if left:
        new["Replication"]["Applying"] = left
    else:
        del new["Replication"]["Applying"]
    return new
