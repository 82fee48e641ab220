"""Every refusal of CreateTable: schemas, definitions, indexes, projections, throughput, limits, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.raw import Raw
from tests.conformance.support import (
    Containing,
    definitions,
    error,
    index,
    key_schema,
    not_found,
    prefixed,
    table_parameters,
    unique,
)

INVALID = "One or more parameter values were invalid: "


def change(**members: Any) -> dict[str, Any]:
    """CreateTable's parameters for `p/r` with members replaced; None takes one out."""
    parameters = {**table_parameters("p/r"), **members}
    return {name: value for name, value in parameters.items() if value is not None}


def hash_key(name: str) -> dict[str, str]:
    """One HASH element."""
    return {"AttributeName": name, "KeyType": "HASH"}


def range_key(name: str) -> dict[str, str]:
    """One RANGE element."""
    return {"AttributeName": name, "KeyType": "RANGE"}


def with_gsi(*indexes: dict[str, Any], keys: str = "p/r", attributes: str = "p,r,g") -> dict[str, Any]:
    """A table with global indexes."""
    return change(
        KeySchema=key_schema(keys),
        AttributeDefinitions=definitions(attributes),
        GlobalSecondaryIndexes=[*indexes],
    )


def with_lsi(*indexes: dict[str, Any], keys: str = "p/r", attributes: str = "p,r,g") -> dict[str, Any]:
    """A table with local indexes."""
    return change(
        KeySchema=key_schema(keys),
        AttributeDefinitions=definitions(attributes),
        LocalSecondaryIndexes=[*indexes],
    )


CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "range first": (
        change(KeySchema=[range_key("p"), hash_key("r")]),
        ("Invalid KeySchema: The first KeySchemaElement is not a HASH key type",),
    ),
    "two hashes": (
        change(KeySchema=[hash_key("p"), hash_key("r")]),
        ("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",),
    ),
    "the same attribute twice": (
        change(KeySchema=[hash_key("p"), range_key("p")], AttributeDefinitions=definitions("p")),
        ("KeySchema",),
    ),
    "an undefined key": (
        change(AttributeDefinitions=definitions("p,x")),
        ("Some index key attribute", "defin"),
    ),
    "no definition at all": (change(AttributeDefinitions=[]), ("",)),
    "too many definitions": (
        change(AttributeDefinitions=definitions("p,r,x")),
        (
            "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions",
        ),
    ),
    "an attribute defined twice": (
        change(AttributeDefinitions=[*definitions("p,r"), *definitions("p:N")]),
        ("",),
    ),
    "a local index without a range key": (
        with_lsi(index("near", "p/g"), keys="p", attributes="p,g"),
        (
            INVALID + "Table KeySchema does not have a range key, which is required when specifying a "
            "LocalSecondaryIndex",
        ),
    ),
    "a local index of another hash key": (
        with_lsi(index("near", "r/g")),
        ("does not have the same leading hash key as table KeySchema", "near"),
    ),
    "a local index without a range of its own": (
        with_lsi(index("near", "p"), attributes="p,r"),
        ("",),
    ),
    "the same index name twice": (
        with_gsi(index("twin", "g"), index("twin", "r"), attributes="p,r,g"),
        ("Duplicate index name: twin",),
    ),
    "one name for both kinds": (
        change(
            AttributeDefinitions=definitions("p,r,g"),
            GlobalSecondaryIndexes=[index("twin", "g")],
            LocalSecondaryIndexes=[index("twin", "p/g")],
        ),
        ("Duplicate index name: twin",),
    ),
    "an index key undefined": (
        with_gsi(index("by_z", "z")),
        ("Some index key attributes are not defined in AttributeDefinitions", "z"),
    ),
    "INCLUDE without attributes": (
        with_gsi(index("by_g", "g", "INCLUDE")),
        (INVALID + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified",),
    ),
    "ALL with attributes": (
        with_gsi(index("by_g", "g", "ALL", ["x"])),
        (INVALID, "ProjectionType is ALL, but NonKeyAttributes is specified"),
    ),
    "KEYS_ONLY with attributes": (
        with_gsi(index("by_g", "g", "KEYS_ONLY", ["x"])),
        (INVALID, "ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified"),
    ),
    "no projection type": (
        with_gsi({"IndexName": "by_g", "KeySchema": key_schema("g"), "Projection": {}}),
        ("Unknown ProjectionType: null",),
    ),
    "six local indexes": (
        with_lsi(*(index(f"near{i}", "p/g") for i in range(6))),
        ("5",),
    ),
    "twenty-one global indexes": (
        with_gsi(*(index(f"by_g{i}", "g") for i in range(21))),
        ("20",),
    ),
    "more than a hundred projected attributes": (
        with_gsi(*(index(f"by_g{i}", "g", "INCLUDE", [f"a{i}_{j}" for j in range(18)]) for i in range(6))),
        ("100",),
    ),
    "throughput on demand": (
        change(ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}),
        (
            INVALID,
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
            "PAY_PER_REQUEST",
        ),
    ),
    "no throughput when provisioned": (
        change(BillingMode="PROVISIONED"),
        ("ReadCapacityUnits", "WriteCapacityUnits"),
    ),
    "no throughput by default": (
        change(BillingMode=None),
        ("ReadCapacityUnits", "WriteCapacityUnits"),
    ),
    "a view of a disabled stream": (
        change(StreamSpecification={"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}),
        ("Table is being created with a stream disabled, UpdateViewType should not be specified",),
    ),
    "a key name of 256 characters": (
        change(KeySchema=[hash_key("k" * 256)], AttributeDefinitions=definitions("k" * 256)),
        ("255",),
    ),
    "a stream without a view": (change(StreamSpecification={"StreamEnabled": True}), ("",)),
    "an empty list of global indexes": (
        change(GlobalSecondaryIndexes=[]),
        (INVALID, "List of GlobalSecondaryIndexes is empty"),
    ),
    "an empty list of local indexes": (
        change(LocalSecondaryIndexes=[]),
        (INVALID, "List of LocalSecondaryIndexes is empty"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(client: Any, case: str) -> None:
    parameters, parts = CASES[case]
    parameters = {**parameters, "TableName": unique()}
    assert error(client.create_table, **parameters) == ("ValidationException", Containing(*parts))
    name = parameters["TableName"]
    assert error(client.describe_table, TableName=name) == not_found(
        f"Requested resource not found: Table: {name} not found"
    )


LENGTH = "Value '{}' at '{}' failed to satisfy constraint: Member must have length {} than or equal to {}"
PATTERN = (
    "Value '{}' at '{}' failed to satisfy constraint: "
    "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
)
ENUM = "Value '{}' at '{}' failed to satisfy constraint: Member must satisfy enum value set: {}"

CONSTRAINTS: dict[str, tuple[dict[str, Any], str]] = {
    "a short name": (change(TableName="ab"), LENGTH.format("ab", "tableName", "greater", 3)),
    "a long name": (change(TableName="a" * 256), LENGTH.format("a" * 256, "tableName", "less", 255)),
    "a bad name": (change(TableName="has space"), PATTERN.format("has space", "tableName")),
    "a key type": (
        change(KeySchema=[{"AttributeName": "p", "KeyType": "MAIN"}], AttributeDefinitions=definitions("p")),
        ENUM.format("MAIN", "keySchema.1.member.keyType", "[HASH, RANGE]"),
    ),
    "an attribute type": (
        change(
            KeySchema=key_schema("p"), AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "BOOL"}]
        ),
        ENUM.format("BOOL", "attributeDefinitions.1.member.attributeType", "[B, N, S]"),
    ),
    "a billing mode": (
        change(BillingMode="FREE"),
        ENUM.format("FREE", "billingMode", "[PROVISIONED, PAY_PER_REQUEST]"),
    ),
    "a short index name": (
        with_gsi(index("ab", "g")),
        LENGTH.format("ab", "globalSecondaryIndexes.1.member.indexName", "greater", 3),
    ),
    "a bad index name": (
        with_lsi(index("a b c", "p/g")),
        PATTERN.format("a b c", "localSecondaryIndexes.1.member.indexName"),
    ),
    "no read units": (
        change(
            BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 0, "WriteCapacityUnits": 1}
        ),
        "Value '0' at 'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1",
    ),
    "missing write units": (
        change(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1}),
        "Value null at 'provisionedThroughput.writeCapacityUnits' failed to satisfy constraint: "
        "Member must not be null",
    ),
    "an empty key schema": (
        change(KeySchema=[]),
        "Value '[]' at 'keySchema' failed to satisfy constraint: Member must have length greater "
        "than or equal to 1",
    ),
}


