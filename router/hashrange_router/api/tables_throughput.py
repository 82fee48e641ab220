"""Throughput of tables and global secondary indexes: provisioned, on-demand maxima and warm throughput.

The wording of the real service differs a little between a table and an index, and between CreateTable and
UpdateTable; a `Subject` carries the differing words, so that every rule is written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hashrange.errors import ApiError, invalid_parameter, limit_exceeded, validation
from hashrange.model.table_document import (
    ON_DEMAND_WARM_READ,
    ON_DEMAND_WARM_WRITE,
    PAY_PER_REQUEST,
)
from hashrange.model.throughput import REFER, check_quota, set_units
from hashrange_router.api.tables_quotas import (
    CAPACITY_UNITS_BOUND,
    Quotas,
)

_INITIAL_THROUGHPUT = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
    "on-demand-capacity-mode.html#on-demand-capacity-mode-initial"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a throughput belongs to: the table (`index` None) or one of its global secondary indexes."""

    index: str | None = None

    @property
    def on_demand(self) -> str:
        """The subject in messages on on-demand maxima."""
        return "table" if self.index is None else f"index : {self.index}"

    @property
    def warm(self) -> str:
        """The subject in messages on warm throughput."""
        return "table" if self.index is None else f"index {self.index}"


TABLE = Subject()


def new_throughput(read: int, write: int) -> dict[str, Any]:
    """The `Throughput` sub-document of a new table or index; zeros on demand."""
    return {"Read": read, "Write": write, "Decreases": 0, "DecreaseDay": 0}


def check_provisioned(subject: Subject, read: int, write: int, quotas: Quotas, region: str) -> None:
    """Provisioned units are within the quotas of one table."""
    check_quota(subject.index, read, write, quotas.table_max_read_units, quotas.table_max_write_units, region)


def check_bounds(throughput: Mapping[str, int]) -> None:
    """Provisioned units are numbers that the service handles at all."""
    for member in ("ReadCapacityUnits", "WriteCapacityUnits"):
        if throughput[member] > CAPACITY_UNITS_BOUND:
            raise validation(f"Given value {throughput[member]} for {member} is out of bounds")


def change_provisioned(
    subject: Subject,
    throughput: dict[str, Any],
    request: Mapping[str, int],
    *,
    now: float,
    quotas: Quotas,
    region: str,
) -> None:
    """Set new provisioned units in the sub-document `throughput`, in place.

    Raises ValidationException when nothing changes, LimitExceededException over a quota or when the day's
    decreases are used up. One request that lowers anything is one decrease, whatever else it raises.
    """
    read, write = request["ReadCapacityUnits"], request["WriteCapacityUnits"]
    if read == throughput["Read"] and write == throughput["Write"]:
        raise _unchanged(subject, read, write)
    check_provisioned(subject, read, write, quotas, region)
    set_units(throughput, read, write, now, limit_decreases=quotas.limit_decreases)


def _unchanged(subject: Subject, read: int, write: int) -> ApiError:
    title = "the table" if subject.index is None else f"the index {subject.index}"
    holder = "the table" if subject.index is None else f"index {subject.index}"
    return validation(
        f"The provisioned throughput for {title} will not change. "
        "The requested value equals the current value. "
        f"Current ReadCapacityUnits provisioned for {holder}: {read}. "
        f"Requested ReadCapacityUnits: {read}. "
        f"Current WriteCapacityUnits provisioned for {holder}: {write}. "
        f"Requested WriteCapacityUnits: {write}. " + REFER
    )


def check_on_demand_mode(subject: Subject, maxima: Mapping[str, int], *, creating: bool) -> None:
    """On-demand maxima make no sense with provisioned units: call when the billing mode is PROVISIONED."""
    for member in ("MaxReadRequestUnits", "MaxWriteRequestUnits"):
        if member not in maxima:
            continue
        index = subject.index
        if creating:
            where = "" if index is None else f" for index: {index}"
            raise invalid_parameter(
                f"{member} for OnDemandThroughput{where} cannot be specified "
                "when table BillingMode is PROVISIONED."
            )
        where = "" if index is None else f" for index : {index}"
        raise invalid_parameter(
            f"{member} for OnDemandThroughput{where} cannot be specified "
            "when the table BillingMode is PROVISIONED"
        )


