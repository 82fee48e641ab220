"""What the replicas of a global table have in common: read from a table's document, and made true in one. Pure.

Settings come in sections, so that a change of one does not undo a change of another that was made elsewhere at the
same time:

    billing      {BillingMode, Read, Write, OnDemand {...}, Indexes {name: {Read, Write, OnDemand}}}
    indexes      {name: {KeySchema, Projection, Types {attribute: type}}}
    ttl          {AttributeName}
    encryption   {KMS}
    class        {TableClass}
    warm         {Read, Write, Indexes {name: {Read, Write}}}; it only grows
    scaling      {index or "": target and policies of the write capacity}; see `scaling_settings`

Read capacity, its maximum and the class are those that replicas have unless they have one of their own (`overrides`).
Deletion protection, tags, recovery points and policies are each region's own business (DynamoDB Developer Guide,
global tables). Applying what is true already changes nothing, and limits on decreases do not hold for it: they were
applied where the change was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hashrange.model.table_document import (
    ACTIVE,
    CREATING,
    DELETING,
    ON_DEMAND_WARM_READ,
    ON_DEMAND_WARM_WRITE,
    PAY_PER_REQUEST,
    PROVISIONED,
    TableDocument,
    find_global_index,
    key_names,
    timestamp,
    used_attributes,
    whole_range,
)
from hashrange.model.throughput import lift_warm, set_units
from hashrange_router.api.tables_keys import stored_definitions
from hashrange_router.api.tables_settings import encryption_description
from hashrange_router.api.tables_throughput import new_throughput
from hashrange_router.regions.group import own_replica

Value = dict[str, Any]
SECTIONS: Final = ("billing", "indexes", "ttl", "encryption", "class", "warm")
"""Those that are in the table's document; `scaling` is in documents of its own."""
STANDARD: Final = "STANDARD"


@dataclass(frozen=True, slots=True)
class Site:
    """Where settings are read and applied: the region and account in ARNs, the time, where new partitions come from.

    `scaling` is the section of that name as it is here, `scaled_reads` the indexes ("": the table) whose read
    capacity is scaled here (see `scaling_settings`).
    """

    region: str
    account: str
    now: float
    next_partition_ids: Callable[[], int]
    scaling: Value
    scaled_reads: tuple[str, ...] = ()


def extract(document: TableDocument) -> dict[str, Value]:
    """The settings of a table, by section, as all replicas are to have them."""
    return {section: _EXTRACT[section](document) for section in SECTIONS}


def agrees(section: str, document: TableDocument, wanted: Value) -> bool:
    """Whether a table has these settings. What is said of indexes that it does not have is passed over."""
    found = _EXTRACT[section](document)
    if section == "warm":
        pairs = [(found, wanted)]
        pairs += [(mine, wanted["Indexes"].get(name, mine)) for name, mine in found["Indexes"].items()]
        return all(mine["Read"] >= least["Read"] and mine["Write"] >= least["Write"] for mine, least in pairs)
    if section == "billing":
        names = found["Indexes"].keys() & wanted["Indexes"].keys()
        found, wanted = (
            {**each, "Indexes": {name: each["Indexes"][name] for name in names}} for each in (found, wanted)
        )
    return bool(found == wanted)


def apply(
    section: str, document: TableDocument, wanted: Value, shared: Mapping[str, Any], site: Site
) -> None:
    """Bring a table closer to these settings, in place; what has to wait for an index to go is left for later.

    `shared` are all sections as they are to be, for what a new index begins with.
    """
    if not agrees(section, document, wanted):
        _APPLY[section](document, wanted, shared, site)


# ---- what replicas have of their own


def _override(document: TableDocument, name: str, index: str | None = None) -> Any:
    if "Replication" not in document:
        return None
    replica = own_replica(document)
    if index is not None:
        replica = replica.get("Indexes", {}).get(index, {})
    return replica.get(name)


def _base(document: TableDocument, section: str) -> Value:
    """A section as it was last agreed on; empty before that."""
    shared: Value = document.get("Replication", {}).get("Shared", {}).get(section, {}).get("Value", {})
    return shared


# ---- billing