@pytest.mark.parametrize("case", CONSTRAINTS)
def test_constraints(client: Any, case: str) -> None:
    parameters, text = CONSTRAINTS[case]
    assert error(client.create_table, **parameters) == prefixed(text)


def test_a_missing_name(client: Any) -> None:
    refused = error(client.create_table, **change(TableName=None))
    assert refused == (
        "ValidationException",
        "The parameter 'TableName' is required but was not present in the request",
    )


def test_several_constraints_are_listed(client: Any) -> None:
    code, message = error(
        client.create_table,
        **change(
            TableName="a;",
            KeySchema=[{"AttributeName": "p", "KeyType": "MAIN"}],
            AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "X"}],
            BillingMode="FREE",
        ),
    )
    assert code == "ValidationException"
    count, _, listed = message.partition(" validation errors detected: ")
    assert int(count) == len(listed.split("; ")) == 5


def test_at_most_ten_are_listed(client: Any) -> None:
    many = [{"AttributeName": f"p{i}", "AttributeType": "X"} for i in range(14)]
    code, message = error(client.create_table, **change(AttributeDefinitions=many))
    assert code == "ValidationException"
    count, _, listed = message.partition(" validation errors detected: ")
    assert count == "10"
    assert len(listed.split("; ")) == 10


@pytest.mark.parametrize(
    "operation", ["describe_table", "delete_table", "describe_time_to_live", "describe_continuous_backups"]
)
def test_missing_tables(client: Any, operation: str) -> None:
    call: Callable[..., Any] = getattr(client, operation)
    name = unique()
    code, message = error(call, TableName=name)
    assert code in ("ResourceNotFoundException", "TableNotFoundException")
    assert name in message or message == "Requested resource not found"


def test_type_errors(raw: Raw) -> None:
    for body in ({"TableName": 5}, {"TableName": "abc", "KeySchema": "x"}, {"KeySchema": [{"KeyType": []}]}):
        assert raw.post("CreateTable", body).error[0] == "com.amazon.coral.service#SerializationException"


def test_multi_attribute_keys_are_for_global_indexes_only(client: Any) -> None:
    refused = error(
        client.create_table,
        **change(
            KeySchema=[hash_key("p"), range_key("r"), range_key("q")],
            AttributeDefinitions=definitions("p,r,q"),
        ),
    )
    assert refused[0] == "ValidationException"
    refused = error(client.create_table, **with_gsi(index("wide", "a,b,c,d,e"), attributes="p,r,a,b,c,d,e"))
    assert refused[0] == "ValidationException"
    mixed = {**index("mixed", "g"), "KeySchema": [hash_key("g"), range_key("p"), hash_key("r")]}
    assert error(client.create_table, **with_gsi(mixed))[0] == "ValidationException"
