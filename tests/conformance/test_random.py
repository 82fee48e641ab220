"""Random items and random histories against a model in memory: what was written is what is read and queried."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.support import all_items, n, s, same_items, table, unique, wait_until

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.builds(
    lambda digits, exponent: str(Decimal(digits).scaleb(exponent)),
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(-60, 60),
)
SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda text: {"S": text}, TEXTS),
    st.builds(lambda number: {"N": number}, NUMBERS),
    st.builds(lambda data: {"B": data}, st.binary(max_size=30)),
    st.builds(lambda flag: {"BOOL": flag}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda texts: {"SS": texts}, st.lists(TEXTS, min_size=1, max_size=4, unique=True)),
    st.builds(
        lambda data: {"BS": data}, st.lists(st.binary(max_size=8), min_size=1, max_size=4, unique=True)
    ),
    st.builds(
        lambda numbers: {"NS": [str(number) for number in numbers]},
        st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=4, unique=True),
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda values: {"L": values}, st.lists(inner, max_size=4)),
        st.builds(lambda values: {"M": values}, st.dictionaries(NAMES, inner, max_size=4)),
    ),
    max_leaves=12,
)


def comparable(value: dict[str, Any]) -> Any:
    """A form in which equal attribute values are equal: numbers by value, sets without order."""
    ((kind, content),) = value.items()
    if kind == "N":
        return "N", Decimal(content)
    if kind == "NS":
        return "NS", frozenset(map(Decimal, content))
    if kind in ("SS", "BS"):
        return kind, frozenset(content)
    if kind == "L":
        return "L", tuple(map(comparable, content))
    if kind == "M":
        return "M", tuple(sorted((name, comparable(inner)) for name, inner in content.items()))
    return kind, content


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(attributes=st.dictionaries(NAMES, VALUES, max_size=5))
def test_items_come_back(client: Any, name: str, attributes: dict[str, dict[str, Any]]) -> None:
    item = {**attributes, "p": s(unique())}
    client.put_item(TableName=name, Item=item)
    back = client.get_item(TableName=name, Key={"p": item["p"]}, ConsistentRead=True)["Item"]
    assert comparable({"M": back}) == comparable({"M": item})
    again = client.put_item(TableName=name, Item=back, ReturnValues="ALL_OLD")["Attributes"]
    assert again == back, "what is read is canonical: it reads the same once written back"


class History:
    """Random writes on a table with indexes, and what the table must then hold."""

    def __init__(self, client: Any, name: str, seed: int) -> None:
        self.client = client
        self.name = name
        self.random = random.Random(seed)
        self.items: dict[tuple[str, int], dict[str, Any]] = {}

    def key(self) -> tuple[str, int]:
        """One of thirty keys in three partitions."""
        return self.random.choice("xyz"), self.random.randrange(-5, 5)

    def step(self) -> None:
        """One put, update or delete, conditional or not."""
        partition, number = key = self.key()
        where = {"p": s(partition), "r": n(number)}
        kind = self.random.choice(["put", "put", "set", "remove", "delete"])
        if kind == "put":
            item: dict[str, Any] = {**where, "v": n(self.random.randrange(100))}
            if self.random.random() < 0.7:
                item["g"] = s(self.random.choice("ab"))
            if self.random.random() < 0.7:
                item["l"] = n(self.random.randrange(4))
            self.client.put_item(TableName=self.name, Item=item)
            self.items[key] = item
        elif kind == "set":
            value = s(self.random.choice("ab"))
            self.client.update_item(
                TableName=self.name,
                Key=where,
                UpdateExpression="SET g = :g",
                ExpressionAttributeValues={":g": value},
            )
            self.items[key] = {**self.items.get(key, where), "g": value}
        elif kind == "remove":
            self.client.update_item(TableName=self.name, Key=where, UpdateExpression="REMOVE l, g")
            if key in self.items:
                self.items[key] = {k: v for k, v in self.items[key].items() if k not in ("l", "g")}
        else:
            self.client.delete_item(TableName=self.name, Key=where)
            self.items.pop(key, None)

    def partition(self, name: str) -> list[dict[str, Any]]:
        """The items of a partition in order of the range key."""
        return [item for (p, _), item in sorted(self.items.items()) if p == name]


@pytest.mark.parametrize("seed", range(4))
def test_histories(client: Any, seed: int) -> None:
    indexes = {"gsi": (("by_g", "g/v:N"),), "lsi": (("by_l", "p/l:N"),)}
    with table(client, "p/r:N", **indexes) as name:
        history = History(client, name, seed)
        for number in range(120):
            history.step()
            if number % 20 == 19:
                check_table(client, history)
        wait_until(lambda: index_agrees(client, history), "the global index agrees with the table")


def check_table(client: Any, history: History) -> None:
    """The table, its partitions and its local index hold what the model holds."""
    assert same_items(
        all_items(client.scan, TableName=history.name, ConsistentRead=True), list(history.items.values())
    )
    for partition in "xyz":
        query = {
            "TableName": history.name,
            "KeyConditionExpression": "p = :p",
            "ExpressionAttributeValues": {":p": s(partition)},
            "ConsistentRead": True,
            "Limit": history.random.randrange(1, 6),
        }
        expected = history.partition(partition)
        assert all_items(client.query, **query) == expected
        assert all_items(client.query, **query, ScanIndexForward=False) == expected[::-1]
        local = sorted(
            (item for item in expected if "l" in item), key=lambda i: (int(i["l"]["N"]), int(i["r"]["N"]))
        )
        assert all_items(client.query, **query, IndexName="by_l") == local


def index_agrees(client: Any, history: History) -> bool:
    """Whether the global index holds exactly the items with both its keys, in order."""
    for group in "ab":
        found = all_items(
            client.query,
            TableName=history.name,
            IndexName="by_g",
            KeyConditionExpression="g = :g",
            ExpressionAttributeValues={":g": s(group)},
        )
        expected = [item for item in history.items.values() if item.get("g") == s(group) and "v" in item]
        if not same_items(found, expected) or found != sorted(found, key=lambda item: int(item["v"]["N"])):
            return False
    return True
