"""Documents and requests for the tests of UpdateTable."""

from __future__ import annotations

from itertools import count
from typing import Any

from hashrange_router.api.tables import update_table
from hashrange_router.api.tables_plan import Plan

from hashrange.model.table_document import TableDocument
from tests.unit.table_support import (
    NOW,
    SITE,
    Tables,
    active,
    definitions,
    index,
    keys,
)

IN_USE = "Attempt to change a resource which is still in use: "
REFER = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
ONE_INDEX = (
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
)
DAY = 86_400
MORNING = (NOW // DAY + 1) * DAY + 9 * 3600


def units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def update(document: TableDocument, now: float = NOW + 60, **members: Any) -> Plan:
    ids = count(50)
    return update_table(
        {"TableName": document["TableName"], **members},
        Tables({document["TableName"]: document}),
        SITE,
        now=now,
        next_partition_ids=lambda: next(ids),
    )


def shown(plan: Plan) -> dict[str, Any]:
    assert plan.response is not None
    description: dict[str, Any] = plan.response["TableDescription"]
    return description


def provisioned(read: int = 10, write: int = 10, **members: Any) -> TableDocument:
    return active(BillingMode="PROVISIONED", ProvisionedThroughput=units(read, write), **members)


def with_index(**members: Any) -> TableDocument:
    """An on-demand table with a local index `local` and a global index `gsi1` over `b`."""
    return active(
        AttributeDefinitions=definitions("a", "b"),
        KeySchema=keys("h:a", "r:b"),
        LocalSecondaryIndexes=[index("local", "h:a", "r:b")],
        GlobalSecondaryIndexes=[index("gsi1", "h:b")],
        **members,
    )


def provisioned_with_index() -> TableDocument:
    return provisioned(
        AttributeDefinitions=definitions("a", "b"),
        GlobalSecondaryIndexes=[index("gsi1", "h:b", ProvisionedThroughput=units(2, 2))],
    )


def gsi(action: str, name: str, *elements: str, **members: Any) -> dict[str, Any]:
    if action == "Create":
        return {"Create": index(name, *elements, **members)}
    return {action: {"IndexName": name, **members}}


def adding(name: str = "gsi2", attribute: str = "c", **members: Any) -> dict[str, Any]:
    return {
        "AttributeDefinitions": definitions(attribute),
        "GlobalSecondaryIndexUpdates": [gsi("Create", name, f"h:{attribute}", **members)],
    }


NOTHING = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, "
    "SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, "
    "MultiRegionConsistency, "
    "DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required"
)
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
ONLY = " modification must be the only operation in the request"
