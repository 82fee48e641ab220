"""Many clients at once: counters lose nothing, one of many conditional writes wins, reads see whole items."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.conftest import make_client
from tests.conformance.support import CONDITION_FAILED, error, n, s, table, unique, wait_until

THREADS = 8


@pytest.fixture(scope="module")
def crowd(endpoint: str) -> Iterator[Any]:
    """A client that many threads share, with a connection for each."""
    made = make_client(endpoint, max_pool_connections=THREADS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p", gsi=(("by_g", "g"),)) as made:
        yield made


def together(work: Any, count: int) -> list[Any]:
    """The results of `work(0..count-1)` run by all threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(count)))


def test_counters(crowd: Any, name: str) -> None:
    key = {"p": s(unique())}

    def add(_: int) -> str:
        answer = crowd.update_item(
            TableName=name,
            Key=key,
            UpdateExpression="ADD hits :one",
            ExpressionAttributeValues={":one": n(1)},
            ReturnValues="UPDATED_NEW",
        )
        return str(answer["Attributes"]["hits"]["N"])

    seen = together(add, 200)
    assert sorted(map(int, seen)) == list(range(1, 201)), "every update saw the one before it"


def test_one_winner(crowd: Any, name: str) -> None:
    for _ in range(5):
        item = {"p": s(unique())}

        def claim(number: int, item: dict[str, Any] = item) -> bool:
            refused = None
            try:
                crowd.put_item(
                    TableName=name,
                    Item={**item, "by": n(number)},
                    ConditionExpression="attribute_not_exists(p)",
                )
            except crowd.exceptions.ConditionalCheckFailedException as failure:
                refused = failure
            return refused is None

        won = together(claim, THREADS * 2)
        assert won.count(True) == 1
        found = crowd.get_item(TableName=name, Key=item, ConsistentRead=True)["Item"]
        assert found["by"] == n(won.index(True))


def test_compare_and_set(crowd: Any, name: str) -> None:
    """Optimistic locking: the sum of successes is the final version."""
    key = {"p": s(unique())}
    crowd.put_item(TableName=name, Item={**key, "version": n(0)})

    def step(_: int) -> int:
        done = 0
        for _ in range(10):
            version = crowd.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["version"]["N"]
            try:
                crowd.update_item(
                    TableName=name,
                    Key=key,
                    UpdateExpression="SET version = :new",
                    ConditionExpression="version = :old",
                    ExpressionAttributeValues={":old": n(version), ":new": n(int(version) + 1)},
                )
                done += 1
            except crowd.exceptions.ConditionalCheckFailedException:
                continue
        return done

    total = sum(together(step, THREADS))
    found = crowd.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["version"]
    assert found == n(total)
    stale = error(
        crowd.update_item,
        TableName=name,
        Key=key,
        UpdateExpression="SET version = :new",
        ConditionExpression="version = :old",
        ExpressionAttributeValues={":old": n(-1), ":new": n(0)},
    )
    assert stale == CONDITION_FAILED


def test_readers_see_whole_items(crowd: Any, name: str) -> None:
    key = {"p": s(unique())}

    def write(number: int) -> dict[str, Any]:
        return {**key, **{f"a{i}": n(number) for i in range(20)}, "filler": s("x" * (number * 50))}

    crowd.put_item(TableName=name, Item=write(0))

    def work(number: int) -> bool:
        if number % 2:
            crowd.put_item(TableName=name, Item=write(number))
            return True
        found = crowd.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]
        values = {found[f"a{i}"]["N"] for i in range(20)}
        return len(values) == 1 and len(found["filler"]["S"]) == int(values.pop()) * 50

    assert all(together(work, 160))


def test_the_index_agrees_in_the_end(crowd: Any, name: str) -> None:
    group, other = s(unique()), s(unique())
    stem = unique()

    def churn(number: int) -> None:
        key = {"p": s(f"{stem}{number % 20}")}
        if number % 5 == 0:
            crowd.delete_item(TableName=name, Key=key)
        else:
            crowd.put_item(TableName=name, Item={**key, "g": group if number % 2 else other, "v": n(number)})

    together(churn, 300)

    def by_index(value: dict[str, Any]) -> list[tuple[str, str]]:
        found = crowd.query(
            TableName=name,
            IndexName="by_g",
            KeyConditionExpression="g = :g",
            ExpressionAttributeValues={":g": value},
        )
        return sorted((item["p"]["S"], item["v"]["N"]) for item in found["Items"])

    stored = [
        item
        for item in crowd.scan(TableName=name, ConsistentRead=True)["Items"]
        if item["p"]["S"].startswith(stem)
    ]
    for value in (group, other):
        expected = sorted((item["p"]["S"], item["v"]["N"]) for item in stored if item.get("g") == value)
        wait_until(lambda value=value, expected=expected: by_index(value) == expected, "the index agrees")
