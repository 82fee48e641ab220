"""The table of a new replica: made in its own region from what another region tells of the global table. Pure.

What goes over is a `Base`, which never changes in the life of a table: its keys, its local indexes, and the view type
of its stream; everything else is in the shared settings of the `View`. The new table has its own id, ARN, partitions
and stream.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hashrange.model.table_document import PROVISIONED, TableDocument, key_names, revised, timestamp
from hashrange_router.api.tables_create import plan_create
from hashrange_router.api.tables_plan import Site as TableSite
from hashrange_router.api.tables_settings import enable_stream
from hashrange_router.regions import group, merge
from hashrange_router.regions.group import PRESENT, View
from hashrange_router.regions.settings import Site

Base = dict[str, Any]
NEW_AND_OLD_IMAGES = "NEW_AND_OLD_IMAGES"


def base(document: TableDocument) -> Base:
    """What a replica of this table is made from, beside the shared settings."""
    names = set(key_names(document["KeySchema"]))
    for index in document["LocalSecondaryIndexes"]:
        names.update(key_names(index["KeySchema"]))
    return {
        "KeySchema": document["KeySchema"],
        "LocalSecondaryIndexes": document["LocalSecondaryIndexes"],
        "AttributeDefinitions": [d for d in document["AttributeDefinitions"] if d["AttributeName"] in names],
        "StreamViewType": stream_view_type(document),
    }


def stream_view_type(document: TableDocument) -> str:
    """The view type of a global table's stream."""
    specification = document.get("StreamSpecification", {})
    return str(specification.get("StreamViewType", NEW_AND_OLD_IMAGES))


def ensure_stream(document: TableDocument, now: float) -> None:
    """Switch the stream on, in place, if it is not: every replica has one."""
    if "StreamSpecification" not in document:
        enable_stream(document, NEW_AND_OLD_IMAGES, now)
        document["StreamChanging"] = "ENABLE"


def replica_document(
    name: str,
    view: View,
    given: Base,
    site: TableSite,
    *,
    now: float,
    table_id: str,
    next_partition_ids: Callable[[], int],
) -> TableDocument:
    """The document of this region's replica, CREATING. Raises the ApiError of a CreateTable that is not to be had."""
    own = view["Members"][site.region]
    document = plan_create(
        _request(name, view["Shared"], given, own["Overrides"]),
        now=now,
        table_id=table_id,
        region=site.region,
        account=site.account,
        next_partition_ids=next_partition_ids,
        quotas=site.quotas,
    )
    attribute = view["Shared"]["ttl"]["Value"]["AttributeName"]
    if attribute is not None:
        document["TimeToLive"] = {"AttributeName": attribute, "ChangedAt": timestamp(now)}
    _join(document, view, site.region)
    replication = document["Replication"]
    replication["Shared"] = copy.deepcopy(view["Shared"])
    replication["Version"] = max((each["At"] for each in view["Shared"].values()), key=tuple)
    replication["Applying"] = ["scaling"]
    return document


def adopted(document: TableDocument, view: View, site: Site) -> TableDocument:
    """A table that was made here as a replica of a global table: it takes over what the others have in common."""
    new = revised(document)
    ensure_stream(new, site.now)
    _join(new, view, site.region)
    new["Replication"]["Shared"] = copy.deepcopy(view["Shared"])
    new["Replication"]["Version"] = max((each["At"] for each in view["Shared"].values()), key=tuple)
    new["Replication"]["Applying"] = sorted(view["Shared"])
    return merge.applied(new, site, revise=False)


def _join(document: TableDocument, view: View, region: str) -> None:
    """Make a document that of a member, in place: the others are known, and not yet met."""
    own = view["Members"][region]
    group.found_group(document, region, view["Id"], own["At"])
    replication = document["Replication"]
    if "Legacy" in view:
        replication["Legacy"] = view["Legacy"]
    replica = group.own_replica(document)
    replica.update(own["Overrides"])
    if "OverridesAt" in own:
        replica["OverridesAt"] = own["OverridesAt"]
    for other, member in view["Members"].items():
        if other == region:
            continue
        if member["State"] == PRESENT:
            group.add_joining(document, other, member["At"], {})
            replication["Joining"][other].update(member["Overrides"])
            if "OverridesAt" in member:
                replication["Joining"][other]["OverridesAt"] = member["OverridesAt"]
        else:
            replication["Gone"][other] = {"At": member["At"], "State": member["State"]}


def _request(name: str, shared: dict[str, Any], given: Base, own: dict[str, Any]) -> dict[str, Any]:
    """The CreateTable that makes such a table."""
    billing = shared["billing"]["Value"]
    mode, warm = billing["BillingMode"], shared["warm"]["Value"]
    definitions = {d["AttributeName"]: d["AttributeType"] for d in given["AttributeDefinitions"]}
    indexes = []
    for index_name, index in shared["indexes"]["Value"].items():
        definitions.update(index["Types"])
        units = billing["Indexes"].get(index_name, {"Read": 1, "Write": 1, "OnDemand": {}})
        indexes.append(
            {
                "IndexName": index_name,
                "KeySchema": index["KeySchema"],
                "Projection": index["Projection"],
                **_throughput(
                    mode, units, own.get("Indexes", {}).get(index_name, {}), warm["Indexes"].get(index_name)
                ),
            }
        )
    request: dict[str, Any] = {
        "TableName": name,
        "KeySchema": given["KeySchema"],
        "AttributeDefinitions": [
            {"AttributeName": each, "AttributeType": kind} for each, kind in definitions.items()
        ],
        "BillingMode": mode,
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": given["StreamViewType"]},
        **_throughput(mode, billing, own, warm),
    }
    if given["LocalSecondaryIndexes"]:
        request["LocalSecondaryIndexes"] = given["LocalSecondaryIndexes"]
    if indexes:
        request["GlobalSecondaryIndexes"] = indexes
    wanted_class = own.get("TableClass") or shared["class"]["Value"]["TableClass"]
    if wanted_class != "STANDARD":
        request["TableClass"] = wanted_class
    if shared["encryption"]["Value"]["KMS"]:
        key = {"KMSMasterKeyId": own["KMSMasterKeyId"]} if "KMSMasterKeyId" in own else {}
        request["SSESpecification"] = {"Enabled": True, "SSEType": "KMS", **key}
    return request


def _throughput(
    mode: str, units: dict[str, Any], own: dict[str, Any], warm: dict[str, Any] | None
) -> dict[str, Any]:
    """The members on throughput of a table or index in a CreateTable, with what this replica has of its own."""
    found: dict[str, Any] = {}
    if warm is not None:
        found["WarmThroughput"] = {"ReadUnitsPerSecond": warm["Read"], "WriteUnitsPerSecond": warm["Write"]}
    if mode == PROVISIONED:
        read = own.get("Read") or units["Read"]
        found["ProvisionedThroughput"] = {"ReadCapacityUnits": read, "WriteCapacityUnits": units["Write"]}
        if warm is not None:
            found["WarmThroughput"]["ReadUnitsPerSecond"] = max(read, warm["Read"])
        return found
    maxima = dict(units["OnDemand"])
    if "OnDemandRead" in own:
        maxima["MaxReadRequestUnits"] = own["OnDemandRead"]
    if maxima:
        found["OnDemandThroughput"] = maxima
    return found
