"""CreateTable: every rule with its exact text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.table_support import (
    INVALID,
    UNITS,
    create,
    definitions,
    index,
    keys,
    refused,
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
