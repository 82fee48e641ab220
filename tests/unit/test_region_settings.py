"""What replicas share and what each has of its own: settings that travel, overrides, auto scaling of writes."""

from __future__ import annotations

from typing import Any

from tests.unit.region_control_support import World
from tests.unit.test_region_control import AP, EU, US, agreed, cut, heal, world

BY_DATE = {
    "IndexName": "by_date",
    "KeySchema": [{"AttributeName": "date", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
DATE = [{"AttributeName": "date", "AttributeType": "S"}]
PK = [{"AttributeName": "pk", "AttributeType": "S"}]


def units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def scale_writes(made: World, region: str, *, high: int = 100, index: str | None = None) -> None:
    kind = "table" if index is None else "index"
    target = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/orders" if index is None else f"table/orders/index/{index}",
        "ScalableDimension": f"dynamodb:{kind}:WriteCapacityUnits",
    }
    made[region].call("RegisterScalableTarget", **target, MinCapacity=5, MaxCapacity=high)
    made[region].call(
        "PutScalingPolicy",
        **target,
        PolicyName="writes",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 70.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
        },
    )


def provisioned(*regions: str, indexes: bool = False) -> World:
    """A table with units, scaled for writing, and its replicas."""
    made = World(*(regions or (US, EU)))
    request: dict[str, Any] = {
        "TableName": "orders",
        "AttributeDefinitions": PK,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "ProvisionedThroughput": units(10, 20),
    }
    if indexes:
        request["AttributeDefinitions"] = PK + DATE
        request["GlobalSecondaryIndexes"] = [{**BY_DATE, "ProvisionedThroughput": units(3, 4)}]
    made[US].call("CreateTable", **request)
    made.run(1)
    scale_writes(made, US)
    if indexes:
        scale_writes(made, US, index="by_date")
    for region in list(made.regions)[1:]:
        made[US].replicate(region)
        made.run(5)
    return made


def shown(made: World, region: str, *, index: str | None = None) -> tuple[int, int]:
    table = made[region].table()
    if index is not None:
        [table] = [each for each in table["GlobalSecondaryIndexes"] if each["IndexName"] == index]
    found = table["ProvisionedThroughput"]
    return found["ReadCapacityUnits"], found["WriteCapacityUnits"]


def override(made: World, region: str, at: str, **members: Any) -> None:
    update = {"Update": {"RegionName": region, **members}}
    made[at].call("UpdateTable", TableName="orders", ReplicaUpdates=[update])
    made.run(5)


def test_a_replica_begins_with_all_that_is_shared() -> None:
    made = World(US, EU)
    made[US].call(
        "CreateTable",
        TableName="orders",
        AttributeDefinitions=[*PK, {"AttributeName": "sk", "AttributeType": "N"}, *DATE],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "local",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "date", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        GlobalSecondaryIndexes=[BY_DATE],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        SSESpecification={"Enabled": True, "SSEType": "KMS"},
        OnDemandThroughput={"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 50},
        DeletionProtectionEnabled=True,
        Tags=[{"Key": "team", "Value": "a"}],
    )
    made.run(1)
    made[US].call(
        "UpdateTimeToLive",
        TableName="orders",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
    )
    made[US].replicate(EU)
    made.run(5)
    us, eu = made[US].table(), made[EU].table()
    for member in (
        "KeySchema",
        "AttributeDefinitions",
        "BillingModeSummary",
        "OnDemandThroughput",
        "StreamSpecification",
    ):
        if member == "BillingModeSummary":
            assert us[member]["BillingMode"] == eu[member]["BillingMode"]
        else:
            assert us[member] == eu[member]
    for member in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        [mine], [theirs] = us[member], eu[member]
        assert mine["KeySchema"] == theirs["KeySchema"] and mine["Projection"] == theirs["Projection"]
    assert us["StreamSpecification"]["StreamViewType"] == "KEYS_ONLY"
    assert us["LatestStreamArn"] != eu["LatestStreamArn"]
    assert eu["SSEDescription"]["KMSMasterKeyArn"].startswith("arn:aws:kms:eu-west-1:")
    assert made[EU].call("DescribeTimeToLive", TableName="orders")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "expires",
    }
    assert us["DeletionProtectionEnabled"] and not eu["DeletionProtectionEnabled"]
    assert made[EU].call("ListTagsOfResource", ResourceArn=eu["TableArn"])["Tags"] == []
    agreed(made)


def test_settings_travel_from_any_region_and_protection_and_tags_do_not() -> None:
    made = world(US, EU, AP)
    made[AP].call(
        "UpdateTable",
        TableName="orders",
        AttributeDefinitions=DATE,
        GlobalSecondaryIndexUpdates=[{"Create": BY_DATE}],
    )
    made[EU].call("UpdateTable", TableName="orders", DeletionProtectionEnabled=True)
    made[EU].call(
        "TagResource", ResourceArn=made[EU].table()["TableArn"], Tags=[{"Key": "team", "Value": "b"}]
    )
    made.run(10)
    for name in (US, EU, AP):
        table = made[name].table()
        assert [i["IndexStatus"] for i in table["GlobalSecondaryIndexes"]] == ["ACTIVE"]
        assert table["DeletionProtectionEnabled"] == (name == EU)
    made[US].call(
        "UpdateTable",
        TableName="orders",
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by_date"}}],
    )
    made.run(10)
    for name in (US, EU, AP):
        table = made[name].table()
        assert "GlobalSecondaryIndexes" not in table and table["AttributeDefinitions"] == PK
    agreed(made)


def test_an_index_that_was_replaced_while_a_region_was_away_is_replaced_there() -> None:
    made = world()
    made[US].call(
        "UpdateTable",
        TableName="orders",
        AttributeDefinitions=DATE,
        GlobalSecondaryIndexUpdates=[{"Create": BY_DATE}],
    )
    made.run(5)
    cut(made, US, EU)
    made[US].call(
        "UpdateTable",
        TableName="orders",
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by_date"}}],
    )
    made.run(5)
    other = {**BY_DATE, "KeySchema": [{"AttributeName": "when", "KeyType": "HASH"}]}
    made[US].call(
        "UpdateTable",
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "when", "AttributeType": "N"}],
        GlobalSecondaryIndexUpdates=[{"Create": other}],
    )
    made.run(5)
    heal(made)
    made.run(30)
    [index] = made[EU].table()["GlobalSecondaryIndexes"]
    assert index["KeySchema"] == other["KeySchema"] and index["IndexStatus"] == "ACTIVE"
    assert {d["AttributeName"] for d in made[EU].table()["AttributeDefinitions"]} == {"pk", "when"}
    agreed(made)


