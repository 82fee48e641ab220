"""TransactWriteItems through the SDK: what it does, in one partition and across tables, indexes included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import all_items, column, n, s, table, unique, wait_until


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.fixture(scope="module")
def other(client: Any) -> Iterator[str]:
    with table(client, "p/r:N") as made:
        yield made


def put(table_name: str, item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": table_name, "Item": item, **more}}


def update(
    table_name: str, key: dict[str, Any], text: str, values: Any = None, **more: Any
) -> dict[str, Any]:
    body = {"TableName": table_name, "Key": key, "UpdateExpression": text, **more}
    if values is not None:
        body["ExpressionAttributeValues"] = values
    return {"Update": body}


def delete(table_name: str, key: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Delete": {"TableName": table_name, "Key": key, **more}}


def check(table_name: str, key: dict[str, Any], condition: str, **more: Any) -> dict[str, Any]:
    return {"ConditionCheck": {"TableName": table_name, "Key": key, "ConditionExpression": condition, **more}}


def got(client: Any, table_name: str, key: dict[str, Any]) -> dict[str, Any] | None:
    item: dict[str, Any] | None = client.get_item(TableName=table_name, Key=key, ConsistentRead=True).get(
        "Item"
    )
    return item


def reasons(client: Any, *actions: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """The cancellation reasons of a transaction that must be cancelled."""
    with pytest.raises(client.exceptions.TransactionCanceledException) as refused:
        client.transact_write_items(TransactItems=list(actions), **more)
    answer = refused.value.response
    found: list[dict[str, Any]] = answer["CancellationReasons"]
    codes = ", ".join(reason["Code"] for reason in found)
    assert answer["Error"]["Message"] == (
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    return found


def four_kinds(one: str, two: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Keys of four items, for each kind of action one."""
    keys = [{"p": s(unique())}, {"p": s(unique())}]
    ranged = [{"p": s(unique()), "r": n(1)}, {"p": s(unique()), "r": n(2)}]
    if one == two:
        ranged = [{"p": s(unique())}, {"p": s(unique())}]
    return keys, ranged


@pytest.mark.parametrize("spread", [False, True])
def test_all_kinds_of_actions(client: Any, name: str, other: str, spread: bool) -> None:
    second = other if spread else name
    (putted, updated), (deleted, checked) = four_kinds(name, second)
    client.put_item(TableName=name, Item={**updated, "n": n(1)})
    client.put_item(TableName=second, Item={**deleted, "v": s("old")})
    client.put_item(TableName=second, Item={**checked, "v": s("yes")})
    answer = client.transact_write_items(
        TransactItems=[
            put(name, {**putted, "v": s("new")}, ConditionExpression="attribute_not_exists(p)"),
            update(name, updated, "ADD n :one SET w = :w", {":one": n(1), ":w": s("x")}),
            delete(second, deleted, ConditionExpression="v = :v", ExpressionAttributeValues={":v": s("old")}),
            check(second, checked, "v = :v", ExpressionAttributeValues={":v": s("yes")}),
        ]
    )
    assert set(answer) == {"ResponseMetadata"}
    assert got(client, name, putted) == {**putted, "v": s("new")}
    assert got(client, name, updated) == {**updated, "n": n(2), "w": s("x")}
    assert got(client, second, deleted) is None
    assert got(client, second, checked) == {**checked, "v": s("yes")}


@pytest.mark.parametrize("spread", [False, True])
def test_one_failed_condition_leaves_everything_as_it_was(
    client: Any, name: str, other: str, spread: bool
) -> None:
    second = other if spread else name
    (putted, updated), (deleted, checked) = four_kinds(name, second)
    client.put_item(TableName=name, Item={**updated, "n": n(1)})
    client.put_item(TableName=second, Item={**deleted, "v": s("old")})
    found = reasons(
        client,
        put(name, putted),
        update(name, updated, "ADD n :one", {":one": n(1)}),
        delete(second, deleted),
        check(second, checked, "attribute_exists(p)"),
    )
    assert found == [
        {"Code": "None"},
        {"Code": "None"},
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"},
    ]
    assert got(client, name, putted) is None
    assert got(client, name, updated) == {**updated, "n": n(1)}
    assert got(client, second, deleted) == {**deleted, "v": s("old")}
    # Nothing stays locked.
    client.put_item(TableName=name, Item=updated)
    client.put_item(TableName=second, Item=deleted)


@pytest.mark.parametrize("spread", [False, True])
def test_every_failed_condition_is_a_reason_with_its_item_if_wanted(
    client: Any, name: str, other: str, spread: bool
) -> None:
    second = other if spread else name
    (there, here), (gone, fine) = four_kinds(name, second)
    client.put_item(TableName=name, Item={**there, "v": s("stored")})
    client.put_item(TableName=name, Item={**here, "v": s("stored")})
    absent = {"ConditionExpression": "attribute_not_exists(p)"}
    old = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    found = reasons(
        client,
        put(name, {**there, "v": s("new")}, **absent, **old),
        delete(name, here, **absent),
        check(second, gone, "attribute_exists(p)", **old),
        put(second, fine),
    )
    assert found == [{**failed, "Item": {**there, "v": s("stored")}}, failed, failed, {"Code": "None"}]


