"""CreateTable: every rule with its exact text, their order, and the TableDescription that is answered."""

from __future__ import annotations

import copy
from itertools import count
from typing import Any

import orjson
import pytest
from hashrange_router.api.tables import create_table
from hashrange_router.api.tables_create import plan_create
from hashrange_router.api.tables_describe import describe_created
from hashrange_router.api.tables_plan import CreateTable

from hashrange.errors import ApiError
from hashrange.model.table_document import HASH_MAX, TableDocument
from tests.unit.table_support import (
    ACCOUNT,
    ARN,
    INVALID,
    NOW,
    REGION,
    SITE,
    TABLE_ID,
    UNITS,
    Tables,
    create,
    definitions,
    index,
    keys,
    refused,
    request,
)


def error(**members: Any) -> tuple[str, str | None]:
    return refused(create, **members)


AB = definitions("a", "b")
RANGE_TABLE: dict[str, Any] = {"AttributeDefinitions": AB, "KeySchema": keys("h:a", "r:b")}
INCLUDE_Q = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["q", "q"]}


def include(prefix: int) -> dict[str, Any]:
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": [f"n{prefix}_{i}" for i in range(20)]}


VALIDATION_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"TableName": None}, "The parameter 'TableName' is required but was not present in the request"),
    (
        {"TableName": "ab"},
        "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: "
        "Member must have length greater than or equal to 3",
    ),
    (
        {"TableName": "abc;", "AttributeDefinitions": None, "KeySchema": None},
        "3 validation errors detected: Value null at 'attributeDefinitions' failed to satisfy constraint: "
        "Member must not be null; Value 'abc;' at 'tableName' failed to satisfy constraint: Member "
        "must satisfy "
        "regular expression pattern: [a-zA-Z0-9_.-]+; Value null at 'keySchema' failed to satisfy "
        "constraint: "
        "Member must not be null",
    ),
    (
        {"KeySchema": keys("h:a", "r:b", "r:c")},
        "1 validation error detected: Value '[KeySchemaElement(attributeName=a, keyType=HASH), "
        "KeySchemaElement(attributeName=b, keyType=RANGE), KeySchemaElement(attributeName=c, "
        "keyType=RANGE)]' at "
        "'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2",
    ),
    # Billing mode and throughput come before the keys.
    (
        {"ProvisionedThroughput": UNITS, "AttributeDefinitions": definitions("z")},
        INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
        "when BillingMode is PAY_PER_REQUEST",
    ),
    (
        {"BillingMode": None, "AttributeDefinitions": definitions("z")},
        INVALID + "ReadCapacityUnits and WriteCapacityUnits must both be specified "
        "when BillingMode is PROVISIONED",
    ),
    (
        {
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": {"ReadCapacityUnits": 10**12 + 1, "WriteCapacityUnits": 10**12 + 1},
        },
        "Given value 1000000000001 for ReadCapacityUnits is out of bounds",
    ),
    (
        {
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": UNITS,
            "OnDemandThroughput": {"MaxReadRequestUnits": 10},
        },
        INVALID + "MaxReadRequestUnits for OnDemandThroughput cannot be specified "
        "when table BillingMode is PROVISIONED.",
    ),
    # Keys of the table.
    ({"AttributeDefinitions": []}, "Invalid KeySchema: Some index key attribute have no definition"),
    (
        {"AttributeDefinitions": definitions("b"), "KeySchema": keys("h:a", "r:b")},
        "Invalid KeySchema: Some index key attribute have no definition",
    ),
    (
        {"AttributeDefinitions": definitions("b")},
        INVALID + "Some index key attributes are not defined in AttributeDefinitions. "
        "Keys: [a], AttributeDefinitions: [b]",
    ),
    (
        {"AttributeDefinitions": definitions("a", "c"), "KeySchema": keys("h:a", "r:b")},
        INVALID + "Some index key attributes are not defined in AttributeDefinitions. "
        "Keys: [a, b], AttributeDefinitions: [a, c]",
    ),
    ({"AttributeDefinitions": definitions("a", "a")}, "Attribute Name is duplicated: a"),
    (
        {"AttributeDefinitions": AB, "KeySchema": keys("h:a", "h:a")},
        "Both the Hash Key and the Range Key element in the KeySchema have the same name",
    ),
    (
        {"AttributeDefinitions": AB, "KeySchema": keys("h:a", "h:b")},
        "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
    ),
    (
        {"AttributeDefinitions": AB, "KeySchema": keys("r:a", "h:b")},
        "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
    ),
    ({"KeySchema": keys("r:a")}, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
    (
        {"AttributeDefinitions": AB},
        INVALID + "Number of attributes in KeySchema does not exactly match "
        "number of attributes defined in AttributeDefinitions",
    ),
    # Local secondary indexes.
    (
        {"AttributeDefinitions": AB, "LocalSecondaryIndexes": []},
        INVALID + "List of LocalSecondaryIndexes is empty",
    ),
    (
        {"AttributeDefinitions": AB, "LocalSecondaryIndexes": [index("lsi", "r:c")]},
        INVALID + "Table KeySchema does not have a range key, "
        "which is required when specifying a LocalSecondaryIndex",
    ),
    (
        {**RANGE_TABLE, "LocalSecondaryIndexes": [index("lsi", "r:c", "r:d")]},
        INVALID + "Some index key attributes are not defined in AttributeDefinitions. "
        "Keys: [c, d], AttributeDefinitions: [a, b]",
    ),
    (
        {**RANGE_TABLE, "LocalSecondaryIndexes": [index("lsi", "h:b")]},
        INVALID + "Index KeySchema does not have a range key for index: lsi",
    ),
    (
        {**RANGE_TABLE, "LocalSecondaryIndexes": [index("lsi", "h:b", "r:a")]},
        INVALID + "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
        "lsi. index hash key: b, table hash key: a",
    ),
    (
        {**RANGE_TABLE, "LocalSecondaryIndexes": [index("lsi", "h:a", "r:b", projection={})]},
        INVALID + "Unknown ProjectionType: null",
    ),
    (
        {**RANGE_TABLE, "LocalSecondaryIndexes": [index(f"lsi{i}", "h:a", "r:b") for i in range(6)]},
        INVALID + "Number of LocalSecondaryIndexes exceeds per-table limit of 5",
    ),
    (
        {
            **RANGE_TABLE,
            "LocalSecondaryIndexes": [index("one", "h:a", "r:b")],
            "GlobalSecondaryIndexes": [index("one", "h:b")],
        },
        INVALID + "Duplicate index name: one",
    ),
    (
        {
            "AttributeDefinitions": definitions(*"abc"),
            "KeySchema": keys("h:a", "r:b"),
            "LocalSecondaryIndexes": [index("lsi", "h:a", "r:b", "r:c")],
        },
        "1 validation error detected: Value '[KeySchemaElement(attributeName=a, keyType=HASH), "
        "KeySchemaElement(attributeName=b, keyType=RANGE), KeySchemaElement(attributeName=c, "
        "keyType=RANGE)]' at "
        "'localSecondaryIndexes.1.member.keySchema' failed to satisfy constraint: "
        "Member must have length less than or equal to 2",
    ),
    # Global secondary indexes.
    ({"GlobalSecondaryIndexes": []}, INVALID + "List of GlobalSecondaryIndexes is empty"),
    (
        {"AttributeDefinitions": AB, "GlobalSecondaryIndexes": [index("gsi", "r:c", projection={})]},
        INVALID + "Some index key attributes are not defined in AttributeDefinitions. "
        "Keys: [c], AttributeDefinitions: [a, b]",
    ),
    (
        {
            "AttributeDefinitions": definitions(*"abz"),
            "GlobalSecondaryIndexes": [index("gsi", "h:b", projection={})],
        },
        INVALID
        + "Some AttributeDefinitions are not used. AttributeDefinitions: [a, b, z], keys used: [a, b]",
    ),
    (
        {"AttributeDefinitions": AB, "GlobalSecondaryIndexes": [index("gsi", "r:b")]},
        "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
    ),
    (
        {"AttributeDefinitions": AB, "GlobalSecondaryIndexes": [index("gsi", "h:b", "r:b")]},
        "Both the Hash Key and the Range Key element in the KeySchema have the same name",
    ),
    (
        {
            "AttributeDefinitions": definitions(*"abc"),
            "GlobalSecondaryIndexes": [index("gsi", "h:b", "r:c", "r:c")],
        },
        "The KeySchema contains multiple key attributes with the same name",
    ),
    (
        {
            "AttributeDefinitions": definitions(*"abcd"),
            "GlobalSecondaryIndexes": [index("gsi", "h:b", "r:c", "h:d")],
        },
        INVALID + "All HASH key attributes must precede RANGE key attributes in the KeySchema",
    ),
    (
        {
            "AttributeDefinitions": definitions(*"abcdef"),
            "GlobalSecondaryIndexes": [index("gsi", *(f"h:{n}" for n in "bcdef"))],
        },
        INVALID + "The KeySchema exceeds the maximum allowed number of HASH key attributes",
    ),
    (
        {
            "AttributeDefinitions": definitions(*"abcdef"),
            "GlobalSecondaryIndexes": [index("gsi", "h:a", *(f"r:{n}" for n in "bcdef"))],
        },
        INVALID + "The KeySchema exceeds the maximum allowed number of RANGE key attributes",
    ),
    (
        {
            **RANGE_TABLE,
            "GlobalSecondaryIndexes": [index("gsi", "h:b", projection={"ProjectionType": "INCLUDE"})],
        },
        INVALID + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
    ),
    (
        {**RANGE_TABLE, "GlobalSecondaryIndexes": [index("gsi", "h:b", projection=INCLUDE_Q)]},
        INVALID + "Duplicate element in NonKeyAttributes: q",
    ),
    (
        {
            **RANGE_TABLE,
            "GlobalSecondaryIndexes": [
                index("gsi", "h:b", projection={"ProjectionType": "KEYS_ONLY", "NonKeyAttributes": ["q"]})
            ],
        },
        INVALID + "ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified",
    ),
    (
        {
            **RANGE_TABLE,
            "GlobalSecondaryIndexes": [
                index("gsi", "h:b", projection={"ProjectionType": "ALL", "NonKeyAttributes": ["q"]})
            ],
        },
        INVALID + "ProjectionType is ALL, but NonKeyAttributes is specified",
    ),
    (
        {**RANGE_TABLE, "GlobalSecondaryIndexes": [index(f"gsi{i}", "h:b") for i in range(21)]},
        INVALID + "GlobalSecondaryIndex count exceeds the per-table limit of 20",
    ),
    (
        {
            **RANGE_TABLE,
            "GlobalSecondaryIndexes": [index(f"gsi{i}", "h:b", projection=include(i)) for i in range(6)],
        },
        INVALID + "Number of attributes projected into all of the secondary indexes exceeds the limit of 100",
    ),
    (
        {**RANGE_TABLE, "GlobalSecondaryIndexes": [index("gsi", "h:b", ProvisionedThroughput=UNITS)]},
        INVALID + "ProvisionedThroughput should not be specified for index: gsi "
        "when BillingMode is PAY_PER_REQUEST",
    ),
    (
        {
            **RANGE_TABLE,
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": UNITS,
            "GlobalSecondaryIndexes": [index("gsi", "h:b")],
        },
        INVALID + "ProvisionedThroughput is not specified for index: gsi",
    ),
    (
        {
            **RANGE_TABLE,
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": UNITS,
            "GlobalSecondaryIndexes": [
                index(
                    "gsi", "h:b", ProvisionedThroughput=UNITS, OnDemandThroughput={"MaxReadRequestUnits": 1}
                )
            ],
        },
        INVALID + "MaxReadRequestUnits for OnDemandThroughput for index: gsi cannot be specified "
        "when table BillingMode is PROVISIONED.",
    ),
    (
        {
            **RANGE_TABLE,
            "GlobalSecondaryIndexes": [index("gsi", "h:b", OnDemandThroughput={"MaxReadRequestUnits": -1})],
        },
        INVALID
        + "Requested MaxReadRequestUnits for OnDemandThroughput for index : gsi is outside of valid range",
    ),
    (
        {
            **RANGE_TABLE,
            "GlobalSecondaryIndexes": [index("gsi", "h:b", WarmThroughput={"WriteUnitsPerSecond": 9})],
        },
        INVALID
        + "Requested WriteUnitsPerSecond for WarmThroughput for index gsi is lower than initial throughput "
        "for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
        "on-demand-capacity-mode.html#on-demand-capacity-mode-initial",
    ),
    # Settings.
    (
        {"OnDemandThroughput": {"MaxWriteRequestUnits": 0}},
        INVALID + "Requested MaxWriteRequestUnits for OnDemandThroughput for table is outside of valid range",
    ),
    (
        {
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": UNITS,
            "WarmThroughput": {"ReadUnitsPerSecond": 4},
        },
        INVALID + "Requested ReadUnitsPerSecond for WarmThroughput for table is lower than "
        "ReadCapacityUnits of ProvisionedThroughput",
    ),
    (
        {"StreamSpecification": {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}},
        INVALID + "Table is being created with a stream disabled, UpdateViewType should not be specified",
    ),
    (
        {"StreamSpecification": {"StreamEnabled": True}},
        INVALID + "Table is being created with a stream enabled, UpdateViewType is required",
    ),
    (
        {"SSESpecification": {"Enabled": False, "SSEType": "KMS", "KMSMasterKeyId": "k"}},
        INVALID + "SSEType can not be specified if Enabled is false",
    ),
    (
        {"SSESpecification": {"Enabled": False, "KMSMasterKeyId": "k"}},
        INVALID + "KMSMasterKeyId can not be specified if Enabled is false",
    ),
    (
        {"SSESpecification": {"Enabled": True, "SSEType": "AES256"}},
        INVALID + "SSEType AES256 is not supported",
    ),
    (
        {"SSESpecification": {"Enabled": True, "KMSMasterKeyId": "k"}},
        INVALID + "SSEType KMS is required if KMSMasterKeyId is specified",
    ),
    (
        {"ResourcePolicy": "{}"},
        INVALID + "Resource-based policies are not supported by this server yet: ResourcePolicy",
    ),
    ({"Tags": [{"Key": "aws:x", "Value": "1"}]}, "Tag Key cannot be prefixed with aws:, Key: aws:x"),
]


