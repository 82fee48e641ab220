"""Global tables of version 2017.11.29: joined by hand, taken apart without losing a table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.region_control_support import TABLE, World
from tests.unit.test_region_control import AP, EU, US, agreed, cut, world

STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
NAME = {"GlobalTableName": "orders"}


def group(*regions: str) -> list[dict[str, str]]:
    return [{"RegionName": region} for region in regions]


def tables(*regions: str, **members: Any) -> World:
    """A table in each region, made by itself."""
    made = World(*regions)
    for region in made.regions.values():
        region.call("CreateTable", **{**TABLE, "StreamSpecification": STREAM, **members})
    made.run(1)
    return made


def joined(*regions: str, **members: Any) -> World:
    made = tables(*(regions or (US, EU)), **members)
    made[US].call("CreateGlobalTable", **NAME, ReplicationGroup=group(*(regions or (US, EU))))
    made.run(5)
    return made


def members(made: World, region: str) -> dict[str, str]:
    found = made[region].call("DescribeGlobalTable", **NAME)["GlobalTableDescription"]
    return {each["RegionName"]: each["ReplicaStatus"] for each in found["ReplicationGroup"]}


def test_tables_are_joined_and_described() -> None:
    made = tables(US, EU)
    ids = {name: made[name].table()["TableId"] for name in (US, EU)}
    reply = made[US].call("CreateGlobalTable", **NAME, ReplicationGroup=group(EU, US))
    assert reply["GlobalTableDescription"]["GlobalTableStatus"] == "CREATING"
    made.run(5)
    for name in (US, EU):
        found = made[name].call("DescribeGlobalTable", **NAME)["GlobalTableDescription"]
        assert found["GlobalTableStatus"] == "ACTIVE" and found["GlobalTableName"] == "orders"
        assert found["GlobalTableArn"] == "arn:aws:dynamodb::000000000000:global-table/orders"
        assert members(made, name) == {EU: "ACTIVE", US: "ACTIVE"}
        table = made[name].table()
        assert table["TableId"] == ids[name] and table["GlobalTableVersion"] == "2017.11.29"
        assert "Replicas" not in table
    agreed(made)


def test_a_region_joins_and_leaves_and_keeps_its_table() -> None:
    made = joined(US, EU)
    assert members(made, EU) == {EU: "ACTIVE", US: "ACTIVE"}
    made.regions[AP] = type(made[US])(made, AP)
    made[AP].call("CreateTable", **{**TABLE, "StreamSpecification": STREAM})
    made.run(1)
    made[EU].call("UpdateGlobalTable", **NAME, ReplicaUpdates=[{"Create": {"RegionName": AP}}])
    made.run(5)
    assert members(made, US) == {AP: "ACTIVE", EU: "ACTIVE", US: "ACTIVE"}
    made[US].call("UpdateGlobalTable", **NAME, ReplicaUpdates=[{"Delete": {"RegionName": EU}}])
    made.run(10)
    assert members(made, US) == members(made, AP) == {AP: "ACTIVE", US: "ACTIVE"}
    assert "GlobalTableVersion" not in made[EU].table()
    made[US].call("UpdateGlobalTable", **NAME, ReplicaUpdates=[{"Delete": {"RegionName": AP}}])
    made.run(10)
    assert made[US].refused("DescribeGlobalTable", **NAME)[0] == "GlobalTableNotFoundException"
    assert all(region.has() for region in made.regions.values())


def test_global_tables_are_listed() -> None:
    made = joined()
    assert made[EU].call("ListGlobalTables") == {
        "GlobalTables": [{"GlobalTableName": "orders", "ReplicationGroup": group(EU, US)}]
    }
    assert made[EU].call("ListGlobalTables", RegionName=AP) == {"GlobalTables": []}
    assert made[EU].call("ListGlobalTables", ExclusiveStartGlobalTableName="orders") == {"GlobalTables": []}


def test_the_older_operations_do_not_see_newer_global_tables() -> None:
    made = world()
    text = "Global table with name: 'orders' does not exist."
    for operation in ("DescribeGlobalTable", "DescribeGlobalTableSettings", "UpdateGlobalTableSettings"):
        assert made[US].refused(operation, **NAME) == ("GlobalTableNotFoundException", text)
    delete = [{"Delete": {"RegionName": EU}}]
    assert made[US].refused("UpdateGlobalTable", **NAME, ReplicaUpdates=delete)[1] == text
    assert made[US].call("ListGlobalTables") == {"GlobalTables": []}


def test_what_cannot_be_joined_is_refused() -> None:
    made = tables(US, EU, AP)
    create = "CreateGlobalTable"
    both = group(US, EU)

    def refused(regions: list[dict[str, str]], name: str = "orders") -> tuple[str, str]:
        return made[US].refused(create, GlobalTableName=name, ReplicationGroup=regions)

    assert refused(both, "nope")[0] == "TableNotFoundException"
    assert refused(group(EU, AP))[0] == "ValidationException"
    assert refused([])[0] == "ValidationException"
    made[EU].items["orders"] = 1
    assert refused(both)[1].endswith("The table orders in region eu-west-1 must be empty")
    made[EU].items.clear()
    made[EU].call("UpdateTable", TableName="orders", StreamSpecification={"StreamEnabled": False})
    made.run(1)
    assert "must have a stream with the view type" in refused(both)[1]
    made[EU].call("DeleteTable", TableName="orders")
    made.run(1)
    assert refused(both)[0] == "TableNotFoundException"
    cut(made, US, EU)
    assert refused(both)[0] == "InternalServerError"
    made[US].call(create, **NAME, ReplicationGroup=group(US, AP))
    made.run(5)
    assert refused(group(US, AP)) == (
        "GlobalTableAlreadyExistsException",
        "Global table with name: 'orders' already exists with replicas in regions: ap-northeast-1, us-east-1.",
    )


@pytest.mark.parametrize(
    ("updates", "name"),
    [
        ([{"Create": {"RegionName": EU}}], "ReplicaAlreadyExistsException"),
        ([{"Delete": {"RegionName": AP}}], "ReplicaNotFoundException"),
        ([{"Create": {"RegionName": AP}}], "TableNotFoundException"),
        ([{}], "ValidationException"),
        ([], "ValidationException"),
    ],
)
def test_updates_are_refused_by_name(updates: list[dict[str, Any]], name: str) -> None:
    made = joined()
    made.regions[AP] = type(made[US])(made, AP)
    assert made[US].refused("UpdateGlobalTable", **NAME, ReplicaUpdates=updates)[0] == name


def test_newer_operations_leave_older_global_tables_alone() -> None:
    made = joined()
    create = {"TableName": "orders", "ReplicaUpdates": [{"Delete": {"RegionName": EU}}]}
    assert "UpdateGlobalTable" in made[US].refused("UpdateTable", **create)[1]


def test_settings_are_described_and_changed() -> None:
    made = joined(
        US,
        EU,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
    )
    reply = made[US].call(
        "UpdateGlobalTableSettings",
        **NAME,
        GlobalTableProvisionedWriteCapacityUnits=9,
        ReplicaSettingsUpdate=[
            {
                "RegionName": EU,
                "ReplicaProvisionedReadCapacityUnits": 12,
                "ReplicaProvisionedReadCapacityAutoScalingSettingsUpdate": {
                    "MinimumUnits": 2,
                    "MaximumUnits": 20,
                    "ScalingPolicyUpdate": {
                        "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 50.0}
                    },
                },
            }
        ],
    )
    assert [each["RegionName"] for each in reply["ReplicaSettings"]] == [EU, US]
    made.run(5)
    eu = made[EU].table()["ProvisionedThroughput"]
    assert (eu["ReadCapacityUnits"], eu["WriteCapacityUnits"]) == (12, 9)
    us = made[US].table()["ProvisionedThroughput"]
    assert (us["ReadCapacityUnits"], us["WriteCapacityUnits"]) == (5, 9)
    found = made[US].call("DescribeGlobalTableSettings", **NAME)["ReplicaSettings"]
    [in_eu, in_us] = found
    assert in_eu["ReplicaProvisionedReadCapacityUnits"] == 12
    assert in_eu["ReplicaProvisionedReadCapacityAutoScalingSettings"]["MaximumUnits"] == 20
    assert in_us["ReplicaProvisionedReadCapacityAutoScalingSettings"]["AutoScalingDisabled"]
    made[US].call("UpdateGlobalTableSettings", **NAME, GlobalTableBillingMode="PAY_PER_REQUEST")
    made.run(5)
    assert made[EU].table()["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    agreed(made)


def test_settings_name_what_there_is() -> None:
    made = joined()
    update = "UpdateGlobalTableSettings"
    index = [{"IndexName": "nope", "ProvisionedWriteCapacityUnits": 5}]
    assert (
        made[US].refused(update, **NAME, GlobalTableGlobalSecondaryIndexSettingsUpdate=index)[0]
        == "IndexNotFoundException"
    )
    replica = [{"RegionName": AP, "ReplicaProvisionedReadCapacityUnits": 5}]
    assert made[US].refused(update, **NAME, ReplicaSettingsUpdate=replica)[0] == "ReplicaNotFoundException"


def test_settings_keep_to_what_a_table_may_have() -> None:
    """More than the quota would be spread to all regions, and no region could be added any more."""
    made = joined(
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )
    refused = made[US].refused(
        "UpdateGlobalTableSettings", **NAME, GlobalTableProvisionedWriteCapacityUnits=9_000_000
    )
    assert refused[0] == "LimitExceededException"
    assert "The requested WriteCapacityUnits, 9000000, is above the per table maximum" in refused[1]
    assert made[US].table()["ProvisionedThroughput"]["WriteCapacityUnits"] == 5
