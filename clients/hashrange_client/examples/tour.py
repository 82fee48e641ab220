"""A tour through every supported operation with plain boto3, checking each answer as it goes.

    hashrange serve --in-memory &
    python -m hashrange_client.examples.tour --endpoint http://127.0.0.1:8000

It makes one table, `HashrangeTour`, and removes it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError

TABLE = "HashrangeTour"
KEY = {"pk": {"S": "p"}, "sk": {"N": "0"}}
ALL_TYPES: dict[str, Any] = {
    "s": {"S": "ä"},
    "n": {"N": "12345678901234567890123456789012345678"},
    "b": {"B": b"\0\1"},
    "bo": {"BOOL": True},
    "nu": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": [b"a", b"b"]},
    "li": {"L": [{"S": "x"}, {"L": []}]},
    "m": {"M": {"k": {"M": {}}}},
}
DEADLINE_S = 30.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the tour fails if it does not come about."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the expected state did not come about")
        time.sleep(0.02)


def refused(call: Callable[..., Any], **request: Any) -> dict[str, Any]:
    """The error answer of a call that must fail."""
    try:
        call(**request)
    except ClientError as error:
        return dict(error.response)
    raise AssertionError(f"{request} was accepted")


def keys(hash_name: str, range_name: str) -> list[dict[str, str]]:
    """A KeySchema."""
    return [
        {"AttributeName": hash_name, "KeyType": "HASH"},
        {"AttributeName": range_name, "KeyType": "RANGE"},
    ]


def create(client: Any) -> None:
    """A table with a local and a global index, tags and stream settings."""
    if TABLE in client.list_tables()["TableNames"]:
        client.delete_table(TableName=TABLE)
        client.get_waiter("table_not_exists").wait(TableName=TABLE)
    types = {"pk": "S", "sk": "N", "l": "S", "g": "S"}
    client.create_table(
        TableName=TABLE,
        KeySchema=keys("pk", "sk"),
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in types.items()],
        LocalSecondaryIndexes=[
            {
                "IndexName": "local",
                "KeySchema": keys("pk", "l"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "global",
                "KeySchema": keys("g", "l"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "a", "Value": "b"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    client.get_waiter("table_exists").wait(TableName=TABLE)


def write(client: Any) -> None:
    """PutItem with all ten types, BatchWriteItem, UpdateItem, conditions, legacy parameters."""
    client.put_item(TableName=TABLE, Item={**KEY, "l": {"S": "l0"}, "g": {"S": "G"}, **ALL_TYPES})
    got = client.get_item(TableName=TABLE, Key=KEY, ConsistentRead=True)["Item"]
    assert all(got[name] == value for name, value in ALL_TYPES.items()), got
    puts = [
        {"pk": {"S": "p"}, "sk": {"N": str(i)}, "l": {"S": f"l{50 - i}"}, "g": {"S": "G"}, "n": {"N": str(i)}}
        for i in range(1, 26)
    ]
    client.batch_write_item(
        RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in puts]},
        ReturnItemCollectionMetrics="SIZE",
        ReturnConsumedCapacity="INDEXES",
    )
    updated = client.update_item(
        TableName=TABLE,
        Key=KEY,
        UpdateExpression="SET li = list_append(li, :l), q = if_not_exists(q, :zero) + :one "
        "REMOVE m.k ADD ns :ns DELETE ss :ss",
        ConditionExpression="size(li) = :two AND contains(ss, :a)",
        ExpressionAttributeValues={
            ":l": {"L": [{"N": "7"}]},
            ":zero": {"N": "0"},
            ":one": {"N": "1"},
            ":two": {"N": "2"},
            ":ns": {"NS": ["9"]},
            ":ss": {"SS": ["a"]},
            ":a": {"S": "a"},
        },
        ReturnValues="ALL_NEW",
    )["Attributes"]
    assert updated["ss"] == {"SS": ["b"]} and updated["q"] == {"N": "1"} and len(updated["li"]["L"]) == 3
    failure = refused(
        client.put_item,
        TableName=TABLE,
        Item=KEY,
        ConditionExpression="attribute_not_exists(pk)",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    assert failure["Error"]["Code"] == "ConditionalCheckFailedException" and failure["Item"]["q"] == {
        "N": "1"
    }
    client.update_item(
        TableName=TABLE,
        Key={"pk": {"S": "p"}, "sk": {"N": "1"}},
        AttributeUpdates={"z": {"Action": "ADD", "Value": {"N": "5"}}},
        Expected={"n": {"ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1"}]}},
    )


def query(client: Any, count: int, **request: Any) -> list[dict[str, Any]]:
    """A Query that must find so many items."""
    answer = client.query(TableName=TABLE, **request)
    assert answer["Count"] == count, answer
    return list(answer["Items"])


def read(client: Any) -> None:
    """Query on table and indexes, parallel Scan with paging, BatchGetItem, legacy conditions, DeleteItem."""
    p, g = {":p": {"S": "p"}}, {":g": {"S": "G"}}
    query(
        client,
        6,
        KeyConditionExpression="pk = :p AND sk BETWEEN :a AND :b",
        FilterExpression="n <> :x AND attribute_exists(#l)",
        ExpressionAttributeNames={"#l": "l"},
        ExpressionAttributeValues={**p, ":a": {"N": "3"}, ":b": {"N": "9"}, ":x": {"N": "5"}},
        ScanIndexForward=False,
    )
    whole = query(
        client,
        10,
        IndexName="local",
        KeyConditionExpression="pk = :p AND begins_with(l, :l)",
        ExpressionAttributeValues={**p, ":l": {"S": "l4"}},
        Select="ALL_ATTRIBUTES",
        ConsistentRead=True,
    )
    assert "n" in whole[0]
    by_group = {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": g}
    until(lambda: client.query(TableName=TABLE, IndexName="global", **by_group)["Count"] == 26)
    pages = client.get_paginator("scan")
    found = 0
    for segment in range(4):
        parts = pages.paginate(
            TableName=TABLE, Segment=segment, TotalSegments=4, PaginationConfig={"PageSize": 3}
        )
        found += sum(page["Count"] for page in parts)
    assert found == 26
    equal = {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "p"}]}
    more = {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "3"}]}
    query(client, 23, KeyConditions={"pk": equal}, QueryFilter={"n": more})
    one_of = {"ComparisonOperator": "IN", "AttributeValueList": [{"N": "3"}, {"N": "4"}]}
    assert client.scan(TableName=TABLE, ScanFilter={"n": one_of}, AttributesToGet=["n"])["Count"] == 2
    wanted = [{"pk": {"S": "p"}, "sk": {"N": str(i)}} for i in range(30)]
    batch = client.batch_get_item(RequestItems={TABLE: {"Keys": wanted, "ProjectionExpression": "n, li[0]"}})
    assert len(batch["Responses"][TABLE]) == 26
    deleted = client.delete_item(
        TableName=TABLE, Key={"pk": {"S": "p"}, "sk": {"N": "25"}}, ReturnValues="ALL_OLD"
    )
    assert deleted["Attributes"]["n"] == {"N": "25"}


def describe(client: Any) -> dict[str, Any]:
    """The table's description."""
    return dict(client.describe_table(TableName=TABLE)["Table"])