@pytest.mark.parametrize("spread", [False, True])
def test_a_hundred_actions(client: Any, name: str, other: str, spread: bool) -> None:
    stem = unique()
    actions = [put(name, {"p": s(f"{stem}-{i}")}) for i in range(50)]
    if spread:
        actions += [put(other, {"p": s(stem), "r": n(i)}) for i in range(50)]
    else:
        actions += [put(name, {"p": s(f"{stem}-{i}")}) for i in range(50, 100)]
    client.transact_write_items(TransactItems=actions)
    gets = [{"Get": {"TableName": each["Put"]["TableName"], "Key": each["Put"]["Item"]}} for each in actions]
    responses = client.transact_get_items(TransactItems=gets)["Responses"]
    assert [each["Item"] for each in responses] == [each["Put"]["Item"] for each in actions]


def test_actions_see_what_was_there_before_the_transaction(client: Any, name: str) -> None:
    one, two = {"p": s(unique())}, {"p": s(unique())}
    found = reasons(client, put(name, one), check(name, two, "attribute_exists(p)"))
    assert [reason["Code"] for reason in found] == ["None", "ConditionalCheckFailed"]


def test_an_update_that_removes_from_nothing_makes_no_item(client: Any, name: str, other: str) -> None:
    key = {"p": s(unique())}
    client.transact_write_items(
        TransactItems=[update(name, key, "REMOVE a"), put(other, {"p": key["p"], "r": n(1)})]
    )
    assert got(client, name, key) is None


@pytest.mark.parametrize("spread", [False, True])
def test_indexes_follow(client: Any, other: str, spread: bool) -> None:
    with table(client, "p/r", lsi=(("local", "p/l"),), gsi=(("global", "g", "INCLUDE", ["v"]),)) as indexed:
        p = s(unique())
        first = {"p": p, "r": s("1"), "l": s("b"), "g": s("g1"), "v": s("x"), "w": s("y")}
        second = {"p": p, "r": s("2"), "l": s("a"), "g": s("g1"), "v": s("z")}
        more = [put(other, {"p": p, "r": n(1)})] if spread else []
        client.transact_write_items(TransactItems=[put(indexed, first), put(indexed, second), *more])
        local = {
            "TableName": indexed,
            "IndexName": "local",
            "KeyConditionExpression": "p = :p",
            "ExpressionAttributeValues": {":p": p},
        }
        assert column(all_items(client.query, **local), "r") == ["2", "1"]
        query = {
            "TableName": indexed,
            "IndexName": "global",
            "KeyConditionExpression": "g = :g",
            "ExpressionAttributeValues": {":g": s("g1")},
        }
        wait_until(lambda: len(all_items(client.query, **query)) == 2, "both entries in the index")
        more = [delete(other, {"p": p, "r": n(1)})] if spread else []
        client.transact_write_items(
            TransactItems=[
                delete(indexed, {"p": p, "r": s("2")}),
                update(indexed, {"p": p, "r": s("1")}, "SET l = :l, g = :g", {":l": s("c"), ":g": s("g2")}),
                *more,
            ]
        )
        assert column(all_items(client.query, **local), "l") == ["c"]
        wait_until(lambda: all_items(client.query, **query) == [], "nothing left under the old key")


def test_a_table_named_by_its_arn(client: Any, name: str) -> None:
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    key = {"p": s(unique())}
    client.transact_write_items(TransactItems=[put(arn, key)])
    [response] = client.transact_get_items(TransactItems=[{"Get": {"TableName": arn, "Key": key}}])[
        "Responses"
    ]
    assert response == {"Item": key}


def test_the_ledger_is_nobodys_table(client: Any, name: str, other: str) -> None:
    client.transact_write_items(
        TransactItems=[put(name, {"p": s(unique())}), put(other, {"p": s(unique()), "r": n(1)})]
    )
    assert not [each for each in client.list_tables()["TableNames"] if "transact" in each]


@pytest.mark.parametrize("spread", [False, True])
def test_counts_and_scans_see_committed_items_only(client: Any, other: str, spread: bool) -> None:
    with table(client, "p") as made:
        keys = [{"p": s(str(i))} for i in range(4)]
        more = [put(other, {"p": s(unique()), "r": n(1)})] if spread else []
        client.transact_write_items(TransactItems=[*(put(made, key) for key in keys[:3]), *more])
        reasons(client, put(made, keys[3]), check(made, keys[0], "attribute_not_exists(p)"), *more[:0])
        assert len(all_items(client.scan, TableName=made, ConsistentRead=True)) == 3
        client.transact_write_items(
            TransactItems=[delete(made, keys[0]), check(made, keys[3], "attribute_not_exists(p)")]
        )
        assert sorted(column(all_items(client.scan, TableName=made, ConsistentRead=True), "p")) == ["1", "2"]
        assert client.describe_table(TableName=made)["Table"]["ItemCount"] == 2
