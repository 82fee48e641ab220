"""The errors by which a request is refused for want of capacity, as routers and nodes word them.

A table in provisioned mode answers with ProvisionedThroughputExceededException, one on demand with
ThrottlingException. Both carry reasons: what was throttled, by which limit, and its ARN. Texts and shapes: DynamoDB
API reference (ThrottlingReason, CancellationReason) and Developer Guide, "Diagnosing throttling". The two exceptions
spell the member that holds the reasons differently.
"""

from __future__ import annotations

from typing import Final, Literal

from hashrange.errors import SERVICE, ApiError

Limit = Literal[
    "ProvisionedThroughputExceeded",
    "AccountLimitExceeded",
    "KeyRangeThroughputExceeded",
    "MaxOnDemandThroughputExceeded",
]
PROVISIONED_EXCEEDED: Final[Limit] = "ProvisionedThroughputExceeded"
KEY_RANGE_EXCEEDED: Final[Limit] = "KeyRangeThroughputExceeded"
MAX_ON_DEMAND_EXCEEDED: Final[Limit] = "MaxOnDemandThroughputExceeded"

PROVISIONED_TYPE = "ProvisionedThroughputExceededException"
ON_DEMAND_TYPE = "ThrottlingException"
AVAILABILITY = "com.amazon.coral.availability#"

TABLE_PROVISIONED = (
    "The level of configured provisioned throughput for the table was exceeded. "
    "Consider increasing your provisioning level with the UpdateTable API."
)
INDEX_PROVISIONED = (
    "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
    "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes with "
    "the UpdateTable API."
)
TABLE_ON_DEMAND = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or "
    "index so please try again shortly. If exceptions persist, check if you have a hot key: "
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html."
)
INDEX_ON_DEMAND = (
    "Throughput exceeds the current capacity for one or more global secondary indexes. "
    "DynamoDB is automatically scaling your index so please try again shortly."
)
MAX_ON_DEMAND = "Throughput exceeds the maximum OnDemandThroughput configured on table or index"

_REASONS = {PROVISIONED_TYPE: "ThrottlingReasons", ON_DEMAND_TYPE: "throttlingReasons"}


def throttled(limit: Limit, resource: str, *, index: bool, write: bool, provisioned: bool) -> ApiError:
    """The error for a request that the table or index with the ARN `resource` has no capacity for."""
    reason = ("Index" if index else "Table") + ("Write" if write else "Read") + limit
    if provisioned:
        kind, namespace = PROVISIONED_TYPE, SERVICE
        text = INDEX_PROVISIONED if index else TABLE_PROVISIONED
    else:
        kind, namespace = ON_DEMAND_TYPE, AVAILABILITY
        if limit == MAX_ON_DEMAND_EXCEEDED:
            text = MAX_ON_DEMAND
        else:
            text = INDEX_ON_DEMAND if index else TABLE_ON_DEMAND
    fields = {_REASONS[kind]: [{"reason": reason, "resource": resource}]}
    return ApiError(kind, text, namespace=namespace, fields=fields)


def is_throttling(error: ApiError) -> bool:
    """Whether a request was refused for want of capacity: nothing was done, and it may be sent again."""
    return error.type_name in _REASONS


def reasons_of(error: ApiError) -> list[str]:
    """The reasons that a throttling error gives; empty for other errors."""
    member = _REASONS.get(error.type_name)
    if member is None or not error.fields:
        return []
    return [each["reason"] for each in error.fields.get(member, ())]
