"""The DAX API as boto3 sees it: parameter groups and what they set, subnet groups, tags, events."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.clocked import Clocked
from tests.conformance.conftest import make_client
from tests.conformance.dax_support import Fleet, create, messages, served
from tests.conformance.support import error


@pytest.fixture
def server() -> Iterator[Clocked]:
    with served() as running:
        yield running


@pytest.fixture
def fleet(server: Clocked) -> Fleet:
    return Fleet(server)


@pytest.fixture
def dax(server: Clocked) -> Iterator[Any]:
    made = make_client(server.endpoint, "dax")
    yield made
    made.close()


@pytest.fixture(scope="module")
def refusing() -> Iterator[Any]:
    """A client of a server on which nothing is ever made."""
    with served() as running:
        made = make_client(running.endpoint, "dax")
        yield made
        made.close()


# Parameter groups.


def test_parameter_groups_set_the_times_to_live(dax: Any, fleet: Fleet) -> None:
    assert dax.create_parameter_group(ParameterGroupName="Mine", Description="d")["ParameterGroup"] == {
        "ParameterGroupName": "mine",
        "Description": "d",
    }
    create(dax, ParameterGroupName="mine")
    assert fleet.ttls("cache") == (300_000, 300_000)
    given = [
        {"ParameterName": "record-ttl-millis", "ParameterValue": "1000"},
        {"ParameterName": "query-ttl-millis", "ParameterValue": "0"},
    ]
    reply = dax.update_parameter_group(ParameterGroupName="mine", ParameterNameValues=given)
    assert reply["ParameterGroup"]["ParameterGroupName"] == "mine"
    assert fleet.ttls("cache") == (1_000, 0)
    values = {
        each["ParameterName"]: each["ParameterValue"]
        for each in dax.describe_parameters(ParameterGroupName="mine")["Parameters"]
    }
    assert values == {"record-ttl-millis": "1000", "query-ttl-millis": "0"}
    fleet.obey()
    dax.update_cluster(ClusterName="cache", ParameterGroupName="default.dax1.0")
    assert fleet.ttls("cache") == (300_000, 300_000)
    assert messages(dax, SourceType="PARAMETER_GROUP") == [
        "Parameter group updated.",
        "Parameter group created.",
    ]


def test_parameters_read_as_those_of_the_service(refusing: Any) -> None:
    found = refusing.describe_default_parameters()["Parameters"]
    assert found[0] == {
        "ParameterName": "query-ttl-millis",
        "ParameterType": "DEFAULT",
        "ParameterValue": "300000",
        "NodeTypeSpecificValues": [],
        "Description": "Duration in milliseconds for queries to remain cached",
        "Source": "user",
        "DataType": "integer",
        "AllowedValues": "0-",
        "IsModifiable": "TRUE",
        "ChangeType": "IMMEDIATE",
    }
    assert [each["ParameterName"] for each in found] == ["query-ttl-millis", "record-ttl-millis"]
    assert refusing.describe_parameters(ParameterGroupName="default.dax1.0")["Parameters"] == found
    of_system = refusing.describe_parameters(ParameterGroupName="default.dax1.0", Source="system")
    assert of_system["Parameters"] == []


def test_refused_parameter_groups(dax: Any, fleet: Fleet) -> None:
    def update(name: str, value: str, group: str = "mine") -> tuple[str, str]:
        given = [{"ParameterName": name, "ParameterValue": value}]
        return error(dax.update_parameter_group, ParameterGroupName=group, ParameterNameValues=given)

    dax.create_parameter_group(ParameterGroupName="mine")
    again = error(dax.create_parameter_group, ParameterGroupName="mine")
    assert again[0] == "ParameterGroupAlreadyExistsFault"
    assert error(dax.create_parameter_group, ParameterGroupName="default.dax1.0")[0] == again[0]
    assert error(dax.create_parameter_group, ParameterGroupName="a b")[0] == "InvalidParameterValueException"
    assert update("nonsense", "1")[0] == "InvalidParameterValueException"
    for value in ("-1", "", "1.5", "x", "9" * 20, "\u0661"):
        assert update("record-ttl-millis", value)[0] == "InvalidParameterValueException", value
    assert update("record-ttl-millis", "1", "default.dax1.0")[0] == "InvalidParameterGroupStateFault"
    assert update("record-ttl-millis", "1", "none")[0] == "ParameterGroupNotFoundFault"
    assert error(dax.describe_parameters, ParameterGroupName="none")[0] == "ParameterGroupNotFoundFault"
    assert (
        error(dax.describe_parameter_groups, ParameterGroupNames=["none"])[0] == "ParameterGroupNotFoundFault"
    )
    create(dax, ParameterGroupName="mine")
    in_use = error(dax.delete_parameter_group, ParameterGroupName="mine")
    assert in_use == ("InvalidParameterGroupStateFault", "Parameter group mine is in use by cache.")
    assert error(dax.delete_parameter_group, ParameterGroupName="default.dax1.0")[0] == in_use[0]
    dax.delete_cluster(ClusterName="cache")
    fleet.obey()
    deleted = dax.delete_parameter_group(ParameterGroupName="mine")
    assert deleted["DeletionMessage"] == "Parameter group mine has been deleted."
    gone = error(dax.delete_parameter_group, ParameterGroupName="mine")
    assert gone == ("ParameterGroupNotFoundFault", "Parameter group mine not found.")


def test_parameter_groups_are_limited(dax: Any) -> None:
    for number in range(20):
        dax.create_parameter_group(ParameterGroupName=f"g{number}")
    refused = error(dax.create_parameter_group, ParameterGroupName="g20")
    assert refused[0] == "ParameterGroupQuotaExceededFault"


# Subnet groups.


def test_subnet_groups(dax: Any, fleet: Fleet) -> None:
    made = dax.create_subnet_group(
        SubnetGroupName="Nets", Description="d", SubnetIds=["subnet-1", "subnet-2"]
    )["SubnetGroup"]
    assert made["SubnetGroupName"] == "nets" and made["VpcId"].startswith("vpc-")
    assert [subnet["SubnetIdentifier"] for subnet in made["Subnets"]] == ["subnet-1", "subnet-2"]
    assert error(dax.create_subnet_group, SubnetGroupName="nets", SubnetIds=["subnet-1"])[0] == (
        "SubnetGroupAlreadyExistsFault"
    )
    assert create(dax, SubnetGroupName="nets")["SubnetGroup"] == "nets"
    reply = dax.update_subnet_group(SubnetGroupName="nets", SubnetIds=["subnet-3"])["SubnetGroup"]
    assert [subnet["SubnetIdentifier"] for subnet in reply["Subnets"]] == ["subnet-3"]
    assert reply["Description"] == "d"
    found = dax.describe_subnet_groups()["SubnetGroups"]
    assert [group["SubnetGroupName"] for group in found] == ["default", "nets"] and found[1] == reply
    in_use = error(dax.delete_subnet_group, SubnetGroupName="nets")
    assert in_use == ("SubnetGroupInUseFault", "Subnet group nets is in use by cache.")
    dax.delete_cluster(ClusterName="cache")
    fleet.obey()
    deleted = dax.delete_subnet_group(SubnetGroupName="nets")
    assert deleted["DeletionMessage"] == "Subnet group nets has been deleted."
    missing = {
        dax.delete_subnet_group: {"SubnetGroupName": "nets"},
        dax.update_subnet_group: {"SubnetGroupName": "nets"},
        dax.describe_subnet_groups: {"SubnetGroupNames": ["nets"]},
    }
    for call, request in missing.items():
        assert error(call, **request) == ("SubnetGroupNotFoundFault", "Subnet group nets not found.")
    assert error(dax.delete_subnet_group, SubnetGroupName="default")[0] == "SubnetGroupInUseFault"
    assert error(dax.update_subnet_group, SubnetGroupName="default")[0] == "InvalidParameterValueException"


@pytest.mark.parametrize(
    ("subnets", "refusal"),
    [
        ([], "InvalidSubnet"),
        (["net-1"], "InvalidSubnet"),
        (["subnet-1", "subnet-1"], "InvalidSubnet"),
        ([f"subnet-{number}" for number in range(21)], "SubnetQuotaExceededFault"),
    ],
)
def test_refused_subnets(refusing: Any, subnets: list[str], refusal: str) -> None:
    assert error(refusing.create_subnet_group, SubnetGroupName="n", SubnetIds=subnets)[0] == refusal


# Tags.


def test_tags(dax: Any, fleet: Fleet) -> None:
    arn = create(dax, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])["ClusterArn"]
    first = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    assert dax.list_tags(ResourceName=arn)["Tags"] == first
    added = dax.tag_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "c", "Value": "3"}])
    assert added["Tags"] == [{"Key": "a", "Value": "2"}, first[1], {"Key": "c", "Value": "3"}]
    left = dax.untag_resource(ResourceName=arn, TagKeys=["a", "b"])["Tags"]
    assert left == [{"Key": "c", "Value": "3"}] == dax.list_tags(ResourceName=arn)["Tags"]
    refused = error(dax.untag_resource, ResourceName=arn, TagKeys=["c", "z"])
    assert refused == ("TagNotFoundFault", "Tag z not found.")
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(50)]
    assert error(dax.tag_resource, ResourceName=arn, Tags=many)[0] == "TagQuotaPerResourceExceeded"
    assert dax.list_tags(ResourceName=arn)["Tags"] == left
    assert error(dax.list_tags, ResourceName="cache")[0] == "InvalidARNFault"
    assert error(dax.list_tags, ResourceName=f"{arn}x")[0] == "ClusterNotFoundFault"
    elsewhere = arn.replace("us-east-1", "eu-west-1")
    assert error(dax.list_tags, ResourceName=elsewhere)[0] == "ClusterNotFoundFault"
    fleet.obey()
    dax.delete_cluster(ClusterName="cache")
    assert error(dax.tag_resource, ResourceName=arn, Tags=[])[0] == "InvalidClusterStateFault"


# Events.


def test_events_come_in_pages_while_new_ones_come(dax: Any) -> None:
    for number in range(20):
        dax.create_parameter_group(ParameterGroupName=f"g{number}")
    for _ in range(2):
        given = [{"ParameterName": "query-ttl-millis", "ParameterValue": "1"}]
        dax.update_parameter_group(ParameterGroupName="g0", ParameterNameValues=given)
    first = dax.describe_events(MaxResults=20)
    assert [event["Message"] for event in first["Events"][:2]] == ["Parameter group updated."] * 2
    assert first["Events"][2]["SourceName"] == "g19"
    dax.delete_parameter_group(ParameterGroupName="g7")
    second = dax.describe_events(MaxResults=20, NextToken=first["NextToken"])
    assert [event["SourceName"] for event in second["Events"]] == ["g1", "g0"]
    assert "NextToken" not in second


def test_events_of_a_time(dax: Any, server: Clocked) -> None:
    def at(hours: float) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(started + hours * 3600, datetime.UTC)

    started = server.clock.wall_ms() / 1000
    for name in ("one", "two", "three"):
        dax.create_parameter_group(ParameterGroupName=name)
        server.clock.advance(12 * 3600.0)

    def names(**filters: Any) -> list[str]:
        return [event["SourceName"] for event in dax.describe_events(**filters)["Events"]]

    server.clock.advance(60.0)
    assert names() == ["three"], "a day when nothing is said, 36 hours and a minute after the first"
    assert names(Duration=36 * 60) == ["three", "two"]
    assert names(StartTime=at(-1)) == ["three", "two", "one"]
    assert names(StartTime=at(-1), Duration=120) == ["one"]
    assert names(StartTime=at(1), EndTime=at(13)) == ["two"]
    assert names(EndTime=at(13), Duration=60 * 24) == ["two", "one"]
    assert names(StartTime=at(-1), SourceName="two") == ["two"]
    assert names(StartTime=at(-1), SourceType="CLUSTER") == []
    wrong = error(dax.describe_events, StartTime=at(2), EndTime=at(1))
    assert wrong[0] == "InvalidParameterCombinationException"
    all_three = error(dax.describe_events, StartTime=at(1), EndTime=at(2), Duration=5)
    assert all_three[0] == "InvalidParameterCombinationException"
    assert error(dax.describe_events, Duration=0)[0] == "InvalidParameterValueException"
    server.clock.advance(14 * 86_400.0)
    dax.create_parameter_group(ParameterGroupName="late")
    assert names(StartTime=at(-1)) == ["late"], "events are kept for 14 days"