def _extract_billing(document: TableDocument) -> Value:
    agreed = _base(document, "billing")
    found = _units(document, agreed, document, None)
    found["BillingMode"] = document["BillingMode"]
    found["Indexes"] = {
        index["IndexName"]: _units(
            document, agreed.get("Indexes", {}).get(index["IndexName"], {}), index, index["IndexName"]
        )
        for index in document["GlobalSecondaryIndexes"]
        if index["Status"] != DELETING
    }
    return found


def _units(document: TableDocument, agreed: Value, owner: Mapping[str, Any], index: str | None) -> Value:
    """Units of a table or an index. Where a replica reads with its own, the common ones are those agreed on."""
    on_demand = dict(owner.get("OnDemand", {}))
    read = owner["Throughput"]["Read"]
    if document["BillingMode"] == PROVISIONED and _override(document, "Read", index) is not None:
        read = agreed.get("Read") or read
    if _override(document, "OnDemandRead", index) is not None:
        on_demand.pop("MaxReadRequestUnits", None)
        if "MaxReadRequestUnits" in agreed.get("OnDemand", {}):
            on_demand["MaxReadRequestUnits"] = agreed["OnDemand"]["MaxReadRequestUnits"]
    return {"Read": read, "Write": owner["Throughput"]["Write"], "OnDemand": on_demand}


def _apply_billing(document: TableDocument, wanted: Value, shared: Mapping[str, Any], site: Site) -> None:
    mode = wanted["BillingMode"]
    if mode == PAY_PER_REQUEST and document["BillingMode"] != mode:
        document["BillingModeSummary"] = {"LastUpdateToPayPerRequestDateTime": timestamp(site.now)}
    document["BillingMode"] = mode
    set_owner(document, document, wanted, None, site)
    for index in document["GlobalSecondaryIndexes"]:
        units = wanted["Indexes"].get(index["IndexName"])
        if units is not None:
            set_owner(document, index, units, index["IndexName"], site)


def set_owner(
    document: TableDocument, owner: dict[str, Any], units: Value, index: str | None, site: Site
) -> None:
    """Give a table, or an index of it, the common units, or this replica's own in their place; in place."""
    throughput = owner["Throughput"]
    if document["BillingMode"] == PAY_PER_REQUEST:
        throughput["Read"] = throughput["Write"] = 0
        lift_warm(owner["Warm"], ON_DEMAND_WARM_READ, ON_DEMAND_WARM_WRITE)
        maxima = dict(units["OnDemand"])
        own = _override(document, "OnDemandRead", index)
        if own is not None:
            maxima["MaxReadRequestUnits"] = own
    else:
        read = _override(document, "Read", index) or units["Read"]
        set_units(throughput, read, units["Write"], site.now, limit_decreases=False)
        lift_warm(owner["Warm"], read, units["Write"])
        maxima = {}
    if maxima:
        owner["OnDemand"] = maxima
    else:
        owner.pop("OnDemand", None)


# ---- indexes


def _extract_indexes(document: TableDocument) -> Value:
    types = {each["AttributeName"]: each["AttributeType"] for each in document["AttributeDefinitions"]}
    return {
        index["IndexName"]: {
            "KeySchema": index["KeySchema"],
            "Projection": index["Projection"],
            "Types": {name: types[name] for name in key_names(index["KeySchema"])},
        }
        for index in document["GlobalSecondaryIndexes"]
        if index["Status"] != DELETING
    }


