"""UpdateTable: throughput, billing mode, protection, class, stream settings, global indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import (
    Containing,
    all_items,
    definitions,
    error,
    index,
    n,
    not_found,
    put_all,
    s,
    table,
    table_parameters,
    unique,
    wait_active,
    wait_until,
)

UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    with table(client, "p/r:N") as made:
        yield made


@pytest.fixture
def provisioned(client: Any) -> Iterator[str]:
    with table(client, "p", ProvisionedThroughput=UNITS) as made:
        yield made


def create(name: str, keys: str, *projection: Any) -> dict[str, Any]:
    """The parameters that add one global index."""
    return {
        "AttributeDefinitions": definitions(keys),
        "GlobalSecondaryIndexUpdates": [{"Create": index(name, keys, *projection)}],
    }


def delete(name: str) -> dict[str, Any]:
    """The parameters that remove one global index."""
    return {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}]}


def test_throughput_up_and_down(client: Any, provisioned: str) -> None:
    more = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 8}
    answer = client.update_table(TableName=provisioned, ProvisionedThroughput=more)["TableDescription"]
    assert answer["TableStatus"] == "UPDATING"
    found = wait_active(client, provisioned)["ProvisionedThroughput"]
    assert (found["ReadCapacityUnits"], found["WriteCapacityUnits"]) == (7, 8)
    assert found["NumberOfDecreasesToday"] == 0
    assert "LastIncreaseDateTime" in found
    client.update_table(TableName=provisioned, ProvisionedThroughput=UNITS)
    found = wait_active(client, provisioned)["ProvisionedThroughput"]
    assert (found["ReadCapacityUnits"], found["NumberOfDecreasesToday"]) == (5, 1)
    assert "LastDecreaseDateTime" in found


def test_unchanged_throughput(client: Any, provisioned: str) -> None:
    refused = error(client.update_table, TableName=provisioned, ProvisionedThroughput=UNITS)
    assert refused == (
        "ValidationException",
        Containing(
            "The provisioned throughput for the table will not change. The requested value equals "
            "the current value. "
        ),
    )


def test_billing_modes(client: Any, provisioned: str) -> None:
    client.update_table(TableName=provisioned, BillingMode="PAY_PER_REQUEST")
    found = wait_active(client, provisioned)
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "LastUpdateToPayPerRequestDateTime" in found["BillingModeSummary"]
    assert found["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    client.update_table(TableName=provisioned, BillingMode="PAY_PER_REQUEST")
    wait_active(client, provisioned)
    client.update_table(TableName=provisioned, BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    found = wait_active(client, provisioned)
    assert found["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    assert found["BillingModeSummary"]["BillingMode"] == "PROVISIONED"


def test_bad_billing_changes(client: Any, name: str) -> None:
    assert error(client.update_table, TableName=name, BillingMode="PROVISIONED")[0] == "ValidationException"
    assert error(client.update_table, TableName=name, ProvisionedThroughput=UNITS)[0] == "ValidationException"
    refused = error(
        client.update_table, TableName=name, BillingMode="PAY_PER_REQUEST", ProvisionedThroughput=UNITS
    )
    assert refused == ("ValidationException", Containing("BillingMode is PAY_PER_REQUEST"))


def test_nothing_to_change(client: Any, name: str) -> None:
    refused = error(client.update_table, TableName=name)
    assert refused[0] == "ValidationException"


def test_a_missing_table(client: Any) -> None:
    name = unique()
    refused = error(client.update_table, TableName=name, BillingMode="PAY_PER_REQUEST")
    assert refused == not_found(f"Requested resource not found: Table: {name} not found")


def test_protection(client: Any, name: str) -> None:
    client.update_table(TableName=name, DeletionProtectionEnabled=True)
    assert wait_active(client, name)["DeletionProtectionEnabled"] is True
    assert error(client.delete_table, TableName=name)[0] == "ValidationException"
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    assert wait_active(client, name)["DeletionProtectionEnabled"] is False


def test_class(client: Any, name: str) -> None:
    client.update_table(TableName=name, TableClass="STANDARD_INFREQUENT_ACCESS")
    found = wait_active(client, name)["TableClassSummary"]
    assert found["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert "LastUpdateDateTime" in found


def test_stream_settings(client: Any, name: str) -> None:
    on = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    client.update_table(TableName=name, StreamSpecification=on)
    found = wait_active(client, name)
    assert found["StreamSpecification"] == on
    assert found["LatestStreamArn"] == f"{found['TableArn']}/stream/{found['LatestStreamLabel']}"
    assert len(found["LatestStreamLabel"]) == len("2026-01-01T00:00:00.000")
    assert error(client.update_table, TableName=name, StreamSpecification=on)[0] == "ValidationException"
    other = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    assert error(client.update_table, TableName=name, StreamSpecification=other)[0] == "ValidationException"
    client.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    assert "StreamSpecification" not in wait_active(client, name)
    refused = error(client.update_table, TableName=name, StreamSpecification={"StreamEnabled": False})
    assert refused[0] == "ValidationException"


def test_streams_at_creation(client: Any) -> None:
    specification = {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"}
    with table(client, "p", StreamSpecification=specification) as made:
        found = client.describe_table(TableName=made)["Table"]
        assert found["StreamSpecification"] == specification
        assert found["LatestStreamArn"].startswith(found["TableArn"] + "/stream/")


def query(client: Any, name: str, index_name: str, key: str, value: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of one key of an index."""
    return all_items(
        client.query,
        TableName=name,
        IndexName=index_name,
        KeyConditionExpression="#k = :v",
        ExpressionAttributeNames={"#k": key},
        ExpressionAttributeValues={":v": value},
    )