@pytest.mark.parametrize(("members", "message"), VALIDATION_ERRORS)
def test_each_rule_has_its_text(members: dict[str, Any], message: str) -> None:
    assert error(**members) == ("ValidationException", message)


REFER = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": {"ReadCapacityUnits": 40001, "WriteCapacityUnits": 1},
            },
            "The requested ReadCapacityUnits, 40001, is above the per table maximum for the account "
            "in us-east-1. "
            "Per table maximum: 40000. " + REFER,
        ),
        (
            {
                **RANGE_TABLE,
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": UNITS,
                "GlobalSecondaryIndexes": [
                    index(
                        "gsi",
                        "h:b",
                        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 40001},
                    )
                ],
            },
            "The requested WriteCapacityUnits for index gsi, 40001, is above the per index maximum "
            "for the account in us-east-1. Per table maximum: 40000. " + REFER,
        ),
        (
            {"OnDemandThroughput": {"MaxReadRequestUnits": 40001}},
            "Subscriber limit exceeded: Requested MaxReadRequestUnits for OnDemandThroughput for "
            "table exceeds "
            "TableMaxReadCapacityUnits of the account in region us-east-1",
        ),
        (
            {"WarmThroughput": {"WriteUnitsPerSecond": 40001}},
            "Subscriber limit exceeded: Requested WriteUnitsPerSecond for WarmThroughput for table exceeds "
            "TableMaxWriteCapacityUnits of the account in region us-east-1",
        ),
    ],
)
def test_quotas_of_one_table(members: dict[str, Any], message: str) -> None:
    assert error(**members) == ("LimitExceededException", message)


