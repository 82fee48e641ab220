"""What replicas are changed to: the documents that UpdateTable and the older API propose. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashrange.model.table_document import (
    PAY_PER_REQUEST,
    TableDocument,
    find_global_index,
    revised,
    timestamp,
)
from hashrange.model.throughput import check_quota
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.regions import group, merge, settings
from hashrange_router.regions.creation import ensure_stream
from hashrange_router.regions.group import Overrides, moment
from hashrange_router.regions.settings import Site


def founded(document: TableDocument, group_id: str, site: Site, *, legacy: bool = False) -> TableDocument:
    """A global table with this region alone, its stream on and its settings noted; a copy if it is one already."""
    if group.is_global(document):
        return revised(document)
    new = revised(document)
    ensure_stream(new, site.now)
    group.found_group(new, site.region, group_id, moment(int(site.now * 1000), site.region))
    if legacy:
        new["Replication"]["Legacy"] = timestamp(site.now)
    return merge.noted(new, site)


def created(
    document: TableDocument,
    region: str,
    overrides: Overrides,
    group_id: str,
    site: Site,
    *,
    legacy: bool = False,
) -> TableDocument:
    """A replica more, to be made."""
    new = founded(document, group_id, site, legacy=legacy)
    replication = new["Replication"]
    before = replication["Gone"].get(region, {}).get("At")
    own = group.own_replica(new)["At"]
    group.add_joining(new, region, moment(int(site.now * 1000), site.region, own, before), overrides)
    return new


def deleted(document: TableDocument, region: str, state: str, site: Site) -> TableDocument:
    """A replica less: it is to be told."""
    new = revised(document)
    before = group.present(document)[region]["At"]
    group.take_away(new, region, moment(int(site.now * 1000), site.region, before), state)
    return new


def farewell(document: TableDocument, site: Site) -> group.View:
    """What the others are to know when this region's table is deleted."""
    found = group.view(document)
    before = group.own_replica(document)["At"]
    at = moment(int(site.now * 1000), site.region, before)
    return {**found, "Members": {**found["Members"], site.region: {"At": at, "State": group.REMOVED}}}


def overridden(
    document: TableDocument, region: str, action: Mapping[str, Any], site: Site, quotas: Quotas
) -> TableDocument:
    """Other overrides of a replica; one that is as the common value is none."""
    new = revised(document)
    replication = new["Replication"]
    replica = replication["Replicas"].get(region) or replication["Joining"][region]
    before = replica.get("OverridesAt")
    merged_overrides = changed_overrides(document, group.overrides_of(replica), action, site.region, quotas)
    for name in group.OVERRIDES:
        replica.pop(name, None)
    replica.update(merged_overrides, OverridesAt=moment(int(site.now * 1000), site.region, before))
    if region == site.region:
        waiting = {*replication.get("Applying", ()), "Overrides"}
        replication["Applying"] = sorted(waiting)
        return merge.applied(new, site, revise=False)
    return new


def changed_overrides(
    document: TableDocument, known: Overrides, action: Mapping[str, Any], region: str, quotas: Quotas
) -> Overrides:
    """The overrides of a replica after an action (Create or Update): indexes that are not named keep theirs."""
    found = dict(known)
    billing = settings.extract(document)["billing"]
    if "Replication" in document and "billing" in document["Replication"]["Shared"]:
        billing = document["Replication"]["Shared"]["billing"]["Value"]
    _take_reads(found, action, billing, None, region, quotas)
    if action.get("KMSMasterKeyId") is not None:
        found["KMSMasterKeyId"] = action["KMSMasterKeyId"]
    if action.get("TableClassOverride") is not None:
        found["TableClass"] = action["TableClassOverride"]
    indexes = {name: dict(index) for name, index in found.pop("Indexes", {}).items()}
    for each in action.get("GlobalSecondaryIndexes") or ():
        name = each["IndexName"]
        if find_global_index(document, name) is not None:
            units = billing["Indexes"].get(name, {"Read": 0, "OnDemand": {}})
            _take_reads(indexes.setdefault(name, {}), each, units, name, region, quotas)
    indexes = {name: index for name, index in indexes.items() if index}
    if indexes:
        found["Indexes"] = indexes
    return found


def _take_reads(
    found: dict[str, Any],
    action: Mapping[str, Any],
    common: Mapping[str, Any],
    index: str | None,
    region: str,
    quotas: Quotas,
) -> None:
    read = (action.get("ProvisionedThroughputOverride") or {}).get("ReadCapacityUnits")
    if read is not None:
        check_quota(index, read, 1, quotas.table_max_read_units, quotas.table_max_write_units, region)
        found["Read"] = read
        if read == common["Read"]:
            del found["Read"]
    most = (action.get("OnDemandThroughputOverride") or {}).get("MaxReadRequestUnits")
    if most is not None:
        found["OnDemandRead"] = most
        if most == common["OnDemand"].get("MaxReadRequestUnits") or most < 1:
            del found["OnDemandRead"]


def set_billing(
    document: TableDocument,
    mode: str | None,
    write: int | None,
    index_writes: Mapping[str, int],
    site: Site,
    quotas: Quotas,
) -> TableDocument:
    """Billing mode and write capacity of a global table, for the older API; its indexes' by name.

    LimitExceededException for more than a table may have: no region could make a replica of it any more.
    """
    for index, units in ((None, write), *index_writes.items()):
        most = (quotas.table_max_read_units, quotas.table_max_write_units)
        check_quota(index, 1, units or 1, *most, site.region)
    wanted = settings.extract(document)["billing"]
    wanted["BillingMode"] = mode or wanted["BillingMode"]
    if wanted["BillingMode"] != PAY_PER_REQUEST:
        for each in (wanted, *wanted["Indexes"].values()):
            each["Read"], each["Write"] = each["Read"] or 1, each["Write"] or 1
        if write is not None:
            wanted["Write"] = write
        for name, units in index_writes.items():
            wanted["Indexes"][name]["Write"] = units
    new = revised(document)
    settings.apply("billing", new, wanted, {}, site)
    if {**new, "Generation": 0} == {**document, "Generation": 0}:
        return document
    return merge.noted(new, site)
