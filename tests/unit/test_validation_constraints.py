"""Constraints of the model in the classic wording: one case for each kind of constraint, path and echo."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.api.validate import Validation
from hashrange_router.api.validate_order import check_order

from hashrange.errors import ApiError

KEY = {"a": {"S": "x"}}
ONE = "1 validation error detected: "
NAME_PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
NULL = "failed to satisfy constraint: Member must not be null"
RCC = (
    "Value 'hi' at 'returnConsumedCapacity' failed to satisfy constraint: "
    "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
)
RICM = (
    "Value 'hi' at 'returnItemCollectionMetrics' failed to satisfy constraint: "
    "Member must satisfy enum value set: [SIZE, NONE]"
)
RETURN_VALUES = (
    "Value 'hi' at 'returnValues' failed to satisfy constraint: "
    "Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
)
COMPARISONS = (
    "Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, "
    "BEGINS_WITH, GE, CONTAINS]"
)
MAP_KEYS = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 255, "
    f"Member must have length greater than or equal to 3, {NAME_PATTERN}]"
)
MAP_VALUE = (
    "Map value must satisfy constraint: [Member must have length less than or equal to 25, "
    "Member must have length greater than or equal to 1]"
)


def text(operation: str, request: dict[str, Any]) -> str | None:
    with pytest.raises(ApiError) as raised:
        Validation(wording="classic").validate(operation, request)
    assert raised.value.type_name == "ValidationException"
    assert raised.value.message_key == "message"
    return raised.value.message


def several(*texts: str) -> str:
    return f"{len(texts)} validation errors detected: {'; '.join(texts)}"


def at(path: str, demand: str, value: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {demand}"


@pytest.mark.parametrize(
    ("name", "demand"),
    [
        ("", "Member must have length greater than or equal to 1"),
        ("x!", NAME_PATTERN),
        ("bad table!@#", NAME_PATTERN),
        ("a" * 256, "Member must have length less than or equal to 255"),
        ("arn:" + "a" * 1100, NAME_PATTERN),
    ],
)
def test_table_names_of_data_calls(name: str, demand: str) -> None:
    answer = text("GetItem", {"TableName": name, "Key": KEY})
    assert answer is not None
    assert at("tableName", demand, name) in answer


@pytest.mark.parametrize(
    "name",
    ["a", "ab", "A-b_c.9", "a" * 255, "arn:aws:dynamodb:us-east-1:000000000000:table/abc", "arn:nonsense"],
)
def test_accepted_table_names(name: str) -> None:
    validator = Validation(wording="classic").compile_validator("GetItem")
    for _ in range(2):
        validator({"TableName": name, "Key": KEY})


@pytest.mark.parametrize(
    ("name", "demands"),
    [
        ("ab", ["Member must have length greater than or equal to 3"]),
        ("a;", [NAME_PATTERN, "Member must have length greater than or equal to 3"]),
        ("", [NAME_PATTERN, "Member must have length greater than or equal to 3"]),
        ("abc!", [NAME_PATTERN]),
        ("a" * 256, ["Member must have length less than or equal to 255"]),
        ("arn:aws:dynamodb:us-east-1:000000000000:table/abc", [NAME_PATTERN]),
    ],
)
def test_names_of_new_tables(name: str, demands: list[str]) -> None:
    texts = [at("tableName", demand, name) for demand in demands]
    assert text("CreateTable", {"TableName": name}) == (
        ONE + texts[0] if len(texts) == 1 else several(*texts)
    )


def test_a_new_table_without_a_name() -> None:
    answer = "The parameter 'TableName' is required but was not present in the request"
    assert text("CreateTable", {}) == answer
    assert text("CreateTable", {"BillingMode": "hi", "TableName": None}) == answer


def test_missing_members() -> None:
    assert text("GetItem", {"Key": KEY}) == f"{ONE}Value null at 'tableName' {NULL}"
    assert text("GetItem", {}) == several(f"Value null at 'key' {NULL}", f"Value null at 'tableName' {NULL}")
    assert text("BatchGetItem", {}) == f"{ONE}Value null at 'requestItems' {NULL}"
    throughput = {"TableName": "abc", "ProvisionedThroughput": {}}
    assert text("CreateTable", throughput) == several(
        f"Value null at 'provisionedThroughput.writeCapacityUnits' {NULL}",
        f"Value null at 'provisionedThroughput.readCapacityUnits' {NULL}",
    )


def test_null_entries_of_collections() -> None:
    request = {"TableName": "abc", "Key": KEY, "AttributesToGet": ["a", None]}
    assert text("GetItem", request) == f"{ONE}Value null at 'attributesToGet.2.member' {NULL}"
    request = {"TableName": "abc", "Key": KEY, "ExpressionAttributeNames": {"#a": None}}
    assert text("GetItem", request) == f"{ONE}Value null at 'expressionAttributeNames.#a.member' {NULL}"
    assert (
        text("BatchGetItem", {"RequestItems": {"abc": None}})
        == f"{ONE}Value null at 'requestItems.abc.member' {NULL}"
    )


@pytest.mark.parametrize(
    ("operation", "more", "answer"),
    [
        ("GetItem", {"Key": KEY, "ReturnConsumedCapacity": "hi"}, RCC),
        ("PutItem", {"Item": KEY, "ReturnItemCollectionMetrics": "hi"}, RICM),
        ("PutItem", {"Item": KEY, "ReturnValues": "hi"}, RETURN_VALUES),
        ("DeleteItem", {"Key": KEY, "ReturnValues": "hi"}, RETURN_VALUES),
        ("UpdateItem", {"Key": KEY, "ReturnValues": "hi"}, RETURN_VALUES),
        (
            "PutItem",
            {"Item": KEY, "ReturnValuesOnConditionCheckFailure": "hi"},
            at(
                "returnValuesOnConditionCheckFailure",
                "Member must satisfy enum value set: [ALL_OLD, NONE]",
                "hi",
            ),
        ),
        (
            "PutItem",
            {"Item": KEY, "ConditionalOperator": "XOR"},
            at("conditionalOperator", "Member must satisfy enum value set: [OR, AND]", "XOR"),
        ),
        (
            "Query",
            {"Select": "hi"},
            at(
                "select",
                "Member must satisfy enum value set: "
                "[SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]",
                "hi",
            ),
        ),
        (
            "Query",
            {"QueryFilter": {"a": {"ComparisonOperator": ""}}},
            at("queryFilter.a.member.comparisonOperator", COMPARISONS, ""),
        ),
        (
            "Query",
            {"KeyConditions": {"a": {}}},
            f"Value null at 'keyConditions.a.member.comparisonOperator' {NULL}",
        ),
        (
            "UpdateItem",
            {"Key": KEY, "AttributeUpdates": {"a": {"Action": "hi"}}},
            at(
                "attributeUpdates.a.member.action",
                "Member must satisfy enum value set: [ADD, PUT, DELETE]",
                "hi",
            ),
        ),
        (
            "GetItem",
            {"Key": KEY, "AttributesToGet": []},
            at("attributesToGet", "Member must have length greater than or equal to 1", "[]"),
        ),
        (
            "Scan",
            {"Limit": 0},
            at("limit", "Member must have value greater than or equal to 1", "0"),
        ),
        (
            "Scan",
            {"Segment": -1, "TotalSegments": 4},
            at("segment", "Member must have value greater than or equal to 0", "-1"),
        ),
        (
            "Scan",
            {"Segment": 0, "TotalSegments": 1000001},
            at("totalSegments", "Member must have value less than or equal to 1000000", "1000001"),
        ),
        (
            "Scan",
            {"IndexName": "zz"},
            at("indexName", "Member must have length greater than or equal to 3", "zz"),
        ),
    ],
)
def test_single_violations(operation: str, more: dict[str, Any], answer: str) -> None:
    assert text(operation, {"TableName": "abc", **more}) == ONE + answer


@pytest.mark.parametrize(
    ("operation", "request_", "answer"),
    [
        (
            "CreateTable",
            {"TableName": "abc", "KeySchema": [{"AttributeName": "pk", "KeyType": "hi"}]},
            at("keySchema.1.member.keyType", "Member must satisfy enum value set: [HASH, RANGE]", "hi"),
        ),
        (
            "CreateTable",
            {"TableName": "abc", "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "hi"}]},
            at(
                "attributeDefinitions.1.member.attributeType",
                "Member must satisfy enum value set: [B, N, S]",
                "hi",
            ),
        ),
        (
            "CreateTable",
            {"TableName": "abc", "BillingMode": "hi"},
            at("billingMode", "Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]", "hi"),
        ),
        (
            "ListTables",
            {"Limit": 101},
            at("limit", "Member must have value less than or equal to 100", "101"),
        ),
        (
            "TransactWriteItems",
            {"TransactItems": []},
            at("transactItems", "Member must have length greater than or equal to 1", "[]"),
        ),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "bad!name", "Item": KEY}}]},
            at("transactItems.1.member.put.tableName", NAME_PATTERN, "bad!name"),
        ),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "abc", "Item": KEY}},
                    {"ConditionCheck": {"TableName": "bad!name", "Key": KEY, "ConditionExpression": "x"}},
                ]
            },
            at("transactItems.2.member.conditionCheck.tableName", NAME_PATTERN, "bad!name"),
        ),
        (
            "ExecuteStatement",
            {"Statement": "SELECT", "Parameters": []},
            at("parameters", "Member must have length greater than or equal to 1", "[]"),
        ),
        (
            "UntagResource",
            {"ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/abc", "TagKeys": ["x" * 129]},
            at(
                "tagKeys",
                "Member must satisfy constraint: [Member must have length less than or equal to 128, "
                "Member must have length greater than or equal to 1]",
                f"[{'x' * 129}]",
            ),
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"abc": []}},
            at("requestItems", MAP_VALUE, "{abc=[]}"),
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"a!": [{}]}},
            at("requestItems", MAP_KEYS, "{a!=[WriteRequest(putRequest=null, deleteRequest=null)]}"),
        ),
    ],
)
def test_nested_violations(operation: str, request_: dict[str, Any], answer: str) -> None:
    assert text(operation, request_) == ONE + answer


def test_key_schemas_of_tables_and_indexes() -> None:
    """Only a global secondary index may have more than two key attributes."""
    schema = [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
        {"AttributeName": "extra", "KeyType": "RANGE"},
    ]
    echo = (
        "[KeySchemaElement(attributeName=pk, keyType=HASH), "
        "KeySchemaElement(attributeName=sk, keyType=RANGE), "
        "KeySchemaElement(attributeName=extra, keyType=RANGE)]"
    )
    demand = "Member must have length less than or equal to 2"
    assert text("CreateTable", {"TableName": "abc", "KeySchema": schema}) == ONE + at(
        "keySchema", demand, echo
    )
    index = {"IndexName": "idx", "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}
    assert text("CreateTable", {"TableName": "abc", "LocalSecondaryIndexes": [index]}) == ONE + at(
        "localSecondaryIndexes.1.member.keySchema", demand, echo
    )
    Validation().validate("CreateTable", {"TableName": "abc", "GlobalSecondaryIndexes": [index]})


def test_the_echo_of_a_batch() -> None:
    values = {
        "b": {"B": "AAECAw=="},
        "l": {"L": [{"N": "1"}, {"M": {"k": {"BOOL": True}}}]},
        "s": {"SS": ["x", "y"]},
    }
    writes: list[dict[str, Any]] = [{"PutRequest": {"Item": values}}]
    writes += [{"DeleteRequest": {"Key": KEY}}] * 25
    answer = text("BatchWriteItem", {"RequestItems": {"abc": writes}})
    assert answer is not None
    unset = ", ".join(f"{name}=null" for name in ("iNT", "dECIMAL", "dOUBLE"))
    rest = "iNTSET=null, dECIMALSET=null, dOUBLESET=null"

    def value(**given: str) -> str:
        def shown(name: str) -> str:
            return f"{name}={given.get(name, 'null')}"

        return (
            f"AttributeValue({shown('s')}, {shown('n')}, {shown('b')}, {unset}, {shown('sS')}, "
            f"nS=null, bS=null, {rest}, {shown('m')}, {shown('l')}, nULL=null, {shown('bOOL')})"
        )

    inner = value(m="{k=" + value(bOOL="true") + "}")
    put = (
        "WriteRequest(putRequest=PutRequest(item={b="
        + value(b="java.nio.HeapByteBuffer[pos=0 lim=4 cap=4]")
        + ", l="
        + value(l=f"[{value(n='1')}, {inner}]")
        + ", s="
        + value(sS="[x, y]")
        + "}, workloadProfileName=null), deleteRequest=null)"
    )
    delete = "WriteRequest(putRequest=null, deleteRequest=DeleteRequest(key={a=" + value(s="x") + "}))"
    assert answer.startswith(f"{ONE}Value '{{abc=[{put}, {delete}, {delete}")
    assert answer.endswith(f"{delete}]}}' at 'requestItems' failed to satisfy constraint: {MAP_VALUE}")


def test_the_order_of_the_checks() -> None:
    """Observed orders: they follow from the members' names and their number."""
    bad = {"TableName": "", "ReturnConsumedCapacity": "hi", "ReturnItemCollectionMetrics": "hi"}
    empty = at("tableName", "Member must have length greater than or equal to 1", "")
    put = {**bad, "ReturnValues": "hi", "Item": KEY}
    assert text("PutItem", put) == several(RETURN_VALUES, RCC, RICM, empty)
    update = {"TableName": "", "ReturnConsumedCapacity": "hi", "ReturnValues": "hi"}
    assert text("UpdateItem", update) == several(RCC, empty, RETURN_VALUES, f"Value null at 'key' {NULL}")
    members = ["TableName", "Select", "IndexName", "ReturnConsumedCapacity", "QueryFilter", "Limit"]
    members += ["ConditionalOperator", "AttributesToGet", "KeyConditions"]
    query = [name for name in check_order(QUERY_MEMBERS) if name in members]
    assert query[:2] == ["Select", "IndexName"]
    assert query[2:] == [
        "ReturnConsumedCapacity",
        "QueryFilter",
        "TableName",
        "ConditionalOperator",
        "Limit",
        "AttributesToGet",
        "KeyConditions",
    ]


