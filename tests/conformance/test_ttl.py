"""Time to live: the settings and their refusals, and the deleter, on a server that searches every 50 ms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import Containing, error, n, not_found, put_all, s, table, unique, wait_until


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    with table(client, "p", gsi=(("by_g", "g"),)) as made:
        yield made


def enable(client: Any, name: str, attribute: str = "expires") -> dict[str, Any]:
    """Turn it on."""
    specification = {"Enabled": True, "AttributeName": attribute}
    return client.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)


def disable(client: Any, name: str, attribute: str = "expires") -> dict[str, Any]:
    """Turn it off."""
    specification = {"Enabled": False, "AttributeName": attribute}
    return client.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)


def described(client: Any, name: str) -> dict[str, Any]:
    """The TimeToLiveDescription."""
    return client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]


def settled(client: Any, name: str, status: str) -> dict[str, Any]:
    """The description once it has this status."""
    wait_until(lambda: described(client, name)["TimeToLiveStatus"] == status, f"TTL {status}")
    return described(client, name)


def test_settings(client: Any, name: str) -> None:
    assert described(client, name) == {"TimeToLiveStatus": "DISABLED"}
    answer = enable(client, name)
    assert answer["TimeToLiveSpecification"] == {"Enabled": True, "AttributeName": "expires"}
    assert settled(client, name, "ENABLED") == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_enabling_twice(client: Any, name: str) -> None:
    enable(client, name)
    settled(client, name, "ENABLED")
    refused = error(enable, client=client, name=name)
    assert refused == ("ValidationException", Containing("already enabled"))
    refused = error(enable, client=client, name=name, attribute="other")
    assert refused == ("ValidationException", Containing("different"))


def test_disabling_when_off(client: Any, name: str) -> None:
    refused = error(disable, client=client, name=name)
    assert refused == ("ValidationException", Containing("already disabled"))


def test_disabling_another_attribute(client: Any, name: str) -> None:
    enable(client, name)
    settled(client, name, "ENABLED")
    refused = error(disable, client=client, name=name, attribute="other")
    assert refused == ("ValidationException", Containing("different"))


def test_missing_tables(client: Any) -> None:
    gone = unique()
    assert error(enable, client=client, name=gone)[0] == "ResourceNotFoundException"
    refused = error(client.describe_time_to_live, TableName=gone)
    assert refused == not_found(f"Requested resource not found: Table: {gone} not found")


@pytest.mark.parametrize(
    "specification",
    [
        {"Enabled": True, "AttributeName": ""},
        {"Enabled": True, "AttributeName": "a" * 256},
        {"Enabled": True},
        {},
    ],
)
def test_constraints(client: Any, name: str, specification: dict[str, Any]) -> None:
    refused = error(client.update_time_to_live, TableName=name, TimeToLiveSpecification=specification)
    assert refused == ("ValidationException", Containing("validation error"))


def present(client: Any, name: str) -> set[str]:
    """The keys of all items of the table."""
    return {item["p"]["S"] for item in client.scan(TableName=name, ConsistentRead=True)["Items"]}


# Only numbers of seconds since 1970, at most five years old, expire.
def candidates(now: int) -> tuple[list[dict[str, Any]], set[str]]:
    """Items and the keys of those that stay."""
    year = 365 * 86_400
    values: dict[str, Any] = {
        "just over": n(now - 1),
        "an hour ago": n(now - 3600),
        "four years ago": n(now - 4 * year),
        "later": n(now + 3600),
        "six years ago": n(now - 6 * year),
        "zero": n(0),
        "negative": n(-1),
        "text": s(str(now - 60)),
        "milliseconds": n(now * 1000),
        "set": {"NS": [str(now - 60)]},
        "null": {"NULL": True},
        "list": {"L": [n(now - 60)]},
    }
    items = [{"p": s(key), "expires": value} for key, value in values.items()] + [{"p": s("without")}]
    return items, {item["p"]["S"] for item in items} - {"just over", "an hour ago", "four years ago"}


def test_only_expired_items_are_deleted(client: Any, name: str) -> None:
    items, stay = candidates(int(time.time()))
    put_all(client, name, items)
    assert len(present(client, name)) == len(items), "nothing expires while TTL is off"
    enable(client, name)
    wait_until(lambda: present(client, name) == stay, f"only {stay} left")


def test_items_written_later_expire_too(client: Any, name: str) -> None:
    enable(client, name)
    now = int(time.time())
    client.put_item(TableName=name, Item={"p": s("soon"), "expires": n(now + 1), "g": s("g")})
    client.put_item(TableName=name, Item={"p": s("saved"), "expires": n(now + 1)})
    client.update_item(
        TableName=name,
        Key={"p": s("saved")},
        UpdateExpression="SET expires = :later",
        ExpressionAttributeValues={":later": n(now + 3600)},
    )
    wait_until(lambda: present(client, name) == {"saved"}, "one item left")
    wait_until(lambda: client.scan(TableName=name, IndexName="by_g")["Count"] == 0, "the index follows")


def test_a_disabled_table_keeps_everything(client: Any, name: str) -> None:
    enable(client, name)
    settled(client, name, "ENABLED")
    disable(client, name)
    assert settled(client, name, "DISABLED") == {"TimeToLiveStatus": "DISABLED"}
    client.put_item(TableName=name, Item={"p": s("old"), "expires": n(int(time.time()) - 60)})
    with table(client, "p") as other:
        # Another table with TTL on shows that the deleter has been round meanwhile.
        enable(client, other)
        client.put_item(TableName=other, Item={"p": s("old"), "expires": n(int(time.time()) - 60)})
        wait_until(lambda: present(client, other) == set(), "the other table's item is gone")
    assert present(client, name) == {"old"}


def test_key_attributes_may_hold_the_time(client: Any) -> None:
    with table(client, "p/expires:N") as made:
        now = int(time.time())
        client.put_item(TableName=made, Item={"p": s("x"), "expires": n(now - 60)})
        client.put_item(TableName=made, Item={"p": s("x"), "expires": n(now + 3600)})
        enable(client, made)
        wait_until(lambda: client.scan(TableName=made, ConsistentRead=True)["Count"] == 1, "one item left")