def test_an_index_is_backfilled(client: Any, name: str) -> None:
    items = [{"p": s(f"k{i % 7}"), "r": n(i), "g": s("even" if i % 2 == 0 else "odd")} for i in range(60)]
    put_all(client, name, items)
    client.put_item(TableName=name, Item={"p": s("sparse"), "r": n(0)})
    answer = client.update_table(TableName=name, **create("by_g", "g/r:N"))["TableDescription"]
    assert answer["TableStatus"] == "UPDATING"
    (creating,) = answer["GlobalSecondaryIndexes"]
    assert creating["IndexStatus"] == "CREATING"
    (found,) = wait_active(client, name)["GlobalSecondaryIndexes"]
    assert found["IndexName"] == "by_g"
    assert "Backfilling" not in found or found["Backfilling"] is False
    assert len(client.describe_table(TableName=name)["Table"]["AttributeDefinitions"]) == 3
    numbers = [int(item["r"]["N"]) for item in query(client, name, "by_g", "g", s("even"))]
    assert numbers == list(range(0, 60, 2))
    client.put_item(TableName=name, Item={"p": s("new"), "r": n(100), "g": s("even")})
    wait_until(lambda: len(query(client, name, "by_g", "g", s("even"))) == 31, "a write after the backfill")


def test_writes_during_a_backfill_are_not_lost(client: Any, name: str) -> None:
    put_all(client, name, [{"p": s(f"k{i}"), "r": n(0), "g": s("old")} for i in range(200)])
    client.update_table(TableName=name, **create("by_g", "g"))
    for i in range(0, 200, 10):
        client.put_item(TableName=name, Item={"p": s(f"k{i}"), "r": n(0), "g": s("new")})
    for i in range(5, 200, 20):
        client.delete_item(TableName=name, Key={"p": s(f"k{i}"), "r": n(0)})
    wait_active(client, name)
    wait_until(
        lambda: (
            len(query(client, name, "by_g", "g", s("old"))) == 200 - 20 - 10
            and len(query(client, name, "by_g", "g", s("new"))) == 20
        ),
        "the index agrees with the table",
    )


def test_backfill_skips_what_cannot_be_a_key(client: Any, name: str) -> None:
    partition = s("mixed")
    values = [n(1), {"BOOL": True}, s(""), {"L": []}, s("x" * 2049), s("good"), {"NULL": True}]
    for i, value in enumerate(values):
        client.put_item(TableName=name, Item={"p": partition, "r": n(i), "g": value})
    client.update_table(TableName=name, **create("by_g", "g"))
    wait_active(client, name)
    found = wait_until(lambda: client.scan(TableName=name, IndexName="by_g")["Items"], "the one good entry")
    assert found == [{"p": partition, "r": n(5), "g": s("good")}]


