"""The stream consumer against a stream and a lease table in memory: leases, lineage, checkpoints, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hashrange_client.streams import Batch, Consumer, ConsumerSettings, LeaseTable, ShardTree
from hashrange_client.streams.leases import SHARD_END, TRIM_HORIZON, Lease, LeaseLostError
from hashrange_client.streams.reading import ShardReader, list_shards

from .stream_fakes import FakeStream, FakeTable

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/L"
QUICK = ConsumerSettings(lease_s=0.7, poll_s=0.005, discover_s=0.05, batch_size=2, retry_first_s=0.01)


def consumer_of(stream: FakeStream, table: FakeTable, **changes: Any) -> Consumer:
    settings = changes.pop("settings", QUICK)
    return Consumer(ARN, "app", dynamodb=table, streams=stream, settings=settings, **changes)


def values(batch: Batch) -> list[int]:
    return [int(record["dynamodb"]["SequenceNumber"]) for record in batch.records]


async def collect(consumer: Consumer, enough: Callable[[list[int]], bool]) -> list[int]:
    seen: list[int] = []

    async def read() -> None:
        async with consumer:
            async for batch in consumer:
                seen.extend(values(batch))
                if enough(seen):
                    await asyncio.sleep(0)
                    return

    await asyncio.wait_for(read(), 20)
    return seen


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


# ---- lineage


def test_a_child_is_ready_when_its_parent_is_finished_or_gone() -> None:
    tree = ShardTree({"c": "a", "a": None, "b": "gone", "d": "c"})
    assert tree.ready(set()) == ["a", "b"]
    assert tree.ready({"a"}) == ["c", "b"]
    assert tree.ready({"a", "b", "c"}) == ["d"]
    assert tree.children("a") == ["c"]
    assert tree.shards.index("a") < tree.shards.index("c") < tree.shards.index("d")


def test_all_pages_of_shards_are_read() -> None:
    stream = FakeStream(page=2)
    for number in range(5):
        stream.open(f"s{number}")
    assert [each["ShardId"] for each in list_shards(stream, ARN)] == [f"s{n}" for n in range(5)]


# ---- leases


def table_with(counter: int = 3, owner: str = "other") -> tuple[FakeTable, Lease]:
    table = FakeTable()
    lease = Lease("s", ARN, owner, counter, TRIM_HORIZON)
    LeaseTable(table, "app", "me", 10, lambda: 0.0).add("s", ARN, TRIM_HORIZON)
    table.items["s"]["owner"] = {"S": owner}
    table.items["s"]["counter"] = {"N": str(counter)}
    return table, lease


def test_a_lease_runs_out_when_its_counter_stands_still() -> None:
    table, lease = table_with()
    now = [0.0]
    leases = LeaseTable(table, "app", "me", 10, lambda: now[0])
    assert leases.observe({"s": lease}) == set()
    now[0] = 9.9
    assert leases.observe({"s": lease}) == set()
    renewed = Lease("s", ARN, "other", 4, TRIM_HORIZON)
    now[0] = 10.1
    assert leases.observe({"s": renewed}) == set()
    now[0] = 20.2
    assert leases.observe({"s": renewed}) == {"s"}


def test_only_one_can_take_a_lease() -> None:
    table, lease = table_with()
    first = LeaseTable(table, "app", "one", 10, lambda: 0.0)
    second = LeaseTable(table, "app", "two", 10, lambda: 0.0)
    taken = first.take(lease)
    with pytest.raises(LeaseLostError):
        second.take(lease)
    assert taken.owner == "one"
    # Whoever had it cannot move the checkpoint any more.
    with pytest.raises(LeaseLostError):
        LeaseTable(table, "app", "other", 10, lambda: 0.0).checkpoint(lease, "5")
    assert first.checkpoint(taken, "5").checkpoint == "5"


def test_a_write_whose_answer_was_lost_is_known_by_its_effect() -> None:
    table, lease = table_with()
    table.lost_answers = 1
    taken = LeaseTable(table, "app", "one", 10, lambda: 0.0).take(lease)
    assert taken.owner == "one"


def test_control_without_the_condition_two_own_a_shard() -> None:
    table, lease = table_with()
    table.conditional = False
    LeaseTable(table, "app", "one", 10, lambda: 0.0).take(lease)
    LeaseTable(table, "app", "two", 10, lambda: 0.0).take(lease)
    assert table.items["s"]["owner"] == {"S": "two"}


# ---- reading a shard


def test_an_expired_iterator_goes_on_behind_what_was_read() -> None:
    stream = FakeStream()
    stream.open("s")
    stream.write("s", 1, 2, 3)
    reader = ShardReader(stream, ARN, "s", TRIM_HORIZON, 2)
    assert len(reader.read()) == 2
    stream.expire_next = True
    assert [r["dynamodb"]["SequenceNumber"] for r in reader.read()] == ["0" * 20 + "3"]
    stream.trim_next = True
    reader.read()
    assert reader.trimmed == 1
    stream.close("s")
    while not reader.ended:
        reader.read()


# ---- the consumer


def test_children_come_after_their_parents() -> None:
    stream, table = FakeStream(), FakeTable()
    stream.open("a")
    stream.write("a", 1, 2, 3)
    stream.open("b", parent="a")
    stream.write("b", 11, 12)
    stream.open("c", parent="b")
    stream.write("c", 21)
    seen = asyncio.run(collect(consumer_of(stream, table), lambda seen: 21 in seen))
    assert seen == [1, 2, 3, 11, 12, 21]
    assert table.items["a"]["checkpoint"] == {"S": SHARD_END}
    assert table.items["b"]["checkpoint"] == {"S": SHARD_END}


def test_what_was_processed_is_not_read_again_and_the_rest_is() -> None:
    stream, table = FakeStream(), FakeTable()
    stream.open("a")
    stream.write("a", 1, 2, 3, 4)
    first = asyncio.run(collect(consumer_of(stream, table), lambda seen: len(seen) == 4))
    # The last batch was given out; nobody said that it was processed.
    second = asyncio.run(collect(consumer_of(stream, table), lambda seen: len(seen) == 2))
    assert (first, second) == ([1, 2, 3, 4], [3, 4])


def test_latest_leaves_out_what_there_was_and_reads_what_comes_after() -> None:
    stream, table = FakeStream(), FakeTable()
    stream.open("a")
    stream.write("a", 1)
    stream.open("b", parent="a")
    stream.write("b", 2)

    async def scenario() -> list[int]:
        settings = ConsumerSettings(start="LATEST", lease_s=0.7, poll_s=0.005, discover_s=0.05)
        consumer = consumer_of(stream, table, settings=settings)
        seen: list[int] = []
        async with consumer:
            await until(lambda: "b" in stream.reads)
            stream.write("b", 3)
            stream.open("c", parent="b")
            stream.write("c", 4)
            async for batch in consumer:
                seen.extend(values(batch))
                if 4 in seen:
                    return seen
        return seen

    assert asyncio.run(asyncio.wait_for(scenario(), 20)) == [3, 4]


def test_a_handler_that_fails_gets_the_batch_again() -> None:
    stream, table = FakeStream(), FakeTable()
    stream.open("a")
    stream.write("a", 1, 2, 3)
    calls: list[list[int]] = []

    def handle(batch: Batch) -> None:
        calls.append(values(batch))
        if len(calls) < 3:
            raise RuntimeError("not now")

    consumer_of(stream, table).run(handle, until=lambda: [3] in calls, check_s=0.01)
    assert calls == [[1, 2], [1, 2], [1, 2], [3]]


def test_a_handler_that_fails_for_good_ends_the_consumer() -> None:
    stream, table = FakeStream(), FakeTable()
    stream.open("a")
    stream.write("a", 1)

    def handle(batch: Batch) -> None:
        raise KeyError("poison")

    settings = ConsumerSettings(lease_s=0.7, poll_s=0.005, handler_retries=2, retry_first_s=0.01)
    with pytest.raises(KeyError, match="poison"):
        consumer_of(stream, table, settings=settings).run(handle)
    assert table.items["a"]["checkpoint"] == {"S": TRIM_HORIZON}


def test_failures_of_reading_are_tried_again() -> None:
    stream, table = FakeStream(), FakeTable()
    stream.open("a")
    stream.write("a", 1)
    stream.failing = 2
    assert asyncio.run(collect(consumer_of(stream, table), lambda seen: bool(seen))) == [1]


def test_two_workers_share_the_shards_and_one_takes_over_when_the_other_stands_still() -> None:
    stream, table = FakeStream(page=10), FakeTable()
    for number in range(4):
        stream.open(f"s{number}")

    async def scenario() -> None:
        first, second = consumer_of(stream, table, worker="one"), consumer_of(stream, table, worker="two")

        def owners() -> list[str]:
            return sorted(item["owner"]["S"] for item in table.items.values() if "owner" in item)

        async with second, first:
            await until(lambda: owners() == ["one", "one", "two", "two"])
            for task in first._tasks:  # it renews nothing any more
                task.cancel()
            await until(lambda: owners() == ["two"] * 4)

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_rows_of_finished_shards_that_are_gone_are_removed() -> None:
    stream, table = FakeStream(), FakeTable()
    stream.open("a")
    stream.open("b", parent="a")

    async def scenario() -> None:
        async with consumer_of(stream, table):
            await until(lambda: table.items.get("a", {}).get("checkpoint") == {"S": SHARD_END})
            del stream.shards["a"]
            await until(lambda: "a" not in table.items)

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="start"):
        ConsumerSettings(start="EARLIEST")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size"):
        ConsumerSettings(batch_size=1001)
