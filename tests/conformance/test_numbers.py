"""Numbers: 38 digits, the range, the grammar, the canonical form read back, equality, order, arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.raw import Raw
from tests.conformance.support import (
    CONDITION_FAILED,
    Containing,
    column,
    either,
    error,
    invalid,
    n,
    prefixed,
    put_all,
    s,
    table,
    unique,
)

DIGITS = "Attempting to store more than 38 significant digits in a Number"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
NOT_NUMERIC = "The parameter cannot be converted to a numeric value"

NINES = "9" * 38

CANONICAL = [
    ("0", "0"),
    ("-0", "0"),
    ("0.0", "0"),
    ("000", "0"),
    ("1", "1"),
    ("+1", "1"),
    ("-1", "-1"),
    ("007", "7"),
    ("1.0", "1"),
    ("1.10", "1.1"),
    ("1.", "1"),
    (".5", "0.5"),
    ("-.5", "-0.5"),
    ("1e2", "100"),
    ("1E2", "100"),
    ("1E+2", "100"),
    ("1.e5", "100000"),
    ("1e-2", "0.01"),
    ("12.34e1", "123.4"),
    ("12.34e-3", "0.01234"),
    ("100e-2", "1"),
    ("0e5", "0"),
    ("0.0e126", "0"),
    (NINES, NINES),
    ("-" + NINES, "-" + NINES),
    ("0." + NINES, "0." + NINES),
    ("1" * 19 + "." + "2" * 19, "1" * 19 + "." + "2" * 19),
    (NINES + "000", NINES + "000"),
    ("0.000" + NINES, "0.000" + NINES),
    ("1e37", "1" + "0" * 37),
    ("1e125", "1" + "0" * 125),
    ("9.9999999999999999999999999999999999999e125", NINES + "0" * 88),
    ("-9.9999999999999999999999999999999999999E+125", "-" + NINES + "0" * 88),
    ("1e-130", "0." + "0" * 129 + "1"),
    ("-1e-130", "-0." + "0" * 129 + "1"),
]

REFUSED = [
    ("1" * 39, DIGITS),
    ("0." + "1" * 39, DIGITS),
    ("1" * 20 + "." + "1" * 19, DIGITS),
    ("1" + "0" * 37 + "1", DIGITS),
    ("1e126", OVERFLOW),
    ("-1e126", OVERFLOW),
    ("1e1000", OVERFLOW),
    ("0e126", OVERFLOW),
    ("1e-131", UNDERFLOW),
    ("-1e-131", UNDERFLOW),
    ("", NOT_NUMERIC + ": "),
    *(
        (text, f"{NOT_NUMERIC}: {text}")
        for text in (
            "abc", " 1", "1 ", "1 2", "1+2", "1.2.3", "+e2", "1e", "e5", ".", "-", "+", "--1", "1e5.5",
            "0x10", "NaN", "Infinity", "-Infinity", "1_000", "1,5", "\u0661", "1f",
        )
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.mark.parametrize(("written", "read"), CANONICAL)
def test_canonical_form(client: Any, name: str, written: str, read: str) -> None:
    item = {
        "p": s(unique()),
        "v": n(written),
        "deep": {"L": [{"M": {"x": n(written)}}]},
        "set": {"NS": [written]},
    }
    client.put_item(TableName=name, Item=item)
    back = client.get_item(TableName=name, Key={"p": item["p"]}, ConsistentRead=True)["Item"]
    assert back == {**item, "v": n(read), "deep": {"L": [{"M": {"x": n(read)}}]}, "set": {"NS": [read]}}


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(client: Any, name: str, text: str, message: str) -> None:
    # the local oracle differs: it accepts 0e126
    key = {"p": s("refused")}
    for item in ({"v": n(text)}, {"v": {"L": [n(text)]}}, {"v": {"NS": [text]}}):
        assert error(client.put_item, TableName=name, Item={**key, **item}) == prefixed(message)
    refused = error(
        client.update_item,
        TableName=name,
        Key=key,
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": n(text)},
    )
    assert refused == prefixed(message), "an expression value is worded like an item's"


@pytest.mark.parametrize("text", ["abc", "", "1e126"])
def test_who_carries_the_prefix(client: Any, name: str, text: str) -> None:
    """The writes of one item do; reads are bare; batches of writes and Scan keep the older wording."""
    message = OVERFLOW if text == "1e126" else f"{NOT_NUMERIC}: {text}"
    older = message.removesuffix(": ")
    value, key = n(text), {"p": n(text)}
    values = {"ExpressionAttributeValues": {":v": value}}
    assert error(client.delete_item, TableName=name, Key=key) == prefixed(message)
    assert error(client.update_item, TableName=name, Key=key) == prefixed(message)
    assert error(client.get_item, TableName=name, Key=key) == invalid(message)
    assert error(client.batch_get_item, RequestItems={name: {"Keys": [key]}}) == invalid(message)
    assert error(client.query, TableName=name, KeyConditionExpression="p = :v", **values) == invalid(message)
    put = {"PutRequest": {"Item": {"p": s("x"), "v": value}}}
    assert error(client.batch_write_item, RequestItems={name: [put]}) == invalid(older)
    assert error(client.scan, TableName=name, FilterExpression="v = :v", **values) == invalid(
        f"ExpressionAttributeValues contains invalid value: {older} for key :v"
    )


def test_number_keys(client: Any) -> None:
    with table(client, "p:N/r:N") as made:
        client.put_item(TableName=made, Item={"p": n("1.50"), "r": n("-0")})
        found = client.get_item(TableName=made, Key={"p": n("15e-1"), "r": n("0.00")}, ConsistentRead=True)
        assert found["Item"] == {"p": n("1.5"), "r": n("0")}
        assert error(client.get_item, TableName=made, Key={"p": n("x"), "r": n(0)}) == either(
            NOT_NUMERIC + ": x"
        )


ORDERED = [
    "-" + NINES + "0" * 88,
    "-1e100",
    "-1000",
    "-999.999",
    "-10",
    "-9",
    "-1.5",
    "-1.49999",
    "-1",
    "-0.1",
    "-0.01",
    "-1e-130",
    "0",
    "1e-130",
    "1e-129",
    "0.001",
    "0.0011",
    "0.01",
    "0.1",
    "0.10001",
    "1",
    "1.0000000000000000000000000000000000001",
    "1.1",
    "2",
    "9",
    "10",
    "10.5",
    "11",
    "99",
    "100",
    "1e37",
    NINES,
    "1e38",
    "1e125",
]


def test_sort_order_is_numeric(client: Any) -> None:
    with table(client, "p/r:N") as made:
        put_all(
            client, made, [{"p": s("x"), "r": n(v), "v": n(i)} for i, v in reversed(list(enumerate(ORDERED)))]
        )
        query = {
            "TableName": made,
            "KeyConditionExpression": "p = :p",
            "ExpressionAttributeValues": {":p": s("x")},
            "ConsistentRead": True,
        }
        up = client.query(**query)["Items"]
        assert column(up, "v") == [str(i) for i in range(len(ORDERED))]
        down = client.query(**query, ScanIndexForward=False)["Items"]
        assert down == up[::-1]
        query["KeyConditionExpression"] = "p = :p AND r BETWEEN :a AND :b"
        query["ExpressionAttributeValues"] = {":p": s("x"), ":a": n("-1.5"), ":b": n("10")}
        low, high = ORDERED.index("-1.5"), ORDERED.index("10")
        assert column(client.query(**query)["Items"], "v") == [str(i) for i in range(low, high + 1)]


def test_equality_is_numeric(client: Any, name: str) -> None:
    item = {"p": s(unique()), "v": n("1.50"), "set": {"NS": ["1", "2"]}, "l": {"L": [n("3")]}}
    client.put_item(TableName=name, Item=item)
    values = {":v": n("15e-1"), ":s": {"NS": ["2.0", "1.00"]}, ":l": {"L": [n("3.0")]}, ":one": n("1.0")}
    client.update_item(
        TableName=name,
        Key={"p": item["p"]},
        ConditionExpression="v = :v AND #s = :s AND l = :l AND contains(#s, :one) AND v IN (:v)",
        ExpressionAttributeNames={"#s": "set"},
        ExpressionAttributeValues=values,
    )
    refused = error(
        client.update_item,
        TableName=name,
        Key={"p": item["p"]},
        ConditionExpression="v > :v",
        ExpressionAttributeValues={":v": n("1.5")},
    )
    assert refused == CONDITION_FAILED


@pytest.mark.parametrize(
    ("start", "operation", "amount", "result"),
    [
        ("1", "+", "1", "2"),
        ("0.1", "+", "0.2", "0.3"),
        ("1", "-", "1", "0"),
        ("-5", "+", "2", "-3"),
        ("1e20", "+", "1e-10", "100000000000000000000.0000000001"),
        ("1e37", "+", "1", "1" + "0" * 36 + "1"),
        ("9" * 37, "+", "1", "1" + "0" * 37),
        (NINES, "-", NINES, "0"),
        ("1e-130", "+", "1e-130", "0." + "0" * 129 + "2"),
        ("5e125", "+", "4e125", "9" + "0" * 125),
    ],
)
def test_arithmetic(client: Any, name: str, start: str, operation: str, amount: str, result: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "v": n(start)})
    client.update_item(
        TableName=name,
        Key=key,
        UpdateExpression=f"SET v = v {operation} :a",
        ExpressionAttributeValues={":a": n(amount)},
    )
    assert client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["v"] == n(result)
    if operation == "+":
        client.put_item(TableName=name, Item={**key, "v": n(start)})
        client.update_item(
            TableName=name, Key=key, UpdateExpression="ADD v :a", ExpressionAttributeValues={":a": n(amount)}
        )
        assert client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["v"] == n(result)


@pytest.mark.parametrize(
    ("start", "amount"),
    [("1e50", "1"), ("1", "1e38"), ("1e-100", "1"), ("9e125", "9e125"), ("-9e125", "-9e125")],
)
@pytest.mark.parametrize("expression", ["SET v = v + :a", "ADD v :a"])
def test_arithmetic_out_of_reach(client: Any, name: str, start: str, amount: str, expression: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "v": n(start)})
    refused = error(
        client.update_item,
        TableName=name,
        Key=key,
        UpdateExpression=expression,
        ExpressionAttributeValues={":a": n(amount)},
    )
    assert refused == ("ValidationException", Containing("Number"))


def test_a_json_number_is_no_number_value(raw: Raw, name: str) -> None:
    kind, _ = raw.post("PutItem", {"TableName": name, "Item": {"p": s("x"), "v": {"N": 5}}}).error
    assert kind == "com.amazon.coral.service#SerializationException"


@pytest.mark.parametrize("pair", [["1", "1.0"], ["0", "-0"], ["1e2", "100"], ["1", "2", "+1"]])
def test_duplicates_in_number_sets(client: Any, name: str, pair: list[str]) -> None:
    refused = error(client.put_item, TableName=name, Item={"p": s("x"), "v": {"NS": pair}})
    assert refused == ("ValidationException", Containing("Input collection contains duplicates"))