def test_an_index_is_deleted(client: Any) -> None:
    with table(client, "p", gsi=(("one", "g"), ("two", "h"))) as made:
        client.put_item(TableName=made, Item={"p": s("x"), "g": s("g"), "h": s("h")})
        client.update_table(TableName=made, **delete("one"))
        wait_until(
            lambda: [g["IndexName"] for g in wait_active(client, made)["GlobalSecondaryIndexes"]] == ["two"],
            "one index left",
        )
        refused = error(client.scan, TableName=made, IndexName="one")
        assert refused == ("ValidationException", "The table does not have the specified index: one")
        client.update_table(TableName=made, **delete("two"))
        wait_until(lambda: "GlobalSecondaryIndexes" not in wait_active(client, made), "no index left")
        # An index of the same name is a new one.
        client.update_table(TableName=made, **create("one", "g"))
        wait_active(client, made)
        assert (
            len(wait_until(lambda: client.scan(TableName=made, IndexName="one")["Items"], "backfilled")) == 1
        )


@pytest.mark.parametrize(
    ("update", "code"),
    [
        (delete("nowhere"), "ResourceNotFoundException"),
        (
            {
                "GlobalSecondaryIndexUpdates": [
                    {"Update": {"IndexName": "nowhere", "ProvisionedThroughput": UNITS}}
                ]
            },
            "ResourceNotFoundException",
        ),
        ({"GlobalSecondaryIndexUpdates": []}, "ValidationException"),
        ({"GlobalSecondaryIndexUpdates": [{}]}, "ValidationException"),
        ({"GlobalSecondaryIndexUpdates": [{"Create": index("by_g", "g")}]}, "ValidationException"),
        ({**create("by_g", "g", "INCLUDE")}, "ValidationException"),
        ({**create("by_g", "g", "KEYS_ONLY", ["x"])}, "ValidationException"),
    ],
)
def test_refused_index_changes(client: Any, name: str, update: dict[str, Any], code: str) -> None:
    assert error(client.update_table, TableName=name, **update)[0] == code
    assert "GlobalSecondaryIndexes" not in client.describe_table(TableName=name)["Table"]


def test_an_index_that_exists(client: Any) -> None:
    with table(client, "p", gsi=(("by_g", "g"),)) as made:
        refused = error(client.update_table, TableName=made, **create("by_g", "h"))
        assert refused[0] == "ValidationException"


def test_one_index_change_at_a_time(client: Any, name: str) -> None:
    both = {
        "AttributeDefinitions": definitions("g,h"),
        "GlobalSecondaryIndexUpdates": [{"Create": index("by_g", "g")}, {"Create": index("by_h", "h")}],
    }
    refused = error(client.update_table, TableName=name, **both)
    assert refused == (
        "LimitExceededException",
        Containing(
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously "
            "per table"
        ),
    )


def test_spurious_definitions_are_ignored(client: Any, name: str) -> None:
    update = create("by_g", "g")
    update["AttributeDefinitions"] += definitions("extra")
    client.update_table(TableName=name, **update)
    found = wait_active(client, name)
    assert {d["AttributeName"] for d in found["AttributeDefinitions"]} == {"p", "r", "g"}


def test_throughput_of_an_index(client: Any) -> None:
    parameters = table_parameters("p", ProvisionedThroughput=UNITS)
    parameters["AttributeDefinitions"] = definitions("p", "g")
    parameters["GlobalSecondaryIndexes"] = [{**index("by_g", "g"), "ProvisionedThroughput": UNITS}]
    name = parameters["TableName"]
    client.create_table(**parameters)
    try:
        wait_active(client, name)
        more = {"ReadCapacityUnits": 9, "WriteCapacityUnits": 9}
        change = [{"Update": {"IndexName": "by_g", "ProvisionedThroughput": more}}]
        client.update_table(TableName=name, GlobalSecondaryIndexUpdates=change)
        (found,) = wait_active(client, name)["GlobalSecondaryIndexes"]
        assert found["ProvisionedThroughput"]["ReadCapacityUnits"] == 9
    finally:
        client.delete_table(TableName=name)
