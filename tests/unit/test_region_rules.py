"""UpdateTable with ReplicaUpdates: what is refused, and how."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.errors import ApiError
from tests.unit.region_control_support import TABLE, World
from tests.unit.test_region_control import AP, EU, US, cut, world
from tests.unit.test_region_settings import provisioned

CREATE = {"Create": {"RegionName": AP}}
INVALID = "One or more parameter values were invalid: "
LOCAL = (
    "Cannot add or delete the local region through ReplicaUpdates. "
    "Use CreateTable, DeleteTable, or UpdateTable as required."
)
NO_ACTION = "There are no actions specified in the Replica Update Action of the request."
MIXED = "Update table operation with more than one type of replica actions not allowed"
KEY = INVALID + "KMSMasterKeyId must be specified for each replica."


@pytest.fixture(scope="module")
def made() -> World:
    """A table of two regions; a third one has none yet."""
    found = World(US, EU, AP)
    found[US].call("CreateTable", **TABLE)
    found.run(1)
    found[US].replicate(EU)
    found.run(5)
    return found


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"ReplicaUpdates": [CREATE], "DeletionProtectionEnabled": True},
            INVALID + "Replica modification must be the only operation in the request",
        ),
        ({"ReplicaUpdates": [{}]}, NO_ACTION),
        ({"ReplicaUpdates": [{"Update": {"RegionName": EU}}]}, NO_ACTION),
        (
            {
                "ReplicaUpdates": [
                    {"Update": {"RegionName": EU, "GlobalSecondaryIndexes": [{"IndexName": "abc"}]}}
                ]
            },
            NO_ACTION,
        ),
        ({"ReplicaUpdates": [{**CREATE, "Delete": {"RegionName": EU}}]}, MIXED),
        ({"ReplicaUpdates": [CREATE, {"Delete": {"RegionName": EU}}]}, MIXED),
        (
            {"ReplicaUpdates": [CREATE, {"Create": {"RegionName": "eu-west-3"}}]},
            "Update table operation with more than one create or delete replica actions not allowed",
        ),
        ({"ReplicaUpdates": [{"Create": {"RegionName": US}}]}, LOCAL),
        ({"ReplicaUpdates": [{"Delete": {"RegionName": US}}]}, LOCAL),
        (
            {"ReplicaUpdates": [{"Create": {"RegionName": EU}}]},
            "Failed to create a the new replica of table with name: ‘orders’ because one or more replicas "
            "already existed as tables.",
        ),
        (
            {"ReplicaUpdates": [{"Delete": {"RegionName": AP}}]},
            "Update global table operation failed because one or more replicas were not part of the global "
            "table. Please retry the request without these replicas: [ap-northeast-1].",
        ),
        (
            {"ReplicaUpdates": [{"Update": {"RegionName": AP, "TableClassOverride": "STANDARD"}}]},
            "Update global table operation failed because one or more replicas were not part of the global "
            "table. Please retry the request without these replicas: [ap-northeast-1].",
        ),
        (
            {
                "ReplicaUpdates": [
                    {
                        "Update": {
                            "RegionName": EU,
                            "ProvisionedThroughputOverride": {"ReadCapacityUnits": 5},
                        }
                    }
                ]
            },
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
            "when BillingMode is PAY_PER_REQUEST",
        ),
        ({"ReplicaUpdates": [{"Update": {"RegionName": EU, "KMSMasterKeyId": "k"}}]}, KEY),
        ({"ReplicaUpdates": [{"Create": {"RegionName": AP, "KMSMasterKeyId": "k"}}]}, KEY),
        (
            {
                "ReplicaUpdates": [CREATE],
                "GlobalTableWitnessUpdates": [{"Create": {"RegionName": EU}}],
            },
            "MultiRegionConsistency must be set as STRONG when GlobalTableWitnessUpdates parameter is present",
        ),
        (
            {"MultiRegionConsistency": "EVENTUAL"},
            "MultiRegionConsistency can only be specified when replicas are created",
        ),
    ],
)
def test_a_request_is_refused(made: World, members: dict[str, Any], text: str) -> None:
    assert made[US].refused("UpdateTable", TableName="orders", **members) == ("ValidationException", text)
    assert made[US].replicas() == {EU: "ACTIVE"}


def test_strong_consistency_is_refused_in_words(made: World) -> None:
    name, text = made[US].refused(
        "UpdateTable",
        TableName="orders",
        ReplicaUpdates=[CREATE, {"Create": {"RegionName": "eu-west-3"}}],
        MultiRegionConsistency="STRONG",
    )
    assert name == "ValidationException" and "STRONG is not supported" in text


def test_eventual_consistency_may_be_named() -> None:
    made = World(US, EU)
    made[US].call("CreateTable", **TABLE)
    made.run(1)
    reply = made[US].call(
        "UpdateTable",
        TableName="orders",
        ReplicaUpdates=[{"Create": {"RegionName": EU}}, {"Create": {"RegionName": EU}}],
        MultiRegionConsistency="EVENTUAL",
    )
    description = reply["TableDescription"]
    assert description["TableStatus"] == "UPDATING" and description["GlobalTableVersion"] == "2019.11.21"
    assert "MultiRegionConsistency" not in description


def test_the_stream_of_a_replica_stays(made: World) -> None:
    for region in (US, EU):
        off = {"TableName": "orders", "StreamSpecification": {"StreamEnabled": False}}
        assert made[region].refused("UpdateTable", **off) == (
            "ValidationException",
            INVALID + "Disabling Stream is not allowed for a Global Table replica.",
        )
        on = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
        assert made[region].refused("UpdateTable", TableName="orders", StreamSpecification=on)[1] == (
            "Table already has an enabled stream: TableName: orders"
        )


def test_a_table_that_is_not_there_gets_no_replica(made: World) -> None:
    assert made[US].refused("UpdateTable", TableName="nope", ReplicaUpdates=[CREATE]) == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: nope not found",
    )


def test_one_replica_is_made_at_a_time() -> None:
    made = World(US, EU, AP)
    made[US].call("CreateTable", **TABLE)
    made.run(1)
    cut(made, US, EU)
    made[US].replicate(EU)
    made.run(1)
    assert made[US].refused("UpdateTable", TableName="orders", ReplicaUpdates=[CREATE]) == (
        "ResourceInUseException",
        "The resource which you are attempting to change is in use.",
    )


def test_a_key_of_the_owner_is_needed_for_each_replica() -> None:
    made = World(US, EU)
    made[US].call(
        "CreateTable",
        **TABLE,
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "11111111-2222"},
    )
    made.run(1)
    create = {"TableName": "orders", "ReplicaUpdates": [{"Create": {"RegionName": EU}}]}
    assert made[US].refused("UpdateTable", **create) == ("ValidationException", KEY)
    made[US].replicate(EU, KMSMasterKeyId="33333333-4444")
    made.run(5)
    arn = "arn:aws:kms:eu-west-1:000000000000:key/33333333-4444"
    assert made[EU].table()["SSEDescription"]["KMSMasterKeyArn"] == arn


def test_maxima_for_requests_are_for_tables_on_demand() -> None:
    made = provisioned()
    update = {"RegionName": EU, "OnDemandThroughputOverride": {"MaxReadRequestUnits": 5}}
    assert made[US].refused("UpdateTable", TableName="orders", ReplicaUpdates=[{"Update": update}])[1] == (
        "MaxReadRequestUnits for OnDemandThroughput cannot be specified "
        "when the table BillingMode is PROVISIONED"
    )
    much = {"RegionName": EU, "ProvisionedThroughputOverride": {"ReadCapacityUnits": 50_000}}
    assert made[US].refused("UpdateTable", TableName="orders", ReplicaUpdates=[{"Update": much}])[0] == (
        "LimitExceededException"
    )


def test_a_deleted_table_shows_its_replicas_no_more() -> None:
    made = world()
    reply = made[EU].call("DeleteTable", TableName="orders")
    assert reply["TableDescription"]["TableStatus"] == "DELETING"
    with pytest.raises(ApiError):
        made[EU].table()
