"""Reserved words are refused as bare names in every expression kind, in any case, anywhere in a path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.support import error, invalid, n, prefixed, s, table

WORDS = (Path(__file__).parent.parent / "testdata" / "reserved_words.txt").read_text().split()
# Words that are tokens of the expression grammar: refused too, but some of them by the parser.
TOKENS = {"ADD", "AND", "BETWEEN", "DELETE", "IN", "NOT", "OR", "SET"}
TEXT = "Invalid {}: Attribute name is a reserved keyword; reserved keyword: {}"


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


def test_the_list_is_whole() -> None:
    assert len(WORDS) == len(set(WORDS)) == 573


@pytest.mark.parametrize("start", range(0, 573, 100))
def test_every_word(client: Any, name: str, start: int) -> None:
    # the local oracle differs: it allows CONVERT and SIZE, which the Developer Guide lists
    for word in WORDS[start : start + 100]:
        refused = error(client.get_item, TableName=name, Key={"p": s("x")}, ProjectionExpression=word.lower())
        if word in TOKENS:
            assert refused[0] == "ValidationException"
        else:
            assert refused == invalid(TEXT.format("ProjectionExpression", word.lower()))


@pytest.mark.parametrize("word", ["name", "Name", "NAME", "nAmE"])
def test_any_case(client: Any, name: str, word: str) -> None:
    refused = error(client.scan, TableName=name, FilterExpression=f"attribute_exists({word})")
    assert refused == invalid(TEXT.format("FilterExpression", word))


def test_every_kind_of_expression(client: Any, name: str) -> None:
    key = {"p": s("x")}
    value = {"ExpressionAttributeValues": {":v": n(1)}}
    assert error(
        client.update_item, TableName=name, Key=key, UpdateExpression="SET name = :v", **value
    ) == prefixed(TEXT.format("UpdateExpression", "name"))
    assert error(
        client.put_item, TableName=name, Item=key, ConditionExpression="name = :v", **value
    ) == prefixed(TEXT.format("ConditionExpression", "name"))
    assert error(client.query, TableName=name, KeyConditionExpression="name = :v", **value) == invalid(
        TEXT.format("KeyConditionExpression", "name")
    )


@pytest.mark.parametrize("path", ["a.status", "a[0].status", "status.a", "status[0]"])
def test_parts_of_paths(client: Any, name: str, path: str) -> None:
    refused = error(client.get_item, TableName=name, Key={"p": s("x")}, ProjectionExpression=path)
    assert refused == invalid(TEXT.format("ProjectionExpression", "status"))


def test_placeholders_allow_them(client: Any, name: str) -> None:
    client.update_item(
        TableName=name,
        Key={"p": s("k")},
        UpdateExpression="SET #n = :v",
        ExpressionAttributeNames={"#n": "name"},
        ExpressionAttributeValues={":v": n(1)},
    )
    found = client.get_item(
        TableName=name, Key={"p": s("k")}, ProjectionExpression="#n", ExpressionAttributeNames={"#n": "name"}
    )
    assert found["Item"] == {"name": n(1)}


def test_words_near_the_list_are_free(client: Any, name: str) -> None:
    free = "names_, statuses, dates, my_name, valued1, listing"
    client.get_item(TableName=name, Key={"p": s("x")}, ProjectionExpression=free)
