"""What DescribeTable shows of a global table, as observed: every replica but the one that is asked, oldest first.

What a replica has in common with the others is not repeated for it; what it has of its own is an override.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashrange.model.table_document import ACTIVE, TableDocument
from hashrange_router.regions import group

VERSION: Final = "2019.11.21"
LEGACY_VERSION: Final = "2017.11.29"
SETTINGS_MODE: Final = "ENABLED_WITH_OVERRIDES"


def replication_members(document: TableDocument) -> dict[str, Any]:
    """The members of a TableDescription that only a global table has."""
    replication = document["Replication"]
    if "Legacy" in replication:
        return {"GlobalTableVersion": LEGACY_VERSION}
    return {
        "GlobalTableVersion": VERSION,
        "Replicas": replicas(document),
        "GlobalTableSettingsReplicationMode": SETTINGS_MODE,
    }


def replicas(document: TableDocument) -> list[dict[str, Any]]:
    """ReplicaDescription of each other region's replica."""
    replication = document["Replication"]
    found = dict(group.present(document))
    for region, entry in replication["Leaving"].items():
        found[region] = {**entry, "Status": group.DELETING}
    del found[replication["Region"]]
    ordered = sorted(found.items(), key=lambda item: (item[1]["At"][0], item[0]))
    return [replica(document, region, entry) for region, entry in ordered]


def replica(document: TableDocument, region: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """One ReplicaDescription."""
    found: dict[str, Any] = {
        "RegionName": region,
        "ReplicaStatus": entry["Status"],
        **_status_details(region, entry),
        **_overrides(entry),
        "WarmThroughput": _warm(document),
        "GlobalTableSettingsReplicationMode": SETTINGS_MODE,
    }
    if "KMSMasterKeyId" in entry:
        found["KMSMasterKeyId"] = entry["KMSMasterKeyId"]
    if "TableClass" in entry:
        found["ReplicaTableClassSummary"] = {"TableClass": entry["TableClass"]}
    indexes = [
        {
            "IndexName": index["IndexName"],
            **_overrides(entry.get("Indexes", {}).get(index["IndexName"], {})),
            "WarmThroughput": _warm(index),
        }
        for index in document["GlobalSecondaryIndexes"]
    ]
    if indexes:
        found["GlobalSecondaryIndexes"] = indexes
    return found


def _status_details(region: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    since = entry.get("InaccessibleSince")
    if since is not None:
        return {
            "ReplicaStatusDescription": f"Region {region} cannot be reached; changes are sent when it can",
            "ReplicaInaccessibleDateTime": since,
        }
    why = entry.get("StatusDescription")
    return {"ReplicaStatusDescription": why} if why is not None else {}


def _overrides(entry: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "Read" in entry:
        found["ProvisionedThroughputOverride"] = {"ReadCapacityUnits": entry["Read"]}
    if "OnDemandRead" in entry:
        found["OnDemandThroughputOverride"] = {"MaxReadRequestUnits": entry["OnDemandRead"]}
    return found


def _warm(owner: Mapping[str, Any]) -> dict[str, Any]:
    warm = owner["Warm"]
    return {"ReadUnitsPerSecond": warm["Read"], "WriteUnitsPerSecond": warm["Write"], "Status": ACTIVE}