def _apply_indexes(document: TableDocument, wanted: Value, shared: Mapping[str, Any], site: Site) -> None:
    have = _extract_indexes(document)
    for index in document["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        if index["Status"] != DELETING and have[name] != wanted.get(name):
            index["Status"] = DELETING
            index.pop("Backfilling", None)
    units = shared.get("billing", {}).get("Value", {}).get("Indexes", {})
    for name, index in wanted.items():
        if find_global_index(document, name) is not None:
            continue  # it is as wanted, or has to be gone first
        throughput = units.get(name, {"Read": 1, "Write": 1, "OnDemand": {}})
        document["GlobalSecondaryIndexes"].append(_new_index(document, name, index, throughput, site))
    _define(document, wanted)


def _new_index(document: TableDocument, name: str, index: Value, units: Value, site: Site) -> dict[str, Any]:
    made: dict[str, Any] = {
        "IndexName": name,
        "KeySchema": index["KeySchema"],
        "Projection": index["Projection"],
        "Status": CREATING,
        "Throughput": new_throughput(0, 0),
        "Warm": {"Read": 0, "Write": 0},
        "Backfilling": True,
        "Partitions": whole_range(site.next_partition_ids()),
    }
    set_owner(document, made, units, name, site)
    return made


def _define(document: TableDocument, wanted: Value) -> None:
    """Define the attributes of the keys that there are now."""
    types = {each["AttributeName"]: each["AttributeType"] for each in document["AttributeDefinitions"]}
    for name, index in wanted.items():
        if find_global_index(document, name) is not None:
            types.update(index["Types"])
    used = used_attributes(document)
    document["AttributeDefinitions"] = stored_definitions(
        {"AttributeName": name, "AttributeType": kind} for name, kind in types.items() if name in used
    )


# ---- the rest


def _extract_ttl(document: TableDocument) -> Value:
    return {"AttributeName": document["TimeToLive"].get("AttributeName")}


def _apply_ttl(document: TableDocument, wanted: Value, shared: Mapping[str, Any], site: Site) -> None:
    document["TimeToLive"] = {"ChangedAt": timestamp(site.now)}
    if wanted["AttributeName"] is not None:
        document["TimeToLive"]["AttributeName"] = wanted["AttributeName"]


def _extract_encryption(document: TableDocument) -> Value:
    return {"KMS": "SSEDescription" in document}


def _apply_encryption(document: TableDocument, wanted: Value, shared: Mapping[str, Any], site: Site) -> None:
    if wanted["KMS"]:
        key = _override(document, "KMSMasterKeyId")
        settings = {"KMSMasterKeyId": key} if key is not None else {}
        document["SSEDescription"] = encryption_description(settings, site.region, site.account)
    else:
        document.pop("SSEDescription", None)


def table_class(document: TableDocument) -> str:
    """The class of this replica."""
    return str(document.get("TableClassSummary", {}).get("TableClass", STANDARD))


def _extract_class(document: TableDocument) -> Value:
    if _override(document, "TableClass") is not None:
        return {"TableClass": _base(document, "class").get("TableClass", table_class(document))}
    return {"TableClass": table_class(document)}


def _apply_class(document: TableDocument, wanted: Value, shared: Mapping[str, Any], site: Site) -> None:
    set_class(document, _override(document, "TableClass") or wanted["TableClass"], site)


def set_class(document: TableDocument, wanted: str, site: Site) -> None:
    """Give this replica a class, in place."""
    if table_class(document) != wanted:
        document["TableClassSummary"] = {"TableClass": wanted, "LastUpdateDateTime": timestamp(site.now)}


def _extract_warm(document: TableDocument) -> Value:
    return {
        **_warm(document),
        "Indexes": {
            index["IndexName"]: _warm(index)
            for index in document["GlobalSecondaryIndexes"]
            if index["Status"] == ACTIVE
        },
    }


def _warm(owner: Mapping[str, Any]) -> Value:
    return {"Read": owner["Warm"]["Read"], "Write": owner["Warm"]["Write"]}


def _apply_warm(document: TableDocument, wanted: Value, shared: Mapping[str, Any], site: Site) -> None:
    lift_warm(document["Warm"], wanted["Read"], wanted["Write"])
    for index in document["GlobalSecondaryIndexes"]:
        units = wanted["Indexes"].get(index["IndexName"])
        if units is not None:
            lift_warm(index["Warm"], units["Read"], units["Write"])


_EXTRACT: Final[dict[str, Callable[[TableDocument], Value]]] = {
    "billing": _extract_billing,
    "indexes": _extract_indexes,
    "ttl": _extract_ttl,
    "encryption": _extract_encryption,
    "class": _extract_class,
    "warm": _extract_warm,
}
_APPLY: Final[dict[str, Callable[[TableDocument, Value, Mapping[str, Any], Site], None]]] = {
    "billing": _apply_billing,
    "indexes": _apply_indexes,
    "ttl": _apply_ttl,
    "encryption": _apply_encryption,
    "class": _apply_class,
    "warm": _apply_warm,
}
