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


EVERYTHING: dict[str, Any] = {
    "AttributeDefinitions": definitions("g", "b", "a", "l"),
    "KeySchema": keys("h:a", "r:b"),
    "LocalSecondaryIndexes": [index("lsi", "h:a", "r:l")],
    "GlobalSecondaryIndexes": [
        index(
            "gsi",
            "h:g",
            "r:a",
            projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["z", "q"]},
            OnDemandThroughput={"MaxReadRequestUnits": 7},
            WarmThroughput={"ReadUnitsPerSecond": 13000},
        )
    ],
    "OnDemandThroughput": {"MaxReadRequestUnits": 100},
    "WarmThroughput": {"ReadUnitsPerSecond": 12001},
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    "SSESpecification": {"SSEType": "KMS", "KMSMasterKeyId": "1234"},
    "TableClass": "STANDARD",
    "DeletionProtectionEnabled": True,
    "Tags": [{"Key": "team", "Value": "blue"}],
}
ZEROS = {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
LABEL = "2026-09-21T14:13:20.123"
EVERYTHING_DESCRIBED = {
    "TableName": "tbl",
    "TableId": TABLE_ID,
    "TableArn": ARN,
    "TableStatus": "CREATING",
    "CreationDateTime": 1_790_000_000.123,
    "AttributeDefinitions": definitions("a", "b", "g", "l"),
    "KeySchema": keys("h:a", "r:b"),
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "ProvisionedThroughput": ZEROS,
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
            "ProvisionedThroughput": ZEROS,
            "OnDemandThroughput": {"MaxReadRequestUnits": 7},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    "LatestStreamLabel": LABEL,
    "LatestStreamArn": f"{ARN}/stream/{LABEL}",
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


def test_everything_a_table_can_have_is_described() -> None:
    document = create(**EVERYTHING)
    assert describe_created(document, now=NOW) == EVERYTHING_DESCRIBED
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
