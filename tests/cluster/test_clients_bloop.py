"""bloop reads our streams unmodified: engine, model, shard tree, tokens; across a split and roll-overs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cluster.local_cluster import LocalCluster
from tests.conformance.conftest import make_client
from tests.conformance.support import wait_until

bloop = pytest.importorskip("bloop", reason="bloop is in the dev extra")

KEYS = 12
EMPTY_ROUNDS = 12
"""bloop gives None for a look at all shards that found nothing; after so many the stream is read."""


def model(table: str) -> Any:
    """A model with a stream of old and new images."""

    class Counter(bloop.BaseModel):  # type: ignore[misc,name-defined]
        class Meta:
            table_name = table
            stream = {"include": {"old", "new"}}  # noqa: RUF012

        id = bloop.Column(bloop.String, hash_key=True)
        number = bloop.Column(bloop.Integer)

    return Counter


def engine_of(endpoint: str) -> Any:
    dynamodb, streams = make_client(endpoint), make_client(endpoint, "dynamodbstreams")
    return bloop.Engine(dynamodb=dynamodb, dynamodbstreams=streams)


def drain(stream: Any) -> list[dict[str, Any]]:
    """Everything that there is to read from here."""
    found: list[dict[str, Any]] = []
    empty = 0
    while empty < EMPTY_ROUNDS:
        record = next(stream)
        if record is None:
            empty += 1
        else:
            empty = 0
            found.append(record)
    return found


def states(records: list[dict[str, Any]]) -> dict[str, list[tuple[int | None, int | None]]]:
    """(number before, number after) of each record, by item."""
    found: dict[str, list[tuple[int | None, int | None]]] = {}
    for record in records:
        old, new = record["old"], record["new"]
        before = old.number if old is not None else None
        after = new.number if new is not None else None
        found.setdefault((new or old).id, []).append((before, after))
    return found


def changed(numbers: dict[str, list[int | None]]) -> dict[str, list[tuple[int | None, int | None]]]:
    """What the records of items are that took these numbers (None: deleted) one after the other."""
    return {
        key: list(zip([None, *taken[:-1]], taken, strict=True)) for key, taken in numbers.items() if taken
    }


@pytest.mark.slow
def test_a_stream_is_read_across_a_split_and_a_roll_over(tmp_path: Path) -> None:
    settings = ("stream_rollover_s=3", "durability=os")
    with LocalCluster(tmp_path / "c", azs=1, nodes=1, settings=settings) as cluster:
        endpoint = f"http://127.0.0.1:{cluster.base_port}"
        engine = engine_of(endpoint)
        counter = model("counters")
        engine.bind(counter)
        streams = make_client(endpoint, "dynamodbstreams")
        arn = counter.Meta.stream["arn"]
        numbers: dict[str, list[int | None]] = {f"k{number}": [] for number in range(KEYS)}
        following = engine.stream(counter, "trim_horizon")

        def shards() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = streams.describe_stream(StreamArn=arn)["StreamDescription"][
                "Shards"
            ]
            return found

        def change(number: int) -> None:
            for key, taken in numbers.items():
                if number % 7 == 3 and key.endswith("1"):
                    engine.delete(counter(id=key))
                    if taken and taken[-1] is not None:
                        taken.append(None)
                else:
                    engine.save(counter(id=key, number=number))
                    taken.append(number)

        seen: list[dict[str, Any]] = []
        for number in range(5):
            change(number)
        seen += drain(following)
        wait_until(lambda: len(shards()) > 1, "a roll-over")
        for number in range(5, 10):
            change(number)
        (whole,) = cluster.partitions("counters")
        cluster.insist("split", partition=whole["id"], at=1 << 63)
        cluster.wait("two partitions", lambda: len(cluster.partitions("counters")) == 2)
        for number in range(10, 15):
            change(number)
        token = following.token
        before = len(shards())
        wait_until(lambda: len(shards()) > before, "a roll-over after the split")
        for number in range(15, 20):
            change(number)
        seen += drain(following)

        assert states(seen) == changed(numbers)
        ids = [record["meta"]["event"]["id"] for record in seen]
        assert len(set(ids)) == len(ids)
        again = drain(engine.stream(counter, "trim_horizon"))
        assert states(again) == changed(numbers)
        resumed = drain(engine.stream(counter, token))
        assert [record["meta"]["event"]["id"] for record in resumed if record] == [
            each for each in ids if each in {record["meta"]["event"]["id"] for record in resumed}
        ]
        assert {each["ShardId"][-8:] for each in shards()} == {
            f"{partition:08x}"
            for partition in (whole["id"], *(part["id"] for part in cluster.partitions("counters")))
        }
