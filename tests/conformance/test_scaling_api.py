"""The Application Auto Scaling API as boto3 sees it: targets, policies, scheduled actions, tags, paging, refusals."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.conftest import make_client
from tests.conformance.raw import Raw, Reply
from tests.conformance.support import ANY_TEXT, Containing, error, invalid, unique

READ = "dynamodb:table:ReadCapacityUnits"
WRITE = "dynamodb:table:WriteCapacityUnits"
INDEX_READ = "dynamodb:index:ReadCapacityUnits"


@pytest.fixture(scope="module")
def scaling(endpoint: str) -> Iterator[Any]:
    made = make_client(endpoint, "application-autoscaling")
    yield made
    made.close()


@pytest.fixture
def table(client: Any) -> Iterator[str]:
    """A provisioned table with an index `by_b`."""
    name = unique("scaled")
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in "ab"],
        ProvisionedThroughput=units,
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_b",
                "KeySchema": [{"AttributeName": "b", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": units,
            }
        ],
    )
    yield name
    client.delete_table(TableName=name)


def of(table: str, dimension: str = READ) -> dict[str, str]:
    """The members that name a target."""
    resource = f"table/{table}" if ":table:" in dimension else f"table/{table}/index/by_b"
    return {"ServiceNamespace": "dynamodb", "ResourceId": resource, "ScalableDimension": dimension}


def tracking(value: float = 70.0, metric: str = "DynamoDBReadCapacityUtilization", **more: Any) -> Any:
    """The members of a target tracking policy."""
    configuration = {
        "TargetValue": value,
        "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        **more,
    }
    return {
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": configuration,
    }


def register(
    scaling: Any, table: str, dimension: str = READ, low: int = 5, high: int = 20, **more: Any
) -> str:
    answer = scaling.register_scalable_target(
        **of(table, dimension), MinCapacity=low, MaxCapacity=high, **more
    )
    return str(answer["ScalableTargetARN"])


def shown(scaling: Any, table: str) -> list[Any]:
    answer = scaling.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=[f"table/{table}"])
    return list(answer["ScalableTargets"])


# Targets.


def test_a_target_reads_back(scaling: Any, table: str) -> None:
    arn = register(scaling, table)
    (target,) = shown(scaling, table)
    assert isinstance(target.pop("CreationTime"), datetime.datetime)
    assert target == {
        **of(table),
        "MinCapacity": 5,
        "MaxCapacity": 20,
        "RoleARN": Containing("AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"),
        "SuspendedState": {
            "DynamicScalingInSuspended": False,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": False,
        },
        "ScalableTargetARN": arn,
    }
    assert arn.startswith("arn:aws:application-autoscaling:us-east-1:000000000000:scalable-target/")


def test_registering_again_changes_what_is_given(scaling: Any, table: str) -> None:
    arn = register(scaling, table)
    again = scaling.register_scalable_target(
        **of(table), MaxCapacity=30, SuspendedState={"DynamicScalingInSuspended": True}
    )
    assert again["ScalableTargetARN"] == arn
    (target,) = shown(scaling, table)
    assert (target["MinCapacity"], target["MaxCapacity"]) == (5, 30)
    assert target["SuspendedState"]["DynamicScalingInSuspended"] is True


def test_an_index_is_a_target_of_its_own(scaling: Any, table: str) -> None:
    register(scaling, table, READ)
    register(scaling, table, WRITE)
    register(scaling, table, INDEX_READ)
    assert [t["ScalableDimension"] for t in shown(scaling, table)] == [READ, WRITE]
    answer = scaling.describe_scalable_targets(
        ServiceNamespace="dynamodb",
        ResourceIds=[f"table/{table}", f"table/{table}/index/by_b"],
        ScalableDimension=INDEX_READ,
    )
    assert [t["ResourceId"] for t in answer["ScalableTargets"]] == [f"table/{table}/index/by_b"]


def test_deregistering_takes_policies_and_actions_along(scaling: Any, table: str) -> None:
    register(scaling, table)
    scaling.put_scaling_policy(**of(table), PolicyName="p", **tracking())
    put_action(scaling, table)
    scaling.deregister_scalable_target(**of(table))
    assert shown(scaling, table) == []
    register(scaling, table)
    named = {"ServiceNamespace": "dynamodb", "ResourceId": f"table/{table}"}
    assert scaling.describe_scaling_policies(**named)["ScalingPolicies"] == []
    assert scaling.describe_scheduled_actions(**named)["ScheduledActions"] == []


def test_targets_come_in_pages(scaling: Any, table: str) -> None:
    for dimension in (READ, WRITE):
        register(scaling, table, dimension)
    named = {"ServiceNamespace": "dynamodb", "ResourceIds": [f"table/{table}"], "MaxResults": 1}
    first = scaling.describe_scalable_targets(**named)
    second = scaling.describe_scalable_targets(**named, NextToken=first["NextToken"])
    found = [*first["ScalableTargets"], *second["ScalableTargets"]]
    assert [t["ScalableDimension"] for t in found] == [READ, WRITE]
    assert "NextToken" not in second
    for token in ("nonsense", "eyJ4IjoxfQ=="):
        refused = error(scaling.describe_scalable_targets, **named, NextToken=token)
        assert refused == ("InvalidNextTokenException", ANY_TEXT)


def test_refused_targets(scaling: Any, table: str) -> None:
    def refused(**changes: Any) -> tuple[str, str]:
        request = {**of(table), "MinCapacity": 1, "MaxCapacity": 2, **changes}
        return error(
            scaling.register_scalable_target, **{name: v for name, v in request.items() if v is not None}
        )

    assert refused(ResourceId="table/nowhere") == invalid("DynamoDB table does not exist: table/nowhere")
    assert refused(ResourceId=f"table/{table}/index/nowhere", ScalableDimension=INDEX_READ) == invalid(
        Containing("index does not exist")
    )
    unsupported = invalid("Unsupported service namespace, resource type or scalable dimension")
    assert refused(ScalableDimension=INDEX_READ) == unsupported
    assert refused(ResourceId="service/default/web") == unsupported
    assert refused(
        ServiceNamespace="ecs", ScalableDimension="ecs:service:DesiredCount", ResourceId="service/c/s"
    ) == invalid(Containing("Unsupported service namespace: ecs"))
    assert refused(MaxCapacity=None) == invalid(Containing("MaxCapacity must be specified"))
    assert refused(MinCapacity=0) == invalid(Containing("Minimum capacity"))
    assert refused(MinCapacity=3) == invalid("Maximum capacity cannot be less than minimum capacity")
    assert refused(ResourceId=None) == invalid(
        "1 validation error detected: Value null at 'resourceId' failed to satisfy constraint: "
        "Member must not be null"
    )
    assert error(scaling.deregister_scalable_target, **of(table)) == (
        "ObjectNotFoundException",
        f"No scalable target found for service namespace: dynamodb, resource ID: table/{table}, "
        f"scalable dimension: {READ}",
    )


# Policies.


def test_a_policy_reads_back(scaling: Any, table: str) -> None:
    register(scaling, table)
    policy = tracking(55.5, ScaleInCooldown=60, ScaleOutCooldown=30, DisableScaleIn=True)
    answer = scaling.put_scaling_policy(**of(table), PolicyName="mine", **policy)
    assert len(answer["Alarms"]) == 4
    (found,) = scaling.describe_scaling_policies(
        ServiceNamespace="dynamodb", ResourceId=f"table/{table}", PolicyNames=["mine"]
    )["ScalingPolicies"]
    assert isinstance(found.pop("CreationTime"), datetime.datetime)
    assert found == {
        **of(table),
        **policy,
        "PolicyName": "mine",
        "PolicyARN": answer["PolicyARN"],
        "Alarms": answer["Alarms"],
    }


def test_a_policy_is_changed_and_deleted(scaling: Any, table: str) -> None:
    register(scaling, table)
    first = scaling.put_scaling_policy(**of(table), PolicyName="p", **tracking(50))
    second = scaling.put_scaling_policy(**of(table), PolicyName="p", **tracking(60))
    assert first == {**second, "ResponseMetadata": first["ResponseMetadata"]}
    named = {"ServiceNamespace": "dynamodb", "ResourceId": f"table/{table}"}
    (found,) = scaling.describe_scaling_policies(**named)["ScalingPolicies"]
    assert found["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60
    scaling.delete_scaling_policy(**of(table), PolicyName="p")
    assert scaling.describe_scaling_policies(**named)["ScalingPolicies"] == []
    code, text = error(scaling.delete_scaling_policy, **of(table), PolicyName="p")
    assert code == "ObjectNotFoundException" and "No scaling policy found" in text


def test_refused_policies(scaling: Any, table: str) -> None:
    def refused(**members: Any) -> tuple[str, str]:
        return error(scaling.put_scaling_policy, **{**of(table), "PolicyName": "p", **members})

    assert refused(**tracking())[0] == "ObjectNotFoundException"
    register(scaling, table)
    assert refused(PolicyType="StepScaling") == invalid(Containing("StepScaling", "not supported"))
    assert refused(PolicyType="PredictiveScaling") == invalid(Containing("PredictiveScaling"))
    assert refused(**tracking(19)) == invalid("TargetValue must be between 20 and 90")
    assert refused(**tracking(90.5)) == invalid("TargetValue must be between 20 and 90")
    wrong = tracking(metric="DynamoDBWriteCapacityUtilization")
    assert refused(**wrong) == invalid(Containing("does not fit"))
    assert refused(**tracking(metric="ECSServiceAverageCPUUtilization")) == invalid(
        Containing("does not fit")
    )
    assert refused(**tracking(metric="Nonsense")) == invalid(Containing("enum value set"))
    assert refused(PolicyType="TargetTrackingScaling") == invalid(Containing("must be specified"))
    custom = {"TargetValue": 50.0, "CustomizedMetricSpecification": {}}
    assert refused(
        PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=custom
    ) == invalid(Containing("CustomizedMetricSpecification"))
    assert refused(**tracking(ScaleInCooldown=-1)) == invalid("ScaleInCooldown must not be negative")
    scaling.put_scaling_policy(**of(table), PolicyName="other", **tracking())
    assert refused(**tracking()) == invalid(
        "Only one TargetTrackingScaling policy for a given metric specification is allowed."
    )


# Scheduled actions.


def put_action(scaling: Any, table: str, name: str = "noon", **changes: Any) -> None:
    request = {
        "Schedule": "cron(0 12 * * ? *)",
        "ScalableTargetAction": {"MinCapacity": 10, "MaxCapacity": 40},
        **changes,
    }
    request = {name: value for name, value in request.items() if value is not None}
    scaling.put_scheduled_action(**of(table), ScheduledActionName=name, **request)


def actions_of(scaling: Any, table: str, **more: Any) -> list[Any]:
    answer = scaling.describe_scheduled_actions(
        ServiceNamespace="dynamodb", ResourceId=f"table/{table}", **more
    )
    return list(answer["ScheduledActions"])


def test_a_scheduled_action_reads_back_and_is_changed(scaling: Any, table: str) -> None:
    register(scaling, table)
    start = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    end = datetime.datetime(2031, 1, 1, tzinfo=datetime.UTC)
    put_action(scaling, table, Timezone="Europe/Berlin", StartTime=start, EndTime=end)
    put_action(scaling, table, "other", Schedule="rate(5 minutes)")
    (found,) = actions_of(scaling, table, ScheduledActionNames=["noon"])
    assert (found["StartTime"], found["EndTime"]) == (start, end)
    assert found["Timezone"] == "Europe/Berlin"
    assert found["ScalableTargetAction"] == {"MinCapacity": 10, "MaxCapacity": 40}
    assert found["ScheduledActionARN"].endswith(f"resource/dynamodb/table/{table}:scheduledActionName/noon")
    put_action(scaling, table, Schedule="rate(1 day)", ScalableTargetAction=None)
    (again,) = actions_of(scaling, table, ScheduledActionNames=["noon"])
    assert again["Schedule"] == "rate(1 day)" and "StartTime" not in again
    assert again["ScalableTargetAction"] == found["ScalableTargetAction"]
    assert again["ScheduledActionARN"] == found["ScheduledActionARN"]
    assert [action["ScheduledActionName"] for action in actions_of(scaling, table)] == ["noon", "other"]
    scaling.delete_scheduled_action(**of(table), ScheduledActionName="noon")
    assert [action["ScheduledActionName"] for action in actions_of(scaling, table)] == ["other"]
    refused = error(scaling.delete_scheduled_action, **of(table), ScheduledActionName="noon")
    assert refused == ("ObjectNotFoundException", Containing("No scheduled action found"))


@pytest.mark.parametrize(
    "changes",
    [
        {"Schedule": "every day"},
        {"Schedule": "cron(0 12 * * *)"},
        {"Schedule": "cron(0 12 1 * 1 *)"},
        {"Schedule": "rate(1 minutes)"},
        {"Schedule": "at(2030-13-01T00:00:00)"},
        {"Timezone": "Nowhere/Land"},
        {"ScalableTargetAction": None},
        {"ScalableTargetAction": {}},
        {"ScalableTargetAction": {"MinCapacity": 5, "MaxCapacity": 1}},
        {"StartTime": 2_000_000_000, "EndTime": 1_900_000_000},
        {"EndTime": -1},
    ],
    ids=str,
)
def test_refused_scheduled_actions(scaling: Any, table: str, changes: dict[str, Any]) -> None:
    register(scaling, table)
    assert error(put_action, scaling=scaling, table=table, **changes) == invalid(ANY_TEXT)
    assert actions_of(scaling, table) == []


def test_no_action_without_a_target(scaling: Any, table: str) -> None:
    refused = error(put_action, scaling=scaling, table=table)
    assert refused == ("ObjectNotFoundException", Containing("No scalable target registered"))


# Tags.


def test_tags(scaling: Any, table: str) -> None:
    arn = register(scaling, table, Tags={"a": "1"})
    scaling.tag_resource(ResourceARN=arn, Tags={"b": "2", "a": "3"})
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"a": "3", "b": "2"}
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a", "c"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2"}
    many = {f"k{number}": "v" for number in range(50)}
    assert error(scaling.tag_resource, ResourceARN=arn, Tags=many)[0] == "TooManyTagsException"
    gone = arn[:-1] + ("0" if arn[-1] != "0" else "1")
    for call, more in (
        (scaling.list_tags_for_resource, {}),
        (scaling.tag_resource, {"Tags": {"a": "b"}}),
        (scaling.untag_resource, {"TagKeys": ["a"]}),
    ):
        assert error(call, ResourceARN=gone, **more)[0] == "ResourceNotFoundException"


# The wire.


def test_bodies_and_content_types_are_json_1_1(raw: Raw) -> None:
    def post(operation: str, body: Any) -> Reply:
        target = f"AnyScaleFrontendService.{operation}"
        return raw.post(operation, body, x_amz_target=target, content_type="application/x-amz-json-1.1")

    reply = post("DescribeScalableTargets", {"ServiceNamespace": "kafka"})
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/x-amz-json-1.1"
    assert set(reply.json) == {"__type", "message"}
    assert reply.json["__type"] == "ValidationException"
    unknown = post("Nonsense", {})
    assert unknown.status == 400 and b"UnknownOperationException" in unknown.body
    # The content type alone makes no call of a request for the other service.
    assert raw.post("ListTables", {}, content_type="application/x-amz-json-1.1").status == 404
    wrong = raw.post("x", {}, x_amz_target="AnyScaleFrontendService.DescribeScalableTargets")
    assert b"UnknownOperationException" in wrong.body
