"""The table document: what the catalogue keeps of a table, and small helpers to read it.

A document is a plain dict that orjson can write, kept and replicated by the control plane. It is never
changed in place: a change builds a new document from a copy (`revised`) with the next `Generation`, so a
reader may hold one for as long as it likes. `hashrange.model.table` compiles it into the form used per
request.

    TableName, TableId, TableArn, Status, Generation, CreationDateTime
    AttributeDefinitions, KeySchema            as in the request, definitions sorted by name
    BillingMode                                PROVISIONED | PAY_PER_REQUEST
    ModeSwitches?                              when it was switched to on-demand lately, ascending
    BillingModeSummary?                        {LastUpdateToPayPerRequestDateTime?}; once ever on demand
    Throughput                                 {Read, Write, Decreases, DecreaseDay, LastIncrease?,
                                               LastDecrease?}
    Warm                                       {Read, Write, Requested?}
    OnDemand?                                  {MaxReadRequestUnits?, MaxWriteRequestUnits?}
    Partitions                                 [{id, lo, hi}]: hash ranges, ascending, both ends inclusive
    LocalSecondaryIndexes                      [{IndexName, KeySchema, Projection}]
    GlobalSecondaryIndexes                     [the same + Status, Backfilling?, Throughput, Warm, OnDemand?,
                                               Partitions, ActiveSince?]; the last for one added later
    StreamSpecification?, LatestStreamLabel?, LatestStreamArn?
    Streams                                    all so far: [{Label, Arn, ViewType, CreatedAt, DisabledAt?}]
    StreamChanging?                            ENABLE | DISABLE while the nodes switch the stream
    SSEDescription?, TableClassSummary?, DeletionProtectionEnabled
    Tags                                       {key: value}
    TimeToLive                                 {AttributeName?, ChangedAt?}; AttributeName only while enabled
    Replication?                               of a global table: see `hashrange.model.regions`
    SlotsUsed?                                 slots of replicas that were ever taken; it outlives `Replication`

Times are epoch seconds with milliseconds, units are integers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

TableDocument = dict[str, Any]

HASH_MIN = 0
HASH_MAX = 0xFFFF_FFFF_FFFF_FFFF
"""The last value of the 64-bit hash. Ranges include both ends: every bound fits an unsigned integer."""

CREATING = "CREATING"
ACTIVE = "ACTIVE"
UPDATING = "UPDATING"
DELETING = "DELETING"

PROVISIONED = "PROVISIONED"
PAY_PER_REQUEST = "PAY_PER_REQUEST"

ON_DEMAND_WARM_READ = 12_000
ON_DEMAND_WARM_WRITE = 4_000
"""What a table on demand sustains from the start (DynamoDB Developer Guide, on-demand capacity mode)."""

SECONDS_PER_DAY = 86_400


def revised(document: TableDocument) -> TableDocument:
    """A deep copy of `document` with the next generation, to be changed and proposed."""
    new = copy.deepcopy(document)
    new["Generation"] = document["Generation"] + 1
    return new


def timestamp(now: float) -> float:
    """`now` as stored and shown: epoch seconds cut to milliseconds."""
    return round(now, 3)


def whole_range(partition_id: int) -> list[dict[str, int]]:
    """The `Partitions` of a new table or index: one partition over all hashes."""
    return [{"id": partition_id, "lo": HASH_MIN, "hi": HASH_MAX}]


def key_names(key_schema: Iterable[Mapping[str, str]]) -> list[str]:
    """Attribute names of a KeySchema, in its order."""
    return [element["AttributeName"] for element in key_schema]


def find_global_index(document: TableDocument, name: str) -> dict[str, Any] | None:
    """The sub-document of the global secondary index `name`, or None."""
    for index in document["GlobalSecondaryIndexes"]:
        if index["IndexName"] == name:
            return index  # type: ignore[no-any-return]
    return None


def is_local_index(document: TableDocument, name: str) -> bool:
    """Whether `name` is a local secondary index of the table."""
    return any(index["IndexName"] == name for index in document["LocalSecondaryIndexes"])


def used_attributes(document: TableDocument) -> set[str]:
    """Names of all attributes that are part of a key of the table or of one of its indexes."""
    used = set(key_names(document["KeySchema"]))
    for index in [*document["LocalSecondaryIndexes"], *document["GlobalSecondaryIndexes"]]:
        used.update(key_names(index["KeySchema"]))
    return used


def decreases_today(throughput: Mapping[str, Any], now: float) -> int:
    """How often the throughput was decreased on the UTC day of `now`."""
    return int(throughput["Decreases"]) if throughput["DecreaseDay"] == int(now // SECONDS_PER_DAY) else 0


def stream_enabled(document: TableDocument) -> bool:
    """Whether the table writes a stream now."""
    return "StreamSpecification" in document


def table_status(document: TableDocument) -> str:
    """The TableStatus: UPDATING follows from what is going on, it is not stored."""
    status: str = document["Status"]
    if status == ACTIVE and is_updating(document):
        return UPDATING
    return status


def is_updating(document: TableDocument) -> bool:
    """Whether a global secondary index is being made or removed, or the stream switched."""
    return "StreamChanging" in document or any(
        index["Status"] != ACTIVE for index in document["GlobalSecondaryIndexes"]
    )
