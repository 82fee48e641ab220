"""The wording of before June 2026, by `--validation-wording classic`: exactly where the two differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import make_client
from tests.conformance.raw import Raw
from tests.conformance.server import running
from tests.conformance.support import PREFIX, error, invalid, n, s, table

KEY = {"p": s("x")}


@pytest.fixture(scope="module")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with the classic wording."""
    folder: Path = tmp_path_factory.mktemp("classic")
    with running("--in-memory", "--validation-wording", "classic", log=folder / "log") as server:
        yield server.endpoint


@pytest.fixture(scope="module")
def client(classic: str) -> Iterator[Any]:
    """A client of that server."""
    made = make_client(classic)
    yield made
    made.close()


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.mark.parametrize(
    ("operation", "parameters", "text"),
    [
        (
            "put_item",
            {"Item": KEY, "ConditionExpression": "a"},
            'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "a"',
        ),
        (
            "update_item",
            {"Key": KEY, "UpdateExpression": ""},
            "Invalid UpdateExpression: The expression can not be empty;",
        ),
        (
            "put_item",
            {"Item": {**KEY, "v": {"SS": []}}},
            "One or more parameter values were invalid: An string set  may not be empty",
        ),
        (
            "put_item",
            {"Item": {**KEY, "v": {"SS": ["a", "a"]}}},
            "One or more parameter values were invalid: Input collection [a, a] contains duplicates.",
        ),
        (
            "put_item",
            {"Item": KEY, "ExpressionAttributeValues": {":v": n(1)}},
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            "update_item",
            {"Key": KEY, "ExpressionAttributeValues": {":v": n(1)}},
            "ExpressionAttributeValues can only be specified when using expressions: "
            "UpdateExpression and ConditionExpression are null",
        ),
        ("put_item", {"Item": KEY, "ReturnValues": "ALL_NEW"}, "ReturnValues can only be ALL_OLD or NONE"),
        (
            "update_item",
            {
                "Key": KEY,
                "UpdateExpression": "SET a = :v",
                "ExpressionAttributeValues": {":v": n(1), ":w": n(2)},
            },
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}",
        ),
    ],
)
def test_no_prefix(client: Any, name: str, operation: str, parameters: dict[str, Any], text: str) -> None:
    assert error(getattr(client, operation), TableName=name, **parameters) == invalid(text)


def test_an_empty_table_name_is_listed_with_the_rest(client: Any) -> None:
    code, message = error(client.get_item, TableName="", Key=KEY, ReturnConsumedCapacity="cat")
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: ")
    assert (
        "Value '' at 'tableName' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1" in message
    )
    assert "at 'returnConsumedCapacity' failed to satisfy constraint" in message


def test_an_unknown_return_value(client: Any, name: str) -> None:
    refused = error(client.put_item, TableName=name, Item=KEY, ReturnValues="cat")
    assert refused == invalid(
        PREFIX
        + "Value 'cat' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: "
        "[ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
    )


def test_an_empty_batch(client: Any, classic: str) -> None:
    reply = Raw(classic).post("BatchGetItem", {"RequestItems": {}})
    assert reply.error[1] == "The requestItems parameter is required for BatchGetItem"


def test_what_both_wordings_share(client: Any, name: str) -> None:
    assert error(client.get_item, TableName=name, Key={"q": s("x")}) == invalid(
        "The provided key element does not match the schema"
    )
    assert error(client.delete_item, TableName=name, Key=KEY, ConditionExpression="a") == invalid(
        'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "a"'
    )
    assert error(client.get_item, Key=KEY) == invalid(
        PREFIX + "Value null at 'tableName' failed to satisfy constraint: Member must not be null"
    )
