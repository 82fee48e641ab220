"""BatchGetItem and BatchWriteItem: answers by table, limits, duplicates, and all-or-nothing validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.raw import Raw
from tests.conformance.support import Containing, error, invalid, n, not_found, s, same_items, table, unique

DUPLICATES = "Provided list of item keys contains duplicates"


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p/r:N") as made:
        yield made


@pytest.fixture(scope="module")
def second(client: Any) -> Iterator[str]:
    with table(client, "q") as made:
        yield made


def put(item: dict[str, Any]) -> dict[str, Any]:
    """A put request of a batch."""
    return {"PutRequest": {"Item": item}}


def delete(key: dict[str, Any]) -> dict[str, Any]:
    """A delete request of a batch."""
    return {"DeleteRequest": {"Key": key}}


def test_write_and_read_two_tables(client: Any, name: str, second: str) -> None:
    partition, other = s(unique()), s(unique())
    items = [{"p": partition, "r": n(i), "v": s("x")} for i in range(5)]
    answer = client.batch_write_item(RequestItems={name: [*map(put, items)], second: [put({"q": other})]})
    assert answer["UnprocessedItems"] == {}
    assert "ConsumedCapacity" not in answer
    assert "ItemCollectionMetrics" not in answer
    keys = [{"p": partition, "r": n(i)} for i in range(6)]
    found = client.batch_get_item(
        RequestItems={name: {"Keys": keys, "ConsistentRead": True}, second: {"Keys": [{"q": other}]}}
    )
    assert same_items(found["Responses"][name], items)
    assert found["Responses"][second] == [{"q": other}]
    assert found["UnprocessedKeys"] == {}


def test_puts_and_deletes_together(client: Any, second: str) -> None:
    old, new = s(unique()), s(unique())
    client.put_item(TableName=second, Item={"q": old})
    client.batch_write_item(
        RequestItems={second: [delete({"q": old}), put({"q": new}), delete({"q": s(unique())})]}
    )
    found = client.batch_get_item(
        RequestItems={second: {"Keys": [{"q": old}, {"q": new}], "ConsistentRead": True}}
    )
    assert found["Responses"] == {second: [{"q": new}]}


def test_nothing_found(client: Any, second: str) -> None:
    found = client.batch_get_item(RequestItems={second: {"Keys": [{"q": s(unique())}]}})
    assert found["Responses"] == {second: []}
    assert found["UnprocessedKeys"] == {}


def test_projection_per_table(client: Any, name: str, second: str) -> None:
    key = {"p": s(unique()), "r": n(1)}
    client.put_item(TableName=name, Item={**key, "a": n(1), "b": n(2)})
    found = client.batch_get_item(
        RequestItems={
            name: {"Keys": [key], "ProjectionExpression": "#b", "ExpressionAttributeNames": {"#b": "b"}}
        }
    )
    assert found["Responses"][name] == [{"b": n(2)}]
    refused = error(
        client.batch_get_item, RequestItems={second: {"Keys": [{"q": s("x")}], "ProjectionExpression": "a a"}}
    )
    assert refused[0] == "ValidationException"


def test_a_hundred_gets(client: Any, second: str) -> None:
    keys = [{"q": s(f"h{i}")} for i in range(100)]
    client.batch_write_item(RequestItems={second: [put(key) for key in keys[:25]]})
    found = client.batch_get_item(RequestItems={second: {"Keys": keys}})
    assert same_items(found["Responses"][second], keys[:25])


def test_more_than_a_hundred_gets(client: Any, second: str) -> None:
    keys = [{"q": s(f"h{i}")} for i in range(101)]
    refused = error(client.batch_get_item, RequestItems={second: {"Keys": keys}})
    assert refused == ("ValidationException", Containing("1 validation error detected: "))
    assert (
        refused[1].endswith("Member must have length less than or equal to 100")
        or "Too many items" in refused[1]
    )


def test_more_than_a_hundred_gets_over_two_tables(client: Any, name: str, second: str) -> None:
    request = {
        name: {"Keys": [{"p": s("x"), "r": n(i)} for i in range(60)]},
        second: {"Keys": [{"q": s(f"h{i}")} for i in range(60)]},
    }
    refused = error(client.batch_get_item, RequestItems=request)
    assert refused == (
        "ValidationException",
        Containing("Too many items requested for the BatchGetItem call"),
    )


def test_more_than_twenty_five_writes(client: Any, second: str) -> None:
    requests = [put({"q": s(f"w{i}")}) for i in range(26)]
    code, message = error(client.batch_write_item, RequestItems={second: requests})
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value '{" + second + "=[")
    assert "at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: " in message
    assert "Member must have length less than or equal to 25" in message
    assert "Item" not in client.get_item(TableName=second, Key={"q": s("w0")}, ConsistentRead=True)


def test_more_than_twenty_five_writes_over_two_tables(client: Any, name: str, second: str) -> None:
    request = {
        name: [put({"p": s("x"), "r": n(i)}) for i in range(13)],
        second: [put({"q": s(f"w{i}")}) for i in range(13)],
    }
    refused = error(client.batch_write_item, RequestItems=request)
    assert refused == (
        "ValidationException",
        Containing("Too many items requested for the BatchWriteItem call"),
    )


def test_duplicates(client: Any, second: str, name: str) -> None:
    key = {"q": s("same")}
    assert error(
        client.batch_write_item, RequestItems={second: [put(key), put({**key, "v": n(1)})]}
    ) == invalid(DUPLICATES)
    assert error(client.batch_write_item, RequestItems={second: [put(key), delete(key)]}) == invalid(
        DUPLICATES
    )
    assert error(client.batch_get_item, RequestItems={second: {"Keys": [key, key]}}) == invalid(DUPLICATES)
    same = [{"p": s("x"), "r": n("1000")}, {"p": s("x"), "r": n("1e3")}]
    assert error(client.batch_write_item, RequestItems={name: [*map(put, same)]}) == invalid(DUPLICATES)


def test_numerically_equal_keys_may_be_got_twice(client: Any, name: str) -> None:
    # the local oracle differs: it calls these duplicates
    partition = s(unique())
    client.put_item(TableName=name, Item={"p": partition, "r": n(1000)})
    same = [{"p": partition, "r": n("1000")}, {"p": partition, "r": n("1e3")}]
    found = client.batch_get_item(RequestItems={name: {"Keys": same, "ConsistentRead": True}})
    assert {"p": partition, "r": n(1000)} in found["Responses"][name]


def test_one_bad_member_refuses_the_whole_batch(client: Any, second: str) -> None:
    good = {"q": s(unique())}
    bad_members = [
        put({"q": n(1)}),
        put({"x": s("no key")}),
        delete({"q": s("x"), "more": s("y")}),
        put({"q": s("")}),
        put({"q": s("x"), "v": {"SS": []}}),
        put({"q": s("x"), "v": n("1e999")}),
    ]
    for bad in bad_members:
        assert (
            error(client.batch_write_item, RequestItems={second: [put(good), bad]})[0]
            == "ValidationException"
        )
    assert "Item" not in client.get_item(TableName=second, Key=good, ConsistentRead=True)


def test_texts_of_bad_keys(client: Any, second: str, name: str) -> None:
    schema = "The provided key element does not match the schema"
    assert error(client.batch_write_item, RequestItems={second: [put({"q": n(1)})]}) == invalid(schema)
    assert error(client.batch_write_item, RequestItems={second: [delete({"q": n(1)})]}) == invalid(schema)
    assert error(client.batch_get_item, RequestItems={second: {"Keys": [{"q": n(1)}]}}) == invalid(schema)
    assert error(client.batch_get_item, RequestItems={name: {"Keys": [{"p": s("x")}]}}) == invalid(schema)


def test_missing_tables(client: Any, second: str) -> None:
    key = {"q": s("x")}
    assert (
        error(client.batch_get_item, RequestItems={second: {"Keys": [key]}, unique(): {"Keys": [key]}})
        == not_found()
    )
    assert (
        error(client.batch_write_item, RequestItems={second: [put(key)], unique(): [put(key)]}) == not_found()
    )


def test_empty_requests(client: Any, second: str) -> None:
    code, message = error(client.batch_get_item, RequestItems={})
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value at 'RequestItems'")
    assert message.endswith("Member must have length greater than or equal to 1")
    assert error(client.batch_write_item, RequestItems={}) == invalid(
        Containing("equestItems parameter is required for BatchWriteItem")
    )
    assert error(client.batch_get_item, RequestItems={second: {"Keys": []}})[0] == "ValidationException"
    assert error(client.batch_write_item, RequestItems={second: []})[0] == "ValidationException"


def test_a_member_is_one_put_or_one_delete(raw: Raw, second: str) -> None:
    both = {**put({"q": s("x")}), **delete({"q": s("y")})}
    for member in (both, {}):
        reply = raw.post("BatchWriteItem", {"RequestItems": {second: [member]}})
        assert reply.status == 400
        assert reply.error[0].endswith("#ValidationException")


def test_table_arns(client: Any, second: str) -> None:
    arn = client.describe_table(TableName=second)["Table"]["TableArn"]
    key = {"q": s(unique())}
    client.batch_write_item(RequestItems={arn: [put(key)]})
    found = client.batch_get_item(RequestItems={arn: {"Keys": [key], "ConsistentRead": True}})
    assert list(found["Responses"].values()) == [[key]]


def test_legacy_projection(client: Any, second: str) -> None:
    key = {"q": s(unique())}
    client.put_item(TableName=second, Item={**key, "a": n(1), "b": n(2)})
    found = client.batch_get_item(RequestItems={second: {"Keys": [key], "AttributesToGet": ["a"]}})
    assert found["Responses"][second] == [{"a": n(1)}]


def test_the_batch_writer(resource: Any, client: Any, second: str) -> None:
    stem = unique()
    with resource.Table(second).batch_writer() as batch:
        for number in range(60):
            batch.put_item(Item={"q": f"{stem}{number}", "v": number})
    found = client.batch_get_item(
        RequestItems={second: {"Keys": [{"q": s(f"{stem}{i}")} for i in range(60)]}}
    )
    assert len(found["Responses"][second]) == 60
