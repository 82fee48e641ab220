"""TableDescription: how a table document is shown by DescribeTable and by the changing operations.

Members that have nothing to say are absent, never null or empty. What the real service shows differs by
state: the answer of CreateTable has no warm throughput unless it was asked for, a table being deleted shows
neither keys nor indexes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hashrange.model.table_arn import index_arn
from hashrange.model.table_document import (
    ACTIVE,
    CREATING,
    DELETING,
    PAY_PER_REQUEST,
    TableDocument,
    decreases_today,
    table_status,
)
from hashrange_router.regions.describe import replication_members

Description = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """What the nodes know of a table's size: items and bytes of the table, and of each index by its name."""

    item_count: int = 0
    size_bytes: int = 0
    indexes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Items and bytes by index name; an index not named has none."""


NO_STATISTICS = TableStatistics()


def describe(document: TableDocument, *, statistics: TableStatistics, now: float) -> Description:
    """The TableDescription in the table's present state. `now` decides what counts as today's decreases."""
    if document["Status"] == DELETING:
        return describe_deleted(document, statistics=statistics, now=now)
    description = _common(document, statistics, now)
    description["AttributeDefinitions"] = document["AttributeDefinitions"]
    description["KeySchema"] = document["KeySchema"]
    description["CreationDateTime"] = document["CreationDateTime"]
    description["WarmThroughput"] = _warm(document["Warm"], document["Status"])
    if "OnDemand" in document:
        description["OnDemandThroughput"] = document["OnDemand"]
    lsis = [_local_index(document, index, statistics) for index in document["LocalSecondaryIndexes"]]
    if lsis:
        description["LocalSecondaryIndexes"] = lsis
    gsis = [_global_index(document, index, statistics, now) for index in document["GlobalSecondaryIndexes"]]
    if gsis:
        description["GlobalSecondaryIndexes"] = gsis
    return description


def describe_created(document: TableDocument, *, now: float) -> Description:
    """The TableDescription answered by CreateTable: it shows warm throughput only if that was asked for."""
    description = describe(document, statistics=NO_STATISTICS, now=now)
    if not document["Warm"].get("Requested"):
        del description["WarmThroughput"]
    for index in description.get("GlobalSecondaryIndexes", ()):
        del index["WarmThroughput"]
    return description


def describe_deleted(document: TableDocument, *, statistics: TableStatistics, now: float) -> Description:
    """The TableDescription answered by DeleteTable, and by DescribeTable until the table is gone."""
    return _common(document, statistics, now)


def _common(document: TableDocument, statistics: TableStatistics, now: float) -> Description:
    """The members shown in every state."""
    description: Description = {
        "TableName": document["TableName"],
        "TableId": document["TableId"],
        "TableArn": document["TableArn"],
        "TableStatus": table_status(document),
        "ProvisionedThroughput": provisioned_description(document["Throughput"], now),
        "ItemCount": statistics.item_count,
        "TableSizeBytes": statistics.size_bytes,
        "DeletionProtectionEnabled": document["DeletionProtectionEnabled"],
    }
    summary = document.get("BillingModeSummary")
    if summary is not None or document["BillingMode"] == PAY_PER_REQUEST:
        description["BillingModeSummary"] = {"BillingMode": document["BillingMode"], **(summary or {})}
    for member in (
        "StreamSpecification",
        "LatestStreamLabel",
        "LatestStreamArn",
        "SSEDescription",
        "TableClassSummary",
    ):
        if member in document:
            description[member] = document[member]
    if "Replication" in document:
        description.update(replication_members(document))
    return description


def provisioned_description(throughput: Mapping[str, Any], now: float) -> Description:
    """ProvisionedThroughputDescription; on demand its units are zeros."""
    description: Description = {
        "NumberOfDecreasesToday": decreases_today(throughput, now),
        "ReadCapacityUnits": throughput["Read"],
        "WriteCapacityUnits": throughput["Write"],
    }
    if "LastIncrease" in throughput:
        description["LastIncreaseDateTime"] = throughput["LastIncrease"]
    if "LastDecrease" in throughput:
        description["LastDecreaseDateTime"] = throughput["LastDecrease"]
    return description


def _warm(warm: Mapping[str, Any], status: str) -> Description:
    """Warm throughput: ready at once, except what was asked for while its table or index is made."""
    waiting = status == CREATING and warm.get("Requested")
    return {
        "ReadUnitsPerSecond": warm["Read"],
        "WriteUnitsPerSecond": warm["Write"],
        "Status": "UPDATING" if waiting else ACTIVE,
    }


def _local_index(
    document: TableDocument, index: Mapping[str, Any], statistics: TableStatistics
) -> Description:
    """LocalSecondaryIndexDescription: it has no status and no throughput of its own."""
    items, size_bytes = statistics.indexes.get(index["IndexName"], (0, 0))
    return {
        "IndexName": index["IndexName"],
        "KeySchema": index["KeySchema"],
        "Projection": index["Projection"],
        "IndexSizeBytes": size_bytes,
        "ItemCount": items,
        "IndexArn": index_arn(document["TableArn"], index["IndexName"]),
    }


def _global_index(
    document: TableDocument, index: Mapping[str, Any], statistics: TableStatistics, now: float
) -> Description:
    """GlobalSecondaryIndexDescription; Backfilling only while an index added later is being made."""
    description = _local_index(document, index, statistics)
    description["IndexStatus"] = index["Status"]
    if "Backfilling" in index:
        description["Backfilling"] = index["Backfilling"]
    description["ProvisionedThroughput"] = provisioned_description(index["Throughput"], now)
    description["WarmThroughput"] = _warm(index["Warm"], index["Status"])
    if "OnDemand" in index:
        description["OnDemandThroughput"] = index["OnDemand"]
    return description
