"""What a table or a global secondary index may consume: the rates that are enforced, from its document.

The vendor of capacity at the control plane and the routers' buckets take them from here, so that they agree.
Rules: DynamoDB Developer Guide, provisioned capacity mode (burst capacity) and on-demand capacity mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hashrange.model.table_document import PAY_PER_REQUEST, TableDocument, find_global_index
from hashrange.model.throttling import KEY_RANGE_EXCEEDED, MAX_ON_DEMAND_EXCEEDED, PROVISIONED_EXCEEDED
from hashrange.model.throttling import Limit as Reason

BURST_S = 300.0
"""Seconds of unused capacity that are kept for a burst."""

WARM_BURST_S = 2.0
"""On demand nothing is saved up beyond what the table is warm for; this evens out the seconds."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of reads or of writes: `rate_half` half units a second, and what may be saved up, in seconds of it.

    `reason` is what a refusal gives.
    """

    rate_half: float
    burst_s: float
    reason: Reason


def limits(
    document: TableDocument, index: str = "", *, multiplier: float = 1.0, burst_s: float = BURST_S
) -> tuple[Limit, Limit] | None:
    """The limits of reads and of writes of a table (`index` "") or of one of its global indexes; None without it.

    `multiplier` scales every rate; `burst_s` bounds what is saved up.
    """
    owner = document if not index else find_global_index(document, index)
    if owner is None:
        return None
    on_demand = document["BillingMode"] == PAY_PER_REQUEST
    return (
        _limit(owner, "Read", on_demand, multiplier, burst_s),
        _limit(owner, "Write", on_demand, multiplier, burst_s),
    )


def _limit(owner: Mapping[str, Any], kind: str, on_demand: bool, multiplier: float, burst_s: float) -> Limit:
    scale = 2 * multiplier
    if not on_demand:
        return Limit(owner["Throughput"][kind] * scale, burst_s, PROVISIONED_EXCEEDED)
    warm = owner["Warm"][kind]
    maximum = owner.get("OnDemand", {}).get(f"Max{kind}RequestUnits")
    if maximum is not None and maximum <= warm:
        return Limit(maximum * scale, burst_s, MAX_ON_DEMAND_EXCEEDED)
    return Limit(warm * scale, min(WARM_BURST_S, burst_s), KEY_RANGE_EXCEEDED)


def metered(document: TableDocument) -> Iterator[str]:
    """The table ("") and its global secondary indexes: what has capacity of its own."""
    yield ""
    for index in document["GlobalSecondaryIndexes"]:
        yield index["IndexName"]