def merge_on_demand(
    subject: Subject,
    current: Mapping[str, int] | None,
    request: Mapping[str, int],
    quotas: Quotas,
    region: str,
    *,
    creating: bool,
) -> dict[str, int]:
    """New on-demand maxima from the current ones: members not given stay, -1 clears one (on update).

    Returns what is left; empty when there is no maximum any more. Raises ValidationException out of range,
    LimitExceededException over the quota of one table.
    """
    merged = dict(current or {})
    for member, limit, quota in (
        ("MaxReadRequestUnits", quotas.table_max_read_units, "TableMaxReadCapacityUnits"),
        ("MaxWriteRequestUnits", quotas.table_max_write_units, "TableMaxWriteCapacityUnits"),
    ):
        units = request.get(member)
        if units is None:
            continue
        if units == -1 and not creating:
            merged.pop(member, None)
            continue
        if units < 1:
            raise invalid_parameter(
                f"Requested {member} for OnDemandThroughput for {subject.on_demand} is outside of valid range"
            )
        if units > limit:
            raise limit_exceeded(
                f"Subscriber limit exceeded: Requested {member} for OnDemandThroughput for "
                f"{subject.on_demand} exceeds {quota} of the account in region {region}"
            )
        merged[member] = units
    return merged


def new_warm(
    subject: Subject,
    request: Mapping[str, int] | None,
    billing_mode: str,
    throughput: Mapping[str, int],
    quotas: Quotas,
    region: str,
) -> dict[str, Any]:
    """The `Warm` sub-document of a new table or index: what it sustains at once, at least its throughput.

    Raises ValidationException when less is asked for, LimitExceededException over the quota of one table.
    """
    on_demand = billing_mode == PAY_PER_REQUEST
    floor_read = ON_DEMAND_WARM_READ if on_demand else throughput["Read"]
    floor_write = ON_DEMAND_WARM_WRITE if on_demand else throughput["Write"]
    if not request:
        return {"Read": floor_read, "Write": floor_write}
    for member, provisioned, floor in (
        ("ReadUnitsPerSecond", "ReadCapacityUnits", floor_read),
        ("WriteUnitsPerSecond", "WriteCapacityUnits", floor_write),
    ):
        if request.get(member, floor) < floor:
            than = (
                f"initial throughput for OnDemand. See: {_INITIAL_THROUGHPUT}"
                if on_demand
                else f"{provisioned} of ProvisionedThroughput"
            )
            raise invalid_parameter(
                f"Requested {member} for WarmThroughput for {subject.warm} is lower than {than}"
            )
    _check_warm_quota(subject, request, quotas, region)
    return {
        "Read": request.get("ReadUnitsPerSecond", floor_read),
        "Write": request.get("WriteUnitsPerSecond", floor_write),
        "Requested": True,
    }


def raise_warm(
    subject: Subject, warm: dict[str, Any], request: Mapping[str, int], quotas: Quotas, region: str
) -> None:
    """Raise warm throughput in place; it never goes down."""
    for member, kept in (("ReadUnitsPerSecond", warm["Read"]), ("WriteUnitsPerSecond", warm["Write"])):
        if request.get(member, kept) < kept:
            raise invalid_parameter(
                f"Requested {member} for WarmThroughput for {subject.warm} is lower than current "
                "WarmThroughput, decreasing WarmThroughput is not supported"
            )
    _check_warm_quota(subject, request, quotas, region)
    warm["Read"] = request.get("ReadUnitsPerSecond", warm["Read"])
    warm["Write"] = request.get("WriteUnitsPerSecond", warm["Write"])


def _check_warm_quota(subject: Subject, request: Mapping[str, int], quotas: Quotas, region: str) -> None:
    for member, limit, quota in (
        ("ReadUnitsPerSecond", quotas.table_max_read_units, "TableMaxReadCapacityUnits"),
        ("WriteUnitsPerSecond", quotas.table_max_write_units, "TableMaxWriteCapacityUnits"),
    ):
        if request.get(member, 0) > limit:
            raise limit_exceeded(
                f"Subscriber limit exceeded: Requested {member} for WarmThroughput for {subject.warm} "
                f"exceeds {quota} of the account in region {region}"
            )