def test_changes_of_different_settings_made_apart_are_both_kept() -> None:
    made = provisioned()
    cut(made, US, EU)
    made[US].call("UpdateTable", TableName="orders", ProvisionedThroughput=units(11, 21))
    made.run(3)
    made[EU].call(
        "UpdateTimeToLive",
        TableName="orders",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
    )
    made.run(3)
    heal(made)
    made.run(30)
    for name in (US, EU):
        assert shown(made, name) == (11, 21)
        assert made[name].call("DescribeTimeToLive", TableName="orders")["TimeToLiveDescription"][
            "TimeToLiveStatus"
        ] == ("ENABLED")
    agreed(made)


def test_of_two_changes_of_one_setting_the_later_one_counts() -> None:
    made = provisioned()
    cut(made, US, EU)
    made[EU].call("UpdateTable", TableName="orders", ProvisionedThroughput=units(12, 22))
    made.run(3)
    made[US].call("UpdateTable", TableName="orders", ProvisionedThroughput=units(11, 21))
    made.run(3)
    heal(made)
    made.run(30)
    assert shown(made, US) == shown(made, EU) == (11, 21)


# Capacity.


def test_writes_must_be_scaled_before_a_table_with_units_gets_replicas() -> None:
    made = World(US, EU)
    made[US].call(
        "CreateTable",
        TableName="orders",
        AttributeDefinitions=PK + DATE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[{**BY_DATE, "ProvisionedThroughput": units(3, 4)}],
        ProvisionedThroughput=units(10, 20),
    )
    made.run(1)
    create = {"TableName": "orders", "ReplicaUpdates": [{"Create": {"RegionName": EU}}]}
    either = "write capacity should either be Pay-Per-Request or AutoScaled."
    assert made[US].refused("UpdateTable", **create) == ("ValidationException", f"Table {either}")
    scale_writes(made, US)
    assert made[US].refused("UpdateTable", **create) == ("ValidationException", f"GSI {either}")
    scale_writes(made, US, index="by_date")
    made[US].call("UpdateTable", **create)
    made.run(5)
    assert shown(made, EU) == (10, 20) and shown(made, EU, index="by_date") == (3, 4)


