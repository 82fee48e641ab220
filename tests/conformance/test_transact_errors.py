"""What refuses or cancels a transaction before it runs, and why: exact texts, and which fault comes first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import error, invalid, n, not_found, s, table, unique
from tests.conformance.test_transact_write import check, delete, got, put, reasons, update

DUPLICATES = "Transaction request cannot include multiple operations on one item"
NO_MATCH = "The provided key element does not match the schema"
EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
    "string value. Key: p"
)
SYNTAX = 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "("'
UNUSED = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}"
RCC = (
    "Value 'BOGUS' at 'returnConsumedCapacity' failed to satisfy constraint: "
    "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
)
RICM = (
    "Value 'BOGUS' at 'returnItemCollectionMetrics' failed to satisfy constraint: "
    "Member must satisfy enum value set: [SIZE, NONE]"
)


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p", gsi=(("ggg", "g"),)) as made:
        yield made


def refused(client: Any, *actions: dict[str, Any], **more: Any) -> tuple[str, str]:
    """Code and text of the refusal."""
    return error(client.transact_write_items, TransactItems=list(actions), **more)


def key() -> dict[str, Any]:
    return {"p": s(unique())}


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = s("leaf")
    for _ in range(levels):
        value = {"M": {"n": value}}
    return value


# Constraints of the model.


def test_numbers_of_actions(client: Any, name: str) -> None:
    empty = (
        "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )
    assert refused(client) == invalid(empty)
    assert error(client.transact_get_items, TransactItems=[]) == invalid(empty)
    code, text = refused(client, *(put(name, key()) for _ in range(101)))
    assert code == "ValidationException"
    assert text.endswith("failed to satisfy constraint: Member must have length less than or equal to 100")
    gets = [{"Get": {"TableName": name, "Key": key()}} for _ in range(101)]
    code, text = error(client.transact_get_items, TransactItems=gets)
    assert text.endswith("failed to satisfy constraint: Member must have length less than or equal to 100")


def test_exactly_one_action_in_each_element(client: Any, name: str) -> None:
    both = {**put(name, key()), **delete(name, key())}
    several = "TransactItems can only contain one of Check, Put, Update or Delete"
    assert refused(client, put(name, key()), both) == invalid(several)
    assert refused(client, {}) == invalid(
        "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
    )


@pytest.mark.parametrize(
    ("kind", "member", "path"),
    [
        ("Update", "UpdateExpression", "update.updateExpression"),
        ("ConditionCheck", "ConditionExpression", "conditionCheck.conditionExpression"),
        ("Put", "Item", "put.item"),
        ("Delete", "Key", "delete.key"),
    ],
)
def test_required_members(client: Any, name: str, kind: str, member: str, path: str) -> None:
    whole = {
        "Update": update(name, key(), "SET a = b"),
        "ConditionCheck": check(name, key(), "a = b"),
        "Put": put(name, key()),
        "Delete": delete(name, key()),
    }[kind]
    del whole[kind][member]
    assert refused(client, whole) == invalid(
        f"1 validation error detected: Value null at 'transactItems.1.member.{path}' "
        "failed to satisfy constraint: Member must not be null"
    )


def test_a_get_is_required(client: Any) -> None:
    assert error(client.transact_get_items, TransactItems=[{}]) == invalid(
        "1 validation error detected: Value null at 'transactItems.1.member.get' "
        "failed to satisfy constraint: Member must not be null"
    )


def test_enums_and_token_are_listed_together(client: Any, name: str) -> None:
    both = {"ReturnConsumedCapacity": "BOGUS", "ReturnItemCollectionMetrics": "BOGUS"}
    assert refused(client, put(name, key()), **both) == invalid(
        f"2 validation errors detected: {RCC}; {RICM}"
    )
    token = "x" * 37
    assert refused(client, put(name, key()), ClientRequestToken=token, **both) == invalid(
        f"3 validation errors detected: Value '{token}' at 'clientRequestToken' failed to satisfy constraint: "
        f"Member must have length less than or equal to 36; {RCC}; {RICM}"
    )
    _, text = refused(client, put(name, key()), ClientRequestToken="")
    assert text.endswith("failed to satisfy constraint: Member must have length greater than or equal to 1")
    assert error(
        client.transact_get_items,
        TransactItems=[{"Get": {"TableName": name, "Key": key()}}],
        ReturnConsumedCapacity="BOGUS",
    ) == invalid(f"1 validation error detected: {RCC}")


def test_enums_come_before_everything_else(client: Any, name: str) -> None:
    one = key()
    for actions in ([put("no-such-table", one)], [put(name, one), delete(name, one)]):
        answer = refused(client, *actions, ReturnConsumedCapacity="BOGUS")
        assert answer == invalid(f"1 validation error detected: {RCC}")


# Values and expressions.


def test_expressions_come_before_tables(client: Any, name: str) -> None:
    malformed = check(name, key(), "attribute_not_exists(")
    assert refused(client, put("no-such-table", key()), malformed) == invalid(SYNTAX)
    unused = check(name, key(), "attribute_not_exists(p)", ExpressionAttributeValues={":v": s("x")})
    assert refused(client, put("no-such-table", key()), unused) == invalid(UNUSED)
    assert refused(client, unused, put("no-such-table", key())) == invalid(UNUSED)


def test_the_first_action_at_fault_is_told(client: Any, name: str) -> None:
    nesting = (
        "Nesting Levels have exceeded supported limits: "
        "Attributes in the item have nested levels beyond supported limit"
    )
    too_deep = put(name, {**key(), "d": deep(32)})
    malformed = check(name, key(), "attribute_not_exists(")
    assert refused(client, malformed, too_deep) == invalid(SYNTAX)
    assert refused(client, too_deep, malformed) == invalid(nesting)


@pytest.mark.parametrize("kind", ["Put", "Delete", "Update", "ConditionCheck"])
def test_unused_and_misplaced_names(client: Any, name: str, kind: str) -> None:
    action = {
        "Put": put(name, key(), ConditionExpression="attribute_exists(p)"),
        "Delete": delete(name, key(), ConditionExpression="attribute_exists(p)"),
        "Update": update(name, key(), "SET a = b"),
        "ConditionCheck": check(name, key(), "attribute_exists(p)"),
    }[kind]
    action[kind]["ExpressionAttributeNames"] = {"#x": "y"}
    assert refused(client, action) == invalid(
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}"
    )
    action[kind]["ExpressionAttributeNames"] = {}
    assert refused(client, action) == invalid("ExpressionAttributeNames must not be empty")


def test_names_without_an_expression(client: Any, name: str) -> None:
    action = put(name, key(), ExpressionAttributeNames={"#x": "y"})
    assert refused(client, action) == invalid(
        "ExpressionAttributeNames can only be specified when using expressions"
    )
    get = {"Get": {"TableName": name, "Key": key(), "ExpressionAttributeNames": {"#x": "y"}}}
    assert error(client.transact_get_items, TransactItems=[get]) == invalid(
        "ExpressionAttributeNames can only be specified when using expressions"
    )


def test_a_malformed_projection(client: Any, name: str) -> None:
    get = {"Get": {"TableName": name, "Key": key(), "ProjectionExpression": "!!!"}}
    assert error(client.transact_get_items, TransactItems=[get]) == invalid(
        'Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"'
    )


# Tables and keys.


def test_a_missing_table(client: Any, name: str) -> None:
    assert refused(client, put(name, key()), put("no-such-table", key())) == not_found()
    get = {"Get": {"TableName": "no-such-table", "Key": key()}}
    assert error(client.transact_get_items, TransactItems=[get]) == not_found()


@pytest.mark.parametrize(("kind", "actual"), [({"N": "5"}, "N"), ({"L": [{"S": "x"}]}, "L")])
def test_a_key_of_the_wrong_type_cancels(client: Any, name: str, kind: Any, actual: str) -> None:
    text = f"One or more parameter values were invalid: Type mismatch for key p expected: S actual: {actual}"
    assert reasons(client, put(name, {"p": kind})) == [{"Code": "ValidationError", "Message": text}]
    mismatch = [{"Code": "ValidationError", "Message": NO_MATCH}]
    assert reasons(client, update(name, {"p": kind}, "SET a = b")) == mismatch
    assert reasons(client, delete(name, {"p": kind})) == mismatch
    assert reasons(client, check(name, {"p": kind}, "attribute_exists(p)")) == mismatch
    get = {"Get": {"TableName": name, "Key": {"p": kind}}}
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_get_items(TransactItems=[get])
    assert cancelled.value.response["CancellationReasons"] == mismatch


def test_only_the_first_key_at_fault_is_told_and_before_duplicates(client: Any, name: str) -> None:
    one = key()
    found = reasons(client, put(name, one), delete(name, {"p": n(1)}), delete(name, {}), delete(name, one))
    assert [reason["Code"] for reason in found] == ["None", "ValidationError", "None", "None"]


def test_a_missing_key(client: Any, name: str) -> None:
    text = "One or more parameter values were invalid: Missing the key p in the item"
    assert reasons(client, put(name, {"q": s("x")})) == [{"Code": "ValidationError", "Message": text}]
    get = {"Get": {"TableName": name, "Key": {}}}
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_get_items(TransactItems=[get])
    assert [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]] == [
        "ValidationError"
    ]


def test_an_empty_key_refuses_the_request(client: Any, name: str) -> None:
    empty = {"p": s("")}
    assert refused(client, put(name, empty)) == invalid(EMPTY_KEY)
    assert refused(client, update(name, empty, "SET a = b")) == invalid(EMPTY_KEY)
    assert refused(client, delete(name, empty)) == invalid(EMPTY_KEY)
    assert refused(client, check(name, empty, "attribute_exists(p)")) == invalid(EMPTY_KEY)


def test_index_keys(client: Any, name: str) -> None:
    wrong = (
        "One or more parameter values were invalid: "
        "Type mismatch for Index Key g Expected: S Actual: N IndexName: ggg"
    )
    assert reasons(client, put(name, {**key(), "g": n(1)})) == [{"Code": "ValidationError", "Message": wrong}]
    found = reasons(client, update(name, key(), "SET g = :g", {":g": n(1)}))
    assert found == [{"Code": "ValidationError", "Message": wrong}]
    assert refused(client, put(name, {**key(), "g": s("")})) == invalid(
        "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
        "The AttributeValue for a key attribute cannot contain an empty string value. IndexName: ggg, IndexKey: g"
    )


def test_an_update_of_the_key_cancels(client: Any, name: str) -> None:
    found = reasons(client, put(name, key()), update(name, key(), "SET p = :p", {":p": s("x")}))
    text = "One or more parameter values were invalid: Cannot update attribute p. This attribute is part of the key"
    assert found == [{"Code": "None"}, {"Code": "ValidationError", "Message": text}]


def test_one_action_an_item(client: Any, name: str) -> None:
    one = key()
    assert refused(client, put(name, one), delete(name, one)) == invalid(DUPLICATES)
    assert refused(
        client, check(name, one, "attribute_exists(p)"), update(name, one, "SET a = b")
    ) == invalid(DUPLICATES)
    get = {"Get": {"TableName": name, "Key": one}}
    assert error(client.transact_get_items, TransactItems=[get, get]) == invalid(DUPLICATES)
    with table(client, "p:N") as numbers:
        assert refused(client, put(numbers, {"p": n("1000")}), put(numbers, {"p": n("1e3")})) == invalid(
            DUPLICATES
        )


# Sizes.


def test_an_item_too_large(client: Any, name: str) -> None:
    one = {"p": s(unique()), "f": s("x" * 409_600)}
    assert refused(client, put(name, one)) == invalid("Item size has exceeded the maximum allowed size")
    text = "Item size to update has exceeded the maximum allowed size"
    found = reasons(client, update(name, key(), "SET f = :f", {":f": s("x" * 409_600)}))
    assert found == [{"Code": "ValidationError", "Message": text}]


def test_an_update_that_grows_an_item_too_large(client: Any, name: str) -> None:
    one = key()
    client.put_item(TableName=name, Item={**one, "f": s("x" * 300_000)})
    text = "Item size to update has exceeded the maximum allowed size"
    found = reasons(client, put(name, key()), update(name, one, "SET h = :h", {":h": s("x" * 200_000)}))
    assert found == [{"Code": "None"}, {"Code": "ValidationError", "Message": text}]


def test_four_megabytes(client: Any, name: str) -> None:
    def items(count: int, size: int) -> list[dict[str, Any]]:
        return [put(name, {"p": s(f"{i:032x}"), "f": s("x" * (size - 34))}) for i in range(count)]

    assert client.transact_write_items(TransactItems=items(16, 262_144))
    text = "The aggregate size of the items in the transaction cannot exceed 4 MB"
    assert refused(client, *items(16, 262_144), put(name, key())) == invalid(text)
    gets = [{"Get": {"TableName": name, "Key": {"p": s(f"{i:032x}")}}} for i in range(16)]
    assert len(client.transact_get_items(TransactItems=gets)["Responses"]) == 16
    client.put_item(TableName=name, Item={"p": s("~"), "f": s("x")})
    more = [*gets, {"Get": {"TableName": name, "Key": {"p": s("~")}}}]
    assert error(client.transact_get_items, TransactItems=more) == invalid(text)


# Faults that only the item shows.


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize(
    ("stored", "text", "values", "message"),
    [
        (
            {},
            "SET a = b",
            None,
            "The provided expression refers to an attribute that does not exist in the item",
        ),
        (
            {"a": {"S": "x"}},
            "SET a = a + :v",
            {":v": {"N": "1"}},
            "An operand in the update expression has an incorrect data type",
        ),
        (
            {"a": {"S": "x"}},
            "SET a.b = :v",
            {":v": {"N": "1"}},
            "The document path provided in the update expression is invalid for update",
        ),
        (
            {"a": {"N": "9" + "0" * 125}},
            "ADD a :v",
            {":v": {"N": "9e125"}},
            "Number overflow. Attempting to store a number with magnitude larger than supported range",
        ),
    ],
)
def test_updates_that_cannot_be_made(
    client: Any, name: str, spread: bool, stored: Any, text: str, values: Any, message: str
) -> None:
    one, fine = key(), key()
    client.put_item(TableName=name, Item={**one, **stored})
    with table(client, "p") as second:
        found = reasons(client, put(second if spread else name, fine), update(name, one, text, values))
    assert found == [{"Code": "None"}, {"Code": "ValidationError", "Message": message}]
    assert got(client, name, one) == {**one, **stored}
    assert got(client, name, fine) is None


def test_nothing_of_a_refused_request_is_written(client: Any, name: str) -> None:
    one = key()
    refused(client, put(name, one), put("no-such-table", key()))
    assert got(client, name, one) is None
