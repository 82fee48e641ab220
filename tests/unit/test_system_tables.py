"""No operation lets a client name a table of the system, by its name or by its ARN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.operations import SUPPORTED, entries
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.local import TRIGGERS
from hashrange_router.system_table import system_document
from hashrange_router.transactions.ledger_table import LEDGER

from hashrange.errors import ApiError
from hashrange.model.table_arn import table_arn
from hashrange.model.table_state import table_activated
from tests.unit.table_support import ACCOUNT, NOW, REGION

NAMES = {
    f"{table.name} by its {way}": name
    for table in (LEDGER, TRIGGERS)
    for way, name in (("name", table.name), ("arn", table_arn(REGION, ACCOUNT, table.name)))
}
ROW_KEY = {"id": {"S": "t#token"}}
UNNAMED = {"DescribeLimits", "DescribeEndpoints", "DescribeStream", "GetShardIterator", "GetRecords"}
"""Operations that name no table; streams, which tables of the system have none of."""


def requests(table: str) -> dict[str, dict[str, Any]]:
    """A request of every operation that would be right if the table were one of clients."""
    of_table: dict[str, Any] = {"TableName": table}
    of_global_table: dict[str, Any] = {"GlobalTableName": table}
    resource: dict[str, Any] = {"ResourceArn": table}
    one_key = {**of_table, "Key": ROW_KEY}
    update = {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": {"S": "x"}}}
    return {
        "GetItem": one_key,
        "PutItem": {**of_table, "Item": ROW_KEY},
        "UpdateItem": {**one_key, **update},
        "DeleteItem": one_key,
        "Query": {
            **of_table,
            "KeyConditionExpression": "id = :v",
            "ExpressionAttributeValues": {":v": {"S": "x"}},
        },
        "Scan": of_table,
        "BatchGetItem": {"RequestItems": {table: {"Keys": [ROW_KEY]}}},
        "BatchWriteItem": {"RequestItems": {table: [{"PutRequest": {"Item": ROW_KEY}}]}},
        "TransactWriteItems": {"TransactItems": [{"Delete": one_key}]},
        "TransactGetItems": {"TransactItems": [{"Get": one_key}]},
        "CreateTable": {
            **of_table,
            "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
        "UpdateTable": {**of_table, "DeletionProtectionEnabled": True},
        "DeleteTable": of_table,
        "DescribeTable": of_table,
        "TagResource": {**resource, "Tags": [{"Key": "a", "Value": "b"}]},
        "UntagResource": {**resource, "TagKeys": ["a"]},
        "ListTagsOfResource": resource,
        "UpdateTimeToLive": {
            **of_table,
            "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "a"},
        },
        "DescribeTimeToLive": of_table,
        "ListStreams": of_table,
        "DescribeContinuousBackups": of_table,
        "UpdateContinuousBackups": {
            **of_table,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False},
        },
        "DescribeContributorInsights": of_table,
        "DescribeKinesisStreamingDestination": of_table,
        "DescribeTableReplicaAutoScaling": of_table,
        "UpdateTableReplicaAutoScaling": of_table,
        "CreateGlobalTable": {**of_global_table, "ReplicationGroup": [{"RegionName": REGION}]},
        "UpdateGlobalTable": {**of_global_table, "ReplicaUpdates": [{"Create": {"RegionName": REGION}}]},
        "DescribeGlobalTable": of_global_table,
        "DescribeGlobalTableSettings": of_global_table,
        "UpdateGlobalTableSettings": {**of_global_table, "GlobalTableBillingMode": "PAY_PER_REQUEST"},
    }


@pytest.fixture
def context() -> RouterContext:
    """A router that knows the ledger and the table of the trigger pools."""
    context = RouterContext(Site(REGION, ACCOUNT, Quotas()), "2026", lambda: NOW, lambda: "id")
    for table in (LEDGER, TRIGGERS):
        context.follow(table.name, None, table_activated(system_document(context, table), NOW))
        assert table.name in context.tables
    return context


def outcome(context: RouterContext, operation: str, request: dict[str, Any]) -> Any:
    """What becomes of a request; the messages that it sends are in it, if it gets as far as that."""
    found = [entry for entry in entries(context).values() if entry.name == operation]
    sent: list[Any] = []
    outcomes: list[Any] = []

    class Nodes:
        def send(self, message: Any, done: Any) -> None:
            sent.append(message)

    try:
        found[0].validate(request)
        call = Call(operation, None, Nodes(), lambda call, answer: outcomes.append(answer))
        call.run(found[0].handle(call, request))
    except ApiError as error:
        outcomes.append(error)
    return outcomes[0] if outcomes and not sent else sent


def cases() -> Iterator[tuple[str, str]]:
    for operation in SUPPORTED:
        if operation not in UNNAMED | {"ListTables", "ListGlobalTables"}:
            for way in NAMES:
                yield operation, way


@pytest.mark.parametrize(("operation", "way"), list(cases()))
def test_a_client_cannot_name_it(context: RouterContext, operation: str, way: str) -> None:
    error = outcome(context, operation, requests(NAMES[way])[operation])
    assert isinstance(error, ApiError), error
    assert error.type_name == "ValidationException"


@pytest.mark.parametrize("operation", ["GetItem", "Scan", "DescribeTable", "BatchGetItem"])
def test_the_requests_themselves_are_right(context: RouterContext, operation: str) -> None:
    """Negative control: with another name they get as far as looking the table up."""
    error = outcome(context, operation, requests("transactions")[operation])
    assert isinstance(error, ApiError)
    assert error.type_name == "ResourceNotFoundException"


def test_tables_are_listed_without_it(context: RouterContext) -> None:
    assert outcome(context, "ListTables", {}) == b'{"TableNames":[]}'
    assert outcome(context, "ListTables", {"ExclusiveStartTableName": "#aa"}).status == 400
