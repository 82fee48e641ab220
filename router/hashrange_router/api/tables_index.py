"""Global secondary indexes in requests: rules on their throughput, and the sub-document of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hashrange.errors import ApiError, invalid_parameter
from hashrange.model.table_document import CREATING, PAY_PER_REQUEST, PROVISIONED
from hashrange_router.api.tables_keys import stored_key_schema, stored_projection
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.api.tables_throughput import (
    Subject,
    check_bounds,
    check_on_demand_mode,
    check_provisioned,
    merge_on_demand,
    new_throughput,
    new_warm,
)


@dataclass(frozen=True, slots=True)
class IndexContext:
    """What the rules on a new index depend on besides the index itself."""

    billing_mode: str
    quotas: Quotas
    region: str
    creating: bool
    """Whether the index comes with its table (CreateTable), which words some errors differently."""


def new_global_index(request: Mapping[str, Any], context: IndexContext) -> dict[str, Any]:
    """The sub-document of a new index, CREATING and still without its `Partitions`.

    Its keys and projection were checked before; raises what is wrong with its throughput.
    """
    subject = Subject(request["IndexName"])
    read, write = _provisioned(subject, request.get("ProvisionedThroughput"), context)
    throughput = new_throughput(read, write)
    on_demand = request.get("OnDemandThroughput")
    if on_demand and context.billing_mode == PROVISIONED:
        check_on_demand_mode(subject, on_demand, creating=context.creating)
    maxima = merge_on_demand(
        subject, None, on_demand or {}, context.quotas, context.region, creating=context.creating
    )
    warm = new_warm(
        subject,
        request.get("WarmThroughput"),
        context.billing_mode,
        throughput,
        context.quotas,
        context.region,
    )
    index: dict[str, Any] = {
        "IndexName": request["IndexName"],
        "KeySchema": stored_key_schema(request["KeySchema"]),
        "Projection": stored_projection(request["Projection"]),
        "Status": CREATING,
        "Throughput": throughput,
        "Warm": warm,
    }
    if maxima:
        index["OnDemand"] = maxima
    return index


def _provisioned(
    subject: Subject, request: Mapping[str, int] | None, context: IndexContext
) -> tuple[int, int]:
    """Provisioned units of a new index; zeros on demand."""
    if context.billing_mode == PAY_PER_REQUEST:
        if request is not None:
            raise _units_on_demand(subject, context.creating)
        return 0, 0
    if request is None:
        name = subject.index
        if context.creating:
            raise invalid_parameter(f"ProvisionedThroughput is not specified for index: {name}")
        raise invalid_parameter(
            f"Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}"
        )
    check_bounds(request)
    read, write = request["ReadCapacityUnits"], request["WriteCapacityUnits"]
    check_provisioned(subject, read, write, context.quotas, context.region)
    return read, write


def _units_on_demand(subject: Subject, creating: bool) -> ApiError:
    name = subject.index
    if creating:
        return invalid_parameter(
            f"ProvisionedThroughput should not be specified for index: {name} "
            "when BillingMode is PAY_PER_REQUEST"
        )
    return invalid_parameter(
        f"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {name} "
        "when BillingMode is PAY_PER_REQUEST"
    )