def test_a_plain_on_demand_table_is_described_without_warm_throughput() -> None:
    assert describe_created(create(), now=NOW) == {
        "TableName": "tbl",
        "TableId": TABLE_ID,
        "TableArn": ARN,
        "TableStatus": "CREATING",
        "CreationDateTime": 1_790_000_000.123,
        "AttributeDefinitions": definitions("a"),
        "KeySchema": keys("h:a"),
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": 0,
            "WriteCapacityUnits": 0,
        },
        "ItemCount": 0,
        "TableSizeBytes": 0,
        "DeletionProtectionEnabled": False,
    }


def test_everything_a_table_can_have_is_described() -> None:
    document = create(
        AttributeDefinitions=definitions("g", "b", "a", "l"),
        KeySchema=keys("h:a", "r:b"),
        LocalSecondaryIndexes=[index("lsi", "h:a", "r:l")],
        GlobalSecondaryIndexes=[
            index(
                "gsi",
                "h:g",
                "r:a",
                projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["z", "q"]},
                OnDemandThroughput={"MaxReadRequestUnits": 7},
                WarmThroughput={"ReadUnitsPerSecond": 13000},
            )
        ],
        OnDemandThroughput={"MaxReadRequestUnits": 100},
        WarmThroughput={"ReadUnitsPerSecond": 12001},
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        SSESpecification={"SSEType": "KMS", "KMSMasterKeyId": "1234"},
        TableClass="STANDARD",
        DeletionProtectionEnabled=True,
        Tags=[{"Key": "team", "Value": "blue"}],
    )
    zeros = {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    label = "2026-09-21T14:13:20.123"
    description = describe_created(document, now=NOW)
    assert description == {
        "TableName": "tbl",
        "TableId": TABLE_ID,
        "TableArn": ARN,
        "TableStatus": "CREATING",
        "CreationDateTime": 1_790_000_000.123,
        "AttributeDefinitions": definitions("a", "b", "g", "l"),
        "KeySchema": keys("h:a", "r:b"),
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ProvisionedThroughput": zeros,
        "OnDemandThroughput": {"MaxReadRequestUnits": 100},
        "WarmThroughput": {
            "ReadUnitsPerSecond": 12001,
            "WriteUnitsPerSecond": 4000,
            "Status": "UPDATING",
        },
        "LocalSecondaryIndexes": [
            {
                **index("lsi", "h:a", "r:l"),
                "IndexArn": ARN + "/index/lsi",
                "IndexSizeBytes": 0,
                "ItemCount": 0,
            }
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "gsi",
                "KeySchema": keys("h:g", "r:a"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["q", "z"]},
                "IndexArn": ARN + "/index/gsi",
                "IndexStatus": "CREATING",
                "IndexSizeBytes": 0,
                "ItemCount": 0,
                "ProvisionedThroughput": zeros,
                "OnDemandThroughput": {"MaxReadRequestUnits": 7},
            }
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        "LatestStreamLabel": label,
        "LatestStreamArn": f"{ARN}/stream/{label}",
        "SSEDescription": {
            "Status": "ENABLED",
            "SSEType": "KMS",
            "KMSMasterKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1234",
        },
        "TableClassSummary": {"TableClass": "STANDARD"},
        "ItemCount": 0,
        "TableSizeBytes": 0,
        "DeletionProtectionEnabled": True,
    }
    assert document["Tags"] == {"team": "blue"}
    assert orjson.loads(orjson.dumps(document)) == document


def test_a_provisioned_table_has_no_billing_summary() -> None:
    document = create(BillingMode=None, ProvisionedThroughput=UNITS, TableName=ARN)
    description = describe_created(document, now=NOW)
    assert document["TableName"] == "tbl"
    assert "BillingModeSummary" not in description
    assert "WarmThroughput" not in description
    assert description["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **UNITS}


def test_multi_attribute_index_keys_and_odd_but_right_indexes() -> None:
    names = "abcdefghi"
    document = create(
        AttributeDefinitions=definitions(*names),
        GlobalSecondaryIndexes=[
            index("wide", *(f"h:{n}" for n in "bcde"), *(f"r:{n}" for n in "fghi")),
            index("two-hashes", "h:b", "h:c"),
            index("tbl", "h:a"),
        ],
    )
    assert [len(i["KeySchema"]) for i in document["GlobalSecondaryIndexes"]] == [8, 2, 1]


def test_the_table_and_each_index_get_one_partition() -> None:
    document = create(**RANGE_TABLE, GlobalSecondaryIndexes=[index("one", "h:b"), index("two", "h:b")])
    partitions = [document["Partitions"], *(i["Partitions"] for i in document["GlobalSecondaryIndexes"])]
    assert partitions == [[{"id": id_, "lo": 0, "hi": HASH_MAX}] for id_ in (7, 8, 9)]


def test_no_partition_id_is_drawn_for_a_wrong_request() -> None:
    with pytest.raises(ApiError):
        plan_create(
            request(**RANGE_TABLE, GlobalSecondaryIndexes=[index("one", "h:b", ProvisionedThroughput=UNITS)]),
            now=NOW,
            table_id=TABLE_ID,
            region=REGION,
            account=ACCOUNT,
            next_partition_ids=lambda: pytest.fail("an id was drawn"),
        )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("ACTIVE", "Table already exists: tbl"),
        ("DELETING", "Table already exists: tbl"),
        ("CREATING", "Attempt to change a resource which is still in use: Table is being created: tbl"),
    ],
)
def test_a_taken_name(status: str, message: str) -> None:
    taken = {**create(), "Status": status}
    with pytest.raises(ApiError) as caught:
        _create_in({"tbl": taken})
    assert (caught.value.type_name, caught.value.message) == ("ResourceInUseException", message)


def test_a_wrong_request_for_a_taken_name_is_wrong_first() -> None:
    with pytest.raises(ApiError) as caught:
        _create_in({"tbl": create()}, KeySchema=keys("r:a"))
    assert caught.value.type_name == "ValidationException"


def test_the_plan_carries_document_reply_and_action() -> None:
    sent = request()
    before = copy.deepcopy(sent)
    plan = _create_in({})
    assert plan.changed
    assert plan.actions == (CreateTable(),)
    assert plan.response == {"TableDescription": describe_created(plan.document, now=NOW)}
    assert sent == before


def _create_in(tables: dict[str, TableDocument], **members: Any) -> Any:
    ids = count(1)
    return create_table(
        request(**members),
        Tables(tables),
        SITE,
        now=NOW,
        table_id=TABLE_ID,
        next_partition_ids=lambda: next(ids),
    )
