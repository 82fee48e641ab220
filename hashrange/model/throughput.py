"""Changing provisioned capacity: the rules that UpdateTable and auto scaling share.

A table and each of its global secondary indexes has a `Throughput` and a `Warm` sub-document of its own, and a budget
of decreases of its own: four a day (UTC) at any time, after them one whenever there was none in the hour before,
which makes at most 27. One request that lowers anything is one decrease. Increases are not limited. A table may be
switched from provisioned to on-demand capacity four times in 24 hours, and back at any time. Source: DynamoDB
Developer Guide, service quotas; texts as observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hashrange.errors import limit_exceeded, resource_in_use, resource_not_found
from hashrange.model.table_document import (
    ACTIVE,
    PROVISIONED,
    SECONDS_PER_DAY,
    TableDocument,
    decreases_today,
    find_global_index,
    is_updating,
    revised,
    timestamp,
)

DECREASES_AT_ONCE = 4
DECREASE_INTERVAL_S = 3_600
MODE_SWITCHES = 4
MODE_SWITCH_WINDOW_S = SECONDS_PER_DAY

UNITS_MAX = 40_000
"""Read or write units of one table or index, by default (service quotas)."""

REFER = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."


def check_quota(index: str | None, read: int, write: int, read_max: int, write_max: int, region: str) -> None:
    """LimitExceededException for more units than one table, or one index (None: the table), may have."""
    for member, units, limit in (
        ("ReadCapacityUnits", read, read_max),
        ("WriteCapacityUnits", write, write_max),
    ):
        if units > limit:
            if index is None:
                what = f"The requested {member}, {units}, is above the per table maximum"
            else:
                what = f"The requested {member} for index {index}, {units}, is above the per index maximum"
            raise limit_exceeded(f"{what} for the account in {region}. Per table maximum: {limit}. {REFER}")


def set_units(
    throughput: dict[str, Any], read: int, write: int, now: float, *, limit_decreases: bool = True
) -> None:
    """Set the units of a `Throughput`, in place, with the times and the count that go with it.

    LimitExceededException when the day's decreases are used up; then nothing is changed. Units that stay as they are
    change nothing either.
    """
    if read < throughput["Read"] or write < throughput["Write"]:
        count = decreases_today(throughput, now)
        if limit_decreases:
            _check_decreases(throughput, count, now)
        throughput["Decreases"] = count + 1
        throughput["DecreaseDay"] = int(now // SECONDS_PER_DAY)
        throughput["LastDecrease"] = timestamp(now)
    if read > throughput["Read"] or write > throughput["Write"]:
        throughput["LastIncrease"] = timestamp(now)
    throughput["Read"], throughput["Write"] = read, write


def lift_warm(warm: dict[str, Any], read: int, write: int) -> None:
    """Warm throughput follows the highest throughput that the table or index ever had, in place."""
    warm["Read"], warm["Write"] = max(warm["Read"], read), max(warm["Write"], write)


def with_units(
    document: TableDocument, index: str | None, read: int, write: int, now: float
) -> TableDocument:
    """The document with other provisioned units of the table, or of an index: what auto scaling proposes.

    Raises ResourceNotFoundException, ResourceInUseException while the table is being changed or is on demand, and
    LimitExceededException over the quota or when the day's decreases are used up.
    """
    if document["Status"] != ACTIVE or is_updating(document) or document["BillingMode"] != PROVISIONED:
        raise resource_in_use(
            "Attempt to change a resource which is still in use: "
            f"Table is being updated: {document['TableName']}"
        )
    region = document["TableArn"].split(":")[3]
    check_quota(index, read, write, UNITS_MAX, UNITS_MAX, region)
    new = revised(document)
    owner = new if index is None else find_global_index(new, index)
    if owner is None:
        raise resource_not_found(
            f"Requested resource not found: Index {index} for table {document['TableName']}"
        )
    set_units(owner["Throughput"], read, write, now)
    lift_warm(owner["Warm"], read, write)
    return new


def note_switch_to_on_demand(document: dict[str, Any], now: float) -> None:
    """Count a switch from provisioned to on-demand capacity, in place; LimitExceededException for one too many."""
    recent = [at for at in document.get("ModeSwitches", ()) if at > now - MODE_SWITCH_WINDOW_S]
    if len(recent) >= MODE_SWITCHES:
        raise limit_exceeded(
            f"Subscriber limit exceeded: Update to PayPerRequest mode are limited to {MODE_SWITCHES} times in "
            f"1 day(s). Last update at {_in_words(recent[-1])}. "
            f"Next update can be made at {_in_words(recent[0] + MODE_SWITCH_WINDOW_S)}"
        )
    document["ModeSwitches"] = [*recent, timestamp(now)]


def _check_decreases(throughput: Mapping[str, Any], count: int, now: float) -> None:
    """After the first four decreases of a UTC day, one per hour; the next day starts anew."""
    if count < DECREASES_AT_ONCE:
        return
    last = throughput["LastDecrease"]
    midnight = (now // SECONDS_PER_DAY + 1) * SECONDS_PER_DAY
    allowed = min(last + DECREASE_INTERVAL_S, midnight)
    if now < allowed:
        raise limit_exceeded(
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. "
            f"After the first {DECREASES_AT_ONCE} decreases, each subsequent decrease in the same UTC day "
            f"can be performed at most once every {DECREASE_INTERVAL_S} seconds. "
            f"Number of decreases today: {count}. "
            f"Last decrease at {_in_words(last)}. Next decrease can be made at {_in_words(allowed)}"
        )


def _in_words(moment: float) -> str:
    """A time as messages spell it: `Thursday, October 8, 2026 at 11:20:48 PM Coordinated Universal Time`."""
    utc = datetime.fromtimestamp(int(moment), UTC)
    clock = f"{utc.hour % 12 or 12}:{utc:%M:%S %p}"
    return f"{utc:%A, %B} {utc.day}, {utc.year} at {clock} Coordinated Universal Time"