def change(client: Any) -> None:
    """Tags, time to live, an index added and removed, billing, protection, and what merely describes."""
    arn = describe(client)["TableArn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "x", "Value": "y"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "x", "Value": "y"}]
    client.update_time_to_live(
        TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )
    status = client.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]
    assert status["TimeToLiveStatus"] == "ENABLED"
    expired = {"pk": {"S": "gone"}, "sk": {"N": "1"}}
    client.put_item(TableName=TABLE, Item={**expired, "ttl": {"N": str(int(time.time()) - 10)}})
    index = {"IndexName": "added", "KeySchema": keys("g", "n"), "Projection": {"ProjectionType": "ALL"}}
    client.update_table(
        TableName=TABLE,
        AttributeDefinitions=[
            {"AttributeName": "g", "AttributeType": "S"},
            {"AttributeName": "n", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )
    until(lambda: all(i["IndexStatus"] == "ACTIVE" for i in describe(client)["GlobalSecondaryIndexes"]))
    query(
        client,
        4,
        IndexName="added",
        KeyConditionExpression="g = :g AND n BETWEEN :a AND :b",
        ExpressionAttributeValues={":g": {"S": "G"}, ":a": {"N": "21"}, ":b": {"N": "24"}},
    )
    client.update_table(TableName=TABLE, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "added"}}])
    until(lambda: len(describe(client)["GlobalSecondaryIndexes"]) == 1)
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    client.update_table(
        TableName=TABLE,
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units,
        GlobalSecondaryIndexUpdates=[{"Update": {"IndexName": "global", "ProvisionedThroughput": units}}],
    )
    client.describe_limits()
    client.describe_endpoints()
    client.describe_continuous_backups(TableName=TABLE)
    client.describe_contributor_insights(TableName=TABLE)
    client.describe_kinesis_streaming_destination(TableName=TABLE)
    until(lambda: "Item" not in client.get_item(TableName=TABLE, Key=expired, ConsistentRead=True))


def remove(client: Any) -> None:
    """Deletion protection, DeleteTable, and an operation that is not there."""
    client.update_table(TableName=TABLE, DeletionProtectionEnabled=True)
    print("  ", refused(client.delete_table, TableName=TABLE)["Error"]["Message"])
    client.update_table(TableName=TABLE, DeletionProtectionEnabled=False)
    client.delete_table(TableName=TABLE)
    client.get_waiter("table_not_exists").wait(TableName=TABLE)


def main() -> int:
    """Run the tour."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="http://127.0.0.1:8000")
    arguments = parser.parse_args()
    client: Any = boto3.client(
        "dynamodb",
        endpoint_url=arguments.endpoint,
        region_name="us-east-1",
        aws_access_key_id="hashrange",
        aws_secret_access_key="hashrange",
    )
    used: set[str] = set()
    client.meta.events.register("before-call.dynamodb", lambda model, **_: used.add(model.name))
    for step in (create, write, read, change, remove):
        step(client)
        print(f"{step.__name__}: right")
    print(f"{len(used)} operations: {', '.join(sorted(used))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