QUERY_MEMBERS = [
    "TableName",
    "IndexName",
    "Select",
    "AttributesToGet",
    "Limit",
    "ConsistentRead",
    "KeyConditions",
    "QueryFilter",
    "ConditionalOperator",
    "ScanIndexForward",
    "ExclusiveStartKey",
    "ReturnConsumedCapacity",
    "ProjectionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
]


def test_global_indexes_come_before_local_ones() -> None:
    index = {"KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}], "Projection": {}}
    request = {
        "TableName": "abc",
        "LocalSecondaryIndexes": [{**index, "IndexName": "aa"}],
        "GlobalSecondaryIndexes": [{**index, "IndexName": "zz"}],
    }
    demand = "Member must have length greater than or equal to 3"
    assert text("CreateTable", request) == several(
        at("globalSecondaryIndexes.1.member.indexName", demand, "zz"),
        at("localSecondaryIndexes.1.member.indexName", demand, "aa"),
    )


def test_ten_errors_at_most_are_listed() -> None:
    conditions = {f"a{i}": {"ComparisonOperator": "hi"} for i in range(12)}
    answer = text("Scan", {"TableName": "abc", "ScanFilter": conditions})
    assert answer is not None
    assert answer.startswith(
        "10 validation errors detected: Value 'hi' at 'scanFilter.a0.member.comparisonOp"
    )
    assert answer.count("Value 'hi' at 'scanFilter.") == 10


def test_an_echo_has_an_end() -> None:
    item = {f"attribute{i}": {"L": [{"S": "x" * 20}] * 50} for i in range(100)}
    answer = text("BatchWriteItem", {"RequestItems": {"abc": [{"PutRequest": {"Item": item}}] * 26}})
    assert answer is not None
    assert 30_000 < len(answer) < 200_000
    assert answer.endswith(f", ...]}}' at 'requestItems' failed to satisfy constraint: {MAP_VALUE}")
    long = text("GetItem", {"TableName": "!" * 1_000_000, "Key": KEY})
    assert long is not None and len(long) < 200_000


def test_a_flood_of_violations_is_cut_off() -> None:
    conditions: dict[str, Any] = {f"a{i}": {} for i in range(50_000)}
    answer = text("Scan", {"TableName": "abc", "ScanFilter": conditions, "Segment": -1})
    assert answer is not None
    assert answer.startswith("10 validation errors detected: Value null at 'scanFilter.a0.member.")
