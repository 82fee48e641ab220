"""The load generator against a tiny server: preloading, all workloads, errors, rates, several processes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hashrange_client.load.client import CallError, Client
from hashrange_client.load.prepare import prepare
from hashrange_client.load.result import LoadResult
from hashrange_client.load.run import cpu_of_metrics, generate
from hashrange_client.load.settings import LoadError, LoadSettings

from tests.unit.load_fakes import FakeDynamo

SMALL = LoadSettings(items=100, connections=4, count=200, warm_up_s=0.0, item_bytes=300)


def against(fake: FakeDynamo, use: Callable[[LoadSettings], Awaitable[Any]], **changes: Any) -> Any:
    """Run `use` with settings for the fake server."""

    async def run() -> Any:
        async with fake.serving() as url:
            return await use(dataclasses.replace(SMALL, endpoint=url, **changes))

    return asyncio.run(run())


async def prepared(settings: LoadSettings) -> LoadResult:
    await prepare(settings)
    return await generate(settings)


def test_preloading_makes_the_table_and_every_item_once() -> None:
    fake = FakeDynamo(leave_out=True)
    written: list[int] = []

    async def twice(settings: LoadSettings) -> tuple[bool, bool]:
        return await prepare(settings, written.append), await prepare(settings, written.append)

    assert against(fake, twice) == (True, False)
    assert len(fake.items) == 101  # and the note of what is there
    assert fake.calls["CreateTable"] == 2
    assert max(written) == 100
    sizes = {len(item) for key, item in fake.items.items() if not key[0].startswith("~")}
    assert sizes == {10}


def test_other_items_are_loaded_anew() -> None:
    fake = FakeDynamo()

    async def two_sizes(settings: LoadSettings) -> list[bool]:
        more = dataclasses.replace(settings, items=200)
        other = dataclasses.replace(settings, item_bytes=400)
        return [await prepare(each) for each in (settings, more, settings, other)]

    assert against(fake, two_sizes) == [True, True, False, True]


@pytest.mark.parametrize(
    ("workload", "operations"),
    [
        ("get", {"GetItem"}),
        ("put", {"PutItem"}),
        ("update", {"UpdateItem"}),
        ("query", {"Query"}),
        ("mix", {"GetItem", "PutItem", "UpdateItem", "Query"}),
    ],
)
def test_each_workload_sends_what_it_says(workload: str, operations: set[str]) -> None:
    fake = FakeDynamo()
    result = against(fake, prepared, workload=workload)
    assert set(result.latencies) == operations
    assert result.requests == 200
    assert not result.errors
    before = {"GetItem": 1, "PutItem": 1}  # the note: read and written while preloading
    for operation in operations:
        sent = fake.calls[operation] - before.get(operation, 0)
        assert sent == result.latencies[operation].get_total_count()


def test_the_warm_up_is_sent_but_not_counted() -> None:
    fake = FakeDynamo()
    result = against(fake, generate, workload="get", warm_up_s=0.2)
    assert result.requests == 200
    assert fake.calls["GetItem"] > 200


def test_updates_add_up() -> None:
    fake = FakeDynamo()
    against(fake, prepared, workload="update")
    counters = (int(item["n"]["N"]) for key, item in fake.items.items() if not key[0].startswith("~"))
    assert sum(counters) == 200


def test_several_processes_share_the_work_and_report_as_one() -> None:
    fake = FakeDynamo()
    progress: list[tuple[int, int]] = []

    async def use(settings: LoadSettings) -> LoadResult:
        await prepare(settings)
        return await generate(settings, lambda done, errors: progress.append((done, errors)))

    result = against(fake, use, workload="get", processes=2, count=None, duration_s=0.8, warm_up_s=0.1)
    assert result.requests > 0
    assert progress
    assert progress == sorted(progress)


def test_errors_are_counted_by_type_and_not_as_latencies() -> None:
    fake = FakeDynamo(refuse=10)
    fake.exists = True
    result = against(fake, generate, workload="get")
    assert result.errors == {"ThrottlingException": 20}
    assert result.requests == 180


def test_connections_that_the_server_closes_are_reopened() -> None:
    result = against(FakeDynamo(close_after=7), generate, workload="get")
    assert result.requests == 200
    assert not result.errors


def test_a_fixed_rate_is_kept() -> None:
    result = against(FakeDynamo(), generate, workload="get", rate=400.0, count=100)
    assert result.requests == 100
    assert result.seconds > 0.2  # sent one after the other, not all at once


def test_processor_time_comes_from_the_process_or_its_metrics() -> None:
    async def by_pid(settings: LoadSettings) -> LoadResult:
        return await generate(settings, server_pid=os.getpid())

    assert against(FakeDynamo(), by_pid, workload="get").server_cpu_us is not None
    assert against(FakeDynamo(), generate, workload="get").server_cpu_us == 0  # constant on the fake's page
    assert cpu_of_metrics(b"a 1\nprocess_cpu_seconds_total 2.5\n") == 2.5
    assert cpu_of_metrics(b"a 1\n") is None


def test_the_result_as_json() -> None:
    result = against(FakeDynamo(), generate, workload="get")
    document = result.to_json()
    figures = document["operations"]["GetItem"]
    assert document["requests"] == figures["requests"] == 200
    assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["p99.9_us"] <= figures["max_us"]
    assert document["requests_per_s"] > 0


def test_what_cannot_work_is_told_in_one_sentence() -> None:
    with pytest.raises(LoadError, match="does not answer"):
        asyncio.run(generate(dataclasses.replace(SMALL, endpoint="http://127.0.0.1:9")))
    with pytest.raises(LoadError, match="does not answer"):
        asyncio.run(prepare(dataclasses.replace(SMALL, endpoint="http://127.0.0.1:9")))
    other_keys = FakeDynamo()
    other_keys.keys = ["id"]
    with pytest.raises(LoadError, match="has other keys"):
        against(other_keys, prepare)
    with pytest.raises(LoadError, match="there is no process"):
        asyncio.run(generate(SMALL, server_pid=2**22 + 1))


def test_a_call_that_fails_has_its_type() -> None:
    async def call(settings: LoadSettings) -> None:
        client = await Client.connect(settings)
        try:
            await client.call("GetItem", {"Key": {"pk": {"S": "a"}, "sk": {"S": "b"}}})
        finally:
            client.close()

    with pytest.raises(CallError) as caught:
        against(FakeDynamo(refuse=1), call)
    assert (caught.value.type_name, caught.value.status) == ("ThrottlingException", 400)


def test_shares_of_processes_add_up() -> None:
    whole = LoadSettings(connections=10, processes=3, count=100, rate=50.0)
    shares = [whole.share(number) for number in range(3)]
    assert sum(share.connections for share in shares) == 10
    assert sum(share.count or 0 for share in shares) == 100
    assert sum(share.rate or 0 for share in shares) == pytest.approx(50)
    assert len({share.seed for share in shares}) == 3
    assert LoadSettings.from_json(shares[0].to_json()) == shares[0]
