"""CreateTable, DescribeTable, ListTables, DeleteTable, to the member. Refusals: test_tables_errors.py."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.raw import Raw
from tests.conformance.support import (
    definitions,
    error,
    index,
    key_schema,
    n,
    not_found,
    prefixed,
    put_all,
    s,
    table,
    table_parameters,
    unique,
    wait_active,
    wait_until,
)

PROVISIONED = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4}


@pytest.fixture
def made(client: Any) -> Iterator[list[str]]:
    """Names to delete after the test."""
    names: list[str] = []
    yield names
    for name in names:
        try:
            client.delete_table(TableName=name)
        except ClientError:
            pass


def test_create_on_demand(client: Any, made: list[str]) -> None:
    parameters = table_parameters("p/r:N")
    name = parameters["TableName"]
    made.append(name)
    before = time.time()
    created = client.create_table(**parameters)["TableDescription"]
    assert created["TableStatus"] == "CREATING"
    assert created["TableName"] == name
    assert created["KeySchema"] == parameters["KeySchema"]
    assert sorted(d["AttributeName"] for d in created["AttributeDefinitions"]) == ["p", "r"]
    assert created["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert created["ProvisionedThroughput"] == {
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": 0,
        "WriteCapacityUnits": 0,
    }
    assert (created["ItemCount"], created["TableSizeBytes"]) == (0, 0)
    assert created["TableArn"].startswith("arn:aws:dynamodb:")
    assert created["TableArn"].endswith(":table/" + name)
    assert str(uuid.UUID(created["TableId"])) == created["TableId"]
    assert abs(created["CreationDateTime"].timestamp() - before) < 60
    assert created["DeletionProtectionEnabled"] is False
    assert "WarmThroughput" not in created
    assert_nothing_empty(created)
    described = wait_active(client, name)
    for member in ("TableArn", "TableId", "CreationDateTime", "KeySchema", "DeletionProtectionEnabled"):
        assert described[member] == created[member]
    assert "LastUpdateToPayPerRequestDateTime" in described["BillingModeSummary"]
    warm = described["WarmThroughput"]
    assert warm == {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}


def assert_nothing_empty(description: dict[str, Any]) -> None:
    """Members for what a table does not have are absent, not empty."""
    for member in (
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "StreamSpecification",
        "LatestStreamArn",
        "LatestStreamLabel",
        "TableClassSummary",
        "SSEDescription",
        "Replicas",
        "RestoreSummary",
        "ArchivalSummary",
        "OnDemandThroughput",
    ):
        assert member not in description


def test_create_provisioned(client: Any, made: list[str]) -> None:
    parameters = table_parameters("p", ProvisionedThroughput=PROVISIONED)
    parameters.pop("BillingMode")
    made.append(parameters["TableName"])
    created = client.create_table(**parameters)["TableDescription"]
    assert created["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **PROVISIONED}
    assert "BillingModeSummary" not in created
    described = wait_active(client, parameters["TableName"])
    assert described["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **PROVISIONED}
    assert described["WarmThroughput"]["ReadUnitsPerSecond"] == 3
    assert described["WarmThroughput"]["WriteUnitsPerSecond"] == 4
    assert_nothing_empty(described)


def test_create_with_indexes(client: Any, made: list[str]) -> None:
    parameters = table_parameters(
        "p/r:N",
        gsi=(("every", "g", "ALL"), ("keys", "g/r:N", "KEYS_ONLY"), ("some", "r:N/g", "INCLUDE", ["x", "y"])),
        lsi=(("near", "p/g", "KEYS_ONLY"),),
    )
    name = parameters["TableName"]
    made.append(name)
    created = client.create_table(**parameters)["TableDescription"]
    assert {g["IndexStatus"] for g in created["GlobalSecondaryIndexes"]} == {"CREATING"}
    described = wait_active(client, name)
    by_name = {g["IndexName"]: g for g in described["GlobalSecondaryIndexes"]}
    assert set(by_name) == {"every", "keys", "some"}
    for wanted in parameters["GlobalSecondaryIndexes"]:
        found = by_name[wanted["IndexName"]]
        assert found["KeySchema"] == wanted["KeySchema"]
        assert found["Projection"] == wanted["Projection"]
        assert found["IndexStatus"] == "ACTIVE"
        assert found["IndexArn"] == f"{described['TableArn']}/index/{wanted['IndexName']}"
        assert (found["ItemCount"], found["IndexSizeBytes"]) == (0, 0)
        assert found["ProvisionedThroughput"] == {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": 0,
            "WriteCapacityUnits": 0,
        }
    (near,) = described["LocalSecondaryIndexes"]
    assert near["KeySchema"] == key_schema("p/g")
    assert near["IndexArn"] == f"{described['TableArn']}/index/near"
    assert (near["ItemCount"], near["IndexSizeBytes"]) == (0, 0)
    assert "IndexStatus" not in near
    assert "ProvisionedThroughput" not in near


def test_creation_time_is_a_number_of_seconds(client: Any, raw: Raw) -> None:
    with table(client) as name:
        described = raw.post("DescribeTable", {"TableName": name}).json["Table"]
        assert isinstance(described["CreationDateTime"], int | float)
        assert abs(described["CreationDateTime"] - time.time()) < 600


def test_options_that_are_kept(client: Any, made: list[str]) -> None:
    parameters = table_parameters(
        "p",
        DeletionProtectionEnabled=True,
        TableClass="STANDARD_INFREQUENT_ACCESS",
        Tags=[{"Key": "team", "Value": "blue"}],
    )
    name = parameters["TableName"]
    client.create_table(**parameters)
    try:
        described = wait_active(client, name)
        assert described["DeletionProtectionEnabled"] is True
        assert described["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
        tags = client.list_tags_of_resource(ResourceArn=described["TableArn"])["Tags"]
        assert tags == [{"Key": "team", "Value": "blue"}]
        refused = error(client.delete_table, TableName=name)
        assert refused[0] == "ValidationException"
        assert refused[1].endswith(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    finally:
        client.update_table(TableName=name, DeletionProtectionEnabled=False)
        wait_active(client, name)
        client.delete_table(TableName=name)


def test_requested_throughput_is_kept(client: Any, made: list[str]) -> None:
    warm = {"ReadUnitsPerSecond": 15000, "WriteUnitsPerSecond": 5000}
    most = {"MaxReadRequestUnits": 40, "MaxWriteRequestUnits": 50}
    parameters = table_parameters("p", WarmThroughput=warm, OnDemandThroughput=most)
    made.append(parameters["TableName"])
    created = client.create_table(**parameters)["TableDescription"]
    assert {name: created["WarmThroughput"][name] for name in warm} == warm
    described = wait_active(client, parameters["TableName"])
    assert described["WarmThroughput"] == {**warm, "Status": "ACTIVE"}
    assert described["OnDemandThroughput"] == most


def test_a_duplicate(client: Any) -> None:
    with table(client) as name:
        refused = error(client.create_table, **table_parameters("p", TableName=name))
        assert refused == ("ResourceInUseException", f"Table already exists: {name}")


def test_delete(client: Any) -> None:
    parameters = table_parameters("p/r", gsi=(("by_g", "g"),))
    name = parameters["TableName"]
    client.create_table(**parameters)
    wait_active(client, name)
    deleted = client.delete_table(TableName=name)["TableDescription"]
    assert deleted["TableStatus"] == "DELETING"
    assert deleted["TableName"] == name
    for member in ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "CreationDateTime"):
        assert member not in deleted
    missing = not_found(f"Requested resource not found: Table: {name} not found")
    wait_until(lambda: gone(client, name), "the table is gone")
    assert error(client.describe_table, TableName=name) == missing
    assert error(client.delete_table, TableName=name) == missing
    assert error(client.put_item, TableName=name, Item={"p": s("x"), "r": s("y")}) == not_found()


def gone(client: Any, name: str) -> bool:
    """Whether the table is no longer listed."""
    try:
        client.describe_table(TableName=name)
    except client.exceptions.ResourceNotFoundException:
        return True
    return False


def test_a_new_table_of_the_old_name_is_another(client: Any) -> None:
    name = unique()
    ids = set()
    for _ in range(2):
        with table(client, "p", TableName=name):
            ids.add(client.describe_table(TableName=name)["Table"]["TableId"])
        wait_until(lambda: gone(client, name), "the table is gone")
    assert len(ids) == 2


def test_waiters(client: Any) -> None:
    parameters = table_parameters("p")
    client.create_table(**parameters)
    client.get_waiter("table_exists").wait(TableName=parameters["TableName"], WaiterConfig={"Delay": 1})
    client.delete_table(TableName=parameters["TableName"])
    client.get_waiter("table_not_exists").wait(TableName=parameters["TableName"], WaiterConfig={"Delay": 1})


def test_list_tables(client: Any, made: list[str]) -> None:
    stem = unique("list")
    names = [f"{stem}-{letter}" for letter in "bacd"]
    for name in names:
        made.append(name)
        client.create_table(**table_parameters("p", TableName=name))
    listed = [name for page in listings(client, Limit=3) for name in page["TableNames"]]
    assert listed == sorted(listed)
    assert set(names) <= set(listed)
    after = client.list_tables(ExclusiveStartTableName=f"{stem}-b", Limit=2)
    assert after["TableNames"] == [f"{stem}-c", f"{stem}-d"]
    between = client.list_tables(ExclusiveStartTableName=f"{stem}-bb", Limit=1)
    assert between["TableNames"] == [f"{stem}-c"], "the start name need not exist"
    assert between["LastEvaluatedTableName"] == f"{stem}-c"
    end = client.list_tables(ExclusiveStartTableName="zzzzzzzz-no-such-table")
    assert end["TableNames"] == []
    assert "LastEvaluatedTableName" not in end


def listings(client: Any, **parameters: Any) -> Iterator[dict[str, Any]]:
    """All pages of ListTables."""
    page = client.list_tables(**parameters)
    yield page
    while "LastEvaluatedTableName" in page:
        page = client.list_tables(**parameters, ExclusiveStartTableName=page["LastEvaluatedTableName"])
        yield page


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (
            0,
            "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than "
            "or equal to 1",
        ),
        (
            101,
            "Value '101' at 'limit' failed to satisfy constraint: Member must have value less than "
            "or equal to 100",
        ),
    ],
)
def test_the_limit_of_list_tables(client: Any, limit: int, text: str) -> None:
    assert error(client.list_tables, Limit=limit) == prefixed(text)


def test_item_count_and_size_come_in_time(client: Any) -> None:
    with table(client, "p") as name:
        put_all(client, name, [{"p": s(f"k{i}"), "v": n(i)} for i in range(5)])
        described = client.describe_table(TableName=name)["Table"]
        assert described["ItemCount"] in range(6), "updated about every six hours, or at once"
        assert described["TableSizeBytes"] >= 0


def test_describe_by_arn(client: Any) -> None:
    with table(client) as name:
        arn = client.describe_table(TableName=name)["Table"]["TableArn"]
        assert client.describe_table(TableName=arn)["Table"]["TableName"] == name


def test_limits_and_endpoints(client: Any, endpoint: str) -> None:
    limits = client.describe_limits()
    assert set(limits) >= {
        "AccountMaxReadCapacityUnits",
        "AccountMaxWriteCapacityUnits",
        "TableMaxReadCapacityUnits",
        "TableMaxWriteCapacityUnits",
    }
    (only,) = client.describe_endpoints()["Endpoints"]
    assert only["Address"] == endpoint.removeprefix("http://")
    assert only["CachePeriodInMinutes"] > 0


def test_an_index_per_description(client: Any) -> None:
    """Names of indexes are per table: two tables may use the same."""
    with table(client, "p", gsi=(("same", "g"),)) as left, table(client, "p", gsi=(("same", "h"),)) as right:
        for name, attribute in ((left, "g"), (right, "h")):
            (found,) = client.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]
            assert found["KeySchema"] == key_schema(attribute)


def test_provisioned_indexes(client: Any, made: list[str]) -> None:
    parameters = table_parameters("p", ProvisionedThroughput=PROVISIONED)
    parameters["AttributeDefinitions"] = definitions("p", "g")
    parameters["GlobalSecondaryIndexes"] = [{**index("by_g", "g"), "ProvisionedThroughput": PROVISIONED}]
    made.append(parameters["TableName"])
    client.create_table(**parameters)
    (found,) = wait_active(client, parameters["TableName"])["GlobalSecondaryIndexes"]
    assert found["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **PROVISIONED}