def test_auto_scaling_of_writes_is_the_same_everywhere() -> None:
    made = provisioned(indexes=True)

    def targets(region: str) -> list[tuple[str, int, int]]:
        found = made[region].call("DescribeScalableTargets", ServiceNamespace="dynamodb")["ScalableTargets"]
        return [(each["ResourceId"], each["MinCapacity"], each["MaxCapacity"]) for each in found]

    assert targets(EU) == targets(US) and len(targets(EU)) == 2
    [policy, _] = made[EU].call("DescribeScalingPolicies", ServiceNamespace="dynamodb")["ScalingPolicies"]
    assert policy["PolicyName"] == "writes" and f":{EU}:" in policy["PolicyARN"]
    scale_writes(made, EU, high=77)
    made.run(10)
    assert ("table/orders", 5, 77) in targets(US)
    target = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/orders",
        "ScalableDimension": "dynamodb:table:WriteCapacityUnits",
    }
    made[US].call("DeregisterScalableTarget", **target)
    made.run(10)
    assert [each[0] for each in targets(EU)] == ["table/orders/index/by_date"]
    agreed(made)


def test_billing_modes_travel() -> None:
    made = provisioned()
    made[EU].call("UpdateTable", TableName="orders", BillingMode="PAY_PER_REQUEST")
    made.run(5)
    assert made[US].table()["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert shown(made, US) == (0, 0)
    made[US].call(
        "UpdateTable", TableName="orders", BillingMode="PROVISIONED", ProvisionedThroughput=units(7, 8)
    )
    made.run(5)
    assert shown(made, EU) == (7, 8)


# What a replica has of its own.


def test_read_units_of_a_replica_are_its_own_until_they_are_as_the_others() -> None:
    made = provisioned(US, EU, AP)
    override(made, EU, US, ProvisionedThroughputOverride={"ReadCapacityUnits": 40})
    assert (shown(made, US), shown(made, EU), shown(made, AP)) == ((10, 20), (40, 20), (10, 20))
    for region in (US, AP):
        found = {each["RegionName"]: each for each in made[region].table()["Replicas"]}
        assert found[EU]["ProvisionedThroughputOverride"] == {"ReadCapacityUnits": 40}
    made[US].call("UpdateTable", TableName="orders", ProvisionedThroughput=units(12, 25))
    made.run(5)
    assert (shown(made, EU), shown(made, AP)) == ((40, 25), (12, 25))
    override(made, EU, AP, ProvisionedThroughputOverride={"ReadCapacityUnits": 12})
    assert shown(made, EU) == (12, 25)
    assert "ProvisionedThroughputOverride" not in made[US].table()["Replicas"][0]
    agreed(made)


def test_read_units_of_indexes_of_a_replica_are_merged_by_name() -> None:
    made = provisioned(indexes=True)
    index = {"IndexName": "by_date", "ProvisionedThroughputOverride": {"ReadCapacityUnits": 9}}
    override(made, EU, US, GlobalSecondaryIndexes=[index])
    assert shown(made, EU, index="by_date") == (9, 4) and shown(made, US, index="by_date") == (3, 4)
    override(made, EU, US, ProvisionedThroughputOverride={"ReadCapacityUnits": 40})
    [replica] = made[US].table()["Replicas"]
    [shown_index] = replica["GlobalSecondaryIndexes"]
    assert shown_index["ProvisionedThroughputOverride"] == {"ReadCapacityUnits": 9}
    agreed(made)


def test_a_replica_may_be_made_with_settings_of_its_own() -> None:
    made = World(US, EU)
    made[US].call(
        "CreateTable",
        TableName="orders",
        AttributeDefinitions=PK,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made.run(1)
    made[US].replicate(
        EU,
        TableClassOverride="STANDARD_INFREQUENT_ACCESS",
        OnDemandThroughputOverride={"MaxReadRequestUnits": 60},
        GlobalSecondaryIndexes=[
            {"IndexName": "nope", "OnDemandThroughputOverride": {"MaxReadRequestUnits": 1}}
        ],
    )
    made.run(5)
    eu = made[EU].table()
    assert eu["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert eu["OnDemandThroughput"] == {"MaxReadRequestUnits": 60}
    us = made[US].table()
    assert "TableClassSummary" not in us and "OnDemandThroughput" not in us
    [replica] = us["Replicas"]
    assert replica["ReplicaTableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert replica["OnDemandThroughputOverride"] == {"MaxReadRequestUnits": 60}
    override(made, EU, US, TableClassOverride="STANDARD")
    assert made[EU].table()["TableClassSummary"]["TableClass"] == "STANDARD"
    agreed(made)


def test_reads_that_are_scaled_in_a_region_become_its_own() -> None:
    made = provisioned()
    made[EU].call(
        "RegisterScalableTarget",
        ServiceNamespace="dynamodb",
        ResourceId="table/orders",
        ScalableDimension="dynamodb:table:ReadCapacityUnits",
        MinCapacity=1,
        MaxCapacity=100,
    )
    made[EU].call("UpdateTable", TableName="orders", ProvisionedThroughput=units(33, 20))
    made.run(10)
    assert shown(made, EU) == (33, 20) and shown(made, US) == (10, 20)
    agreed(made)


# DescribeTableReplicaAutoScaling, UpdateTableReplicaAutoScaling.


def settings(low: int, high: int, value: float = 50.0) -> dict[str, Any]:
    return {
        "MinimumUnits": low,
        "MaximumUnits": high,
        "ScalingPolicyUpdate": {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": value}},
    }


def described(made: World, region: str) -> dict[str, dict[str, Any]]:
    found = made[region].call("DescribeTableReplicaAutoScaling", TableName="orders")
    return {each["RegionName"]: each for each in found["TableAutoScalingDescription"]["Replicas"]}


def test_auto_scaling_of_replicas_is_described_from_any_region() -> None:
    made = provisioned(indexes=True)
    found = described(made, EU)
    assert list(found) == [EU, US]
    for replica in found.values():
        assert replica["ReplicaProvisionedReadCapacityAutoScalingSettings"] == {
            "AutoScalingDisabled": True,
            "ScalingPolicies": [],
        }
        write = replica["ReplicaProvisionedWriteCapacityAutoScalingSettings"]
        assert (write["MinimumUnits"], write["MaximumUnits"]) == (5, 100)
        assert write["ScalingPolicies"][0]["PolicyName"] == "writes"
        assert replica["GlobalSecondaryIndexes"][0]["IndexName"] == "by_date"


def test_auto_scaling_of_replicas_is_set_up_in_the_region_named_or_in_all() -> None:
    made = provisioned()
    made[US].call(
        "UpdateTableReplicaAutoScaling",
        TableName="orders",
        ProvisionedWriteCapacityAutoScalingUpdate=settings(6, 60),
        ReplicaUpdates=[
            {"RegionName": EU, "ReplicaProvisionedReadCapacityAutoScalingUpdate": settings(7, 70)}
        ],
    )
    made.run(10)
    found = described(made, US)
    for replica in found.values():
        assert replica["ReplicaProvisionedWriteCapacityAutoScalingSettings"]["MaximumUnits"] == 60
    read = found[EU]["ReplicaProvisionedReadCapacityAutoScalingSettings"]
    assert (read["MinimumUnits"], read["MaximumUnits"]) == (7, 70)
    [policy] = read["ScalingPolicies"]
    assert policy == {
        "PolicyName": "DynamoDBReadCapacityUtilization:table/orders",
        "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 50.0},
    }
    assert found[US]["ReplicaProvisionedReadCapacityAutoScalingSettings"]["AutoScalingDisabled"]
    off = {"RegionName": EU, "ReplicaProvisionedReadCapacityAutoScalingUpdate": {"AutoScalingDisabled": True}}
    made[US].call("UpdateTableReplicaAutoScaling", TableName="orders", ReplicaUpdates=[off])
    assert described(made, US)[EU]["ReplicaProvisionedReadCapacityAutoScalingSettings"]["AutoScalingDisabled"]
    agreed(made)


def test_auto_scaling_of_replicas_refuses() -> None:
    made = provisioned()
    us = made[US]
    update = "UpdateTableReplicaAutoScaling"
    failed = "Failed to update settings for global table with name: ‘orders’"
    assert us.refused("DescribeTableReplicaAutoScaling", TableName="nope") == (
        "ResourceNotFoundException",
        "Global table with name: 'nope' does not exist.",
    )
    assert us.refused(update, TableName="orders")[1] == (
        f"{failed} because at least one update parameter must be specified."
    )
    twice = [{"RegionName": EU, "ReplicaProvisionedReadCapacityAutoScalingUpdate": settings(1, 2)}] * 2
    assert us.refused(update, TableName="orders", ReplicaUpdates=twice)[1] == (
        f"{failed} because the regions: ‘[eu-west-1]’ were specified more than once."
    )
    assert us.refused(
        update, TableName="orders", ProvisionedWriteCapacityAutoScalingUpdate={"MaximumUnits": 5}
    )[1] == (
        f"{failed}: Parameters 'ScalingPolicyUpdate', 'MinimumUnits' are required "
        "unless auto scaling is being disabled."
    )
    assert (
        us.refused(update, TableName="orders", ProvisionedWriteCapacityAutoScalingUpdate=settings(9, 5))[1]
        == "Maximum capacity cannot be less than minimum capacity"
    )
    elsewhere = [{**twice[0], "RegionName": AP}]
    assert us.refused(update, TableName="orders", ReplicaUpdates=elsewhere)[0] == "ResourceNotFoundException"
    nameless = {"ProvisionedWriteCapacityAutoScalingUpdate": settings(1, 2)}
    read = {"ProvisionedReadCapacityAutoScalingUpdate": settings(1, 2)}
    there = {"RegionName": EU, "ReplicaGlobalSecondaryIndexUpdates": [read]}
    for asked in ({"GlobalSecondaryIndexUpdates": [nameless]}, {"ReplicaUpdates": [there]}):
        assert us.refused(update, TableName="orders", **asked) == (
            "ValidationException",
            f"{failed}: Parameters 'IndexName' are required.",
        )
    on_demand = world()
    assert (
        "BillingMode is PayPerRequest"
        in on_demand[US].refused(
            update, TableName="orders", ProvisionedWriteCapacityAutoScalingUpdate=settings(1, 5)
        )[1]
    )
